"""LLaVA: ``image`` (a path, or several), and ``conversations`` of ``from`` and ``value`` with ``<image>`` in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from image_spans.scan.formats import has_turns
from image_spans.scan.samples import Sample, listed, turns

ROLES = {"human": "user", "gpt": "assistant"}


def fits(row: Mapping[str, Any]) -> bool:
    """By ``from`` and ``value``, without ``images``."""
    return row.get("images") is None and has_turns(row, "conversations", "from", "value")


def read(row: Mapping[str, Any], tag: str) -> Sample:
    """The sample; the k-th tag stands for the k-th image."""
    sample = Sample(pictures=listed(row.get("image")))
    sample.turns = turns(row.get("conversations"), "from", "value", sample.faults, ROLES)
    return sample
