"""Gemma 4's grid: an image keeps its form, and grows or shrinks to as many soft tokens as are allowed.

Source: ``get_aspect_ratio_preserving_size`` in transformers' image_processing_gemma4.py (5.23), contributed with the
model, which pools 3 x 3 patches into one token (``Gemma4VisionPooler`` in modeling_gemma4.py). For the grammar
``paired``.
"""

from __future__ import annotations

import math

from image_spans.slicing import Block, Layout


def layout(
    width: int,
    height: int,
    number_of_images: int,
    *,
    patch: int = 16,
    pool: int = 3,
    max_soft_tokens: int = 280,
) -> Layout:
    """One block of rows x columns slots; both sides are rounded down, so few images have all that are allowed.

    Args:
        patch: side of a patch in pixels.
        pool: how many patches a side are pooled into one slot (``pooling_kernel_size``).
        max_soft_tokens: how many slots at most.
    """
    step = patch * pool
    scale = math.sqrt(max_soft_tokens * step**2 / (width * height))
    columns, rows = math.floor(scale * width / step), math.floor(scale * height / step)
    if rows == 0:  # more than max_soft_tokens times as wide as high
        columns, rows = max_soft_tokens, 1
    elif columns == 0:
        columns, rows = 1, max_soft_tokens
    return Layout(Block(rows, columns))
