"""truncation.policy on the toy tokenizer: what is right is silent, each single fault is one finding."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from image_spans import checks
from image_spans.case import Bench
from image_spans.checks.truncation import EXAMPLES, _without
from image_spans.conversation import Conversation, Image, Message, Text
from image_spans.engine import Engine, diagnosed
from image_spans.findings import Finding
from image_spans.pipelines import reference
from image_spans.strategies import Profile
from support import contract, subject

SMALL, LARGE = Image(1, 1), Image(449, 449)
ROWS = {
    "grammar": "rows",
    "row_break": "<slice>",
    "close": "</image>",
    "placeholder": "<pad>",
    "slots": "pixtral",
    "options": {"size": 64},
}
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
    assert "declares no truncation" in check.inapplicable(contract(), able_)
    assert "max_length" in check.inapplicable(contract(truncation="reject"), frozenset())


def test_examples_are_judged_once_at_the_start_where_they_are_in_the_contract():
    engine, one = Engine(10, 0), able()
    assert engine.survey(one, "start", "limits").conversations[: len(EXAMPLES)] == EXAMPLES
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
