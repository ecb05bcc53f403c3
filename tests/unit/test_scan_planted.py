"""Data with known faults: the scan finds exactly those, and names row, turn and cause."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

import planted_samples
from image_spans.__main__ import main

MAX_LENGTH = 1500


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    planted_samples.pictures(folder)
    (folder / "tokenizers_under_test.yaml").write_text(planted_samples.CONTRACT.replace("PIPELINE", "flat_slices"))
    return folder


def scanned(capfdbinary, folder, name, *options):
    """Exit code, findings and summary."""
    subjects = ("--subjects", str(folder / "tokenizers_under_test.yaml"))
    code = main(["scan", str(folder / name), "--subject", "my-model", *subjects, "--format", "json", *options])
    told = json.loads(capfdbinary.readouterr().out)
    return code, told["findings"], told["summary"]


def expected(rows):
    """Place in the file to its causes, checks without what the diagnosis adds."""
    return {number: row.causes for number, row in enumerate(rows) if row.causes}


def found(findings):
    told = {}
    for finding in findings:
        told.setdefault(finding["row"], set()).add(finding["cause"].partition("/")[0])
    return {row: frozenset(causes) for row, causes in told.items()}


@pytest.mark.parametrize("form", planted_samples.FORMATS)
@pytest.mark.parametrize("container", ["a.jsonl", "a.jsonl.gz", "a.json"])
def test_exactly_what_is_planted_is_found(folder, capfdbinary, form, container):
    rows = planted_samples.rows(form)
    lines = [row.line for row in rows]
    data = b"\n".join(lines) if "jsonl" in container else b"[\n" + b",\n".join(lines) + b"\n]"
    (folder / container).write_bytes(gzip.compress(data) if container.endswith("gz") else data)
    code, findings, summary = scanned(
        capfdbinary, folder, container, "--max-length", str(MAX_LENGTH), "--limit-findings", "0"
    )
    assert code == 1
    assert found(findings) == expected(rows)
    assert summary["rows"] == len(rows)
    assert len({cause for row in rows for cause in row.causes}) >= 25
    for number, row in enumerate(rows):
        own = [finding for finding in findings if finding["row"] == number and finding["cause"] == row.name]
        assert all(finding.get("turn") == row.turn for finding in own), (row.name, row.line[:300], own)
        assert all(finding["remedy"] and finding["message"] for finding in own)
    places = {finding["place"] for finding in findings}
    wrong = [number for number, row in enumerate(rows) if row.causes]
    wanted = {f"{folder / container}:{n + 1}" if "jsonl" in container else f"{folder / container}[{n}]" for n in wrong}
    assert places == wanted
    counts = Counter(cause for causes in found(findings).values() for cause in causes)
    told = Counter()
    for cause, one in summary["causes"].items():
        told[cause.partition("/")[0]] += one["rows"]
    assert told == counts


@pytest.mark.parametrize("form", planted_samples.FORMATS)
def test_what_is_right_is_clean_and_measured(folder, capfdbinary, form):
    rows = [row for row in planted_samples.rows(form) if not row.causes]
    kinds = list({row.name: row for row in rows}.values())
    (folder / "right.jsonl").write_bytes(b"\n".join(row.line for row in kinds))
    code, findings, summary = scanned(capfdbinary, folder, "right.jsonl")
    assert (code, findings) == (0, [])
    assert summary["formats"] == {form: len(kinds)}
    assert summary["judged_by_the_pipeline"] == summary["rows"] == len(kinds) == 9
    assert summary["rows_with_literal_markers"] == 1
    images = summary["images"]
    # 300x200 and 40x30 are not sliced, 1000x800 and 1400x400 into four each by the rule of MiniCPM-V.
    assert (images["number"], images["sliced"], images["tiles"]) == (8 + 2, 2, {"0": 8, "4": 2})
    assert (images["smallest"], images["largest"]) == ([40, 30], [1000, 800])
    assert (images["tokens"]["shortest"], images["tokens"]["longest"]) == (64, 5 * 64)


def test_columns_with_the_bytes_of_pictures(folder, capfdbinary):
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    def row(data):
        question = [{"type": "image", "text": None}, {"type": "text", "text": "What?"}]
        answer = [{"type": "text", "text": "A cat."}]
        turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        return {"messages": turns, "images": [{"bytes": data, "path": None}]}

    rows = [row(planted_samples.png(900, 700)), row(b""), row(None), row(b"none"), row(planted_samples.png(5, 5))]
    parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "a.parquet")
    code, findings, summary = scanned(capfdbinary, folder, "a.parquet")
    assert code == 1
    assert [(one["row"], one["turn"], one["cause"]) for one in findings] == [
        (1, 0, "image-empty"),
        (2, 0, "image-no-source"),
        (3, 0, "image-broken"),
    ]
    assert (summary["judged_by_the_pipeline"], summary["images"]["tiles"]) == (2, {"0": 1, "4": 1})


STRIPPED = """\
from image_spans.contract import Contract
from image_spans.slicing.minicpm import layout
from image_spans import Text


def encode(tokenizer, conversation):
    ids, labels = [], []
    for message in conversation.messages:
        text = ""
        for part in message.parts:
            if isinstance(part, Text):
                text += part.text
                continue
            rows = layout(part.width, part.height, 1).grid
            span = "<unk>" * 64
            text += f"<image>{span}</image>" + "\\n".join(f"<slice>{span}</slice>" * len(row) for row in rows)
        text += "<|im_end|>" * (message.role == "assistant")
        own = tokenizer.encode(text, add_special_tokens=False)[1:]  # remove bos
        ids += own
        labels += own if message.role == "assistant" else [-100] * len(own)
    return {"input_ids": ids, "labels": labels}
"""


def test_a_pipeline_that_is_wrong_is_found_on_real_samples_with_its_cause(folder, capfdbinary, tmp_path):
    (tmp_path / "stripping.py").write_text(STRIPPED)
    yaml = planted_samples.CONTRACT.replace("PIPELINE", "stripping:encode")
    (tmp_path / "tokenizers_under_test.yaml").write_text(yaml)
    write = planted_samples.sharegpt
    rows = [
        write([("user", "{}\nWhat?"), planted_samples.ANSWER], ["large.png"]),
        write([("user", "What? {}"), planted_samples.ANSWER], ["small.jpg"]),
    ]
    (folder / "two.json").write_text(json.dumps(rows))
    subjects = ("--subjects", str(tmp_path / "tokenizers_under_test.yaml"))
    code = main(["scan", str(folder / "two.json"), "--subject", "my-model", *subjects, "--format", "json"])
    findings = json.loads(capfdbinary.readouterr().out)["findings"]
    assert code == 1
    assert [(one["row"], one["cause"]) for one in findings] == [
        (0, "spans.matched/first-id-removed"),
        (1, "text.survives/first-id-removed"),
    ]
    assert "it was <image>" in findings[0]["sentence"]
    assert f"load_subject('my-model', {str(Path(subjects[1]))!r})" in findings[0]["python"]
    namespace = {}
    with pytest.raises(AssertionError, match=r"spans\.matched"):
        exec(findings[0]["python"], namespace)
