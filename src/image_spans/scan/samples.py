"""What formats make of a row: turns of text and pictures, before any picture was looked at."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from image_spans.scan.causes import Fault
from image_spans.scan.rows import kind


@dataclass(frozen=True)
class Picture:
    """A reference to an image: a path, a data URL, base64, bytes, or a mapping of ``bytes`` and ``path``."""

    source: Any


NEXT = Picture(None)
"""Stands for the next picture of those that are listed beside the turns."""

Content: TypeAlias = "str | list[str | Picture]"


@dataclass
class Turn:
    """One message: text in which tags may stand for images, or pieces in which pictures stand already."""

    role: str
    content: Content


@dataclass
class Sample:
    """A row that was understood.

    ``pictures`` are those listed beside the turns: in order, or by their tags.
    ``tags``: what stands for a picture in the text of a turn.
    """

    turns: list[Turn] = field(default_factory=list)
    pictures: Sequence[Picture] | Mapping[str, Picture] = ()
    tags: Literal["one", "numbered", "none"] = "one"
    faults: list[Fault] = field(default_factory=list)


def turns(
    given: Any, role: str, content: str, faults: list[Fault], names: Mapping[str, str] | None = None
) -> list[Turn]:
    """The turns of a list of objects; what is wrong with one is noted and the others are read.

    Args:
        given: what should be the list.
        role: the key of the role.
        content: the key of the text.
        faults: where to note what is wrong.
        names: roles that have another name here.
    """
    if not isinstance(given, list) or not given:
        what = "an empty list" if given == [] else kind(given)
        faults.append(Fault("row-no-turns", f"the turns are {what}, expected a list of objects"))
        return []
    found = []
    for number, one in enumerate(given):
        if not isinstance(one, Mapping):
            faults.append(Fault("turn-not-object", f"the turn is {kind(one)}, expected an object", number))
            continue
        who = one.get(role)
        if not isinstance(who, str) or not who.strip():
            what = f"is {kind(who)}" if role in one else "is missing"
            faults.append(Fault("turn-no-role", f"{role!r} {what}", number))
            continue
        text = one.get(content)
        pieces: Content
        if isinstance(text, str):
            pieces = text
        elif isinstance(text, list):
            pieces = _pieces(text, number, faults)
        else:
            what = f"is {kind(text)}" if content in one else "is missing"
            faults.append(Fault("turn-not-text", f"{content!r} {what}, expected a text", number))
            continue
        found.append(Turn((names or {}).get(who, who), pieces))
    return found


def listed(given: Any) -> list[Picture]:
    """The pictures of a key that holds one, several or none."""
    if given is None:
        return []
    return [Picture(one) for one in (given if isinstance(given, list) else [given])]


def _pieces(parts: Iterable[Any], number: int, faults: list[Fault]) -> list[str | Picture]:
    """Content parts as the OpenAI API and transformers' chat templates take them."""
    pieces: list[str | Picture] = []
    for part in parts:
        if isinstance(part, str):
            pieces.append(part)
            continue
        named = part.get("type") if isinstance(part, Mapping) else None
        if named in ("text", "input_text"):
            text = part.get("text")
            if isinstance(text, str):
                pieces.append(text)
            else:
                faults.append(Fault("turn-not-text", f"the text of a part is {kind(text)}", number))
        elif named in ("image", "image_url", "input_image"):
            pieces.append(_picture(part))
        else:
            what = f"has the type {named!r}" if isinstance(named, str) else f"is {kind(part)} without a type"
            faults.append(Fault("turn-unknown-part", f"a part {what}, expected text or image", number))
    return pieces


def _picture(part: Mapping[str, Any]) -> Picture:
    for key in ("image", "image_url", "url", "path", "base64", "bytes"):
        source = part.get(key)
        if key == "image_url" and isinstance(source, Mapping):
            source = source.get("url")
        if source is not None:
            return Picture(source)
    return NEXT


NUMBERED = re.compile(r"<image_\d+>")
