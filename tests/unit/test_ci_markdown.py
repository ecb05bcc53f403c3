"""The summary in Markdown and the annotations: what others wrote shows as text, and nothing is longer than allowed."""

from __future__ import annotations

import html
import re

import pytest
from markdown_it import MarkdownIt

from image_spans.ci import summary
from image_spans.ci.annotations import errors
from image_spans.ci.github import GitHub
from image_spans.ci.markdown import block, cell, code, visible

HOSTILE = [
    "plain",
    "`",
    "``` a",
    "a ```` b",
    "`` both ``",
    " blank ",
    "   ",
    "<img src=x onerror=alert(1)>",
    "</code></pre><script>alert(1)</script>",
    "</details>",
    "<!-- x -->",
    "[a](javascript:x) ![b](http://c) http://d.example www.e.example",
    "@octocat :bug: #1 a@b.example",
    "# a\n## b\r\n- c\n\n---\n~~~\n```",
    "| a | b |",
    "\\ \\| \\`",
    "&lt; &amp;",
    "\x1b[31m red \x00 \x7f \u202e \ud800 \u00e9 \U0001f600",
    "::error::x %0A",
]


def rendered(text: str) -> str:
    """Markdown as HTML, with tables and raw HTML as GitHub has them."""
    return MarkdownIt("commonmark").enable("table").render(text)


def texts(page: str, tag: str) -> list[str]:
    return [html.unescape(one) for one in re.findall(rf"<{tag}(?: [^>]*)?>(.*?)</{tag}>", page, re.DOTALL)]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_hostile_text_is_shown_as_it_is(text):
    shown = visible(text)
    assert shown.isascii()
    assert shown.isprintable()
    page = rendered(f"before {code(text)} behind")
    assert texts(page, "code") == [shown]
    assert page.startswith("<p>before <code>")
    assert page.endswith("</code> behind</p>\n")
    page = rendered(f"| head | other |\n|---|---|\n| {cell(text)} | x |\n")
    assert texts(page, "td") == [f"<code>{shown}</code>", "x"]
    page = rendered(block([text, f"{text} ```", text], "sh") + "\n\nbehind")
    assert texts(page, "code") == [f"{shown}\n{shown} ```\n{shown}\n"]
    assert page.endswith("</code></pre>\n<p>behind</p>\n")


def test_no_text_is_no_code():
    assert code("") == ""


def finding(text="x", status="new", number=0):
    return {
        "check": "spans.matched",
        "cause": {"name": f"cause-{number}", "sentence": text},
        "fingerprint": f"spans.matched/cause-{number}",
        "message": text,
        "status": status,
        "reason": text if status == "known" else None,
        "before": "spans.matched/other" if status == "changed" else None,
        "conversation": "Conversation([Message('user', [Text('```<b>'), Image(1, 1)])])",
        "ids": [text, "^ here"],
        "reproduce": {"pytest": f"pytest {text}", "python": f"verify({text!r})"},
    }


def given(findings, **changes):
    told = {"failed": True, "subjects": 1, "groups": ["spans"], "rows": {"mine": ["FAIL 1"]}, "notes": []}
    return summary.Told(**{**told, **changes}, findings=[("mine", one) for one in findings])


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_a_summary_of_hostile_findings_has_only_tags_of_ours(text):
    told = given(
        [finding(text), finding(text, "changed", 1), finding(text, "known", 2)],
        rows={text: ["FAIL 1"]},
        notes=[text],
    )
    written = summary.markdown(told)
    page = rendered(written)
    tags = set(re.findall(r"<(/?\w+)", page.replace(summary.MARK, "")))
    ours = {"h3", "h4", "p", "ul", "li", "pre", "code", "strong", "table", "thead", "tbody", "tr", "th", "td"}
    assert tags - {"details", "/details", "summary", "/summary"} <= ours | {f"/{one}" for one in ours}
    assert page.count("<details>") == page.count("</details>") == 1
    assert page.count(f"<code>{html.escape(visible(text))}</code>") >= 3  # the table, the note, the reason
    blocks = texts(page, "pre")
    assert len(blocks) == 6
    assert visible(text) in blocks[0]  # the strip
    assert '"```<b>"' in blocks[0]  # the conversation


def test_what_is_new_stands_in_full_and_what_is_known_is_folded():
    text = summary.markdown(given([finding(status="known", number=1), finding(), finding(status="changed", number=2)]))
    assert text.startswith(
        f"{summary.MARK}\n### image-spans failed: 1 subject, 2 new findings, 1 known failure\n\n"
        "| subject | spans |\n|---|---|\n| `mine` | **FAIL 1** |\n\n#### `mine` `spans.matched/cause-0`\n\n````text\n"
    )
    assert text.index("cause-2") < text.index("<details>") < text.index("cause-1")
    assert "Before    spans.matched/other\n" in text
    assert text.endswith("- `mine` `spans.matched/cause-1`: `x`\n\n</details>\n")
    quiet = summary.markdown(given([], failed=False, rows={}, subjects=2))
    assert quiet == f"{summary.MARK}\n### image-spans passed: 2 subjects, no new finding\n"


def test_a_finding_without_conversation_and_without_ids_is_told():
    text = summary.markdown(given([finding() | {"conversation": None, "ids": None}]))
    assert "Smallest" not in text
    assert "Ids " not in text


@pytest.mark.parametrize("limit", [2_000, 5_000, 20_000])
def test_what_has_no_room_is_counted(limit):
    findings = [finding("\u00e9" * 40, number=number) for number in range(50)]
    known = [finding("k" * 200, "known", number) for number in range(100, 150)]
    text = summary.markdown(given(findings + known), limit)
    assert len(text.encode()) <= limit
    shown = text.count("#### ")
    assert shown > 0
    if shown < 50:
        assert f"\n{50 - shown} new findings more: too long for this page; --spans-findings writes all.\n" in text
        assert "#### `mine` `spans.matched/cause-0`" in text
        assert f"cause-{shown}`" not in text
    folded = text.count("- `mine`")
    assert text.count("<details>") == text.count("</details>") == (folded > 0)
    if folded:
        assert f"- {50 - folded} more: too long for this page" in text
    assert "50 known failures" in text


def test_a_table_that_has_no_room_is_named():
    told = given([finding()], rows={f"subject-{number}": ["ok 1"] for number in range(1000)}, subjects=1000)
    text = summary.markdown(told, 4_000)
    assert len(text.encode()) <= 4_000
    assert "The table is too long for this page.\n" in text
    assert "#### `mine` `spans.matched/cause-0`" in text


def test_a_summary_is_added_to_what_others_wrote(tmp_path):
    file = tmp_path / "summary.md"
    whole = summary.markdown(given([]))
    assert summary.append(file, given([])) is None
    assert file.read_text() == whole
    for before, between in (("others", "\n\n"), ("others\n", "\n")):
        file.write_text(before)
        assert summary.append(file, given([])) is None
        assert file.read_text() == before + between + whole
    file.write_text("x" * 3_000)
    assert summary.append(file, given([finding()]), 3_050) == (
        "the job summary is full: 3000 of 3050 bytes are written by others"
    )
    assert file.read_text() == "x" * 3_000
    assert summary.append(file, given([finding("y" * 3_000)]), 5_000) is None
    assert len(file.read_bytes()) <= 5_000
    assert "1 new finding more" in file.read_text()


# ---------------------------------------------------------------- annotations


def read(command: str) -> tuple[dict[str, str], str]:
    """What GitHub's runner reads from a line: properties and message."""
    match = re.fullmatch(r"::error (.*?)::(.*)", command)
    assert match

    def plain(text):
        for escape, character in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
            text = text.replace(escape, character)
        return text

    pairs = (one.split("=", 1) for one in match[1].split(","))
    return {key: plain(value) for key, value in pairs}, plain(match[2])


@pytest.mark.parametrize("text", [*HOSTILE, "a,b:c%3A%0A::warning::", "100 %"], ids=ascii)
def test_a_command_is_one_line_that_reads_back(text):
    (command,) = errors([("a,b/x:y.yaml", 3, "mine, yours: 5 %", finding(text))])
    assert command.isprintable()
    properties, said = read(command)
    title = "mine, yours: 5 %: spans.matched/cause-0"
    assert properties == {"file": "a,b/x:y.yaml", "line": "3", "title": title}
    first, *_, last = said.split("\n")
    assert first == visible(text.split("\n")[0]) or not text.isascii()
    assert last.startswith("Reproduce: ") or "\n" in text
    assert said.count("\n") == 2 + 3 * text.count("\n")


def test_more_than_github_shows_are_counted_in_the_last_one():
    found = [("f.yaml", number, "mine", finding(number=number)) for number in range(1, 13)]
    commands = list(errors(found))
    assert len(commands) == 10
    assert read(commands[8])[0]["line"] == "9"
    properties, said = read(commands[9])
    assert properties == {"file": "f.yaml", "line": "10", "title": "image-spans"}
    assert said == "3 more new findings; the job summary and the log have them"
    assert len(list(errors(found[:10]))) == 10
    assert "more new findings" not in "".join(errors(found[:10]))
    assert list(errors([])) == []


def test_what_the_environment_tells(tmp_path):
    assert GitHub.of({}) == GitHub()
    assert GitHub.of({"GITHUB_ACTIONS": "false", "GITHUB_STEP_SUMMARY": "", "GITHUB_WORKSPACE": ""}) == GitHub()
    found = GitHub.of({"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": "s", "GITHUB_WORKSPACE": str(tmp_path)})
    assert found.annotates
    assert found.summary is not None
    file = tmp_path / "sub" / "x.yaml"
    assert found.shown(file, tmp_path / "sub") == "sub/x.yaml"
    assert GitHub().shown(file, tmp_path / "sub") == "x.yaml"
    assert GitHub().shown(file, tmp_path / "other") == str(file)
