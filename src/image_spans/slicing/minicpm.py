"""MiniCPM-V's adaptive slicing.

Source: "MiniCPM-V: A GPT-4V Level MLLM on Your Phone" (arXiv 2408.01800), section 3.2, and
``slice_image`` / ``get_sliced_grid`` in the model repositories of MiniCPM-V 2.0 to MiniCPM-o.
"""

from __future__ import annotations

import math

from image_spans.slicing import Block, Layout


def layout(
    width: int,
    height: int,
    number_of_images: int,
    *,
    slots: int = 64,
    scale_resolution: int = 448,
    max_slice_nums: int = 9,
    never_split: bool = False,
) -> Layout:
    """An overview and, for an area above ``scale_resolution`` squared, a grid of slices.

    The ideal number of slices is ``ceil(width * height / scale_resolution ** 2)``, at most
    ``max_slice_nums``. Grids of one slice fewer, as many and one more compete (a single slice and more
    than ``max_slice_nums`` do not); the one whose columns / rows is nearest to the image's
    aspect ratio, measured in logarithms, wins, and the first found wins a tie. Every
    block has ``slots`` placeholders (the resampler's queries).
    """
    overview = Block(1, slots)
    ideal = min(math.ceil(width * height / scale_resolution**2), max_slice_nums)
    if ideal <= 1 or never_split:
        return Layout(overview)
    aspect = math.log(width / height)
    candidates = [
        (columns, count // columns)
        for count in (ideal - 1, ideal, ideal + 1)
        if 1 < count <= max_slice_nums
        for columns in range(1, count + 1)
        if count % columns == 0
    ]
    columns, rows = min(candidates, key=lambda grid: abs(aspect - math.log(grid[0] / grid[1])))
    return Layout(overview, ((overview,) * columns,) * rows)
