"""batch.agrees and expansion.once on the toy tokenizer: what is right is silent, each single fault is one finding."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy
import pytest

from image_spans import checks
from image_spans.case import Bench
from image_spans.conversation import Conversation, Image, Message, Text
from image_spans.engine import diagnosed
from image_spans.findings import Finding
from image_spans.pipelines import reference
from image_spans.subject import BadEncoding, as_rows
from support import contract, subject

SMALL, LARGE = Image(1, 1), Image(449, 449)
CHAT = {"user": ["U:", "\n"], "assistant": ["A:", "</s>\n"]}
NUMBERED = {
    "open": "<image>",
    "close": "</image>",
    "placeholder": "<pad>",
    "slots": 4,
    "number": {"open": "<image_id>", "close": "</image_id>"},
}
ROWS = {
    "grammar": "rows",
    "row_break": "<slice>",
    "close": "</image>",
    "placeholder": "<pad>",
    "slots": "pixtral",
    "options": {"size": 64},
}
ASKED = Conversation([Message("user", [SMALL, Text("q"), LARGE]), Message("assistant", [Text("yes")])])
AGAIN = Conversation([*ASKED.messages, Message("user", [Text("and"), SMALL])])


def verdict(one, check, conversation=ASKED):
    case = Bench(one).case(conversation)
    found = checks.judge(case, check)
    assert not isinstance(found, Finding) or found.check == check
    return diagnosed(case, found) if isinstance(found, Finding) else found


def able(entry, function=None, pipeline="flat_slices", returns=(), **promised):
    """A subject with a batch or continue entry; ``function`` takes what the entry does, and the right one."""
    promised = {"template": CHAT, "pad": "</s>", **promised}
    one = subject(pipeline, **promised)
    right = partial(reference(pipeline, entry), one.tokenizer, contract=one.contract)

    def run(*arguments, **keywords):
        return function(right, *arguments, **keywords)

    return replace(
        one,
        abilities=one.abilities | {entry},
        returns=one.returns | {*returns},
        **{"batch" if entry == "batch" else "extend": run if function else right},
    )


# ---------------------------------------------------------------- batches


@pytest.mark.parametrize("bos", ["none", "exactly_once"])
@pytest.mark.parametrize(
    ("pipeline", "promised"), [("flat_slices", {}), ("rows", {"images": ROWS, "slices": None})], ids=["flat", "rows"]
)
def test_reference_batches_are_silent(pipeline, promised, bos):
    assert verdict(able("batch", pipeline=pipeline, bos=bos, **promised), "batch.agrees") is None


def test_arrays_of_numpy_are_rows_too():
    def rows(right, conversations, *, padding_side):
        made = right(conversations, padding_side=padding_side)
        bounds = [numpy.array(row).reshape(-1, 2) for row in made["image_bounds"]]
        return {
            **{key: numpy.array(value) for key, value in made.items() if key != "image_bounds"},
            "image_bounds": bounds,
        }

    assert verdict(able("batch", rows), "batch.agrees") is None


def test_rows_may_be_longer_than_the_longest_conversation():
    def rounded(right, conversations, *, padding_side):
        made = right(conversations, padding_side=padding_side)
        more = -len(made["input_ids"][0]) % 64

        def padded(rows, value):
            return [[value] * more + row if padding_side == "left" else row + [value] * more for row in rows]

        moved = more if padding_side == "left" else 0
        return {
            "input_ids": padded(made["input_ids"], 900),
            "attention_mask": padded(made["attention_mask"], 0),
            "labels": padded(made["labels"], -100),
            "image_bounds": [[(start + moved, end + moved) for start, end in row] for row in made["image_bounds"]],
        }

    assert verdict(able("batch", rounded), "batch.agrees") is None


def changing(key, change):
    """The right batch with one key changed, row by row."""

    def rows(right, conversations, *, padding_side):
        made = right(conversations, padding_side=padding_side)
        masks = made["attention_mask"]
        return {**made, key: [change(row, mask) for row, mask in zip(made[key], masks, strict=True)]}

    return rows


def on_padding(value):
    return lambda row, mask: [here if seen else value for here, seen in zip(row, mask, strict=True)]


def fewer(right, conversations, *, padding_side):
    return right(conversations[:2], padding_side=padding_side)


def more(right, conversations, *, padding_side):
    return right([*conversations, *conversations], padding_side=padding_side)


def reversed_rows(right, conversations, *, padding_side):
    return right(conversations[::-1], padding_side=padding_side)


def to_the_left(right, conversations, *, padding_side):
    return right(conversations, padding_side="left")


def unmoved(right, conversations, *, padding_side):
    alone = [right([one], padding_side=padding_side)["image_bounds"][0] for one in conversations]
    return {**right(conversations, padding_side=padding_side), "image_bounds": alone}


def in_a_row(right, conversations, *, padding_side):
    made = [right([one], padding_side=padding_side) for one in conversations]
    return {key: [one[key][0] for one in made] for key in made[0]}


def at_most_thirty(right, conversations, *, padding_side):
    made = right(conversations, padding_side=padding_side)
    return {key: [row[:30] for row in rows] for key, rows in made.items()}


def raises(right, conversations, *, padding_side):
    raise IndexError("list index out of range")


def refuses(right, conversations, *, padding_side):
    raise ValueError("images of different sizes")


def other_together(right, conversations, *, padding_side):
    made = right(conversations, padding_side=padding_side)
    if len(conversations) > 1:
        made["input_ids"] = [[1000 if i == 1000 + ord("q") else i for i in row] for row in made["input_ids"]]
    return made


@pytest.mark.parametrize(
    ("function", "cause", "message"),
    [
        (fewer, "rows-lost", "a batch of 3 padded on the left (0, 2, 2 images): 2 rows came back"),
        (more, "rows-surplus", "a batch of 1 padded on the right (2 images): 2 rows came back"),
        (
            reversed_rows,
            "rows-reordered",
            "a batch of 3 padded on the left (0, 2, 2 images): row 0 holds conversation 2",
        ),
        (to_the_left, "padding-on-wrong-side", "*row 0 is padded on the left, asked for was the right"),
        (unmoved, "bounds-not-moved", "*row 1 has the bounds [(3, 7), *"),
        (in_a_row, "rows-ragged", "*ids, not all as many"),
        (at_most_thirty, "rows-cut", "*the rows have 30 ids, the longest conversation has *"),
        (raises, "batch-raised-IndexError", "*the batch entry raised IndexError*"),
        (refuses, "batch-refused", "*the batch entry raised ValueError*"),
        (other_together, "row-differs", "*row 1 without its padding is not what the conversation is alone*"),
        (
            changing("input_ids", on_padding(3)),
            "pad-id-wrong",
            "*row 0 is padded with <slice> (3), expected </s> (900)",
        ),
        (
            changing("attention_mask", on_padding(1)),
            "mask-wrong",
            "*attention_mask is 1 on the padding at 0, expected 0",
        ),
        (changing("attention_mask", lambda row, mask: [0] * len(row)), "mask-wrong", "*alone it is 1"),
        (changing("labels", on_padding(900)), "labels-on-padding", "*labels is 900 on the padding at 0, expected -100"),
        (changing("labels", lambda row, mask: [-100] * len(row)), "labels-misplaced", "*row 0: labels is -100 *"),
        (changing("labels", lambda row, mask: row[:-1]), "batch-bad-return", "*row 0 of the batch: labels has *"),
        (changing("image_bounds", lambda row, mask: row[:1]), "bounds-differ", "*row 0 has the bounds [(3, 7)], *"),
    ],
)
def test_one_fault_of_a_batch_is_one_finding(function, cause, message):
    found = verdict(able("batch", function), "batch.agrees")
    assert found.cause.name == cause, found
    if message.startswith("*"):
        assert message.strip("*") in found.message
    else:
        assert found.message == message


def test_what_stands_on_padding_may_be_declared():
    filled = changing("labels", on_padding(7))
    assert verdict(able("batch", filled, batch_fill={"labels": 7}), "batch.agrees") is None
    assert verdict(able("batch", batch_fill={"labels": 7}), "batch.agrees").cause.name == "labels-on-padding"


def test_positions_may_count_the_padding_or_not():
    def counted(start):
        def rows(right, conversations, *, padding_side):
            made = right(conversations, padding_side=padding_side)
            numbers = [[start(mask) + at for at in range(len(mask))] for mask in made["attention_mask"]]
            return {**made, "position_ids": numbers}

        one = able("batch", rows)

        def encode(conversation):
            made = one.pipeline(conversation)
            return {**made, "position_ids": list(range(len(made["input_ids"])))}

        return replace(one, pipeline=encode)

    for first in (lambda mask: 0, lambda mask: -mask.index(1)):
        assert verdict(counted(first), "batch.agrees") is None


def test_a_padding_token_that_is_none():
    def padded(right, conversations, *, padding_side):
        known = contract(template=CHAT, pad="</s>")
        return reference("flat_slices", "batch")(
            right.args[-1], conversations, padding_side=padding_side, contract=known
        )

    found = verdict(able("batch", padded, pad="<none>"), "batch.agrees")
    assert (found.cause.name, "'<none>' is no token" in found.message) == ("pad-unknown", True)
    assert verdict(able("batch", padded, pad=None), "batch.agrees") is None  # nobody names one: any will do


def test_conversations_of_a_batch_must_not_be_changed():
    def changes(right, conversations, *, padding_side):
        made = right(conversations, padding_side=padding_side)
        object.__setattr__(conversations[-1], "images", ())
        return made

    found = verdict(able("batch", changes), "batch.agrees")
    assert found.cause.name == "input-changed"


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ([[1]], "a batch is a mapping with 'input_ids' and a row for each conversation"),
        ({"labels": [[1]]}, "a batch is a mapping with 'input_ids' and a row for each conversation"),
        ({"input_ids": [[1]]}, "declared under 'returns' but not in the batch: labels"),
        ({"input_ids": [[1]], "labels": [[1], [1]]}, "labels of the batch has 2 rows for 1 of input_ids"),
        ({"input_ids": [[1]], "labels": 3}, "labels of the batch is a int, not a list of rows"),
        ({"input_ids": [["a"]], "labels": [[1]]}, "row 0 of the batch: input_ids holds 'a' (str) at 0; expected ints"),
    ],
)
def test_what_is_no_batch(result, message):
    with pytest.raises(BadEncoding) as caught:
        as_rows(result, frozenset({"labels"}))
    assert str(caught.value) == message


# ---------------------------------------------------------------- turn by turn


@pytest.mark.parametrize("bos", ["none", "exactly_once"])
@pytest.mark.parametrize(
    ("pipeline", "promised"),
    [("flat_slices", {}), ("flat_slices", {"images": NUMBERED}), ("rows", {"images": ROWS, "slices": None})],
    ids=["flat", "numbered", "rows"],
)
def test_reference_turns_are_silent(pipeline, promised, bos):
    for conversation in (ASKED, AGAIN):
        one = able("continue", pipeline=pipeline, bos=bos, **promised)
        assert verdict(one, "expansion.once", conversation) is None


def test_one_message_tells_nothing():
    assert verdict(able("continue"), "expansion.once", Conversation(ASKED.messages[:1])) is checks.NOT_JUDGED


def test_earlier_images_that_move_are_not_judged():
    one = able("continue", images={**NUMBERED, "order": "first_in_conversation"})
    case = Bench(one).case(AGAIN)
    assert not isinstance(checks.judge(case, "expansion.once"), Finding)


def joined(change):
    """The right longer encoding, its earlier ids changed."""

    def longer(right, encoding, message):
        made = right(encoding, message)
        old = len(encoding["input_ids"])
        ids = [*change(made["input_ids"][:old]), *made["input_ids"][old:]]
        return {**made, "input_ids": ids, "labels": [-100] * len(ids)}

    return longer


def each(**times):
    return lambda ids: [i for token in ids for i in [token] * times.get({7: "pad", 1: "opens"}.get(token, ""), 1)]


def number_from_zero(right, encoding, message):
    fresh = {**encoding, "image_blocks": [], "image_bounds": []}
    return {**right(fresh, message), "image_bounds": []}


@pytest.mark.parametrize(
    ("function", "promised", "cause", "message"),
    [
        (
            joined(each(pad=2)),
            {},
            "expanded-again",
            "with the last message added there are 36 placeholders, in the whole 20; "
            "the block of image 0, which stood there, was changed",
        ),
        (joined(each(opens=2)), {}, "old-block-changed", "with the last message added there are 20 *"),
        (joined(lambda ids: [*ids, 0]), {"bos": "exactly_once"}, "bos-per-turn", "with the last message added *"),
        (joined(lambda ids: ids[:-1]), {}, "old-ids-changed", "with the last message added there are *"),
        (
            lambda right, encoding, message: right(encoding, Message("user", [Text("and")])),
            {},
            "new-block-differs",
            "with the last message added there are 16 placeholders, in the whole 20",
        ),
        (
            lambda right, encoding, message: right(encoding, Message("user", [Text("or"), SMALL])),
            {},
            "new-turn-differs",
            "with the last message added there are *",
        ),
        (number_from_zero, {"images": NUMBERED}, "new-turn-differs", "with the last message added there are *"),
        (
            lambda right, encoding, message: {**right(encoding, message), "image_bounds": encoding["image_bounds"]},
            {},
            "image_bounds-not-continued",
            "the ids are those of the whole conversation, but image_bounds are other ones from 4 on",
        ),
        (
            lambda right, encoding, message: right(encoding, message)["input_ids"],
            {},
            "continue-bad-return",
            "the continue entry returned no encoding: declared under 'returns' but only ids came back: *",
        ),
        (
            lambda right, encoding, message: encoding["no such key"],
            {},
            "continue-raised-KeyError",
            "the continue entry raised KeyError*",
        ),
    ],
)
def test_one_fault_of_a_turn_is_one_finding(function, promised, cause, message):
    found = verdict(able("continue", function, **promised), "expansion.once", AGAIN)
    assert found.cause.name == cause, found
    assert found.message.startswith(message.rstrip("*"))


def test_only_where_they_are_declared():
    for check, entry in (("batch.agrees", "batch"), ("expansion.once", "continue")):
        one = checks.checks()[check]
        assert one.inapplicable(contract(), frozenset({entry})) is None
        assert entry in one.inapplicable(contract(), frozenset())
