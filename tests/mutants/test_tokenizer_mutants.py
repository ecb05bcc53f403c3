"""A tokenizer with one thing wrong is found by the named checks; the same thing where it does no harm is not."""

from __future__ import annotations

import pytest
from judging import assert_killed, findings_on
from tokenizer_mutants import TOKENIZER_MUTANTS

from image_spans.engine import Engine

BUDGET = 60


@pytest.fixture(scope="module")
def engine():
    return Engine(BUDGET, 0)


@pytest.mark.parametrize("mutant", TOKENIZER_MUTANTS, ids=lambda mutant: mutant.name)
def test_tokenizer_is_killed_by_the_named_checks_and_no_other(mutant, engine):
    assert_killed(findings_on(mutant.make(), engine), mutant.kills, mutant.cause)


@pytest.mark.parametrize("mutant", TOKENIZER_MUTANTS, ids=lambda mutant: mutant.name)
def test_the_same_where_it_does_no_harm_is_silent(mutant, engine):
    assert findings_on(mutant.near(), engine) == {}
