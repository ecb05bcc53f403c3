"""What a chat template writes round messages, found out by rendering conversations with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from image_spans.errors import words

Render: TypeAlias = Callable[[list[dict[str, Any]]], str]
"""From messages to text; raises whatever the template does."""

_ORDERS = (
    ("user",),
    ("user", "assistant"),
    ("user", "assistant", "user"),
    ("user", "assistant", "user", "assistant"),
    ("system", "user"),
    ("system", "user", "assistant", "user"),
)


@dataclass
class Chat:
    """What was seen."""

    template: dict[str, list[str]] | None = None
    """Role to the text before and behind a message; None: it cannot be told like that."""
    roles: tuple[str, ...] = ("system", "user", "assistant")
    begins_with_bos: bool | None = None
    """Whether BOS is written once, in front; None: it cannot be told."""
    image: str | None = None
    """What is written for an image inside a message."""
    why: str = ""
    """Why there is no template."""
    notes: list[str] = field(default_factory=list)


def observe(render: Render, bos: str | None) -> Chat:
    """Ask a chat template.

    Args:
        render: calls it.
        bos: the token that counts as BOS, if there is one.
    """
    chat = Chat()
    try:
        written = _Written(render)
        chat.image = written.image()
        if not written.has("system", "user"):
            chat.roles = ("user", "assistant")
            chat.notes.append("the chat template refuses the role system")
        pieces = written.pieces(chat.roles)
        _compare(written, pieces, chat.roles)
    except _Unclear as error:
        chat.why = str(error)
        return chat
    begin = pieces.pop("begin")[0]
    every = begin + "".join(before + behind for before, behind in pieces.values())
    if bos is not None and begin.startswith(bos):
        begin = begin.removeprefix(bos)
        chat.begins_with_bos = True if every.count(bos) == 1 else None
    elif bos is None or bos not in every:
        chat.begins_with_bos = False
    chat.template = {"begin": [begin, ""]} if begin else {}
    chat.template |= {role: [before, behind] for role, (before, behind) in pieces.items()}
    return chat


class _Unclear(Exception):
    """The template does not write a fixed text before and behind each message."""


class _Written:
    """A template, rendered for roles in some order; the text of each message is one that stands nowhere else."""

    def __init__(self, render: Render) -> None:
        self._render = render
        self._as_parts = False
        if not self._takes():
            self._as_parts = True
            if not self._takes():
                raise _Unclear(self._why)

    def _takes(self) -> bool:
        """Whether content in this form is written at all."""
        self._why = "it does not write the text of a message"
        try:
            return _content(0) in self._render(_messages(("user",), self._as_parts))
        except Exception as error:  # it is foreign code
            self._why = f"rendering one message raised {words(error)}"
            return False

    def has(self, *roles: str) -> bool:
        try:
            self._render(_messages(roles, self._as_parts))
        except Exception:
            return False
        return True

    def around(self, *roles: str) -> list[str]:
        """The text before, between and behind the messages.

        Raises:
            _Unclear: it does not hold each message once, in order.
        """
        try:
            text = self._render(_messages(roles, self._as_parts))
        except Exception as error:
            raise _Unclear(f"{', '.join(roles)}: rendering raised {words(error)}") from None
        found, rest = [], text
        for index in range(len(roles)):
            if text.count(_content(index)) != 1 or _content(index) not in rest:
                raise _Unclear(f"{', '.join(roles)}: the text of message {index} is not there once, in order")
            before, _, rest = rest.partition(_content(index))
            found.append(before)
        return [*found, rest]

    def image(self) -> str | None:
        """What stands for an image between two texts of a message."""
        parts = [{"type": "text", "text": _content(0)}, {"type": "image"}, {"type": "text", "text": _content(1)}]
        try:
            text = self._render([{"role": "user", "content": parts}])
        except Exception:
            return None
        _, found, behind = text.partition(_content(0))
        image, also, _ = behind.partition(_content(1))
        return image if found and also and image.strip() and len(image) <= 400 and "'type'" not in image else None

    def pieces(self, roles: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Role to what stands before and behind its messages, and ``begin``.

        Raises:
            _Unclear: the texts do not come apart like that.
        """
        front, user_behind = self.around("user")
        before, between, again, last = self.around("user", "assistant", "user")
        if before != front or last != user_behind or not between.startswith(user_behind):
            raise _Unclear("what stands round the first message depends on those behind it")
        user_before = _common_end(front, again)
        begin = front[: len(front) - len(user_before)]
        assistant = (between[len(user_behind) :], again[: len(again) - len(user_before)])
        found = {"begin": (begin, "")}
        if "system" in roles:
            start, middle, _ = self.around("system", "user")
            if not start.startswith(begin) or not middle.endswith(user_before):
                raise _Unclear("it writes a system prompt of its own where none is given")
            found["system"] = (start[len(begin) :], middle[: len(middle) - len(user_before)])
        return found | {"user": (user_before, user_behind), "assistant": assistant}


def _compare(written: _Written, pieces: dict[str, tuple[str, str]], roles: Sequence[str]) -> None:
    """Whether the pieces give what the template does.

    Raises:
        _Unclear: they do not, for some order of roles.
    """
    for order in _ORDERS:
        if not {*order} <= {*roles}:
            continue
        made = [pieces["begin"][0]]
        for role in order:
            before, behind = pieces[role]
            made[-1] += before
            made.append(behind)
        if made != written.around(*order):
            raise _Unclear(f"{', '.join(order)}: what stands round a message depends on its place")


def _content(index: int) -> str:
    return f"Qx{index}xQ"


def _messages(roles: Sequence[str], as_parts: bool) -> list[dict[str, Any]]:
    def content(index: int) -> Any:
        return [{"type": "text", "text": _content(index)}] if as_parts else _content(index)

    return [{"role": role, "content": content(index)} for index, role in enumerate(roles)]


def _common_end(one: str, other: str) -> str:
    length = 0
    while length < min(len(one), len(other)) and one[-1 - length] == other[-1 - length]:
        length += 1
    return one[len(one) - length :]
