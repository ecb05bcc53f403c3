"""Pixtral's grid of patches: an image keeps its form, and larger ones are shrunk to fit.

Source: ``ImageEncoder._image_to_num_tokens`` in mistral-common's tokens/tokenizers/image.py (1.13.1). transformers'
PixtralImageProcessor rounds down instead of to the nearest pixel, so the two differ on some large images; so does
``rounding: down``.
"""

from __future__ import annotations

from typing import Literal

from image_spans.slicing import Block, Layout


def layout(
    width: int,
    height: int,
    number_of_images: int,
    *,
    size: int = 1024,
    patch: int = 16,
    merge: int = 1,
    rounding: Literal["nearest", "down"] = "nearest",
) -> Layout:
    """One block of rows x columns, one slot for each patch (of ``patch * merge`` pixels a side).

    Args:
        size: the longest side in pixels; a larger image is shrunk.
        patch: side of a patch in pixels.
        merge: how many patches a side are merged into one slot (``spatial_merge_size``; 2 in Mistral Small 3.1).
        rounding: how the sides of a shrunk image become whole pixels.

    Raises:
        ValueError: another rounding.
    """
    if rounding not in ("nearest", "down"):
        raise ValueError(f"rounding is {rounding!r}; expected 'nearest' or 'down'")
    ratio = max(height / size, width / size)
    if ratio > 1:
        whole = round if rounding == "nearest" else int
        width, height = max(whole(width / ratio), 1), max(whole(height / ratio), 1)
    return Layout(Block((height - 1) // (patch * merge) + 1, (width - 1) // (patch * merge) + 1))
