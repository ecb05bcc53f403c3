"""ShareGPT as LLaMA-Factory reads it: ``messages`` or ``conversations`` with ``<image>`` in them, and ``images``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from image_spans.scan.formats import first, has_turns, parts
from image_spans.scan.formats.llava import ROLES
from image_spans.scan.samples import Sample, Turn, listed, turns

_KEYS = ("role", "content", "from", "value")


def fits(row: Mapping[str, Any]) -> bool:
    """By ``messages``, or by ``images`` beside ``conversations``; contents are texts."""
    if parts.fits(row):
        return False
    if row.get("messages") is not None:
        return has_turns(row, "messages", *_KEYS)
    return row.get("images") is not None and has_turns(row, "conversations", *_KEYS)


def read(row: Mapping[str, Any], tag: str) -> Sample:
    """The sample; the k-th tag stands for the k-th image. A ``system`` text beside the turns becomes turn 0."""
    sample = Sample(pictures=listed(first(row, "images", "image")))
    key = "messages" if row.get("messages") is not None else "conversations"
    role, content = ("from", "value") if has_turns(row, key, "from") and row[key] else ("role", "content")
    sample.turns = turns(row.get(key), role, content, sample.faults, ROLES)
    if isinstance(row.get("system"), str) and row["system"]:
        sample.turns.insert(0, Turn("system", row["system"]))
        sample.faults = [replace(one, turn=None if one.turn is None else one.turn + 1) for one in sample.faults]
    return sample
