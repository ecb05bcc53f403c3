"""A grammar, a slice rule and a pipeline of one's own: Idefics3's form, named in ``tokenizers_under_test.yaml``.

One token opens every block and closes the image, a token names the row and column of each tile, newlines end the rows
(``_prompt_split_image`` in transformers' processing_idefics3.py). The rule is simpler than the model's, which enlarges
small images.
"""

from image_spans import Text
from image_spans.grammars import Fixed, Marker, Slots
from image_spans.slicing import Block, Layout

TILE, MOST, SLOTS = 364, 4, 8
FAKE, GLOBAL, PLACEHOLDER = "<fake_token_around_image>", "<global-img>", "<image>"


def layout(width, height, number_of_images):
    """As many tiles as the sides hold, four a side at most, with an overview; a single tile is one block."""
    columns, rows = (min(-(-side // TILE), MOST) for side in (width, height))
    block = Block(1, SLOTS)
    return Layout(block, ((block,) * columns,) * rows if columns * rows > 1 else ())


def write(layout, contract, number):
    """The grammar: what must stand in the ids for one image."""
    for row, blocks in enumerate(layout.grid, 1):
        for column, block in enumerate(blocks, 1):
            yield from (Marker("fake"), Marker(f"row_{row}_col_{column}"), Slots(block.slots))
        yield Fixed("\n")
    if layout.sliced:
        yield Fixed("\n")
    yield from (Marker("fake"), Marker("whole"), Slots(layout.overview.slots), Marker("fake"))


def encode(tokenizer, conversation):
    """The code under test. It does not use the grammar: that is what it is compared with."""
    ids = []
    for message in conversation.messages:
        for part in message.parts:
            if isinstance(part, Text):
                ids += tokenizer.encode(part.text, add_special_tokens=False, split_special_tokens=True)
            else:
                ids += tokenizer.encode(_image_text(part.width, part.height), add_special_tokens=False)
    return ids


def _image_text(width, height):
    columns, rows = min((width + TILE - 1) // TILE, MOST), min((height + TILE - 1) // TILE, MOST)
    text = ""
    if columns * rows > 1:
        for row in range(rows):
            for column in range(columns):
                text += f"{FAKE}<row_{row + 1}_col_{column + 1}>" + PLACEHOLDER * SLOTS
            text += "\n"
        text += "\n"
    return text + FAKE + GLOBAL + PLACEHOLDER * SLOTS + FAKE
