"""Image sizes: tiny, ordinary, extreme, and on both sides of each boundary of a slice rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from image_spans.conversation import Image
from image_spans.slicing import Layout

Size: TypeAlias = tuple[int, int]

LARGEST_SIDE = 4096
_ASPECTS = ((1, 1), (2, 1), (1, 2), (3, 1), (1, 3), (4, 1), (1, 4), (10, 1), (1, 10), (200, 1), (1, 200))
GENERIC: tuple[Size, ...] = (
    (1, 1),
    (1, 200),
    (200, 1),
    (224, 224),
    (447, 449),
    (448, 448),
    (449, 449),
    (640, 480),
    (1024, 1024),
)
"""Telling sizes where no rule is known: model inputs, sides one off, both orientations."""


def boundary_sizes(rule: Callable[[int, int], Layout], *, limit: int = 60) -> tuple[Size, ...]:
    """Sizes on both sides of every change of a rule's layout, found by search: any rule will do.

    Args:
        rule: from width and height in pixels to a layout. A ``ValueError`` means that it refuses the size.
        limit: how many sizes are kept, those of small images first.

    Along lines of equal aspect ratio the longer side grows from 1 to 4096; each change of the layout
    between two steps is bisected.
    """
    found: dict[Size, None] = {(1, 1): None}
    if _layout(rule, (1, 1)) is None and all(_layout(rule, size) is None for size in GENERIC):
        return GENERIC
    changes: list[tuple[int, int, tuple[Size, Size]]] = []
    for line, (wide, high) in enumerate(_ASPECTS):
        before, there = 1, _layout(rule, _at(1, wide, high))
        number = 0
        for step in (*range(32, 1024, 32), *range(1024, LARGEST_SIDE + 1, 128)):
            here = _layout(rule, _at(step, wide, high))
            if here != there:
                changes.append((number, line, _edge(rule, wide, high, before, step)))
                number += 1
            before, there = step, here
    for _, _, (small, large) in sorted(changes):  # the first change of every aspect ratio, then the second, ...
        for size in (small, large):
            if _layout(rule, size) is not None:
                found[size] = None
    for small, large in [pair for _, line, pair in changes if line == 0][:1]:
        if small[0] == small[1] and small[0] > 1:
            found = {(1, 1): None, (small[0] - 1, small[1] - 1): None, small: None, large: None, **found}
    return tuple(list(found)[:limit])


def _layout(rule: Callable[[int, int], Layout], size: Size) -> Layout | None:
    try:
        return rule(*size)
    except ValueError:
        return None


def _at(longer: int, wide: int, high: int) -> Size:
    return max(1, longer * wide // max(wide, high)), max(1, longer * high // max(wide, high))


def _edge(rule: Callable[[int, int], Layout], wide: int, high: int, low: int, top: int) -> tuple[Size, Size]:
    first = _layout(rule, _at(low, wide, high))
    while top - low > 1:
        middle = (low + top) // 2
        if _layout(rule, _at(middle, wide, high)) == first:
            low = middle
        else:
            top = middle
    return _at(low, wide, high), _at(top, wide, high)


def images(
    *, boundary_sizes: Sequence[Size] = (), min_side: int = 1, max_side: int = LARGEST_SIDE
) -> st.SearchStrategy[Image]:
    """Images by size; shrinks to ``min_side`` x ``min_side``.

    Args:
        boundary_sizes: telling sizes of the subject's rule, drawn often.
        min_side: no side is shorter, in pixels.
        max_side: no side is longer.
    """
    if not 1 <= min_side <= max_side:
        raise InvalidArgument(f"min_side is {min_side} and max_side {max_side}; expected 1 <= min_side <= max_side")
    telling = [
        Image(width, height)
        for width, height in dict.fromkeys(((min_side, min_side), *boundary_sizes))
        if min_side <= min(width, height) and max(width, height) <= max_side
    ]
    side = st.integers(min_side, max_side)
    short = st.integers(min_side, min(max_side, min_side + 20))
    moderate = st.integers(min_side, min(max_side, max(min_side, 1200)))
    return st.one_of(
        st.sampled_from(telling),
        st.builds(Image, moderate, moderate),
        st.builds(Image, side, short),
        st.builds(Image, short, side),
    )
