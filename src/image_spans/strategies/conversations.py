"""Whole conversations. Where the images stand is an argument, never left to chance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from hypothesis import event
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from image_spans.contract import Contract
from image_spans.conversation import Conversation, Image, Message, Part, Text
from image_spans.errors import nearest
from image_spans.strategies.sizes import GENERIC, Size, boundary_sizes, images
from image_spans.strategies.texts import hazard_texts, hazards_in, texts

POSITIONS = ("start", "middle", "end", "alone", "adjacent", "every_message", "none")
"""Where images stand: before, between, after non-empty text; without text; beside each other; in every message that may
hold them; nowhere."""


@dataclass(frozen=True)
class Profile:
    """All that the draws depend on; subjects with equal profiles share their conversations."""

    roles: tuple[str, ...] = ("system", "user", "assistant")
    images_in: tuple[str, ...] = ("user",)
    least: int = 0
    most: int = 4
    empty_text: bool = True
    boundary_sizes: tuple[Size, ...] = GENERIC
    spellings: tuple[str, ...] = ()
    """Texts from which hazards are built; empty: ordinary text only."""

    @staticmethod
    def of(contract: Contract, spellings: tuple[str, ...] = ()) -> Profile:
        """The profile of a contract."""
        given = contract.input
        return Profile(
            given.roles,
            given.images_in,
            given.images.least,
            given.images.most,
            given.empty_text == "allowed",
            _sizes_of(contract),
            spellings,
        )


def _sizes_of(contract: Contract) -> tuple[Size, ...]:
    if contract.images.slots == "from_features":
        return GENERIC
    found = contract.__dict__.get("_boundary_sizes")
    if found is None:  # kept on the contract: models are not hashable
        found = contract.__dict__["_boundary_sizes"] = boundary_sizes(lambda w, h: contract.layout(w, h, 1))
    sizes: tuple[Size, ...] = found
    return sizes if len(sizes) > 3 else tuple(dict.fromkeys((*sizes, *GENERIC)))


def applies(position: str, profile: Profile) -> bool:
    """Whether conversations with images at this position are inside the limits of a profile."""
    if position not in POSITIONS:
        raise InvalidArgument(f"unknown position {position!r}{nearest(position, POSITIONS)}")
    if position == "none":
        return profile.least == 0
    return profile.most >= (2 if position == "adjacent" else 1) and bool(profile.images_in)


def conversations(
    *, position: str, profile: Profile, max_turns: int = 4, hazard: bool = False, min_side: int = 1
) -> st.SearchStrategy[Conversation]:
    """Conversations of up to ``max_turns`` messages of the first asking role, with their answers.

    Args:
        position: where the images of the first drawn message stand, one of :data:`POSITIONS`.
        profile: roles, limits, sizes and spellings.
        max_turns: how many turns (a message and its answer) at most.
        hazard: whether texts spell markers; needs ``profile.spellings``.
        min_side: the shortest side of any image, in pixels.

    Shrinks to one message with one image of ``min_side`` x ``min_side`` and as little text as the position allows.
    """
    if not applies(position, profile):
        raise InvalidArgument(f"the profile allows no conversation with images at position {position!r}")
    if max_turns < 1:
        raise InvalidArgument(f"max_turns is {max_turns}; expected at least 1")
    if hazard and not profile.spellings:
        raise InvalidArgument("hazard=True needs spellings in the profile")
    return _conversations(position, profile, max_turns, hazard, min_side)


@cache
def _conversations(
    position: str, profile: Profile, max_turns: int, hazard: bool, min_side: int
) -> st.SearchStrategy[Conversation]:
    least = 0 if profile.empty_text else 1
    plain = texts(min_size=least)
    filled = texts(min_size=1)
    pictures = images(boundary_sizes=profile.boundary_sizes, min_side=min_side)
    asking, answering = _roles(profile)
    kinds = {
        "start": st.builds(lambda i, t, more: [i, t, *more], pictures, filled, _tail(plain, pictures)),
        "middle": st.builds(lambda t, i, u, more: [t, i, u, *more], filled, pictures, filled, _tail(plain, pictures)),
        "end": st.builds(lambda more, t, i: [*more, t, i], _tail(plain, pictures), filled, pictures),
        "alone": st.builds(lambda i: [i], pictures),
        "adjacent": st.builds(
            lambda group, before, after: [*before, *group, *after],
            st.lists(pictures, min_size=2, max_size=3),
            st.lists(filled, max_size=1),
            st.lists(filled, max_size=1),
        ),
        "every_message": st.builds(lambda t, i, u: [*t, i, *u], _some(plain), pictures, _some(plain)),
        "none": st.lists(plain, min_size=1, max_size=2),
    }
    # The focus message is drawn first and the rest as lists that can be deleted, so that failures shrink to it.
    answer = st.lists(st.lists(plain, min_size=1, max_size=2), max_size=1)
    elsewhere = kinds["every_message" if position == "every_message" else "none"]
    if position not in ("none", "every_message"):
        elsewhere = st.one_of(elsewhere, st.builds(lambda t, i: [t, i], plain, pictures))
    turn = st.tuples(elsewhere, answer)
    drawn = st.tuples(
        kinds[position],
        answer,
        st.lists(turn, max_size=max_turns - 1),
        st.integers(0, max_turns - 1),
        st.lists(plain, max_size=1) if "system" in profile.roles else st.just([]),
        st.lists(st.tuples(st.integers(0, 7), hazard_texts(profile.spellings)), min_size=1, max_size=2)
        if hazard
        else st.just([]),
    )
    compose = _Composer(position, profile, asking, answering)
    return drawn.map(compose)


def _tail(plain: Any, pictures: Any) -> Any:
    """Mostly nothing more; sometimes another image with text."""
    return st.lists(st.one_of(plain, pictures), max_size=2)


def _some(plain: Any) -> Any:
    return st.lists(plain, max_size=1)


def _roles(profile: Profile) -> tuple[str, str | None]:
    """The role that holds the images, and the one that answers it."""
    talking = [role for role in profile.roles if role != "system"] or list(profile.roles)
    asking = next((role for role in profile.images_in if role in talking), talking[0])
    answering = next((role for role in talking if role != asking), None)
    return asking, answering


class _Composer:
    """Puts the drawn pieces together: turns around the focus message, hazards into texts, limits kept."""

    def __init__(self, position: str, profile: Profile, asking: str, answering: str | None) -> None:
        self._position = position
        self._profile = profile
        self._asking = asking
        self._answering = answering

    def __call__(self, drawn: tuple[Any, ...]) -> Conversation:
        focus, answer, others, place, system, hazards = drawn
        turns: list[tuple[list[Any], list[Any]]] = list(others)
        at = min(place, len(turns))
        if at and not answer and not turns[at:]:
            answer = []  # the focus message ends the conversation unanswered
        turns.insert(at, (focus, answer))
        rows: list[tuple[str, list[Any]]] = [("system", [text]) for text in system]
        for number, (asked, answered) in enumerate(turns):
            rows.append((self._asking, asked))
            if self._answering is None:
                continue
            if answered:
                rows.append((self._answering, answered[0]))
            elif number + 1 < len(turns):
                rows.append((self._answering, ["a"]))  # roles alternate
        if self._position == "every_message":
            for role, parts in rows:
                if role in self._profile.images_in and not any(isinstance(part, Image) for part in parts):
                    parts.append(focus[next(k for k, part in enumerate(focus) if isinstance(part, Image))])
        self._type(rows, hazards)
        conversation = Conversation(Message(role, self._parts(parts)) for role, parts in self._limit(rows, focus))
        for label in describe(conversation, self._profile):
            event(label)
        return conversation

    def _type(self, rows: list[tuple[str, list[Any]]], hazards: list[tuple[int, str]]) -> None:
        """Put each hazard in the place of a text, or behind the parts of a message that has none."""
        for number, (where, text) in enumerate(hazards):
            row = (where if number == 0 else where + 1) % len(rows)
            parts = rows[row][1]
            texts_at = [index for index, part in enumerate(parts) if isinstance(part, str)]
            if texts_at:
                index = texts_at[where % len(texts_at)]
                rows[row] = (rows[row][0], [*parts[:index], text, *parts[index + 1 :]])
            else:
                rows[row] = (rows[row][0], [*parts, text])

    def _limit(self, rows: list[tuple[str, list[Any]]], focus: list[Any]) -> list[tuple[str, list[Any]]]:
        """Leave out images beyond the limit; those of the focus message are kept."""
        spare = self._profile.most - sum(isinstance(part, Image) for part in focus)
        limited = []
        for role, parts in rows:
            kept = []
            own = self._is_focus(parts, focus)
            for part in parts:
                if isinstance(part, Image) and not own:
                    if spare <= 0 or role not in self._profile.images_in:
                        continue
                    spare -= 1
                kept.append(part)
            limited.append((role, kept or [""]))
        if spare < 0:
            first = next(index for index, (_, parts) in enumerate(limited) if self._is_focus(parts, focus))
            limited[first] = (limited[first][0], _without_last_images(limited[first][1], -spare))
        missing = self._profile.least - sum(isinstance(p, Image) for _, parts in limited for p in parts)
        if missing > 0:
            first = next(index for index, (role, _) in enumerate(limited) if role in self._profile.images_in)
            limited[first] = (limited[first][0], [*limited[first][1], *[Image(1, 1)] * missing])
        return limited

    def _is_focus(self, parts: list[Any], focus: list[Any]) -> bool:
        pictures = [part for part in focus if isinstance(part, Image)]
        mine = [part for part in parts if isinstance(part, Image)]
        return (
            bool(pictures) and len(mine) == len(pictures) and all(a is b for a, b in zip(mine, pictures, strict=True))
        )

    def _parts(self, parts: list[Any]) -> list[Part]:
        return [part if isinstance(part, Image) else Text(part) for part in parts]


def _without_last_images(parts: list[Any], count: int) -> list[Any]:
    kept = []
    for part in reversed(parts):
        if isinstance(part, Image) and count:
            count -= 1
            continue
        kept.append(part)
    return kept[::-1]


_LABELS: tuple[tuple[str, Callable[[Conversation], bool]], ...] = (
    ("system message", lambda c: c.messages[0].role == "system"),
    ("answer last", lambda c: c.messages[-1].role == "assistant"),
    ("empty text", lambda c: any(not text for text in _typed(c))),
    ("blank or newline at an edge", lambda c: any(text != text.strip() for text in _typed(c))),
    ("message of several parts", lambda c: any(len(message.parts) > 2 for message in c.messages)),
    ("tiny image", lambda c: any(image.width * image.height < 64 for image in c.images)),
    ("large image", lambda c: any(image.width * image.height > 448 * 448 for image in c.images)),
    (
        "extreme aspect ratio",
        lambda c: any(max(i.width, i.height) >= 10 * min(i.width, i.height) for i in c.images),
    ),
)


def describe(conversation: Conversation, profile: Profile) -> list[str]:
    """What a conversation tries, in words; the events of the strategies and our statistics."""
    labels = [f"{len(conversation.images)} images"]
    asked = sum(message.role in profile.images_in for message in conversation.messages)
    labels.append(f"{asked} turns")
    labels += [label for label, holds in _LABELS if holds(conversation)]
    boundary = set(profile.boundary_sizes)
    if any((image.width, image.height) in boundary for image in conversation.images):
        labels.append("image at a boundary of the slice rule")
    if profile.spellings:
        found = {kind for text in _typed(conversation) for kind in hazards_in(text, profile.spellings)}
        labels += [f"hazard: {kind}" for kind in sorted(found)]
    return labels


def _typed(conversation: Conversation) -> list[str]:
    return [part.text for message in conversation.messages for part in message.parts if isinstance(part, Text)]
