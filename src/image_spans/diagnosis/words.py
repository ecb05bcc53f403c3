"""How causes speak."""

from __future__ import annotations


def plain(text: str) -> str:
    """Text in ASCII, escaped as in a Python literal."""
    return ascii(text)[1:-1]


def are(number: int, name: str) -> str:
    """``is one x`` or ``are 3 x``."""
    return f"is one {name}" if number == 1 else f"are {number} {name}"
