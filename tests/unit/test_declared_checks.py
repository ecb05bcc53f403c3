"""The checks that a subject switches on by what it declares: labels, side arrays, counts, wrong numbers of images."""

from __future__ import annotations

from dataclasses import replace

import pytest

from image_spans import checks
from image_spans.case import Bench
from image_spans.conversation import Conversation, Image, Message, Text, Watched
from image_spans.diagnosis import diagnosed
from image_spans.findings import Finding
from support import ToyTokenizer, subject

TOY = ToyTokenizer()
O, C, P = (TOY.token_to_id(token) for token in ("<image>", "</image>", "<pad>"))
EOS, BOS = 900, 0
CHAT = {"user": ["U:", "\n"], "assistant": ["A:", "</s>\n"]}
ASKED = Conversation([Message("user", [Image(1, 1), Text("q")]), Message("assistant", [Text("yes")])])
SPAN = [O, P, P, P, P, C]


def text(written: str) -> list[int]:
    return TOY.encode_text(written)


def chat(labels_of, conversation=ASKED, bos=False):
    """Ids of a chat with CHAT's template, and the labels that a function gives to its pieces."""
    pieces = [("bos", [BOS])] if bos else []
    for message in conversation.messages:
        before, after = CHAT[message.role]
        pieces.append(("before", text(before)))
        for part in message.parts:
            kind = ("image", SPAN) if isinstance(part, Image) else (message.role, text(part.text))
            pieces.append(kind)
        end = [EOS, *text("\n")] if message.role == "assistant" else text(after)
        pieces += [("end " + message.role, end[:1]), ("after " + message.role, end[1:])]
    ids = [token_id for _, piece in pieces for token_id in piece]
    labels = [label for kind, piece in pieces for label in labels_of(kind, piece)]
    return {"input_ids": ids, "labels": labels}


def learn(*kinds):
    return lambda kind, piece: piece if kind in kinds else [-100] * len(piece)


ANSWER = ("assistant", "end assistant")


def verdict(check, result, conversation=ASKED, **promised):
    """The finding of a check on what a pipeline returned, or what it says instead."""
    promised = {"template": CHAT, **promised}
    one = subject(lambda tokenizer, given: result, returns=tuple(set(result) - {"input_ids"}), **promised)
    case = Bench(one).case(conversation)
    found = checks.judge(case, check)
    assert not isinstance(found, Finding) or found.check == check
    return diagnosed(case, found) if isinstance(found, Finding) else found


# ---------------------------------------------------------------- labels


@pytest.mark.parametrize(
    "labels_of",
    [learn(*ANSWER), learn(*ANSWER, "after assistant")],
    ids=["to the end token", "with the newline behind it"],
)
def test_labels_of_the_answer_are_silent(labels_of):
    assert verdict("labels.cover_answers", chat(labels_of)) is None


def test_the_end_token_may_be_declared_to_be_left_out():
    excluded = {"end_token": "excluded"}
    assert verdict("labels.cover_answers", chat(learn("assistant")), labels=excluded) is None
    found = verdict("labels.cover_answers", chat(learn(*ANSWER)), labels=excluded)
    assert (found.cause.name, found.message) == (
        "labels-reach-on",
        'of message 1 "yes</s>" is labelled, expected "yes"',
    )


def first_letter_late(kind, piece):
    return [-100, *piece[1:]] if kind == "assistant" else learn(*ANSWER)(kind, piece)


def shifted(kind, piece):
    return learn(*ANSWER)(kind, piece)


@pytest.mark.parametrize(
    ("labels_of", "cause", "message"),
    [
        (learn(), "all-ignored", "nothing is labelled, but message 1 is an answer"),
        (learn("assistant"), "labels-end-early", 'of message 1 "yes" is labelled, expected "yes</s>\\n"'),
        (first_letter_late, "labels-begin-late", 'of message 1 "es</s>" is labelled, expected "yes</s>"'),
        (learn(*ANSWER, "user"), "question-labelled", '"q" is labelled, which is no answer'),
        (learn(*ANSWER, "image"), "structure-labelled", "an image token is labelled, at 2"),
        (lambda kind, piece: [7] * len(piece), "label-is-another-id", "the label at 0 is 7, but the id *"),
    ],
)
def test_labels_that_are_wrong(labels_of, cause, message):
    found = verdict("labels.cover_answers", chat(labels_of))
    assert found.cause.name == cause
    assert found.message.startswith(message.rstrip("*"))


def test_labels_that_begin_in_the_template():
    def early(kind, piece):
        if kind == "before" and piece == text("A:"):
            return [-100, *piece[1:]]
        return learn(*ANSWER)(kind, piece)

    assert verdict("labels.cover_answers", chat(early)).cause.name == "labels-begin-early"


@pytest.mark.parametrize("by", [1, -1, 2])
def test_shifted_labels(by):
    right = chat(learn(*ANSWER))
    labels = right["labels"]
    moved = [*labels[by:], *[-100] * by] if by > 0 else [*[-100] * -by, *labels[:by]]
    found = verdict("labels.cover_answers", {**right, "labels": moved})
    assert found.cause.name == f"labels-shifted-{abs(by)}"
    declared = verdict("labels.cover_answers", {**right, "labels": moved}, labels={"shift": 1})
    assert (declared is None) is (by == 1)


def test_one_answer_of_two():
    turns = Conversation([*ASKED.messages, Message("user", [Text("w")]), Message("assistant", [Text("no")])])
    assert verdict("labels.cover_answers", chat(learn(*ANSWER), turns), turns) is None
    right = chat(learn(*ANSWER), turns)
    last = len(right["labels"]) - 1 - right["labels"][::-1].index(EOS)
    labels = [-100 if at > last - 3 else label for at, label in enumerate(right["labels"])]
    found = verdict("labels.cover_answers", {**right, "labels": labels}, turns)
    assert found.cause.name == "answer-unlabelled"
    assert found.message == 'the answer "no</s>" of message 3 is not labelled'


def test_bos_is_not_learned():
    found = verdict("labels.cover_answers", chat(learn(*ANSWER, "bos"), bos=True), bos="exactly_once")
    assert found.message == "BOS is labelled, at 0"
    assert verdict("labels.cover_answers", chat(learn(*ANSWER), bos=True), bos="exactly_once") is None


def test_an_empty_answer_may_be_learned_or_not():
    silent = Conversation([ASKED.messages[0], Message("assistant", [Text("")])])
    assert verdict("labels.cover_answers", chat(learn(*ANSWER), silent), silent) is None
    no_end = {"template": {**CHAT, "assistant": ["A:", "\n"]}}

    def plain(labelled):
        ids = [*text("U:"), *SPAN, *text("q\nA:"), *text("\n")]
        return {"input_ids": ids, "labels": [*[-100] * (len(ids) - 1), text("\n")[0] if labelled else -100]}

    assert verdict("labels.cover_answers", plain(True), silent, **no_end) is None
    assert verdict("labels.cover_answers", plain(False), silent, **no_end) is None


def test_answers_of_other_roles():
    both = {"labels": {"roles": ["user", "assistant"]}}
    learned = learn(*ANSWER, "user", "end user")
    assert verdict("labels.cover_answers", chat(learned), **both) is None
    assert verdict("labels.cover_answers", chat(learn(*ANSWER)), **both).cause.name == "answer-unlabelled"


def test_an_answer_round_an_image():
    drawn = Conversation([Message("user", [Text("q")]), Message("assistant", [Text("see"), Image(1, 1), Text("!")])])
    given = {"input": {"images_in": ["user", "assistant"]}}
    assert verdict("labels.cover_answers", chat(learn(*ANSWER), drawn), drawn, **given) is None


def test_without_a_template_what_ends_an_answer_is_not_known():
    assert verdict("labels.cover_answers", chat(learn(*ANSWER, "after assistant")), template=None) is None
    assert verdict("labels.cover_answers", chat(learn()), template=None).cause.name == "all-ignored"


# ---------------------------------------------------------------- side arrays


def arrays(**changed):
    ids = [*text("U:"), *SPAN, *text("q\nA:yes"), EOS, *text("\n")]
    types = [int(token_id == P) for token_id in ids]
    right = {"attention_mask": [1] * len(ids), "token_type_ids": types, "position_ids": list(range(len(ids)))}
    return {"input_ids": ids, **{key: changed.get(key, lambda given: given)(given) for key, given in right.items()}}


def test_right_arrays_are_silent():
    assert verdict("arrays.mark", arrays()) is None
    assert verdict("arrays.mark", arrays(position_ids=lambda p: [at + 2 for at in p])) is None
    assert verdict("arrays.mark", arrays(token_type_ids=lambda t: [5 * k for k in t]), token_types=5) is None


@pytest.mark.parametrize(
    ("key", "change", "cause"),
    [
        ("attention_mask", lambda mask: [0, *mask[1:]], "mask-hides-tokens"),
        ("token_type_ids", lambda types: [0] * len(types), "types-misplaced"),
        ("token_type_ids", lambda types: [*types[1:], 0], "types-misplaced"),
        ("position_ids", lambda positions: [0, *positions[:-1]], "positions-jump"),
    ],
)
def test_wrong_arrays(key, change, cause):
    found = verdict("arrays.mark", arrays(**{key: change}))
    assert (found.cause.name, found.message.split()[0]) == (cause, key)


# ---------------------------------------------------------------- counts

TWO = Conversation([Message("user", [Image(1, 1), Text("a"), Image(449, 449), Text("b")])])


def counted(features):
    right = subject().pipeline(TWO)
    return {"input_ids": right["input_ids"], "features": features}


RIGHT = [(0, 4), (1, 4), (1, 4), (1, 4)]


def test_features_that_agree():
    assert verdict("geometry.agrees", counted(RIGHT), TWO, template={}) is None


@pytest.mark.parametrize(
    ("features", "message", "cause"),
    [
        (RIGHT[:-1], "image 1 (449x449) has 12 placeholders, but 8 features", "counts-differ-fewer"),
        ([*RIGHT, (1, 4)], "image 1 (449x449) has 12 placeholders, but 16 features", "counts-differ-more"),
        (RIGHT[1:], "image 0 (1x1) has 4 placeholders, but 0 features", "features-missing"),
        ([*RIGHT, (2, 4)], "features are delivered for image 2, of 2", "features-surplus"),
    ],
)
def test_features_that_differ(features, message, cause):
    found = verdict("geometry.agrees", counted(features), TWO, template={})
    assert (found.message, found.cause.name) == (message, cause)


def test_a_predictor_that_agrees_and_one_that_does_not():
    one = replace(subject(), abilities=frozenset({"predict"}), predict=lambda w, h: 12 if w * h > 448 * 448 else 4)
    assert checks.judge(Bench(one).case(TWO), "geometry.agrees") is None
    other = replace(one, predict=lambda width, height: 4)
    found = checks.judge(Bench(other).case(TWO), "geometry.agrees")
    assert found.message == "image 1 (449x449) has 12 placeholders, but 4 predicted slots"
    assert found.facts["by"] == "predict"


def five(features, pixels, predicted):
    """The finding where so many slots of the second image are counted, which has 12 in prompt and rule."""
    given = {**counted([(0, 4), (1, features)]), "pixels": pixels}
    one = replace(subject(lambda tokenizer, conversation: given, template={}), abilities=frozenset({"predict"}))
    one = replace(one, predict=lambda width, height: predicted if width > 1 else 4)
    case = Bench(one).case(TWO)
    found = checks.judge(case, "geometry.agrees")
    return diagnosed(case, found) if isinstance(found, Finding) else found


def test_who_of_five_counts_otherwise():
    assert five(12, 16, 12) is None
    found = five(8, 16, 12)
    assert found.message == "image 1 (449x449) has 12 placeholders, but 8 features; 12 predicted slots"
    assert found.cause.name == "counts-differ-fewer"
    assert "; the vision side is alone with 8" in found.cause.sentence
    found = five(12, 16, 13)
    assert found.message == "image 1 (449x449) has 12 placeholders, but 13 predicted slots; 12 features"
    assert found.cause.name == "prediction-differs-more"
    assert "; the predictor is alone with 13" in found.cause.sentence
    found = five(12, 20, 12)
    assert found.message == (
        "image 0 (1x1) has 16 placeholders, but 20 slots in the pixel array of all images; "
        "16 features, 16 predicted slots"
    )
    assert found.cause.name == "pixels-differ-more"
    assert "; the array of pixels is alone with 20" in found.cause.sentence
    found = five(8, 12, 8)
    assert found.message == "image 1 (449x449) has 12 placeholders, but 8 features; 8 predicted slots"
    assert "; the prompt is alone with 12" in found.cause.sentence
    found = five(8, 12, 9)
    assert "alone" not in found.cause.sentence


@pytest.mark.parametrize(
    ("predict", "said", "cause"),
    [
        (lambda width, height: 1 // (width - 1), "ZeroDivisionError: ", "prediction-raised-ZeroDivisionError"),
        (lambda width, height: None, "TypeError: 'NoneType' object", "prediction-raised-TypeError"),
        (
            lambda width, height: True,
            "TypeError: it returned True, not a number of slots",
            "prediction-raised-TypeError",
        ),
    ],
)
def test_a_predictor_that_gives_no_number(predict, said, cause):
    found = predicting(predict, subject().pipeline(TWO)["input_ids"], TWO)
    assert found.message.startswith(f"the predictor raised {said}")
    assert found.cause.name == cause


def test_pixels_of_no_image():
    plain = Conversation([Message("user", [Text("a")])])
    given = {"input_ids": text("a"), "pixels": 0}
    assert verdict("geometry.agrees", given, plain, template={}) is None
    found = verdict("geometry.agrees", {**given, "pixels": 4}, plain, template={})
    assert (found.message, found.cause.name) == ("pixels are delivered for 4 slots, of no image", "features-surplus")


# ---------------------------------------------------------------- wrong numbers of images


def loud(pipeline, *abilities):
    case = Bench(replace(subject(pipeline), abilities=frozenset(abilities))).case(TWO)
    found = checks.judge(case, "failures.loud")
    assert not isinstance(found, Finding) or found.check == "failures.loud"
    return diagnosed(case, found) if isinstance(found, Finding) else found


def right_ids(conversation):
    return subject().pipeline(Conversation(conversation.messages))["input_ids"]


def refusing(error):
    def pipeline(tokenizer, conversation):
        wanted = sum(len(message.images) for message in conversation.messages)
        if len(conversation.images) != wanted:
            raise error(len(conversation.images), wanted)
        return right_ids(conversation)

    return pipeline


def test_a_refusal_that_says_so():
    assert loud("flat_slices") is None
    assert loud(refusing(lambda given, wanted: ValueError(f"{given} images for {wanted}"))) is None
    assert loud(refusing(lambda given, wanted: ValueError("one <image> too few"))) is None


def test_a_pipeline_that_never_looks_at_the_images_is_not_judged():
    assert loud(lambda tokenizer, conversation: right_ids(conversation)) is checks.NOT_JUDGED
    assert loud(lambda tokenizer, conversation: right_ids(conversation), "images").cause.name == "mismatch-ignored"


def test_what_declares_neither_is_not_judged():
    inapplicable = checks.checks()["failures.loud"].inapplicable
    assert inapplicable(subject().contract, frozenset({"labels"})) is not None
    assert inapplicable(subject().contract, frozenset({"images"})) is None
    assert inapplicable(subject().contract, frozenset({"features"})) is None


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (lambda given, wanted: ValueError("bad sample"), "refusal-unclear"),
        (lambda given, wanted: IndexError("list index out of range"), "mismatch-crashes-IndexError"),
    ],
)
def test_a_refusal_that_does_not(error, cause):
    found = loud(refusing(error))
    assert found.cause.name == cause
    assert found.message.startswith("1 images are given for 2 in the messages")
    assert found.conversation == TWO  # the one that was judged: it is what repeats the finding


def test_that_images_are_missing_is_clear_where_all_are():
    def pipeline(says):
        def refuses(tokenizer, conversation):
            if len(conversation.images) != sum(len(message.images) for message in conversation.messages):
                raise ValueError(says if not conversation.images else f"{len(conversation.images)} images")
            return right_ids(conversation)

        return refuses

    one = Conversation([Message("user", [Image(1, 1), Text("a")])])
    for says, clear in (("You must provide images", True), ("You must provide more", False)):
        case = Bench(replace(subject(pipeline(says)), abilities=frozenset({"images"}))).case(one)
        assert (checks.judge(case, "failures.loud") is None) is clear


def test_a_mismatch_that_is_swallowed():
    def ignores(tokenizer, conversation):
        len(conversation.images)
        return right_ids(conversation)

    def replaces(tokenizer, conversation):
        wanted = sum(len(message.images) for message in conversation.messages)
        return right_ids(conversation) if len(conversation.images) == wanted else [1000]

    assert loud(ignores).cause.name == "mismatch-ignored"
    assert loud(replaces).cause.name == "mismatch-swallowed"


def test_a_watched_conversation_is_a_conversation():
    watched = Watched(TWO)
    assert isinstance(watched, Conversation)
    assert (repr(watched.messages), watched.looked) == (repr(TWO.messages), False)
    assert watched.images == TWO.images
    assert watched.looked
    assert repr(watched) == repr(TWO)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("bad sample"), "; the refusal does not say so: ValueError: bad sample"),
        (IndexError("x"), "; instead of refusing it, the pipeline raised IndexError: x"),
    ],
)
def test_what_is_said_of_a_refusal(error, message):
    found = loud(refusing(lambda given, wanted: error))
    assert found.message == "1 images are given for 2 in the messages" + message


def swallowing(result):
    def pipeline(tokenizer, conversation):
        wanted = sum(len(message.images) for message in conversation.messages)
        right = len(conversation.images) == wanted
        return right_ids(conversation) if right else result(right_ids(conversation))

    return pipeline


@pytest.mark.parametrize(
    ("result", "message", "cause"),
    [
        (lambda ids: ids, ", and the ids are those of the right number", "mismatch-ignored"),
        (lambda ids: [1000], ", and 1 ids came back", "mismatch-swallowed"),
        (lambda ids: [0, 0], ", and 2 ids came back", "mismatch-swallowed"),
        (
            lambda ids: None,
            "; the pipeline gave: the result is a NoneType, not a list of ids",
            "mismatch-bad-return",
        ),
    ],
)
def test_what_is_said_of_other_ids(result, message, cause):
    found = loud(swallowing(result))
    assert (found.message, found.cause.name) == ("1 images are given for 2 in the messages" + message, cause)


def test_a_mismatch_that_changes_the_input():
    def pipeline(tokenizer, conversation):
        if len(conversation.images) == 1:
            object.__setattr__(conversation, "images", ())
        return right_ids(conversation)

    found = loud(pipeline)
    assert found.message == (
        "1 images are given for 2 in the messages; the pipeline changed the conversation that it was given"
    )
    assert found.cause.name == "input-changed"


@pytest.mark.parametrize("said", ["<image>", "<data>", "1 given", "3 given", "for 2 images"])
def test_one_number_or_marker_in_a_refusal_will_do(said):
    def pipeline(tokenizer, conversation):
        given = len(conversation.images)
        if given != 2:
            raise ValueError(said if said[0] != str(4 - given) else f"{given}")
        return right_ids(conversation)

    one = subject(pipeline, literals={"policy": "plain", "tag": "<data>"})
    case = Bench(replace(one, abilities=frozenset({"images"}))).case(TWO)
    assert checks.judge(case, "failures.loud") is None


def test_a_refusal_must_not_name_another_number():
    assert loud(refusing(lambda given, wanted: ValueError("7 images"))).cause.name == "refusal-unclear"


def test_which_numbers_of_images_are_tried():
    given = []

    def pipeline(tokenizer, conversation):
        given.append(conversation.images)
        wanted = sum(len(message.images) for message in conversation.messages)
        if len(conversation.images) != wanted:
            raise ValueError(f"{len(conversation.images)} for {wanted}")
        return right_ids(conversation)

    def tried(conversation):
        given.clear()
        one = replace(subject(pipeline), abilities=frozenset({"images"}))
        assert checks.judge(Bench(one).case(conversation), "failures.loud") is None
        return given[1:]

    small, large = TWO.images
    assert tried(TWO) == [(small,), (small, large, Image(64, 64))]
    three = Conversation([Message("user", [small, small, large])])
    assert tried(three) == [(small, small), (small, small, large, Image(64, 64))]
    assert tried(Conversation([Message("user", [Text("a")])])) == [(Image(64, 64),)]


def test_too_many_images_that_are_swallowed():
    def pipeline(tokenizer, conversation):
        if len(conversation.images) < 2:
            raise ValueError("1 image for 2")
        return right_ids(conversation)

    assert loud(pipeline).message == (
        "3 images are given for 2 in the messages, and the ids are those of the right number"
    )


# ---------------------------------------------------------------- wrong numbers of images in a batch


def rows_of(conversations, padding_side):
    """Rows of the right ids, as many as there are conversations."""
    assert padding_side == "right"
    return {"input_ids": [right_ids(conversation) for conversation in conversations]}


def wanted_by(conversation):
    return sum(len(message.images) for message in conversation.messages)


def loud_batch(batch, conversation=TWO):
    """The verdict on a subject that refuses one conversation rightly, and batches as the function does."""
    one = replace(subject("flat_slices"), returns=frozenset(), abilities=frozenset({"images", "batch"}), batch=batch)
    case = Bench(one).case(conversation)
    found = checks.judge(case, "failures.loud")
    return diagnosed(case, found) if isinstance(found, Finding) else found


def counting_all(conversations, *, padding_side):
    """Images of a batch are one list, and its length is what is compared."""
    given, wanted = (sum(map(count, conversations)) for count in (lambda one: len(one.images), wanted_by))
    if given != wanted:
        raise ValueError(f"{given} images for {wanted}")
    return rows_of(conversations, padding_side)


def counting_each(error):
    def batch(conversations, *, padding_side):
        for one in conversations:
            if len(one.images) != wanted_by(one):
                raise error(len(one.images), wanted_by(one))
        return rows_of(conversations, padding_side)

    return batch


def test_a_batch_that_counts_the_images_of_each_sample_is_silent():
    assert loud_batch(counting_each(lambda given, wanted: ValueError(f"{given} images for {wanted}"))) is None
    assert loud_batch(counting_each(lambda given, wanted: ValueError("one <image> too few"))) is None
    assert loud_batch(counting_all, Conversation([Message("user", [Text("a")])])) is None  # there is none to move


def test_a_batch_that_counts_all_images_at_once():
    found = loud_batch(counting_all)
    assert found.message == (
        "of two samples of a batch that hold 2 images each, one is given 3 and the other 1; 2 rows came back"
    )
    assert found.cause.name == "batch-mismatch-swallowed"
    assert found.conversation == TWO  # the one that was judged: it is what repeats the finding


def test_a_batch_that_counts_no_images():
    def batch(conversations, *, padding_side):
        return rows_of(conversations, padding_side)

    def crashes(conversations, *, padding_side):
        if sum(map(wanted_by, conversations)) != sum(len(one.images) for one in conversations):
            raise IndexError("list index out of range")
        return rows_of(conversations, padding_side)

    for counts_nothing in (batch, crashes):
        assert loud_batch(counts_nothing).cause.name == "batch-mismatch-ignored"


def test_which_batches_are_tried():
    tried = []

    def batch(conversations, *, padding_side):
        tried.append([one.images for one in conversations])
        return counting_each(lambda given, wanted: ValueError(f"{given} for {wanted}"))(
            conversations, padding_side=padding_side
        )

    assert loud_batch(batch) is None
    more, fewer = (*TWO.images, Image(64, 64)), TWO.images[:1]
    assert tried == [[more, fewer], [fewer, more]]


def test_a_batch_of_which_only_the_first_sample_is_counted():
    def batch(conversations, *, padding_side):
        if len(conversations[0].images) > 2:
            raise ValueError("3 images for 2")
        return rows_of(conversations, padding_side)

    assert loud_batch(batch).message == (
        "of two samples of a batch that hold 2 images each, one is given 1 and the other 3; 2 rows came back"
    )


@pytest.mark.parametrize(
    ("error", "message", "cause"),
    [
        (ValueError("bad sample"), "; the refusal does not say so: ValueError: bad sample", "batch-refusal-unclear"),
        (ValueError("7 images"), "; the refusal does not say so: ValueError: 7 images", "batch-refusal-unclear"),
        (
            IndexError("x"),
            "; instead of refusing it, the batch entry raised IndexError: x",
            "batch-mismatch-crashes-IndexError",
        ),
        (None, "; the batch entry gave: a batch is a mapping with *", "batch-mismatch-bad-return"),
    ],
)
def test_what_is_said_of_a_batch(error, message, cause):
    def batch(conversations, *, padding_side):
        if error is not None:
            raise error

    found = loud_batch(batch)
    start = "of two samples of a batch that hold 2 images each, one is given 3 and the other 1"
    assert found.message.startswith(start + message.rstrip("*"))
    assert found.cause.name == cause


def test_what_has_no_batch_entry_is_judged_alone():
    one = replace(subject("flat_slices"), abilities=frozenset({"images"}), batch=None)
    assert checks.judge(Bench(one).case(TWO), "failures.loud") is None


def test_wrong_numbers_are_not_judged_on_what_cannot_be():
    def refuses(tokenizer, conversation):
        raise ValueError("no <pad>")

    typed = Conversation([Message("user", [Text("<pad>")])])
    one = replace(subject(refuses, literals="reject"), abilities=frozenset({"images"}))
    assert checks.judge(Bench(one).case(typed), "failures.loud") == checks.NOT_JUDGED
    empty = replace(subject(lambda tokenizer, given: []), abilities=frozenset({"images"}))
    assert checks.judge(Bench(empty).case(Conversation([])), "failures.loud") == checks.NOT_JUDGED
    calls = iter([right_ids(TWO)])

    def only_once(tokenizer, conversation):
        len(conversation.images)
        return next(calls)

    assert loud(only_once) == checks.NOT_JUDGED


@pytest.mark.parametrize(
    ("check", "keys", "reason"),
    [
        ("failures.loud", ("images", "features"), "neither accepts: [images] nor features are declared"),
        (
            "geometry.agrees",
            ("features", "pixels", "predict"),
            "neither features nor pixels are returned, nor is predict declared",
        ),
        ("labels.cover_answers", ("labels",), "the pipeline does not return labels"),
        (
            "arrays.mark",
            ("attention_mask", "token_type_ids", "position_ids"),
            "the pipeline returns none of attention_mask, token_type_ids, position_ids",
        ),
    ],
)
def test_what_switches_a_check_on(check, keys, reason):
    inapplicable = checks.checks()[check].inapplicable
    assert inapplicable(subject().contract, frozenset({"image_bounds"})) == reason
    for key in keys:
        assert inapplicable(subject().contract, frozenset({key})) is None


# ---------------------------------------------------------------- counts that are added up

RUN = {"images": {"grammar": "run", "placeholder": "<pad>", "slots": 4}, "slices": None, "template": {}}
TOUCHING = Conversation([Message("user", [Image(1, 1), Image(2, 2), Text("a")])])


def predicting(predict, ids, conversation, **promised):
    one = subject(lambda tokenizer, given: ids, **promised)
    one = replace(one, abilities=frozenset({"predict"}), predict=predict)
    case = Bench(one).case(conversation)
    found = checks.judge(case, "geometry.agrees")
    assert not isinstance(found, Finding) or found.check == "geometry.agrees"
    return diagnosed(case, found) if isinstance(found, Finding) else found


def test_images_that_touch_are_counted_together():
    ids = [P] * 8 + text("a")
    for features in ([(0, 4), (1, 4)], [(0, 3), (1, 5)]):
        assert verdict("geometry.agrees", {"input_ids": ids, "features": features}, TOUCHING, **RUN) is None
    for features, count in (([(0, 4), (1, 3)], 7), ([(0, 4), (1, 5)], 9)):
        found = verdict("geometry.agrees", {"input_ids": ids, "features": features}, TOUCHING, **RUN)
        assert found.message == f"image 0 (1x1) has 8 placeholders, but {count} features of all images"
        assert (found.at, found.expected) == (0, f"{count} slots")
        assert found.facts == {"counts": (8, count), "by": "features", "others": [], "image": None}
    assert predicting(lambda width, height: 2 + 2 * (width == 2) * 2, ids, TOUCHING, **RUN) is None
    for slots in (3, 5):
        found = predicting(lambda width, height, slots=slots: slots, ids, TOUCHING, **RUN)
        assert found.message == f"image 0 (1x1) has 8 placeholders, but {2 * slots} predicted slots of all images"
        assert (found.at, found.expected) == (0, f"{2 * slots} slots")


@pytest.mark.parametrize(("slots", "more"), [(11, "fewer"), (13, "more")])
def test_where_counts_differ(slots, more):
    """The second image begins behind ``[....]a``."""
    found = verdict("geometry.agrees", counted([(0, 4), (1, slots)]), TWO, template={})
    assert (found.at, found.expected, found.cause.name) == (7, f"{slots} slots", f"counts-differ-{more}")
    ids = subject().pipeline(TWO)["input_ids"]
    found = predicting(lambda width, height: slots if width > 1 else 4, ids, TWO)
    assert found.message == f"image 1 (449x449) has 12 placeholders, but {slots} predicted slots"
    assert (found.at, found.expected, found.cause.name) == (7, f"{slots} slots", f"prediction-differs-{more}")


def test_features_of_no_image():
    plain = Conversation([Message("user", [Text("a")])])
    none = {"input_ids": text("a"), "features": []}
    assert verdict("geometry.agrees", none, plain, template={}) is None
    found = verdict("geometry.agrees", {**none, "features": [(0, 4)]}, plain, template={})
    assert (found.message, found.cause.name) == ("features are delivered for image 0, of 0", "features-surplus")
    found = verdict("geometry.agrees", counted([(-1, 4), *RIGHT]), TWO, template={})
    assert found.message == "features are delivered for image -1, of 2"
    assert predicting(lambda width, height: 4, text("a"), plain) == checks.NOT_JUDGED


def test_typed_placeholders_are_no_slots_of_an_image():
    typed = Conversation([Message("user", [Image(1, 1), Text("a<pad>")])])
    given = {"input_ids": [*SPAN, *text("a"), P], "features": [(0, 4)]}
    assert verdict("geometry.agrees", given, typed, template={}, literals="interpret") is None


# ---------------------------------------------------------------- where arrays are wrong


@pytest.mark.parametrize(
    ("key", "change", "message", "at"),
    [
        ("attention_mask", lambda mask: [*mask[:3], 0, *mask[4:]], "attention_mask is 0 at 3, expected 1", 3),
        ("attention_mask", lambda mask: [2, *mask[1:]], "attention_mask is 2 at 0, expected 1", 0),
        ("token_type_ids", lambda types: [0] * len(types), "token_type_ids is 0 at 3, expected 1", 3),
        ("token_type_ids", lambda types: [1] * len(types), "token_type_ids is 1 at 0, expected 0", 0),
        ("position_ids", lambda at: [*at[:4], 3, *at[5:]], "position_ids is 3 at 4, expected 4", 4),
    ],
)
def test_where_arrays_are_wrong(key, change, message, at):
    found = verdict("arrays.mark", arrays(**{key: change}))
    assert (found.message, found.at, found.expected) == (message, at, f"{key} {message[-1]}")


def test_arrays_beside_others():
    labelled = {**arrays(), "labels": [-100] * len(arrays()["input_ids"])}
    assert verdict("arrays.mark", labelled) is None  # labels are another check's
    empty = Conversation([Message("user", [Text("")])])
    nothing = {"input_ids": [], "position_ids": [], "attention_mask": []}
    assert verdict("arrays.mark", nothing, empty, template={}) is None


# ---------------------------------------------------------------- where labels are wrong

LEARNED = [*text("yes"), EOS]
START = 12
"""``U:[....]q\\nA:`` stands in front of the answer."""


def chat_with(**labels):
    """The right chat, with some labels changed: ``at_13=7``."""
    right = chat(learn(*ANSWER))
    changed = list(right["labels"])
    for place, label in labels.items():
        changed[int(place.removeprefix("at_"))] = label
    return {**right, "labels": changed}


def test_the_chat_of_these_tests():
    right = chat(learn(*ANSWER))
    assert right["labels"] == [-100] * START + LEARNED + [-100]
    assert right["input_ids"] == [*text("U:"), *SPAN, *text("q\nA:"), *LEARNED, *text("\n")]


@pytest.mark.parametrize(
    ("labels", "message", "at", "expected", "cause"),
    [
        ({"at_3": P}, "an image token is labelled, at 3", 3, "no label", "structure-labelled"),
        ({"at_2": O, "at_3": P}, "an image token is labelled, at 2", 2, "no label", "structure-labelled"),
        ({"at_7": C}, "an image token is labelled, at 7", 7, "no label", "structure-labelled"),
        ({"at_8": 7}, "the label at 8 is 7, but the id that it stands for is 1113", 8, "label 1113", None),
        ({"at_3": 9, "at_8": 7}, "the label at 3 is 9, but the id that it stands for is 7", 3, "label 7", None),
        ({"at_8": -200}, "the label at 8 is -200, but the id that it stands for is 1113", 8, "label 1113", None),
        ({"at_8": 1113}, '"q" is labelled, which is no answer', 8, "no label", "question-labelled"),
        (
            {"at_14": -100, "at_15": -100},
            'of message 1 "ye" is labelled, expected "yes</s>\\n"',
            12,
            'labels of "yes</s>\\n"',
            "labels-end-early",
        ),
        (
            {"at_12": -100},
            'of message 1 "es</s>" is labelled, expected "yes</s>"',
            13,
            'labels of "yes</s>"',
            "labels-begin-late",
        ),
        (
            {"at_11": 1058},
            'of message 1 ":yes</s>" is labelled, expected "yes</s>"',
            11,
            'labels of "yes</s>"',
            "labels-begin-early",
        ),
        (
            {f"at_{at}": -100 for at in range(12, 16)},
            "nothing is labelled, but message 1 is an answer",
            17,
            'labels of "yes</s>"',
            "all-ignored",
        ),
        (
            {"at_13": -100},
            'of message 1 "y" is labelled, expected "yes</s>\\n"',
            12,
            'labels of "yes</s>\\n"',
            "labels-end-early",
        ),
    ],
)
def test_where_labels_are_wrong(labels, message, at, expected, cause):
    found = verdict("labels.cover_answers", chat_with(**labels))
    assert (found.message, found.at, found.expected) == (message, at, expected)
    assert found.cause.name == (cause or "label-is-another-id")


@pytest.mark.parametrize(
    ("by", "sentence"),
    [
        (1, "all labels stand 1 place ahead of their ids, against the contract"),
        (-1, "all labels stand 1 place behind their ids, against the contract"),
        (2, "all labels stand 2 places ahead of their ids, against the contract"),
        (-2, "all labels stand 2 places behind their ids, against the contract"),
    ],
)
def test_which_way_labels_are_shifted(by, sentence):
    right = chat(learn("assistant"))
    labels = right["labels"]
    moved = [*labels[by:], *[-100] * by] if by > 0 else [*[-100] * -by, *labels[:by]]
    assert verdict("labels.cover_answers", {**right, "labels": moved}).cause.sentence == sentence


def test_labels_at_the_edges_of_the_ids():
    """Labels whose ids would lie outside are not shifted; the first and the last id count."""
    bare = {"template": {}}
    answer = Conversation([Message("assistant", [Text("ab")])])
    ids = text("ab")

    def moved(labels):
        found = verdict("labels.cover_answers", {"input_ids": ids, "labels": labels}, answer, **bare)
        return found.facts["moved"]

    assert moved([ids[1], -100]) == 1
    assert moved([-100, ids[0]]) == -1
    assert moved([ids[1], ids[0]]) is None
    assert moved([-100, 1]) is None


def test_shifted_labels_are_read_at_their_ids():
    right = chat(learn(*ANSWER))
    ahead = [*right["labels"][1:], -100]
    assert verdict("labels.cover_answers", {**right, "labels": ahead}, labels={"shift": 1}) is None
    early = [-100] * START + LEARNED + [-100]
    found = verdict("labels.cover_answers", {**right, "labels": early}, labels={"shift": 1})
    assert found.message == "the label at 13 is 1121, but the id that it stands for is 1101"


def test_bos_that_is_learned_with_another_id():
    wrong = chat(learn(*ANSWER), bos=True)
    wrong["labels"] = [5, *wrong["labels"][1:]]
    found = verdict("labels.cover_answers", wrong, bos="exactly_once")
    assert (found.message, found.at) == ("the label at 0 is 5, but the id that it stands for is 0", 0)
    found = verdict("labels.cover_answers", chat(learn(*ANSWER, "bos"), bos=True), bos="exactly_once")
    assert (found.at, found.expected, found.cause.sentence) == (0, "no label", "the loss would be computed on BOS")


TYPED = Conversation([Message("user", [Image(1, 1), Text("q<pad>")]), Message("assistant", [Text("a<pad>b<pad>")])])


@pytest.mark.parametrize(
    ("labelled", "message"),
    [
        ((), None),
        (("answer",), None),
        (("question",), "an image token is labelled, at 9"),
        (("image", "answer"), "an image token is labelled, at 3"),
    ],
)
def test_markers_typed_in_an_answer_may_be_learned(labelled, message):
    """``U:[....]q.\\nA:a.b.</s>\\n``"""
    ids = [*text("U:"), *SPAN, *text("q"), P, *text("\nA:a"), P, *text("b"), P, EOS, *text("\n")]
    places = {"image": [3], "question": [9], "answer": [14, 16]}
    learned = [13, 15, 17, *(place for what in labelled for place in places[what])]
    labels = [token_id if place in learned else -100 for place, token_id in enumerate(ids)]
    found = verdict("labels.cover_answers", {"input_ids": ids, "labels": labels}, TYPED, literals="interpret")
    assert (found and found.message) == message


TURNS = Conversation([*ASKED.messages, Message("user", [Text("w")]), Message("assistant", [Text("no")])])
"""``U:[....]q\\nA:yes</s>\\nU:w\\nA:no</s>\\n``: the answers are 12 to 15 and 23 to 25, 27 ids in all."""
YES, NO = range(12, 16), range(23, 26)


@pytest.mark.parametrize(
    ("learned", "message", "at"),
    [
        ((YES, NO), None, None),
        ((YES,), 'the answer "no</s>" of message 3 is not labelled', 27),
        ((NO,), 'the answer "yes</s>" of message 1 is not labelled', 23),
        ((), "nothing is labelled, but message 1 is an answer", 27),
        ((YES, range(19, 20), NO), '"w" is labelled, which is no answer', 19),
        ((range(8, 9), YES, NO), '"q" is labelled, which is no answer', 8),
        ((range(8, 9), NO), 'of message 1 "q" is labelled, expected "yes</s>"', 8),
        ((range(8, 9), YES), 'of message 1 "q" is labelled, expected "yes</s>"', 8),
        ((YES, range(19, 20)), 'of message 3 "w" is labelled, expected "no</s>"', 19),
        ((YES, range(23, 24), range(25, 26)), 'of message 3 "n" is labelled, expected "no</s>\\n"', 23),
    ],
)
def test_answers_of_several_turns(learned, message, at):
    ids = chat(learn(*ANSWER), TURNS)["input_ids"]
    places = {place for stretch in learned for place in stretch}
    labels = [token_id if place in places else -100 for place, token_id in enumerate(ids)]
    found = verdict("labels.cover_answers", {"input_ids": ids, "labels": labels}, TURNS)
    assert (found and found.message, found and found.at) == (message, at)


# ---------------------------------------------------------------- tokens that hold text of both sides


class Pieces(ToyTokenizer):
    """A toy with some tokens of several characters, from 5000 on."""

    def __init__(self, tokens):
        super().__init__()
        self.pieces = {5000 + number: token for number, token in enumerate(tokens)}

    def id_to_token(self, token_id):
        return self.pieces.get(token_id) or super().id_to_token(token_id)


PLAIN = {"user": ["U:", "\n"], "assistant": ["A:", "\n"]}


def labelled(written, conversation, **promised):
    """The finding on ids written token by token; those in brackets are learned: ``A|[:y]|[e]|s``."""
    tokens = written.split("|")
    bare = [token[1:-1] if token[0] == "[" else token for token in tokens]
    longer = sorted({token for token in bare if len(token) > 1})
    ids = [5000 + longer.index(token) if token in longer else 1000 + ord(token) for token in bare]
    labels = [token_id if token[0] == "[" else -100 for token, token_id in zip(tokens, ids, strict=True)]
    one = subject(
        lambda tokenizer, given: {"input_ids": ids, "labels": labels},
        returns=("labels",),
        tokenizer=Pieces(longer),
        **{"template": PLAIN, **promised},
    )
    found = checks.judge(Bench(one).case(conversation), "labels.cover_answers")
    assert found is None or found.check == "labels.cover_answers"
    return found and found.message


SAID = Conversation([Message("user", [Text("q")]), Message("assistant", [Text("yes")])])
MORE = Conversation([*SAID.messages, Message("user", [Text("w")])])


@pytest.mark.parametrize(
    ("written", "got"),
    [
        ("U|:|q|\n|A|[:y]|[e]|[s]|[\n]", None),
        ("U|:|q|\n|A|:y|[e]|[s]|[\n]", None),
        ("U|:|q|\n|A|:y|e|[s]|[\n]", 's\\n'),
        ("U|:|q|\n|[A]|[:y]|[e]|[s]|[\n]", 'A:yes\\n'),
        ("U|:|q|\n|[A:]|[y]|[e]|[s]|[\n]", 'A:yes\\n'),
        ("U|:|q|[\nA:ye]|[s]|[\n]", None),
        ("U|:|q|\nA:ye|[s]|[\n]", None),
        ("U|:|q|\n|A|:|[y]|[e]|[s\n]", None),
        ("U|:|q|\n|A|:|[y]|[e]|s\n", None),
        ("U|:|q|\n|A|:|[y]|es\n", None),
        ("U|:|q|\n|A|:|[y]|e|s\n", 'y'),
        ("U|:|q|\n|A|:|y|[e]|s\n", 'e'),
    ],
)  # fmt: skip
def test_tokens_that_reach_over_the_edge_of_an_answer(written, got):
    found = labelled(written, SAID)
    if got is None:
        assert found is None
    else:
        assert found.startswith(f'of message 1 "{got}" is labelled, expected "yes')


@pytest.mark.parametrize(
    ("written", "got"),
    [
        ("U|:|q|\n|A|:|[y]|[e]|[s]|[\nU]|:|w|\n", None),
        ("U|:|q|\n|A|[:y]|[e]|[s]|[\nU]|:|w|\n", None),
        ("U|:|q|\n|A|:|[y]|[e]|[s]|\nU|:|w|\n", None),
        ("U|:|q|\n|A|:|[y]|[e]|[s\nU]|:|w|\n", None),
        ("U|:|q|\n|A|:|[y]|[e]|s\nU|:|w|\n", None),
        ("U|:|q|\n|A|:|[y]|[e]|[s]|[\nU]|[:]|w|\n", 'yes\\nU:'),
        ("U|:|q|\n|A|:|[y]|[e]|[s]|[\n]|[U:]|w|\n", 'yes\\nU:'),
        ("U|:|q|\n|A|:|[y]|e|s\nU|:|w|\n", 'y'),
    ],
)  # fmt: skip
def test_tokens_that_reach_into_the_next_turn(written, got):
    found = labelled(written, MORE)
    if got is None:
        assert found is None
    else:
        assert found.startswith(f'of message 1 "{got}" is labelled, expected "yes')


@pytest.mark.parametrize(
    ("written", "got"),
    [
        ("U|:|q|\n|A|:|[y]|[e]|[s]|\n", None),
        ("U|:|q|\n|A|:|[y]|[e]|[s\n]", None),
        ("U|:|q|\n|A|:|[y]|[e]|s\n", None),
        ("U|:|q|\n|A|:|[y]|[e]|[s]|[\n]", 'yes\\n'),
        ("U|:|q|\n|A|:|[y]|[e]|s|\n", 'ye'),
    ],
)  # fmt: skip
def test_tokens_over_the_edge_where_what_ends_an_answer_is_not_learned(written, got):
    found = labelled(written, SAID, labels={"end_token": "excluded"})
    assert found == (got and f'of message 1 "{got}" is labelled, expected "yes"')


def test_an_answer_at_the_edges_of_the_ids():
    answer = Conversation([Message("assistant", [Text("yes")])])
    assert labelled("[y]|[e]|[s]", answer, template={}) is None
    assert labelled("[y]|[e]|s", answer, template={}) == 'of message 0 "ye" is labelled, expected "yes"'
    assert labelled("y|[e]|[s]", answer, template={}) == 'of message 0 "es" is labelled, expected "yes"'
    assert labelled("y|e|s", answer, template={}) == "nothing is labelled, but message 0 is an answer"


def test_the_token_that_ends_an_empty_answer():
    silent = Conversation([ASKED.messages[0], Message("assistant", [Text("")])])
    nothing = verdict("labels.cover_answers", chat(learn(), silent), silent)
    assert nothing.message == "nothing is labelled, but message 1 is an answer"
    assert nothing.expected == 'labels of "</s>"'
    excluded = {"end_token": "excluded"}
    assert verdict("labels.cover_answers", chat(learn(), silent), silent, labels=excluded) is None
    surplus = verdict("labels.cover_answers", chat(learn("end assistant"), silent), silent, labels=excluded)
    assert surplus.message == '"</s>" is labelled, which is no answer'
    turns = Conversation([*silent.messages, *ASKED.messages])
    learned = chat(learn("assistant"), turns)
    assert verdict("labels.cover_answers", learned, turns, labels=excluded) is None
    plain = [*text("U:"), *SPAN, *text("q\nA:\n")]
    bare = {"input_ids": plain, "labels": [-100] * len(plain)}
    assert verdict("labels.cover_answers", bare, silent, template=PLAIN) is None


def test_an_answer_behind_an_empty_one():
    silent = Conversation([Message("user", [Text("q")]), Message("assistant", [Text("")])])
    turns = Conversation([*silent.messages, Message("user", [Text("w")]), Message("assistant", [Text("yes")])])
    excluded = {"end_token": "excluded"}
    assert verdict("labels.cover_answers", chat(learn("assistant"), turns), turns, labels=excluded) is None
    found = verdict("labels.cover_answers", chat(learn(), turns), turns, labels=excluded)
    assert found.message == "nothing is labelled, but message 3 is an answer"


def test_images_in_an_answer_are_not_learned():
    drawn = Conversation([Message("user", [Text("q")]), Message("assistant", [Text("see"), Image(1, 1), Text("!")])])
    given = {"input": {"images_in": ["user", "assistant"]}}
    found = verdict("labels.cover_answers", chat(learn(*ANSWER, "image"), drawn), drawn, **given)
    assert (found.message, found.at) == ("an image token is labelled, at 9", 9)


def test_a_marker_typed_first_may_be_learned_and_bos_not():
    """``^A:a.</s>\\n``"""
    typed = Conversation([Message("assistant", [Text("a<pad>")])])
    ids = [BOS, *text("A:a"), P, EOS, *text("\n")]
    promised = {"literals": "interpret", "bos": "exactly_once"}
    labels = [-100, -100, -100, *ids[3:6], -100]
    assert verdict("labels.cover_answers", {"input_ids": ids, "labels": labels}, typed, **promised) is None
    with_bos = {"input_ids": ids, "labels": [BOS, *labels[1:]]}
    assert verdict("labels.cover_answers", with_bos, typed, **promised).message == "BOS is labelled, at 0"


def test_answers_that_touch_are_one():
    """Two messages of a trained role, with no template's text between them."""
    two = Conversation([Message("assistant", [Text("ab")]), Message("assistant", [Text(""), Text("c")])])
    assert labelled("[a]|[b]|[c]", two, template={}) is None
    assert labelled("[a]|[b]|c", two, template={}) == 'of message 0 "ab" is labelled, expected "abc"'
