"""MiniCPM-V fine-tuning: ``image`` is a path or a numbered dictionary, ``conversations`` have ``role`` and ``content``.

One image is ``<image>`` in the text, and stands in front of the first turn where no turn has the tag, as its
fine-tuning code does. Several are ``{"<image_00>": path, "<image_01>": path}``, each where its tag stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from image_spans.scan.causes import Fault
from image_spans.scan.formats import has_turns, parts
from image_spans.scan.rows import kind
from image_spans.scan.samples import Picture, Sample, listed, turns


def fits(row: Mapping[str, Any]) -> bool:
    """By ``conversations`` of ``role`` and ``content``, with ``image`` or without, but not ``images``."""
    own = row.get("images") is None and has_turns(row, "conversations", "role", "content")
    return own and not parts.fits(row)


def read(row: Mapping[str, Any], tag: str) -> Sample:
    """The sample."""
    sample = Sample()
    sample.turns = turns(row.get("conversations"), "role", "content", sample.faults)
    given = row.get("image")
    if isinstance(given, Mapping) and set(given) == {tag}:
        given = given[tag]
    if isinstance(given, Mapping) and not {"bytes", "path"} & set(given):
        sample.tags = "numbered"
        # A column of Parquet has all keys in every row.
        sample.pictures = {name: Picture(source) for name, source in given.items() if source is not None}
        return sample
    if isinstance(given, list):
        sample.faults.append(Fault("image-no-source", f"'image' is {kind(given)}, expected a path or a dictionary"))
        return sample
    sample.pictures = listed(given)
    first = sample.turns[0] if sample.turns else None
    untagged = all(isinstance(turn.content, str) and tag not in turn.content for turn in sample.turns)
    if given is not None and first is not None and untagged:
        first.content = f"{tag}\n{first.content}"
    return sample
