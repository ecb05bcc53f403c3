"""Ordinary texts, in many scripts and with many edges; what spells markers is in ``hazards``."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

# By script, and in each the shortest first: the neighbour before a long text is a shorter one that shows
# the same, which is how a failure shrinks. "a" is first of all. No < > [ ] |, in no width.
_FRAGMENTS = (
    *("a", "b", "hello", "don't", "What is in this picture?", "Describe the image, then the slice."),
    *("é", "déçu", "Le cœur déçu", "ß", "Größe", "ñ", "¿Qué es?", "Ünïcödé", "e\u0301", "\u212b", "ı", "İ"),
    *("я", "Что на картинке?", "ω", "Τι είναι αυτό;"),
    *("م", "ما هذا؟", "מ", "מה זה"),
    *("क", "क्ष", "यह क्या है", "ก", "นี่คืออะไร"),
    *("图", "图片里有什么？", "𠮷", "の", "ガ", "これは何ですか", "한", "이것은 무엇입니까"),
    *("😀", "👍🏽", "❤️", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇺🇳", "1️⃣"),
    *("0", "42", "007", "3.14", "1,000,000", "२३", "٣"),
    *(".", ", ", "!?", "...", "…", "—", "'", '"', "“a”", "(a)", "#", "* a", "/", "\\", "\\n", "&", "%s", "{}", "$x$"),
    *("x = {'a': 1}", "def f(x):\n    return x ** 2", "```\na\n```", "http://example.com/a?b=c&d", "a@b.c"),
    *("ﬁ", "½", "①", "㎏", "Ａ", "a\u00a0b", "a\u3000b"),
    *(" ", "  ", "\n", "\n\n", "\t", "\r\n", " \n ", "   \n\n   "),
    *("image", "slice", "unk", "user", "assistant", "A B", "aaaaaaaaaaaaaaaa"),
)  # fmt: skip
_BLANKS = ("", "", " ", "\n", "  ", "\n\n", "\t", "\r\n", "\n \n", "    ")
_EMPTY, _MIXED, _ANY = 10, 12, 16  # so often is a text empty, of several fragments, of any letters, to 170 of one

MARKER_LIKE = "<>[]|＜＞［］｜﹤﹥﹇﹈≮≯▁"
"""What ordinary text leaves out, so that it spells no marker, nor does any normal form of it."""

# No marks: at the start of a text they would change the character before it. Fragments hold them inside.
_LETTERS = st.characters(
    codec="utf-8", exclude_categories=("Cs", "Cn", "Mn", "Mc", "Me"), exclude_characters=MARKER_LIKE
)


def texts(*, min_size: int = 0) -> st.SearchStrategy[str]:
    """Ordinary text of many scripts; shrinks to ``""``, or to ``a`` repeated when ``min_size`` is above 0.

    Leading and trailing blanks and newlines are frequent; a text may be nothing else. It never begins with a
    combining mark, and never spells a marker.

    Args:
        min_size: the least length, in characters.
    """
    if type(min_size) is not int or min_size < 0:
        raise InvalidArgument(f"min_size is {min_size!r}; expected a whole number from 0")
    return _texts(min_size)


@cache
def _texts(min_size: int) -> st.SearchStrategy[str]:
    empty = ("",) * _EMPTY if min_size == 0 else ()
    long_enough = [fragment for fragment in _FRAGMENTS if len(fragment) >= min_size]
    if min_size > 1:
        long_enough.insert(0, "a" * min_size)
    size = max(min_size, 1)
    fragments = st.lists(st.sampled_from(_FRAGMENTS), min_size=max(size, 2), max_size=max(size, 5)).map("".join)
    letters = st.text(_LETTERS, min_size=size, max_size=size + 10)
    edged = [_Edged(fragment) for fragment in long_enough]
    bodies = (*empty, *long_enough, *edged, *(fragments,) * _MIXED, *(letters,) * _ANY)
    return _of_bodies(st.sampled_from(bodies), st.sampled_from(_BLANKS))


class _Edged(NamedTuple):
    """A text that gets blanks or newlines at its edges."""

    text: str


@st.composite
def _of_bodies(
    draw: st.DrawFn,
    bodies: st.SearchStrategy[str | _Edged | st.SearchStrategy[str]],
    blanks: st.SearchStrategy[str],
) -> str:
    body = draw(bodies)  # mostly all: one draw, since drawing is much of the run
    if isinstance(body, str):
        return body
    if isinstance(body, _Edged):
        return draw(blanks) + body.text + draw(blanks)
    return draw(body)
