"""The guard says of a sample what the checks say of it, and says it fast only where they would say nothing."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from image_spans import Finding, Guard, load_guard, strategies, verify_batch, verify_ids
from image_spans import guard as guards
from image_spans.case import Bench, Case
from image_spans.checks import judge
from image_spans.conversation import Conversation, Image, Message, Text
from image_spans.errors import ConfigError
from image_spans.grammars import Fixed, Marker, Slots, grammar
from image_spans.guard import compiled
from image_spans.guard.given import sample_of
from image_spans.oracles import scan
from image_spans.subject import Encoding, Subject, nameless
from support import ROWS, ToyTokenizer, contract, subject

SLICED, SMALL = Image(449, 449), Image(1, 1)
SIZES = [(449, 449), (1, 1)]
NESTED = {"grammar": "nested", "open": "<slice>", "close": "</slice>", "rule": "minicpm"}
IMAGES = {"open": "<image>", "close": "</image>", "placeholder": "<pad>", "slots": 4}
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


TAGS = {"open": "<image>", "close": "</image>", "placeholder": "<pad>", "slots": "own_grammars:tiles"}
OWN = {
    "gemma3": {**TAGS, "grammar": "own_grammars:gemma3"},
    "picture": {**TAGS, "grammar": "own_grammars:picture"},
    "captioned": {"placeholder": "<pad>", "slots": "own_grammars:tiles", "grammar": "own_grammars:captioned"},
}
"""Grammars that are nobody else's."""


def of_grammar(name: str) -> Subject:
    promised = contract(slices=None, images=OWN[name]).locate(Path(__file__).parent)
    tokenizer = ToyTokenizer()

    def block(image, number):
        elements = grammar(promised.images.grammar, promised.folder).write(
            promised.layout(image.width, image.height, 1), promised, number
        )
        tokens = {
            Fixed: lambda e: e.text,
            Slots: lambda e: "<pad>" * e.count,
            Marker: lambda e: promised.markers[e.role],
        }
        return "".join(tokens[type(element)](element) for element in elements)

    def encode(tokenizer, conversation):
        ids, number = [], 0
        for part in (part for message in conversation.messages for part in message.parts):
            if isinstance(part, Text):
                ids += tokenizer.encode_text(part.text)
            else:
                ids += tokenizer.encode_markup(block(part, number))
                number += 1
        runs = scan(ids, {7: "placeholder"}, None).runs
        return {"input_ids": ids, "image_bounds": runs, "labels": [-100] * len(ids)}

    return subject(encode, tokenizer=tokenizer, promised=promised, returns=("image_bounds", "labels"))


def toy(name: str, *, bos: bool = False, dummy: bool = False) -> Subject:
    if name in OWN:
        return of_grammar(name)
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


@pytest.mark.parametrize("name", [*SUBJECTS, *OWN])
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
    if name == "captioned" and position == "adjacent":
        return  # whether text parted two runs is for the checks to tell
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


@pytest.mark.parametrize("name", [*SUBJECTS, *OWN])
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
    if name not in ("run", "captioned") and len(ids) and not own.ids.min() < 0:
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


# ---------------------------------------------------------------- what the reports tell of (F1, F5, F7, F11)


def own_ids(name: str, conversation: Conversation, **options) -> list[int]:
    return toy(name, **options).encode(conversation).ids


ASKED = Conversation([Message("user", [SLICED, Text("what?")]), Message("assistant", [Text("cats")])])
TWO = Conversation(
    [Message("user", [SMALL, Text("a")]), Message("assistant", [Text("b")]), Message("user", [SMALL, Text("c")])]
)


def without(ids: list[int], at: int, end: int | None = None) -> list[int]:
    return ids[:at] + ids[at + 1 if end is None else end :]


def test_the_first_id_taken_for_bos_leaves_an_image_without_its_open():
    """MiniCPM-V#331: a message that begins with an image, encoded alone, lost its first id."""
    ids = own_ids("template", ASKED)
    finding = caught(Guard(toy("template")), without(ids, ids.index(1)), [(449, 449)])
    assert finding.check == "spans.matched"
    assert finding.message == "0 image opens, 1 close"
    assert finding.cause.name == "first-id-removed-or-marker-lost"
    assert "the first id of message 0 was removed as if it were BOS" in finding.cause.sentence
    assert finding.as_read
    assert finding.conversation == Conversation(
        [Message("user", [SLICED, Text("what?")]), Message("assistant", [Text("cats")])]
    )


def test_the_subjects_own_pipeline_tells_the_two_apart():
    healthy = toy("flat")

    def strips(tokenizer, conversation):
        return [t for m in conversation.messages for t in healthy.encode(Conversation([m])).ids[1:]]

    guard = Guard(subject(strips, promised=healthy.contract))
    conversation = user(SMALL, "a")
    finding = caught(guard, strips(None, conversation), sizes(conversation))
    assert finding.fingerprint == "spans.matched/first-id-removed"
    assert finding.conversation == conversation


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda ids: [0, *ids], "bos-doubled"),  # a template that spells BOS, encoded with special tokens (vllm#55197)
        (lambda ids: [*ids[:5], 0, *ids[5:]], "bos-per-segment"),  # each chunk with its own (llama.cpp#3645)
        (lambda ids: ids[1:], "bos-missing"),
        (
            lambda ids: [*ids[1:5], 0, *ids[5:]],
            "bos-misplaced",
        ),  # in front of the image, not behind it (transformers#35081)
    ],
)
def test_bos_for_each_piece_doubled_missing_or_misplaced(change, name):
    guard = Guard(toy("run", bos=True))
    ids = own_ids("run", user(SMALL, "abc"), bos=True)
    assert caught(guard, change(ids), [(1, 1)]).fingerprint == f"bos.placement/{name}"
    assert caught(guard, change(ids)).fingerprint == f"bos.placement/{name}"


def test_a_marker_that_somebody_typed_is_no_image():
    """MiniCPM-V#230: the prompt spells the open marker besides the block that is put in."""
    ids = own_ids("template", ASKED)
    at = ids.index(1000 + ord("w"))
    guard = Guard(toy("template"))
    for images in ([(449, 449)], None):
        finding = caught(guard, [*ids[:at], 1, *ids[at:]], images)
        assert finding.fingerprint == "spans.matched/literal-became-structure"
    known = caught(guard, [*ids[:at], 1, *ids[at:]], [(449, 449)])
    assert known.cause.sentence.startswith("<image> (1) stands in the text of the user in message 0, where no image is")


def test_a_typed_pair_of_markers_and_a_typed_placeholder():
    ids = own_ids("template", ASKED)
    guard = Guard(toy("template"))
    pair = caught(guard, [*ids, 1, 2], [(449, 449)])
    assert pair.cause.name == "literal-became-structure"
    wrapper = caught(guard, [*ids[:-3], 1, 7, 2, *ids[-3:]], [(449, 449)])  # the whole wrapper, with one slot
    assert wrapper.cause.name == "literal-became-structure"
    lone = caught(guard, [*ids[:-3], 7, *ids[-3:]], [(449, 449)])  # EasyR1#110: typed, or generated
    assert lone.fingerprint == "spans.slots/literal-became-structure-or-stray-placeholder"


def test_a_tag_that_is_never_replaced():
    """MiniCPM-V#587: the tag of a later turn stays, and is the open marker itself."""
    ids = own_ids("flat", TWO)
    second = ids.index(1, 5)
    finding = caught(Guard(toy("flat")), without(ids, second + 1, second + 6), [(1, 1), (1, 1)])
    assert finding.fingerprint == "spans.matched/tag-left-in-text"
    assert "image 1" in finding.cause.sentence


def test_a_tag_that_stays_ordinary_text():
    """Qwen-VL-Series-Finetune#43: the pattern wants a newline behind the tag."""
    tokenizer = ToyTokenizer()
    ids = [*tokenizer.encode_text("what?"), *tokenizer.encode_text("<image>")]
    finding = caught(Guard(toy("flat")), ids, [(1, 1)])
    assert finding.message == "1 image and no span at all"
    assert finding.cause.name == "marker-as-text"
    tagged = Guard(subject(literals={"policy": "plain", "tag": "<pic>"}))
    finding = caught(tagged, tokenizer.encode_text("a<pic>b"), [(1, 1)])
    assert finding.cause.name == "tag-left-in-text"
    assert finding.conversation == user("a", SMALL, "b")


def test_images_without_a_marker_and_markers_without_an_image():
    guard = Guard(toy("flat"))
    ids = own_ids("flat", TWO)
    block = ids[: ids.index(2) + 1]
    assert caught(guard, ids[len(block) :], [(1, 1), (1, 1)]).cause.name == "image-dropped"
    assert caught(guard, [1100, 1101], [(1, 1)]).cause.name == "images-dropped"  # vllm#8990
    assert caught(guard, [*block, *ids], [(1, 1), (1, 1)]).cause.name == "image-doubled"  # ms-swift#3505
    assert caught(guard, [*block, 1100, *ids], [(1, 1), (1, 1)]).cause.name == "image-doubled"
    assert caught(guard, own_ids("flat", TALK), [(1, 1)]).cause.name == "features-missing"  # an image nobody gave


def test_every_tag_twice_is_every_image_twice():
    """EvolvingLMMs-Lab/lmms-eval#998: a marker is put in for each image on top of those in the text."""
    ids = own_ids("flat", user(SMALL, "a", SLICED, "b"))
    blocks = own_ids("flat", user(SMALL, SLICED))
    finding = caught(Guard(toy("flat")), [*blocks, *ids], [(1, 1), (449, 449)])
    assert finding.check == "spans.expected"
    assert finding.cause.name == "image-doubled"


@pytest.mark.parametrize("keep", [2, 4, 7, 9, 12])
def test_ids_that_are_cut_off_inside_of_an_image(keep):
    """MiniCPM-V#483: the last open survives the limit, its close does not."""
    guard = Guard(toy("flat"))
    ids = own_ids("flat", ASKED)
    for images in ([(449, 449)], None):
        if images is None and keep in (7, 12):
            continue  # cut between two spans; without the size nobody knows
        finding = caught(guard, ids[:keep], images)
        assert finding.cause.name == "cut-at-limit", finding
    assert (
        f"{keep} ids are there, and the limit would have to be at least"
        in caught(guard, ids[:keep], [(449, 449)]).cause.sentence
    )


def test_ids_that_are_cut_off_in_the_text_with_all_images_beyond():
    guard = Guard(toy("template"))
    ids = own_ids("template", TALK)
    assert caught(guard, ids[: ids.index(1, 5) - 2], SIZES).cause.name == "cut-at-limit"
    finding = caught(guard, ids[-6:], SIZES)  # trl#5285: the end is kept, and the images stand at the beginning
    assert finding.cause.name == "cut-at-limit"
    assert finding.cause.sentence.startswith("the left side is cut off")
    assert caught(guard, ids[ids.index(2) - 2 :], SIZES).cause.sentence.startswith(
        "the left side is cut off in image 0"
    )


def test_without_its_bos_the_left_side_was_cut_off():
    guard = Guard(toy("run", bos=True))
    ids = own_ids("run", user("abc", SMALL, "def"), bos=True)
    assert caught(guard, ids[-2:], [(1, 1)]).fingerprint == "bos.placement/cut-at-limit"


def test_nothing_is_left_to_learn():
    """MiniCPM-V#631: the answer is behind the limit."""
    healthy = toy("flat")
    ids = healthy.encode(ASKED).ids
    finding = caught(Guard(healthy), ids, [(449, 449)], labels=[-100] * len(ids))
    assert finding.fingerprint == "labels.cover_answers/all-ignored"
    assert finding.message == f"none of {len(ids)} labels is learned"


# ---------------------------------------------------------------- beside the ids


def test_side_arrays_that_say_something_else():
    healthy = toy("flat")
    guard, encoding = Guard(healthy), healthy.encode(ASKED)
    ids, labels = encoding.ids, encoding.arrays["labels"]
    at = ids.index(7)
    for side, fingerprint in (
        ({"labels": [*ids]}, "labels.cover_answers/structure-labelled"),
        ({"labels": [*labels[1:], -100]}, "labels.cover_answers/labels-shifted-1"),
        ({"attention_mask": [1] * at + [0] + [1] * (len(ids) - at - 1)}, "arrays.mark/mask-hides-tokens"),
        ({"token_type_ids": [0] * len(ids)}, "arrays.mark/types-misplaced"),
        ({"position_ids": [0] * len(ids)}, "arrays.mark/positions-jump"),
        (
            {"image_bounds": [(start + 1, end + 1) for start, end in encoding.image_bounds]},
            "spans.bounds/bounds-shifted",
        ),
        ({"image_bounds": []}, "spans.bounds/bounds-empty"),
        ({"features": [(0, 4), (0, 4)]}, "geometry.agrees/counts-differ-fewer"),
        ({"features": [(0, 12), (1, 4)]}, "geometry.agrees/features-surplus"),
    ):
        assert caught(guard, ids, [(449, 449)], **side).fingerprint == fingerprint
    guard.verify_ids(ids, [(449, 449)], features=[(0, 4), (0, 4), (0, 4)])


def test_labels_one_place_ahead_where_the_contract_says_so():
    shifted = subject(template=TEMPLATE, labels={"shift": 1})
    encoding = shifted.encode(ASKED)
    labels = [*encoding.arrays["labels"][1:], -100]
    guard = Guard(shifted)
    guard.verify_ids(encoding.ids, [(449, 449)], labels=labels)
    assert guard._compiled.passes(sample_of(encoding.ids, {"labels": labels}), [(449, 449)], None)
    assert caught(guard, encoding.ids, [(449, 449)], labels=encoding.arrays["labels"]).check == "labels.cover_answers"


FEATURES = {
    "grammar": "paired",
    "open": "<image>",
    "close": "</image>",
    "placeholder": "<pad>",
    "slots": "from_features",
}


@pytest.mark.parametrize("images", [FEATURES, {"grammar": "run", "placeholder": "<pad>", "slots": "from_features"}])
def test_where_features_tell_the_slots(images):
    paired = "open" in images
    guard = Guard(contract(slices=None, images=images), ToyTokenizer())
    span = [1, 7, 7, 7, 2] if paired else [7, 7, 7]
    ids = [1100, *span, 1100, *span]
    for side in ({"features": [(0, 3), (1, 3)]}, {}):
        guard.verify_ids(ids, [(5, 5), (9, 9)], **side)
        guard.verify_ids(ids, **side)
        guard.verify_ids(np.array(ids), **side)
    assert caught(guard, ids, features=[(0, 3), (1, 4)]).check == "spans.slots"
    assert caught(guard, ids, [(5, 5), (5, 5)], features=[(0, 3), (1, 3), (2, 3)]).check == "geometry.agrees"
    assert caught(guard, ids, [(5, 5)]).check in ("spans.expected", "spans.slots")
    if paired:
        assert caught(guard, ids, [(5, 5)] * 3).check == "spans.expected"
    else:
        guard.verify_ids([*span, 1100, 1100], [(5, 5), (5, 5)])  # images that touch are one run
        assert caught(guard, [1100], [(5, 5)]).check == "spans.expected"


# ---------------------------------------------------------------- batches


PAD = 900  # </s>, which nothing else here is


def padded(rows, side, fill):
    longest = max(map(len, rows))
    pad = [[fill] * (longest - len(row)) for row in rows]
    return [[*p, *row] if side == "left" else [*row, *p] for p, row in zip(pad, rows, strict=True)]


def batch_of(healthy: Subject, conversations, side="right", pad=PAD) -> dict[str, list[list[int]]]:
    encodings = [healthy.encode(conversation) for conversation in conversations]
    longest = max(len(encoding.ids) for encoding in encodings)
    shifts = [longest - len(encoding.ids) if side == "left" else 0 for encoding in encodings]
    return {
        "input_ids": padded([encoding.ids for encoding in encodings], side, pad),
        "labels": padded([encoding.arrays["labels"] for encoding in encodings], side, -100),
        "attention_mask": padded([[1] * len(encoding.ids) for encoding in encodings], side, 0),
        "image_bounds": [
            [(start + by, end + by) for start, end in encoding.image_bounds]
            for by, encoding in zip(shifts, encodings, strict=True)
        ],
        "pixel_values": ["not looked at"] * len(encodings),
    }


BATCH = [TALK, ASKED, Conversation([Message("user", [Text("a")]), Message("assistant", [Text("b")])])]
OF_BATCH = [sizes(conversation) for conversation in BATCH]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("pad", [PAD, 1000 + ord("_")])
@pytest.mark.parametrize("make", [list, np.array])
def test_a_padded_batch(side, pad, make):
    healthy = subject(pad=ToyTokenizer().id_to_token(pad))
    guard = Guard(healthy)
    batch = batch_of(healthy, BATCH, side, pad)
    for key in ("input_ids", "labels", "attention_mask"):
        batch[key] = make(batch[key])
    guard.verify_batch(batch, OF_BATCH)
    guard.verify_batch(batch)
    bare = {key: batch[key] for key in ("input_ids", "labels")}
    guard.verify_batch(bare, OF_BATCH)
    guard.verify_batch(batch["input_ids"], OF_BATCH)
    ragged = {"input_ids": [healthy.encode(conversation).ids for conversation in BATCH]}
    guard.verify_batch(ragged, OF_BATCH)


def of_batch(guard: Guard, batch, images=None) -> Finding:
    with pytest.raises(Finding) as raised:
        guard.verify_batch(batch, images)
    return raised.value


def test_a_finding_names_its_row():
    healthy = subject()
    batch = batch_of(healthy, BATCH, "left")
    row = batch["input_ids"][1]
    row.remove(1)
    row.insert(0, PAD)
    batch.pop("attention_mask")
    batch.pop("image_bounds")
    padding = row.index(7)
    finding = of_batch(Guard(subject(pad="</s>")), {"input_ids": batch["input_ids"]}, OF_BATCH)
    assert finding.sample == 1
    assert finding.at == padding
    assert finding.message == f"0 image opens, 1 close (counted behind {padding} ids of padding)"
    assert str(finding).startswith("toy (sample 1) breaks spans.matched: 0 image opens, 1 close")
    assert "  Read as " in str(finding)


def test_bounds_that_were_not_moved_along():
    """LlamaFactory's plugin and others: bounds of the row before it was padded."""
    healthy = subject(pad="</s>")
    batch = batch_of(healthy, BATCH, "left")
    batch["image_bounds"] = [healthy.encode(conversation).image_bounds for conversation in BATCH]
    finding = of_batch(Guard(healthy), batch, OF_BATCH)
    assert (finding.sample, finding.fingerprint) == (1, "spans.bounds/bounds-shifted")


@pytest.mark.parametrize("mask", [True, False])
def test_what_stands_on_the_padding(mask):
    healthy = subject(pad="_")
    pad = 1000 + ord("_")
    guard = Guard(healthy)

    def changed(key, value, at=-1):
        batch = batch_of(healthy, BATCH, "right", pad)
        batch["token_type_ids"] = [[int(token_id == 7) for token_id in row] for row in batch["input_ids"]]
        guard.verify_batch(batch, OF_BATCH)
        if not mask:
            del batch["attention_mask"]
        batch[key][1][at] = value
        return of_batch(guard, batch, OF_BATCH)

    assert changed("labels", pad).fingerprint == "batch.agrees/labels-on-padding"
    assert changed("token_type_ids", 1).fingerprint == "batch.agrees/token_type_ids-misplaced"
    if mask:
        assert changed("attention_mask", 1).fingerprint == "batch.agrees/mask-wrong"
        assert changed("attention_mask", 0, at=0).fingerprint == "batch.agrees/mask-wrong"
        hidden = changed("attention_mask", 0, at=3)
        assert (hidden.sample, hidden.fingerprint) == (1, "arrays.mark/mask-hides-tokens")
        assert changed("input_ids", 1100).fingerprint == "batch.agrees/mask-wrong"


def test_padding_that_nobody_names_is_any_one_id():
    healthy = subject()
    batch = batch_of(healthy, BATCH, "right", 1000 + ord("~"))
    guard = Guard(healthy)
    guard.verify_batch(batch, OF_BATCH)
    batch["input_ids"][1][-1] = 1100
    assert of_batch(guard, batch, OF_BATCH).fingerprint == "batch.agrees/mask-wrong"


def test_padding_that_ends_samples_too_is_learned_where_it_ends_one():
    """`</s>` ends an answer and pads a row."""
    healthy = subject(template=TEMPLATE, pad="</s>")
    guard = Guard(healthy)
    for side in ("left", "right"):
        batch = batch_of(healthy, BATCH, side)
        guard.verify_batch(batch, OF_BATCH)
        del batch["attention_mask"]
        guard.verify_batch(batch, OF_BATCH)


def test_padding_that_is_bos():
    healthy = subject(bos="exactly_once", pad="<s>", tokenizer=ToyTokenizer(bos=True))
    guard = Guard(healthy)
    for side in ("left", "right"):
        batch = batch_of(healthy, BATCH, side, 0)
        guard.verify_batch(batch, OF_BATCH)
        guard.verify_batch({"input_ids": batch["input_ids"]}, OF_BATCH)


def test_rows_of_padding_alone_and_no_ids():
    guard = Guard(subject(pad="_"))
    guard.verify_batch({"input_ids": [[1095, 1095], [1100, 1095]], "attention_mask": [[0, 0], [1, 0]]}, [[], []])
    guard.verify_ids([], [])
    guard.verify_ids([])
    assert caught(guard, [], [(1, 1)]).cause.name == "images-dropped"


def test_fewer_rows_than_samples():
    """transformers#34204: of N prompts the first comes back."""
    finding = of_batch(Guard(subject()), {"input_ids": [[1100]]}, [[], []])
    assert finding.fingerprint == "batch.agrees/rows-lost"
    assert finding.message == "there are 1 rows, and images for 2"


# ---------------------------------------------------------------- what is given


@pytest.mark.parametrize(
    ("ids", "images", "side", "error", "text"),
    [
        ("text", None, {}, TypeError, "ids is a str; expected a list, an array or a tensor of ints"),
        ([1.5], None, {}, TypeError, "ids holds 1.5 (float) at 0; expected ints of 64 bits"),
        ([1, 2**70], None, {}, TypeError, f"ids holds {2**70} (int) at 1; expected ints of 64 bits"),
        ([True], None, {}, TypeError, "ids holds True (bool) at 0; expected ints of 64 bits"),
        ([[1]], None, {}, ValueError, "ids is nested: entry 0 is a list; expected ints; verify_batch takes rows"),
        (np.ones(2), None, {}, TypeError, "ids is an array of float64; expected ints"),
        (
            np.ones((2, 2), int),
            None,
            {},
            ValueError,
            "ids has the shape (2, 2); expected one axis; verify_batch takes rows",
        ),
        ([1], 5, {}, TypeError, "images is 5; expected a list of (width, height)"),
        ([1], "ab", {}, TypeError, "images is 'ab'; expected a list of (width, height)"),
        ([1], [(1,)], {}, TypeError, "images[0] is (1,); expected (width, height) in pixels"),
        ([1], [(0, 1)], {}, ValueError, "images[0] is (0, 1); expected a width and a height of at least one pixel"),
        ([1], None, {"label": [1]}, TypeError, "there is no side array 'label'; did you mean 'labels'?"),
        ([1], None, {"labels": [1, 2]}, ValueError, "labels has 2 entries, expected 1, as many as ids"),
        ([1], None, {"image_bounds": [(1, 2, 3)]}, ValueError, "image_bounds[0] has 3 entries; expected 2"),
        ([1], None, {"image_bounds": 3}, TypeError, "image_bounds is a int; expected pairs of ints"),
        (
            [1],
            None,
            {"features": [(0, 1)]},
            ValueError,
            "features are compared image by image; give images=[(width, height), ...] too",
        ),
    ],
)
def test_what_is_no_sample_is_one_clear_error(ids, images, side, error, text):
    with pytest.raises(error) as raised:
        Guard(subject()).verify_ids(ids, images, **side)
    assert str(raised.value) == text


def test_a_picture_is_not_its_size():
    import PIL.Image

    with pytest.raises(TypeError, match=r"of a picture that is its \.size"):
        Guard(subject()).verify_ids([1], [PIL.Image.new("RGB", (2, 2))])


@pytest.mark.parametrize(
    ("batch", "images", "error", "text"),
    [
        ({"ids": []}, None, TypeError, "the batch has no 'input_ids'; its keys are ['ids']"),
        (5, None, TypeError, "the batch is a int; expected a row for each sample"),
        (np.ones(3, int), None, ValueError, "the batch has the shape (3,); expected a row for each sample"),
        ({"input_ids": [[1]], "labels": []}, None, ValueError, "labels has 0 rows, input_ids has 1"),
        (
            {"input_ids": [[1]], "labels": [[1, 2]]},
            None,
            ValueError,
            "labels has 2 entries, expected 1, as many as input_ids",
        ),
        ({"input_ids": [[1]]}, 7, TypeError, "images of the batch is 7; expected a list of (width, height)"),
    ],
)
def test_what_is_no_batch_is_one_clear_error(batch, images, error, text):
    with pytest.raises(error) as raised:
        Guard(subject()).verify_batch(batch, images)
    assert str(raised.value) == text


def test_positions_with_axes_of_their_own_are_not_judged():
    Guard(subject()).verify_batch({"input_ids": [[1100]], "position_ids": np.zeros((3, 1, 1), int)})


def test_sizes_in_any_form():
    guard, ids = Guard(subject()), own_ids("flat", ASKED)
    for images in ([(449, 449)], ((449, 449),), [[449, 449]], np.array([[449, 449]]), iter([(449, 449)])):
        guard.verify_ids(ids, images)
    for dtype in (np.int32, np.uint16):
        guard.verify_ids(np.array(ids, dtype), [np.array([449, 449])], attention_mask=np.ones(len(ids), bool))


def test_a_size_that_the_rule_refuses():
    promised = contract(slices=None, images={**IMAGES, "slots": "qwen2_vl"})
    guard = Guard(promised, ToyTokenizer())
    with pytest.raises(ValueError, match="the slice rule of this contract refuses an image of 1x1000"):
        guard.verify_ids([1100], [(1, 1000)])


# ---------------------------------------------------------------- how one comes to a guard


def test_a_contract_needs_a_tokenizer():
    with pytest.raises(TypeError, match="a Contract names tokens, not ids; give the tokenizer too"):
        Guard(contract())
    with pytest.raises(TypeError, match="takes a Contract with a tokenizer, or a Subject; found dict"):
        Guard({})
    with pytest.raises(Finding, match="image_open '<img>' is not in the vocabulary"):
        Guard(contract(images={**IMAGES, "open": "<img>"}), ToyTokenizer())


def test_the_functions_make_a_guard_of_what_they_are_given():
    promised, tokenizer, healthy = contract(), ToyTokenizer(), subject()
    ids = own_ids("flat", ASKED)
    guard = Guard(healthy, name="mine")
    for what, options in ((guard, {}), (healthy, {}), (promised, {"tokenizer": tokenizer})):
        verify_ids(ids, what, [(449, 449)], **options)
        verify_batch([ids], what, [[(449, 449)]], **options)
        with pytest.raises(Finding) as raised:
            verify_ids(ids[1:], what, [(449, 449)], sample=7, **options)
        assert raised.value.sample == 7
    for _ in range(20):
        verify_ids(ids, contract(), tokenizer=tokenizer)
    assert len(guards._made) == 16


YAML = """
version: 1
subjects:
  mine:
    tokenizer:
      backend: transformers
      source: {trained: byte_bpe}
      add_special_tokens: [<image>, </image>, <slice>, </slice>, <unk>]
    pipeline: flat_slices
    contract:
      bos: none
      images: {open: <image>, close: </image>, placeholder: <unk>, slots: 64}
      slices: {open: <slice>, close: </slice>, rule: minicpm}
      template: {}
"""


def test_a_subject_of_the_yaml_by_name(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(YAML, encoding="utf-8")
    guard = load_guard("mine", file)
    conversation = user(SLICED, "what?")
    ids = guard.subject.encode(conversation).ids
    for _ in range(2):
        verify_ids(ids, "mine", [(449, 449)], file=file)
        verify_batch([ids], "mine", [[(449, 449)]], file=file)
    with pytest.raises(Finding) as raised:
        verify_ids(ids[1:], "mine", [(449, 449)], file=file)
    assert raised.value.subject == "mine"
    with pytest.raises(ConfigError, match="there is no subject 'yours'"):
        load_guard("yours", file)
    again = pickle.loads(pickle.dumps(guard))  # as a worker that is spawned gets it
    again.verify_ids(ids, [(449, 449)])


def test_a_finding_can_be_pickled():
    finding = caught(Guard(subject()), [1, 1100], [(1, 1)]).having(sample=3)
    again = pickle.loads(pickle.dumps(finding))
    assert (str(again), again.sample) == (str(finding), 3)


# ---------------------------------------------------------------- odd subjects


def test_a_template_that_spells_bos_says_nothing_about_how_often():
    spelled = subject(template={"user": ["<s>", ""]}, bos="none")
    guard = Guard(spelled)
    ids = [0, 1100, 0, *own_ids("flat", ASKED)]
    guard.verify_ids(ids, [(449, 449)])
    assert guard._compiled.passes(sample_of(ids, {}), [(449, 449)], None)


def test_bos_behind_the_images():
    guard = Guard(contract(bos="after_images", slices=None), ToyTokenizer())
    block = [1, 7, 7, 7, 7, 2]
    for ids, images in (
        ([*block, 0, 1100], [(1, 1)]),
        ([0, 1100], []),
        ([1100, *block, 1100, *block, 0], [(1, 1)] * 2),
    ):
        guard.verify_ids(ids, images)
        guard.verify_ids(ids)
        assert guard._compiled.passes(sample_of(ids, {}), images, None)
    assert caught(guard, [0, *block, 1100], [(1, 1)]).fingerprint == "bos.placement/bos-misplaced"
    assert caught(guard, [*block, 1100], [(1, 1)]).fingerprint == "bos.placement/bos-missing"


def test_more_sizes_and_forms_than_are_remembered(monkeypatch):
    monkeypatch.setattr(compiled, "MOST_SIZES", 2)
    monkeypatch.setattr(compiled, "MOST_FORMS", 1)
    healthy = toy("numbered")
    guard = Guard(healthy)
    for side in (1, 449, 500, 700, 900, 1400, 449):
        conversation = user("a", Image(side, 449), "b", Image(side, 2 * side), "c")
        guard.verify_ids(healthy.encode(conversation).ids, sizes(conversation))


class Bounded(ToyTokenizer):
    """No id behind the last character is a token."""

    def id_to_token(self, token_id):
        return super().id_to_token(token_id) if token_id <= 1000 + 0x10FFFF else nameless(token_id)


def test_ids_of_any_size():
    guard = Guard(subject(tokenizer=Bounded()))
    for token_id in (500, 899, -1, -(2**40), 1 << 22, 2**40):
        finding = caught(guard, [1100, token_id, 1100])
        assert finding.message.startswith(f"the id at 1 is {token_id}, which no token has")
    guard.verify_ids([1000 + 0x10FFFF, 1000 + 0xFFFF])


def test_a_span_without_slots_is_left_to_the_checks():
    guard = Guard(contract(slices=None, images=FEATURES), ToyTokenizer())
    assert caught(guard, [1, 2], [(1, 1)], features=[(0, 0)]).check == "spans.slots"


def test_runs_that_touch_though_a_caption_parts_them():
    healthy = of_grammar("captioned")
    guard = Guard(healthy)
    conversation = user(SMALL, SMALL)
    ids = healthy.encode(conversation).ids
    for _ in range(2):
        guard.verify_ids(ids, sizes(conversation))
    finding = caught(guard, [token_id for token_id in ids if token_id == 7], sizes(conversation))
    assert finding.check == "spans.expected"


def test_a_tokenizer_that_fails_on_what_it_is_to_decode():
    class Failing(ToyTokenizer):
        fails = False

        def decode(self, ids):
            if self.fails:
                raise RuntimeError("no text for these")
            return super().decode(ids)

    tokenizer = Failing()
    guard = Guard(subject(tokenizer=tokenizer))
    tokenizer.fails = True
    finding = caught(guard, [1100, 1, 7, 1100], [(1, 1)])
    assert finding.check == "spans.matched"
    assert finding.cause.sentence == "cause unknown: looking for it raised RuntimeError: no text for these"
    assert finding.conversation is None


def test_slices_without_an_overview_may_begin_an_image_where_the_rule_writes_none():
    slice_, image = [3, 7, 7, 7, 7, 4], [1, 7, 7, 7, 7, 2]
    tiles = {"open": "<slice>", "close": "</slice>", "rule": "aria", "options": {"split": True}}
    own = {**tiles, "rule": "own_grammars:tiles", "options": {}}
    for slices in (tiles, own):
        guard = Guard(contract(slices=slices).locate(Path(__file__).parent), ToyTokenizer())
        for ids in ([1100, *slice_, 1100], [*image, 1100, *slice_], [*image, *slice_, 1100, *slice_]):
            guard.verify_ids(ids)
            assert guard._judge.judge(sample_of(ids, {}), None) is None
            assert guard._compiled.passes(sample_of(ids, {}), None, None)
    assert caught(Guard(subject()), [1100, *slice_, 1100]).check == "spans.expected"
    with pytest.raises(ValueError, match="max_patches is 0"):
        Guard(contract(slices={**tiles, "rule": "internvl", "options": {"max_patches": 0}}), ToyTokenizer())


def test_a_contract_alone_has_no_pipeline():
    with pytest.raises(LookupError, match="this subject has no pipeline"):
        Guard(contract(), ToyTokenizer()).subject.encode(TALK)


def test_what_cannot_be_read_as_messages_is_one():
    guard = Guard(subject(template=TEMPLATE, input={"roles": ["user", "assistant"]}))
    ids = [1100, *own_ids("template", ASKED)]
    finding = caught(guard, ids, [(449, 449), (1, 1)])
    assert [message.role for message in finding.conversation.messages] == ["user"]


def test_blocks_of_both_kinds_in_disorder_have_no_known_cause():
    guard = Guard(toy("flat"))
    finding = caught(guard, [*own_ids("flat", ASKED), 3, 7, 7, 2], [(449, 449)])
    assert (finding.check, finding.cause.name) == ("spans.matched", "unknown")


@pytest.mark.parametrize("grammar", ["rows", "paired"])
def test_features_with_numbers_or_rows_are_left_to_the_checks(grammar):
    paired = {**FEATURES, "number": NUMBERED["number"] | {"when": "always"}}
    images = {**ROWS, "slots": "from_features", "options": {}} if grammar == "rows" else paired
    guard = Guard(contract(slices=None, images=images), ToyTokenizer())
    block = [7, 7, 2] if grammar == "rows" else [5, 1048, 6, 1, 7, 7, 2]
    for _ in range(2):
        guard.verify_ids([1100, *block, 1100], [(1, 1)])
        guard.verify_ids([1100, *block, 1100], features=[(0, 2)])


def test_what_a_predictor_says_is_no_matter_of_a_sample():
    guard = Guard(dataclasses.replace(subject(), predict=lambda width, height: 1))
    guard.verify_ids(own_ids("flat", ASKED), [(449, 449)], features=[(0, 12)])
    assert caught(guard, own_ids("flat", ASKED), [(449, 449)], features=[(0, 11)]).check == "geometry.agrees"
