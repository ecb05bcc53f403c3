"""Texts: ordinary ones of many scripts, and hazardous ones that spell a subject's markers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

# Without < > [ ] | and their full-width forms: ordinary text must not spell a marker by accident.
_FRAGMENTS = (
    "a",
    "b",
    "hello",
    "What is in this picture?",
    " ",
    "\n",
    "  ",
    "\n\n",
    "\t",
    "0",
    "42",
    "3.14",
    ".",
    ", ",
    "!?",
    "Ünïcödé",
    "Le cœur déçu",
    "Что на картинке?",
    "Τι είναι αυτό;",
    "ما هذا؟",
    "מה זה",
    "यह क्या है",
    "นี่คืออะไร",
    "图片里有什么？",
    "これは何ですか",
    "이것은 무엇입니까",
    "😀",
    "👩‍👩‍👧‍👦",
    "🏳️‍🌈",
    "def f(x):\n    return x ** 2",
    "x = {'a': 1}",
    "http://example.com/a?b=c&d",
    "don't",
    "A B",
    "\r\n",
    "e\u0301",
    "ﬁ ½ ①",
    "a\u00a0b",
    "image",
    "slice",
    "unk",
)
_LETTERS = st.characters(
    codec="utf-8", exclude_categories=("Cs", "Cn", "Mn", "Mc", "Me"), exclude_characters="<>[]|｜＜＞\u2581"
)


def texts(*, min_size: int = 0) -> st.SearchStrategy[str]:
    """Ordinary text of many scripts; shrinks to ``""``, or to ``a`` repeated when ``min_size`` is above 0.

    Leading and trailing blanks and newlines are frequent. ``min_size`` is in characters.
    """
    if min_size < 0:
        raise InvalidArgument(f"min_size is {min_size}; expected at least 0")
    return _texts(min_size)


@cache
def _texts(min_size: int) -> st.SearchStrategy[str]:
    fragments = st.lists(st.sampled_from(_FRAGMENTS), min_size=min(min_size, 1), max_size=5).map("".join)
    letters = st.text(_LETTERS, min_size=min_size, max_size=8)
    few = st.sampled_from(("", "a") if min_size == 0 else ("a" * min_size,))
    # Mostly fragments: one draw each, and every script is reached.
    mixed = st.one_of(few, fragments, fragments, letters)
    return mixed if min_size <= 1 else mixed.map(lambda text: text + "a" * (min_size - len(text)))


HAZARDS = {
    "whole marker": lambda m: m,
    "twice": lambda m: m + m,
    "glued": lambda m: f"x{m}y",
    "begin of a marker": lambda m: m[: max(1, len(m) // 2)],
    "end of a marker": lambda m: m[len(m) // 2 :],
    "marker with blanks": lambda m: f"{m[:1]} {m[1:-1]} {m[-1:]}",
    "upper case": lambda m: m.upper(),
    "full width": lambda m: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in m),
    "combining mark after": lambda m: m + "\u0338",
    "combining mark inside": lambda m: m[:-1] + "\u0301" + m[-1:],
    "byte-order mark": lambda m: "\ufeff" + m,
    "zero width inside": lambda m: m[:1] + "\u200b" + m[1:],
    "joiner inside": lambda m: m[:2] + "\u200d" + m[2:],
    "meta space": lambda m: "\u2581" + m,
    "numbered image tag": lambda _: "<image_00>",
    "number after image": lambda _: "<image_17",
    "html entity": lambda m: "&lt;" + m.strip("<>") + "&gt;",
    "newlines around": lambda m: f"\n{m}\n",
}
"""Kinds of hazard: from a marker's spelling to text that may be mistaken for it."""


def hazard_texts(spellings: Sequence[str]) -> st.SearchStrategy[str]:
    """Text that spells markers, or nearly does, among ordinary text; shrinks to a whole marker.

    Args:
        spellings: the subject's markers, BOS, EOS, data tag and template tokens.
    """
    if not spellings:
        raise InvalidArgument("hazard_texts() needs at least one spelling")
    return _hazard_texts(tuple(spellings))


@cache
def _hazard_texts(spellings: tuple[str, ...]) -> st.SearchStrategy[str]:
    marker = st.sampled_from(spellings)
    hazard = st.builds(lambda kind, token: HAZARDS[kind](token), st.sampled_from(tuple(HAZARDS)), marker)
    pair = st.builds(lambda one, other: other + one, marker, marker)  # close before open, nested, misnested
    return st.builds(
        lambda before, middle, after: before + middle + after,
        st.one_of(st.just(""), _texts(0)),
        st.one_of(hazard, hazard, pair),
        st.one_of(st.just(""), _texts(0), hazard),
    )


def hazards_in(text: str, spellings: Sequence[str]) -> set[str]:
    """The kinds of hazard that a text holds."""
    return {kind for kind, make in HAZARDS.items() if any(make(token) in text for token in spellings)}
