"""Emu3's grid: that of Qwen2-VL, in visual tokens of 8 pixels, with a token behind each row that ends it.

Source: "Emu3: Next-Token Prediction is All You Need" (arXiv 2409.18869), section 2.2; ``smart_resize`` in
image_processing_emu3visionvq.py of baaivision/Emu3, and ``get_image_tokens`` / ``convert_img2bpe`` in transformers'
modeling_emu3.py (5.23), which end each row by the id of ``<|extra_200|>``. The repository refuses images below 8
pixels or above 5 : 1, transformers those above 200 : 1, as this does. The number of rows and columns is written in
front of the slots, so a grammar of one's own is needed.
"""

from __future__ import annotations

from image_spans.slicing import Block, Layout
from image_spans.slicing._pixels import fit


def layout(
    width: int,
    height: int,
    number_of_images: int,
    *,
    patch: int = 8,
    min_pixels: int = 512 * 512,
    max_pixels: int = 1024 * 1024,
) -> Layout:
    """One block of rows x (columns + 1) slots; the last of each row is its end.

    Args:
        patch: side of a visual token in pixels.
        min_pixels: pixels at least.
        max_pixels: pixels at most.

    Raises:
        ValueError: one side is more than 200 times the other.
    """
    columns, rows = fit(width, height, step=patch, least=min_pixels, most=max_pixels)
    return Layout(Block(rows, columns + 1))
