"""The same symptom and another cause: the diagnosis names the latter, or none."""

from __future__ import annotations

import pytest
from accuracy import names, told
from look_alikes import LOOK_ALIKES, subject_of
from test_mutants import BUDGET

from image_spans.engine import Engine


@pytest.fixture(scope="module")
def engine():
    return Engine(BUDGET, 0)


@pytest.mark.parametrize("one", LOOK_ALIKES, ids=lambda one: one.name)
def test_a_look_alike_is_not_taken_for_what_it_looks_like(one, engine):
    findings = list(told(subject_of(one), engine))
    assert findings
    shown = "\n".join(map(str, findings))
    assert not {name for found in findings for name in names(found.finding)}.intersection(one.never), shown
    for found in findings:
        if found.first:
            assert found.finding.cause.name in one.causes.get(found.finding.check, one.cause).split("|"), shown


def test_the_table():
    assert len(LOOK_ALIKES) >= 20
    for one in LOOK_ALIKES:
        assert one.mutant.function.__doc__.endswith("."), one.name
        assert one.never, one.name
        assert not {one.cause, *one.causes.values()} & {*one.never}, one.name
