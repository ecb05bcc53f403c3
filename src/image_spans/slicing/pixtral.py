"""Pixtral's grid of patches: an image keeps its form, and larger ones are shrunk to fit.

Source: ``ImageEncoder._image_to_num_tokens`` in mistral-common's tokens/tokenizers/image.py (1.13.1). transformers'
PixtralImageProcessor rounds down instead of to the nearest pixel, so the two differ on some large images.
"""

from __future__ import annotations

from image_spans.slicing import Block, Layout


def layout(
    width: int, height: int, number_of_images: int, *, size: int = 1024, patch: int = 16, merge: int = 1
) -> Layout:
    """One block of rows x columns, one slot for each patch (of ``patch * merge`` pixels a side).

    Args:
        size: the longest side in pixels; a larger image is shrunk, its sides rounded to the nearest pixel.
        patch: side of a patch in pixels.
        merge: how many patches a side are merged into one slot (``spatial_merge_size``; 2 in Mistral Small 3.1).
    """
    ratio = max(height / size, width / size)
    if ratio > 1:
        width, height = max(round(width / ratio), 1), max(round(height / ratio), 1)
    return Layout(Block((height - 1) // (patch * merge) + 1, (width - 1) // (patch * merge) + 1))
