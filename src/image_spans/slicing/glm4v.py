"""GLM-4.1V's grid: that of Qwen2-VL, but narrow images grow first and a still image counts as several frames.

Source: ``smart_resize`` in transformers' image_processing_glm4v.py (5.23), contributed with the model
(GLM-4.1V-Thinking, arXiv 2507.01006). GLM-4.6V has the same; Cosmos 3 Edge has ``patch: 16``, ``frames: 1`` and
limits of its own. For the grammar ``paired``.
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
    frames: int = 2,
    min_pixels: int = 112 * 112,
    max_pixels: int = 15000 * 28 * 28,
) -> Layout:
    """One block of rows x columns, one slot for ``merge`` x ``merge`` patches.

    Args:
        patch: side of a patch in pixels.
        merge: how many patches a side are merged into one slot.
        frames: how often an image's pixels count (``temporal_patch_size``).
        min_pixels: pixels of all frames at least (``size: shortest_edge`` of the image processor).
        max_pixels: pixels of all frames at most (``size: longest_edge``).

    Raises:
        ValueError: one side is more than 200 times the other.
    """
    step = patch * merge
    if min(width, height) < step:
        scale = max(step / height, step / width)
        width, height = int(width * scale), int(height * scale)
    columns, rows = fit(width, height, step=step, least=min_pixels, most=max_pixels, frames=frames)
    return Layout(Block(rows, columns))
