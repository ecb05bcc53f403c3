"""Known failures: expected, new, changed, stale, unselected; and what they must never hide."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from consumer_repository import ASSEMBLY, FILE, NODE, SECOND, YAML

PIPELINES = """

def is_wide(conversation):
    return any(image.width > 448 for image in conversation.images)


def counted(tokenizer, conversation):
    with open("calls", "a") as file:
        file.write("x")
    return (naive if is_wide(conversation) else right)(tokenizer, conversation)


def loses_close(tokenizer, conversation):
    close = tokenizer.encode_single_token("</image>")
    return [i for i in right(tokenizer, conversation) if i != close]


def two_faults(tokenizer, conversation):
    return (naive if is_wide(conversation) else loses_close)(tokenizer, conversation)


def fails_on_one(tokenizer, conversation):
    if conversation.images[:1] and conversation.images[0].width == 4321:
        raise KeyError("4321")
    return right(tokenizer, conversation)


def hangs_on_one(tokenizer, conversation):
    if conversation.messages[0].parts[-1:] == (Text("stop"),):
        while True:
            pass
    return naive(tokenizer, conversation)
"""

SMALL = "Conversation([Message('user', [Image(1, 1), Text('a')])])"
MATCHED = ("spans.matched", "spans.matched/first-id-removed", SMALL)
WIDE = ("spans.matched", "spans.matched/first-id-removed", SMALL.replace("Image(1, 1)", "Image(1000, 1000)"))
TEXT = ("text.survives", "text.survives/first-id-removed", SMALL.replace("Image(1, 1), ", "Text('a'), Image(1, 1), "))


def known(*failures: tuple[str, str, str | None], reason: str = "https://example.org/7") -> str:
    lines = ["    known_failures:"] if failures else []
    for check, fingerprint, example in failures:
        lines += [f"      - check: {check}", f"        reason: '{reason}'", f"        fingerprint: {fingerprint}"]
        lines += [f'        example: "{example}"'] if example else []
    return "".join(f"{line}\n" for line in lines)


@pytest.fixture
def knowing(consumer):
    """Makes a repository whose subject has known failures; returns the pytester."""

    def make(pipeline: str, *failures: tuple[str, str, str | None], yaml: str = YAML, **more: str):
        repository = consumer(pipeline, yaml + known(*failures, **more))
        (repository.path / "assembly.py").write_text(ASSEMBLY + PIPELINES, encoding="utf-8")
        return repository

    return make


def test_expected(knowing, run):
    repository = knowing("naive", MATCHED, TEXT)
    result = run("-rx", "--junitxml=report.xml", "-o", "xfail_strict=true")
    assert result.ret == 0, result.stdout.str()
    outcomes = result.parseoutcomes()
    assert "failed" not in outcomes
    assert outcomes["xfailed"] >= 7
    assert outcomes["passed"] > 20  # the search for others goes on
    result.stdout.fnmatch_lines(
        [
            "mine *ok 2 *known *",
            f"XFAIL {NODE.replace('[', '[[]')} - known failure spans.matched/first-id-removed: https://example.org/7",
        ]
    )
    assert "not judged" not in result.stdout.str()
    assert "no longer fails" not in result.stdout.str()
    cases = ElementTree.parse(repository.path / "report.xml").iter("testcase")
    (case,) = (case for case in cases if case.get("name") == "test_conversation[mine-start-spans.matched]")
    skipped = case.find("skipped")
    assert skipped is not None
    assert skipped.get("type") == "pytest.xfail"
    assert skipped.get("message") == "known failure spans.matched/first-id-removed: https://example.org/7"


def test_a_strict_setting_of_the_consumer_changes_nothing(knowing, run):
    repository = knowing("naive", MATCHED)
    (repository.path / "pytest.ini").write_text("[pytest]\nxfail_strict = true\nstrict_xfail = true\n")
    result = run("-k", "start-spans.matched", "-W", "ignore")
    assert (result.ret, result.parseoutcomes()["xfailed"]) == (0, 1)


def test_runxfail_tells_it_in_full(knowing, run):
    knowing("naive", MATCHED)
    result = run(NODE, "--runxfail")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["mine breaks spans.matched: *", "  Reproduce *--runxfail", "  Known       https://example.org/7"]
    )


def test_the_example_is_judged_where_luck_would_not_find_it(knowing, run):
    failure = ("pipeline.encodes", "pipeline.encodes/raised-KeyError", SMALL.replace("Image(1,", "Image(4321,"))
    knowing("fails_on_one", failure)
    result = run()
    assert result.ret == 0, result.stdout.str()
    assert result.parseoutcomes()["xfailed"] == 1
    knowing("fails_on_one")
    assert run("-k", "pipeline.encodes").ret == 0


def test_what_is_known_is_not_shrunk(knowing, run):
    arguments = ("-k", "start and spans.matched")
    for known, shrunk in ((), True), ((WIDE,), False):
        repository = knowing("counted", *known)
        with (repository.path / "conftest.py").open("a") as conftest:
            conftest.write(TELLS_OF_SHRINKING)
        assert run(*arguments).ret == int(shrunk)
        assert (repository.path / "shrunk").exists() == shrunk
        (repository.path / "shrunk").unlink(missing_ok=True)


TELLS_OF_SHRINKING = """

from pathlib import Path

from image_spans.engine import Engine

shrink = Engine.shrink


def told(self, subject, position, finding):
    Path("shrunk").touch()
    return shrink(self, subject, position, finding)


Engine.shrink = told
"""


def test_another_finding_of_the_same_check_is_new(knowing, run):
    knowing("two_faults", WIDE)
    result = run("-k", "spans.matched and start")
    assert result.ret == 1
    full = [line for line in result.outlines if line.startswith("mine breaks")]
    assert full == ["mine breaks spans.matched: 1 image open, 0 closes"]
    assert "  Changed " not in result.stdout.str()
    assert "not judged" not in result.stdout.str()


def test_changed(knowing, run):
    knowing("loses_close", MATCHED)
    result = run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "mine breaks spans.matched: *",
            "  Changed     was spans.matched/first-id-removed (https://example.org/7), is now spans.matched/*",
        ]
    )
    assert "no longer fails" not in result.stdout.str()


def test_stale(knowing, run):
    knowing("right", MATCHED)
    result = run()
    assert result.ret == 1
    assert "failed" not in result.parseoutcomes()
    line = "known failure spans.matched/first-id-removed of mine no longer fails: remove it (reason: https://example.*)"
    result.stdout.fnmatch_lines([f"image-spans: ERROR: {line}"])


@pytest.mark.parametrize(
    "arguments",
    [
        ("-k", "start"),
        ("--spans-checks", "contract,pipeline"),
        ("--spans-conversation", SMALL),
        ("--deselect", NODE),
        ("--maxfail=1", "-k", "not none-text"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_partial_run_judges_nothing_stale(knowing, run, arguments):
    knowing("right", MATCHED)
    result = run(*arguments)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["image-spans: known failure * of mine was not judged: this run tests a part of its *"])


def test_unselected(knowing, run):
    knowing("right", MATCHED, yaml=YAML.replace("subjects:\n", "subjects:\n" + SECOND))
    result = run("-k", "other")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["image-spans: known failure * of mine was not judged: unselected: nothing of its *"])


def test_a_check_that_does_not_apply_any_more(knowing, run):
    knowing("right", ("spans.bounds", "spans.bounds/unknown", SMALL))
    result = run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*no longer fails, because spans.bounds does not apply to the subject: remove it*"])


def test_a_known_precheck_blocks_visibly(knowing, run):
    yaml = YAML.replace("placeholder: <slot>", "placeholder: <slots>")
    knowing("right", ("contract.tokens", "contract.tokens/marker-missing", None), yaml=yaml)
    result = run("-rs")
    assert result.ret == 0, result.stdout.str()
    result.stdout.fnmatch_lines(
        ["mine *known 1/2 *blocked 7*", "SKIPPED * blocked by contract.tokens of mine, which is known to fail"]
    )
    alone = run("-k", "start-spans.matched")
    assert alone.ret == 1  # nothing was tested
    alone.stdout.fnmatch_lines(["image-spans: ERROR: nothing was tested, so the run fails"])


def test_a_subject_that_does_not_load_may_be_known(knowing, run):
    knowing("wright", ("contract.tokens", "contract.tokens/does-not-load", None))
    assert run().ret == 0
    knowing("right", ("contract.tokens", "contract.tokens/does-not-load", None))
    result = run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*known failure contract.tokens/does-not-load of mine no longer fails: remove it*"])


def test_what_a_known_check_blocks_is_not_lost_and_not_failed(knowing, run):
    knowing("naive", MATCHED, TEXT)
    result = run("--spans-checks", "spans.slots,literals", "-k", "start or none")
    assert result.ret == 0
    assert "failed" not in result.parseoutcomes()
    knowing("naive")
    assert run("--spans-checks", "spans.slots", "-k", "start").ret == 1


def test_another_failure_of_the_blocking_check_is_not_hidden(knowing, run):
    """The known failure blocks, and beside it another one of the same check does, which no selected item tells."""
    knowing("two_faults", WIDE)
    result = run("--spans-checks", "text.survives", "-k", "start")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["mine breaks spans.matched: *", "(blocked by spans.matched, which this run does not *"]
    )


def test_a_known_hang_does_not_end_the_search(knowing, run):
    hang = ("pipeline.encodes", "pipeline.encodes/does-not-end", SMALL.replace("'a'", "'stop'"))
    knowing("hangs_on_one", hang)
    result = run("--spans-timeout=1", "-k", "start")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["mine breaks spans.matched: *", "mine *known 1*FAIL 1*"])


def test_two_workers(knowing, run):
    pytest.importorskip("xdist")
    knowing("naive", MATCHED, TEXT, yaml=YAML.replace("subjects:\n", "subjects:\n" + SECOND))
    chosen = run("-n", "2")
    assert chosen.ret == 0, chosen.stdout.str()
    assert "not judged" not in chosen.stdout.str()
    knowing("right", MATCHED, yaml=YAML.replace("subjects:\n", "subjects:\n" + SECOND))
    stale = run("-n", "2")
    assert stale.ret == 1
    assert stale.stdout.str().count("of mine no longer fails: remove it") == 1


def test_a_reason_that_no_terminal_shows(knowing, run, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    knowing("naive", MATCHED, reason="\u56fe \U0001f600")
    result = run(NODE, "-rx")
    assert result.ret == 0
    result.stdout.fnmatch_lines([r"XFAIL *: \u56fe \U0001f600".replace("\\", "[\\]")])


def test_what_is_wrong_is_refused(knowing, refused):
    knowing("naive", ("spans.mached", "spans.mached/x", SMALL))
    assert refused().startswith(
        f"ERROR: {FILE}:15: subjects.mine.known_failures[0].check: unknown check 'spans.mached'; did you mean "
    )


def test_what_a_check_finds_at_once_is_told_in_turn(knowing, run):
    knowing("two_faults")
    result = run("-k", "spans.matched")
    full = [line for line in result.outlines if line.startswith("  Reproduce")]
    assert len(full) == 2
    result.stdout.fnmatch_lines(["  Also        mine breaks spans.matched: *", "              pytest *"])
