"""Llama 4's canvases: the image is cut into square tiles, with an overview behind them where there are several.

Source: ``find_supported_resolutions`` and ``get_best_fit`` in transformers' image_processing_llama4.py (5.23).
"""

from __future__ import annotations

import struct
from functools import cache

from image_spans.slicing import Block, Layout


def layout(
    width: int, height: int, number_of_images: int, *, slots: int = 144, tile: int = 336, max_patches: int = 16
) -> Layout:
    """The overview and, unless one tile is enough, rows x columns tiles of ``slots`` placeholders each.

    Of the canvases that the image fits without being shrunk, those that enlarge it least are taken, and of all
    others those that shrink it least; the smallest area decides, and the first in the model's list.

    Args:
        slots: placeholders of each tile and of the overview: (336 / 14) ** 2 patches, of which 4 make one.
        tile: side of a tile in pixels.
        max_patches: how many tiles at most.
    """
    if not 1 <= max_patches <= 1000:
        raise ValueError(f"max_patches is {max_patches}; expected 1 to 1000")
    scales = {
        (rows, columns): min(_single(columns * tile / width), _single(rows * tile / height))
        for rows, columns in _canvases(max_patches)
    }
    enlarging = [scale for scale in scales.values() if scale >= 1]
    wanted = min(enlarging) if enlarging else max(scales.values())
    rows, columns = min((canvas for canvas, scale in scales.items() if scale == wanted), key=lambda c: c[0] * c[1])
    block = Block(1, slots)
    return Layout(block, ((block,) * columns,) * rows if rows * columns > 1 else ())


def _single(number: float) -> float:
    """In single precision, as the model computes: it decides which scales are equal."""
    rounded: float = struct.unpack("f", struct.pack("f", number))[0]
    return rounded


@cache
def _canvases(max_patches: int) -> tuple[tuple[int, int], ...]:
    """Rows and columns, by the aspect ratio in which they first occur, as the model lists them."""
    by_ratio: dict[float, list[tuple[int, int]]] = {}
    for count in range(max_patches, 0, -1):
        for rows in range(1, count + 1):
            if count % rows == 0:
                by_ratio.setdefault(rows / (count // rows), []).append((rows, count // rows))
    return tuple(canvas for canvases in by_ratio.values() for canvas in canvases)
