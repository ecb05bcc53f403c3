"""What cannot be judged because something else failed: said once, and never green."""

from __future__ import annotations

from consumer_repository import YAML

WITHOUT_PLACEHOLDER = YAML.replace("placeholder: <slot>", "placeholder: <slots>")


def test_a_failed_precheck_blocks_the_rest(consumer, run):
    consumer("right", WITHOUT_PLACEHOLDER)
    result = run("-rs")
    assert result.ret == 1
    assert result.parseoutcomes()["failed"] == 1
    result.stdout.fnmatch_lines(
        [
            "*placeholder '<slots>' is not in the vocabulary*",
            "mine *FAIL 1/2 *blocked 7*",
            "SKIPPED * blocked by contract.tokens of mine",
        ]
    )


def test_a_failed_precheck_that_is_not_selected_is_not_lost(consumer, run):
    consumer("right", WITHOUT_PLACEHOLDER)
    result = run("-k", "start-spans.matched")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["*'<slots>' is not in the vocabulary*", "(blocked by contract.tokens, which this run does not select)"]
    )


def test_a_needed_check_that_is_not_selected_is_told_in_full(consumer, run):
    consumer("naive")
    result = run("--spans-checks", "text.survives", "-k", "start")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "mine breaks spans.matched: *",
            "  Cause       the first id of message *",
            '  Reproduce   pytest "*[[]mine-start-text.survives[]]" --spans-conversation *',
            "(blocked by spans.matched, which this run does not select)",
        ]
    )


def test_a_needed_check_that_is_selected_at_another_position_only(consumer, run):
    consumer("naive")
    result = run("-k", "start-spans.expected or none-spans.matched")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["(blocked by spans.matched, which this run does not select)"])


def test_a_needed_check_that_fails_on_the_draws_of_another_family_only(consumer, run):
    consumer("crashes_on_typed_markers")
    result = run("-k", "start and (pipeline.encodes or literals.policy)")
    assert result.ret == 1
    assert (result.parseoutcomes()["passed"], result.parseoutcomes()["failed"]) == (1, 1)
    result.stdout.fnmatch_lines(
        [
            "mine breaks pipeline.encodes: raised KeyError*",
            "  Smallest    user: *<*",
            "(blocked by pipeline.encodes, which finds nothing in its own draws)",
        ]
    )
