"""Do the strategies try what they promise to try, and do failures shrink to what a person can read?"""

from __future__ import annotations

import random
import unicodedata
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from image_spans import strategies
from image_spans.conversation import Conversation, Image, Message, Text
from image_spans.strategies import POSITIONS, Profile
from support import contract

PROFILE = Profile.of(contract())
SPELLINGS = ("<image>", "</image>", "<slice>", "</slice>", "<image_id>", "</image_id>", "<pad>", "<s>", "</s>")
HAZARDOUS = Profile.of(contract(), spellings=SPELLINGS)
WITH_IMAGES = [position for position in POSITIONS if position != "none"]


def drawn(strategy: st.SearchStrategy[Any], number: int = 100) -> list[Any]:
    """What a run of ``number`` examples draws."""
    found = []

    @settings(
        max_examples=number,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(value: Any) -> None:
        found.append(value)

    collect()
    return found


def ordinary(position: str) -> list[Conversation]:
    return drawn(strategies.conversations(position=position, profile=PROFILE))


def hazardous(position: str) -> list[Conversation]:
    return drawn(strategies.conversations(position=position, profile=HAZARDOUS, hazard=True), 50)


def labels(conversations: list[Conversation], profile: Profile = PROFILE) -> Counter[str]:
    return Counter(label for conversation in conversations for label in strategies.describe(conversation, profile))


def smallest(position: str, shows: Callable[[Conversation], bool], *, hazard: bool = False, seed: int = 0) -> Any:
    """What a failure on conversations that show something shrinks to."""
    return find(
        strategies.conversations(position=position, profile=HAZARDOUS if hazard else PROFILE, hazard=hazard),
        shows,
        settings=settings(
            max_examples=1000, database=None, deadline=None, derandomize=False, phases=[Phase.generate, Phase.shrink]
        ),
        random=random.Random(seed),
    )


def area(image: Image) -> int:
    return image.width * image.height


def typed(conversation: Conversation, *roles: str) -> list[str]:
    return [
        part.text
        for message in conversation.messages
        if not roles or message.role in roles
        for part in message.parts
        if isinstance(part, Text)
    ]


# What is tried


@pytest.mark.parametrize("position", POSITIONS)
def test_every_conversation_hits_its_position(position: str) -> None:
    for conversation in [*ordinary(position), *hazardous(position)]:
        assert position in strategies.positions_of(conversation, PROFILE), conversation


@pytest.mark.parametrize("position", POSITIONS)
def test_the_default_budget_reaches_everything(position: str) -> None:
    found = labels(ordinary(position))
    wanted = {
        *("message of system", "message of assistant", "user last", "assistant last"),
        *("message of several parts", "empty text"),
        *("blank or newline first in a text", "blank or newline last in a text"),
    }
    if position != "none":
        wanted |= {"small image", "large image", "image at a boundary", "extreme aspect ratio"}
    assert wanted <= set(found)


def test_zero_to_four_images_and_one_to_four_turns_are_reached() -> None:
    found: Counter[str] = Counter()
    for position in POSITIONS:
        found += labels(ordinary(position))
    assert {f"{images} images" for images in range(5)} <= set(found)
    assert {f"{turns} turns" for turns in range(1, 5)} <= set(found)


@pytest.mark.parametrize("position", WITH_IMAGES)
def test_both_sides_of_the_threshold_are_reached(position: str) -> None:
    sizes = {image for conversation in ordinary(position) for image in conversation.images}
    rule = contract().layout
    near = [image for image in sizes if abs(area(image) - 448 * 448) <= 449]
    assert {rule(image.width, image.height, 1).sliced for image in near} == {True, False}
    assert any(1 in (image.width, image.height) for image in sizes)


def test_most_grids_and_boundaries_are_reached_over_the_positions() -> None:
    def grid(size: tuple[int, int]) -> tuple[int, int] | None:
        layout = contract().layout(*size, 1)
        return (len(layout.grid[0]), len(layout.grid)) if layout.sliced else None

    sizes = {
        (image.width, image.height)
        for position in WITH_IMAGES
        for conversation in ordinary(position)
        for image in conversation.images
    }
    grids = set(map(grid, PROFILE.boundary_sizes))
    assert len(grids) > 18  # 1 x 2 to 1 x 9 and their like
    assert len(grids - set(map(grid, sizes))) <= 4
    assert len(set(PROFILE.boundary_sizes) & sizes) >= len(PROFILE.boundary_sizes) * 2 // 3


def test_each_boundary_is_drawn() -> None:
    sizes = {
        (image.width, image.height) for image in drawn(strategies.images(boundary_sizes=PROFILE.boundary_sizes), 2000)
    }
    assert set(PROFILE.boundary_sizes) <= sizes
    assert len(sizes - set(PROFILE.boundary_sizes)) > 100


def test_hazards_are_reached() -> None:
    found: Counter[str] = Counter()
    for position in POSITIONS:
        here = labels(hazardous(position), HAZARDOUS)
        found += here
        assert {"hazard typed by user", "hazard typed by assistant"} <= set(here), position
    assert {f"hazard: {kind}" for kind in strategies.HAZARDS} <= set(found)
    assert found["hazard typed by system"] >= 5


def test_every_hazardous_conversation_holds_a_hazard() -> None:
    for position in POSITIONS:
        for conversation in hazardous(position):
            assert any(strategies.hazards_in(text, SPELLINGS) for text in typed(conversation)), conversation


def test_many_scripts_are_reached() -> None:
    letters = "".join(drawn(strategies.texts(), 400))
    names = {unicodedata.name(letter, "").partition(" ")[0] for letter in letters}
    wanted = {"LATIN", "CYRILLIC", "GREEK", "ARABIC", "HEBREW", "DEVANAGARI", "THAI", "CJK", "HIRAGANA", "HANGUL"}
    assert wanted <= names
    assert "\u200d" in letters  # emoji made of several


def test_ordinary_text_spells_no_marker_in_any_normal_form() -> None:
    for text in drawn(strategies.texts(), 1000):
        for form in ("NFC", "NFKC", "NFD", "NFKD"):
            assert not set("<>[]|") & set(unicodedata.normalize(form, text)), ascii(text)
        assert not text or not unicodedata.category(text[0]).startswith("M"), ascii(text)
        text.encode()


def test_roles_alternate() -> None:
    for position in POSITIONS:
        for conversation in ordinary(position):
            roles = [message.role for message in conversation.messages if message.role != "system"]
            assert roles == [("user", "assistant")[index % 2] for index in range(len(roles))]
            assert "system" not in [message.role for message in conversation.messages[1:]]


# What failures shrink to

ONE = Image(1, 1)


@pytest.mark.parametrize(
    ("position", "parts"),
    [
        ("start", [ONE, Text("a")]),
        ("middle", [Text("a"), ONE, Text("a")]),
        ("end", [Text("a"), ONE]),
        ("alone", [ONE]),
        ("adjacent", [ONE, ONE]),
        ("every_message", [ONE]),
        ("none", [Text("")]),
    ],
)
def test_the_smallest_conversation(position: str, parts: list[Text | Image]) -> None:
    for seed in range(3):
        assert smallest(position, lambda _: True, seed=seed) == Conversation([Message("user", parts)])
        assert smallest(position, lambda found: len(str(found)) > 10, seed=seed) == Conversation(
            [Message("user", parts)]
        )


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize(
    ("shows", "images", "at"),
    [
        # What to show, with how many images, and at which positions the focus message alone can show it.
        pytest.param(
            lambda c: any(isinstance(m.parts[0], Image) for m in c.messages),
            1,
            {"start", "alone", "adjacent", "every_message"},
            id="image first",
        ),
        pytest.param(
            lambda c: any(m.images and m.parts[-1] is m.images[-1] and len(m.parts) > 1 for m in c.messages),
            1,
            {"end", "adjacent", "every_message"},
            id="image last, not alone",
        ),
        pytest.param(lambda c: any(area(i) > 448 * 448 for i in c.images), 1, {*WITH_IMAGES}, id="large image"),
        pytest.param(lambda c: any(i.width > i.height for i in c.images), 1, {*WITH_IMAGES}, id="wide image"),
        pytest.param(lambda c: len(c.images) > 1, 2, {"adjacent"}, id="two images"),
        pytest.param(lambda c: len(set(c.images)) > 1, 2, {"adjacent"}, id="two sizes"),
        pytest.param(lambda c: any(typed(c, "assistant")), 0, {*POSITIONS}, id="an answer"),
        pytest.param(lambda c: any(t[:1] == "\n" for t in typed(c)), 0, {*POSITIONS}, id="newline first"),
        pytest.param(lambda c: any(t[-1:] == " " for t in typed(c)), 0, {*POSITIONS}, id="blank last"),
        pytest.param(lambda c: any(not t.isascii() for t in typed(c)), 0, {*POSITIONS}, id="not ASCII"),
    ],
)
def test_a_failure_shrinks(position: str, shows: Callable[[Conversation], bool], images: int, at: set[str]) -> None:
    if position == "none" and images:
        pytest.skip("no images there")
    least = max(images, {"none": 0, "adjacent": 2}.get(position, 1))
    results = [smallest(position, shows, seed=seed) for seed in range(3)]
    for found in results:
        # What only another turn showed stays there: it takes two more messages, and may be one more image.
        assert len(found.messages) <= 4, found
        assert len(found.images) <= least + 1, found
        assert sum(map(area, found.images)) <= 449 * 449 + len(found.images), found
        assert all(len(text) <= 4 for text in typed(found)), found
    if position in at:
        assert any(len(found.messages) <= 2 and len(found.images) == least for found in results), results
    assert sum(len(found.messages) for found in results) <= 3 * (2 if position in at else 3) + 2, results


@pytest.mark.parametrize("position", WITH_IMAGES)
def test_a_large_image_shrinks_to_the_threshold(position: str) -> None:
    found = smallest(position, lambda c: any(contract().layout(i.width, i.height, 1).sliced for i in c.images))
    areas = sorted(map(area, found.images))
    assert 448 * 448 < areas[-1] <= 449 * 449
    assert set(areas[:-1]) <= {1}


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("role", ["user", "assistant", "system"])
def test_a_typed_marker_shrinks_to_itself(position: str, role: str) -> None:
    found = smallest(
        position, lambda c: any(marker in text for text in typed(c, role) for marker in SPELLINGS), hazard=True
    )
    assert len(found.messages) <= 4
    assert max(typed(found, role), key=len) in SPELLINGS, found
    assert len(found.images) <= {"none": 0, "adjacent": 2, "every_message": 2}.get(position, 1), found
    assert all(area(image) == 1 for image in found.images)
