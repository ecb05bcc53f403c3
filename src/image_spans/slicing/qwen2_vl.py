"""Qwen2-VL's grid: an image keeps its form, its sides become multiples of a patch, its pixels stay within limits.

Source: "Qwen2-VL: Enhancing Vision-Language Model's Perception of the World at Any Resolution" (arXiv 2409.12191),
section 2.1, and ``smart_resize`` in qwen-vl-utils' vision_process.py; the model reads ``image_grid_thw``
(``get_image_features`` in transformers' modeling_qwen2_vl.py). The same rule with other numbers: Qwen3-VL has
``patch: 16``, ERNIE 4.5 VL ``max_pixels: 4842768``, VideoLLaMA 3 merges by 1 or 2; Qwen2.5-VL, EXAONE 4.5 and Cohere
Compass have those of Qwen2-VL. For the grammar ``paired``.
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
    min_pixels: int = 56 * 56,
    max_pixels: int = 1280 * 28 * 28,
) -> Layout:
    """One block of rows x columns, one slot for ``merge`` x ``merge`` patches.

    Args:
        patch: side of a patch in pixels.
        merge: how many patches a side are merged into one slot.
        min_pixels: pixels at least (``size: shortest_edge`` of the image processor).
        max_pixels: pixels at most (``size: longest_edge``).

    Raises:
        ValueError: one side is more than 200 times the other.
    """
    columns, rows = fit(width, height, step=patch * merge, least=min_pixels, most=max_pixels)
    return Layout(Block(rows, columns))
