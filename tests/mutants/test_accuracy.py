"""The diagnosis names the right cause of at least 95 of 100 mutants."""

from __future__ import annotations

from accuracy import Told, is_right
from test_mutants import MISNAMED, MUTANTS

from image_spans.findings import Cause, Finding

WANTED = 0.95


def test_the_right_cause_of_at_least_95_in_100_mutants():
    """:mod:`test_mutants` holds each mutant to it."""
    assert {mutant.name for mutant in MUTANTS} >= MISNAMED
    assert len(MISNAMED) <= (1 - WANTED) * len(MUTANTS)


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
