"""Conversations with images, as plain frozen data.

No pixels: an image is its size, and a blank picture is made only when a pipeline asks for one.
The ``repr`` of every class is the code that makes it, and :func:`parse_conversation` reads that
code back without evaluating it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import PIL.Image

MessageFormat: TypeAlias = Literal["parts", "tag", "numbered"]


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text in a message."""

    text: str

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise TypeError(f"Text takes a str, not {self.text!r}")

    def __repr__(self) -> str:
        return f"Text({self.text!r})"


@dataclass(frozen=True, slots=True)
class Image:
    """An image in a message, known by its size alone. Units: pixels."""

    width: int
    height: int

    def __post_init__(self) -> None:
        for name, side in (("width", self.width), ("height", self.height)):
            if type(side) is not int or side < 1:
                raise ValueError(f"the {name} of an Image is a whole number from 1, not {side!r}")

    def __repr__(self) -> str:
        return f"Image({self.width}, {self.height})"


Part: TypeAlias = Text | Image


@dataclass(frozen=True, slots=True)
class Message:
    """One message: a role and its parts in reading order."""

    role: str
    parts: tuple[Part, ...]

    def __init__(self, role: str, parts: Iterable[Part]) -> None:
        if not isinstance(role, str) or not role:
            raise TypeError(f"the role of a Message is a non-empty str, not {role!r}")
        found = tuple(parts)
        for part in found:
            if not isinstance(part, (Text, Image)):
                raise TypeError(f"a Message holds Text and Image parts, not {part!r}")
        object.__setattr__(self, "role", role)
        object.__setattr__(self, "parts", found)

    def __repr__(self) -> str:
        return f"Message({self.role!r}, [{', '.join(map(repr, self.parts))}])"

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts of this message, in reading order."""
        return tuple(part.text for part in self.parts if isinstance(part, Text))

    @property
    def images(self) -> tuple[Image, ...]:
        """The images of this message, in reading order."""
        return tuple(part for part in self.parts if isinstance(part, Image))


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a pipeline gets: messages, and the images that the vision side is given.

    ``images`` is by default the images of the parts in order. It is deliberately another list only
    in conversations that test a wrong number of images.
    """

    messages: tuple[Message, ...]
    images: tuple[Image, ...]

    def __init__(self, messages: Iterable[Message], images: Iterable[Image] | None = None) -> None:
        turns = tuple(messages)
        for message in turns:
            if not isinstance(message, Message):
                raise TypeError(f"a Conversation holds Message objects, not {message!r}")
        given = _images_of(turns) if images is None else tuple(images)
        for image in given:
            if not isinstance(image, Image):
                raise TypeError(f"the images of a Conversation are Image objects, not {image!r}")
        object.__setattr__(self, "messages", turns)
        object.__setattr__(self, "images", given)

    def __repr__(self) -> str:
        images = "" if self.images == _images_of(self.messages) else f", images={list(self.images)}"
        return f"Conversation([{', '.join(map(repr, self.messages))}]{images})"

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts of all messages, in reading order."""
        return tuple(text for message in self.messages for text in message.texts)

    def pil_images(self) -> list[PIL.Image.Image]:
        """Blank RGB pictures of :attr:`images`; one object per size, so do not draw on them."""
        return [_blank(image.width, image.height) for image in self.images]

    def to_messages(self, form: MessageFormat = "parts", *, tag: str = "<image>") -> list[dict[str, Any]]:
        """The messages in one of the common data formats.

        ``parts``: content parts as transformers' chat templates and the OpenAI API take them.
        ``tag``: one string per message in which ``tag`` stands for an image (LLaVA, MiniCPM data).
        ``numbered``: the same with ``<image_00>``, ``<image_01>``, ... counted over the conversation.
        """
        number = 0
        result: list[dict[str, Any]] = []
        for message in self.messages:
            content: list[Any] = []
            for part in message.parts:
                if isinstance(part, Text):
                    content.append({"type": "text", "text": part.text} if form == "parts" else part.text)
                elif form == "parts":
                    content.append({"type": "image"})
                elif form == "tag":
                    content.append(tag)
                elif form == "numbered":
                    content.append(f"<image_{number:02d}>")
                else:
                    raise ValueError(f"unknown message format {form!r}; known: parts, tag, numbered")
                number += isinstance(part, Image)
            result.append({"role": message.role, "content": content if form == "parts" else "".join(content)})
        return result


def _images_of(messages: tuple[Message, ...]) -> tuple[Image, ...]:
    return tuple(image for message in messages for image in message.images)


class Watched(Conversation):
    """A conversation that knows whether its list of images was looked at."""

    __slots__ = ("looked",)

    def __init__(self, conversation: Conversation) -> None:
        fresh = copied(conversation)
        Conversation.__init__(self, fresh.messages, fresh.images)
        object.__setattr__(self, "looked", False)

    def __getattribute__(self, name: str) -> Any:
        if name in ("images", "pil_images"):
            object.__setattr__(self, "looked", True)
        return object.__getattribute__(self, name)


def copied(conversation: Conversation) -> Conversation:
    """An equal conversation that shares no object with this one but texts, numbers and roles.

    An image that is both a part and among ``images`` is one object here too: a pipeline may tell images of one size
    apart by that.
    """
    images = {
        id(image): Image(image.width, image.height)
        for image in (*_images_of(conversation.messages), *conversation.images)
    }
    messages = [
        Message(m.role, [Text(p.text) if isinstance(p, Text) else images[id(p)] for p in m.parts])
        for m in conversation.messages
    ]
    return Conversation(messages, [images[id(image)] for image in conversation.images])


def resized(conversation: Conversation, images: Iterable[Image]) -> Conversation:
    """The same conversation with other sizes: the k-th image part becomes the k-th of ``images``."""
    sizes = iter(images)
    return Conversation(
        [
            Message(message.role, [next(sizes) if isinstance(part, Image) else part for part in message.parts])
            for message in conversation.messages
        ]
    )


@lru_cache(maxsize=64)
def _blank(width: int, height: int) -> PIL.Image.Image:
    import PIL.Image

    return PIL.Image.new("RGB", (width, height))


def forget_blanks() -> None:
    """Let go of the blank pictures that were made; of large images 64 sizes are gigabytes."""
    _blank.cache_clear()


_CLASSES = {cls.__name__: cls for cls in (Conversation, Message, Text, Image)}


def parse_conversation(source: str) -> Conversation:
    """The conversation that ``source`` spells, in the form that ``repr`` gives.

    Only calls of the four classes with literal arguments are read; nothing is evaluated.

    Raises:
        ValueError: ``source`` is anything else; the message says what and where.
    """
    code = source.strip()
    before = source[: len(source) - len(source.lstrip())]
    try:
        body = ast.parse(code, mode="eval").body
        result = _build(body)
        if not isinstance(result, Conversation):
            raise _Refused(body, f"expected Conversation(...), found {type(result).__name__}")
    except _Refused as error:
        line = _LINE_END.split(code)[error.node.lineno - 1].encode()
        column = len(line[: error.node.col_offset].decode())  # ast counts bytes
        raise ValueError(f"{_place(before, error.node.lineno, column + 1)}: {error}") from None
    except SyntaxError as error:
        place = _place(before, error.lineno or 1, max(error.offset or 1, 1))
        raise ValueError(f"{place}: not a Conversation(...): {error.msg}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"{_place(before, 1, 1)}: not a Conversation(...): {error}") from None
    return result


class _Refused(ValueError):
    """A node that is not read, and why."""

    def __init__(self, node: ast.expr, why: str) -> None:
        super().__init__(why)
        self.node = node


_LINE_END = re.compile(r"\r\n|\r|\n")


def _place(before: str, line: int, column: int) -> str:
    """Where in the source; ``before`` are the blanks in front of the code, which the parser did not see."""
    *above, last = _LINE_END.split(before)
    column += len(last) if line == 1 else 0
    line += len(above)
    return f"column {column}" if line == 1 else f"line {line}, column {column}"


def _build(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, (str, int)):
        return node.value
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_build(element) for element in node.elts]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CLASSES:
        arguments = [_build(argument) for argument in node.args]
        keywords = {str(keyword.arg): _build(keyword.value) for keyword in node.keywords}
        try:
            return _CLASSES[node.func.id](*arguments, **keywords)
        except (TypeError, ValueError) as error:
            raise _Refused(node, str(error)) from None
    raise _Refused(node, f"{ast.unparse(node)[:40]!r} is not a {', '.join(_CLASSES)} call, a list, a text or a number")
