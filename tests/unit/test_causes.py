"""Each cause that a report may name, on one conversation: what the sentence must tell besides the name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from image_spans.case import Bench
from image_spans.checks import judge
from image_spans.contract import Contract
from image_spans.conversation import Conversation, Image, Message, Text, resized
from image_spans.diagnosis import EXPLANATIONS, diagnose, diagnosed
from image_spans.diagnosis.rivals import Fit, decide, structures
from image_spans.findings import UNKNOWN, Cause, Finding
from image_spans.pipelines import reference
from image_spans.subject import Subject
from support import ToyTokenizer, contract, facts

CHAT = {"user": ["U:", "\n"], "assistant": ["A:", "</s>\n"]}
OPEN, CLOSE, PAD = 1, 2, 7
SMALL, LARGE = Image(1, 1), Image(449, 449)  # one span; one and two slices
ONE = Conversation([Message("user", [SMALL, Text("abc")])])
TWO = Conversation([Message("user", [LARGE, Text("b"), SMALL, Text("c")])])
TURNS = Conversation(
    [Message("user", [SMALL, Text("q")]), Message("assistant", [Text("yes")]), Message("user", [Text("why")])]
)
Change = Callable[[Callable[[Conversation], dict[str, Any]], Conversation], Any]


def ids_of(change: Callable[[list[int]], list[int]]) -> Change:
    """A pipeline that is right, but for a change to its ids."""
    return lambda right, conversation: change(right(conversation)["input_ids"])


def made(
    change: Change, *, tokenizer: ToyTokenizer | None = None, returns: tuple[str, ...] = (), **promised: Any
) -> Subject:
    tokenizer, promise = tokenizer or ToyTokenizer(), contract(**promised)
    right = partial(reference("flat_slices"), tokenizer, contract=promise)
    return Subject("one", tokenizer, facts(tokenizer), promise, partial(change, right), frozenset(returns))


def told(check: str, subject: Subject, conversation: Conversation) -> Finding:
    case = Bench(subject).case(conversation)
    verdict = judge(case, check)
    assert isinstance(verdict, Finding), verdict
    return diagnosed(case, verdict)


def said(*given: Any) -> tuple[str, str]:
    cause = told(*given).cause
    return cause.name, cause.sentence


def without_first_ids(right: Any, conversation: Conversation) -> list[int]:
    return [t for m in conversation.messages for t in right(Conversation([m]))["input_ids"][1:]]


# ---------------------------------------------------------------- ids that are removed or put in


def test_the_first_id_that_was_no_bos_is_named():
    finding = told("text.survives", made(without_first_ids), Conversation([Message("user", [Text("abc")])]))
    sentence = "the first id of message 0 was removed as if it were BOS, but this tokenizer adds none; it was a (1097)"
    assert finding.cause.sentence == sentence
    assert finding.at == 0
    assert finding.strip == ("[ b c ]", "  ^ expected 'abc'")


RUN = {"images": {"placeholder": "<pad>", "grammar": "run", "slots": 4}, "slices": None}


def texts_apart(cut: Callable[[str], str]) -> Change:
    """A run of placeholders for each image, and each text cut."""
    return lambda right, conversation: [
        token_id
        for message in conversation.messages
        for part in message.parts
        for token_id in ([PAD] * 4 if isinstance(part, Image) else ToyTokenizer().encode_text(cut(part.text)))
    ]


@pytest.mark.parametrize("texts", [("a",), ("", "a"), ("ab", "c"), ("a", "b", "cd")])
@pytest.mark.parametrize(
    ("cut", "name"),
    [(lambda text: text[1:], "first-id-removed"), (lambda text: "" if len(text) == 1 else text, "text-lost")],
)
def test_texts_of_one_id_between_images_are_lost_with_it(texts, cut, name):
    """Then the runs of two images are one, which is all that the structure shows."""
    parts = [part for text in texts for part in (SMALL, Text(text))]
    found = told("spans.expected", made(texts_apart(cut), **RUN), Conversation([Message("user", [*parts, SMALL])]))
    assert found.cause.name == name
    if name == "first-id-removed":
        letter = next(text for text in texts if len(text) == 1)
        assert found.cause.sentence == (
            "the first id of each text of message 0 was removed as if it were BOS, but this tokenizer adds none; "
            f"it was {letter} ({1000 + ord(letter)})"
        )


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda ids: [0, *ids], "bos-doubled"),
        (lambda ids: ids[1:], "bos-missing"),
    ],
)
def test_bos_doubled_and_missing(change, name):
    finding = told("bos.placement", made(ids_of(change), bos="exactly_once"), ONE)
    assert finding.cause.name == name


def test_bos_for_each_segment_also_where_the_first_is_empty():
    def change(right, conversation):
        return [t for m in conversation.messages for t in right(Conversation([m]))["input_ids"]]

    conversation = Conversation([Message("system", [Text("")]), Message("user", [Text("")])])
    finding = told("bos.placement", made(change, bos="exactly_once"), conversation)
    assert finding.message == "2 BOS at 0, 1, declared one at the start"
    assert finding.cause.name == "bos-per-segment"


def test_bos_that_somebody_typed():
    spelled = ToyTokenizer().encode_text("<s>")

    def change(ids):
        at = next((k for k in range(len(ids)) if ids[k : k + 3] == spelled), None)
        return ids if at is None else [*ids[:at], 0, *ids[at + 3 :]]

    conversation = Conversation([Message("system", [Text("a")]), Message("user", [Text("<s>b")])])
    given = "bos.placement", made(ids_of(change), bos="exactly_once"), conversation
    assert said(*given) == (
        "literal-became-structure",
        "<s>, typed by the user in message 1, was read as the token itself",
    )


# ---------------------------------------------------------------- markers that are something else


class Merging(ToyTokenizer):
    """A letter and the bracket behind it are one token, as in any byte-pair vocabulary."""

    def encode_text(self, text: str) -> list[int]:
        ids = super().encode_text(text)
        for at in range(len(ids) - 1, 0, -1):
            if ids[at] == 1000 + ord("<"):
                ids[at - 1 : at + 1] = [2_000_000 + ids[at - 1]]
        return ids

    def id_to_token(self, token_id: int) -> str:
        return (
            super().id_to_token(token_id - 2_000_000) + "<" if token_id >= 2_000_000 else super().id_to_token(token_id)
        )


def spelled_out(right, conversation, tokenizer):
    """The text and the open marker behind it go through the tokenizer as one string."""
    ids = []
    for part in conversation.messages[0].parts:
        if isinstance(part, Image):
            ids += [PAD] * 4 + [CLOSE]
        else:
            ids += tokenizer.encode_text(f"{part.text}<image>")
    return ids


@pytest.mark.parametrize(
    ("tokenizer", "name", "sentence"),
    [
        (ToyTokenizer(), "marker-as-text", "<image> was encoded as text, in 7 ids, instead of as the one id 1"),
        (
            Merging(),
            "marker-merged",
            "<image> was encoded as text and merged with its neighbour to c< (2001099), instead of as the one id 1",
        ),
    ],
)
def test_a_marker_that_is_text(tokenizer, name, sentence):
    conversation = Conversation([Message("user", [Text("abc"), SMALL])])
    change = partial(spelled_out, tokenizer=tokenizer)
    assert said("spans.matched", made(change, tokenizer=tokenizer), conversation) == (name, sentence)


def test_a_marker_that_somebody_typed_is_not_the_one_that_is_missing():
    conversation = Conversation([Message("user", [Text("</image>"), SMALL])])
    subject = made(ids_of(lambda ids: [t for t in ids if t != CLOSE]))
    assert said("spans.matched", subject, conversation)[0] == "marker-lost"


def test_a_tag_that_was_never_replaced():
    def change(right, conversation):
        messages = [
            Message(m.role, [Text("[img]") if isinstance(p, Image) else p for p in m.parts])
            for m in conversation.messages
        ]
        return right(Conversation(messages))["input_ids"]

    sentence = "the data tag [img] was never replaced by an image and stayed in the text"
    subject = made(change, literals={"policy": "plain", "tag": "[img]"})
    assert said("spans.expected", subject, ONE) == ("tag-left-in-text", sentence)


def test_typed_text_tells_who_typed_it_and_in_which_message():
    def change(right, conversation):
        ids = []
        for message in conversation.messages:
            for part in message.parts:
                ids += (
                    ToyTokenizer().encode_markup(part.text)
                    if isinstance(part, Text)
                    else right(Conversation([Message(message.role, [part])]))["input_ids"]
                )
        return ids

    def typing(text: str) -> Conversation:
        return Conversation([Message("user", [SMALL, Text("a")]), Message("assistant", [Text(text)])])

    sentence = ", typed by the assistant in message 1, was read as the token itself"
    for text in ("<image>", "</image>", "<s>"):
        assert said("literals.policy", made(change), typing(f"b{text}c")) == (
            "literal-became-structure",
            text + sentence,
        )
    # An end token is no marker: the text is the same letter by letter, the ids are not.
    assert said("literals.policy", made(change), typing("b</s>c")) == ("literal-became-structure", f"</s>{sentence}")


# ---------------------------------------------------------------- slots


def test_a_limit_that_is_built_in_tells_which_and_how_long_it_would_have_to_be():
    name, sentence = said("spans.matched", made(ids_of(lambda ids: ids[:3])), ONE)
    assert name == "cut-at-limit"
    assert sentence == (
        "the right side is cut off in or before image 0: no more than 3 ids come back, "
        "and the limit would have to be about 9 for all"
    )
    name, sentence = said("spans.matched", made(ids_of(lambda ids: ids[-5:])), ONE)
    assert name == "cut-at-limit"
    assert sentence.startswith("the left side is cut off in or before image 0: no more than 5 ids come back")


def test_a_limit_that_is_asked_for_tells_the_same():
    def change(right, conversation, max_length=10**6):
        return right(conversation)["input_ids"][:max_length]

    subject = replace(made(change, truncation="never_split"), abilities=frozenset({"max_length"}))
    name, sentence = said("truncation.policy", subject, ONE)
    assert name == "cut-inside-span"
    assert sentence == (
        "ids are cut off at max_length=5 without looking whether the cut goes through an image; "
        "it would have to be 6 for this span, 9 for all"
    )


@pytest.mark.parametrize(
    ("longer", "said_of_it"),
    [
        (
            lambda limit, ids: limit + 3 * ids.count(PAD) // 4,
            "is applied before images are expanded: with max_length=",
        ),
        (lambda limit, ids: limit + 2, "is applied to another length: with max_length=26 there are 1 ids too many"),
    ],
)
def test_a_limit_of_another_length(longer, said_of_it):
    def change(right, conversation, max_length=10**6):
        ids = right(conversation)["input_ids"]
        return right(conversation, max_length=longer(max_length, ids))

    subject = replace(made(change, truncation="never_split"), abilities=frozenset({"max_length"}))
    name, sentence = said("truncation.policy", subject, TWO)
    assert name == "limit-exceeded"
    assert said_of_it in sentence


@pytest.mark.parametrize(
    ("take", "name", "counts"),
    [
        (lambda image: Image(1, 1), "slices-missing", "(image 0 has 4 slots, expected 16)"),
        (lambda image: Image(image.height, image.width), "width-height-swapped", ""),
    ],
)
def test_other_sizes_tell_the_counts_of_each_image(take, name, counts):
    def change(right, conversation):
        return right(resized(conversation, [take(image) for image in conversation.images]))["input_ids"]

    conversation = Conversation([Message("user", [Image(900, 300), Text("a")])])
    found, sentence = said("spans.expected", made(change, slices={**NESTED_GRID}), conversation)
    assert found == name
    assert sentence.endswith(counts)


NESTED_GRID = {"open": "<slice>", "close": "</slice>", "rule": "minicpm"}


def test_no_sides_are_swapped_of_a_square():
    """Two slices for four, as of an image of other sides; but the sides of this one are alike."""
    square = Conversation([Message("user", [Image(896, 896), Text("a")])])

    def change(right, conversation):
        return right(resized(conversation, [Image(896, 448)] * len(conversation.images)))["input_ids"]

    assert "swapped" not in said("spans.expected", made(change), square)[1]


def test_slots_of_another_rule_tell_how_many_times():
    def times(number):
        return ids_of(lambda ids: [t for token_id in ids for t in [token_id] * (number if token_id == PAD else 1)])

    assert said("spans.slots", made(times(4)), ONE) == (
        "expanded-twice",
        "the placeholders were expanded again: 4 times the 4 that image 0 needs",
    )
    assert said("spans.slots", made(times(2)), ONE) == (
        "slots-differ",
        "the number of slots comes from another rule: image 0 has 8 in a span, expected 4, 2 times as many",
    )


def test_features_of_another_rule_tell_which():
    def change(right, conversation):
        made = right(conversation)
        return {"input_ids": made["input_ids"], "features": [(n, 4) for n, _ in enumerate(conversation.images)]}

    name, sentence = said("geometry.agrees", made(change, returns=("features",)), TWO)
    assert name == "counts-differ-fewer"
    assert sentence.endswith("one of them uses another size; slices missing gives as many")


def test_the_order_tells_which_image_stands_where():
    def change(right, conversation):
        return right(resized(conversation, reversed(conversation.images)))["input_ids"]

    assert said("spans.order", made(change), TWO) == ("images-reordered", "where image 0 belongs stands image 1")


# ---------------------------------------------------------------- text


def test_a_blank_beside_a_marker_is_said_to_be_a_dummy_prefix():
    def put(token_id, behind):
        blank = 1000 + ord(" ")
        return ids_of(
            lambda ids: [
                t for one in ids for t in (([one, blank] if behind else [blank, one]) if one == token_id else [one])
            ]
        )

    conversation = Conversation([Message("user", [Text("b"), SMALL, Text("a")])])
    for behind, token_id, where, edge in (
        (True, CLOSE, "after image 0", "in front of it"),
        (False, OPEN, "before image 0", "behind it"),
    ):
        assert said("text.survives", made(put(token_id, behind)), conversation) == (
            "blanks-added",
            f"blanks were added to the edge of the text {where}: one blank {edge}, as the dummy prefix of a tokenizer",
        )


def test_a_special_token_that_nobody_wrote():
    subject = made(ids_of(lambda ids: [*ids, 900]))
    assert said("text.survives", subject, ONE) == (
        "special-added",
        "</s> (900) stands after image 0; neither the template nor a message has it there",
    )


def test_a_special_token_that_is_missing():
    subject = made(ids_of(lambda ids: [t for t in ids if t != 900]), template=CHAT)
    assert said("text.survives", subject, TURNS) == (
        "special-lost",
        "</s> (900), which the template writes, is missing after image 0",
    )


# ---------------------------------------------------------------- labels


def learning(change: Callable[[list[int], list[int]], list[int]]) -> Subject:
    def run(right, conversation):
        made = right(conversation)
        return {"input_ids": made["input_ids"], "labels": change(made["labels"], made["input_ids"])}

    return made(run, returns=("labels",), template=CHAT, input={"roles": ["user", "assistant"]})


def reaching(labels: list[int], ids: list[int]) -> list[int]:
    at = next((k for k, label in enumerate(labels) if label != -100), len(labels))
    return [*labels[:at], *ids[at:]]


@pytest.mark.parametrize(
    ("change", "name", "sentence"),
    [
        (lambda labels, _: [*labels[1:], -100], "labels-shifted-1", "all labels stand 1 place ahead of their ids"),
        (
            lambda labels, _: [*labels[2:], -100, -100],
            "labels-shifted-2",
            "all labels stand 2 places ahead of their ids",
        ),
        (lambda labels, _: [-100] * 5 + labels[:-5], "labels-shifted-5", "all labels stand 5 places behind their ids"),
        (reaching, "labels-reach-on", "the labels of an answer reach into message 2, which is the user's"),
        (lambda labels, _: [-100] * len(labels), "all-ignored", "every label is ignored"),
    ],
)
def test_labels(change, name, sentence):
    found, told_of_it = said("labels.cover_answers", learning(change), TURNS)
    assert found == name
    assert told_of_it.startswith(sentence)


def test_the_answer_that_is_not_learned_is_named():
    two = Conversation([*TURNS.messages, Message("assistant", [Text("no")])])

    def first_left_out(labels, ids):
        last = max((k for k, t in enumerate(ids) if t == 1000 + ord("A")), default=0)
        return [label if k > last else -100 for k, label in enumerate(labels)]

    assert said("labels.cover_answers", learning(first_left_out), two) == (
        "answer-unlabelled",
        "the answer of message 1 is left out of the labels, and others are not",
    )


# ---------------------------------------------------------------- what is not known is not said


def test_an_error_that_is_swallowed():
    def change(right, conversation):
        try:
            return right(conversation)["input_ids"]
        except ValueError:
            return [1000]

    subject = replace(made(change), abilities=frozenset({"images"}))
    assert said("failures.loud", subject, ONE)[0] == "mismatch-swallowed"


def test_several_causes_that_nothing_tells_apart_are_one_of_two():
    case = Bench(made(ids_of(list))).case(ONE)
    first, second = Cause("a", "this"), Cause("b", "that")
    fits = [Fit(first, lambda _: True), Fit(second, lambda _: True)]
    found = decide(case, fits, structures)
    assert found == Cause("a-or-b", "one of two: this; or that")
    assert decide(case, [fits[0], Fit(second, lambda _: False)], structures) == first
    assert decide(case, [fits[0], Fit(second, lambda _: True, rank=1)], structures) == first
    assert decide(case, [Fit(first, lambda _: False), Fit(second, lambda _: True, rank=1)], structures) == second
    # What none predicts tells nothing.
    assert decide(case, [Fit(first, lambda _: False), Fit(second, lambda _: False)], structures) == found
    assert decide(case, [], structures) is None

    def raising(_):
        raise RuntimeError

    assert decide(case, [Fit(first, raising), Fit(second, lambda _: True)], structures) == found
    many = [Fit(Cause(letter, letter), lambda _: True) for letter in "abcd"]
    assert decide(case, many, structures) == Cause(
        "unknown", "cause unknown: 4 faults explain these ids, among them: a"
    )


def test_related_conversations_are_inside_of_the_contract():
    asked = []

    def change(right, conversation):
        asked.append(conversation)
        return [t for t in right(conversation)["input_ids"] if t != OPEN]

    subject = made(change, input={"roles": ["user"], "images": "1..1"})
    assert said("spans.matched", subject, ONE)[0] == "marker-lost"
    assert len(asked) > 1
    assert all(len(conversation.images) == 1 for conversation in asked)
    assert {message.role for conversation in asked for message in conversation.messages} == {"user"}


@pytest.mark.parametrize("error", [ValueError("never another one"), KeyError("x")])
def test_related_conversations_that_are_refused_decide_nothing(error):
    def change(right, conversation):
        if conversation != ONE:
            raise error
        return right(conversation)["input_ids"][1:]

    name, sentence = said("spans.matched", made(change), ONE)
    assert name == "first-id-removed-or-marker-lost"
    assert sentence.startswith("one of two: the first id of message 0 was removed")


def test_every_check_has_explanations_and_nothing_known_is_unknown():
    case = Bench(made(ids_of(list))).case(ONE)
    for group in EXPLANATIONS:
        assert EXPLANATIONS[group]
    assert diagnose(case, Finding("own.check", "a check of somebody else's")) == UNKNOWN
    assert isinstance(case.subject.contract, Contract)
