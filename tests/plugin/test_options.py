"""Options of the plugin, and what is refused before anything runs."""

from __future__ import annotations

import pytest
from consumer_repository import ABSENT, FILE, SECOND, YAML


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--spans-subjects", "other.yaml"], "--spans-subjects: there is no file other.yaml"),
        (["--spans-checks", "spans.mached"], "unknown check 'spans.mached'; did you mean 'spans.matched'?"),
        (["--spans-checks", ","], "--spans-checks: names no check"),
        (["--spans-checks", "spans.bounds"], "spans.bounds applies to no subject: the pipeline does not return"),
        (["--spans-conversation", "print(1)"], "--spans-conversation: column 1"),
        (
            ["--spans-conversation", "Conversation([Message('usr', [Text('a')])])"],
            "--spans-conversation: message 0: no subject has the role 'usr'; did you mean 'user'?",
        ),
        (["--spans-html=r", "--spans-md=./r"], "--spans-html and --spans-md name the same file "),
        (["--spans-findings=r", "--junitxml=r"], "--spans-findings and --junitxml name the same file "),
        (["-p", "no:python"], f"image-spans: {FILE} is tested by Python functions; leave out -p no:python"),
    ],
)
def test_wrong_options(consumer, refused, arguments, said):
    consumer("right")
    assert said in refused(*arguments)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("bos: none", "bos: nune", f"{FILE}:9: subjects.mine.contract.bos"),
        ("slots: 4", "slotz: 4", "unknown key 'slotz'; did you mean 'slots'?"),
        ("bos: none", "bos: none: x", f"{FILE}:9: not valid YAML"),
        ("assembly:PIPELINE", "flat_slice", "did you mean 'flat_slices'?"),
        (YAML, "version: 1\nsubjects: {}\n", "subjects: there is no subject"),
    ],
)
def test_wrong_yaml_is_one_line(consumer, refused, before, after, said):
    consumer("right", YAML.replace(before, after))
    assert said in refused()


def test_a_wrong_pipeline_is_one_line_without_a_traceback(consumer, run):
    consumer("wright")
    result = run("-k", "start-spans.matched")
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"{FILE}:3: subjects.mine: 'assembly:wright': *did you mean 'right'?"])
    assert "Traceback" not in result.stdout.str()


def test_another_file(consumer, run):
    pytester = consumer("right")
    (pytester.path / "other.yaml").write_text("version: 1\nsubjects:\n" + SECOND, encoding="utf-8")
    for arguments in (["--spans-subjects", "other.yaml", "-k", "contract"], ["other.yaml", "-k", "contract"]):
        result = run(*arguments)
        assert result.ret == 0
        result.stdout.fnmatch_lines(["image-spans: other.yaml: 1 subject", "other *ok 2"])


def test_what_cannot_be_had_is_skipped_with_its_reason(consumer, run, refused):
    consumer("right", YAML + ABSENT)
    result = run("-k", "contract or unavailable", "-rs")
    assert result.ret == 0
    assert result.parseoutcomes()["skipped"] == 1
    reason = "the package no-such-distribution is not installed"
    result.stdout.fnmatch_lines(
        [
            f"image-spans: {FILE}: 2 subjects, 1 skipped",
            f"  skipped absent: {reason}*",
            "absent *skip 1*",
            f"SKIPPED * absent cannot be had: {reason}*",
        ]
    )
    strict = refused("--spans-require-all")
    assert strict.startswith(f"ERROR: {FILE}: --spans-require-all, but 1 cannot be had: absent: {reason}")


def test_nothing_to_test_is_an_error(consumer, refused):
    consumer("right", "version: 1\nsubjects:\n" + ABSENT)
    assert "none of its subjects can be had, so nothing would be tested" in refused()
