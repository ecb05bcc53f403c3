"""Records as a world writes them, small enough to read: what a tokenizer makes of one text and one conversation."""

from __future__ import annotations

from typing import Any

from image_spans.compare.run import Outcome


def record(bos: bool = True, hello: str = "10", version: str = "1", **more: Any) -> dict[str, Any]:
    """A record; ``bos``: whether the plain call adds it; ``hello``: the ids of a text."""
    front = "1 " if bos else ""
    names = "<s> " if bos else ""
    return {
        "made of": {"class": "Toy", "libraries": {"transformers": version}, "sha256": "f"},
        "special tokens": {"<s>": "1", "<image>": "5"},
        "markers": {"placeholder": {"token": "<image>", "id": 5, "kind": "special token"}},
        "plain call": {"adds in front": ["1 <s>"] if bos else [], "adds behind": []},
        "texts": {"hello": {"ids": hello, "tokens": " ".join(f"t{one}" for one in hello.split())}},
        "conversations": {"one": {"ids": f"{front}5*4 10", "tokens": f"{names}<image>*4 t10"}},
        **more,
    }


def verdicts(**said: str) -> dict[str, dict[str, Any]]:
    """Check to verdict, with ``__`` for the dot: ``bos__once="fails: doubled"``."""
    found = {}
    for check, text in said.items():
        is_now, _, causes = text.partition(": ")
        found[check.replace("__", ".")] = {"is": is_now, "causes": causes.split(", ") if causes else []}
    return found


def outcome(label: str, records: dict[str, Any], checks: dict[str, Any] | None = None, **more: Any) -> Outcome:
    return Outcome(label, records, checks or {}, **more)
