"""The guard says of a sample what the checks say of it, and says it fast only where they would say nothing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from image_spans import Finding, Guard, strategies
from image_spans.case import Bench, Case
from image_spans.checks import judge
from image_spans.conversation import Conversation, Image, Message, Text
from image_spans.guard.given import sample_of
from image_spans.subject import Encoding, Subject
from support import ToyTokenizer, subject

SLICED, SMALL = Image(449, 449), Image(1, 1)
SIZES = [(449, 449), (1, 1)]
NESTED = {"grammar": "nested", "open": "<slice>", "close": "</slice>", "rule": "minicpm"}
IMAGES = {"open": "<image>", "close": "</image>", "placeholder": "<pad>", "slots": 4}
ROWS = {
    "grammar": "rows",
    "row_break": "<slice>",
    "close": "</image>",
    "placeholder": "<pad>",
    "slots": "pixtral",
    "options": {"size": 64},
}
SPAN = {
    "grammar": "same_span",
    "tile_break": "<slice>",
    "row_break": "</slice>",
    "overview_open": "<image_id>",
    "overview": "last",
    "rule": "llama4",
}
RUN = {"grammar": "run", "placeholder": "<pad>", "slots": "minicpm", "options": {"slots": 4}}
NUMBERED = {**IMAGES, "number": {"open": "<image_id>", "close": "</image_id>", "when": "sliced"}}
TEMPLATE = {"user": ["U:", "\n"], "assistant": ["A:", "</s>"]}

SUBJECTS = {
    "flat": ("flat_slices", {}),
    "template": ("flat_slices", {"template": TEMPLATE}),
    "numbered": ("flat_slices", {"images": NUMBERED}),
    "plain": ("flat_slices", {"slices": None}),
    "nested": ("nested_slices", {"slices": NESTED, "images": {**IMAGES, "after": "\n"}}),
    "rows": ("rows", {"slices": None, "images": ROWS}),
    "run": ("placeholder_run", {"slices": None, "images": RUN, "bos": "exactly_once"}),
    "same_span": ("same_span", {"slices": SPAN}),
}


def toy(name: str, *, bos: bool = False, dummy: bool = False) -> Subject:
    pipeline, changes = SUBJECTS[name]
    return subject(pipeline, tokenizer=ToyTokenizer(bos=bos, dummy=dummy), **changes)


def sizes(conversation: Conversation) -> list[tuple[int, int]]:
    return [(image.width, image.height) for image in conversation.images]


def user(*parts) -> Conversation:
    return Conversation([Message("user", [Text(part) if isinstance(part, str) else part for part in parts])])


def caught(guard: Guard, ids, images=None, **side) -> Finding:
    with pytest.raises(Finding) as raised:
        guard.verify_ids(ids, images, **side)
    return raised.value


TALK = Conversation(
    [
        Message("user", [SLICED, Text("what?")]),
        Message("assistant", [Text("cats")]),
        Message("user", [Text("and "), SMALL, Text("?")]),
        Message("assistant", [Text("no")]),
    ]
)

# ---------------------------------------------------------------- healthy samples


@pytest.mark.parametrize("name", SUBJECTS)
@pytest.mark.parametrize("dummy", [False, True])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_what_the_checks_have_nothing_against_passes(name, dummy, data):
    healthy = toy(name, dummy=dummy)
    guard = Guard(healthy)
    profile = strategies.Profile.of(healthy.contract)
    position = data.draw(st.sampled_from(["start", "middle", "end", "adjacent", "every_message", "none"]))
    conversation = data.draw(strategies.conversations(position=position, profile=profile))
    encoding = healthy.encode(conversation)
    labels = encoding.arrays["labels"]
    side = {"labels": labels} if any(label != -100 for label in labels) else {}
    for _ in range(2):  # the second time by the tables, where they can tell
        guard.verify_ids(encoding.ids, sizes(conversation), image_bounds=encoding.image_bounds, **side)
        guard.verify_ids(encoding.ids, image_bounds=encoding.image_bounds, **side)
    own = sample_of(encoding.ids, side)
    assert not encoding.ids or guard._compiled.passes(own, sizes(conversation), None)
    assert not encoding.ids or guard._compiled.passes(own, None, None)


# ---------------------------------------------------------------- mutated ones


@st.composite
def mutated(draw, ids: list[int]) -> list[int]:
    """Ids with up to three things done to them; mostly to structure."""
    ids = list(ids)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(ids)))
        end = draw(st.integers(at, min(len(ids), at + draw(st.sampled_from([1, 2, 6, 40])))))
        structural = [index for index, token_id in enumerate(ids) if token_id < 10]
        how = draw(st.sampled_from(["cut", "put", "replace", "again", "head", "tail", "swap", "one"]))
        if how == "cut":
            del ids[at:end]
        elif how == "put":
            ids.insert(at, draw(st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7, 7, 900, 1100, 500, -1, 899])))
        elif how == "replace" and at < len(ids):
            ids[at] = draw(st.sampled_from([0, 1, 2, 3, 4, 7, 1100]))
        elif how == "again":
            ids[at:at] = ids[at:end]
        elif how == "head":
            ids = ids[at:]
        elif how == "tail":
            ids = ids[:at]
        elif how == "swap":
            ids = ids[:at] + ids[end:] + ids[at:end]
        elif structural:
            del ids[draw(st.sampled_from(structural))]
    return ids


STRUCTURE = ("pipeline.encodes", "bos.placement", "spans.matched", "spans.expected", "spans.slots", "spans.order")


def suite_objects(healthy: Subject, conversation: Conversation, ids: list[int]) -> bool:
    """Whether the checks of structure have something against ids of a conversation that they know."""
    case = Case(Bench(healthy), conversation, Encoding(ids))
    verdicts = {name: judge(case, name) for name in STRUCTURE}
    # spans.order judges text as well: an image that stands elsewhere in it is nothing that ids tell.
    return any(isinstance(verdict, Finding) and not verdict.facts.get("moved") for verdict in verdicts.values())


@pytest.mark.parametrize("name", SUBJECTS)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_the_tables_never_say_right_where_the_checks_say_wrong(name, data):
    healthy = toy(name)
    guard = Guard(healthy)
    profile = strategies.Profile.of(healthy.contract)
    position = data.draw(st.sampled_from(["start", "middle", "adjacent", "every_message"]))
    conversation = data.draw(strategies.conversations(position=position, profile=profile))
    encoding = healthy.encode(conversation)
    images = sizes(conversation)
    guard.verify_ids(encoding.ids, images)  # what is right is known by then
    ids = data.draw(mutated(encoding.ids))
    own = sample_of(ids, {})
    known = [Image(*size) for size in images]
    found = guard._judge.judge(own, known)
    assert found is None or not guard._compiled.passes(own, images, None), found
    loose = guard._judge.judge(own, None)
    assert loose is None or not guard._compiled.passes(own, None, None), loose
    assert loose is None or found is not None, "wrong without the sizes is wrong with them"
    if name != "run" and len(ids) and not own.ids.min() < 0:
        # The guard does not see the text; of what images are made, it must say what those say who do.
        objects = suite_objects(healthy, conversation, ids)
        assert (found is not None) == objects, found


ARRAYS = st.sampled_from(["labels", "attention_mask", "token_type_ids", "position_ids", "image_bounds"])


@pytest.mark.parametrize("name", ["flat", "template", "run"])
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_nor_of_what_stands_beside_the_ids(name, data):
    healthy = toy(name)
    guard = Guard(healthy)
    encoding = healthy.encode(TALK)
    ids = encoding.ids
    side = {
        "labels": list(encoding.arrays["labels"]),
        "attention_mask": [1] * len(ids),
        "token_type_ids": [int(token_id == 7) for token_id in ids],
        "position_ids": list(range(2, 2 + len(ids))),
        "image_bounds": list(encoding.image_bounds),
    }
    guard.verify_ids(ids, SIZES, **side)
    key = data.draw(ARRAYS)
    row = side[key]
    if key == "image_bounds":
        index = data.draw(st.integers(0, len(row) - 1))
        row[index] = (row[index][0] + data.draw(st.integers(-1, 1)), row[index][1] + data.draw(st.integers(-1, 1)))
    else:
        at = data.draw(st.integers(0, len(ids) - 1))
        row[at] = data.draw(st.sampled_from([0, 1, -100, 3, ids[at], row[at] + 1]))
    own = sample_of(ids, side)
    found = guard._judge.judge(own, [SLICED, SMALL])
    assert found is None or not guard._compiled.passes(own, SIZES, None)
    changed = side[key] != {**dict(encoding.arrays), "image_bounds": encoding.image_bounds}.get(key, row)
    if key != "labels" and changed:
        assert found is not None
