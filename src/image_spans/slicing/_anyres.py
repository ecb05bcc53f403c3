"""Any-resolution tiling: the canvas that wastes least, and what is left when its padding is cut away.

Source: ``select_best_resolution`` in LLaVA's llava/mm_utils.py and ``unpad_image`` in its llava/model/llava_arch.py,
which transformers' modeling_llava_next.py follows, but for rounding to seven digits where a float falls just short.
"""

from __future__ import annotations

from collections.abc import Sequence


def canvas(width: int, height: int, pinpoints: Sequence[Sequence[int]]) -> tuple[int, int]:
    """Width and height in pixels of the canvas that keeps most of the image's pixels, and wastes least of its own.

    Args:
        width: of the image, in pixels.
        height: of the image, in pixels.
        pinpoints: the canvases, height first, as the models' configurations write them.
    """

    def kept_and_wasted(pinpoint: Sequence[int]) -> tuple[int, int]:
        scale = min(pinpoint[1] / width, pinpoint[0] / height)
        kept = min(int(width * scale) * int(height * scale), width * height)
        return kept, kept - pinpoint[0] * pinpoint[1]

    best = max(pinpoints, key=kept_and_wasted)  # the first of equal ones
    return best[1], best[0]


def unpadded(width: int, height: int, columns: int, rows: int) -> tuple[int, int]:
    """Columns and rows that hold an image fitted into a grid: as much is cut on one side as on the other."""
    if width / height > columns / rows:
        rows -= (rows - int(round(height * (columns / width), 7))) // 2 * 2
    else:
        columns -= (columns - int(round(width * (rows / height), 7))) // 2 * 2
    return columns, rows
