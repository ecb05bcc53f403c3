"""The default profile finds every mutant, and soon."""

from __future__ import annotations

from statistics import median

import pytest
from effort import BUDGET, over_seeds, recorded
from table import ROWS

from image_spans.engine import Engine

SEEDS = 3


@pytest.fixture(scope="module")
def engines():
    return [Engine(BUDGET, seed) for seed in range(SEEDS)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_mutant_is_found_about_as_soon_as_recorded(row, engines):
    number = median(over_seeds(row.make(), row.kills, engines))
    assert number <= max(20, recorded()[row.name]["worst"])


def test_most_mutants_are_found_at_once():
    assert recorded().keys() == {row.name for row in ROWS}, "python benchmarks/mutants.py --write"
    assert median(row["median"] for row in recorded().values()) <= 10
