"""Items of the YAML are ordinary items, and the tests beside them are left alone."""

from __future__ import annotations

import pytest
from consumer_repository import CONVERSATIONS, FILE, NODE, YAML, command

PROPERTY = """\
from hypothesis import given, settings, strategies


def test_profile():
    assert settings().max_examples == 15
    assert settings().derandomize


@given(strategies.integers())
def test_property(number):
    assert number == number
"""


def test_node_ids(consumer, run):
    consumer("naive")
    listed = run("--collect-only", "-q").outlines
    assert NODE in listed
    assert f"{FILE}::test_contract::test_subject[mine-contract.tokens]" in listed
    assert run(NODE).parseoutcomes() == {"failed": 1}
    assert run(f"{FILE}::test_contract").parseoutcomes() == {"passed": 2}


@pytest.mark.parametrize("mode", ["importlib", "prepend"])
def test_import_modes_without_a_cache(consumer, run, mode):
    consumer("naive")
    result = run("-k", "start and spans.matched", "-p", "no:cacheprovider", f"--import-mode={mode}")
    assert result.ret == 1
    assert result.parseoutcomes()["failed"] == 1


def test_last_failed_with_failures_of_other_tests(consumer, run, own_tests):
    consumer("naive")
    own_tests("def test_own():\n    raise ValueError\n")
    first = run("--spans-checks", "contract,spans.matched")
    failed = [line.partition(" - ")[0] for line in first.outlines if line.startswith("FAILED")]
    assert len(failed) > 2
    again = run("--lf")
    assert [line.partition(" - ")[0] for line in again.outlines if line.startswith("FAILED")] == failed
    assert "passed" not in again.parseoutcomes()


def test_checks_that_are_not_chosen_leave_no_skipped_items(consumer, run):
    pytester = consumer("right")
    (pytester.path / "pytest.ini").write_text("[pytest]\nempty_parameter_set_mark = fail_at_collect\n")
    assert run("--spans-checks", "contract").parseoutcomes() == {"passed": 2}


def test_testpaths_do_not_hide_the_yaml(consumer, run, own_tests):
    consumer("naive")
    own_tests(PROPERTY)
    both = run("--spans-checks", "contract,spans.matched", "-k", "own or contract or start")
    assert both.parseoutcomes()["passed"] == 4
    assert both.parseoutcomes()["failed"] == 1
    only = run("tests")
    assert only.parseoutcomes() == {"passed": 2}
    said = [line for line in only.outlines if line.startswith("image-spans:")]
    assert said == [f"image-spans: {FILE} is not in this run, whose arguments name other tests"]


def test_other_tests_do_not_depend_on_the_yaml(consumer, run, own_tests):
    consumer("right", YAML.replace("bos: none", "bos: nune"))
    own_tests("def test_own():\n    pass\n")
    assert run("tests", "--spans-require-all").parseoutcomes() == {"passed": 1}
    assert run().ret == pytest.ExitCode.USAGE_ERROR


def test_a_file_outside_of_the_root(consumer, run):
    pytester = consumer("naive")
    inner = pytester.path / "inner"
    inner.mkdir()
    (inner / "pytest.ini").write_text("[pytest]\n")
    (inner / "conftest.py").write_text((pytester.path / "conftest.py").read_text())
    pytester.chdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(inner)
        result = pytester.runpytest_subprocess(
            "-p", "image_spans.plugin", f"--spans-subjects=../{FILE}", "--spans-checks=spans.matched", "-k", "start"
        )
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"FAILED ../{CONVERSATIONS}[[]mine-start-spans.matched[]]*"])
    assert command(result).startswith(f'"../{NODE}"')


def test_a_repository_without_the_yaml_hears_nothing(repository, run, refused):
    heavy = ("hypothesis", "image_spans.session", "pydantic", "sentencepiece", "tiktoken", "tokenizers", "transformers")
    repository.makepyfile(f"import sys\ndef test_own():\n    assert sys.modules.keys().isdisjoint({heavy})\n")
    result = run("-p", "no:hypothesispytest", "-p", "no:anyio", "--no-header")  # the header lists every plugin
    assert result.ret == 0
    assert "spans" not in result.stdout.str() + result.stderr.str()
    for option in ("--spans-fetch", "--spans-checks=spans", "--spans-conversation=x"):
        assert f"{option.partition('=')[0]}: there is no {FILE}" in refused(option)
