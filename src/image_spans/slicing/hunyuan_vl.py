"""Hunyuan-VL's run: the grid of Qwen2-VL with a newline behind each row, and one placeholder at each end.

Source: ``HunYuanVLVisionPatchMerger.forward`` in transformers' modeling_hunyuan_vl.py (5.23): ``image_newline`` is
put behind each row, ``image_begin`` and ``image_end`` round all of them. HunyuanOCR has it. The block is one run, 1 x
n, for the grammar ``paired``.
"""

from __future__ import annotations

from image_spans.slicing import Block, Layout
from image_spans.slicing._pixels import fit


def layout(
    width: int,
    height: int,
    number_of_images: int,
    *,
    patch: int = 16,
    merge: int = 2,
    min_pixels: int = 512 * 512,
    max_pixels: int = 2048 * 2048,
    ends: int = 2,
) -> Layout:
    """One block of 1 x n slots: rows x (columns + 1), and ``ends``.

    Args:
        patch: side of a patch in pixels.
        merge: how many patches a side are merged into one slot.
        min_pixels: pixels at least.
        max_pixels: pixels at most.
        ends: placeholders at the ends of the run (0 where ``cat_extra_token`` is off).

    Raises:
        ValueError: one side is more than 200 times the other.
    """
    columns, rows = fit(width, height, step=patch * merge, least=min_pixels, most=max_pixels)
    return Layout(Block(1, rows * (columns + 1) + ends))
