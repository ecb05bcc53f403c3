"""PaddleOCR-VL's grid: that of Qwen2-VL, but an image that is lower or narrower than one slot grows first.

Source: ``smart_resize`` in the model repository's image_processing.py ("PaddleOCR-VL", arXiv 2510.14528), and in
transformers' image_processing_paddleocr_vl.py (5.23). For the grammar ``paired``.
"""

from __future__ import annotations

from image_spans.slicing import Block, Layout
from image_spans.slicing._pixels import fit


def layout(
    width: int,
    height: int,
    number_of_images: int,
    *,
    patch: int = 14,
    merge: int = 2,
    min_pixels: int = 384 * 384,
    max_pixels: int = 1536 * 1536,
) -> Layout:
    """One block of rows x columns, one slot for ``merge`` x ``merge`` patches.

    Args:
        patch: side of a patch in pixels.
        merge: how many patches a side are merged into one slot.
        min_pixels: pixels at least.
        max_pixels: pixels at most.

    Raises:
        ValueError: one side is more than 200 times the other.
    """
    step = patch * merge
    if height < step:
        width, height = round(width * step / height), step
    if width < step:
        width, height = step, round(height * step / width)
    columns, rows = fit(width, height, step=step, least=min_pixels, most=max_pixels)
    return Layout(Block(rows, columns))
