"""Grammars and rules of processors that the built-in ones do not know: what one image must look like in the ids."""

from image_spans.grammars import Fixed, Marker, Slots


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


def five_crops(layout, contract, number):
    """Idefics2 with splitting: four quarters and the whole; a token stands between all blocks, once where two meet."""
    for _ in range(5):
        yield from (Fixed("<fake_token_around_image>"), Slots(layout.slots // 5))


def one_tile(layout, contract, number):
    """Granite Docling without cropping: the tile in the first row and column, and the end of that row."""
    yield from (Marker("fake"), Marker("tile"), Slots(layout.overview.slots), Fixed("\n"))


def rows_and_columns(layout, contract, number):
    """Idefics3: each tile has a token with its row and column, newlines end the rows, the whole image comes last."""
    yield from _rows(layout)
    if layout.sliced:
        yield Fixed("\n")
    yield from one_token_on_both_sides(layout, contract, number)


def tiles_and_perhaps_the_whole(layout, contract, number):
    """Granite Docling: a single tile is one of a grid too, and has no whole image behind it."""
    yield from _rows(layout)
    if layout.overview is not None:
        yield Fixed("\n")
        yield from one_token_on_both_sides(layout, contract, number)


def _rows(layout):
    for row, blocks in enumerate(layout.grid, 1):
        for column, block in enumerate(blocks, 1):
            yield from (Marker("fake"), Marker(f"row_{row}_col_{column}"), Slots(block.slots))
        yield Fixed("\n")


def whole_then_grid(layout, contract, number):
    """Ovis2: the whole image first, then its tiles with tokens between columns and between rows."""
    yield from (Marker("image_open"), Slots(layout.overview.slots), Marker("grid"))
    for row, blocks in enumerate(layout.grid):
        if row:
            yield Marker("row")
        for column, block in enumerate(blocks):
            if column:
                yield Marker("column")
            yield Slots(block.slots)
    yield Marker("image_close")


def with_a_sentence(layout, contract, number):
    """Gemma 3 with pan and scan: words in front of the whole image, and others in front of its crops."""
    crops = [block for row in layout.grid for block in row]
    if not crops:
        yield from _bracketed(layout.overview)
        return
    yield Fixed("Here is the original image ")
    yield from _bracketed(layout.overview)
    yield Fixed(" and here are some crops to help you see better ")
    for index, block in enumerate(crops):
        if index:
            yield Fixed(" ")
        yield from _bracketed(block)


def _bracketed(block):
    yield from (Fixed("\n\n"), Marker("image_open"), Slots(block.slots), Marker("image_close"), Fixed("\n\n"))


def tiles_with_ends(layout, contract, number):
    """Command A Vision: a token behind each tile of four placeholders; how many, the layout does not say."""
    yield Marker("image_open")
    for _ in range(layout.slots // 4):
        yield from (Slots(4), Marker("end"))
    yield Marker("image_close")


def canvas(output, processor, sizes, *, per):
    """Llama 4: so many for each tile of ``aspect_ratios``, and for the whole image where there are several."""
    return [
        per * (int(rows) * int(columns) + (int(rows) * int(columns) > 1)) for rows, columns in output["aspect_ratios"]
    ]


def tiles_of_each(output, processor, sizes, *, per):
    """Perception LM: so many for each tile; ``pixel_values`` holds the tiles of one image after the other."""
    return [per * len(tiles) for tiles in output["pixel_values"]]
