"""The slice rule of a checkpoint, with its options, as far as its files tell them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from image_spans.init.places import Row, value
from image_spans.init.rows import ROWS, SLOTS
from image_spans.init.settings import Settings


def row_of(settings: Settings) -> Row | None:
    """The way to a rule that the files name; None: they name none, or one that is not known."""
    for row in ROWS:
        if row.model_types:
            fits = settings.model_type in row.model_types
        else:
            fits = settings.image_processor in row.image_processors
            if row.processors and fits:
                fits = settings.processor_class in row.processors
        if fits:
            return row
    return None


@dataclass(frozen=True)
class Rule:
    """What a row says of one checkpoint."""

    row: Row
    options: Mapping[str, Any]
    slots: int | None
    """Of each block."""
    counts: Mapping[str, Any] | None
    """The option ``counts`` of the pipeline ``processor``."""
    alike: bool
    """Whether each image is one block of as many slots."""
    missing: tuple[str, ...]
    """Options that the files do not state; the rule's own numbers hold then."""


def rule_of(settings: Settings) -> Rule | None:
    """The rule of a checkpoint, with its options; None: the files name none that is known."""
    row = row_of(settings)
    if row is None:
        return None
    found = {name: value(settings, place) for name, place in row.options.items()}
    slots = None if row.slots is None else value(settings, row.slots)
    missing = tuple(name for name, one in found.items() if one is None)
    options = {name: one for name, one in found.items() if one is not None}
    slots = slots if type(slots) is int and slots > 0 else None
    pan_and_scan = row.rule == "gemma3" and options["pan_and_scan"]
    whole = row.splits is not None and settings.get(row.splits) is False
    alike = row.rule == "fixed" or whole or (row.rule == "gemma3" and not pan_and_scan)
    return Rule(row, options, slots, _counts(settings, row, slots), alike, missing)


def _counts(settings: Settings, row: Row, slots: int | None) -> Mapping[str, Any] | None:
    """None where a number in it is not known."""
    places = (row.counts or {}).items()
    found = {name: slots if place == SLOTS else value(settings, place) for name, place in places}
    return found if found and None not in found.values() else None
