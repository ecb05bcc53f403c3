"""Grids that keep an image's form within a number of pixels: what the rules of Qwen2-VL and its kin share."""

from __future__ import annotations

import math

LARGEST_ASPECT = 200


def fit(width: int, height: int, *, step: int, least: int, most: int, frames: int = 1) -> tuple[int, int]:
    """Columns and rows of ``step`` pixels a side: the nearest whole numbers, unless the pixels are too many or too few.

    Args:
        width: of the image, in pixels.
        height: of the image, in pixels.
        step: pixels a side of one column and row.
        least: pixels of the grid at least; a smaller one grows.
        most: pixels of the grid at most; a larger one shrinks.
        frames: how many times an image's pixels count (a still image may stand for several frames of a video).

    Raises:
        ValueError: one side is more than 200 times the other.
    """
    if max(width, height) / min(width, height) > LARGEST_ASPECT:
        raise ValueError(f"an image of {width}x{height}: one side is more than {LARGEST_ASPECT} times the other")
    columns, rows = round(width / step), round(height / step)
    if frames * columns * rows * step * step > most:
        scale = math.sqrt(frames * width * height / most)
        return max(1, math.floor(width / scale / step)), max(1, math.floor(height / scale / step))
    if frames * columns * rows * step * step < least:
        scale = math.sqrt(least / (frames * width * height))
        return math.ceil(width * scale / step), math.ceil(height * scale / step)
    return columns, rows
