"""What was typed or pasted becomes a conversation: turns, ``Conversation([...])``, or a row of training data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from image_spans.contract import Contract
from image_spans.conversation import Conversation, Image, Message, Part, Text, parse_conversation
from image_spans.errors import ConfigError, nearest
from image_spans.findings import one_line, shown
from image_spans.scan import convert, formats
from image_spans.scan.pictures import Pictures
from image_spans.scan.rows import Row, parsed

_IMAGE = re.compile(r"<image (\d{1,9})x(\d{1,9})>")
_MEANT_AS_IMAGE = re.compile(r"<image\s[^<>]*>")
_TURN = re.compile(r"\s*([^\s:]+)[ \t]*:[ \t]?")


def conversation(
    given: Sequence[str], contract: Contract, images: Path | None = None
) -> tuple[Conversation, list[str]]:
    """The conversation, and what is odd about a row that could be read all the same.

    Args:
        given: turns (``user: <image 449x449> What is this?``), or one text that is code or JSON.
        contract: whose roles and limits hold.
        images: the folder of a row's images; None: the working directory.

    Raises:
        ConfigError: it cannot be read, or it lies outside of the contract; one line.
    """
    first = given[0].lstrip()
    notes: list[str] = []
    if len(given) == 1 and first.startswith("Conversation"):
        try:
            found = parse_conversation(given[0])
        except ValueError as error:
            raise ConfigError(one_line(str(error))) from None
    elif len(given) == 1 and first.startswith(("{", "[")):
        found, notes = _of_row(given[0], contract, images)
    else:
        found = Conversation([_of_turn(text, number, contract) for number, text in enumerate(given)])
    for number, message in enumerate(found.messages):
        for part in message.parts:
            if isinstance(part, Text) and re.search("[\ud800-\udfff]", part.text):
                raise ConfigError(one_line(f"message {number}: {shown(part.text)} is no Unicode text (lone surrogate)"))
    for fault in convert.outside(found.messages, contract.input):
        where = "" if fault.turn is None else f"message {fault.turn}: "
        raise ConfigError(one_line(f"outside of the contract: {where}{fault.message}"))
    return found, notes


def turns(text: str, contract: Contract) -> list[str]:
    """What standard input holds, as arguments would: a line that begins with a role begins a turn."""
    if text.lstrip().startswith(("Conversation", "{", "[")):
        return [text]
    roles = "|".join(map(re.escape, contract.input.roles))
    found = re.split(rf"^(?=(?:{roles})[ \t]*:)", text.removesuffix("\n"), flags=re.MULTILINE)
    return [turn.removesuffix("\n") for turn in found if turn.strip()]


def _of_turn(text: str, number: int, contract: Contract) -> Message:
    head = _TURN.match(text)
    roles = contract.input.roles
    if head is None or head[1] not in roles:
        what = "it has no role" if head is None else f"the role {shown(head[1])} is none of the contract"
        hint = f"; expected one of {', '.join(roles)} and a colon" if head is None else nearest(head[1], roles)
        raise ConfigError(one_line(f"message {number}: {what}{hint}"))
    parts: list[Part] = []
    rest = text[head.end() :]
    for meant in _MEANT_AS_IMAGE.finditer(rest):
        if _IMAGE.fullmatch(meant[0]) is None:
            raise ConfigError(one_line(f"message {number}: expected <image WIDTHxHEIGHT>, found {shown(meant[0])}"))
    behind = 0
    for image in _IMAGE.finditer(rest):
        if image.start() > behind:
            parts.append(Text(rest[behind : image.start()]))
        try:
            parts.append(Image(int(image[1]), int(image[2])))
        except ValueError as error:
            raise ConfigError(f"message {number}: {image[0]}: {error}") from None
        behind = image.end()
    if behind < len(rest):
        parts.append(Text(rest[behind:]))
    return Message(head[1], parts or [Text("")])


def _of_row(text: str, contract: Contract, images: Path | None) -> tuple[Conversation, list[str]]:
    row = Row("the sample", 0, text.encode("utf-8", "surrogatepass"))
    value, faults = parsed(row)
    if value is not None:
        tag = convert.tag_of(contract)
        _, sample = formats.read(value, tag)
        look = Pictures([images if images is not None else Path()]).look
        found, more = convert.convert(sample, contract, tag, look)
        faults += more
        if found is not None:
            return found, [f"{fault.cause}: {one_line(fault.message)}" for fault in faults]
    turn = "" if faults[0].turn is None else f"turn {faults[0].turn}: "
    raise ConfigError(one_line(f"{turn}{faults[0].cause}: {faults[0].message}"))
