"""LLaVA-NeXT's any resolution: the whole image, then a canvas of tiles without its padding, each row with a newline.

Source: "LLaVA-NeXT: Improved reasoning, OCR, and world knowledge" (the blog, January 2024), "AnyRes"; the branch
``spatial_unpad`` of ``prepare_inputs_labels_for_multimodal`` in LLaVA's llava/model/llava_arch.py;
``pack_image_features`` in transformers' modeling_llava_next.py. All of it is one run of placeholders, so the block is
1 x n, for the grammar ``run``. Granite 4 Vision has it with ``tile: 384`` and patches that are merged (``patch``
times as large).
"""

from __future__ import annotations

from collections.abc import Sequence

from image_spans.slicing import Block, Layout
from image_spans.slicing._anyres import canvas, unpadded

PINPOINTS = ((336, 672), (672, 336), (672, 672), (1008, 336), (336, 1008))


def layout(
    width: int,
    height: int,
    number_of_images: int,
    *,
    pinpoints: Sequence[Sequence[int]] = PINPOINTS,
    tile: int = 336,
    patch: int = 14,
) -> Layout:
    """One block of 1 x n slots: those of one tile for the whole image, then rows x (columns + 1).

    Args:
        pinpoints: the canvases in pixels, height first (``image_grid_pinpoints``).
        tile: side of a tile in pixels.
        patch: side of a patch in pixels. The vision tower's own feature (CLS) is not among the slots.
    """
    side = tile // patch
    canvas_width, canvas_height = canvas(width, height, pinpoints)
    columns, rows = unpadded(width, height, canvas_width // tile * side, canvas_height // tile * side)
    return Layout(Block(1, side * side + rows * (columns + 1)))
