"""Two YAML files in one run that name their subjects, and the modules beside them, alike."""

from __future__ import annotations

import pytest
from consumer_repository import ASSEMBLY, FILE, YAML

OTHER = f"other/{FILE}"


@pytest.fixture
def two_files(consumer):
    """Makes a second file in a folder of its own, with an assembly.py beside it; returns the pytester."""

    def make(first: str, second: str, assembly: str = ASSEMBLY):
        repository = consumer(first)
        (repository.path / "other").mkdir()
        (repository.path / OTHER).write_text(YAML.replace("PIPELINE", second))
        (repository.path / "other" / "assembly.py").write_text(assembly)
        return repository

    return make


def test_each_tells_its_own_finding_in_full(two_files, run):
    two_files("naive", "naive")
    result = run(FILE, OTHER, "-k", "start", "--spans-checks=spans")
    assert result.ret == 1
    told = [line for line in result.outlines if line.startswith("  Reproduce")]
    assert [FILE in line and OTHER not in line for line in told] == [True, False]
    result.stdout.fnmatch_lines([f"  Reproduce *{FILE}::*", f"*  Reproduce *{OTHER}::*"])
    result.stdout.fnmatch_lines([f"  In Python   *load_subject('mine', '{OTHER}'), Conversation(*"])


def test_the_summary_has_a_row_for_each(two_files, run):
    two_files("naive", "right")
    result = run(FILE, OTHER, "-k", "start", "--spans-checks=spans.matched", "-n", "1")
    assert result.ret == 1
    assert result.parseoutcomes() == {"failed": 1, "passed": 1}
    result.stdout.fnmatch_lines([f"mine ({FILE}) *FAIL 1", f"mine ({OTHER}) *ok 1"])


def test_a_file_of_which_nothing_ran_does_not_hide_behind_the_other(two_files, run):
    two_files("right", "right")
    result = run(FILE, OTHER, f"--deselect={OTHER}", "-k", "start")
    assert result.ret == 0
    result.stdout.fnmatch_lines([f"image-spans: NOTHING TESTED of {OTHER}: its tests were deselected *"])


def test_each_has_its_own_module(two_files, run):
    two_files(
        "right", "right", assembly=ASSEMBLY.replace("def right(", "def wrong(").replace("def naive(", "def right(")
    )
    result = run(FILE, OTHER, "-k", "start", "--spans-checks=spans.matched")
    assert result.parseoutcomes()["failed"] == 1
    result.stdout.fnmatch_lines([f"FAILED {OTHER}::*"])
