"""The lock beside the YAML: what a run says of new, changed, cosmetic and gone, and when it writes."""

from __future__ import annotations

import json

import pytest
from consumer_repository import ASSEMBLY, SECOND, YAML

LOCK = "tokenizers_under_test.lock.json"
QUICK = ("-k", "locked or (start and spans)")


@pytest.fixture
def locked(consumer, run):
    """A repository of two right subjects that are locked; its path."""
    repository = consumer("right", YAML + SECOND)
    result = run("-k", "locked", "--spans-lock=update")
    assert result.ret == 0
    assert "image-spans: lock: mine, other recorded" in result.outlines
    return repository.path


def said(result) -> list[str]:
    return [line.partition("lock: ")[2] for line in result.outlines if line.startswith("image-spans: lock: ")]


def edit(path, before: str, after: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after), encoding="utf-8")


def test_without_a_lock_nothing_is_said_or_written(consumer, run):
    repository = consumer("right")
    result = run()
    assert result.ret == 0
    assert said(result) == []
    assert "lock" not in result.outlines[0]
    assert not (repository.path / LOCK).exists()


def test_the_same_again_says_nothing(locked, run):
    before = (locked / LOCK).read_bytes()
    for arguments in ((), ("-n", "2"), ("--spans-lock=update",)):
        result = run(*QUICK, *arguments)
        assert result.ret == 0, arguments
        assert said(result) == [], arguments
        result.assert_outcomes(passed=10)
    assert (locked / LOCK).read_bytes() == before


def test_a_change_under_which_every_check_holds(locked, run):
    edit(locked / "assembly.py", "return part.text", 'return part.text.replace("Look at", "Look  at")')
    edit(locked / "assembly.py", "def right", "RIGHT = 1\n\n\ndef right")
    result = run(*QUICK)
    assert result.ret == 1
    headline = (
        "conversations: image in the middle: [L o*2 k _ (32) _a t ...], was [L o*2 k _a (261) t <image> <slot>*4 ...]"
    )
    # Text that survives is no concern of the checks of spans, which are all that ran here.
    assert [line.partition(":")[0] for line in said(result)] == ["mine changed", "other changed"]
    assert said(result)[0].endswith("and every check still holds")
    assert any(line.startswith("  * conversations: image in the middle: [L o*2 k") for line in result.outlines), (
        headline
    )
    assert "  Accept      pytest --spans-lock=update, and commit the lock" in result.outlines


def test_a_change_that_a_check_finds_too(locked, run):
    edit(locked / "assembly.py", '"<slot>" * 4', '"<slot>" * 5')
    for arguments in ((), ("-n", "2")):
        result = run(*QUICK, *arguments)
        assert result.ret == 1
        assert sorted(said(result)) == [
            "mine changed: conversations are written differently (13); and spans.slots fails",
            "other changed: conversations are written differently (13); and spans.slots fails",
        ]


def test_updating_says_what_changed_and_passes(locked, run):
    edit(locked / "assembly.py", "return part.text", 'return part.text.replace("Look", "look")')
    result = run("-k", "locked", "--spans-lock=update")
    assert result.ret == 0
    assert said(result)[0].startswith("mine recorded anew: conversations: image in the middle: [l (")
    assert said(run("-k", "locked")) == []


def test_a_part_updates_a_part_and_removes_nothing(locked, run):
    edit(locked / "assembly.py", "return part.text", 'return part.text.replace("Look", "look")')
    before = json.loads((locked / LOCK).read_text(encoding="utf-8"))["subjects"]
    run("-k", "locked and other", "--spans-lock=update")
    after = json.loads((locked / LOCK).read_text(encoding="utf-8"))["subjects"]
    assert after["mine"] == before["mine"]
    assert after["other"] != before["other"]
    yaml = locked / "tokenizers_under_test.yaml"
    yaml.write_text(YAML.replace("PIPELINE", "right") + SECOND.replace("other:", "third:"), encoding="utf-8")
    result = run("-k", "locked and third", "--spans-lock=update")
    assert said(result) == ["third recorded", "other is recorded, and is in the YAML no more"]
    assert set(json.loads((locked / LOCK).read_text(encoding="utf-8"))["subjects"]) == {"mine", "other", "third"}
    run("-k", "locked", "--spans-lock=update")
    assert set(json.loads((locked / LOCK).read_text(encoding="utf-8"))["subjects"]) == {"mine", "third"}


def test_new_and_gone(locked, run):
    yaml = locked / "tokenizers_under_test.yaml"
    yaml.write_text(YAML.replace("PIPELINE", "right") + SECOND.replace("other:", "third:"), encoding="utf-8")
    result = run("-k", "locked")
    assert result.ret == 0
    assert said(result) == [
        "third not recorded yet (pytest --spans-lock=update)",
        "other is recorded, and is in the YAML no more",
    ]


def test_cosmetic(locked, run):
    lock = locked / LOCK
    records = json.loads(lock.read_text(encoding="utf-8"))
    for record in records["subjects"].values():
        record["made of"]["libraries"]["tiktoken"] = "0.1.0"
    lock.write_text(json.dumps(records), encoding="utf-8")
    result = run("-k", "locked")
    assert result.ret == 0
    (line,) = said(result)
    assert line.startswith("tiktoken ")
    assert line.endswith(", was 0.1.0: the behaviour of mine, other is the same")
    assert said(run("-k", "locked", "-q")) == []


def test_that_nothing_was_recorded_is_said(consumer, run):
    repository = consumer("right")
    result = run("--spans-lock=update", "-k", "start-spans.matched")
    result.stdout.fnmatch_lines(["image-spans: lock: nothing was recorded: no test of the lock ran *"])
    assert not (repository.path / LOCK).exists()


def test_off(locked, run):
    (locked / LOCK).write_text("damaged")
    result = run(*QUICK, "--spans-lock=off")
    assert result.ret == 0
    result.assert_outcomes(passed=8)


def test_a_selection_of_checks_leaves_the_lock_alone(locked, run):
    result = run("--spans-checks", "spans.matched")
    assert result.ret == 0
    result.assert_outcomes(passed=14)


def test_a_damaged_lock_is_refused_and_not_overwritten(locked, refused):
    (locked / LOCK).write_text("{")
    for arguments in ((), ("--spans-lock=update",)):
        line = refused(*arguments)
        assert line.startswith(f"ERROR: {LOCK}:1: is damaged: not JSON; take it from version control again, or delete")
    assert (locked / LOCK).read_text() == "{"


@pytest.mark.parametrize(
    ("arguments", "variable", "why"), [((), "true", "not in CI"), (("-n", "2"), "", "not with xdist"), ((), "1", "CI")]
)
def test_it_is_not_written_where_nobody_reviews_it(consumer, refused, monkeypatch, arguments, variable, why):
    repository = consumer("right")
    monkeypatch.setenv("CI", variable)
    assert why in refused("--spans-lock=update", *arguments)
    assert not (repository.path / LOCK).exists()


def test_a_subject_that_does_not_load_is_said_once(locked, run):
    edit(
        locked / "tokenizers_under_test.yaml",
        "trained: tiktoken, options: {special",
        "trained: tiktoken, options: {specialty",
    )
    result = run("-k", "locked or contract")
    assert result.ret == 1
    assert said(result) == []


def test_what_was_recorded_survives_a_run_that_fails(locked, run):
    """A pipeline that crashes is recorded as it is: the lock says what happens, the checks whether it should."""
    (locked / "assembly.py").write_text(ASSEMBLY.replace("def right(tokenizer, conversation):", CRASHING))
    result = run("-k", "locked", "--spans-lock=update")
    assert result.ret == 0
    record = json.loads((locked / LOCK).read_text(encoding="utf-8"))["subjects"]["mine"]
    assert record["conversations"]["image alone"] == "refused with ValueError"
    assert record["conversations"]["no image"] == "KeyError: 'no image'"


CRASHING = """\
def right(tokenizer, conversation):
    if not conversation.images:
        raise KeyError("no image")
    if len(conversation.messages[0].parts) == 1:
        raise ValueError("nothing but an image")
"""
