"""The table as a whole: no check is idle, no family is missing, every mutant names its report and has a near-miss."""

from __future__ import annotations

import re
from collections import Counter

from real_mutants import FAULTS
from table import ROWS, expected_kills

from image_spans import checks

LEAST = 3
FAMILIES = {f"F{number}" for number in range(1, 16)}
REPORT = re.compile(r"[A-Za-z][\w.-]*(?:/[\w.-]+)? ?(?:PR)?#\d+|finetune \(C\d\)")
"""A report by its project and number, or by its letter where it was read in code."""


def test_no_two_mutants_have_one_name():
    assert len(expected_kills) == len(ROWS)


def test_no_check_is_idle():
    kills = Counter(name for row in ROWS for name in row.kills)
    assert {name: kills[name] for name in checks.checks() if kills[name] < LEAST} == {}


def test_only_checks_are_named():
    assert {name for row in ROWS for name in row.kills} <= checks.checks().keys()


def test_every_mutant_is_killed_by_something():
    assert [row.name for row in ROWS if not row.kills] == []


def test_every_family_of_the_reports_has_mutants():
    mutants = Counter(family for row in ROWS for family in row.families)
    assert mutants.keys() == FAMILIES
    assert {family: number for family, number in mutants.items() if number < LEAST} == {}


def test_every_mutant_names_its_family_and_its_report():
    unnamed = [row.name for row in ROWS if not (row.families and REPORT.search(row.document))]
    assert unnamed == []
    assert [row.name for row in ROWS if not row.document.endswith(".")] == []


def test_every_mutant_has_a_near_miss():
    assert [row.name for row in ROWS if not row.near] == []


def test_every_grammar_has_mutants():
    """The grammars of images, and of slices, under which some mutant runs."""
    contracts = [row.make().contract for row in ROWS]
    assert {"paired", "run", "rows"} <= {promise.images.grammar for promise in contracts}
    assert {"flat", "nested", "same_span"} <= {promise.slices.grammar for promise in contracts if promise.slices}


def test_every_fault_of_real_pipelines_names_its_family_and_its_report():
    faults = [fault for name, fault in FAULTS.items() if name != "none"]
    documents = {fault.name: fault.function.__doc__ or "" for fault in faults}
    assert [fault.name for fault in faults if not fault.families & FAMILIES] == []
    assert [name for name, document in documents.items() if not REPORT.search(document)] == []
