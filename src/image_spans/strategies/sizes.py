"""Image sizes: tiny, ordinary, extreme, and on both sides of each boundary of a slice rule."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import cache, lru_cache, partial
from itertools import pairwise, product
from typing import TypeAlias

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from image_spans.contract import LARGEST_ASPECT, LARGEST_SIDE
from image_spans.conversation import Image
from image_spans.errors import ConfigError, words
from image_spans.slicing import Layout

Size: TypeAlias = tuple[int, int]
Edge: TypeAlias = tuple[Size, Size]
SizeRule: TypeAlias = Callable[[int, int], Layout | None]

GENERIC: tuple[Size, ...] = (
    (1, 1),
    (1, 200),
    (200, 1),
    (28, 28),
    (224, 224),
    (336, 336),
    (447, 449),
    (448, 448),
    (449, 449),
    (640, 480),
    (480, 640),
    (1024, 1024),
    (1920, 1080),
)
"""Telling sizes where no rule is known: tiny, model inputs, sides one off, photos in both orientations."""

CORNERS: tuple[Size, ...] = ((1, 1), (1, 200), (200, 1), (21, 4096), (4096, 21), (448, 448), (4096, 4096))
"""The limits of what :func:`images` draws: a rule that refuses sizes is seen to refuse one of them."""

_ASPECTS = ((1, 1), (2, 1), (1, 2), (3, 1), (1, 3), (4, 1), (1, 4), (10, 1), (1, 10), (200, 1), (1, 200))
_STEPS = (1, *range(32, 1024, 32), *range(1024, LARGEST_SIDE + 1, 128))
_CHANGES_PER_STEP = 3
_OFTEN = 4


def boundary_sizes(rule: SizeRule, *, limit: int = 60) -> tuple[Size, ...]:
    """Sizes on both sides of every change of a rule's layout, found by search: any rule will do.

    Along lines of equal aspect ratio the longer side grows from 1 to 4096; along two lines one side is long and the
    other grows, because a rule may look at nothing but the form of a large image. Each change of the layout between
    two steps is bisected. Kept in a cache; the smallest area comes first.

    Args:
        rule: from width and height in pixels to a layout. A ``ValueError`` means that it refuses the size: such
            sizes are left out. None means that the size does not tell the layout.
        limit: how many sizes at most. Changes to a layout not seen before come first, small images before
            large ones; of more than fit, half are the smallest and half are spread over the others.

    Returns:
        The sizes; a generic list when the rule knows no layout at all.
    """
    if limit < 10:
        raise InvalidArgument(f"limit is {limit}; expected at least 10")
    return _cached(rule, limit) if isinstance(rule, Hashable) else _boundary_sizes(rule, limit)


@lru_cache(maxsize=128)
def _cached(rule: SizeRule, limit: int) -> tuple[Size, ...]:
    return _boundary_sizes(rule, limit)


def accepts(rule: SizeRule, size: Size) -> bool:
    """Whether a rule takes this size."""
    return _layout(rule, size) is not None


def _boundary_sizes(rule: SizeRule, limit: int) -> tuple[Size, ...]:
    layout = cache(lambda size: _layout(rule, size))
    lines: list[Callable[[int], Size]] = [*(partial(_at, aspect=aspect) for aspect in _ASPECTS), _wide, _high]
    changes = [edge for line in lines for edge in _edges(layout, line)]
    always = [size for size in ((1, 1), (1, LARGEST_ASPECT), (LARGEST_ASPECT, 1)) if layout(size)]
    if not changes and not always:
        return tuple(size for size in GENERIC if layout(size)) or GENERIC
    squares = (edge for edge in changes if all(width == height for width, height in edge))
    square = next((edge for edge in squares if layout(edge[0]) and layout(edge[1])), None)
    if square is not None:  # one below, and a side on each side of it: rules go by area, or by either side
        (small, _), (large, _) = square
        near = range(max(1, small - 1), large + 1)
        always += [size for size in product(near, near) if layout(size)]
    found = dict.fromkeys(always)
    for edge in _telling(changes, layout, (limit - len(found)) // 2):
        found.update(dict.fromkeys(size for size in edge if layout(size)))
    return tuple(sorted(found, key=_by_area)[:limit])


def _telling(changes: list[Edge], layout: Callable[[Size], Layout | None], number: int) -> list[Edge]:
    """As many changes as asked for, those that show a new layout first."""
    seen: set[tuple[Layout | None, Layout | None]] = set()
    fresh: list[Edge] = []
    known: list[Edge] = []
    for edge in sorted(changes, key=lambda edge: _by_area(edge[1])):
        shown = (layout(edge[0]), layout(edge[1]))
        (known if shown in seen else fresh).append(edge)
        seen.add(shown)
    if len(fresh) <= number:
        return [*fresh, *known][:number]
    smallest, others = fresh[: number // 2], fresh[number // 2 :]
    spread = number - len(smallest)
    return [*smallest, *(others[(index + 1) * len(others) // spread - 1] for index in range(spread))]


def _edges(layout: Callable[[Size], Layout | None], line: Callable[[int], Size]) -> Iterator[Edge]:
    """The changes of the layout along one line."""
    for start, end in pairwise(_STEPS):
        low, last = start, layout(line(end))
        for _ in range(_CHANGES_PER_STEP):  # a rule that counts patches changes several times
            first = layout(line(low))
            if first == last:
                break
            top = end
            while top - low > 1:
                middle = (low + top) // 2
                if layout(line(middle)) == first:
                    low = middle
                else:
                    top = middle
            yield line(low), line(top)
            low = top


def _layout(rule: SizeRule, size: Size) -> Layout | None:
    try:
        return rule(*size)
    except ValueError:
        return None
    except Exception as error:  # the rule may be the user's
        raise ConfigError(f"the slice rule raised {words(error)} for an image of {size[0]}x{size[1]}") from error


def _at(longer: int, aspect: Size) -> Size:
    width, height = aspect
    return max(1, longer * width // max(aspect)), max(1, longer * height // max(aspect))


_LONG = 3001
"""No multiple of what rules shrink to, so that the shorter side is rounded in every way."""


def _wide(side: int) -> Size:
    return _LONG, min(max(side, -(-_LONG // LARGEST_ASPECT)), _LONG)


def _high(side: int) -> Size:
    return _wide(side)[::-1]


def _form(size: Size) -> int:
    """Square, wide or high."""
    width, height = size
    return 0 if width == height else 1 if width > height else 2


def _by_area(size: Size) -> tuple[int, int, int]:
    return size[0] * size[1], max(size), size[0]


def images(
    *,
    boundary_sizes: Sequence[Size] = (),
    min_side: int = 1,
    max_side: int = LARGEST_SIDE,
    any_size: bool = True,
    max_aspect: int = LARGEST_ASPECT,
) -> st.SearchStrategy[Image]:
    """Images by size; shrinks to ``min_side`` x ``min_side``, or to the smallest area that still fails.

    Args:
        boundary_sizes: telling sizes of the subject's rule, drawn often.
        min_side: no side is shorter, in pixels.
        max_side: no side is longer, in pixels. No side is more than 200 times the other, unless a boundary size is.
        any_size: whether other sizes are drawn too; False for a rule that refuses some.
        max_aspect: a smaller limit than 200; it holds for boundary sizes as well.
    """
    if not 1 <= max_aspect <= LARGEST_ASPECT:
        raise InvalidArgument(f"max_aspect is {max_aspect}; expected 1 to {LARGEST_ASPECT}")
    if not 1 <= min_side <= max_side:
        raise InvalidArgument(f"min_side is {min_side} and max_side {max_side}; expected 1 <= min_side <= max_side")
    for size in boundary_sizes:
        if len(size) != 2 or min(size) < 1:
            raise InvalidArgument(f"{size!r} among boundary_sizes is not a (width, height) in pixels")
    return _images(tuple(boundary_sizes), min_side, max_side, any_size, max_aspect)


@cache
def _images(
    boundary: tuple[Size, ...], min_side: int, max_side: int, any_size: bool, max_aspect: int
) -> st.SearchStrategy[Image]:
    longest = min(max_side, min_side * max_aspect)
    ordinary = ((min_side, min_side), (min_side, longest), (longest, min_side), *GENERIC) if any_size else ()
    narrow = max_aspect < LARGEST_ASPECT
    fitting = {
        size
        for size in (*boundary, *ordinary)
        if min_side <= min(size) and max(size) <= max_side and not (narrow and max(size) > max_aspect * min(size))
    }
    if not fitting:
        raise InvalidArgument(
            f"any_size=False, and none of boundary_sizes has sides from {min_side} to {max_side} pixels"
        )
    # In one draw, with the smaller ones of the same form before each: so a failure shrinks to the smallest telling
    # size that shows it.
    # Hypothesis repeats itself within a run: of a hundred conversations' images, some thirty differ. Hence the smaller
    # boundaries, where slicing begins, are there several times.
    often = set(sorted(set(boundary) & fitting, key=_by_area)[: len(boundary) // 3])
    telling = [
        Image(*size)
        for size in sorted(fitting, key=lambda size: (_form(size), _by_area(size)))
        for _ in range(_OFTEN if size in often else 1)
    ]
    if not any_size or min_side == max_side:
        return st.sampled_from(telling)
    others = (None,) * (1 + len(telling) // 6)
    return _telling_or_other(
        st.sampled_from((*telling, *others)),
        st.sampled_from(("any", "wide", "high")),
        st.integers(min_side, min(max_side, max(min_side, 1200))),
        st.integers(min_side, min(max_side, min_side + 20)),
        st.integers(min_side, max_side),
        max_aspect,
    )


@st.composite
def _telling_or_other(
    draw: st.DrawFn,
    telling: st.SearchStrategy[Image | None],
    forms: st.SearchStrategy[str],
    moderate: st.SearchStrategy[int],
    short: st.SearchStrategy[int],
    any_side: st.SearchStrategy[int],
    max_aspect: int,
) -> Image:
    image = draw(telling)
    if image is not None:
        return image
    form = draw(forms)
    if form == "any":
        width, height = draw(moderate), draw(moderate)
        return Image(max(width, -(-height // max_aspect)), max(height, -(-width // max_aspect)))
    longer = draw(any_side)
    shorter = max(draw(short), -(-longer // max_aspect))
    return Image(longer, shorter) if form == "wide" else Image(shorter, longer)
