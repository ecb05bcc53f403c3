"""Grammars and rules of processors that the built-in ones do not know: what one image must look like in the ids."""

import math

from image_spans.grammars import Fixed, Marker, Slots
from image_spans.slicing import Block, Layout


def tiles_by_number(layout, contract, number):
    """Aya Vision: every tile has a token with its number in front, and the whole image, which comes last, its own."""
    yield Marker("image_open")
    tiles = [block for row in layout.grid for block in row]
    for index, block in enumerate(tiles, 1):
        yield from (Marker(f"tile_{index}"), Slots(block.slots))
    yield from (Marker("whole"), Slots(layout.overview.slots), Marker("image_close"))


def one_token_on_both_sides(layout, contract, number):
    """Idefics3 without splitting: the same token opens and closes, and another says that it is the whole image."""
    yield from (Marker("fake"), Marker("whole"), Slots(layout.overview.slots), Marker("fake"))


def with_its_size(layout, contract, number):
    """Emu3: the rows and columns in front of the placeholders, of which each row has one more, for its end."""
    rows, columns = layout.overview.rows, layout.overview.columns
    yield from (Marker("image_open"), Fixed(f"{rows}*{columns - 1}"), Marker("wrapper"), Slots(layout.overview.slots))
    yield from (Marker("image_close"), Marker("image_close_2"))


def emu3(width, height, number_of_images, *, min_pixels, max_pixels, factor=8):
    """Emu3's size in features of 8x8 pixels: sides rounded, then scaled into the limits of its area.

    Source: ``smart_resize`` in transformers' image_processing_emu3.py (5.23).
    """
    h, w = (round(side / factor) * factor for side in (height, width))
    if h * w > max_pixels:
        scale = math.sqrt(height * width / max_pixels)
        h, w = (max(factor, math.floor(side / scale / factor) * factor) for side in (height, width))
    elif h * w < min_pixels:
        scale = math.sqrt(min_pixels / (height * width))
        h, w = (math.ceil(side * scale / factor) * factor for side in (height, width))
    return Layout(Block(h // factor, w // factor + 1))


def five_crops(layout, contract, number):
    """Idefics2 with splitting: four quarters and the whole; a token stands between all blocks, once where two meet."""
    for _ in range(5):
        yield from (Fixed("<fake_token_around_image>"), Slots(layout.slots // 5))


def one_tile(layout, contract, number):
    """Granite Docling without cropping: the tile in the first row and column, and the end of that row."""
    yield from (Marker("fake"), Marker("tile"), Slots(layout.overview.slots), Fixed("\n"))
