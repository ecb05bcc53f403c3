"""The diagnosis names the right cause of at least 95 of 100 mutants."""

from __future__ import annotations

import pytest
from accuracy import Told, is_right, misses, told
from test_effort import SHRINKING
from test_mutants import BUDGET, MUTANTS, subject_of

from image_spans.engine import Engine
from image_spans.findings import Cause, Finding
from support import ToyTokenizer

WANTED = 0.95


@pytest.fixture(scope="module")
def findings():
    """Mutant to what is told of it."""
    engine, tokenizer = Engine(BUDGET, 0), ToyTokenizer()
    return {mutant.name: list(told(subject_of(mutant, tokenizer, broken=True), engine)) for mutant in MUTANTS}


def test_the_right_cause_of_at_least_95_in_100_mutants(findings):
    missed = {mutant.name: misses(mutant.cause, findings[mutant.name]) for mutant in MUTANTS}
    wrong = {name: ones for name, ones in missed.items() if ones}
    print(f"{len(MUTANTS) - len(wrong)} of {len(MUTANTS)} right")
    for name, ones in wrong.items():
        print(name, *ones, sep="\n  ")
    assert all(findings[mutant.name] for mutant in SHRINKING)  # what nobody notices is not diagnosed either
    assert len(wrong) <= (1 - WANTED) * len(MUTANTS), "\n".join(wrong)


def one(name: str, *, first: bool) -> Told:
    return Told("start", first, Finding("spans.matched", "", cause=Cause(name, "")))


def test_what_counts_as_right():
    assert is_right("a", one("a", first=True))
    assert is_right("a", one("a", first=False))
    assert is_right("a", one("b-or-a", first=False))
    assert not is_right("a", one("a-or-b", first=True))
    assert not is_right("a", one("b", first=False))
    assert not is_right("a", one("unknown", first=False))
    assert not is_right("a", one("a-bit-else", first=False))
