"""From a sample to a conversation: which picture a tag stands for, its size, and what is outside the contract."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from image_spans.contract import Contract, Input
from image_spans.conversation import Conversation, Image, Message, Part, Text
from image_spans.errors import nearest
from image_spans.findings import shown
from image_spans.scan.causes import Fault
from image_spans.scan.pictures import REFUSED_BY_PILLOW
from image_spans.scan.samples import NEXT, NUMBERED, Picture, Sample, Turn

Pieces: TypeAlias = "list[str | Picture]"
Look: TypeAlias = Callable[[Any], "Image | Fault"]


USUAL_TAG = "<image>"


def tag_of(contract: Contract) -> str:
    """What stands for an image in the text of data."""
    return contract.literals.tag or USUAL_TAG


def convert(sample: Sample, contract: Contract, tag: str, look: Look) -> tuple[Conversation | None, list[Fault]]:
    """The conversation that a sample is, and what is wrong with it; None: it is none.

    Args:
        sample: what a format made of a row.
        contract: whose limits hold.
        tag: what stands for an image in text.
        look: gives the size of a picture.
    """
    faults = list(sample.faults)
    # Where a turn could not be read, neither can be said which tags there are.
    placed = None if faults else _placed(sample, contract.input, tag, faults)
    messages: list[Message] = []
    complete = placed is not None
    for number, (turn, pieces) in enumerate(zip(sample.turns, placed or (), strict=False)):
        parts: list[Part] = []
        for piece in pieces:
            if isinstance(piece, str):
                try:
                    piece.encode("utf-8")
                except UnicodeEncodeError as error:
                    what = f"half of a surrogate pair, \\u{ord(piece[error.start]):04x}"
                    faults.append(Fault("turn-lone-surrogate", f"the text holds {what}, at {error.start}", number))
                    complete = False
                parts.append(Text(piece))
                continue
            image = look(piece.source)
            if isinstance(image, Fault):
                faults.append(Fault(image.cause, image.message, number))
                complete = False
                continue
            if image.width * image.height > REFUSED_BY_PILLOW:
                what = f"the image is {image.width}x{image.height}, more than {REFUSED_BY_PILLOW} pixels"
                faults.append(Fault("image-too-large", what, number))
            parts.append(image)
        messages.append(Message(turn.role, parts if pieces else [Text("")]))
    if placed is None:  # what is listed may be missing besides
        listed = sample.pictures.values() if isinstance(sample.pictures, Mapping) else sample.pictures
        inside = [piece for turn in sample.turns if isinstance(turn.content, list) for piece in turn.content]
        pictures = [*listed, *(piece for piece in inside if isinstance(piece, Picture) and piece is not NEXT)]
        faults += [found for one in pictures if isinstance(found := look(one.source), Fault)]
    beyond = list(outside(messages, contract.input))
    return (Conversation(messages) if complete and not beyond else None), faults + beyond


def _placed(sample: Sample, limits: Input, tag: str, faults: list[Fault]) -> list[Pieces] | None:
    """Per turn its text and pictures in reading order; None: nobody can say which tag is which picture."""
    if sample.tags == "numbered":
        assert isinstance(sample.pictures, Mapping)
        return _by_number(sample.turns, sample.pictures, faults)
    assert not isinstance(sample.pictures, Mapping)
    if sample.tags == "none":
        return _in_parts(sample.turns, sample.pictures, faults)
    return _by_tag(sample.turns, sample.pictures, limits, tag, faults)


def _by_tag(
    turns: Sequence[Turn], pictures: Sequence[Picture], limits: Input, tag: str, faults: list[Fault]
) -> list[Pieces] | None:
    cut = [turn.content.split(tag) if isinstance(turn.content, str) else [] for turn in turns]
    if not all(isinstance(turn.content, str) for turn in turns):
        return _in_parts(turns, pictures, faults)
    tags = [len(texts) - 1 for texts in cut]
    where_images_may_stand = [turn.role in limits.images_in for turn in turns]
    only_there = sum(count for count, may in zip(tags, where_images_may_stand, strict=True) if may)
    literal = [False] * len(turns)
    if sum(tags) != len(pictures):
        if only_there != len(pictures):
            faults.append(_count(f"{_many(sum(tags), 'tag')} {tag}", len(pictures)))
            return None
        # Loaders count these too, and refuse the sample or take another picture.
        for number, turn in enumerate(turns):
            if tags[number] and not where_images_may_stand[number]:
                literal[number] = True
                faults.append(Fault("literal-tag", f"{tag} stands in the text of a turn of {turn.role!r}", number))
    following = iter(pictures)
    placed: list[Pieces] = []
    for texts, turn, as_text in zip(cut, turns, literal, strict=True):
        pieces: Pieces = [str(turn.content)] if as_text else [texts[0]]
        for text in () if as_text else texts[1:]:
            pieces += [next(following), text]
        placed.append([piece for piece in pieces if piece != ""])
    return placed


def _by_number(turns: Sequence[Turn], pictures: Mapping[str, Picture], faults: list[Fault]) -> list[Pieces] | None:
    spelled = "|".join(map(re.escape, sorted(pictures, key=len, reverse=True)))
    pattern = re.compile(f"({NUMBERED.pattern}{'|' + spelled if spelled else ''})")
    order: list[str] = []
    placed: list[Pieces] = []
    for number, turn in enumerate(turns):
        pieces: Pieces = []
        for piece in pattern.split(turn.content if isinstance(turn.content, str) else ""):
            if pattern.fullmatch(piece) is None:
                pieces += [piece] if piece else []
            elif piece in pictures:
                order.append(piece)
                pieces.append(pictures[piece])
            else:
                faults.append(Fault("image-count", f"{piece} names no image; there are {_names(pictures)}", number))
        placed.append(pieces)
    unused = [name for name in pictures if name not in order]
    twice = [name for name in pictures if order.count(name) > 1]
    if unused:
        faults.append(Fault("image-count", f"no turn has {_names(unused)}, which is listed"))
    if twice:
        faults.append(Fault("image-count", f"{_names(twice)} stands more than once, and is listed once"))
    if any(fault.cause == "image-count" for fault in faults):
        return None
    if order != list(pictures):
        faults.append(Fault("image-order", f"the tags stand as {_names(order)}, listed are {_names(pictures)}"))
    return placed


def _in_parts(turns: Sequence[Turn], pictures: Sequence[Picture], faults: list[Fault]) -> list[Pieces] | None:
    placed: list[Pieces] = [[turn.content] if isinstance(turn.content, str) else turn.content for turn in turns]
    open_places = sum(piece is NEXT for pieces in placed for piece in pieces)
    own = sum(isinstance(piece, Picture) and piece is not NEXT for pieces in placed for piece in pieces)
    if len(pictures) != (open_places or own if pictures else open_places):
        faults.append(_count(f"{_many(open_places, 'part')} of images without a source", len(pictures)))
        return None
    following = iter(pictures)
    return [[next(following) if piece is NEXT else piece for piece in pieces if piece != ""] for pieces in placed]


def _count(told: str, listed: int) -> Fault:
    return Fault("image-count", f"{told}, but {_many(listed, 'image')} listed")


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def _names(names: Mapping[str, Any] | Sequence[str]) -> str:
    return ", ".join(list(names)[:8]) or "none"


def outside(messages: Sequence[Message], limits: Input) -> Iterator[Fault]:
    """What is outside of the contract.

    Of numbers and sizes only the limits that it states: those that hold by default are where drawing ends, and say
    nothing about data.
    """
    stated = limits.model_fields_set
    images = [image for message in messages for image in message.images]
    if "images" in stated and not limits.images.least <= len(images) <= limits.images.most:
        allowed = f"{limits.images.least}..{limits.images.most}"
        yield Fault("outside-images", f"{_many(len(images), 'image')}, and the contract has {allowed}")
    for number, message in enumerate(messages):
        if message.role not in limits.roles:
            hint = nearest(message.role, limits.roles)
            yield Fault("outside-role", f"the role {shown(message.role)} is none of the contract{hint}", number)
        elif message.images and message.role not in limits.images_in:
            yield Fault("outside-image-role", f"a turn of {message.role!r} holds an image", number)
        if limits.empty_text == "forbidden" and any(part == Text("") for part in message.parts):
            yield Fault("outside-empty-text", "the turn has no text", number)
        for image in message.images:
            if stated & {"sides", "aspect"} and not limits.takes(image.width, image.height):
                yield Fault("outside-size", f"the image is {image.width}x{image.height}", number)
