"""LLaVA-OneVision's any resolution: LLaVA-NeXT's with more canvases and a cap; several images are not tiled.

Source: "LLaVA-OneVision: Easy Visual Task Transfer" (arXiv 2408.03326), section 3.2 (Higher AnyRes; multi-image at
the base resolution); the branch ``anyres_max`` of ``prepare_inputs_labels_for_multimodal`` in LLaVA-NeXT's
llava/model/llava_arch.py; ``pack_image_features`` in transformers' modeling_llava_onevision.py. One run of
placeholders, so the block is 1 x n, for the grammar ``run``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from image_spans.slicing import Block, Layout
from image_spans.slicing._anyres import canvas, unpadded


def layout(
    width: int,
    height: int,
    number_of_images: int,
    *,
    pinpoints: Sequence[Sequence[int]] | None = None,
    tile: int = 384,
    patch: int = 14,
    max_patches: int = 9,
) -> Layout:
    """One block of 1 x n slots: those of one tile for the whole image, then rows x (columns + 1) of the canvas.

    A canvas with more than 1.21 times the features of ``max_patches`` tiles is scaled down to those. Of several images
    in a conversation each has one tile and one newline.

    Args:
        pinpoints: the canvases in pixels, height first; 1 to 6 tiles a side unless given.
        tile: side of a tile in pixels.
        patch: side of a patch in pixels.
        max_patches: the cap, in tiles (N of ``anyres_max_N``).
    """
    side = tile // patch
    if number_of_images > 1:
        return Layout(Block(1, side * side + 1))
    sides = range(tile, 7 * tile, tile)
    canvases = pinpoints or tuple((rows, columns) for rows in sides for columns in sides)
    canvas_width, canvas_height = canvas(width, height, canvases)
    columns, rows = unpadded(width, height, canvas_width // tile * side, canvas_height // tile * side)
    ratio = math.sqrt(columns * rows / (max_patches * side * side))
    if ratio > 1.1:
        columns, rows = int(columns // ratio), int(rows // ratio)
    return Layout(Block(1, side * side + rows * (columns + 1)))
