"""What the ids of a conversation must contain, and what they do contain.

Both sides are pure. :class:`Oracle` computes from the conversation and the contract alone; it never
calls a pipeline. :func:`scan` reads ids with nothing but the ids of the declared markers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, TypeAlias

from image_spans import discovery
from image_spans.contract import Contract
from image_spans.conversation import Conversation, Image, Message, Part, Text
from image_spans.grammars import Element, Fixed, Marker, Pair, grammar, pairs
from image_spans.slicing import Block, Layout

Token: TypeAlias = tuple[str, int]
"""A structural token: its role and how often it repeats (1, or the length of a placeholder run)."""

PLACEHOLDER = "placeholder"
pairs_of = pairs
"""Which roles pair under a contract."""


class Piece(NamedTuple):
    """Text that must stand between two structural tokens."""

    text: str
    message: int | None
    """The message that it belongs to; None for text that the pipeline writes by contract."""
    ends: int | None = None
    """The message that this text of the template ends."""


@dataclass(frozen=True)
class Expected:
    """The structure that a conversation must have: tokens, and the text before, between and after them."""

    tokens: list[Token]
    gaps: list[list[Piece]]
    """``gaps[i]`` stands before ``tokens[i]``; the last one at the end."""
    owners: list[int | None]
    """Per token: the image (index in reading order) that it belongs to; None for typed marker text."""
    messages: list[int]
    """Per token: the message that it stands in."""
    order: list[int]
    """The images in the order in which their blocks must stand."""

    def inside_block(self, gap: int) -> bool:
        """Whether this gap lies between two tokens of the same image."""
        return 0 < gap < len(self.tokens) and self.owners[gap] is not None and self.owners[gap] == self.owners[gap - 1]


@dataclass(frozen=True)
class Found:
    """The structure that ids do have."""

    ids: Sequence[int]
    tokens: list[Token]
    starts: list[int]
    ends: list[int]
    """Token ``i`` covers ``ids[starts[i]:ends[i]]``."""
    bos: list[int]
    """Positions of the BOS id; they count as neither structure nor text."""

    def span(self, index: int) -> tuple[int, int]:
        """``[start, end)`` of what stands before token ``index`` (the last gap: after all tokens)."""
        return self.ends[index - 1] if index else 0, self.starts[index] if index < len(self.starts) else len(self.ids)

    def places(self, index: int) -> list[int]:
        """The positions of the text ids before token ``index`` (the last gap: after all tokens), BOS left out."""
        start, end = self.span(index)
        taken = set(self.bos)
        return [at for at in range(start, end) if at not in taken]

    def gap(self, index: int) -> tuple[int, ...]:
        """The text ids before token ``index`` (the last gap: after all tokens), BOS left out."""
        start, end = self.span(index)
        if self.bos:
            taken = set(self.bos)
            return tuple(self.ids[at] for at in range(start, end) if at not in taken)
        return tuple(self.ids[start:end])

    @cached_property
    def runs(self) -> list[tuple[int, int]]:
        """``[start, end)`` of every run of placeholders."""
        return [
            (start, end)
            for (role, _), start, end in zip(self.tokens, self.starts, self.ends, strict=True)
            if role == PLACEHOLDER
        ]


_MARKED = re.compile(b"\x01+")


def scan(ids: Sequence[int], roles: Mapping[int, str], bos: int | None) -> Found:
    """Find the structural tokens in ids.

    Args:
        ids: token ids.
        roles: id to role, for every declared marker and the placeholder.
        bos: the id of BOS, or None.
    """
    tokens: list[Token] = []
    starts: list[int] = []
    ends: list[int] = []
    bos_at: list[int] = []
    run_length = 1  # of the run before: runs are mostly equal, and comparing slices is much faster than stepping
    marked = bytes(map({*roles, bos}.__contains__, ids))  # most ids are text, and are passed over at once
    for match in _MARKED.finditer(marked):
        index, length = match.span()
        while index < length:
            token_id = ids[index]
            role = roles.get(token_id)
            if role is None:
                bos_at.append(index)
                index += 1
                continue
            end = index + 1
            if role == PLACEHOLDER:
                if ids[index : index + run_length] == [token_id] * run_length:
                    end = index + run_length
                while end < length and ids[end] == token_id:
                    end += 1
                run_length = end - index
            tokens.append((role, end - index))
            starts.append(index)
            ends.append(end)
            index = end
    return Found(ids, tokens, starts, ends, bos_at)


class Imbalance(NamedTuple):
    """The first structural token that breaks the pairing."""

    token: int
    """Index in the tokens; the number of tokens when something is open at the end."""
    text: str
    """What is wrong there."""


def imbalance(tokens: Sequence[Token], pairs: Iterable[Pair]) -> Imbalance | None:
    """Whether every close closes an open of its kind, in the nesting that the grammar allows (I1)."""
    opens = {pair.open: pair for pair in pairs}
    closes = {pair.close: pair for pair in opens.values()}
    stack: list[tuple[Pair, int]] = []
    for index, (role, _) in enumerate(tokens):
        if role in opens:
            pair = opens[role]
            if stack and stack[-1][0].kind not in pair.within:
                return Imbalance(index, f"{_a(pair.kind)} opens inside {_a(stack[-1][0].kind)} span")
            stack.append((pair, index))
        elif role in closes:
            pair = closes[role]
            if not stack:
                return Imbalance(index, f"{_a(pair.kind)} close has no open")
            if stack[-1][0] is not pair:
                return Imbalance(index, f"{_a(pair.kind)} close stands where {_a(stack[-1][0].kind)} span is open")
            stack.pop()
    if stack:
        return Imbalance(len(tokens), f"{_a(stack[-1][0].kind)} span is still open at the end")
    return None


def _a(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


@dataclass(frozen=True)
class _Placed:
    """A part with the place in which it is written, and its image number if it is one."""

    part: Part
    image: int | None


Arrangement: TypeAlias = "list[list[_Placed]]"


def _as_given(messages: Arrangement) -> Arrangement:
    return messages


def _first_in_message(messages: Arrangement) -> Arrangement:
    return [sorted(message, key=lambda placed: placed.image is None) for message in messages]


def _first_in_conversation(messages: Arrangement) -> Arrangement:
    images = [placed for message in messages for placed in message if placed.image is not None]
    texts = [[placed for placed in message if placed.image is None] for message in messages]
    return [images + texts[0], *texts[1:]] if texts else []


_ORDERS: dict[str, Callable[[Arrangement], Arrangement]] = {
    "as_given": _as_given,
    "first_in_message": _first_in_message,
    "first_in_conversation": _first_in_conversation,
}


class Oracle:
    """Expected structures under one contract; blocks of equal images are computed once."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self._grammar = grammar(contract.images.grammar, contract.folder)
        self._blocks: dict[tuple[int, int, int, int], Sequence[Element]] = {}
        self._layouts: dict[tuple[int, int, int], Layout] = {}
        self.pairs: tuple[Pair, ...] = tuple(pairs_of(contract))
        self._interpreted = {
            token: role
            for role, token in contract.markers.items()
            if contract.literals.policy_for(token) == "interpret"
        }
        self._template = contract.template or {}
        # A grammar of one's own may write the number too, as in "Picture 1: ".
        self._numbered = contract.images.number is not None or discovery.is_reference(contract.images.grammar)

    def layout(self, conversation: Conversation, number: int) -> Layout:
        """The layout of the image ``number`` of a conversation; not for ``slots: from_features``."""
        image = conversation.images[number]
        return self._layout(image.width, image.height, len(conversation.images))

    def _layout(self, width: int, height: int, count: int) -> Layout:
        key = (width, height, count)
        layout = self._layouts.get(key)
        if layout is None:
            layout = self._layouts[key] = self.contract.layout(width, height, count)
        return layout

    def interprets(self, role: str) -> bool:
        """Whether typed text that spells the token of a role is that token."""
        return role in self._interpreted.values()

    def expected(
        self,
        conversation: Conversation,
        features: Sequence[tuple[int, int]] | None = None,
        layouts: Mapping[int, Layout | None] | None = None,
        apart: Apart = "never",
    ) -> Expected:
        """The structure of a conversation.

        Args:
            conversation: any conversation inside the contract.
            features: ``(image, slots)`` as the vision side delivers them; needed only for ``slots: from_features``.
            layouts: by image, instead of what the rule gives: what would stand there if they were those.
            apart: where a dummy prefix keeps a typed placeholder apart from one that stands before its text.
        """
        build = _Builder(apart)
        arranged = self._arranged(conversation)
        order: list[int] = []
        begin, end = self._template.get("begin", ("", "")), self._template.get("end", ("", ""))
        build.text("".join(begin), None)
        for index, (message, parts) in enumerate(zip(conversation.messages, arranged, strict=True)):
            before, after = self._template.get(message.role, ("", ""))
            build.text(before, None)
            build.begin(index)
            for number, placed in enumerate(_trimmed(parts, self.contract.trim)):
                if placed.image is None:
                    assert isinstance(placed.part, Text)
                    self._typed(build, placed.part.text, index, "texts" if number else "messages")
                else:
                    assert isinstance(placed.part, Image)
                    order.append(placed.image)
                    given = layouts.get(placed.image) if layouts else None
                    if given is not None:
                        elements = self._grammar.write(given, self.contract, placed.image)
                    else:
                        elements = self._block(placed.part, placed.image, len(conversation.images), features)
                    build.block(elements, placed.image, index)
            build.text(after, None, ends=index)
        build.text("".join(end), None)
        return Expected(build.tokens, build.gaps, build.owners, build.messages, order)

    def _arranged(self, conversation: Conversation) -> Arrangement:
        number = 0
        messages: Arrangement = []
        for message in conversation.messages:
            parts = []
            for part in message.parts:
                is_image = isinstance(part, Image)
                parts.append(_Placed(part, number if is_image else None))
                number += is_image
            messages.append(parts)
        order = self.contract.images.order
        if order in _ORDERS:
            return _ORDERS[order](messages)
        return _reordered_by(discovery.resolve(order, self.contract.folder), conversation, messages)

    def _typed(self, build: _Builder, text: str, message: int, begins: Apart) -> None:
        """Text that somebody typed; under ``interpret`` a marker in it yields its own id."""
        first = True
        while self._interpreted:
            hits = [(text.find(token), -len(token), token) for token in self._interpreted if token in text]
            if not hits:
                break
            at, _, token = min(hits)
            if at == 0 and first:
                build.begin(message, typed=begins)  # a dummy prefix may stand in front of the first token too
            first = False
            build.text(text[:at], message)
            build.token(self._interpreted[token], 1, None, message)
            text = text[at + len(token) :]
        build.text(text, message)

    def _block(
        self, image: Image, number: int, count: int, features: Sequence[tuple[int, int]] | None
    ) -> Sequence[Element]:
        if self.contract.images.slots == "from_features":
            delivered = sum(slots for owner, slots in features or () if owner == number)
            return self._grammar.write(Layout(Block(1, delivered)), self.contract, number)
        key = (image.width, image.height, count, number if self._numbered else 0)
        elements = self._blocks.get(key)
        if elements is None:
            layout = self._layout(image.width, image.height, count)
            elements = self._blocks[key] = self._grammar.write(layout, self.contract, number)
        return elements


def _trimmed(parts: list[_Placed], trim: str) -> list[_Placed]:
    """The parts of a message as a pipeline that strips blanks by contract writes them."""
    if trim == "none":
        return parts
    texts = [placed.part.text if isinstance(placed.part, Text) else None for placed in parts]
    if trim == "text":
        texts = [text if text is None else text.strip() for text in texts]
    else:
        for strip, order in ((str.lstrip, range(len(texts))), (str.rstrip, reversed(range(len(texts))))):
            for at in order:
                text = texts[at]
                if text is None:
                    break
                texts[at] = strip(text)
                if texts[at]:
                    break
    return [placed if text is None else _Placed(Text(text), None) for placed, text in zip(parts, texts, strict=True)]


def _reordered_by(
    function: Callable[[Conversation], Conversation], conversation: Conversation, messages: Arrangement
) -> Arrangement:
    """The arrangement of the user's own reordering; which image is which is told by object identity."""
    fresh = [
        Message(message.role, [Image(p.width, p.height) if isinstance(p, Image) else p for p in message.parts])
        for message in conversation.messages
    ]
    numbers = {
        id(part): placed.image
        for m, row in zip(fresh, messages, strict=True)
        for part, placed in zip(m.parts, row, strict=True)
    }
    moved = function(Conversation(fresh))
    return [[_Placed(part, numbers.get(id(part))) for part in message.parts] for message in moved.messages]


Apart: TypeAlias = Literal["never", "messages", "texts"]
"""Typed placeholders of two texts touch, and are one run; or a blank in front parts them where a message begins, or
where any text does. Which of them depends on what a pipeline encodes at once."""
_APART: tuple[Apart, ...] = ("never", "messages", "texts")


class _Builder:
    """Collects tokens and the text between them; runs of placeholders that touch become one."""

    def __init__(self, apart: Apart) -> None:
        self._apart = apart
        self._blank_may_follow = False
        self.tokens: list[Token] = []
        self.gaps: list[list[Piece]] = [[]]
        self.owners: list[int | None] = []
        self.messages: list[int] = []

    def text(self, text: str, message: int | None, ends: int | None = None) -> None:
        if text:
            self.gaps[-1].append(Piece(text, message, ends))

    def begin(self, message: int, *, typed: Apart = "never") -> None:
        """A message begins here, or what somebody typed: an empty piece, in front of which a dummy prefix may stand."""
        self.gaps[-1].append(Piece("", message))
        self._blank_may_follow = _APART.index("never") < _APART.index(typed) <= _APART.index(self._apart)

    def token(self, role: str, count: int, owner: int | None, message: int) -> None:
        if (
            role == PLACEHOLDER
            and self.tokens
            and self.tokens[-1][0] == role
            and not any(p.text for p in self.gaps[-1])
            and not self._blank_may_follow
        ):
            self.gaps[-1].clear()
            self.tokens[-1] = (PLACEHOLDER, self.tokens[-1][1] + count)
            return
        self._blank_may_follow = False
        self.tokens.append((role, count))
        self.gaps.append([])
        self.owners.append(owner)
        self.messages.append(message)

    def block(self, elements: Sequence[Element], image: int, message: int) -> None:
        """Write one image."""
        for element in elements:
            if isinstance(element, Fixed):
                self.text(element.text, None)
            elif isinstance(element, Marker):
                self.token(element.role, 1, image, message)
            else:
                self.token(PLACEHOLDER, element.count, image, message)
