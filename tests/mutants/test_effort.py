"""The default profile finds every mutant, and soon; what it finds is small."""

from __future__ import annotations

from statistics import median

import pytest
from effort import BUDGET, over_seeds, recorded
from table import ROWS
from test_mutants import subject_of

from image_spans import strategies
from image_spans.engine import FAMILIES, Engine
from mutants import MUTANTS
from support import ToyTokenizer

SEEDS = 3
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
SHRINKING = [mutant for mutant in MUTANTS if mutant.name not in ONLY_IN_HAZARDS]


@pytest.fixture(scope="module")
def engines():
    return [Engine(BUDGET, seed) for seed in range(SEEDS)]


@pytest.fixture(scope="module")
def tokenizer():
    return ToyTokenizer()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_mutant_is_found_about_as_soon_as_recorded(row, engines):
    number = median(over_seeds(row.make(), row.kills, engines))
    assert number <= max(20, recorded()[row.name]["worst"])


def test_most_mutants_are_found_at_once():
    assert recorded().keys() == {row.name for row in ROWS}, "python benchmarks/mutants.py --write"
    assert median(row["median"] for row in recorded().values()) <= 10


@pytest.mark.parametrize("mutant", SHRINKING, ids=lambda mutant: mutant.name)
def test_what_is_found_shrinks(mutant, engines, tokenizer):
    subject = subject_of(mutant, tokenizer, broken=True)
    engine = engines[0]
    profile = strategies.Profile.of(subject.contract)
    for family in FAMILIES:
        for position in strategies.POSITIONS:
            if not strategies.applies(position, profile):
                continue
            for tally in engine.survey(subject, position, family).tallies.values():
                for finding in tally.findings.values():
                    smallest = engine.shrink(subject, position, finding)
                    assert smallest.fingerprint == finding.fingerprint
                    messages = smallest.conversation.messages
                    assert len(messages) <= NEEDS_MORE_MESSAGES.get(mutant.name, 2), smallest.conversation
                    return
    pytest.fail("the mutant is not found")
