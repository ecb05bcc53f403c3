"""Grammars of one's own, as a user writes them: three of real models, and one that writes the number of its image."""

from __future__ import annotations

from image_spans.contract import Contract
from image_spans.grammars import Element, Fixed, Marker, Slots
from image_spans.slicing import Block, Layout


def idefics3(layout: Layout, contract: Contract, number: int) -> list[Element]:
    """One token opens every block and closes the image; a token names each tile; text ends each row."""
    elements: list[Element] = []
    for row, blocks in enumerate(layout.grid, 1):
        for column, block in enumerate(blocks, 1):
            elements += [Marker("fake"), Marker(f"row_{row}_col_{column}"), Slots(block.slots)]
        elements.append(Fixed("\n"))
    if layout.sliced:
        elements.append(Fixed("\n"))
    assert layout.overview is not None
    return [*elements, Marker("fake"), Marker("global"), Slots(layout.overview.slots), Marker("fake")]


def gemma3(layout: Layout, contract: Contract, number: int) -> list[Element]:
    """Pan and scan: the crops of a long image follow it, and sentences say so."""
    assert layout.overview is not None

    def whole(block: Block) -> list[Element]:
        return [Fixed("\n\n"), Marker("image_open"), Slots(block.slots), Marker("image_close"), Fixed("\n\n")]

    crops = [block for row in layout.grid for block in row]
    if not crops:
        return whole(layout.overview)
    elements = [Fixed("Here is the original image "), *whole(layout.overview)]
    elements.append(Fixed(" and here are some crops to help you see better "))
    for index, crop in enumerate(crops):
        elements += [*([Fixed(" ")] if index else []), *whole(crop)]
    return elements


def llama4(layout: Layout, contract: Contract, number: int) -> list[Element]:
    """What the built-in same_span writes for Llama 4."""
    elements: list[Element] = [Marker("image_open")]
    for row in layout.grid:
        for index, block in enumerate(row):
            elements += [*([Marker("tile_x")] if index else []), Slots(block.slots)]
        elements.append(Marker("tile_y"))
    assert layout.overview is not None
    return [*elements, Marker("whole"), Slots(layout.overview.slots), Marker("image_close")]


def picture(layout: Layout, contract: Contract, number: int) -> list[Element]:
    """Qwen-VL's chat: each picture has its number in text."""
    return [Fixed(f"Picture {number + 1}: "), Marker("image_open"), Slots(layout.slots), Marker("image_close")]


def tiles(width: int, height: int, number_of_images: int, *, side: int = 100, most: int = 4, slots: int = 3) -> Layout:
    """A rule for them: as many tiles as the sides hold, ``most`` a side; nothing is cut that is no longer than one."""
    block = Block(1, slots)
    columns, rows = (min(-(-length // side), most) for length in (width, height))
    return Layout(block, ((block,) * columns,) * rows if columns * rows > 1 else ())


def captioned(layout: Layout, contract: Contract, number: int) -> list[Element]:
    """A run of placeholders behind a caption, which parts it from the one before."""
    return [Fixed("i:"), Slots(layout.slots)]
