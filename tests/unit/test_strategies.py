"""Arguments, boundary sizes, labels: what the strategies do without drawing much."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument, NoSuchExample

from image_spans import strategies
from image_spans.conversation import Conversation, Image, Message, Text
from image_spans.slicing import Block, Layout, minicpm, pixtral
from image_spans.strategies import POSITIONS, Profile
from image_spans.strategies.texts import MARKER_LIKE
from support import contract

QUICK = settings(
    max_examples=30, database=None, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


def minicpm_rule(width: int, height: int) -> Layout:
    return minicpm.layout(width, height, 1)


# Arguments


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: strategies.texts(min_size=-1), "min_size is -1"),
        (lambda: strategies.texts(min_size="1"), "min_size is '1'"),  # type: ignore[arg-type]
        (lambda: strategies.images(min_side=0), "min_side is 0"),
        (lambda: strategies.images(min_side=9, max_side=8), "min_side is 9 and max_side 8"),
        (lambda: strategies.images(boundary_sizes=[(0, 1)]), r"\(0, 1\) among boundary_sizes"),
        (lambda: strategies.images(boundary_sizes=[(9, 9)], any_size=False, max_side=5), "none of boundary_sizes"),
        (lambda: strategies.boundary_sizes(minicpm_rule, limit=3), "limit is 3"),
        (lambda: strategies.hazard_texts(()), "at least one text"),
        (lambda: strategies.hazard_texts("<image>"), "in a sequence"),
        (lambda: strategies.hazard_texts(["", "a"]), "non-empty"),
        (lambda: strategies.conversations(position="begin", profile=Profile()), "unknown position 'begin'"),
        (lambda: strategies.conversations(position="every-message", profile=Profile()), "did you mean 'every_message'"),
        (lambda: strategies.conversations(position="start", profile=Profile(), max_turns=0), "max_turns is 0"),
        (lambda: strategies.conversations(position="start", profile=Profile(), hazard=True), "needs spellings"),
        (lambda: strategies.conversations(position="adjacent", profile=Profile(most=1)), "at most 1 images"),
        (lambda: strategies.conversations(position="start", profile=Profile(most=0)), "at most 0 images"),
        (lambda: strategies.conversations(position="start", profile=Profile(images_in=())), "no role may hold"),
        (lambda: strategies.conversations(position="none", profile=Profile(least=1)), "at least 1 images"),
        (lambda: strategies.conversations(position="alone", profile=Profile(least=2), max_turns=1), "max_turns=2"),
        (lambda: Profile(roles=()), "at least one role"),
        (lambda: Profile(images_in=("usr",)), "did you mean 'user'"),
        (lambda: Profile(least=2, most=1), "least is 2 and most 1"),
    ],
)
def test_a_wrong_argument_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        make()


@pytest.mark.parametrize("position", POSITIONS)
def test_a_position_applies_unless_there_is_a_reason(position: str) -> None:
    assert strategies.applies(position, Profile())
    assert strategies.inapplicable(position, Profile()) is None
    assert strategies.applies(position, Profile(most=0)) is (position == "none")
    assert strategies.applies(position, Profile(most=1)) is (position != "adjacent")
    assert strategies.applies(position, Profile(least=1)) is (position != "none")
    once = Profile(images_in=("system",), least=2)  # it speaks once: there is no other message for the second image
    assert strategies.applies(position, once) is (position not in ("none", "alone"))


# Boundary sizes


def test_minicpm_boundaries() -> None:
    sizes = strategies.boundary_sizes(minicpm_rule)
    assert {(1, 1), (1, 200), (447, 447), (448, 448), (449, 449), (448, 449), (447, 449)} <= set(sizes)
    assert len(sizes) <= 60
    assert list(sizes) == sorted(set(sizes), key=lambda size: (size[0] * size[1], max(size), size[0]))
    assert all(max(size) <= 4096 for size in sizes)
    grids = {(len(layout.grid), len(layout.grid[0])) for size in sizes if (layout := minicpm_rule(*size)).sliced}
    assert {(1, 2), (2, 1), (2, 2), (3, 3), (3, 1), (1, 3)} <= grids
    assert {(1, 9), (9, 1)} & grids
    assert any(not minicpm_rule(*size).sliced for size in sizes if size[0] * size[1] > 448 * 447)


def test_boundaries_are_the_same_each_time_and_quick() -> None:
    def one(width: int, height: int) -> Layout:
        return minicpm_rule(width, height)

    def other(width: int, height: int) -> Layout:
        return minicpm_rule(width, height)

    assert strategies.boundary_sizes(one) == strategies.boundary_sizes(other)
    began = time.perf_counter()
    assert strategies.boundary_sizes(one) is strategies.boundary_sizes(one)
    assert time.perf_counter() - began < 0.005


def test_every_boundary_has_two_sides() -> None:
    def halves(width: int, height: int) -> Layout:
        return Layout(Block(1, 1 if width <= 700 else 2))

    sizes = set(strategies.boundary_sizes(halves))
    assert {(699, 699), (700, 700), (701, 701), (700, 350), (701, 350)} <= sizes


def test_a_rule_that_counts_patches_is_capped_and_spread() -> None:
    def patches(width: int, height: int) -> Layout:
        return Layout(Block(-(-height // 28), -(-width // 28)))

    sizes = strategies.boundary_sizes(patches)
    assert len(sizes) <= 60
    assert {(28, 28), (29, 29)} <= set(sizes)
    assert max(max(size) for size in sizes) > 2000
    assert len({patches(*size) for size in sizes}) > 20
    assert len(strategies.boundary_sizes(patches, limit=20)) <= 20


@pytest.mark.parametrize("options", [{"size": 1024}, {"size": 1540, "patch": 14, "merge": 2}])
def test_boundary_sizes_show_how_the_sides_of_a_shrunk_image_are_rounded(options: dict[str, int]) -> None:
    """Along lines of one form such a rule never changes once the image is shrunk."""

    def rule(width: int, height: int) -> Layout:
        return pixtral.layout(width, height, 1, **options)

    def other(width: int, height: int) -> Layout:
        return pixtral.layout(width, height, 1, rounding="down", **options)

    assert any(rule(*size) != other(*size) for size in strategies.boundary_sizes(rule))


def test_boundary_sizes_lie_where_the_form_of_a_large_image_decides() -> None:
    sizes = set(strategies.boundary_sizes(minicpm_rule))
    large = [size for size in sizes if max(size) > 3000]
    assert {size[0] > size[1] for size in large} == {False, True}
    assert len({minicpm_rule(*size) for size in large}) > 3


def test_sizes_that_a_rule_refuses_are_left_out() -> None:
    def refuses(width: int, height: int) -> Layout:
        if max(width, height) > 100 * min(width, height) or min(width, height) < 14:
            raise ValueError("too thin")
        return minicpm_rule(width, height)

    sizes = strategies.boundary_sizes(refuses)
    assert {(14, 14), (447, 447), (448, 448), (449, 449)} <= set(sizes)
    assert all(refuses(*size) for size in sizes)


@pytest.mark.parametrize("rule", [lambda *_: None, lambda *_: int("no layout")], ids=["none", "raises"])
def test_a_rule_without_layouts_gives_telling_sizes(rule: Any) -> None:
    sizes = strategies.boundary_sizes(rule)
    assert {(1, 1), (448, 448), (449, 449)} <= set(sizes)


def test_a_rule_that_never_changes_gives_the_extremes() -> None:
    assert strategies.boundary_sizes(lambda *_: Layout(Block(1, 64))) == ((1, 1), (1, 200), (200, 1))


def test_an_unhashable_rule() -> None:
    class Rule:
        __hash__ = None  # type: ignore[assignment]

        def __call__(self, width: int, height: int) -> Layout:
            return minicpm_rule(width, height)

    assert strategies.boundary_sizes(Rule()) == strategies.boundary_sizes(minicpm_rule)


# Profiles


def test_profiles_of_equal_contracts_are_equal() -> None:
    one, other = Profile.of(contract()), Profile.of(contract(bos="exactly_once"))
    assert one == other
    assert hash(one) == hash(other)
    assert (448, 448) in one.boundary_sizes
    assert one.any_size
    assert Profile.of(contract(), spellings=("b", "a", "b")).spellings == ("a", "b")


def test_a_contract_limits_its_profile() -> None:
    limited = Profile.of(contract(input={"roles": ["human", "gpt"], "images_in": ["gpt"], "images": "1..2"}))
    assert (limited.roles, limited.images_in, limited.least, limited.most) == (("human", "gpt"), ("gpt",), 1, 2)
    assert Profile.of(contract(input={"empty_text": "forbidden"})).empty_text is False


def test_a_contract_without_a_rule_has_telling_sizes() -> None:
    images = {"open": "<image>", "close": "</image>", "placeholder": "<pad>", "slots": "from_features"}
    assert (449, 449) in Profile.of(contract(images=images, slices=None)).boundary_sizes


def test_a_rule_that_refuses_sizes_limits_the_images(tmp_path: Path) -> None:
    (tmp_path / "thin_rule.py").write_text(
        "from image_spans.slicing import minicpm\n"
        "def layout(width, height, number_of_images, *, slots):\n"
        "    if max(width, height) > 100 * min(width, height):\n"
        "        raise ValueError('too thin')\n"
        "    return minicpm.layout(width, height, number_of_images, slots=slots)\n"
    )
    slices = {"open": "<slice>", "close": "</slice>", "rule": "thin_rule:layout"}
    profile = Profile.of(contract(slices=slices).locate(tmp_path))
    assert not profile.any_size
    assert {(448, 448), (449, 449), (640, 480)} <= set(profile.boundary_sizes)
    assert all(max(size) <= 100 * min(size) for size in profile.boundary_sizes)


# Draws


def test_no_image_is_longer_than_what_some_rules_refuse() -> None:
    """Not even one of two sides that are drawn by themselves."""
    often = settings(max_examples=5000, database=None, deadline=None, derandomize=True, phases=[Phase.generate])
    with pytest.raises(NoSuchExample):
        find(strategies.images(), lambda i: max(i.width, i.height) > 200 * min(i.width, i.height), settings=often)


@given(strategies.images(boundary_sizes=[(30, 700), (5, 5)], min_side=28, max_side=1000))
@QUICK
def test_images_keep_the_limits(image: Image) -> None:
    assert 28 <= min(image.width, image.height) <= max(image.width, image.height) <= 1000


def test_images_shrink_to_the_least_side() -> None:
    quiet = settings(database=None, phases=[Phase.generate, Phase.shrink])
    assert find(strategies.images(), lambda _: True, settings=quiet) == Image(1, 1)
    assert find(strategies.images(min_side=28), lambda _: True, settings=quiet) == Image(28, 28)
    only = strategies.images(boundary_sizes=[(50, 60), (30, 31)], any_size=False)
    assert find(only, lambda _: True, settings=quiet) == Image(30, 31)
    assert find(only, lambda image: image.width == 50, settings=quiet) == Image(50, 60)


@pytest.mark.parametrize("least", [0, 1, 3])
def test_texts_shrink_to_the_letter_a(least: int) -> None:
    quiet = settings(database=None, phases=[Phase.generate, Phase.shrink])
    assert find(strategies.texts(min_size=least), lambda _: True, settings=quiet) == "a" * least
    assert find(strategies.texts(min_size=least), bool, settings=quiet) == "a" * max(least, 1)


@given(st.integers(0, 30).flatmap(lambda least: st.tuples(st.just(least), strategies.texts(min_size=least))))
@QUICK
def test_texts_keep_the_least_length(drawn: tuple[int, str]) -> None:
    least, text = drawn
    assert len(text) >= least


def test_ordinary_letters_leave_out_all_that_normalises_to_a_marker() -> None:
    for code in [*range(0xD800), *range(0xE000, 0x20000)]:
        letter = chr(code)
        if set("<>[]|") & set(unicodedata.normalize("NFKD", letter)):
            assert letter in MARKER_LIKE, ascii(letter)


def test_hazard_texts_shrink_to_the_first_spelling() -> None:
    quiet = settings(database=None, phases=[Phase.generate, Phase.shrink])
    assert find(strategies.hazard_texts(["[IMG]", "</s>"]), lambda _: True, settings=quiet) == "[IMG]"


@pytest.mark.parametrize("spellings", [("<image>",), ("[IMG]", "[/IMG]"), ("<｜image｜>", "▁"), ("x",)])
def test_hazard_texts_of_any_spellings(spellings: tuple[str, ...]) -> None:
    found: set[str] = set()

    @given(strategies.hazard_texts(spellings))
    @settings(QUICK, max_examples=300, phases=[Phase.generate])
    def collect(text: str) -> None:
        kinds = strategies.hazards_in(text, spellings)
        assert kinds, text
        found.update(kinds)

    collect()
    assert "whole marker" in found
    assert len(found) > 8


PROFILES = [
    Profile(roles=("user",)),
    Profile(roles=("human", "gpt"), images_in=("human",)),
    Profile(roles=("user", "assistant"), images_in=("assistant",)),
    Profile(images_in=("user", "assistant")),
    Profile(images_in=("system", "user")),
    Profile(images_in=("user", "system", "assistant"), most=2),
    Profile(roles=("system",), images_in=("system",)),
    Profile(roles=("system", "user", "assistant", "tool"), images_in=("tool", "user")),
    Profile(least=1, most=1, empty_text=False),
    Profile(least=3, most=3),
    Profile(least=4, most=4, roles=("user",), empty_text=False),
    Profile(any_size=False, boundary_sizes=((28, 28), (29, 28))),
]


@pytest.mark.parametrize("hazard", [False, True], ids=["ordinary", "hazard"])
@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("profile", PROFILES, ids=lambda one: f"{one.roles} {one.images_in} {one.least}")
def test_conversations_keep_the_limits(profile: Profile, position: str, hazard: bool) -> None:
    if not strategies.applies(position, profile):
        pytest.skip(str(strategies.inapplicable(position, profile)))
    hazardous = replace(profile, spellings=("<image>", "</image>"))

    @given(strategies.conversations(position=position, profile=hazardous, hazard=hazard, max_turns=3))
    @settings(QUICK, phases=[Phase.generate])
    def check(conversation: Conversation) -> None:
        messages = conversation.messages
        assert profile.least <= len(conversation.images) <= profile.most
        assert position in strategies.positions_of(conversation, profile)
        assert sum(message.role == profile.lead for message in messages) <= 3
        for message in messages:
            assert message.role in profile.roles
            assert message.parts
            assert not message.images or message.role in profile.images_in
        texts = [part.text for message in messages for part in message.parts if isinstance(part, Text)]
        assert all(texts) or profile.empty_text
        assert not hazard or any(strategies.hazards_in(text, hazardous.spellings) for text in texts)
        if not profile.any_size:
            assert {(image.width, image.height) for image in conversation.images} <= set(profile.boundary_sizes)
        speakers = [message.role for message in messages if message.role != "system"]
        assert len(profile.speakers) == 1 or all(one != other for one, other in pairwise(speakers))

    check()


ROLES = (
    ("user",),
    ("system",),
    ("user", "assistant"),
    ("human", "gpt"),
    ("system", "user", "assistant"),
    ("user", "assistant", "system"),
    ("system", "user", "assistant", "tool"),
)


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    """Any profile."""
    roles = draw(st.sampled_from(ROLES))
    images_in = tuple(draw(st.lists(st.sampled_from(roles), unique=True)))
    most = draw(st.integers(0, 6)) if images_in else 0
    sizes = draw(st.sampled_from(((), ((28, 28),), ((1, 1), (448, 448), (449, 449)))))
    return Profile(
        roles=roles,
        images_in=images_in,
        least=draw(st.integers(0, most)),
        most=most,
        empty_text=draw(st.booleans()),
        boundary_sizes=sizes,
        any_size=draw(st.booleans()) if sizes else True,
        spellings=draw(st.sampled_from(((), ("<image>",), ("[IMG]", "<s>", "</s>")))),
    )


@given(st.data(), profiles(), st.sampled_from(POSITIONS), st.integers(1, 4))
@settings(QUICK, max_examples=500, phases=[Phase.generate, Phase.shrink])
def test_conversations_of_any_profile_keep_its_limits(
    data: st.DataObject, profile: Profile, position: str, turns: int
) -> None:
    hazard = bool(profile.spellings) and data.draw(st.booleans())
    if not strategies.applies(position, profile):
        with pytest.raises(InvalidArgument, match=r"no conversation has images at position"):
            strategies.conversations(position=position, profile=profile)
        return
    if position == "alone" and turns == 1 and (profile.least > 1 or hazard):
        turns = 2  # the others need a message of their own; refused otherwise
    conversation = data.draw(
        strategies.conversations(position=position, profile=profile, hazard=hazard, max_turns=turns)
    )
    assert profile.least <= len(conversation.images) <= profile.most
    assert position in strategies.positions_of(conversation, profile)
    assert hits(position, conversation, profile)
    assert 1 <= len(conversation.messages) <= 2 * turns + 1
    assert {message.role for message in conversation.messages} <= set(profile.roles)
    assert {message.role for message in conversation.messages if message.images} <= set(profile.images_in)
    assert "system" not in [message.role for message in conversation.messages[1:]] or len(profile.roles) == 1
    texts = [part.text for message in conversation.messages for part in message.parts if isinstance(part, Text)]
    assert profile.empty_text or all(texts)
    assert any(strategies.hazards_in(text, profile.spellings) for text in texts) or not hazard
    if not profile.any_size:
        assert {(image.width, image.height) for image in conversation.images} <= set(profile.boundary_sizes)
    assert all(min(image.width, image.height) >= 1 for image in conversation.images)
    assert all(max(image.width, image.height) <= 4096 for image in conversation.images)


def hits(position: str, conversation: Conversation, profile: Profile) -> bool:
    """What a position promises, said once more: with non-empty text on the other side or sides."""

    def filled(parts: tuple[Text | Image, ...]) -> bool:
        return any(isinstance(part, Text) and part.text for part in parts)

    def some(shows: Callable[[tuple[Text | Image, ...], int], bool]) -> bool:
        return any(
            shows(message.parts, index)
            for message in conversation.messages
            for index, part in enumerate(message.parts)
            if isinstance(part, Image)
        )

    if position == "start":
        return some(lambda parts, index: index == 0 and filled(parts[1:]))
    if position == "middle":
        return some(lambda parts, index: filled(parts[:index]) and filled(parts[index + 1 :]))
    if position == "end":
        return some(lambda parts, index: index == len(parts) - 1 and filled(parts[:index]))
    if position == "alone":
        return some(lambda parts, index: len(parts) == 1)
    if position == "adjacent":
        return some(lambda parts, index: index > 0 and isinstance(parts[index - 1], Image))
    if position == "every_message":
        return all(message.images for message in conversation.messages if message.role in profile.images_in)
    return not conversation.images


@pytest.mark.parametrize("position", POSITIONS)
def test_ordinary_conversations_hold_no_hazard_and_record_what_they_hold(position: str) -> None:
    profile = Profile(spellings=("<image>", "</image>"))
    records: list[str] = []

    @given(strategies.conversations(position=position, profile=profile))
    @settings(QUICK, phases=[Phase.generate])
    def check(conversation: Conversation) -> None:
        assert eval(repr(conversation), {"Conversation": Conversation, **PARTS}) == conversation
        labels = strategies.describe(conversation, profile)
        assert f"position: {position}" in labels
        assert len(labels) == len(set(labels))
        records.extend(labels)

    check()
    assert not any(label.startswith("hazard") for label in records)


PARTS = {"Message": Message, "Text": Text, "Image": Image}


@given(st.data(), st.integers(1, 900), st.integers(0, 4000))
@QUICK
def test_images_keep_any_limits(data: st.DataObject, least: int, more: int) -> None:
    most = min(least + more, 4096)
    image = data.draw(strategies.images(min_side=least, max_side=most, boundary_sizes=[(448, 448), (449, 449)]))
    assert least <= min(image.width, image.height) <= max(image.width, image.height) <= most
    assert max(image.width, image.height) <= 200 * min(image.width, image.height)


def test_one_image_alone_among_others_of_one_role_takes_another_message() -> None:
    profile = Profile(roles=("user",), spellings=("<image>",))
    with pytest.raises(InvalidArgument, match=r"hazardous text of the same role, take max_turns=2"):
        strategies.conversations(position="alone", profile=profile, hazard=True, max_turns=1)


@pytest.mark.parametrize("position", POSITIONS)
def test_the_least_side_and_the_turns_are_kept(position: str) -> None:
    @given(strategies.conversations(position=position, profile=Profile(), max_turns=1, min_side=450))
    @settings(QUICK, phases=[Phase.generate])
    def check(conversation: Conversation) -> None:
        assert all(min(image.width, image.height) >= 450 for image in conversation.images)
        assert [message.role for message in conversation.messages].count("user") == 1

    check()


# Labels


def test_describe() -> None:
    conversation = Conversation(
        [
            Message("system", [Text("")]),
            Message("user", [Image(448, 448), Text("\na")]),
            Message("assistant", [Text("<image> ")]),
            Message("user", [Text("a"), Image(1, 200), Image(449, 449), Text("</image")]),
        ]
    )
    profile = Profile(spellings=("</image>", "<image>"))
    assert strategies.describe(conversation, profile) == [
        *("3 images", "2 turns"),
        *("position: start", "position: middle", "position: adjacent", "position: every_message"),
        *("message of system", "message of user", "message of assistant", "user last"),
        *("message of several parts", "empty text"),
        *("blank or newline first in a text", "blank or newline last in a text"),
        *("small image", "large image", "image at a boundary", "extreme aspect ratio"),
        *("hazard: beginning of a marker", "hazard: whole marker"),
        *("hazard typed by assistant", "hazard typed by user"),
    ]
    assert not any("hazard" in label for label in strategies.describe(conversation, Profile()))


@pytest.mark.parametrize(
    ("parts", "positions"),
    [
        ([Image(1, 1)], ["alone", "every_message"]),
        ([Image(1, 1), Text(" ")], ["start", "every_message"]),
        ([Image(1, 1), Text("")], ["every_message"]),
        ([Text("\n"), Image(1, 1)], ["end", "every_message"]),
        ([Text("a"), Image(1, 1), Text(""), Text("b")], ["middle", "every_message"]),
        ([Image(1, 1), Image(1, 1)], ["adjacent", "every_message"]),
        ([Text("a")], ["none"]),
    ],
)
def test_positions(parts: list[Text | Image], positions: list[str]) -> None:
    assert strategies.positions_of(Conversation([Message("user", parts)]), Profile()) == positions


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("", set()),
        ("hello image", set()),
        ("<image>", {"whole marker"}),
        ("<image><image>", {"whole marker", "marker twice"}),
        ("x<image>y", {"whole marker", "marker glued to words"}),
        ("<image>\u0338", {"whole marker", "combining mark after a marker"}),
        ("<image>a</image>", {"whole marker", "complete block"}),
        ("</image><image>", {"whole marker", "close before open"}),
        ("</image", {"beginning of a marker"}),
        ("mage>", {"end of a marker"}),
        ("＜image＞", {"full-width look-alike"}),
        ("<IMAGE>", {"upper case"}),
        ("&lt;image&gt;", {"entity"}),
        ("a▁b", {"meta symbol"}),
        ("\ufeffa", {"byte-order mark"}),
        ("<\u200bimage>", {"zero-width space inside a marker"}),
        ("<image\u200d>", {"zero-width joiner inside a marker", "beginning of a marker"}),
        ("<image_00>", {"number in a tag", "beginning of a marker"}),
        ("< image >", {"blanks inside a marker"}),
    ],
)
def test_hazards_in(text: str, kinds: set[str]) -> None:
    found = strategies.hazards_in(text, ("<image>", "</image>"))
    assert kinds <= found
    assert found <= kinds | {"end of a marker", "beginning of a marker"}, found
