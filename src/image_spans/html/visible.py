"""Characters that nobody sees, or that change the order in which others are read, become escapes that one sees."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from markupsafe import Markup, escape

_HIDDEN_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
# Characters of other categories that show nothing: joiners, fillers, selectors, and the empty braille pattern.
_SINGLE = (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0)
_BLANK = frozenset([*_SINGLE, *range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)])
_ORDINARY = re.compile(r"[ -~]*\Z")


@lru_cache(maxsize=65_536)
def _is_hidden(character: str) -> bool:
    category = unicodedata.category(character)
    if category in _HIDDEN_CATEGORIES or ord(character) in _BLANK:
        return True
    return category == "Zs" and character != " "


def _pieces(text: str) -> Iterator[tuple[str, bool]]:
    """Text in pieces, and whether each is the escape of a hidden character, as in a Python literal: ``\\u202e``."""
    plain = ""
    for character in text:
        if _is_hidden(character):
            yield plain, False
            yield character.encode("unicode_escape").decode("ascii"), True
            plain = ""
        else:
            plain += character
    yield plain, False


def visible(text: str) -> Markup:
    """Text for HTML: escaped, and every character that does not show as a marked escape."""
    if _ORDINARY.match(text):
        return escape(text)
    mark = Markup('<span class="esc">{}</span>')
    return Markup("").join(mark.format(piece) if hidden else escape(piece) for piece, hidden in _pieces(text))


def unmarked(text: str) -> str:
    """As :func:`visible`, for attributes and options, which hold no marks; not yet escaped."""
    return "".join(piece for piece, _ in _pieces(text))


def visible_lines(text: str) -> Markup:
    """Text of several lines; as :func:`visible`, but they stay lines."""
    return Markup("\n").join(visible(line) for line in text.split("\n"))


def token(text: str) -> Markup:
    """The name of a token: as :func:`visible`, and its blanks show."""
    return visible(text.replace(" ", "\u2423"))
