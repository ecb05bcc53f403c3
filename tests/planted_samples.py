"""Training data with known faults, in every format: what is planted where, and what should be found.

Each fault is planted in a row of its own, between rows that are right; some of those look as if they were not.
"""

from __future__ import annotations

import base64
import importlib
import json
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import PIL.Image

CONTRACT = """\
version: 1
subjects:
  my-model:
    tokenizer:
      backend: transformers
      source: {trained: byte_bpe}
      add_special_tokens: [<image>, </image>, <slice>, </slice>, <unk>, <|im_end|>]
    pipeline: {encode: PIPELINE, returns: [labels]}
    contract:
      input: {images: 0..3, sides: 1..4096, empty_text: forbidden}
      bos: none
      images: {open: <image>, close: </image>, placeholder: <unk>, slots: 64}
      slices: {open: <slice>, close: </slice>, rule: minicpm}
      literals: {policy: interpret, per: {</slice>: plain}}
      template: {assistant: ["", <|im_end|>]}
"""


@dataclass(frozen=True)
class Planted:
    """A row, and the causes that it has; none: it is right. ``turn``: that of the first cause."""

    name: str
    line: bytes
    causes: frozenset[str] = frozenset()
    turn: int | None = None


def png(width: int, height: int) -> bytes:
    """A picture of which there is little more than the header."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def pictures(folder: Path) -> None:
    """The files that rows name."""
    for name, size in {"small.jpg": (300, 200), "large.png": (1000, 800)}.items():
        PIL.Image.new("RGB", size).save(folder / name)
    turned = PIL.Image.Exif()
    turned[0x0112] = 6
    PIL.Image.new("RGB", (1400, 400)).save(folder / "turned.jpg", exif=turned)
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "broken.jpg").write_bytes(b"<html>404</html>")
    (folder / "no_pixels.png").write_bytes(png(0, 7))
    (folder / "huge.png").write_bytes(png(20_000, 20_000))
    (folder / "long.png").write_bytes(png(5_000, 10))
    (folder / "folder.jpg").mkdir()


Turns = list[tuple[str, str]]
"""Roles and texts; ``{}`` in a text stands for the next image."""
Write = Callable[[Turns, list[Any]], dict[str, Any]]


def minicpm(turns: Turns, images: list[Any]) -> dict[str, Any]:
    names = [f"<image_{number:02}>" for number in range(len(images))]
    given = dict(zip(names, images, strict=True)) if len(images) > 1 else (images or [None])[0]
    row: dict[str, Any] = {"id": "0", "image": given} if images else {"id": "0"}
    marks = iter(names if len(images) > 1 else ["<image>"] * 9)
    row["conversations"] = [{"role": role, "content": _filled(text, marks)} for role, text in turns]
    return row


def llava(turns: Turns, images: list[Any]) -> dict[str, Any]:
    own = {"user": "human", "assistant": "gpt"}
    talk = [{"from": own.get(role, role), "value": text.replace("{}", "<image>")} for role, text in turns]
    row: dict[str, Any] = {"id": "0", "conversations": talk}
    return {**row, "image": images[0] if len(images) == 1 else images} if images else row


def sharegpt(turns: Turns, images: list[Any]) -> dict[str, Any]:
    return {
        "messages": [{"role": role, "content": text.replace("{}", "<image>")} for role, text in turns],
        "images": images,
    }


def parts(turns: Turns, images: list[Any]) -> dict[str, Any]:
    given = iter(images)
    messages = []
    for role, text in turns:
        content: list[dict[str, Any]] = []
        for number, piece in enumerate(text.split("{}")):
            if number:
                content.append({"type": "image_url", "image_url": {"url": next(given, None)}})
            if piece or "{}" not in text:
                content.append({"type": "text", "text": piece})
        messages.append({"role": role, "content": content})
    return {"messages": messages}


FORMATS: dict[str, Write] = {"minicpm": minicpm, "llava": llava, "sharegpt": sharegpt, "parts": parts}
KEYS = {
    "minicpm": ("conversations", "role", "content"),
    "llava": ("conversations", "from", "value"),
    "sharegpt": ("messages", "role", "content"),
    "parts": ("messages", "role", "content"),
}


def _filled(text: str, marks: Iterator[str]) -> str:
    first, *others = text.split("{}")
    return first + "".join(next(marks) + other for other in others)


def rows(form: str) -> list[Planted]:
    """All rows of a format, right and wrong in turn."""
    wrong = list(_wrong(form))
    right = list(_right(form))
    mixed = []
    for number, row in enumerate(wrong):
        mixed += [right[number % len(right)], row]
    return mixed


ANSWER = ("assistant", "A cat.")


def _right(form: str) -> Iterator[Planted]:
    write = FORMATS[form]
    encoded = base64.b64encode(png(40, 30)).decode()
    url = f"data:image/png;base64,{encoded}"

    def row(name: str, turns: Turns, images: list[Any]) -> Planted:
        return Planted(name, _dumped(write(turns, images)))

    yield row("a small image", [("user", "{}\nWhat?"), ANSWER], ["small.jpg"])
    yield row("a large one behind the text", [("user", "What? {}"), ANSWER], ["large.png"])
    yield row("one that is turned", [("user", "{} What?"), ANSWER], ["turned.jpg"])
    yield row("no image", [("system", "Be brief."), ("user", "What?"), ANSWER], [])
    yield row("base64", [("user", "{} What?"), ANSWER], [url])
    yield row("three in two turns", [("user", "{} a {}"), ANSWER, ("user", "{}?"), ANSWER], ["small.jpg"] * 3)
    yield row("a marker that is plain", [("user", "What is </slice>? {}"), ANSWER], ["small.jpg"])
    yield row("what looks like a marker", [("user", "<images> < image > image/ {}"), ANSWER], ["small.jpg"])
    yield row("other writing", [("user", "{} \u732b\u306f\u4f55\uff1f \u0645\u0627 \U0001f408"), ANSWER], ["small.jpg"])


def _wrong(form: str) -> Iterator[Planted]:
    write = FORMATS[form]
    turns_key, role_key, text_key = KEYS[form]
    ask: Turns = [("user", "{}\nWhat?"), ANSWER]

    def row(cause: str, value: Any, *also: str, turn: int | None = None) -> Planted:
        return Planted(cause, _dumped(value), frozenset((cause, *also)), turn)

    good = write(ask, ["small.jpg"])
    text = _dumped(good)
    yield Planted("row-not-json", text[:-1] + b",}", frozenset({"row-not-json"}))
    yield Planted("row-not-json", text.replace(b"What", b"W\0at"), frozenset({"row-not-json"}))
    yield Planted("row-not-utf8", text.replace(b"What", b"Wh\xe4t"), frozenset({"row-not-utf8"}))
    yield Planted("row-too-deep", b'{"a": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", frozenset({"row-too-deep"}))
    yield Planted("row-duplicate-key", text[:-1] + b', "extra": 1, "extra": 2}', frozenset({"row-duplicate-key"}))
    yield row("row-not-object", [good])
    yield row("row-unknown-format", {"prompt": "What?", "answer": "A cat."})
    yield row("row-no-turns", {**good, turns_key: []})
    if form != "parts":  # it is known by its list of parts
        yield row("row-no-turns", {**good, turns_key: "What?"})
        yield row("turn-not-text", _with(good, turns_key, 1, text_key, 7), turn=1)
        yield row("turn-not-text", _with(good, turns_key, 1, text_key, None), turn=1)
    else:
        yield row("turn-not-text", _with(good, turns_key, 1, text_key, [{"type": "text", "text": 7}]), turn=1)
        yield row("turn-unknown-part", _with(good, turns_key, 1, text_key, [{"type": "video", "video": "a"}]), turn=1)
        yield row("turn-unknown-part", _with(good, turns_key, 1, text_key, [7]), turn=1)
    yield row("turn-not-object", {**good, turns_key: [*good[turns_key], "What?"]}, turn=2)
    yield row("turn-no-role", _with(good, turns_key, 0, role_key, 3), turn=0)
    cut = write([("user", "{} What \ud83d"), ANSWER], ["small.jpg"])
    yield Planted("turn-lone-surrogate", json.dumps(cut).encode(), frozenset({"turn-lone-surrogate"}), 0)
    for cause, source in (
        ("image-missing", "none.jpg"),
        ("image-empty", "empty.jpg"),
        ("image-empty", "data:image/png;base64,"),
        ("image-broken", "broken.jpg"),
        ("image-broken", "data:image/png;base64,QUJD"),
        ("image-no-pixels", "no_pixels.png"),
        ("image-unreadable", "folder.jpg"),
        ("image-unreadable", "a\0b.jpg"),
        ("image-not-base64", "data:image/png;base64,****"),
        ("image-remote", "https://example.org/a.jpg"),
        ("image-no-source", " "),
        ("outside-size", "long.png"),
    ):
        yield row(cause, write([("user", "Look."), ANSWER, *ask], [source]), turn=2)
    yield row("image-too-large", write(ask, ["huge.png"]), "outside-size", turn=0)
    yield row("outside-role", write([("user", "{} What?"), ("tool", "1"), ANSWER], ["small.jpg"]), turn=1)
    shown = [("user", "What?"), ("assistant", "This: {}")]
    yield row("outside-image-role", write(shown, ["small.jpg"]), turn=1)
    yield row("outside-images", write([("user", "{} {} {} {} What?"), ANSWER], ["small.jpg"] * 4))
    yield row("outside-empty-text", write([("user", "{} What?"), ANSWER, ("user", ""), ANSWER], ["small.jpg"]), turn=2)
    yield row("literal-marker", write([("user", "{} What is </image>?"), ANSWER], ["small.jpg"]),
              "literals.policy", turn=0)  # fmt: skip
    yield row("nothing-trained", write([("user", "{} What?")], ["small.jpg"]), "nothing-trained")
    yield row("too-long", write([("user", "{} " + "What? " * 2000), ANSWER], ["small.jpg"]), "nothing-trained")
    if form == "parts":
        yield row("image-count", {**_with(good, turns_key, 0, text_key, [{"type": "image"}]), "images": []})
        yield row(
            "image-no-source", {**_with(good, turns_key, 0, text_key, [{"type": "image"}]), "images": [7]}, turn=0
        )
        return
    yield row("literal-tag", write([("user", "{} What?"), ("assistant", "![a](<image>)")], ["small.jpg"]),
              "literal-marker", "literals.policy", turn=1)  # fmt: skip
    if form == "minicpm":
        two = write([("user", "{} {} What?"), ANSWER], ["small.jpg", "large.png"])
        yield row("image-order", _with(two, turns_key, 0, text_key, "<image_01> <image_00> What?"), turn=None)
        yield row("image-count", _with(two, turns_key, 0, text_key, "<image_00> What?"))
        yield row("image-count", _with(two, turns_key, 0, text_key, "<image_00> <image_01> <image_02>"), turn=0)
        yield row("image-count", _with(two, turns_key, 0, text_key, "<image_00> <image_01> <image_00>"))
        yield row("image-no-source", {**good, "image": ["small.jpg"]})
    else:
        yield row("image-count", write([("user", "What?"), ANSWER], ["small.jpg"]))
    yield row("image-count", write([("user", "{}{} What?"), ANSWER], ["small.jpg"]) if form != "minicpm" else
              _with(good, turns_key, 0, text_key, "<image><image> What?"))  # fmt: skip


def _with(row: dict[str, Any], turns: str, number: int, key: str, value: Any) -> dict[str, Any]:
    changed = [dict(turn) for turn in row[turns]]
    changed[number][key] = value
    return {**row, turns: changed}


def _dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


CAUSES = (
    "row-not-json", "row-not-utf8", "row-duplicate-key", "row-unknown-format", "row-no-turns", "turn-no-role",
    "image-missing", "image-broken", "image-no-pixels", "image-count", "outside-size", "literal-marker",
)  # fmt: skip
COLUMN_CAUSES = (
    "image-missing", "image-broken", "image-no-pixels", "image-empty", "image-remote", "image-not-base64",
    "image-count", "outside-size", "outside-role", "outside-images", "literal-marker", "nothing-trained",
)  # fmt: skip
"""Those that a columnar file can hold, where every row has the same keys and types."""
FAULTS = 37


def corpus(form: str, number: int, causes: Sequence[str] = CAUSES) -> Iterator[Planted]:
    """That many rows of a format, hardly two of them alike, with 37 faults of these causes at random places."""
    random = Random(form)
    faults = [row for row in _wrong(form) if row.name in causes]
    kinds = [[row for row in faults if row.name == name] for name in causes]
    wanted = [random.choice(kinds[index % len(kinds)]) for index in range(FAULTS)]
    places = dict(zip(random.sample(range(number), FAULTS), wanted, strict=True))
    right = list(_right(form))
    for index in range(number):
        planted = places.get(index)
        if planted is not None:
            yield planted
            continue
        row = right[index % len(right)]
        words = " ".join(random.choices(WORDS, k=random.randint(2, 30)))
        yield replace(row, line=row.line.replace(b"A cat.", f"{words} {index}".encode()))


WORDS = ("a", "cat", "picture", "of", "the", "red", "tree", "in", "front", "house", "and", "nothing", "else")


def write(path: Path, rows: Iterable[Planted]) -> dict[int, frozenset[str]]:
    """Write rows to a file of JSON, JSON lines, Parquet, with zstd or without; the causes by the index of the row."""
    wrong = {}

    def lines() -> Iterator[bytes]:
        for index, row in enumerate(rows):
            if row.causes:
                wrong[index] = row.causes
            yield row.line

    if path.suffix == ".parquet":
        _write_columns(path, lines())
        return wrong
    with ExitStack() as stack:
        file: Any = stack.enter_context(path.open("wb"))
        if path.suffix == ".zst":
            file = stack.enter_context(importlib.import_module("zstandard").open(file, "wb"))
        is_list = path.suffix == ".json"
        for number, line in enumerate(lines()):
            file.write(((b",\n" if number else b"[\n") if is_list else b"") + line + (b"" if is_list else b"\n"))
        file.write(b"\n]\n" if is_list else b"")
    return wrong


def _write_columns(path: Path, lines: Iterator[bytes]) -> None:
    pyarrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    text = pyarrow.string()
    turns = pyarrow.list_(pyarrow.struct({"role": text, "content": text}))
    schema = pyarrow.schema({"messages": turns, "images": pyarrow.list_(text)})
    with parquet.ParquetWriter(path, schema) as writer:
        while chunk := [json.loads(line) for line in islice(lines, 10_000)]:
            writer.write_table(pyarrow.Table.from_pylist(chunk, schema=schema))
