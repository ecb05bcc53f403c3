"""Images as rectangles to scale, with their tiles: the geometry of the SVG, in its own units (pixels of the page)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from image_spans.exhibit import Picture, layout_in_words

WIDEST, HIGHEST = 224.0, 168.0
"""The largest image of a conversation takes as much."""
SMALLEST = 5.0
"""No side is drawn shorter, or one would not see it."""
MOST_LINES = 64
"""Tiles in one direction that are drawn; of more the words alone tell."""


@dataclass(frozen=True)
class Drawing:
    """One image of a conversation."""

    number: int
    width: float
    height: float
    lines: tuple[tuple[float, float, float, float], ...]
    """Between tiles: x1, y1, x2, y2."""
    size: str
    told: str
    """What the rule makes of it, in words."""
    to_scale: bool


def drawings(pictures: Sequence[Picture]) -> list[Drawing]:
    """All images of a conversation, on one scale."""
    if not pictures:
        return []
    scale = min(
        1.0,
        WIDEST / max(picture.width for picture in pictures),
        HIGHEST / max(picture.height for picture in pictures),
    )
    drawn = []
    for number, picture in enumerate(pictures):
        width, height = picture.width * scale, picture.height * scale
        to_scale = min(width, height) >= SMALLEST
        width, height = round(max(width, SMALLEST), 1), round(max(height, SMALLEST), 1)
        size = f"{picture.width}x{picture.height}"
        lines = tuple(_lines(picture.tiles, width, height))
        drawn.append(Drawing(number, width, height, lines, size, layout_in_words(picture), to_scale))
    return drawn


def _lines(tiles: Sequence[int], width: float, height: float) -> list[tuple[float, float, float, float]]:
    if not tiles or len(tiles) > MOST_LINES or max(tiles) > MOST_LINES:
        return []
    lines = []
    for row, columns in enumerate(tiles):
        top, bottom = (round(height * at / len(tiles), 1) for at in (row, row + 1))
        if row:
            lines.append((0.0, top, width, top))
        lines += [(x, top, x, bottom) for x in (round(width * at / columns, 1) for at in range(1, columns))]
    return lines
