"""GLM-5 Next's grid: whole columns and rows that hold all of an image, within a number of slots.

Source: ``smart_resize`` in transformers' image_processing_glm5_next.py (5.23). For the grammar ``paired``.
"""

from __future__ import annotations

import math
from bisect import bisect_right

from image_spans.slicing import Block, Layout


def layout(
    width: int,
    height: int,
    number_of_images: int,
    *,
    patch: int = 14,
    merge: int = 2,
    min_slots: int = 16,
    max_slots: int = 8000,
) -> Layout:
    """One block of rows x columns, one slot for ``merge`` x ``merge`` patches; what an image does not fill is padded.

    Args:
        patch: side of a patch in pixels.
        merge: how many patches a side are merged into one slot.
        min_slots: a smaller image grows to so many (``min_image_tokens``).
        max_slots: a larger one shrinks to so many (``max_image_tokens``).
    """
    step = patch * merge

    def grid(width: int, height: int) -> tuple[int, int]:
        return -(-width // step), -(-height // step)

    columns, rows = grid(width, height)
    if columns * rows < min_slots:
        scale = math.sqrt(min_slots * step * step / (width * height))
        columns, rows = grid(math.ceil(width * scale), math.ceil(height * scale))
    if columns * rows > max_slots:
        # The form is kept: of all heights the largest whose width still fits.
        def slots(shrunk: int) -> int:
            return math.prod(grid(max(1, width * shrunk // height), shrunk))

        shrunk = bisect_right(range(1, height + 1), max_slots, key=slots)
        columns, rows = grid(max(1, width * shrunk // height), shrunk) if shrunk else (1, 1)
    return Layout(Block(rows, columns))
