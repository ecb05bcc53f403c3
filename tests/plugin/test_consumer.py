"""In another repository, a YAML and a ten-line pipeline are enough."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import zipfile

import pytest
from consumer_repository import ROOT, YAML

NODE = "tokenizers_under_test.yaml::test_conversations::test_conversation[mine-start-spans.matched]"


def test_right_pipeline_is_green(consumer, run):
    consumer("right")
    result = run()
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["image-spans: tokenizers_under_test.yaml: 1 subjects", "subject *contract *pipeline*", "mine *ok 2 *ok 7*"]
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
    report = (pytester.path / "report.xml").read_text(encoding="utf-8")
    assert "was removed as if it were BOS" in report


def test_a_finding_is_told_in_full_once(consumer, run):
    consumer("naive")
    told = run("--spans-checks", "spans").stdout.str()
    assert told.count("  Smallest ") == 1
    assert told.count("; see position start") >= 3


def test_printed_command_repeats_the_finding(consumer, run):
    consumer("naive")
    first = run(NODE)
    command = next(line for line in first.outlines if "Reproduce   pytest" in line)
    arguments = shlex.split(command.partition("pytest ")[2])
    again = run(*arguments)
    assert again.ret == 1
    cause = next(line for line in first.outlines if line.startswith("  Cause"))
    assert cause in again.outlines
    consumer("right")
    assert run(*arguments).ret == 0


def test_ordinary_items(consumer, run):
    consumer("naive")
    listed = run("--collect-only", "-q").outlines
    assert NODE in listed
    assert run(NODE).parseoutcomes() == {"failed": 1}
    failed = run("-k", "spans.matched").parseoutcomes()["failed"]
    assert run("--lf").parseoutcomes()["failed"] == failed
    assert run("-k", "spans.matched and start", "-p", "no:cacheprovider", "--import-mode=importlib").ret == 1


def test_two_workers(consumer, run):
    pytest.importorskip("xdist")
    consumer("naive")
    alone, together = run(), run("-n", "2")
    assert together.ret == 1
    assert together.parseoutcomes() == alone.parseoutcomes()
    together.stdout.fnmatch_lines(["mine breaks spans.matched: 0 image opens, 1 close", "mine *FAIL*"])


def test_testpaths_do_not_hide_the_yaml(consumer, run):
    path = consumer("naive").path
    (path / "tests").mkdir()
    (path / "tests" / "test_own.py").write_text(
        "from hypothesis import settings\ndef test_own():\n    assert settings().max_examples == 20\n"
    )
    (path / "pyproject.toml").write_text('[tool.pytest.ini_options]\ntestpaths = ["tests"]\n')
    both = run("-k", "test_own or start-spans.matched")
    assert both.parseoutcomes()["passed"] == 1
    assert both.parseoutcomes()["failed"] == 1
    only = run("tests")
    assert only.parseoutcomes() == {"passed": 1}
    assert only.ret == 0


def test_statistics(consumer, run):
    consumer("right")
    result = run(NODE, "--hypothesis-show-statistics")
    result.stdout.fnmatch_lines(["*image-spans statistics*", "mine-start-single: * conversations", " *% *image*"])


def test_a_failed_precheck_blocks_the_rest_and_is_never_lost(consumer, run):
    consumer("right", YAML.replace("placeholder: <slot>", "placeholder: <slots>"))
    result = run()
    assert result.ret == 1
    assert result.parseoutcomes()["failed"] == 1
    result.stdout.fnmatch_lines(["*placeholder '<slots>' is not in the vocabulary*", "mine *FAIL 1/2 *blocked 7*"])
    alone = run("-k", "start-spans.matched")
    assert alone.ret == 1
    alone.stdout.fnmatch_lines(["(blocked by contract.tokens, which this run does not select)"])


def test_a_needed_check_that_is_not_selected_is_not_lost(consumer, run):
    consumer("naive")
    result = run("--spans-checks", "spans.expected", "-k", "alone")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["(blocked by spans.matched, which this run does not select)"])


# ---------------------------------------------------------------- options and errors


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--spans-subjects", "other.yaml"], "--spans-subjects: there is no file other.yaml"),
        (["--spans-checks", "spans.mached"], "unknown check 'spans.mached'; did you mean 'spans.matched'?"),
        (["--spans-checks", ","], "--spans-checks: names no check"),
        (["--spans-conversation", "print(1)"], "--spans-conversation: column 1"),
    ],
)
def test_wrong_options(consumer, run, arguments, said):
    consumer("right")
    result = run(*arguments)
    assert result.ret == 4
    assert said in result.stderr.str()
    assert "Traceback" not in result.stderr.str() + result.stdout.str()


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("bos: none", "bos: nune", "tokenizers_under_test.yaml:9: subjects.mine.contract.bos"),
        ("slots: 4", "slotz: 4", "unknown key 'slotz'; did you mean 'slots'?"),
        ("rule: minicpm", "rule: minicmp", "did you mean 'minicpm'?"),
        ("backend: tiktoken", "backend: tictoken", "did you mean 'tiktoken'?"),
        ("assembly:PIPELINE", "flat_slice", "did you mean 'flat_slices'?"),
        ("bos: none", "bos: !!python/object:os.system x", "tokenizers_under_test.yaml:9"),
        (YAML, "", "tokenizers_under_test.yaml"),
        (YAML, "version: 1\nsubjects: {}\n", "subjects"),
    ],
)
def test_wrong_yaml_is_one_line(consumer, run, before, after, said):
    consumer("right", YAML.replace(before, after))
    result = run()
    assert result.ret == 4
    errors = [line for line in result.errlines if line.strip()]
    assert len(errors) == 1, errors
    assert said in errors[0]


MISSING = """\
  absent:
    tokenizer: {backend: tiktoken, source: {package: no-such-distribution, file: x}, pattern: x}
    pipeline: assembly:right
    contract: {bos: none, images: {grammar: run, placeholder: <slot>, slots: 4}}
"""


def test_what_cannot_be_had_is_skipped_with_its_reason(consumer, run):
    consumer("right", YAML + MISSING)
    result = run("-k", "contract or unavailable", "-rs")
    assert result.ret == 0
    assert result.parseoutcomes()["skipped"] == 1
    result.stdout.fnmatch_lines(
        [
            "image-spans: tokenizers_under_test.yaml: 2 subjects, 1 skipped",
            "  skipped absent: the package no-such-distribution is not installed*",
            "absent *skip 1*",
        ]
    )
    strict = run("--spans-require-all")
    assert strict.ret == 4
    assert "no-such-distribution" in strict.stderr.str()


def test_nothing_to_test_is_an_error(consumer, run):
    consumer("right", "version: 1\nsubjects:\n" + MISSING)
    result = run()
    assert result.ret == 4
    assert "none of its subjects can be had, so nothing would be tested" in result.stderr.str()


def test_a_repository_without_the_yaml_hears_nothing(pytester, run, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    pytester.makepyfile("import sys\ndef test_own():\n    assert 'pydantic' not in sys.modules\n")
    result = run("-p", "no:hypothesispytest")
    assert result.ret == 0
    assert "image-spans:" not in result.stdout.str()
    refused = run("--spans-fetch")
    assert refused.ret == 4
    assert "--spans-fetch: there is no tokenizers_under_test.yaml" in refused.stderr.str()


def test_a_terminal_without_unicode(consumer, run, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "cp1252")
    consumer("naive")
    result = run(NODE, "--spans-conversation", "Conversation([Message('user', [Image(1, 1), Text('\u56fe \u2581')])])")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["  Cause  *", r'  Smallest    user: *"\u56fe \u2581"'])


# ---------------------------------------------------------------- the wheel


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """The built wheel, unpacked where only this test looks."""
    pytest.importorskip("build")
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    target = folder / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def test_wheel_holds_the_suite(installed):
    suite = {path.name for path in (installed / "image_spans" / "suite").glob("*.py")}
    assert suite == {path.name for path in (ROOT / "tests" / "properties").glob("*.py")}
    assert (installed / "image_spans" / "py.typed").is_file()
    assert (installed / "image_spans" / "training" / "corpus.txt").is_file()


@pytest.mark.parametrize("arguments", [(), ("-n", "2")])
def test_wheel_in_another_repository(installed, consumer, monkeypatch, arguments):
    pytester = consumer("naive")
    monkeypatch.setenv("PYTHONPATH", str(installed))
    (pytester.path / "pyproject.toml").write_text('[tool.pytest.ini_options]\ntestpaths = ["tests"]\n')
    (pytester.path / "tests").mkdir()
    result = pytester.runpytest_subprocess("-k", "spans.matched", *arguments)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["mine breaks spans.matched: 0 image opens, 1 close"])
    consumer("right")
    assert pytester.runpytest_subprocess("-k", "spans.matched", *arguments).ret == 0
