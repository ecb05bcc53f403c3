"""The same faults in right pipelines on real vocabularies: each is found there, and silent where it does no harm."""

from __future__ import annotations

from pathlib import Path

import pytest
from real_mutants import FAULTS, PASSES, Under, judged
from real_table import EXPECTED, SUBJECTS, expected_kills

from image_spans.config import load, read
from image_spans.engine import Engine

YAML = Path(__file__).parents[2] / "tokenizers_under_test.yaml"
BUDGET = 12
CASES = [(fault, subject) for subject in SUBJECTS for fault in EXPECTED if subject in EXPECTED[fault][1]]
"""Subject by subject, so that each is loaded once and its draws are shared."""


@pytest.fixture(scope="module")
def engine():
    return Engine(BUDGET, 0)


@pytest.fixture(scope="module")
def specs():
    return {spec.name: spec for spec in read(YAML)}


def under(specs, name: str) -> Under:
    """The subject, or a skip that says why it cannot be had."""
    reason = specs[name].missing()
    if reason is not None:
        pytest.skip(f"{name}: {reason}")
    return Under(specs[name], load(specs[name]))


@pytest.mark.parametrize(("fault", "name"), CASES)
def test_a_fault_is_found_by_the_named_checks_and_no_other(fault, name, specs, engine):
    found = judged(under(specs, name), FAULTS[fault], engine)
    assert set(found) == expected_kills(fault, name)


@pytest.mark.parametrize("name", SUBJECTS)
def test_the_pipeline_without_a_fault_is_silent(name, specs, engine):
    subject = under(specs, name)
    assert engine.failed_prechecks(subject.subject) == []
    for entry in PASSES:
        if entry == "encode" or {"limit": "max_length"}.get(entry, entry) in subject.subject.abilities:
            assert judged(subject, FAULTS["none"].of(entry), engine) == {}


def test_the_table_knows_every_fault_and_where_it_can_be_put(specs):
    assert EXPECTED.keys() == FAULTS.keys() - {"none"}
    needs = {"limit": "max_length", "batch": "batch"}
    for fault, (_, kills) in EXPECTED.items():
        ability = needs.get(FAULTS[fault].entry)
        able = [n for n in SUBJECTS if ability is None or ability in specs[n].pipeline.abilities]
        assert list(kills) == able, fault


def test_every_fault_is_found_somewhere_and_says_why_not_elsewhere():
    for fault, (why, kills) in EXPECTED.items():
        assert any(kills.values()), f"{fault} is idle"
        assert bool(why) == ("" in kills.values()), fault


def test_every_kind_of_tokenizer_has_faults_that_are_found_and_some_that_do_no_harm():
    for name in SUBJECTS:
        kills = [EXPECTED[fault][1][name] for fault in EXPECTED if name in EXPECTED[fault][1]]
        assert any(kills), name
        assert "" in kills, name
