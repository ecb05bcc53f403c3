"""In another repository, a YAML and a ten-line pipeline are enough."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from consumer_repository import NODE, SECOND, YAML, cause, command

INNER_RUN = """\
def test_own(pytester):
    pytester.makepyfile("def test(): pass")
    pytester.runpytest("-p", "image_spans.plugin")
"""


def test_right_pipeline_is_green(consumer, run):
    consumer("right")
    result = run()
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["image-spans: tokenizers_under_test.yaml: 1 subject", "subject *contract *pipeline*", "mine *ok 2 *ok 7*"]
    )
    assert not re.search(r"\d+ skipped", result.stdout.str())


def test_naive_pipeline_is_red_and_names_the_cause(consumer, run):
    pytester = consumer("naive")
    result = run("--junitxml=report.xml")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "mine breaks spans.matched: 0 image opens, 1 close",
            "  Cause       the first id of message 0 was removed as if it were BOS, but * adds none; it was <image>*",
            '  Smallest    user: * "a"',
            "*mine *FAIL*",
        ]
    )
    cases = ElementTree.parse(pytester.path / "report.xml").iter("testcase")
    (case,) = (case for case in cases if case.get("name") == "test_conversation[mine-start-spans.matched]")
    failure = case.find("failure")
    assert failure is not None
    assert "mine breaks spans.matched: 0 image opens, 1 close" in failure.get("message", "")
    assert cause(result) in (failure.text or "")


def test_a_finding_is_told_in_full_once(consumer, run):
    consumer("naive")
    told = run("--spans-checks", "spans").stdout.str()
    assert told.count("  Smallest ") == 1
    assert told.count("; see position start") >= 3


def test_printed_command_repeats_the_finding(consumer, run):
    consumer("naive")
    first = run(NODE)
    arguments = shlex.split(command(first))
    again = run(*arguments)
    assert again.ret == 1
    assert cause(again) == cause(first)
    consumer("right")
    assert run(*arguments).ret == 0


def test_printed_command_survives_a_shell_and_a_terminal_without_unicode(consumer, run, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    pytester = consumer("naive")
    text = '图\n\\ it\'s "$HOME" ▁`x`!'
    first = run(NODE, "--spans-conversation", f"Conversation([Message('user', [Image(1, 1), Text({text!r})])])")
    again = subprocess.run(
        f"{shlex.quote(sys.executable)} -m pytest -p image_spans.plugin {command(first)}",
        shell=True,
        cwd=pytester.path,
        capture_output=True,
        text=True,
    )
    (told,) = (line for line in first.outlines if line.startswith("  Smallest"))
    assert told in again.stdout.splitlines()


def test_two_workers(consumer, run):
    pytest.importorskip("xdist")
    consumer("naive", YAML + SECOND)
    chosen = ("--spans-checks", "contract,spans.matched,text")
    alone, together = run(*chosen), run(*chosen, "-n", "2", "-v")
    assert together.ret == 1
    assert together.parseoutcomes() == alone.parseoutcomes()
    together.stdout.fnmatch_lines(["mine breaks spans.matched: 0 image opens, 1 close", "mine *FAIL*"])
    workers: dict[str, set[str]] = {}
    for worker, subject in re.findall(r"^\[(gw\d)\] .*\[(mine|other)-", together.stdout.str(), re.MULTILINE):
        workers.setdefault(subject, set()).add(worker)
    assert {subject: len(used) for subject, used in workers.items()} == {"mine": 1, "other": 1}


def test_statistics(consumer, run):
    consumer("right")
    result = run(NODE, "--hypothesis-show-statistics")
    result.stdout.fnmatch_lines(["*image-spans statistics*", "mine-start-single: * conversations", " *% *image*"])


def test_a_derandomised_profile_of_the_command_line_counts(consumer):
    pytester = consumer("right")
    plugins = ("-p", "hypothesispytest", "-p", "image_spans.plugin")  # the last is configured first
    profile = "from hypothesis import settings\nsettings.register_profile('steady', max_examples=9, derandomize=True)\n"
    (pytester.path / "conftest.py").write_text(profile)
    arguments = (*plugins, NODE, "--hypothesis-profile=steady", "--hypothesis-show-statistics")
    runs = [pytester.runpytest_subprocess(*arguments) for _ in range(2)]
    shares = [[line for line in result.outlines if " %  " in line] for result in runs]
    assert shares[0]
    assert shares[0] == shares[1]


def test_a_run_inside_the_run_takes_no_results_away(consumer, run, own_tests):
    consumer("right")
    own_tests(INNER_RUN)
    result = run("-p", "pytester", "--spans-checks", "contract.tokens")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["mine *ok 1"])
