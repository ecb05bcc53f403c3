"""Whole conversations. Where the images stand is an argument, never left to chance."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

from hypothesis import event
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from image_spans.conversation import Conversation, Image, Message, Text
from image_spans.strategies.hazards import unrecorded
from image_spans.strategies.labels import describe
from image_spans.strategies.profile import Profile, inapplicable
from image_spans.strategies.sizes import images
from image_spans.strategies.texts import texts

# The parts of the focus message, simplest first: i an image, T a text that is not empty, t any text.
# Whether a position is hit must not depend on chance, so every shape of a position hits it.
_SHAPES = {
    "start": ("iT", "iT", "iTt", "iTi", "iTiT"),
    "middle": ("TiT", "TiT", "TTiT", "TiTt", "TiTiT"),
    "end": ("Ti", "Ti", "TTi", "tTi", "TiTi", "iTi"),
    "alone": ("i",),
    "adjacent": ("ii", "iit", "tii", "tiit", "iii", "iiit", "tiii", "tiiit"),
    "every_message": ("i", "it", "ti", "tit"),
    "none": ("t", "t", "tt", "ttt"),
}
# Of the other messages.
_TEXT_ONLY = ("t", "t", "t", "tt", "ttt")
_TEXT_OR_IMAGE = ("t", "t", "t", "t", "i", "ti", "it", "tt", "tit", "ttt")

Row: TypeAlias = tuple[str, "list[str | Image]"]
"""A message in the making: its role and parts."""
Rows: TypeAlias = st.SearchStrategy[Row]


def conversations(
    *, position: str, profile: Profile, max_turns: int = 4, hazard: bool = False, min_side: int = 1
) -> st.SearchStrategy[Conversation]:
    """Conversations whose focus message has its images at ``position``, among other turns.

    Shrinks to the focus message alone, with one image of ``min_side`` x ``min_side`` (two for ``adjacent``) and as
    little text as the position allows. What was drawn is recorded by :func:`hypothesis.event`.

    Args:
        position: where the images of the focus message stand, one of :data:`POSITIONS`; the other messages hold
            images anywhere, but none with ``none``, and each at least one with ``every_message``.
        profile: roles, limits, sizes and spellings.
        max_turns: how many turns at most: a message of the first role and, mostly, the answer.
        hazard: whether at least one message, of any role, holds hazardous text; needs ``profile.spellings``.
        min_side: the shortest side of any image, in pixels.
    """
    reason = inapplicable(position, profile)
    if reason is not None:
        raise InvalidArgument(f"no conversation has images at position {position!r}: {reason}")
    if type(max_turns) is not int or max_turns < 1:
        raise InvalidArgument(f"max_turns is {max_turns!r}; expected a whole number from 1")
    if hazard and not profile.spellings:
        raise InvalidArgument("hazard=True needs spellings in the profile")
    if position == "alone" and profile.least > 1 and max_turns == 1:
        raise InvalidArgument(f"one image alone in its message, and {profile.least} images at least, take max_turns=2")
    if position == "alone" and hazard and max_turns == 1 and len(profile.speakers) == 1:
        raise InvalidArgument("one image alone in its message, and hazardous text of the same role, take max_turns=2")
    return _conversations(_plan(position, profile, max_turns, hazard, min_side))


@dataclass(frozen=True)
class _Plan:
    """The strategies of the pieces, made once."""

    position: str
    profile: Profile
    role: str
    """Of the focus message."""
    focus: Rows
    place: st.SearchStrategy[int]
    """How many turns come before the focus message."""
    opening: st.SearchStrategy[list[Row]]
    """What the lead says first when the focus message is an answer."""
    turns: st.SearchStrategy[list[tuple[Row | None, ...]]]
    """Two messages each, in the order in which they follow the focus message; no answer where there is one role."""
    whole_turns: int
    """So many fit; of one more, only the answer to the focus message."""
    open_end: st.SearchStrategy[bool]
    """Whether the lead has the last word."""
    system: st.SearchStrategy[list[Row]]
    hazards: st.SearchStrategy[list[tuple[int, str]]]
    """Where to and which."""
    pictures: st.SearchStrategy[Image]
    filled: st.SearchStrategy[str]


@cache
def _plan(position: str, profile: Profile, max_turns: int, hazard: bool, min_side: int) -> _Plan:
    pictures = images(
        boundary_sizes=profile.boundary_sizes,
        min_side=max(min_side, profile.min_side),
        max_side=profile.max_side,
        any_size=profile.any_size,
        max_aspect=profile.max_aspect,
    )
    filled = texts(min_size=1)
    kinds = {"T": filled, "t": texts() if profile.empty_text else filled}
    room = profile.most - 1

    def said(*roles: str) -> Rows:
        """A message of one of the roles, with images where these may stand."""
        shapes = {"none": _TEXT_ONLY, "every_message": _SHAPES["every_message"]}.get(position, _TEXT_OR_IMAGE)
        return st.one_of(
            [_rows(role, shapes if role in profile.images_in else _TEXT_ONLY, pictures, kinds) for role in roles]
        )

    def fits(*roles: str) -> bool:
        """Whether one more message of these roles fits: with ``every_message`` it may cost an image."""
        nonlocal room
        cost = int(position == "every_message" and any(role in profile.images_in for role in roles))
        if cost > room:
            return False
        room -= cost
        return True

    lead, *answering = profile.speakers
    role = profile.images_in[0] if profile.images_in else lead
    shapes = tuple(shape for shape in _SHAPES[position] if shape.count("i") <= profile.most)
    opens = role in answering and fits(lead)
    answered = bool(answering) and role == lead and fits(*answering)
    system = "system" in set(profile.roles) - {role, lead} and fits("system")
    whole = 0
    while whole < max_turns - (role in profile.speakers) and fits(lead) and fits(*answering):
        whole += 1
    question, answer = said(lead), said(*answering) if answering else st.none()
    return _Plan(
        position=position,
        profile=profile,
        role=role,
        focus=_rows(role, shapes, pictures, kinds),
        place=st.sampled_from((*[0] * whole, *range(whole + 1)) if role in profile.speakers else (0,)),
        opening=st.lists(said(lead), min_size=1, max_size=1) if opens else _no_rows,
        turns=st.lists(
            st.tuples(answer, question) if role == lead else st.tuples(question, answer), max_size=whole + answered
        ),
        whole_turns=whole,
        open_end=st.booleans(),
        system=st.lists(said("system"), max_size=1) if system else _no_rows,
        hazards=st.lists(st.tuples(st.integers(0, 15), unrecorded(profile.spellings)), min_size=1, max_size=3)
        if hazard
        else st.just([]),
        pictures=pictures,
        filled=filled,
    )


_no_rows: st.SearchStrategy[list[Row]] = st.builds(list)


def _rows(
    role: str,
    shapes: tuple[str, ...],
    pictures: st.SearchStrategy[Image],
    kinds: dict[str, st.SearchStrategy[str]],
) -> Rows:
    return _shaped(role, st.sampled_from(shapes), pictures, kinds)


@st.composite
def _shaped(
    draw: st.DrawFn,
    role: str,
    shapes: st.SearchStrategy[str],
    pictures: st.SearchStrategy[Image],
    kinds: dict[str, st.SearchStrategy[str]],
) -> Row:
    # Images first: when a shape shrinks to one with fewer, either of them can be the one that stays.
    shape = draw(shapes)
    drawn = iter([draw(pictures) for letter in shape if letter == "i"])
    return role, [next(drawn) if letter == "i" else draw(kinds[letter]) for letter in shape]


@st.composite
def _conversations(draw: st.DrawFn, plan: _Plan) -> Conversation:
    # The focus message is drawn first and the others as lists that can be deleted, so that failures shrink to it.
    # No draw depends on an earlier one more than it must: what is deleted then leaves the rest as it was.
    focus, place, opening, turns = draw(plan.focus), draw(plan.place), draw(plan.opening), draw(plan.turns)
    open_end, system, hazards = draw(plan.open_end), draw(plan.system), draw(plan.hazards)

    lead, *answering = plan.profile.speakers
    before = [row for turn in turns[:place] for row in (turn[::-1] if plan.role == lead else turn) if row is not None]
    after = [row for turn in turns[place:] for row in turn if row is not None]
    if answering and after and (after[-1][0] == lead) != (open_end and len(turns) <= plan.whole_turns):
        after.pop()
    rows = [*system, *before, *opening, focus, *after]

    _limit(rows, focus, plan.profile.most)
    missing = plan.profile.least - sum(isinstance(part, Image) for _, parts in rows for part in parts)
    if missing > 0:
        _add(rows, focus, [draw(plan.pictures) for _ in range(missing)], draw(plan.filled), plan)
    _type(rows, focus, hazards, plan)
    conversation = Conversation(
        Message(role, [Text(part) if isinstance(part, str) else part for part in parts]) for role, parts in rows
    )
    for label in describe(conversation, plan.profile):
        event(label)
    return conversation


def _limit(rows: list[Row], focus: Row, most: int) -> None:
    """Leave out images beyond the limit; those of the focus message stay."""
    spare = most - sum(isinstance(part, Image) for part in focus[1])
    for index, (role, parts) in enumerate(rows):
        if rows[index] is focus:
            continue
        kept = []
        for part in parts:
            if isinstance(part, Image):
                spare -= 1
                if spare < 0:
                    continue
            kept.append(part)
        rows[index] = role, kept or ["a"]


def _add(rows: list[Row], focus: Row, pictures: list[Image], text: str, plan: _Plan) -> None:
    """Add images that the limits ask for, where they do not change the position."""
    parts = focus[1]
    if plan.position == "end":
        parts[:0] = pictures
    elif plan.position == "adjacent":
        parts += [text, *pictures]
    elif plan.position != "alone":
        parts += pictures
    else:
        hosts = [row for row in rows if row is not focus and row[0] in plan.profile.images_in]
        if not hosts:
            lead, *answering = plan.profile.speakers
            role = next(role for role in plan.profile.images_in if role in plan.profile.speakers)
            turn = lead if role != lead else answering[0] if answering else role
            if turn != role and (rows[-1][0] == role or (role != lead and rows[-1][0] != lead)):
                rows.append((turn, [text]))
            hosts = [(role, [])]
            rows += hosts
        hosts[0][1].extend(pictures)


def _type(rows: list[Row], focus: Row, hazards: list[tuple[int, str]], plan: _Plan) -> None:
    """Put each hazard in the place of a text, those of the focus message first."""
    ordered = [focus, *(row for row in rows if row is not focus)]
    spots = [(parts, index) for _, parts in ordered for index, part in enumerate(parts) if isinstance(part, str)]
    free = list(range(len(spots)))
    for number, (where, text) in enumerate(hazards):
        if free:
            taken = min(free, key=lambda spot: (spot - where) % len(spots))  # its own spot, or the next free one
            free.remove(taken)
            parts, index = spots[taken]
            parts[index] = text
        elif number:
            break
        elif plan.position != "alone":
            focus[1].append(text)
        elif rows[-1] is not focus:
            rows[-1][1].append(text)
        else:
            others = [role for role in plan.profile.speakers if role != plan.role]
            rows.append((others[0] if others else plan.role, [text]))
