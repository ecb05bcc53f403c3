"""The same number of slots for every image, whatever its size (LLaVA-1.5, PaliGemma, BLIP-2)."""

from __future__ import annotations

from image_spans.slicing import Block, Layout


def layout(width: int, height: int, number_of_images: int, *, slots: int) -> Layout:
    """One block of ``slots`` placeholders."""
    return Layout(Block(1, slots))
