"""Idefics3's rows and columns: the longer side grows or shrinks to a fixed length, then the image is cut into tiles.

Source: "Building and better understanding vision-language models" (arXiv 2408.12637), section 4.1, and ``resize``,
``resize_for_vision_encoder`` and ``split_images`` in transformers' image_processing_idefics3.py (5.23). SmolVLM has
the same with ``slots: 64``, ``tile: 512``, ``longest: 2048``, and SmolVLM2 2.2B with ``slots: 81``, ``tile: 384``,
``longest: 1536``. Each tile has the token of its row and column, so a grammar of one's own is needed
(examples/idefics3.py).
"""

from __future__ import annotations

from image_spans.slicing import Block, Layout

MOST = 4096
"""The longest side that the image processor allows, whatever it is told."""


def layout(
    width: int,
    height: int,
    number_of_images: int,
    *,
    slots: int = 169,
    tile: int = 364,
    longest: int = 4 * 364,
    split: bool = True,
) -> Layout:
    """The overview and, unless the enlarged image is one tile, rows x columns tiles. Small images are cut too.

    Args:
        slots: placeholders of each tile and of the overview.
        tile: side of a tile in pixels (``max_image_size: longest_edge``).
        longest: the longer side of the image before it is cut (``size: longest_edge``).
        split: whether images are cut at all (``do_image_splitting``).
    """
    block = Block(1, slots)
    if not split:
        return Layout(block)
    wide = width >= height
    width, height = _resized(width, height, longest)
    width, height = (width, height + height % 2) if wide else (width + width % 2, height)
    width, height = max(width, 1), max(height, 1)
    if max(width, height) > MOST:
        width, height = _resized(width, height, MOST)
        width, height = max(width, 1), max(height, 1)
    width, height = _resized(width, height, -(-max(width, height) // tile) * tile)
    columns, rows = -(-width // tile), -(-height // tile)
    return Layout(block, ((block,) * columns,) * rows if columns * rows > 1 else ())


def _resized(width: int, height: int, longest: int) -> tuple[int, int]:
    """The sides when the longer one becomes ``longest``; a high image is multiplied where a wide one is divided."""
    aspect = width / height
    return (longest, int(longest / aspect)) if width >= height else (int(longest * aspect), longest)
