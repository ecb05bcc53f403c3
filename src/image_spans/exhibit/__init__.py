"""What a page or a terminal shows of one conversation: its turns, its images with their tiles, and the token strip.

Plain data, so that it travels from xdist's workers; made on demand only, since it asks tokenizer and slice rule again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from image_spans.case import Case
from image_spans.conversation import Conversation, Image, Text
from image_spans.exhibit.strip import BLOCK, Group, Segment, Span, Strip, nested, printable, shortened, strip
from image_spans.slicing import Block, Layout

__all__ = [
    "BLOCK",
    "Exhibit",
    "Group",
    "Picture",
    "Segment",
    "Span",
    "Strip",
    "Turn",
    "exhibit",
    "layout_in_words",
    "nested",
    "printable",
    "shortened",
    "strip",
]

LONGEST_TEXT = 4_000
"""Characters of one text that are kept."""
Slots: TypeAlias = tuple[int, int]
"""Rows and columns of placeholders."""


@dataclass(frozen=True)
class Picture:
    """An image in pixels, and what its slice rule makes of it."""

    width: int
    height: int
    slots: int | None = None
    """Placeholders; None: nobody can say (the rule fails on this size, or the pipeline delivered no features)."""
    overview: Slots | None = None
    tiles: tuple[int, ...] = ()
    """Tiles per row, from top to bottom; empty: not sliced."""
    tile: Slots | None = None
    """The slots of each tile, where all have as many."""

    @staticmethod
    def of(image: Image, layout: Layout) -> Picture:
        """An image with its layout."""
        tiles = [block for row in layout.grid for block in row]
        same = tiles[0] if tiles and len(set(tiles)) == 1 else None
        rows = tuple(len(row) for row in layout.grid)
        return Picture(image.width, image.height, layout.slots, _slots(layout.overview), rows, _slots(same))


def _slots(block: Block | None) -> Slots | None:
    return None if block is None else (block.rows, block.columns)


@dataclass(frozen=True)
class Turn:
    """A message. A part is a text, or the number of an image, from 0 over the conversation."""

    role: str
    parts: tuple[str | int, ...]


@dataclass(frozen=True)
class Exhibit:
    """One conversation, drawn."""

    turns: tuple[Turn, ...]
    pictures: tuple[Picture, ...]
    """Those of the turns, in reading order."""
    given: int
    """Images that the pipeline was given; another number than there are in the turns only where that is tested."""
    strip: Strip | None
    """None: the pipeline returned no ids."""

    def plain(self) -> dict[str, Any]:
        """As lists, mappings, texts and numbers."""
        return asdict(self)

    @staticmethod
    def of(plain: Mapping[str, Any]) -> Exhibit:
        """The exhibit that was made plain."""
        turns = tuple(Turn(one["role"], tuple(one["parts"])) for one in plain["turns"])
        pictures = tuple(Picture(**one) for one in plain["pictures"])
        read = plain["strip"]
        return Exhibit(turns, pictures, plain["given"], None if read is None else Strip.of(read))


def exhibit(case: Case, at: int | None = None, expected: str = "") -> Exhibit:
    """The exhibit of a case.

    Args:
        case: the conversation and what the pipeline made of it.
        at: the position in the ids at which a fault shows, if there is one.
        expected: what should stand there.

    Raises:
        Exception: what the tokenizer raises when it is asked for names.
    """
    conversation = case.conversation
    return Exhibit(_turns(conversation), _pictures(case), len(conversation.images), strip(case, at, expected))


def _turns(conversation: Conversation) -> tuple[Turn, ...]:
    number = 0
    turns = []
    for message in conversation.messages:
        parts: list[str | int] = []
        for part in message.parts:
            if isinstance(part, Text):
                parts.append(shortened(part.text, LONGEST_TEXT))
            else:
                parts.append(number)
                number += 1
        turns.append(Turn(shortened(message.role, LONGEST_TEXT), tuple(parts)))
    return tuple(turns)


def _pictures(case: Case) -> tuple[Picture, ...]:
    contract, conversation = case.subject.contract, case.conversation
    images: Sequence[Image] = [image for message in conversation.messages for image in message.images]
    if contract.images.slots == "from_features":
        features = case.encoding.features if case.encoding is not None else None
        slots = [None if features is None else sum(n for k, n in features if k == i) for i in range(len(images))]
        return tuple(Picture(image.width, image.height, n) for image, n in zip(images, slots, strict=True))
    pictures = []
    for image in images:
        try:
            layout = contract.layout(image.width, image.height, len(conversation.images))
            pictures.append(Picture.of(image, layout))
        except Exception:  # a rule of the user's that fails on this size; a check says so
            pictures.append(Picture(image.width, image.height))
    return tuple(pictures)


def layout_in_words(picture: Picture) -> str:
    """``overview of 64 + 2x2 tiles of 64 = 320 placeholders``."""
    if picture.slots is None:
        return "number of placeholders unknown"
    parts = []
    if picture.overview is not None and picture.tiles:
        parts.append(f"overview of {_in_words(picture.overview)}")
    if picture.tiles:
        parts.append(f"{_grid(picture.tiles)}{f' of {_in_words(picture.tile)}' if picture.tile else ''}")
    total = f"{picture.slots} placeholder{'s' * (picture.slots != 1)}"
    if not parts and picture.overview is not None and picture.overview[0] > 1:
        return f"{_in_words(picture.overview)} = {total}"
    return f"{' + '.join(parts)} = {total}" if parts else total


def _in_words(slots: Slots) -> str:
    rows, columns = slots
    return str(columns) if rows == 1 else f"{rows}x{columns}"


def _grid(tiles: Sequence[int]) -> str:
    if len(set(tiles)) == 1:
        return f"{len(tiles)}x{tiles[0]} tile{'s' * (len(tiles) * tiles[0] != 1)}"
    return f"{sum(tiles)} tiles in {len(tiles)} rows"
