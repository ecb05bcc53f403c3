"""Every check can fail, and fails on nothing else: the table of mutants on the toy tokenizer, both sides."""

from __future__ import annotations

from functools import partial

import declared_mutants  # noqa: F401  # adds to MUTANTS
import invented_mutants  # noqa: F401  # the same
import limit_mutants  # noqa: F401  # the same
import more_mutants  # noqa: F401  # the same
import pytest
from accuracy import misses, told
from judging import assert_killed, findings_on

from image_spans.contract import Contract
from image_spans.engine import Engine
from image_spans.pipelines import reference
from image_spans.subject import Subject
from image_spans.tokenizers import observe
from mutants import MUTANTS, Mutant, forget
from support import ToyTokenizer, contract, facts

BUDGET = 60
MISNAMED = {
    "line_ends_are_unified",  # what is gone is blank, at the edge of a text
    "text_is_trimmed_when_there_are_several_turns",  # it shrinks to one newline
    "tiny_images_are_dropped",  # that the other image is larger is not looked at
}
"""Mutants of which another cause is told than the declared one; every other is told right at each position."""
NEEDS_MORE_MESSAGES = {
    "loss_on_nothing_when_the_last_turn_is_a_question": 3,  # a question, an answer, and another question
    "only_the_last_answer_is_learned": 4,  # an answer, and another turn behind it
    "all_images_go_to_the_last_question": 3,  # two questions with images, and an answer between them
    "numbers_begin_anew_in_every_message": 3,
    "no_crops_for_more_than_two_images": 5,
    "fourth_image_is_dropped": 7,
    # Two images in one message fit two causes; in two messages they do not.
    "images_that_touch_become_one": 3,
    "padding_between_images": 3,
    "end_of_text_between_images": 3,
}
"""Mutants that take more than two messages to show as what they are."""
ONLY_IN_HAZARDS = {
    "text_of_special_tokens_is_disallowed",
    "marker_without_data_ends_an_iterator",
    "one_stored_image_is_popped_per_marker",
}
"""Mutants that raise on typed markers: the check that draws those is blocked, so no pass holds a finding to shrink."""


def subject_of(mutant: Mutant, tokenizer: ToyTokenizer, *, broken: bool) -> Subject:
    """The mutant, or the reference pipeline under the same contract."""
    if mutant.tokenizer is not ToyTokenizer:
        tokenizer = mutant.tokenizer()
    returns = mutant.returns if broken else ("image_bounds", "labels")
    name = mutant.name if broken else f"right for {mutant.name}"
    return _subject(name, mutant, tokenizer, mutant.contract, mutant.function if broken else None, returns)


def harmless_subject(mutant: Mutant) -> Subject:
    """The same code where it is right."""
    near = mutant.harmless
    assert near is not None
    tokenizer = (near.tokenizer or mutant.tokenizer)()
    name = f"harmless {mutant.name}"
    function = near.repaired or mutant.function
    return _subject(name, mutant, tokenizer, contract(**near.changes), function, mutant.returns)


def _subject(
    name: str, mutant: Mutant, tokenizer: ToyTokenizer, promise: Contract, function, returns: tuple[str, ...]
) -> Subject:
    forget()
    entries = ("encode", "batch", "continue")
    right, collate, extend = (partial(reference(mutant.pipeline, e), tokenizer, contract=promise) for e in entries)
    spoilt = mutant.entry if function else None

    def run(conversation, max_length=None):
        if spoilt == "limit":
            return function(tokenizer, conversation, right, 10**6 if max_length is None else max_length)
        if spoilt == "encode":
            return function(tokenizer, conversation, right)
        return right(conversation, max_length=max_length)

    def batch(conversations, *, padding_side):
        if spoilt == "batch":
            return function(tokenizer, conversations, collate, padding_side)
        return collate(conversations, padding_side=padding_side)

    def longer(encoding, message):
        if spoilt == "continue":
            return function(tokenizer, encoding, message, extend)
        return extend(encoding, message)

    def path(conversation):
        return function(tokenizer, conversation, right) if spoilt == "path" else right(conversation)

    own = type(tokenizer) is not ToyTokenizer
    return Subject(
        name,
        tokenizer,
        observe(tokenizer, promise.markers) if own else facts(tokenizer),
        promise,
        run,
        frozenset(returns),
        paths={"other": path} if mutant.entry == "path" else {},
        abilities=mutant.abilities if function else mutant.abilities - {"predict"},
        predict=mutant.predict if function else None,
        batch=batch,
        extend=longer,
    )


@pytest.fixture(scope="module")
def engine():
    return Engine(BUDGET, 0)


@pytest.fixture(scope="module")
def tokenizer():
    return ToyTokenizer()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_is_killed_by_the_named_checks_and_no_other(mutant, engine, tokenizer):
    """What is told of it then, on the smallest conversation of each position, is its cause; one pass serves both."""
    subject = subject_of(mutant, tokenizer, broken=True)
    assert_killed(findings_on(subject, engine), mutant.kills, mutant.cause)
    findings = list(told(subject, engine))
    missed = misses(mutant.cause, findings)
    assert bool(missed) == (mutant.name in MISNAMED), "\n".join(map(str, missed)) or "it is named right: not MISNAMED"
    if mutant.name not in ONLY_IN_HAZARDS:
        messages = findings[0].finding.conversation.messages
        assert len(messages) <= NEEDS_MORE_MESSAGES.get(mutant.name, 2), messages


def has_reference(mutant: Mutant) -> bool:
    """Whether a reference pipeline keeps the contract: it computes slots from the size, and keeps typed markers."""
    promise = mutant.contract
    return promise.images.slots != "from_features" and promise.literals.policy == "plain"


@pytest.mark.parametrize("mutant", [m for m in MUTANTS if has_reference(m)], ids=lambda mutant: mutant.name)
def test_right_pipeline_under_the_same_contract_is_silent(mutant, engine, tokenizer):
    assert findings_on(subject_of(mutant, tokenizer, broken=False), engine) == {}


@pytest.mark.parametrize("mutant", [m for m in MUTANTS if m.harmless], ids=lambda mutant: mutant.name)
def test_the_same_code_where_it_does_no_harm_is_silent(mutant, engine):
    assert findings_on(harmless_subject(mutant), engine, positions=mutant.harmless.positions) == {}
