"""A run in continuous integration: its summary in Markdown, annotations of GitHub, and properties in JUnit's XML."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest
from consumer_repository import FILE, SECOND, YAML

from image_spans.ci.markdown import MARK

TWO = YAML.replace("subjects:\n", "subjects:\n" + SECOND)
KNOWN = """\
    known_failures:
      - check: text.survives
        reason: "<b>@us</b> `know` | it"
        example: "Conversation([Message('user', [Text('a'), Image(1, 1), Text('a')])])"
        fingerprint: text.survives/first-id-removed
"""


def commands(result) -> list[str]:
    return [line for line in result.outlines if line.startswith("::")]


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["plain", "xdist"])
def test_github_and_junit_are_told(consumer, run, monkeypatch, workers):
    repository = consumer("naive", TWO + KNOWN)
    summary = repository.path / "summary.md"
    summary.write_text("what another step says")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_WORKSPACE", str(repository.path.parent))
    written = ("--spans-md", "own.md", "--junitxml=j.xml", "-o", "junit_family=xunit2", "-W", "error")
    result = run(*written, "-k", "middle", *workers)
    assert result.ret == 1
    _annotations_are_right(commands(result), repository.path)
    _markdown_is_right((repository.path / "own.md").read_text(), result)
    assert summary.read_text() == f"what another step says\n\n{(repository.path / 'own.md').read_text()}"
    _properties_are_right(ElementTree.parse(repository.path / "j.xml"))


def _annotations_are_right(told, folder):
    (command,) = told
    line = 1 + (folder / FILE).read_text().splitlines().index("  mine:")
    where = f"::error file={folder.name}/{FILE},line={line},title=mine%3A spans.matched/first-id-removed::"
    assert command.startswith(where)
    assert "%0ACause: the first id of message 0 was removed as if it were BOS, but" in command
    assert '%0AReproduce: pytest "tokenizers_under_test.yaml::' in command


def _markdown_is_right(written, result):
    assert "### image-spans failed: 2 subjects, 1 new finding, 1 known failure\n" in written
    assert "| `mine` |" in written
    assert written.count("#### ") == 1
    for said in ("  Cause ", "  Reproduce ", "  In Python "):
        told = next(line for line in result.outlines if line.startswith(said))
        assert told.removeprefix(said).strip() in written.replace("\n          ", " ")
    assert "- `mine` `text.survives/first-id-removed`: ``<b>@us</b> `know` | it``\n" in written


def _properties_are_right(tree):
    fault = "first-id-removed"
    names = ["image_spans.subject", "image_spans.check", "image_spans.cause", "image_spans.fingerprint"]
    seen = 0
    for case in tree.iter("testcase"):
        subject, _, check = case.get("name").partition("[")[2].rstrip("]").split("-")
        # The second one is known to fail, and is told too.
        failing = subject == "mine" and check in ("spans.matched", "text.survives")
        told = [(one.get("name"), one.get("value")) for one in case.iter("property")]
        values = [subject, check, fault, f"{check}/{fault}"] if failing else [subject, check]
        assert told == list(zip(names, values, strict=False))
        seen += failing
    assert seen == 2


def test_nothing_is_said_when_it_is_switched_off(consumer, run, monkeypatch):
    repository = consumer("naive")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(repository.path / "summary.md"))
    result = run("--spans-github=off", "-k", "middle-spans.matched")
    assert result.ret == 1
    assert commands(result) == []
    assert not (repository.path / "summary.md").exists()


def test_a_summary_that_cannot_be_written_fails_nothing(consumer, run, monkeypatch):
    repository = consumer("right")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(repository.path))
    (repository.path / "own.md").write_text(f"{MARK}\nof the last run\n")
    result = run("--spans-md", "own.md", "-k", "mine-start-spans.matched")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["image-spans: the job summary cannot be written: Is a directory"])
    assert commands(result) == []
    text = (repository.path / "own.md").read_text()
    assert text.startswith(f"{MARK}\n### image-spans passed: 1 subject, no new finding\n")
    assert "of the last run" not in text


def test_a_file_that_is_no_summary_is_kept(consumer, refused):
    repository = consumer("right")
    readme = repository.path / "README.md"
    readme.write_text("# Mine\n")
    assert "README.md: is there already, and is no report of this option" in refused("--spans-md", "README.md")
    assert readme.read_text() == "# Mine\n"


INTERRUPTED = """

def pytest_runtest_logfinish(nodeid):
    if "start-spans.matched" in nodeid:
        raise KeyboardInterrupt
"""


@pytest.mark.parametrize("kind", ["interrupted", "nothing selected"])
def test_a_summary_is_not_green_where_the_run_was_not(consumer, run, kind):
    repository = consumer("right")
    if kind == "interrupted":
        with (repository.path / "conftest.py").open("a") as file:
            file.write(INTERRUPTED)
    chosen = "start-spans" if kind == "interrupted" else "nothing"
    assert run("--spans-md", "own.md", "--spans-html=r.html", "-k", chosen).ret != 0
    text = (repository.path / "own.md").read_text()
    assert text.startswith(f"{MARK}\n### image-spans failed: ")
    html = (repository.path / "r.html").read_text(encoding="utf-8")
    said = "NOTHING TESTED" if kind == "nothing selected" else "the run was interrupted; what is told is of the tests"
    assert said in text
    assert said in html
