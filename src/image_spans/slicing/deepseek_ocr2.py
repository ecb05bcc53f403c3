"""DeepSeek-OCR 2's crops: an image longer than one tile is cut into 2 to 6, then come the whole image and a separator.

Source: ``get_image_features`` and ``DeepseekOcr2VisionModel.forward`` in transformers' modeling_deepseek_ocr2.py
(5.23), which has 144 queries for 768 pixels a side and 256 for 1024; ``crop_image_to_patches`` in its
image_processing_deepseek_ocr2.py. All of it is one run, for the grammar ``run``; the separator counts with the
overview.
"""

from __future__ import annotations

from image_spans.slicing import Block, Layout
from image_spans.slicing.internvl import nearest_form


def layout(
    width: int,
    height: int,
    number_of_images: int,
    *,
    slots: int = 256,
    tile_slots: int = 144,
    tile: int = 768,
    min_patches: int = 2,
    max_patches: int = 6,
    crop: bool = True,
) -> Layout:
    """The overview with its separator and, for a side above ``tile`` pixels, rows x columns tiles.

    Args:
        slots: placeholders of the whole image, without the separator.
        tile_slots: placeholders of a tile.
        tile: side of a tile in pixels.
        min_patches: how many tiles at least.
        max_patches: how many tiles at most.
        crop: whether images are cut (``crop_to_patches``); without it the whole image is shrunk to one tile.
    """
    if not crop:
        return Layout(Block(1, tile_slots + 1))
    overview, block = Block(1, slots + 1), Block(1, tile_slots)
    if max(width, height) <= tile:
        return Layout(overview)
    columns, rows = nearest_form(width, height, tile, min_patches, max_patches)
    return Layout(overview, ((block,) * columns,) * rows)
