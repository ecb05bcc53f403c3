"""MiniCPM-V 4.6's slices: the grid of earlier MiniCPM-V, but each block keeps its form, and so has slots of its own.

Source: ``find_best_resize``, ``get_refine_size`` and ``get_sliced_grid`` in transformers'
image_processing_minicpmv4_6.py (5.23), contributed with the model; the model merges 4 x 4 patches into one slot
(``downsample_mode: 16x``), or 2 x 2 (``4x``). For the grammar ``paired`` with flat slices.
"""

from __future__ import annotations

import math

from image_spans.slicing import Block, Layout, minicpm


def layout(
    width: int,
    height: int,
    number_of_images: int,
    *,
    slots: int = 64,
    scale_resolution: int = 448,
    max_slice_nums: int = 9,
    never_split: bool = False,
) -> Layout:
    """An overview of rows x columns slots and, for an area above ``scale_resolution`` squared, a grid of such slices.

    Each block has about ``scale_resolution`` squared pixels, smaller images too, and whole slots.

    Args:
        slots: placeholders of a square block: 64 where the model merges 4 x 4 patches of 14 pixels, 256 for 2 x 2.
        scale_resolution: side of a square block in pixels.
        max_slice_nums: how many slices at most.
        never_split: whether there are no slices (``slice_mode`` off).

    Raises:
        ValueError: ``slots`` are no square that divides the block.
    """
    side = math.isqrt(slots)
    if slots < 1 or side * side != slots or scale_resolution % side:
        raise ValueError(f"slots is {slots}; expected a square whose root divides {scale_resolution}")
    step = scale_resolution // side
    grid = minicpm.layout(
        width,
        height,
        number_of_images,
        scale_resolution=scale_resolution,
        max_slice_nums=max_slice_nums,
        never_split=never_split,
    ).grid
    overview = _block(width, height, scale_resolution, step)
    if not grid:
        return Layout(overview)
    rows, columns = len(grid), len(grid[0])
    block = _block(_whole(width, columns) / columns, _whole(height, rows) / rows, scale_resolution, step)
    return Layout(overview, ((block,) * columns,) * rows)


def _block(width: float, height: float, resolution: int, step: int) -> Block:
    """A block of the image's form and about ``resolution`` squared pixels."""
    aspect = width / height
    down = int(resolution / math.sqrt(aspect))
    across = int(down * aspect)
    return Block(_whole(down, step) // step, _whole(across, step) // step)


def _whole(length: int, divisor: int) -> int:
    """The nearest multiple of ``divisor``, and never 0."""
    return max(round(length / divisor) * divisor, divisor)
