"""--spans-html: written at the end of a run, as a whole, one for all workers; and what is refused before."""

from __future__ import annotations

import re
import sys

import pytest
from consumer_repository import ABSENT, SECOND, YAML
from test_findings_file import TWO, follows, read, schema

from image_spans.html import GENERATOR


def cells(text: str, subject: str) -> dict[str, str]:
    """Check to status, of a subject's row."""
    heads = re.findall(
        r'(?:class="alone" data-group title="[^"]*"|data-rule="[^"]*" title="[^"]*")><span>([\w.]+)<', text
    )
    names = re.findall(r"<option>([\w.]+)</option>", text)
    assert len(heads) == len(names)
    (row,) = re.findall(rf'<tr><th scope="row"><a href="#[^"]*">{re.escape(subject)}</a></th>(.*?)</tr>', text)
    return dict(zip(names, re.findall(r'<td class="([\w-]+)">', row), strict=True))


def sections(text: str) -> list[str]:
    return re.findall(r'<section class="page" id="([^"]*)"', text)


def test_a_run_with_findings_in_one_process_and_in_two(consumer, run):
    pytest.importorskip("xdist")
    broken = SECOND.replace("other:", "broken:").replace("assembly:right", "assembly:wright")
    repository = consumer("naive", TWO + ABSENT + broken)
    some = ("-k", "start-spans or contract or absent")
    result = run("--spans-html=r.html", "--spans-findings=f", *some)
    assert result.ret == 1
    text = (repository.path / "r.html").read_text(encoding="utf-8")
    mine, other, absent = (cells(text, name) for name in ("mine", "other", "absent"))
    assert mine["spans.matched"] == "failed"
    assert mine["spans.slots"] == "blocked"
    assert mine["spans.bounds"] == "inapplicable"
    assert set(other.values()) == {"passed", "not-run", "inapplicable"}
    assert set(absent.values()) == {"skipped"}
    assert "no-such-distribution" in text
    assert sections(text)[:2] == ["broken-contract.tokens-does-not-load", "mine-spans.matched-first-id-removed"]
    assert text.count("No conversation is drawn") == 1
    assert "fault at 0, expected <code>&lt;image&gt; (" in text
    assert "&lt;slot&gt; x4" in text
    for line in ("Reproduce", "In Python"):
        printed = next(one for one in result.outlines if one.startswith(f"  {line}"))[14:]
        assert printed.replace("'", "&#39;").replace('"', "&#34;") in text
    assert "image-spans: wrote r.html" in result.outlines
    assert "<dt>Rule</dt><dd>As many closes as opens, per kind; " in text
    assert re.search(r'<td class="msg">0 image opens, 1 close<br><span class="muted">the first id of message 0 ', text)
    assert all(follows(one, schema()) for one in read(repository.path / "f"))
    assert list(repository.path.glob(".r.html*")) == []
    run("--spans-html=two.html", "-n", "2", *some)
    two = (repository.path / "two.html").read_text(encoding="utf-8")
    when = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC")
    assert when.sub("", two) == when.sub("", text)


def test_a_run_without_findings_is_green_and_one_that_only_collects_writes_nothing(consumer, run):
    repository = consumer("right")
    file = repository.path / "r.html"
    file.write_text("<!doctype html>" + GENERATOR)
    assert run("--spans-html=r.html", "--collect-only", "-q").ret == 0
    assert file.read_text() == "<!doctype html>" + GENERATOR  # a report of ours, which the next run replaces
    assert run("--spans-html=r.html", "-k", "start-spans.matched").ret == 0
    text = file.read_text(encoding="utf-8")
    told = cells(text, "mine")
    assert told["spans.matched"] == "passed"
    assert told["contract.tokens"] == "not-run"
    assert sections(text) == ["subject-mine"]


def test_known_failures_and_the_lock_are_told(consumer, run):
    known = """\
      known_failures:
        - {check: spans.matched, reason: "bug 42", fingerprint: spans.matched/first-id-removed,
           example: "Conversation([Message('user', [Image(1, 1), Text('a')])])"}
    """
    yaml = YAML + "\n".join(line[2:] for line in known.splitlines()) + "\n"
    repository = consumer("naive", yaml)
    assert run("--spans-lock=update", "-k", "locked").ret == 0
    file = repository.path / "tokenizers_under_test.yaml"
    file.write_text(file.read_text().replace("[<image>, </image>, <slice>,", "[<slice>, <image>, </image>,"))
    run("--spans-html=r.html", "-k", "locked or start-spans.matched")
    text = (repository.path / "r.html").read_text(encoding="utf-8")
    told = cells(text, "mine")
    assert (told["spans.matched"], told["lock.same"]) == ("known", "failed")
    assert "known failure: bug 42" in text
    assert text.count("mine behaves differently from what is locked") >= 2  # of the subject, and of its finding


def test_a_file_of_somebody_else_is_not_replaced(consumer, refused):
    repository = consumer("right")
    message = refused("--spans-html=assembly.py")
    assert "is there already, and is no report of this option; name another file" in message
    assert "def right" in (repository.path / "assembly.py").read_text()


def test_without_jinja2_the_run_does_not_begin(consumer, refused):
    repository = consumer("right")
    (repository.path / "no_jinja2.py").write_text(
        "import importlib.util\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'jinja2' else find(name, *rest)\n"
    )
    message = refused("-p", "no_jinja2", "--spans-html=r.html")
    assert message == (
        "ERROR: --spans-html needs jinja2, which is not installed: pip install 'pytest-image-spans[html]'"
    )


def test_jinja2_is_loaded_for_it_alone(repository):
    code = "import sys, image_spans.session; print('jinja2' in sys.modules, 'image_spans.html' in sys.modules)"
    result = repository.run(sys.executable, "-c", code)
    assert result.outlines == ["False False"]
