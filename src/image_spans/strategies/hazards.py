"""Hazardous texts: they spell a subject's markers, or nearly do. Chance does not find them, so they are built."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from functools import cache
from itertools import cycle, islice, product
from typing import NamedTuple

from hypothesis import event
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from image_spans.strategies.texts import texts

_WIDE = {ord(narrow): wide for narrow, wide in zip("<>[]|", "＜＞［］｜", strict=True)}
_NARROW = {ord(wide): narrow for narrow, wide in zip("<>[]|", "＜＞［］｜", strict=True)}
_FULL_WIDTH = {code: chr(code + 0xFEE0) for code in range(ord("!"), ord("~") + 1)}

# Those that hold a whole marker come first: so a failure on one of them shrinks to the bare marker.
_OF_ONE: dict[str, Callable[[str], Sequence[str]]] = {
    "whole marker": lambda m: (m,),
    "marker twice": lambda m: (m + m,),
    "marker several times": lambda m: (f"{m} a {m}", f"{m}\n{m}\n{m}"),
    "marker glued to words": lambda m: (f"x{m}y", f"漢{m}字", f"1{m}2"),
    "marker among blanks": lambda m: (f" {m} ", f"\n{m}\n"),
    "combining mark after a marker": lambda m: (m + "\u0338", m + "\u0301"),
    "byte-order mark": lambda m: ("\ufeff" + m,),
    "meta symbol": lambda m: ("▁" + m, m + "▁"),
}
_OF_TWO: dict[str, Callable[[str, str], Sequence[str]]] = {
    "complete block": lambda o, c: (f"{o}a{c}", o + c),
    "nested blocks": lambda o, c: (f"{o}{o}a{c}{c}",),
    "close before open": lambda o, c: (c + o, f"{c}a{o}"),
}
_BROKEN: dict[str, Callable[[str], Sequence[str]]] = {
    "beginning of a marker": lambda m: (m[:-1], m[: -(-len(m) // 2)]) if len(m) > 2 else (),
    "end of a marker": lambda m: (m[1:], m[len(m) // 2 :]) if len(m) > 2 else (),
    "blanks inside a marker": lambda m: (f"{m[0]} {m[1:-1]} {m[-1]}", f"{m[:-1]} {m[-1]}") if len(m) > 2 else (),
    "number in a tag": lambda m: (f"{m[:-1]}_00{m[-1:]}", "<image_00>", "<image_1>", "<image_17"),
    "upper case": lambda m: (m.upper(), m.title()),
    "full-width look-alike": lambda m: (m.translate(_WIDE), m.translate(_NARROW), m.translate(_FULL_WIDTH)),
    "combining mark inside a marker": lambda m: (m[:-1] + "\u0301" + m[-1],) if len(m) > 1 else (),
    "zero-width joiner inside a marker": lambda m: (m[:-1] + "\u200d" + m[-1],) if len(m) > 1 else (),
    "zero-width space inside a marker": lambda m: (m[:1] + "\u200b" + m[1:],) if len(m) > 1 else (),
    "entity": lambda m: (html.escape(m), f"&#{ord(m[0])};{m[1:]}"),
}
_WEIGHT, _WEIGHT_OF_TWO = 4, 8  # of each kind, for one spelling; only every other spelling begins a pair

HAZARDS = (*_OF_ONE, *_OF_TWO, *_BROKEN)
"""The kinds of hazard."""

# What stands round a hazard, mostly nothing.
_AROUND = ("", "a", " ", "\n", "a ", " a", "1", ".", "\n\n", "图", "é", "😀", "hello\n", "What is this? ")
_FRAMES = tuple(sorted(product(_AROUND, _AROUND), key=lambda frame: len("".join(frame))))
_BARE, _WITH_TEXT = 60, 60  # to some 200 frames


def hazard_texts(spellings: Sequence[str]) -> st.SearchStrategy[str]:
    """Text that spells markers, or nearly does, among ordinary text; shrinks to the first spelling.

    Args:
        spellings: the subject's markers, BOS, EOS, data tag and template tokens.
    """
    checked = _checked(spellings)
    return unrecorded(checked).map(lambda text: _record(text, checked))


def hazards_in(text: str, spellings: Sequence[str]) -> set[str]:
    """The kinds of hazard that a text holds.

    What does not hold a whole marker (half of one, another case, ...) is sought beside the whole ones only.
    """
    known = _needles(tuple(spellings))
    if known.telling.isdisjoint(text):  # most texts hold none
        return set()
    beside = text
    for spelling in known.longest_first:
        beside = beside.replace(spelling, "\0")
    return {
        kind
        for kind, whole, broken in known.kinds
        if any(needle in text for needle in whole) or any(needle in beside for needle in broken)
    }


def _checked(spellings: Sequence[str]) -> tuple[str, ...]:
    if isinstance(spellings, str) or not spellings:
        raise InvalidArgument(f"spellings is {spellings!r}; expected at least one text, in a sequence")
    if not all(isinstance(spelling, str) and spelling for spelling in spellings):
        raise InvalidArgument(f"{list(spellings)!r}: every spelling is a non-empty text")
    return tuple(spellings)


def _record(text: str, spellings: tuple[str, ...]) -> str:
    for kind in sorted(hazards_in(text, spellings)):
        event(f"hazard: {kind}")
    return text


@cache
def _forms(spellings: tuple[str, ...]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Kinds with what is typed for them: all kinds of the first spelling, then those of the next."""
    pairs = _pairs(spellings)
    found: list[tuple[str, tuple[str, ...]]] = []
    for spelling in spellings:
        made: dict[str, list[str]] = {kind: [*of_one(spelling)] for kind, of_one in _OF_ONE.items()}
        for kind, of_two in _OF_TWO.items():
            made[kind] = [form for pair in pairs if pair[0] == spelling for form in of_two(*pair)]
        for kind, of_one in _BROKEN.items():  # what is another of the markers is not broken
            made[kind] = [form for form in of_one(spelling) if form not in spellings]
        found += [(kind, tuple(dict.fromkeys(forms))) for kind, forms in made.items() if forms]
    return tuple(found)


def _pairs(spellings: tuple[str, ...]) -> list[tuple[str, str]]:
    """The spellings that look like the two ends of a block, or else neighbours."""
    pairs = [
        (opening, closing)
        for opening in spellings
        for closing in (
            f"{opening[:1]}/{opening[1:]}",
            opening.replace("start", "end"),
            opening.replace("begin", "end"),
        )
        if closing != opening and closing in spellings
    ]
    return pairs or list(zip(spellings, spellings[1:] or spellings, strict=False))


class _Needles(NamedTuple):
    """What to look for in a text, made once for all texts."""

    longest_first: tuple[str, ...]
    kinds: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]
    """Kind, forms that hold a whole marker, forms that do not."""
    telling: frozenset[str]
    """Every form has one of these characters."""


@cache
def _needles(spellings: tuple[str, ...]) -> _Needles:
    sought: dict[str, dict[str, None]] = {"meta symbol": {"▁": None}, "byte-order mark": {"\ufeff": None}}
    for kind, forms in _forms(spellings):
        sought.setdefault(kind, {}).update(dict.fromkeys(forms))
    kinds = []
    for kind, wanted in sought.items():
        whole = tuple(form for form in wanted if any(spelling in form for spelling in spellings))
        kinds.append((kind, whole, tuple(form for form in wanted if form not in whole)))
    telling = (
        next((character for character in form if not character.isalnum() and not character.isspace()), form[0])
        for wanted in sought.values()
        for form in wanted
    )
    return _Needles(tuple(sorted(spellings, key=len, reverse=True)), tuple(kinds), frozenset(telling))


@cache
def unrecorded(spellings: tuple[str, ...]) -> st.SearchStrategy[str]:
    """The same as :func:`hazard_texts`, without events."""
    equal = [
        form
        for kind, forms in _forms(spellings)
        for form in islice(cycle(forms), _WEIGHT_OF_TWO if kind in _OF_TWO else _WEIGHT)
    ]
    hazards = st.sampled_from(equal)
    frames = (("", ""),) * _BARE + _FRAMES
    return _framed(hazards, st.sampled_from((*frames, *(texts(),) * _WITH_TEXT)))


@st.composite
def _framed(
    draw: st.DrawFn,
    hazards: st.SearchStrategy[str],
    frames: st.SearchStrategy[tuple[str, str] | st.SearchStrategy[str]],
) -> str:
    hazard = draw(hazards)
    frame = draw(frames)
    if isinstance(frame, tuple):
        return frame[0] + hazard + frame[1]
    return hazard + draw(frame)
