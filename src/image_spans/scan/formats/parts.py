"""Content parts, as the OpenAI API and transformers take them: ``messages`` whose ``content`` is a list of parts.

A part ``{"type": "image"}`` that names no source takes the next of ``images``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from image_spans.scan.formats import first
from image_spans.scan.samples import Sample, listed, turns


def fits(row: Mapping[str, Any]) -> bool:
    """By a content that is a list."""
    messages = first(row, "messages", "conversations")
    return isinstance(messages, list) and any(
        isinstance(message, Mapping) and isinstance(message.get("content"), list) for message in messages
    )


def read(row: Mapping[str, Any], tag: str) -> Sample:
    """The sample; a tag in its text is text."""
    sample = Sample(pictures=listed(first(row, "images", "image")), tags="none")
    sample.turns = turns(first(row, "messages", "conversations"), "role", "content", sample.faults)
    return sample
