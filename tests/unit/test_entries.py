"""batch.agrees and expansion.once on the toy tokenizer: what is right is silent, each single fault is one finding."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy
import pytest

from image_spans import checks
from image_spans.case import Bench
from image_spans.conversation import Conversation, Image, Message, Text
from image_spans.diagnosis import diagnosed
from image_spans.findings import Finding
from image_spans.pipelines import reference
from image_spans.subject import BadEncoding, as_rows
from support import ROWS, contract, subject

SMALL, LARGE = Image(1, 1), Image(449, 449)
CHAT = {"user": ["U:", "\n"], "assistant": ["A:", "</s>\n"]}
NUMBERED = {
    "open": "<image>",
    "close": "</image>",
    "placeholder": "<pad>",
    "slots": 4,
    "number": {"open": "<image_id>", "close": "</image_id>"},
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


def at_most_forty(right, conversations, *, padding_side):
    made = right(conversations, padding_side=padding_side)
    return {key: [row[:40] for row in rows] for key, rows in made.items()}


def types_on_padding(right, conversations, *, padding_side):
    made = right(conversations, padding_side=padding_side)
    return {**made, "token_type_ids": [[1 - seen for seen in mask] for mask in made["attention_mask"]]}


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
        (
            changing("labels", lambda row, mask: [-100 if label == 900 else label for label in row]),
            "labels-masked-by-id",
            "*: labels is -100 at 34, alone it is 900",
        ),
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


# ---------------------------------------------------------------- what is asked of a batch


def batches(conversation, **promised):
    """The batches that are asked for."""
    asked = []

    def rows(right, conversations, *, padding_side):
        asked.append((list(conversations), padding_side))
        return right(conversations, padding_side=padding_side)

    assert verdict(able("batch", rows, **promised), "batch.agrees", conversation) is None
    return asked


def all_of(one, text, longer):
    return [
        ([one], "right"),
        ([text, one, longer], "left"),
        ([text, one, longer], "right"),
        ([one, text, longer], "left"),
        ([longer, one, text], "right"),
        ([longer, one], "left"),
    ]


def test_every_row_stands_at_every_place_and_on_both_sides():
    text = Conversation([Message("user", [Text("a")])])
    longer = Conversation([*ASKED.messages, Message("user", [Text("a b c d e f g h")])])
    assert batches(ASKED) == all_of(ASKED, text, longer)
    assert batches(ASKED, input={"images": "1..3"}) == all_of(ASKED, ASKED, longer)  # one without images is no input


def test_where_only_the_system_speaks():
    one = Conversation([Message("system", [SMALL, Text("q")])])
    text = Conversation([Message("system", [Text("a")])])
    lonely = {"input": {"roles": ["system"], "images_in": ["system"]}, "template": {}}
    assert batches(one, **lonely) == all_of(one, text, one)
    first = Conversation([Message("assistant", [SMALL])])
    spoken = {"input": {"roles": ["system", "assistant"], "images_in": ["assistant"]}, "template": {}}
    text = Conversation([Message("assistant", [Text("a")])])
    longer = Conversation([*first.messages, Message("assistant", [Text("a b c d e f g h")])])
    assert batches(first, **spoken) == all_of(first, text, longer)


def alone(change, **promised):
    """A batch entry that is right, of a pipeline whose single encodings are changed."""
    one = able("batch", **promised)
    return replace(one, pipeline=lambda given: change(one.pipeline, given))


def test_a_batch_of_what_cannot_be_judged_alone_is_not_judged():
    def needs_images(right, given):
        if not given.images:
            raise ValueError("no image")
        return right(given)

    def never_closes(right, given):
        made = right(given)
        if len(given.messages) < 3:
            return made
        ids = [900 if token_id == 2 else token_id for token_id in made["input_ids"]]
        return {**made, "input_ids": ids}

    def refuses(right, given):
        raise ValueError("no <pad>")

    assert verdict(alone(needs_images), "batch.agrees") == checks.NOT_JUDGED
    assert verdict(alone(never_closes), "batch.agrees") == checks.NotJudged("spans.matched")
    typed = Conversation([Message("user", [Text("<pad>")])])
    assert verdict(alone(refuses, literals="reject"), "batch.agrees", typed) == checks.NOT_JUDGED


def with_features(change, conversation=ASKED):
    """A pipeline that delivers features, and a batch of it in which they are changed."""

    def of(given):
        return [(number, 4 if image == SMALL else 12) for number, image in enumerate(given.images)]

    def rows(right, conversations, *, padding_side):
        made = right(conversations, padding_side=padding_side)
        features = change([of(given) for given in conversations])
        return made if features is None else {**made, "features": features}

    one = able("batch", rows)
    return replace(one, pipeline=lambda given: {**one.pipeline(given), "features": of(given)})


@pytest.mark.parametrize(
    ("change", "got"),
    [
        (lambda rows: rows, None),
        (lambda rows: None, None),
        (lambda rows: [row[:1] for row in rows], "[(0, 4)]"),
        (lambda rows: [[*row, (2, 4)] for row in rows], "[(0, 4), (1, 12), (2, 4)]"),
    ],
    ids=["alike", "none", "fewer", "more"],
)
def test_features_of_rows(change, got):
    found = verdict(with_features(change), "batch.agrees")
    if got is None:
        assert found is None
    else:
        said = f"row 0 has the features {got}, alone it has [(0, 4), (1, 12)]"
        assert found.message == f"a batch of 1 padded on the right (2 images): {said}"
        assert found.cause.name == "row-features-differ"


def to_the_right(right, conversations, *, padding_side):
    return right(conversations, padding_side="right")


def last_first(right, conversations, *, padding_side):
    return right([conversations[-1], *conversations[:-1]], padding_side=padding_side)


def first_last(right, conversations, *, padding_side):
    return right([*conversations[1:], conversations[0]], padding_side=padding_side)


def ragged_pairs(right, conversations, *, padding_side):
    entry = in_a_row if len(conversations) == 2 else right
    return entry(*([right] if entry is in_a_row else []), conversations, padding_side=padding_side)


def with_ids(change):
    """The right batch with the ids changed: ``change`` takes them, their mask and the side."""

    def rows(right, conversations, *, padding_side):
        made = right(conversations, padding_side=padding_side)
        pairs = zip(made["input_ids"], made["attention_mask"], strict=True)
        return {**made, "input_ids": [change(ids, mask, padding_side) for ids, mask in pairs]}

    return rows


def begins_like_another(ids, mask, side):
    """On the right, the row of ``U:[....]q...`` begins with all of ``U:a``, and goes on as before."""
    start = [1085, 1058, 1097, 1010]
    return start + ids[4:] if side == "right" and 7 in ids and 0 in mask else ids


def first_on_the_right(value):
    return lambda ids, mask, side: (
        [*ids[: mask.index(0)], value, *ids[mask.index(0) + 1 :]] if side == "right" and 0 in mask else ids
    )


def added_positions(right, conversations, *, padding_side):
    made = right(conversations, padding_side=padding_side)
    return {**made, "position_ids": [[7] * len(ids) for ids in made["input_ids"]]}


def q_became_a(ids, mask, side):
    return [1097 if token_id == 1113 else token_id for token_id in ids] if 0 in mask else ids


def on_the_right(rows):
    """Right on the left, and ``rows`` on the right."""

    def entry(right, conversations, *, padding_side):
        return (rows if padding_side == "right" else plain_rows)(right, conversations, padding_side=padding_side)

    return entry


def plain_rows(right, conversations, *, padding_side):
    return right(conversations, padding_side=padding_side)


THREE = "a batch of 3 padded on the left (0, 2, 2 images): "
RIGHT = "a batch of 3 padded on the right (0, 2, 2 images): "
SINGLE = "a batch of 1 padded on the right (2 images): "


@pytest.mark.parametrize(
    ("function", "cause", "message"),
    [
        (to_the_left, "padding-on-wrong-side", RIGHT + "row 0 is padded on the left, asked for was the right"),
        (to_the_right, "padding-on-wrong-side", THREE + "row 0 is padded on the right, asked for was the left"),
        (last_first, "rows-reordered", THREE + "row 0 holds conversation 2"),
        (first_last, "rows-reordered", THREE + "row 0 holds conversation 1"),
        (
            ragged_pairs,
            "rows-ragged",
            "a batch of 2 padded on the left (2, 2 images): the rows have 54, 36 ids, not all as many",
        ),
        (at_most_thirty, "rows-cut", SINGLE + "the rows have 30 ids, the longest conversation has 36"),
        (on_the_right(last_first), "rows-reordered", RIGHT + "row 0 holds conversation 2"),
        (on_the_right(first_last), "rows-reordered", RIGHT + "row 0 holds conversation 1"),
        (
            with_ids(q_became_a),
            "row-differs",
            THREE + "row 1 without its padding is not what the conversation is alone: a at 8",
        ),
        (at_most_forty, "rows-cut", THREE + "the rows have 40 ids, the longest conversation has 54"),
        (
            types_on_padding,
            "token_type_ids-misplaced",
            THREE + "row 0: token_type_ids is 1 on the padding at 0, expected 0",
        ),
        (
            with_ids(begins_like_another),
            "row-differs",
            RIGHT + "row 1 without its padding is not what the conversation is alone: a at 2",
        ),
        (
            with_ids(first_on_the_right(1122)),
            "pad-id-wrong",
            RIGHT + "row 0 is padded with z (1122), expected </s> (900)",
        ),
        (
            changing("attention_mask", lambda row, mask: [1 if k else k for k in range(len(row))]),
            "mask-wrong",
            SINGLE + "row 0: attention_mask is 0 at 0, alone it is 1",
        ),
        (
            changing("labels", lambda row, mask: [5 if at == row.index(900) else k for at, k in enumerate(row)]),
            "labels-misplaced",
            SINGLE + "row 0: labels is 5 at 34, alone it is 900",
        ),
        (
            changing("image_bounds", lambda row, mask: [(start + 1, end + 1) for start, end in row]),
            "bounds-differ",
            SINGLE + "row 0 has the bounds [(4, 8), (11, 15), (17, 21), (24, 28)], "
            "expected [(3, 7), (10, 14), (16, 20), (23, 27)]",
        ),
        (
            changing("labels", lambda row, mask: row[:-1]),
            "batch-bad-return",
            SINGLE + "the batch entry gave: row 0 of the batch: labels has 35 entries for 36 ids",
        ),
        (raises, "batch-raised-IndexError", SINGLE + "the batch entry raised IndexError: list index out of range"),
        (refuses, "batch-refused", SINGLE + "the batch entry raised ValueError: images of different sizes"),
        (added_positions, None, None),  # alone there are none, so nobody knows what they should be
    ],
)
def test_what_is_said_of_a_batch(function, cause, message):
    found = verdict(able("batch", function), "batch.agrees")
    assert (found and found.message, found and found.cause.name) == (message, cause)


def test_one_row_of_two_lengths_is_told_from_its_alone():
    """Labels that are wrong on the left are told where they stand in the row, padding and all."""

    def late(row, mask):
        return [5 if label == 900 and not mask[0] else label for label in row]

    found = verdict(able("batch", changing("labels", late)), "batch.agrees")
    assert found.message == THREE + "row 1: labels is 5 at 52, alone it is 900"


def test_what_the_batch_entry_did_to_its_input_is_said():
    def changes(right, conversations, *, padding_side):
        made = right(conversations, padding_side=padding_side)
        object.__setattr__(conversations[-1], "images", ())
        return made

    found = verdict(able("batch", changes), "batch.agrees")
    assert found.message == SINGLE + "the batch entry changed a conversation of the batch that it was given"


def test_padding_that_nobody_names():
    """Any one id will do, and where the tokenizer names one, that."""

    def own(pads):
        def rows(right, conversations, *, padding_side):
            known = contract(template=CHAT, pad="</s>")
            made = reference("flat_slices", "batch")(
                right.args[-1], conversations, padding_side=padding_side, contract=known
            )
            ids = []
            for row, mask in zip(made["input_ids"], made["attention_mask"], strict=True):
                some = iter(pads)
                ids.append([token_id if seen else next(some, 900) for token_id, seen in zip(row, mask, strict=True)])
            return {**made, "input_ids": ids}

        return able("batch", rows, pad=None)

    assert verdict(own([]), "batch.agrees") is None
    found = verdict(own([1122]), "batch.agrees")
    assert found.message == THREE + "row 0 is padded with </s> (900), expected one id"
    named = own([1122])
    tokenizer = named.tokenizer
    tokenizer.named_ids = lambda: {"bos": 0, "eos": 900, "pad": 900}
    found = verdict(named, "batch.agrees")
    assert found.message == THREE + "row 0 is padded with z (1122), expected </s> (900)"


def test_a_padding_token_that_is_none_is_said_where_there_is_padding():
    found = verdict(able("batch", with_known_padding, pad="<none>"), "batch.agrees")
    assert found.message == THREE + "the contract's padding '<none>' is no token of the vocabulary"


def with_known_padding(right, conversations, *, padding_side):
    known = contract(template=CHAT, pad="</s>")
    return reference("flat_slices", "batch")(right.args[-1], conversations, padding_side=padding_side, contract=known)


def test_bounds_that_only_one_of_both_returns():
    def without(right, conversations, *, padding_side):
        made = right(conversations, padding_side=padding_side)
        return {key: value for key, value in made.items() if key != "image_bounds"}

    one = replace(able("batch", without), returns=frozenset())
    assert verdict(one, "batch.agrees") is None
    other = able("batch")
    ids_alone = replace(other, returns=frozenset(), pipeline=lambda given: other.pipeline(given)["input_ids"])
    assert verdict(ids_alone, "batch.agrees") is None


def test_positions_that_begin_behind_the_padding_id():
    def counted(step):
        def rows(right, conversations, *, padding_side):
            made = right(conversations, padding_side=padding_side)
            return {**made, "position_ids": [[step * at + 9 for at in range(len(ids))] for ids in made["input_ids"]]}

        one = able("batch", rows)
        alone = one.pipeline

        def encode(given):
            made = alone(given)
            return {**made, "position_ids": list(range(2, 2 + len(made["input_ids"])))}

        return replace(one, pipeline=encode)

    assert verdict(counted(1), "batch.agrees") is None
    assert verdict(counted(2), "batch.agrees").message == SINGLE + "row 0: position_ids is 4 at 1, alone it is 3"
    assert verdict(counted(0), "batch.agrees").message == SINGLE + "row 0: position_ids is 2 at 1, alone it is 3"


# ---------------------------------------------------------------- what is asked of a turn


def test_a_turn_is_not_judged_on_what_cannot_be():
    def refuses(given):
        raise ValueError("no <pad>")

    typed = Conversation([Message("user", [Text("a")]), Message("assistant", [Text("<pad>")])])
    one = replace(able("continue", literals="reject"), pipeline=refuses)
    assert verdict(one, "expansion.once", typed) == checks.NOT_JUDGED
    first = able("continue", raising, literals="reject")
    later = replace(first, pipeline=lambda given: refuses(given) if given == typed else first.pipeline(given))
    assert verdict(later, "expansion.once", typed) == checks.NOT_JUDGED
    image_last = Conversation([Message("user", [Text("a")]), Message("user", [SMALL])])
    assert verdict(able("continue", raising, input={"images": "1..3"}), "expansion.once", image_last) == (
        checks.NOT_JUDGED
    )
    enough = Conversation([Message("user", [SMALL]), Message("user", [Text("a")])])
    assert verdict(able("continue", raising, input={"images": "1..3"}), "expansion.once", enough).message == (
        "the continue entry raised KeyError: 'x'"
    )

    def short_ones(error):
        one = able("continue", raising)

        def encode(given):
            if len(given.messages) < len(ASKED.messages):
                if error:
                    raise ValueError("too short")
                return {**one.pipeline(given), "input_ids": [2] * len(one.pipeline(given)["input_ids"])}
            return one.pipeline(given)

        return replace(one, pipeline=encode)

    assert verdict(short_ones(True), "expansion.once") == checks.NOT_JUDGED
    assert verdict(short_ones(False), "expansion.once") == checks.NotJudged("spans.matched")


def raising(right, encoding, message):
    raise KeyError("x")


def test_a_turn_whose_images_join_the_earlier_ones_is_not_judged():
    run = {"grammar": "run", "placeholder": "<pad>", "slots": 4, "order": "first_in_conversation"}
    one = able("continue", raising, pipeline="placeholder_run", images=run, slices=None, template={})
    given = Conversation([Message("user", [SMALL]), Message("user", [SMALL, Text("a")])])
    assert verdict(one, "expansion.once", given) == checks.NOT_JUDGED


def test_a_turn_that_moves_earlier_blocks_is_not_judged(tmp_path):
    (tmp_path / "order_of_the_turns_of_this_test.py").write_text(
        "from image_spans.conversation import Conversation, Message\n"
        "def last_first(conversation):\n"
        "    images = [part for m in reversed(conversation.messages) for part in m.parts]\n"
        "    others = [Message(message.role, []) for message in conversation.messages[1:]]\n"
        "    return Conversation([Message('user', images), *others])\n"
    )
    images = {**NUMBERED, "number": None, "order": "order_of_the_turns_of_this_test:last_first"}
    promised = contract(images=images).locate(tmp_path)
    blocks = {1: [1, 7, 7, 7, 7, 2], 449: [1, 7, 7, 7, 7, 2, 3, 7, 7, 7, 7, 4, 1010, 3, 7, 7, 7, 7, 4]}

    def encode(tokenizer, given):
        return [token_id for m in reversed(given.messages) for image in m.images for token_id in blocks[image.width]]

    one = replace(subject(encode, promised=promised), extend=lambda *_: [], abilities=frozenset({"continue"}))
    given = Conversation([Message("user", [LARGE]), Message("user", [SMALL])])
    assert verdict(one, "expansion.once", given) == checks.NOT_JUDGED


@pytest.mark.parametrize(
    ("function", "at", "message"),
    [
        (
            joined(each(opens=2)),
            3,
            "with the last message added there are 20 placeholders, in the whole 20; "
            "the block of image 0, which stood there, was changed",
        ),
        (
            lambda right, encoding, message: right(encoding, Message("user", [Text("and"), SMALL, SMALL])),
            47,
            "with the last message added there are 24 placeholders, in the whole 20",
        ),
        (
            joined(lambda ids: ids[:-1]),
            35,
            "with the last message added there are 47 ids, in the whole 48; other ones from 35 on",
        ),
        (
            joined(lambda ids: [*ids, 1032]),
            36,
            "with the last message added there are 49 ids, in the whole 48; other ones from 36 on",
        ),
        (raising, None, "the continue entry raised KeyError: 'x'"),
        (lambda right, encoding, message: None, None, "the continue entry returned no encoding: *"),
    ],
)
def test_what_is_said_of_a_turn(function, at, message):
    found = verdict(able("continue", function), "expansion.once", AGAIN)
    assert found.message == message if message[-1] != "*" else message[:-1] in found.message
    assert found.at == at


def test_what_stands_behind_the_earlier_ids_is_of_the_new_turn():
    found = verdict(able("continue", joined(lambda ids: [*ids, 1032])), "expansion.once", AGAIN)
    assert found.cause.name == "new-turn-differs"


def test_a_continue_entry_that_changes_its_input():
    def changes(right, encoding, message):
        made = right(encoding, message)
        object.__setattr__(message, "parts", ())
        return made

    found = verdict(able("continue", changes), "expansion.once", AGAIN)
    assert found.message == "the continue entry changed the conversation that it was given"
    assert found.cause.name == "input-changed"


@pytest.mark.parametrize(
    ("change", "side"),
    [
        (lambda made: {**made, "features": [(0, 4), (1, 12)]}, "features"),
        (lambda made: {**made, "features": [(0, 4), (1, 12), (2, 5)]}, "features"),
        (lambda made: {**made, "labels": [-100] * len(made["labels"])}, "labels"),
        (lambda made: {**made, "labels": [900] * len(made["labels"])}, "labels"),
        (lambda made: {key: value for key, value in made.items() if key != "features"}, None),
        (lambda made: made, None),
    ],
)
def test_what_stands_beside_the_ids_of_a_turn(change, side):
    def features(made):
        return {**made, "features": [(0, 4), (1, 12), (2, 4)]}

    one = able("continue", lambda right, encoding, message: change(features(right(encoding, message))))
    whole = replace(one, pipeline=lambda given: {**one.pipeline(given), "features": [(0, 4), (1, 12), (2, 4)]})
    found = verdict(whole, "expansion.once", AGAIN)
    assert (found and found.cause.name) == (side and f"{side}-not-continued")
    found = verdict(one, "expansion.once", AGAIN)  # features of the turn alone cannot be compared
    assert (found and found.cause.name) == ("labels-not-continued" if side == "labels" else None)


def test_why_they_do_not_apply():
    for check, reason in (
        ("batch.agrees", "the pipeline has no batch entry"),
        ("expansion.once", "the pipeline has no continue entry"),
    ):
        assert checks.checks()[check].inapplicable(contract(), frozenset()) == reason
