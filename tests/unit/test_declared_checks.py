"""The checks that a subject switches on by what it declares: labels, side arrays, counts, wrong numbers of images."""

from __future__ import annotations

from dataclasses import replace

import pytest

from image_spans import checks
from image_spans.case import Bench
from image_spans.conversation import Conversation, Image, Message, Text, Watched
from image_spans.engine import diagnosed
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


# ---------------------------------------------------------------- wrong numbers of images


def loud(pipeline, *abilities):
    case = Bench(replace(subject(pipeline), abilities=frozenset(abilities))).case(TWO)
    found = checks.judge(case, "failures.loud")
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
