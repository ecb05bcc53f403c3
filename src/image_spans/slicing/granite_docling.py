"""Granite Docling's tiles: InternVL's rule with up to 32 of them, and an overview only where there are several.

Source: ``get_page_tile_grid`` and ``get_optimal_tiled_canvas`` in transformers' image_processing_granite_docling.py
(5.23), contributed with the model; its rule for dense spreads, off unless set, is not here. Each tile has the token
of its row and column, a single one too, so a grammar of one's own is needed.
"""

from __future__ import annotations

from image_spans.slicing import Block, Layout
from image_spans.slicing.internvl import nearest_form

MOST_A_SIDE = 16
"""The tokenizer names rows and columns up to this number."""


def layout(
    width: int,
    height: int,
    number_of_images: int,
    *,
    slots: int = 64,
    tile: int = 512,
    min_patches: int = 1,
    max_patches: int = 32,
) -> Layout:
    """Rows x columns tiles, with the overview unless it is a single one.

    Args:
        slots: placeholders of each tile and of the overview (four times as many with ``fine_route``).
        tile: side of a tile in pixels.
        min_patches: how many tiles at least.
        max_patches: how many tiles at most; 1 switches cutting off.
    """
    columns, rows = nearest_form(width, height, tile, min_patches, max_patches, MOST_A_SIDE)
    block = Block(1, slots)
    return Layout(block if columns * rows > 1 else None, ((block,) * columns,) * rows)
