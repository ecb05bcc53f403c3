"""Ovis2's partition: the fewest crops that keep nine tenths of the image, each shrunk to one tile; with an overview.

Source: ``preprocess_image`` (``_get_best_grid``, ``_partition``) and ``construct_image_placeholders`` in
modeling_ovis.py of the model repositories of Ovis 1.6 and Ovis2. transformers' image processor has the same rule, but
takes the rows for columns (docs/findings/ovis2_transposed.md); the number of tiles is the same, and ``transposed``
gives its grid. ``<IMG_GRID>`` stands behind the overview, so a grammar of one's own is needed.
"""

from __future__ import annotations

from image_spans.slicing import Block, Layout


def layout(
    width: int,
    height: int,
    number_of_images: int,
    *,
    slots: int = 256,
    tile: int = 448,
    max_patches: int = 9,
    covering: float = 0.9,
    transposed: bool = False,
) -> Layout:
    """The overview and, unless one tile is enough, rows x columns tiles.

    Args:
        slots: placeholders of each tile and of the overview.
        tile: side of a tile in pixels.
        max_patches: how many tiles at most (``max_partition``).
        covering: the part of the image's area that must be kept when its crops are shrunk to tiles.
        transposed: rows for columns, as transformers cuts the image.
    """
    if not 1 <= max_patches <= 100:
        raise ValueError(f"max_patches is {max_patches}; expected 1 to 100")
    kept = {
        (rows, columns): _kept(width, height, rows, columns, tile) / (width * height)
        for rows in range(1, max_patches + 1)
        for columns in range(1, max_patches // rows + 1)
    }
    enough = [grid for grid, part in kept.items() if part > covering]
    if enough:
        rows, columns = min(enough, key=lambda grid: (grid[0] * grid[1], -kept[grid]))
    else:
        rows, columns = min(kept, key=lambda grid: (-kept[grid], grid[0] * grid[1]))
    if transposed:
        rows, columns = columns, rows
    block = Block(1, slots)
    return Layout(block, ((block,) * columns,) * rows if rows * columns > 1 else ())


def _kept(width: int, height: int, rows: int, columns: int, tile: int) -> float:
    """How many pixels are left of all crops; the last row and column take what does not divide."""
    widths = [width // columns] * (columns - 1) + [width - width // columns * (columns - 1)]
    heights = [height // rows] * (rows - 1) + [height - height // rows * (rows - 1)]
    return sum(_shrunk(max(across, down), min(across, down), tile) for down in heights for across in widths)


def _shrunk(longer: int, shorter: int, tile: int) -> float:
    """The pixels of a crop whose longer side is shrunk to a tile."""
    return tile * (shorter / longer * tile) if longer > tile else longer * shorter
