"""Aria: one block for an image, or, where images are split, one for each tile of the canvas that wastes least.

Source: "Aria: An Open Multimodal Native Mixture-of-Experts Model" (arXiv 2410.05993), section 2.2, and
``get_image_patches`` in transformers' image_processing_aria.py (5.23); the GitHub repository rhymes-ai/Aria has a
vision_processor.py that splits nothing. The projector makes 128 slots of a tile of 490 pixels, 256 of one of 980.
There is no overview; all of it is one run, for the grammar ``run``.
"""

from __future__ import annotations

from collections.abc import Sequence

from image_spans.slicing import Block, Layout
from image_spans.slicing._anyres import canvas

_GRIDS = (
    *[(1, 2), (1, 3), (1, 4), (1, 5), (1, 6), (1, 7), (1, 8), (2, 4), (2, 3), (2, 2), (2, 1), (3, 1), (3, 2)],
    *[(4, 1), (4, 2), (5, 1), (6, 1), (7, 1), (8, 1)],
)


def layout(
    width: int,
    height: int,
    number_of_images: int,
    *,
    slots: int = 256,
    tile: int = 980,
    split: bool = False,
    resolutions: Sequence[Sequence[int]] | None = None,
) -> Layout:
    """One block, or with ``split`` rows x columns of them and no overview.

    Args:
        slots: placeholders of each tile.
        tile: side of a tile in pixels (``max_image_size``).
        split: whether images are split (``split_image``).
        resolutions: the canvases in pixels, height first; up to 8 tiles of 490 pixels unless given.
    """
    block = Block(1, slots)
    if not split:
        return Layout(block)
    canvases = resolutions or tuple((rows * 490, columns * 490) for rows, columns in _GRIDS)
    canvas_width, canvas_height = canvas(width, height, canvases)
    columns, rows = -(-canvas_width // tile), -(-canvas_height // tile)
    return Layout(None, ((block,) * columns,) * rows)
