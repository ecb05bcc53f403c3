"""truncation.policy on the toy tokenizer: what is right is silent, each single fault is one finding."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from image_spans import checks
from image_spans.case import Bench
from image_spans.checks.truncation import (
    EXAMPLES,
    _blocks,
    _choices,
    _cut_of,
    _image_at,
    _is_whole,
    _lengths,
    _units,
    _Whole,
    _whole,
    _without,
)
from image_spans.conversation import Conversation, Image, Message, Text
from image_spans.diagnosis import diagnosed
from image_spans.engine import Engine
from image_spans.findings import Finding
from image_spans.pipelines import reference
from image_spans.strategies import Profile
from support import ROWS, contract, subject

SMALL, LARGE = Image(1, 1), Image(449, 449)
RUN = {"grammar": "run", "placeholder": "<pad>", "slots": "minicpm", "options": {"slots": 4}}
NESTED = {"grammar": "nested", "open": "<slice>", "close": "</slice>", "rule": "minicpm"}
FIXED = {"open": "<image>", "close": "</image>", "placeholder": "<pad>", "slots": 4, "before": "xy", "after": "z\n"}
ASKED = Conversation([Message("user", [Text("ab"), LARGE, Text("c")])])  # ab[....]{....}\n{....}c
LENGTH = 22


def able(pipeline="flat_slices", **promised):
    """A subject that accepts max_length; ``pipeline`` is a reference pipeline or takes (right, conversation, limit)."""
    promised = {"truncation": "never_split", **promised}
    name = pipeline if isinstance(pipeline, str) else "flat_slices"
    one = subject(name, **promised)
    right = partial(reference(name), one.tokenizer, contract=one.contract)

    def run(conversation, max_length=None):
        return pipeline(right, conversation, max_length)

    entry = right if isinstance(pipeline, str) else run
    return replace(one, pipeline=entry, abilities=one.abilities | {"max_length"})


def verdict(one, conversation=ASKED):
    case = Bench(one).case(conversation)
    found = checks.judge(case, "truncation.policy")
    assert not isinstance(found, Finding) or found.check == "truncation.policy"
    return diagnosed(case, found) if isinstance(found, Finding) else found


SHAPES = {
    "flat": ("flat_slices", {}),
    "nested": ("nested_slices", {"slices": NESTED}),
    "rows": ("rows", {"images": ROWS, "slices": None}),
    "run": ("placeholder_run", {"images": RUN, "slices": None}),
    "text round images": ("flat_slices", {"images": FIXED}),
}


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("policy", ["never_split", "reject", "drop_images"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_reference_pipelines_are_silent(shape, policy, side):
    pipeline, promised = SHAPES[shape]
    for bos in ("none", "exactly_once", "after_images"):
        one = able(pipeline, truncation={"policy": policy, "side": side}, bos=bos, **promised)
        for conversation in (*EXAMPLES, ASKED, Conversation([Message("user", [SMALL, LARGE, SMALL])])):
            assert verdict(one, conversation) is None, (bos, conversation)


def made(right, conversation, ids=None, **changed):
    whole = right(conversation)
    return {**whole, **({"input_ids": ids} if ids is not None else {}), **changed}


def prefix(right, conversation, length):
    whole = right(conversation)
    bounds = [pair for pair in whole["image_bounds"] if pair[1] <= length]
    ids, labels = whole["input_ids"][:length], whole["labels"][:length]
    return {"input_ids": ids, "labels": labels, "image_bounds": bounds}


def at_a_slice(right, conversation, limit):
    """Cuts where no single span is cut, overview and slices apart."""
    if limit is None or limit >= LENGTH:
        return right(conversation)
    return prefix(right, conversation, max(edge for edge in (*range(3), 8, 14, 15, 21) if edge <= limit))


def test_slices_may_be_cut_from_their_overview_under_never_split_alone():
    assert verdict(able(at_a_slice)) is None
    found = verdict(able(at_a_slice, truncation="drop_images"))
    assert (found.cause.name, found.facts["limit"]) == ("cut-inside-span", 20)


def plain(right, conversation, limit):
    return right(conversation) if limit is None else prefix(right, conversation, limit)


def too_short(right, conversation, limit):
    return right(conversation, max_length=limit if limit is None or limit >= LENGTH else limit - 1)


def always_shorter(right, conversation, limit):
    return right(conversation, max_length=None if limit is None else limit - 1)


def ignoring(right, conversation, limit):
    return right(conversation)


def one_more(right, conversation, limit):
    return right(conversation, max_length=None if limit is None else limit + 1)


def uncut(key):
    def pipeline(right, conversation, limit):
        return {**right(conversation, max_length=limit), key: right(conversation)[key]}

    return pipeline


def bounds_lost(right, conversation, limit):
    cut = right(conversation, max_length=limit)
    return cut if limit is None else {**cut, "image_bounds": cut["image_bounds"][:1]}


def labels_from_elsewhere(right, conversation, limit):
    cut, whole = right(conversation, max_length=limit), right(conversation)
    return {**cut, "labels": whole["labels"][len(whole["labels"]) - len(cut["labels"]) :]}


def changing(right, conversation, limit):
    cut = right(conversation, max_length=limit)
    return cut if limit is None or limit >= LENGTH else {**cut, "input_ids": [1000] * len(cut["input_ids"])}


def raising(error):
    def pipeline(right, conversation, limit):
        if limit is not None and limit < len(right(conversation)["input_ids"]):
            raise error(limit)
        return right(conversation)

    return pipeline


def keeping(says="of max_length", strict=True, enough=0):
    """Cuts text, and refuses where the limit holds fewer than all placeholders; where strict, also all brackets."""

    def pipeline(right, conversation, limit):
        whole = right(conversation)
        if limit is None or limit >= len(whole["input_ids"]):
            return whole
        least = max((end for _, end in whole["image_bounds"]), default=0)
        if limit < least + strict + enough:
            raise ValueError(says)
        return {**prefix(right, conversation, limit), "image_bounds": whole["image_bounds"]}

    return pipeline


TALK = Conversation([Message("user", [SMALL, Text("q")]), Message("assistant", [Text("answer")])])


@pytest.mark.parametrize(
    ("pipeline", "promised", "conversation", "cause", "message"),
    [
        (
            plain,
            {},
            ASKED,
            "cut-inside-span",
            "max_length=20: the cut at 20 goes through a span of image 0, [15, 21); "
            "it would have to be 21 for this span, 22 for all",
        ),
        (
            too_short,
            {},
            ASKED,
            "cut-beside",
            "max_length=21: the cut is at 2, and 2 ids stay; it belongs at 21, where *",
        ),
        (always_shorter, {}, ASKED, "cut-needlessly", "max_length=22: 22 ids fit, but 21 came back, or others"),
        (ignoring, {}, ASKED, "limit-ignored", "max_length=21: 22 ids came back; of 22 no more than 21 may stay"),
        (one_more, {}, ASKED, "limit-exceeded", "max_length=21: 22 ids came back; of 22 no more than 21 may stay"),
        (uncut("image_bounds"), {}, ASKED, "bounds-not-cut", "max_length=20: 2 of 22 ids stay; bounds 0 are (3, 7), *"),
        (uncut("labels"), {}, ASKED, "arrays-not-cut", "max_length=21: the pipeline returned: labels has 22 entries *"),
        (bounds_lost, {}, ASKED, "bounds-cut-elsewhere", "max_length=23: 22 of 22 ids stay; bounds 1 are none, *"),
        (labels_from_elsewhere, {}, TALK, "labels-not-cut", "max_length=12: 12 of 13 ids stay; labels is *"),
        (
            changing,
            {},
            ASKED,
            "cut-changes-ids",
            "max_length=21: the ids are not those of the whole conversation (22) *",
        ),
        (
            lambda right, conversation, limit: plain(right, conversation, limit),
            {"truncation": {"policy": "never_split", "side": "left"}},
            TALK,
            "cut-on-wrong-side",
            "max_length=12: the right side is cut off, declared is the left",
        ),
        (
            raising(lambda limit: ValueError(f"more than {limit}")),
            {},
            ASKED,
            "limit-refused",
            "max_length=21: never_split is declared, but it is refused; 22 would hold all: ValueError: more than 21",
        ),
        (raising(lambda limit: IndexError("x")), {}, ASKED, "limit-raised-IndexError", "max_length=21: the pipeline *"),
        (
            raising(lambda limit: ValueError("too long")),
            {"truncation": "reject"},
            ASKED,
            "limit-refusal-unclear",
            "max_length=21: refused, but the error names neither 21 nor the 22 that it would have to be: *",
        ),
        (plain, {"truncation": "reject"}, ASKED, "cut-instead-of-refusal", "max_length=21: 21 of 22 ids came back; *"),
    ],
)
def test_one_fault_is_one_finding(pipeline, promised, conversation, cause, message):
    found = verdict(able(pipeline, **promised), conversation)
    assert found.cause.name == cause, found
    assert found.message.startswith(message.rstrip("*")), found.message


def test_what_fits_is_not_refused():
    def pipeline(right, conversation, limit):
        if limit is not None and limit <= LENGTH:
            raise ValueError(f"not less than {limit}")
        return right(conversation)

    found = verdict(able(pipeline, truncation="reject"))
    assert found.cause.name == "limit-refused-needlessly"


def test_bos_stays_in_front_where_the_left_side_is_cut_off():
    def pipeline(right, conversation, limit):
        whole = right(conversation)
        if limit is None or limit >= len(whole["input_ids"]):
            return whole
        cut = whole["input_ids"][len(whole["input_ids"]) - limit :]
        return {"input_ids": cut, "labels": [-100] * len(cut), "image_bounds": []}

    words = Conversation([Message("user", [Text("a b c")])])
    left = {"policy": "never_split", "side": "left"}
    assert verdict(able(pipeline, truncation=left, bos="exactly_once"), words).cause.name == "bos-cut-off"
    assert verdict(able(pipeline, truncation={**left, "keep_bos": False}, bos="exactly_once"), words) is None
    assert verdict(able(pipeline, truncation=left), words) is None


def test_features_go_with_their_spans():
    features = [(0, 4), (0, 4), (0, 4)]

    def returning(kept):
        def pipeline(right, conversation, limit):
            cut = right(conversation, max_length=limit)
            return {**cut, "features": features if kept or len(cut["image_bounds"]) == 3 else []}

        one = able(pipeline)
        return replace(one, returns=one.returns | {"features"})

    assert verdict(returning(False)) is None
    found = verdict(returning(True))
    assert found.cause.name == "features-kept"
    assert found.message == ("max_length=20: 2 of 22 ids stay, with 0 placeholders of 0 images, but 12 features of 1")


def test_a_refusal_is_right_where_nothing_would_be_left():
    def pipeline(right, conversation, limit):
        if limit is not None and limit < 6:
            raise ValueError(f"max_length={limit} holds no image; at least 6")
        return right(conversation, max_length=limit)

    assert verdict(able(pipeline), Conversation([Message("user", [SMALL, Text("a")])])) is None


def test_dropped_images_take_their_place_with_them():
    def keeps_nothing(right, conversation, limit):
        if limit is None or limit >= LENGTH:
            return right(conversation)
        return {"input_ids": [], "labels": [], "image_bounds": []}

    found = verdict(able(keeps_nothing, truncation="drop_images"))
    assert found.cause.name == "cut-beside"

    def text_only(right, conversation, limit):
        if limit is None or limit >= LENGTH:
            return right(conversation)
        only = Conversation(
            [Message(m.role, [p for p in m.parts if isinstance(p, Text)]) for m in conversation.messages]
        )
        return right(only, max_length=limit)

    assert verdict(able(text_only, truncation="drop_images")) is None


NUMBERED = {key: value for key, value in FIXED.items() if key not in ("before", "after")}
NUMBERED["number"] = {"open": "<image_id>", "close": "</image_id>"}


@pytest.mark.parametrize("images", [FIXED, NUMBERED], ids=["text round images", "numbers"])
@pytest.mark.parametrize("side", ["right", "left"])
def test_a_prompt_may_be_written_anew_without_the_images_that_are_dropped(images, side):
    def anew(right, conversation, limit):
        made = right(conversation)
        while limit is not None and len(made["input_ids"]) > limit:
            left = list(range(len(conversation.images)))[1 if side == "left" else 0 :][: len(conversation.images) - 1]
            if not conversation.images:
                return right(conversation, max_length=limit)
            conversation = _without(conversation, frozenset(left))
            made = right(conversation)
        return made

    one = able(anew, truncation={"policy": "drop_images", "side": side}, images=images)
    for conversation in (*EXAMPLES, ASKED, Conversation([Message("user", [SMALL])])):
        assert verdict(one, conversation) is None, conversation


def test_an_image_goes_with_the_text_that_is_written_round_it():
    """xy[....]z: cut inside, the image may leave its text behind or take it along."""
    one_image = Conversation([Message("user", [Text("ab"), SMALL, Text("cd")])])

    def along(side):
        def pipeline(right, conversation, limit):
            whole = right(conversation)
            ids = whole["input_ids"]
            if limit is None or limit >= len(ids):
                return whole
            if side == "right":
                return prefix(right, conversation, 2 if 2 < limit < 12 else limit)
            cut = len(ids) - limit
            cut = 12 if 2 < cut < 12 else cut
            bounds = [(start - cut, end - cut) for start, end in whole["image_bounds"] if start >= cut]
            return {"input_ids": ids[cut:], "labels": whole["labels"][cut:], "image_bounds": bounds}

        return able(pipeline, truncation={"policy": "never_split", "side": side}, images=FIXED)

    for side in ("right", "left"):
        assert verdict(along(side), one_image) is None
        assert verdict(able(truncation={"policy": "never_split", "side": side}, images=FIXED), one_image) is None


@pytest.mark.parametrize("side", ["right", "left"])
def test_images_that_touch_may_have_one_bound_and_be_cut_apart(side):
    """aa........bb, of two images: one run, which may be cut in its middle alone."""
    touching = Conversation([Message("user", [Text("aa"), SMALL, SMALL, Text("bb")])])

    def one_bound(right, conversation, limit):
        made = right(conversation, max_length=limit)
        bounds = made["image_bounds"]
        return {**made, "image_bounds": [(bounds[0][0], bounds[-1][1])] if bounds else []}

    promised = {"images": RUN, "slices": None, "truncation": {"policy": "never_split", "side": side}}
    right = partial(reference("placeholder_run"), able(**promised).tokenizer, contract=contract(**promised))
    one = replace(able(**promised), pipeline=lambda given, max_length=None: one_bound(right, given, max_length))
    assert verdict(one, touching) is None
    assert len(one.encode(touching, max_length=7).ids) == 6


def test_only_where_it_is_declared():
    check = checks.checks()["truncation.policy"]
    able_ = frozenset({"max_length"})
    assert check.inapplicable(contract(truncation="reject"), able_) is None
    assert check.inapplicable(contract(), able_) == "the contract declares no truncation"
    declared = "the pipeline does not declare that it accepts max_length"
    assert check.inapplicable(contract(truncation="reject"), frozenset()) == declared


def test_examples_are_those_of_the_module():
    assert checks.checks()["truncation.policy"].examples == EXAMPLES
    assert [len(example.messages) for example in EXAMPLES] == [2, 1, 3, 2]


def test_examples_are_judged_once_where_their_images_stand_if_they_are_in_the_contract():
    engine, one = Engine(10, 0), able()
    *with_images, text_alone = EXAMPLES
    assert list(engine.survey(one, "start", "limits").conversations[: len(with_images)]) == with_images
    assert engine.survey(one, "none", "limits").conversations[0] == text_alone
    assert not set(engine.survey(one, "end", "limits").conversations) & set(EXAMPLES[1:3])
    narrow = able(input={"roles": ["user"], "images": "0..1"})
    assert [c for c in Engine(10, 0).survey(narrow, "start", "limits").conversations if c in EXAMPLES] == [EXAMPLES[1]]


def test_what_a_profile_holds():
    profile = Profile(roles=("user",), images_in=("user",), least=1, most=1, any_size=False, boundary_sizes=((1, 1),))
    assert profile.holds(Conversation([Message("user", [SMALL])]))
    assert not profile.holds(Conversation([Message("user", [LARGE])]))
    assert not profile.holds(Conversation([Message("user", [SMALL, SMALL])]))
    assert not profile.holds(Conversation([Message("user", [Text("a")])]))
    assert not profile.holds(Conversation([Message("assistant", [SMALL])]))


def test_every_length_of_a_short_conversation_is_tried():
    asked = []

    def pipeline(right, conversation, limit):
        asked.append(limit)
        return right(conversation, max_length=limit)

    assert verdict(able(pipeline), EXAMPLES[0]) is None
    assert {limit for limit in asked if limit} == set(range(1, 14))
    asked.clear()
    long = Conversation([Message("user", [SMALL, LARGE, Text("a b c d"), LARGE])])
    assert verdict(able(pipeline), long) is None
    assert 8 <= len([limit for limit in asked if limit]) <= 12


# ---------------------------------------------------------------- what may be cut, by hand


def case_of(one, conversation=ASKED):
    return Bench(one).case(conversation)


def cut_into(units, blocks, regions, length=LENGTH, left=False, head=0):
    return _Whole(length, left, head, units, blocks, regions)


SPANS = [(2, 8), (8, 14), (15, 21)]
ROUND = Conversation([Message("user", [Text("ab"), SMALL, Text("cd")])])  # abxy[....]z\ncd
TYPED = Conversation([Message("user", [Text("<pad>"), SMALL, Text("a<pad>"), SMALL])])
OWN_GRAMMAR = """
from image_spans.grammars import Fixed, Marker, Slots
def write(layout, contract, number):
    return [Marker("view_1"), Slots(2), Marker("view_2"), Fixed("x"), Marker("view_2"), Slots(2)]
"""


@pytest.mark.parametrize(
    ("promised", "conversation", "length", "units", "blocks", "regions"),
    [
        ({}, ASKED, 22, SPANS, [(2, 21)], [(2, 21)]),
        # One id more for each text than it has alone: a dummy prefix may stand in front of it.
        ({"images": FIXED}, ROUND, 14, [(4, 10)], [(4, 10)], [(1, 13)]),
        (
            {"images": FIXED},
            Conversation([Message("user", [SMALL, SMALL])]),
            20,
            [(2, 8), (12, 18)],
            [(2, 8), (12, 18)],
            [(-1, 14), (6, 21)],
        ),
        (
            {"images": {**FIXED, "close": ["</image>", "<image_id>"]}},
            ROUND,
            15,
            [(4, 11)],
            [(4, 11)],
            [(1, 14)],
        ),
        (
            {"images": ROWS, "slices": None},
            Conversation([Message("user", [Image(48, 32)])]),
            8,
            [(0, 4), (4, 8)],
            [(0, 8)],
            [(0, 8)],
        ),
        (
            {"images": {**ROWS, "close": ["</image>", "<image_id>"]}, "slices": None},
            Conversation([Message("user", [Image(48, 32), Text("a"), Image(16, 16)])]),
            13,
            [(0, 4), (4, 9), (10, 13)],
            [(0, 9), (10, 13)],
            [(0, 9), (10, 13)],
        ),
        (
            {"images": RUN, "slices": None},
            Conversation([Message("user", [SMALL, SMALL, SMALL, Text("a"), SMALL])]),
            17,
            [(0, 4), (4, 8), (8, 12), (13, 17)],
            [(0, 4), (4, 8), (8, 12), (13, 17)],
            [(0, 4), (4, 8), (8, 12), (13, 17)],
        ),
        (
            {"images": RUN, "slices": None},
            Conversation([Message("user", [SMALL, Text("a"), SMALL, SMALL])]),
            13,
            [(0, 4), (5, 9), (9, 13)],
            [(0, 4), (5, 9), (9, 13)],
            [(0, 4), (5, 9), (9, 13)],
        ),
        (
            {"images": ROWS, "slices": None},
            Conversation([Message("user", [Image(16, 16), Image(16, 16)])]),
            4,
            [(0, 2), (2, 4)],
            [(0, 2), (2, 4)],
            [(0, 2), (2, 4)],
        ),
        ({"literals": "interpret"}, TYPED, 15, [(1, 7), (9, 15)], [(1, 7), (9, 15)], [(1, 7), (9, 15)]),
        ({"slices": {**NESTED, "open": "<slice>"}}, Conversation([Message("user", [LARGE])]), None, None, None, None),
    ],
)
def test_what_is_never_cut(promised, conversation, length, units, blocks, regions):
    name = {"rows": "rows", "run": "placeholder_run"}.get(promised.get("images", {}).get("grammar"), "flat_slices")
    name = "nested_slices" if promised.get("slices") else name
    if promised.get("literals"):
        ids = [7, *SPAN, 1097, 7, *SPAN]
        one = subject(lambda tokenizer, given: ids, **promised)
    else:
        one = able(name, **promised)
    case = case_of(one, conversation)
    whole = _whole(case)
    if length is None:  # <image>....</image><slice><image>....</image>\n<image>....</image></slice>: two units
        assert whole.units == [(0, 6), (6, len(case.ids))]
        return
    assert (whole.length, whole.units, whole.blocks, whole.regions) == (length, units, blocks, regions)


SPAN = [1, 7, 7, 7, 7, 2]


def test_roles_with_a_number_go_on_only_where_they_touch(tmp_path):
    (tmp_path / "views_of_the_limits_of_this_test.py").write_text(OWN_GRAMMAR)
    images = {
        "grammar": "views_of_the_limits_of_this_test:write",
        "placeholder": "<pad>",
        "slots": 4,
        "markers": {"view_1": "<image>", "view_2": "</image>"},
    }
    promised = contract(images=images, slices=None).locate(tmp_path)
    one = subject(lambda tokenizer, given: [1, 7, 7, 2, 1120, 2, 7, 7], promised=promised)
    case = case_of(one, Conversation([Message("user", [SMALL])]))
    assert _blocks(case) == [(0, 8)]
    assert _units(case, [(0, 8)]) == [(0, 1), (1, 4), (5, 6), (6, 8)]


EMPTY = """
from image_spans.grammars import Slots
from image_spans.slicing import Block, Layout
def write(layout, contract, number):
    return [Slots(2)] if number > 1 else []
def rule(width, height, number_of_images):
    return Layout(Block(1, number_of_images))
"""


def test_images_of_which_nothing_is_written(tmp_path):
    (tmp_path / "empty_images_of_this_test.py").write_text(EMPTY)
    images = {"grammar": "empty_images_of_this_test:write", "placeholder": "<pad>", "slots": 4}
    promised = contract(images=images, slices=None).locate(tmp_path)
    one = subject(lambda tokenizer, given: [7, 7], promised=promised)
    assert _blocks(case_of(one, Conversation([Message("user", [SMALL] * 3)]))) == [(0, 0), (0, 0), (0, 2)]


def test_images_that_touch_are_told_apart_by_a_rule_that_counts_them(tmp_path):
    (tmp_path / "empty_images_of_this_test.py").write_text(EMPTY)
    images = {**RUN, "slots": "empty_images_of_this_test:rule", "options": {}}
    promised = contract(images=images, slices=None).locate(tmp_path)
    one = subject(lambda tokenizer, given: [7] * 4, promised=promised)
    assert _blocks(case_of(one, Conversation([Message("user", [SMALL] * 2)]))) == [(0, 2), (2, 4)]


def test_images_that_touch_are_told_apart_by_what_the_vision_side_delivers():
    features = {"images": {**RUN, "slots": "from_features", "options": {}}, "slices": None, "returns": ("features",)}
    given = {"input_ids": [7] * 9, "features": [(0, 3), (1, 2), (2, 3), (1, 1)]}
    one = subject(lambda tokenizer, conversation: given, **features)
    case = case_of(one, Conversation([Message("user", [SMALL] * 3)]))
    assert _blocks(case) == [(0, 3), (3, 6), (6, 9)]


@pytest.mark.parametrize(
    ("promised", "ids", "left", "head"),
    [
        ({"truncation": "never_split"}, [97], False, 0),
        ({"truncation": {"policy": "never_split", "side": "left"}}, [97], True, 0),
        ({"truncation": {"policy": "never_split", "side": "left"}, "bos": "exactly_once"}, [0, 97], True, 1),
        ({"truncation": {"policy": "never_split", "side": "right"}, "bos": "exactly_once"}, [0, 97], False, 0),
        (
            {"truncation": {"policy": "never_split", "side": "left", "keep_bos": False}, "bos": "exactly_once"},
            [0, 97],
            True,
            0,
        ),
        ({"truncation": {"policy": "never_split", "side": "left"}, "bos": "after_images"}, [*SPAN, 0, 97], True, 0),
    ],
)
def test_what_stays_in_front(promised, ids, left, head):
    ids = [1000 + token_id if token_id == 97 else token_id for token_id in ids]
    parts = [SMALL, Text("a")] if 7 in ids else [Text("a")]
    case = case_of(subject(lambda tokenizer, given: ids, **promised), Conversation([Message("user", parts)]))
    whole = _whole(case)
    assert (whole.left, whole.head) == (left, head)


def test_places_edges_and_reach():
    right = cut_into(SPANS, [(2, 21)], [(1, 22)])
    assert [right.places(length) for length in (0, 2)] == [[], [0, 1]]
    assert (right.edge(5), right.unit_at(2), right.unit_at(3), right.unit_at(8)) == (5, None, (2, 8), None)
    assert [right.reach(edge) for edge in (0, 1, 2, 21, 22)] == [0, 1, 1, 1, 22]
    assert right.needed((15, 21)) == 21
    left = cut_into(SPANS, [(2, 21)], [(1, 22)], left=True, head=1)
    assert [left.places(length) for length in (0, 1, 3)] == [[], [0], [0, 20, 21]]
    assert [left.edge(length) for length in (0, 1, 3)] == [22, 22, 20]
    assert [left.reach(edge) for edge in (0, 1, 2, 21, 22)] == [0, 1, 22, 22, 22]
    assert left.needed((15, 21)) == 8
    assert [_image_at(right, edge) for edge in (2, 3, 20, 21)] == ["?", 0, 0, "?"]
    assert _image_at(cut_into([], [(0, 4), (6, 9)], []), 7) == 1


WORDS = Conversation([Message("user", [Text("a b")])])


def lengths(conversation=WORDS, **whole):
    whole = {"units": [], "blocks": [], "regions": [], **whole}
    return list(_lengths(case_of(subject(), conversation), cut_into(**whole)))


def test_which_limits_are_tried():
    assert lengths(length=1) == [2, 1]
    assert lengths(length=2) == [3, 2, 1]
    assert lengths(length=24) == list(range(25, 0, -1))
    assert lengths(length=25) == [26, 25, 24, 12, 8, 5, 1]
    assert lengths(length=30) == [31, 30, 29, 15, 10, 6, 1]
    assert lengths(length=30, units=[(10, 16)]) == [31, 30, 29, 17, 16, 15, 13, 11, 10, 6, 1]
    assert lengths(length=30, blocks=[(12, 18)]) == [31, 30, 29, 19, 18, 17, 15, 13, 12, 10, 6, 1]
    assert lengths(length=30, units=[(10, 16)], left=True, head=1) == [31, 30, 29, 21, 20, 18, 16, 15, 14, 10, 6, 1]
    assert lengths(length=30, units=[(0, 30)]) == [31, 30, 29, 15, 10, 6, 1]
    assert lengths(EXAMPLES[3], length=320) == list(range(321, 0, -1))
    assert lengths(EXAMPLES[3], length=321) == [322, 321, 320, 160, 107, 64, 1]


def test_how_many_limits_are_tried():
    many = {"length": 1000, "units": [(at, at + 10) for at in range(100, 900, 10)]}
    words = [Conversation([Message("user", [Text("a" * count)])]) for count in range(1, 9)]
    chosen = [lengths(conversation, **many) for conversation in words]
    assert {len(limits) for limits in chosen} == {12}
    assert len(set(map(tuple, chosen))) > 1  # by the conversation, so that all are tried on some
    assert len(lengths(EXAMPLES[3], **many)) == 64
    for limits in chosen:
        assert limits == sorted(limits, reverse=True)
        assert {1001, 1000, 999, 1} <= {*limits}


def test_which_images_may_have_been_kept():
    assert [sorted(kept) for kept in _choices(2)] == [[0, 1], [0], [1], []]
    assert len(list(_choices(6))) == 64
    assert [sorted(kept) for kept in _choices(7)] == [
        [0, 1, 2, 3, 4, 5, 6], [0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4], [0, 1, 2, 3], [0, 1, 2], [0, 1], [0], [],
        [1, 2, 3, 4, 5, 6], [2, 3, 4, 5, 6], [3, 4, 5, 6], [4, 5, 6], [5, 6], [6],
    ]  # fmt: skip


def test_a_conversation_without_some_images():
    given = Conversation([Message("user", [SMALL, Text("a"), LARGE]), Message("assistant", [Image(2, 2)])])
    assert _without(given, frozenset({0, 2})) == Conversation(
        [Message("user", [SMALL, Text("a")]), Message("assistant", [Image(2, 2)])]
    )
    assert _without(given, frozenset({1})) == Conversation(
        [Message("user", [Text("a"), LARGE]), Message("assistant", [])]
    )


def test_what_is_left_is_cut_on_the_declared_side():
    right, left = cut_into([], [], []), cut_into([], [], [], left=True, head=1)
    assert [_cut_of(right, length, 4) for length in (0, 2, 4, 9)] == [[], [0, 1], [0, 1, 2, 3], [0, 1, 2, 3]]
    assert [_cut_of(left, length, 4) for length in (0, 1, 2, 4, 9)] == [[], [0], [0, 3], [0, 1, 2, 3], [0, 1, 2, 3]]


def test_what_is_kept_of_an_image_is_kept_whole():
    whole = cut_into([], [(2, 4), (4, 6)], [])
    assert _is_whole(frozenset({0}), [2, 3], whole)
    assert _is_whole(frozenset({0, 1}), [2, 3, 4, 5], whole)
    assert not _is_whole(frozenset({0, 1}), [2, 3, 4], whole)
    assert _is_whole(frozenset(), [], whole)


# ---------------------------------------------------------------- what is said of a cut


def at(limit, instead):
    """Right at every limit but one."""

    def pipeline(right, conversation, given):
        return instead(right, conversation, given) if given == limit else right(conversation, max_length=given)

    return pipeline


def raised(error):
    def pipeline(right, conversation, limit):
        raise error

    return pipeline


def ids_at(limit, ids):
    def pipeline(right, conversation, given):
        return {"input_ids": ids, "labels": [-100] * len(ids), "image_bounds": []}

    return at(limit, pipeline)


def suffix(right, conversation, limit):
    whole = right(conversation)
    gone = len(whole["input_ids"]) - limit
    bounds = [(start - gone, end - gone) for start, end in whole["image_bounds"] if start >= gone]
    return {"input_ids": whole["input_ids"][gone:], "labels": whole["labels"][gone:], "image_bounds": bounds}


def with_side(key, change):
    """The right cut, one array or the bounds changed where something was cut off."""

    def pipeline(right, conversation, limit):
        made = right(conversation, max_length=limit)
        return made if limit is None else {**made, key: change(made[key])}

    return pipeline


def nothing(right, conversation, limit):
    return {"input_ids": [], "labels": [], "image_bounds": []}


LEFT = {"truncation": {"policy": "never_split", "side": "left"}}
DROP = {"truncation": "drop_images"}
A, B, C, D = (1000 + ord(letter) for letter in "abcd")


@pytest.mark.parametrize(
    ("pipeline", "promised", "message", "position", "cause"),
    [
        (
            at(10, lambda right, conversation, limit: prefix(right, conversation, 1)),
            {},
            "max_length=10: the cut is at 1, and 1 ids stay; it belongs in [2, 10]",
            1,
            "cut-beside",
        ),
        (
            at(1, lambda right, conversation, limit: prefix(right, conversation, 0)),
            {},
            "max_length=1: the cut is at 0, and 0 ids stay; it belongs at 1, where no span is cut",
            0,
            "cut-beside",
        ),
        (
            at(5, suffix),
            LEFT,
            "max_length=5: the cut at 17 goes through a span of image 0, [15, 21); "
            "it would have to be 7 for this span, 22 for all",
            17,
            "cut-inside-span",
        ),
        (
            at(5, lambda right, conversation, limit: {**suffix(right, conversation, 4), **BOS_FIRST}),
            {**LEFT, "bos": "exactly_once"},
            "max_length=5: the cut at 19 goes through a span of image 0, [16, 22); "
            "it would have to be 8 for this span, 23 for all",
            19,
            "cut-inside-span",
        ),
        (
            at(12, plain),
            {},
            "max_length=12: the cut at 12 goes through a span of image 0, [8, 14); "
            "it would have to be 14 for this span, 22 for all",
            12,
            "cut-inside-span",
        ),
        (
            at(2, suffix),
            {},
            "max_length=2: the left side is cut off, declared is the right",
            0,
            "cut-on-wrong-side",
        ),
        (
            at(2, plain),
            LEFT,
            "max_length=2: the right side is cut off, declared is the left",
            0,
            "cut-on-wrong-side",
        ),
        (
            at(2, suffix),
            {**LEFT, "bos": "exactly_once"},
            "max_length=2: BOS is cut off, and should stay in front",
            0,
            "bos-cut-off",
        ),
        (
            ids_at(2, [A, D]),
            {},
            "max_length=2: the ids are not those of the whole conversation (22) with the right side cut off",
            1,
            "cut-changes-ids",
        ),
        (
            ids_at(2, [C + 50, C]),
            LEFT,
            "max_length=2: the ids are not those of the whole conversation (22) with the left side cut off",
            0,
            "cut-changes-ids",
        ),
        (
            ids_at(3, [0, D, C]),
            {**LEFT, "bos": "exactly_once"},
            "max_length=3: the ids are not those of the whole conversation (23) with the left side cut off",
            1,
            "cut-changes-ids",
        ),
        (ids_at(22, [A, B]), {}, "max_length=22: 22 ids fit, but 2 came back, or others", 2, "cut-needlessly"),
        (ids_at(23, [A] * 22), {}, "max_length=23: 22 ids fit, but 22 came back, or others", 1, "cut-needlessly"),
        (ids_at(23, [D] * 22), {}, "max_length=23: 22 ids fit, but 22 came back, or others", 0, "cut-needlessly"),
        (
            ids_at(3, [A, B, C, D]),
            {},
            "max_length=3: 4 ids came back; of 22 no more than 3 may stay",
            3,
            "limit-exceeded",
        ),
        (ignoring, {}, "max_length=21: 22 ids came back; of 22 no more than 21 may stay", 21, "limit-ignored"),
        (
            at(3, ignoring),
            {},
            "max_length=3: 22 ids came back; of 22 no more than 3 may stay",
            3,
            "limit-exceeded",
        ),
        (
            at(3, plain),
            {"truncation": "reject"},
            "max_length=3: 3 of 22 ids came back; it would have to be 22, and is not refused",
            3,
            "cut-instead-of-refusal",
        ),
        (
            at(3, lambda right, conversation, limit: None),
            {},
            "max_length=3: the pipeline returned: "
            "declared under 'returns' but only ids came back: image_bounds, labels",
            None,
            "limit-bad-return",
        ),
        (
            at(3, raised(IndexError("x"))),
            {},
            "max_length=3: the pipeline raised IndexError: x",
            None,
            "limit-raised-IndexError",
        ),
        (
            at(22, raised(ValueError("no"))),
            {},
            "max_length=22: 22 ids fit, but it is refused: ValueError: no",
            None,
            "limit-refused-needlessly",
        ),
        (
            at(21, raised(ValueError("no"))),
            {},
            "max_length=21: never_split is declared, but it is refused; 22 would hold all: ValueError: no",
            None,
            "limit-refused",
        ),
        (
            at(2, raised(ValueError("no 2 would do"))),
            DROP,
            "max_length=2: drop_images is declared, but it is refused; 22 would hold all: ValueError: no 2 would do",
            None,
            "limit-refused",
        ),
        (
            at(21, raised(ValueError("too long"))),
            {"truncation": "reject"},
            "max_length=21: refused, but the error names neither 21 nor the 22 that it would have to be: "
            "ValueError: too long",
            None,
            "limit-refusal-unclear",
        ),
        (
            with_side("image_bounds", lambda bounds: bounds[1:]),
            {},
            "max_length=23: 22 of 22 ids stay; bounds 0 are (9, 13), expected (3, 7)",
            None,
            "bounds-cut-elsewhere",
        ),
        (
            with_side("image_bounds", lambda bounds: [*bounds, (21, 22)]),
            {},
            "max_length=23: 22 of 22 ids stay; bounds 3 are (21, 22), expected none",
            None,
            "bounds-cut-elsewhere",
        ),
        (
            with_side("labels", lambda labels: [5] * len(labels)),
            {},
            "max_length=23: 22 of 22 ids stay; labels is 5 at 0, expected -100",
            0,
            "labels-not-cut",
        ),
        (
            with_side("labels", lambda labels: [-200 if k == len(labels) - 1 else x for k, x in enumerate(labels)]),
            LEFT,
            "max_length=23: 22 of 22 ids stay; labels is -200 at 21, expected -100",
            21,
            "labels-not-cut",
        ),
        (
            at(21, nothing),
            DROP,
            "max_length=21: text is cut off, though 21 more ids fit; 22 would hold all",
            0,
            "cut-beside",
        ),
    ],
)
def test_what_is_said_of_a_cut(pipeline, promised, message, position, cause):
    found = verdict(able(pipeline, **promised))
    assert (found.message, found.at, found.cause.name) == (message, position, cause)


BOS_FIRST = {"input_ids": [0, 7, 7, 4, C], "labels": [-100] * 5, "image_bounds": []}


@pytest.mark.parametrize(
    ("shortest", "others"),
    [
        (lambda ids: ids, lambda ids: [*ids, A]),
        (lambda ids: ids, lambda ids: [A - 1, *ids[1:]]),
        (lambda ids: [*ids, A], lambda ids: ids),
    ],
)
def test_a_limit_is_ignored_where_the_whole_comes_back_each_time(shortest, others):
    def pipeline(right, conversation, limit):
        ids = right(conversation)["input_ids"]
        if limit is None or limit >= LENGTH:
            return ids
        return shortest(ids) if limit == 1 else others(ids)

    assert verdict(replace(able(pipeline), returns=frozenset())).cause.name == "limit-exceeded"


def test_what_a_limit_does_to_the_input_is_said():
    def changes(right, conversation, limit):
        made = right(conversation)
        object.__setattr__(conversation, "images", ())
        return made

    found = verdict(able(at(3, changes)))
    assert found.message == "max_length=3: the pipeline changed the conversation that it was given"
    assert found.cause.name == "input-changed"


def test_what_the_diagnosis_is_told_of_a_cut():
    refused = verdict(able(at(21, raised(ValueError("no")))))
    assert refused.cause.sentence == "too long a conversation is refused, declared is never_split"
    assert verdict(able(at(20, plain))).facts == {"limit": 20, "split": (15, 21), "needed": 21, "whole": 22}


def test_a_limit_that_cannot_even_be_one_is_not_ignored():
    def pipeline(right, conversation, limit):
        if limit == 1:
            raise KeyError("x")
        return right(conversation)

    assert verdict(able(pipeline)).cause.name == "limit-exceeded"

    def two(right, conversation, limit):
        return right(conversation, max_length=1) if limit == 1 else right(conversation)

    assert verdict(able(two)).cause.name == "limit-exceeded"


@pytest.mark.parametrize("said", ["more than 21", "it is 22 long"])
def test_one_number_in_a_refusal_will_do(said):
    def pipeline(right, conversation, limit):
        if limit is not None and limit < LENGTH:
            raise ValueError(said.replace("21", str(limit)))
        return right(conversation)

    assert verdict(able(pipeline, truncation="reject")) is None


def test_limits_are_not_judged_on_what_cannot_be():
    def refuses(right, conversation, limit):
        raise ValueError("no <pad>")

    typed = Conversation([Message("user", [Text("<pad>")])])
    assert verdict(able(refuses, literals="reject"), typed) == checks.NOT_JUDGED
    nothing = Conversation([Message("user", [Text("")])])
    assert verdict(able(raising(KeyError)), nothing) == checks.NOT_JUDGED
    assert verdict(able(with_first_bounds(0, 1))) == checks.NotJudged("spans.bounds")
    undeclared = able(with_first_bounds(0, 1))
    found = verdict(replace(undeclared, returns=frozenset({"labels"})))
    assert found is None  # bounds that nobody promised, cut along


def with_first_bounds(start, end):
    """Bounds that are wrong in the whole, and cut along with it."""

    def pipeline(right, conversation, limit):
        made = right(conversation, max_length=limit)
        bounds = [(start, end), *made["image_bounds"]] if made["input_ids"] else []
        return {**made, "image_bounds": bounds}

    return pipeline


def test_sides_that_only_one_of_both_has():
    def later(right, conversation, limit):
        made = right(conversation, max_length=limit)
        return {"input_ids": made["input_ids"]} if limit is None else made

    assert verdict(replace(able(later), returns=frozenset())) is None

    def earlier(right, conversation, limit):
        made = right(conversation, max_length=limit)
        return {**made, "attention_mask": [1] * len(made["input_ids"])} if limit is None else made["input_ids"]

    assert verdict(replace(able(earlier), returns=frozenset())) is None

    def mask_is_wrong(right, conversation, limit):
        made = right(conversation, max_length=limit)
        mask = [1 if limit is None else 0] * len(made["input_ids"])
        made = {"input_ids": made["input_ids"], "attention_mask": mask}
        return {**made, "labels": [-100] * len(mask)} if limit is None else made

    found = verdict(replace(able(mask_is_wrong), returns=frozenset()))
    assert found.message == "max_length=23: 22 of 22 ids stay; attention_mask is 0 at 0, expected 1"


def positions(numbers):
    def pipeline(right, conversation, limit):
        made = right(conversation, max_length=limit)
        count = len(made["input_ids"])
        return {**made, "position_ids": list(range(count)) if limit is None else numbers(count)}

    return replace(able(pipeline, **LEFT), returns=frozenset({"labels", "image_bounds"}))


def test_positions_are_counted_anew_or_cut_along():
    assert verdict(positions(lambda count: list(range(count)))) is None
    assert verdict(positions(lambda count: list(range(LENGTH - count, LENGTH)))) is None
    found = verdict(positions(lambda count: [2 * at for at in range(count)]))
    assert found.message == "max_length=23: 22 of 22 ids stay; position_ids is 2 at 1, expected 1"
    found = verdict(positions(lambda count: [0] * count))
    assert found.message == "max_length=23: 22 of 22 ids stay; position_ids is 0 at 1, expected 1"


def counting_masks(right, conversation, limit):
    """A mask that counts is no position."""
    made = right(conversation, max_length=limit)
    count = len(made["input_ids"])
    return {**made, "attention_mask": [1] * count if limit is None else list(range(count))}


def test_only_positions_may_be_counted_anew():
    found = verdict(replace(able(counting_masks), returns=frozenset({"labels", "image_bounds"})))
    assert found.message == "max_length=23: 22 of 22 ids stay; attention_mask is 0 at 0, expected 1"


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (11, None),
        (0, None),
        (1, "labels is 5 at 1, expected -100"),
        (10, "labels is 5 at 10, expected 1101"),
        (9, "labels is -300 at 9, expected 1119"),
    ],
)
def test_shifted_labels_beside_the_cut(place, said):
    """``[....]qanswer``: the id that a label stands for is the next one, which may have been cut off."""

    def pipeline(right, conversation, limit):
        made = right(conversation, max_length=limit)
        labels = [*right(conversation)["labels"][1:], -100][: len(made["input_ids"])]
        if limit == 12:
            labels[place] = -300 if place == 9 else 5
        return {**made, "labels": labels}

    found = verdict(able(pipeline, labels={"shift": 1}), TALK)
    assert (found and found.message) == (said and f"max_length=12: 12 of 13 ids stay; {said}")
    assert not found or found.cause.name == "labels-not-cut"


def test_only_labels_are_shifted():
    def pipeline(right, conversation, limit):
        made = right(conversation, max_length=limit)
        mask = [1] * len(made["input_ids"])
        if limit == 12:
            mask[-1] = 0
        labels = [*right(conversation)["labels"][1:], -100][: len(mask)]
        return {**made, "labels": labels, "attention_mask": mask}

    found = verdict(able(pipeline, labels={"shift": 1}), TALK)
    assert found.message == "max_length=12: 12 of 13 ids stay; attention_mask is 0 at 11, expected 1"
    unshifted = with_side("labels", lambda labels: [*labels[:-1], 5])
    assert verdict(able(unshifted), TALK).message.startswith("max_length=14: 13 of 13 ids stay; labels is 5 at 12")


# ---------------------------------------------------------------- features that go with their images


def delivering(features, conversation, **promised):
    """The right cut with the features that a function of limit and ids gives."""

    def pipeline(right, given, limit):
        made = right(given, max_length=limit)
        return {**made, "features": features(limit, made["input_ids"])}

    name = "placeholder_run" if promised else "flat_slices"
    one = able(**promised)
    right = partial(reference(name), one.tokenizer, contract=one.contract)
    one = replace(one, pipeline=lambda given, max_length=None: pipeline(right, given, max_length))
    return verdict(replace(one, returns=one.returns | {"features"}), conversation)


TWO = Conversation([Message("user", [SMALL, Text("a"), SMALL])])  # [....]a[....], 13 ids


def counted(limit, ids):
    return [(number, 4) for number in range(ids.count(7) // 4)]


@pytest.mark.parametrize(
    ("features", "said", "cause"),
    [
        (counted, None, None),
        (lambda limit, ids: [(0, 4), (1, 4)][: ids.count(7) // 4] + [(3, 0)] * (limit is not None), None, None),
        (
            lambda limit, ids: counted(limit, ids)[: None if limit is None else 1],
            "13 of 13 ids stay, with 8 placeholders of 2 images, but 4 features of 1",
            "features-cut",
        ),
        (
            lambda limit, ids: [(0, 4), (1, 4)] if limit is None else [(0, 3), (1, 5)],
            "13 of 13 ids stay, with 8 placeholders of 2 images, but 8 features of 2",
            "features-cut",
        ),
        (
            lambda limit, ids: [(0, 4), (1, 4)] if limit is None else [(0, 2), (0, 2), (1, 5)],
            "13 of 13 ids stay, with 8 placeholders of 2 images, but 9 features of 2",
            "features-kept",
        ),
        (
            lambda limit, ids: [(0, 4), (1, 4)] if limit is None else [(0, 8)],
            "13 of 13 ids stay, with 8 placeholders of 2 images, but 8 features of 1",
            "features-cut",
        ),
    ],
)
def test_features_of_what_is_left(features, said, cause):
    found = delivering(features, TWO)
    assert (found and found.message) == (said and f"max_length=14: {said}")
    assert (found and found.cause.name) == cause


def test_features_are_not_held_against_a_cut_that_delivers_none():
    def pipeline(right, conversation, limit):
        made = right(conversation, max_length=limit)
        return {**made, "features": [(0, 4), (0, 8)]} if limit is None else made

    assert verdict(able(pipeline)) is None


def test_features_of_images_that_are_one_run():
    """Their blocks are told apart by the rule; three features of one image are its sum."""
    touching = Conversation([Message("user", [SMALL, SMALL, Text("a")])])
    run = {"images": RUN, "slices": None}
    assert delivering(counted, touching, **run) is None
    found = delivering(lambda limit, ids: [(0, 4), (1, 4)] if limit is None else [(0, 8)], touching, **run)
    assert found.message == "max_length=10: 9 of 9 ids stay, with 8 placeholders of 2 images, but 8 features of 1"


# ---------------------------------------------------------------- whole images that are dropped


def written(conversation, ids, bounds=(), features=None):
    """Right on the whole; ids by hand at the limit below its length, nothing but right at the others."""

    def pipeline(right, given, limit):
        whole = right(given)
        length = len(whole["input_ids"])
        made = whole if limit is None or limit != length - 1 else {"input_ids": ids, "image_bounds": bounds}
        if limit is not None and limit < length - 1:
            made = right(given, max_length=limit)
        made = {key: value for key, value in made.items() if key in ("input_ids", "image_bounds")}
        if features is not None:
            count = made["input_ids"].count(7)
            made["features"] = features if made["input_ids"] == ids else [(0, 4)] * (count > 0) + [(1, 4)] * (count > 4)
        return made

    one = able(pipeline, images={**NUMBERED, "after": "z"}, slices=None, **DROP)
    returns = frozenset({"image_bounds", *(["features"] if features is not None else [])})
    return verdict(replace(one, returns=returns), conversation)


PAIR = Conversation([Message("user", [Text("a"), SMALL, Text("bc"), SMALL, Text("d")])])
"""``a(0)[....]zbc(1)[....]zd``, of 24 ids."""


def block(number):
    return [5, 1048 + number, 6, *SPAN]


Z = 1000 + ord("z")
WITHOUT_FIRST = [A, B, C, *block(0), Z, D]
BOUNDS = "max_length=23: the bounds are {}, the placeholders stand at [(7, 11)]"
BROKEN = "max_length=23: the structure that is left is not that of whole images; 24 would hold all"
CHANGED = "max_length=23: text is lost or stands in another order"


@pytest.mark.parametrize(
    ("ids", "bounds", "features", "said", "cause"),
    [
        ([A, *block(0), Z, B, C, Z, D], [(5, 9)], None, None, None),  # only the block of the second image is gone
        ([A, Z, B, C, *block(1), Z, D], [(8, 12)], None, None, None),
        ([A, *block(0), Z, B, C, D], [(5, 9)], None, None, None),  # written anew
        (WITHOUT_FIRST, [(7, 11)], None, None, None),
        (WITHOUT_FIRST, [(7, 9), (9, 11)], None, None, None),
        (WITHOUT_FIRST, [(6, 10)], None, BOUNDS.format("[(6, 10)]"), "bounds-cut-elsewhere"),
        (WITHOUT_FIRST, [], None, BOUNDS.format("[]"), "bounds-cut-elsewhere"),
        (WITHOUT_FIRST, [(8, 12)], None, BOUNDS.format("[(8, 12)]"), "bounds-cut-elsewhere"),
        ([A, C, B, *block(0), Z, D], [(7, 11)], None, CHANGED, "cut-changes-ids"),
        ([A, B, C, D], [], None, None, None),
        ([A, C, D], [], None, CHANGED, "cut-changes-ids"),
        (
            [A, *block(0), Z, B, C, *block(1)[:-2]],
            [(5, 9)],
            None,
            BROKEN,
            "cut-inside-span",
        ),
        ([A, B, C, 1], [], None, BROKEN, "cut-inside-span"),
        (WITHOUT_FIRST, [(7, 11)], [(1, 4)], None, None),
        (
            WITHOUT_FIRST,
            [(7, 11)],
            [(0, 4), (1, 4)],
            "max_length=23: 14 of 24 ids stay, with 4 placeholders of 1 images, but 8 features of 2",
            "features-kept",
        ),
        (
            WITHOUT_FIRST,
            [(7, 11)],
            [],
            "max_length=23: 14 of 24 ids stay, with 4 placeholders of 1 images, but 0 features of 0",
            "features-cut",
        ),
    ],
)  # fmt: skip
def test_what_is_left_of_two_images(ids, bounds, features, said, cause):
    found = written(PAIR, ids, bounds, features)
    assert (found and found.message, found and found.cause.name) == (said, cause)


def test_features_of_what_is_written_anew_are_its_slots():
    """``a(0)[...]zbc(1)[...]zd``, with the first image gone: three slots beside four markers."""
    left = [A, B, C, 5, 1048, 6, 1, 7, 7, 7, 2, Z, D]

    def pipeline(right, conversation, limit):
        ids = right(conversation, max_length=limit)["input_ids"] if limit != 21 else left
        features = [(1, 3)] if limit == 21 else [(number, 3) for number in range(ids.count(7) // 3)]
        return {"input_ids": ids, "features": features}

    one = able(pipeline, images={**NUMBERED, "after": "z", "slots": 3}, slices=None, **DROP)
    assert verdict(replace(one, returns=frozenset({"features"})), PAIR) is None


def test_where_the_structure_breaks():
    assert written(PAIR, [A, *block(0), Z, B, C, *block(1)[:-2]], [(5, 9)]).at == 17
    assert written(PAIR, [A, B, C, 1]).at == 3


def test_dropped_images_leave_room_for_the_largest():
    both = Conversation([Message("user", [SMALL, Text("a"), LARGE])])
    assert verdict(able(at(10, nothing), **DROP), both) is None
    words = Conversation([Message("user", [Text("abcdef")])])
    shorter = verdict(able(at(5, lambda right, given, limit: prefix(right, given, 4)), **DROP), words)
    assert shorter.message == "max_length=5: text is cut off, though 1 more ids fit; 6 would hold all"


def test_sides_of_what_is_dropped_are_said():
    found = verdict(able(at(21, with_all_bounds), **DROP))
    assert found.message == "max_length=21: 3 of 22 ids stay; bounds 0 are (3, 7), expected none"
    assert (found.cause.name, found.facts["uncut"]) == ("bounds-not-cut", True)


def test_labels_of_what_is_dropped_are_said():
    def pipeline(right, conversation, limit):
        return {"input_ids": [A, B, C], "labels": [-100, 5, -100], "image_bounds": []}

    found = verdict(able(at(21, pipeline), **DROP))
    assert found.message == "max_length=21: 3 of 22 ids stay; labels is 5 at 1, expected -100"


def test_bos_is_no_text_of_what_is_written_anew():
    def pipeline(right, conversation, limit):
        return {"input_ids": [0, *WITHOUT_FIRST]} if limit == 23 else right(conversation, max_length=limit)

    one = able(pipeline, images={**NUMBERED, "after": "z"}, slices=None, bos="exactly_once", **DROP)
    assert verdict(replace(one, returns=frozenset()), PAIR) is None


def with_all_bounds(right, conversation, limit):
    return {"input_ids": [A, B, C], "labels": [-100] * 3, "image_bounds": right(conversation)["image_bounds"]}


@pytest.mark.parametrize(
    ("side", "tokens", "edge"),
    [("right", [*SPAN, 0, A, B], 7), ("left", [*SPAN, 0, A, B], 7)],
)
def test_bos_behind_images_is_not_judged_where_it_is_cut(side, tokens, edge):
    """[....]^ab: BOS belongs behind images, and where those are cut off nobody says where."""
    given = Conversation([Message("user", [SMALL, Text("ab")])])
    promised = {"truncation": {"policy": "never_split", "side": side}, "bos": "after_images"}

    def odd_at(limit):
        def pipeline(right, conversation, asked):
            made = right(conversation, max_length=asked)
            return {"input_ids": [B], "labels": [-100], "image_bounds": []} if asked == limit else made

        return verdict(able(pipeline, **promised), given)

    assert odd_at(6) is None if side == "right" else odd_at(2) is None
    judged = odd_at(8) if side == "right" else odd_at(3)
    assert judged is not None


@pytest.mark.parametrize("conversation", [TALK, ASKED, *EXAMPLES])
def test_text_alone_may_be_cut_where_images_are_kept(conversation):
    assert verdict(able(keeping(), truncation="keep_images"), conversation) is None


@pytest.mark.parametrize(
    ("pipeline", "cause", "message"),
    [
        (plain, "cut-inside-span", "max_length=5: the cut at 5 goes through a span of image 0, [0, 6); "),
        (keeping(strict=False), "cut-inside-span", "max_length=5: the cut at 5 goes through a span of image 0, "),
        (
            keeping(enough=1),
            "limit-refused",
            "max_length=6: no image is cut at 6, but it is refused; 13 would hold all: ValueError: of max_length",
        ),
        (keeping("no"), "limit-refusal-unclear", "max_length=5: refused, but the error names neither 5 nor the 13 "),
    ],
)
def test_images_that_are_to_be_kept(pipeline, cause, message):
    found = verdict(able(pipeline, truncation="keep_images"), TALK)
    assert found.message.startswith(message)
    assert found.cause.name == cause


def test_placeholders_that_are_cut_off_without_a_word():
    one = able(plain, truncation="keep_images", images=RUN, slices=None)
    found = verdict(replace(one, pipeline=in_a_run(one)), Conversation([Message("user", [SMALL, Text("q")])]))
    assert found.message.startswith(
        "max_length=3: 3 of 5 ids came back without all placeholders of image 0, and it is not"
    )
    assert found.cause.name == "image-cut-off"


def in_a_run(one):
    right = partial(reference("placeholder_run"), one.tokenizer, contract=one.contract)
    return lambda conversation, max_length=None: plain(right, conversation, max_length)
