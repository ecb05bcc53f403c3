"""Healthy subjects stay silent: no check accuses what is right but unusual."""

from __future__ import annotations

import os

import pytest
import zoo_entries  # noqa: F401  # adds to ZOO
from zoo import ZOO

from image_spans import strategies
from image_spans.engine import FAMILIES, Engine
from image_spans.strategies import Profile

SEEDS = range(int(os.environ.get("IMAGE_SPANS_ZOO_SEEDS", "1")))
BUDGET = int(os.environ.get("IMAGE_SPANS_ZOO_EXAMPLES", "40"))


@pytest.fixture(scope="module")
def engines():
    return {seed: Engine(BUDGET, seed) for seed in SEEDS}


def findings_on(subject, engine):
    found = [str(finding) for finding in engine.failed_prechecks(subject)]
    profile = Profile.of(subject.contract)
    for family in FAMILIES:
        for position in strategies.POSITIONS:
            if strategies.applies(position, profile):
                tallies = engine.survey(subject, position, family).tallies
                found += [str(finding) for tally in tallies.values() for finding in tally.findings.values()]
    return found


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ZOO)
def test_healthy_subject_is_silent(name, seed, engines):
    subject = ZOO[name]()
    assert findings_on(subject, engines[seed]) == []


def test_every_animal_says_why_it_is_healthy():
    assert len(ZOO) >= 12
    assert all(make.__doc__ for make in ZOO.values())
