"""Foreign text in Markdown: always as code, in which nothing is markup, a mention, a link or an emoji."""

from __future__ import annotations

import re
from collections.abc import Iterable

from image_spans.findings import one_line

MARK = "<!-- pytest-image-spans -->"
"""By which a summary of ours is known."""
_RUN = re.compile("`+")


def visible(text: str) -> str:
    """Text on one line, in ASCII; what does not print is an escape as in a Python literal."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in one_line(text))


def code(text: str) -> str:
    """A code span; empty for no text, since there is no empty code span."""
    shown = visible(text)
    if not shown:
        return ""
    fence = "`" * _free(shown, 1)
    # A blank at each side goes when it is read; without it a backtick at an end would belong to the fence.
    padding = " " if shown[0] in "` " or shown[-1] in "` " else ""
    if not shown.strip():
        padding = ""  # of blanks alone, none goes
    return f"{fence}{padding}{shown}{padding}{fence}"


def cell(text: str) -> str:
    """A code span in a table, whose columns are told apart before code is."""
    return code(text).replace("|", "\\|")


def block(lines: Iterable[str], language: str = "text") -> str:
    """A code block."""
    shown = [visible(line) for line in lines]
    fence = "`" * max(3, _free("\n".join(shown), 3))
    return "\n".join([f"{fence}{language}", *shown, fence])


def _free(text: str, least: int) -> int:
    """How many backticks follow each other nowhere in a text."""
    return max([least, *(len(run) + 1 for run in _RUN.findall(text))])
