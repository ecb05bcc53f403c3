"""What rows mean. A format is a module here: ``fits(row)`` and ``read(row, tag)``, which gives a Sample.

The first that fits reads a row, in the order of their names; none fits a row of another.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from types import ModuleType
from typing import Any

from image_spans import discovery
from image_spans.errors import ConfigError, nearest
from image_spans.scan.causes import Fault
from image_spans.scan.samples import Sample


def names() -> list[str]:
    """The formats."""
    return discovery.names(__name__)


def module(name: str) -> ModuleType:
    """A format by its name.

    Raises:
        ConfigError: there is none of this name.
    """
    if name not in names():
        raise ConfigError(f"unknown data format {name!r}{nearest(name, names())}")
    return importlib.import_module(f"{__name__}.{name}")


@cache
def _all() -> list[tuple[str, ModuleType]]:
    return [(name, module(name)) for name in names()]


def read(row: Mapping[str, Any], tag: str, name: str | None = None) -> tuple[str | None, Sample]:
    """The format of a row, and the sample that it makes of it.

    Args:
        row: the object.
        tag: what stands for an image in text.
        name: the format, where it is not to be found out.
    """
    for known, one in _all():
        if known == name or (name is None and one.fits(row)):
            sample: Sample = one.read(row, tag)
            return known, sample
    keys = ", ".join(map(repr, list(row)[:8])) or "none"
    return None, Sample(faults=[Fault("row-unknown-format", f"no known format; the keys are {keys}")])


def first(row: Mapping[str, Any], *keys: str) -> Any:
    """The first value of these keys that is there."""
    return next((row[key] for key in keys if row.get(key) is not None), None)


def has_turns(row: Mapping[str, Any], key: str, *names: str) -> bool:
    """Whether a key holds objects with one of these keys; so does one with anything else, which is then refused."""
    turns = row.get(key)
    if not isinstance(turns, list):
        return turns is not None
    objects = [turn for turn in turns if isinstance(turn, Mapping)]
    return not objects or any(name in turn for turn in objects for name in names)
