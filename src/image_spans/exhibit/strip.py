"""The token strip: the ids of one conversation as segments, each with its kind, its spans and the fault if it is there.

One model for the terminal and for HTML. It says what stands in the ids, never what should: spans are paired as far as
they pair, and what does not is shown as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from image_spans.case import Case
from image_spans.grammars import Pair
from image_spans.oracles import PLACEHOLDER, Found

Kind: TypeAlias = Literal["text", "special", "bos", "eos", "image", "slice", "placeholder", "omitted"]
"""``image`` and ``slice`` are the tokens that structure them, ``special`` is every other token that is not ordinary
text, ``omitted`` stands for segments that are left out."""
BLOCK = "block"
"""The kind of a span that holds all of one image: its overview, its slices, and what stands between them."""
MOST = 400
"""Segments of a strip; of more the middle is left out, or what is far from the fault."""
_REPEATS = 4
"""From how many equal ids on a run of other tokens than placeholders is one segment."""
_LONGEST = 80
"""Characters of a token that are kept: some vocabularies have tokens of thousands of blanks."""


@dataclass(frozen=True)
class Segment:
    """One id, or a run of equal ids. ``at`` is the position of the first, from 0."""

    at: int
    id: int | None
    """None: it stands for ``count`` ids that are left out."""
    count: int
    name: str
    """The token's name in the vocabulary."""
    text: str
    """What it decodes to."""
    kind: Kind
    depth: int = 0
    """How many spans it lies in."""
    fault: bool = False
    """Whether the fault shows at its first id."""


@dataclass(frozen=True)
class Span:
    """``ids[start:end]`` between an open and its close, or all of an image."""

    kind: str
    """``image``, ``slice``, another kind of the grammar, or ``block``."""
    start: int
    end: int
    depth: int = 0
    """How many spans enclose it."""
    image: int | None = None
    """The image that it belongs to, from 0; None: the structure is not as expected, so that cannot be told."""
    closed: bool = True


@dataclass(frozen=True)
class Strip:
    """The ids of a conversation."""

    length: int
    """Ids, also those that are left out."""
    segments: tuple[Segment, ...]
    spans: tuple[Span, ...]
    """By their start, the outer ones first."""
    at: int | None = None
    """Where the fault shows; ``length``: behind the last id."""
    expected: str = ""
    """What should stand there."""

    @staticmethod
    def of(plain: Mapping[str, Any]) -> Strip:
        """The strip that ``dataclasses.asdict`` made plain."""
        segments = tuple(Segment(**one) for one in plain["segments"])
        return Strip(**{**plain, "segments": segments, "spans": tuple(Span(**one) for one in plain["spans"])})


@dataclass(frozen=True)
class Group:
    """A span with what lies in it."""

    span: Span
    nodes: tuple[Segment | Group, ...]


DEEPEST = 6
"""Spans in spans that are drawn as such; no grammar nests deeper, only what is broken does."""


def nested(strip: Strip) -> tuple[Segment | Group, ...]:
    """The segments of a strip, those of a span together."""
    spans = [span for span in strip.spans if span.depth < DEEPEST]
    open_: list[tuple[Span | None, list[Segment | Group]]] = [(None, [])]

    def close_before(place: float) -> None:
        while (span := open_[-1][0]) is not None and span.end <= place:
            _, nodes = open_.pop()
            open_[-1][1].append(Group(span, tuple(nodes)))

    for segment in strip.segments:
        close_before(segment.at)
        # A span whose open is left out begins where the first of it is shown.
        while spans and segment.id is not None and spans[0].start <= segment.at:
            span = spans.pop(0)
            close_before(span.start)
            open_.append((span, []))
        open_[-1][1].append(segment)
    close_before(float("inf"))
    return tuple(open_[0][1])


def strip(case: Case, at: int | None = None, expected: str = "", most: int = MOST) -> Strip | None:
    """The strip of a case; None where the pipeline returned no ids.

    Args:
        case: the conversation and what the pipeline made of it.
        at: the position at which a fault shows, if there is one.
        expected: what should stand there.
        most: segments at most.
    """
    if case.encoding is None:
        return None
    found = case.found
    spans = _nested([*_blocks(case), *_paired(found, case.bench.oracle.pairs)])
    at = None if at is None else min(max(at, 0), len(found.ids))
    read = _Reader(case)
    segments = [read.segment(start, end, at) for start, end in _window(list(_runs(found, at)), at, most)]
    segments = list(_with_depth(segments, spans))
    places = [segment.at for segment in segments if segment.id is not None]
    spans = [span for span in spans if any(span.start <= place < span.end for place in places)]
    return Strip(len(found.ids), tuple(segments), tuple(spans), at, printable(expected))


def printable(text: str) -> str:
    """Text without halves of characters, which no file and no worker can pass on."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def shortened(text: str, most: int) -> str:
    """Text of at most ``most`` characters, its middle left out; it can be passed on."""
    text = printable(text)
    half = most // 2
    return text if len(text) <= most else f"{text[:half]} ... {text[-half:]}"


# ---------------------------------------------------------------- segments


class _Reader:
    """Names and kinds of ids; each is looked up once."""

    def __init__(self, case: Case) -> None:
        subject = case.subject
        self._case = case
        self._tokenizer = subject.tokenizer
        self._special = set(subject.tokenizer.special_tokens().values())
        self._eos = {*subject.facts.suffix, subject.tokenizer.named_ids().get("eos")}
        self._known: dict[int, tuple[str, str, Kind]] = {}

    def segment(self, start: int, end: int | None, at: int | None) -> Segment:
        """The segment of a run; ``end`` None: ``start`` ids are left out here."""
        if end is None:
            return Segment(0, None, start, "", "", "omitted")
        token_id = self._case.ids[start]
        if token_id not in self._known:
            self._known[token_id] = self._look_up(token_id)
        name, text, kind = self._known[token_id]
        return Segment(start, token_id, end - start, name, text, kind, fault=start == at)

    def _look_up(self, token_id: int) -> tuple[str, str, Kind]:
        kind = self._kind(token_id)
        name = self._tokenizer.id_to_token(token_id)
        text = self._tokenizer.decode([token_id]) if kind == "text" else name
        return shortened(name, _LONGEST), shortened(text, _LONGEST), kind

    def _kind(self, token_id: int) -> Kind:
        role = self._case.bench.roles.get(token_id)
        if role is not None:
            if role == PLACEHOLDER:
                return "placeholder"
            return "slice" if role.startswith(("slice", "tile")) else "image"
        if token_id == self._case.subject.facts.bos:
            return "bos"
        if token_id in self._eos:
            return "eos"
        return "special" if token_id in self._special else "text"


def _runs(found: Found, at: int | None) -> Iterator[tuple[int, int]]:
    """``[start, end)`` of each segment; a run is cut where the fault shows."""
    ids = found.ids
    start = 0
    placeholders = dict(found.runs)
    while start < len(ids):
        end = placeholders.get(start)
        if end is None:
            end = start + 1
            while end < len(ids) and ids[end] == ids[start]:
                end += 1
            end = end if end - start >= _REPEATS else start + 1
        if at is not None and start < at < end:
            yield start, at
            yield at, end
        else:
            yield start, end
        start = end


def _window(runs: list[tuple[int, int]], at: int | None, most: int) -> Iterator[tuple[int, int | None]]:
    """The runs that are shown; ``(n, None)`` stands for ``n`` ids that are left out."""
    if len(runs) <= most:
        yield from runs
        return
    half = most // 2
    here = 0 if at is None else next((number for number, (_, end) in enumerate(runs) if at < end), len(runs))
    first = min(max(here - half, 0), len(runs) - most)
    shown = [range(half), range(len(runs) - half, len(runs))] if at is None else [range(first, first + most)]
    behind = 0  # of the last run that was shown
    for part in shown:
        if runs[part.start][0] > behind:
            yield runs[part.start][0] - behind, None
        yield from runs[part.start : part.stop]
        behind = runs[part.stop - 1][1]
    if behind < runs[-1][1]:
        yield runs[-1][1] - behind, None


def _with_depth(segments: Sequence[Segment], spans: Sequence[Span]) -> Iterator[Segment]:
    """The segments with their depth, and with a place where ids are left out."""
    behind = 0
    for segment in segments:
        if segment.id is None:
            segment = replace(segment, at=behind)
        behind = segment.at + segment.count
        yield replace(segment, depth=sum(span.start <= segment.at < span.end for span in spans))


# ---------------------------------------------------------------- spans


def _paired(found: Found, pairs: Sequence[Pair]) -> Iterator[Span]:
    """What opens and closes; an open without its close reaches over the placeholders behind it."""
    opens = {pair.open: pair.kind for pair in pairs}
    closes = {pair.close: pair.kind for pair in pairs}
    stack: list[tuple[str, int]] = []
    for index, (role, _) in enumerate(found.tokens):
        if role in opens:
            stack.append((opens[role], index))
        kind = closes.get(role)
        while any(kind == one for one, _ in stack):
            inner, first = stack.pop()
            if inner == kind:
                yield Span(inner, found.starts[first], found.ends[index])
                break
            yield _unclosed(found, inner, first)
    for kind, first in stack:
        yield _unclosed(found, kind, first)


def _unclosed(found: Found, kind: str, first: int) -> Span:
    last = first
    while (
        last + 1 < len(found.tokens)
        and found.tokens[last + 1][0] == PLACEHOLDER
        and found.starts[last + 1] == found.ends[last]
    ):
        last += 1
    return Span(kind, found.starts[first], found.ends[last], closed=False)


def _blocks(case: Case) -> Iterator[Span]:
    """All of each image, where the tokens are the expected ones and so belong to a known image."""
    if not case.structure_holds:
        return
    owners, found = case.expected.owners, case.found
    for image in dict.fromkeys(owner for owner in owners if owner is not None):
        own = [index for index, owner in enumerate(owners) if owner == image]
        yield Span(BLOCK, found.starts[own[0]], found.ends[own[-1]], image=image)


def _nested(spans: Sequence[Span]) -> list[Span]:
    """The spans in order, with their depth and image; a block that is one span only is that span."""
    blocks = {(span.start, span.end) for span in spans if span.kind == BLOCK}
    pairs = {(span.start, span.end) for span in spans if span.kind != BLOCK}
    kept = [span for span in spans if span.kind != BLOCK or (span.start, span.end) not in pairs & blocks]
    kept.sort(key=lambda span: (span.start, -span.end, span.kind != BLOCK))
    images = [span for span in spans if span.kind == BLOCK]
    nested: list[Span] = []
    for span in kept:
        owner = next((one.image for one in images if one.start <= span.start and span.end <= one.end), None)
        depth = sum(outer.start <= span.start and span.end <= outer.end for outer in nested)
        nested.append(replace(span, depth=depth, image=owner))
    return nested
