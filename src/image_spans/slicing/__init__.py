"""Slice rules: from an image's size alone to its layout.

A rule is a module here with a function ``layout(width, height, number_of_images, **options)``, or any
``module:function`` of that signature. Sizes are in pixels, slots are placeholder tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeAlias

from image_spans import discovery


@dataclass(frozen=True, slots=True)
class Block:
    """One run of placeholders: ``rows`` x ``columns`` slots (1 x n where the model has no rows)."""

    rows: int
    columns: int

    @property
    def slots(self) -> int:
        return self.rows * self.columns


@dataclass(frozen=True, slots=True)
class Layout:
    """What one image becomes: an overview (or none) and a grid of tiles (``()`` when not sliced).

    ``grid`` is a tuple of rows from top to bottom, each a tuple of blocks from left to right.
    """

    overview: Block | None
    grid: tuple[tuple[Block, ...], ...] = ()

    @property
    def sliced(self) -> bool:
        return bool(self.grid)

    @property
    def slots(self) -> int:
        """All placeholder slots of the image."""
        tiles = sum(block.slots for row in self.grid for block in row)
        return tiles + (self.overview.slots if self.overview else 0)


Rule: TypeAlias = Callable[..., Layout]


@cache
def rule(name: str, folder: Path | None = None) -> Rule:
    """The slice rule that the YAML calls ``name``.

    Raises:
        ConfigError: there is no such rule.
    """
    if discovery.is_reference(name):
        function: Rule = discovery.resolve(name, folder)
        return function
    found: Rule = discovery.load(__name__, name, "slice rule").layout
    return found
