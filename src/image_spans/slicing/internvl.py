"""InternVL's dynamic tiles: a grid of square tiles near the image's form, with an overview where there are several.

Source: ``find_closest_aspect_ratio`` and ``dynamic_preprocess`` in the model repositories of InternVL 1.5 to 3.5.
GOT-OCR 2 and Aya Vision have the same rule (transformers' image processor of GOT-OCR 2 serves all of them).
"""

from __future__ import annotations

from functools import cache

from image_spans.slicing import Block, Layout


def layout(
    width: int,
    height: int,
    number_of_images: int,
    *,
    slots: int = 256,
    tile: int = 448,
    min_patches: int = 1,
    max_patches: int = 12,
) -> Layout:
    """The overview (the model's thumbnail) and, unless one tile is enough, rows x columns tiles.

    The grid whose columns / rows is nearest to the image's aspect ratio wins; of equally near ones a later (larger)
    one only if the image has more than half of its pixels.

    Args:
        slots: placeholders of each tile and of the overview.
        tile: side of a tile in pixels.
        min_patches: how many tiles at least.
        max_patches: how many tiles at most.
    """
    columns, rows = nearest_form(width, height, tile, min_patches, max_patches)
    block = Block(1, slots)
    return Layout(block, ((block,) * columns,) * rows if columns * rows > 1 else ())


def nearest_form(width: int, height: int, tile: int, least: int, most: int, most_a_side: int = 1000) -> tuple[int, int]:
    """Columns and rows of the grid; other models have the same rule with other limits.

    Raises:
        ValueError: limits that no grid keeps, or that would take too long.
    """
    if not 1 <= most <= 1000:
        raise ValueError(f"max_patches is {most}; expected 1 to 1000")
    aspect, area = width / height, width * height
    best, nearest = (1, 1), float("inf")
    for columns, rows in _grids(least, most, most_a_side):
        distance = abs(aspect - columns / rows)
        if distance < nearest:
            best, nearest = (columns, rows), distance
        elif distance == nearest and area > 0.5 * tile * tile * columns * rows:
            best = (columns, rows)
    return best


@cache
def _grids(least: int, most: int, most_a_side: int) -> tuple[tuple[int, int], ...]:
    """Columns and rows, fewer tiles first; among as many, fewer columns first."""
    sides = range(1, min(most, most_a_side) + 1)
    grids = [(columns, rows) for columns in sides for rows in sides if least <= columns * rows <= most]
    return tuple(sorted(grids, key=lambda grid: (grid[0] * grid[1], grid)))
