"""The HTML report: what is escaped, what links where, what each status looks like, and that it stays small enough."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markupsafe import Markup

import html_runs
from html_runs import BIDI, SCRIPT, a_matrix, a_run, drawn, found
from image_spans import html
from image_spans.errors import ConfigError
from image_spans.exhibit import Picture, layout_in_words, nested
from image_spans.exhibit.strip import DEEPEST, Group, Segment, Span, Strip
from image_spans.html import statuses
from image_spans.html.drawing import HIGHEST, SMALLEST, WIDEST, drawings
from image_spans.html.matrix import Cell
from image_spans.html.pages import Slugs, pages
from image_spans.html.run import overview
from image_spans.html.visible import token, unmarked, visible, visible_lines
from image_spans.ledger import refuse_to_replace

VOID = {"meta", "link", "input", "br", "rect", "path"}


class Parsed(HTMLParser):
    """A document as a browser reads it: elements with their attributes, and that all of them are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def text() -> str:
    return a_run()


@pytest.fixture(scope="module")
def parsed(text) -> Parsed:
    return Parsed(text)


# ---------------------------------------------------------------- hostile text


def test_nothing_of_somebody_else_is_markup(parsed):
    tags = Counter(tag for tag, _ in parsed.elements)
    assert tags["script"] == 1
    assert tags["img"] == tags["iframe"] == tags["object"] == 0
    for tag, attributes in parsed.elements:
        assert not any(name.startswith("on") or name == "style" for name in attributes), (tag, attributes)
        assert not (attributes.get("href") or "").startswith("javascript:")


def test_the_text_is_there_as_text(text):
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert SCRIPT not in text
    assert "<img" not in text


def test_what_does_not_show_is_an_escape(text):
    assert not set(BIDI) - set("abc") & set(text)
    assert '<span class="esc">\\u202e</span>abc<span class="esc">\\u2066</span>' in text


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("a <b>", "a &lt;b&gt;"),
        ("\u00e4\u4e2d", "\u00e4\u4e2d"),
        ("\n\x00", "[\\n][\\x00]"),
        ("\u202e", "[\\u202e]"),
        ("\u200d\u00ad\ufeff", "[\\u200d][\\xad][\\ufeff]"),
        ("\u00a0\u3000", "[\\xa0][\\u3000]"),
        ("\u3164\u2800\ufe0f", "[\\u3164][\\u2800][\\ufe0f]"),
        ("\U000e0041\U0001f600", "[\\U000e0041]\U0001f600"),
        ("\ud800", "[\\ud800]"),
        ("e\u0301", "e\u0301"),
    ],
)
def test_visible(given, shown):
    marked = visible(given)
    assert isinstance(marked, Markup)
    assert marked.replace('<span class="esc">', "[").replace("</span>", "]") == shown
    assert unmarked(given) == Markup(shown.replace("[", "").replace("]", "")).unescape()


def test_lines_stay_lines_and_blanks_of_tokens_show():
    assert visible_lines("a\n<\x01") == 'a\n&lt;<span class="esc">\\x01</span>'
    assert token("a b") == "a\u2423b"


def test_the_policy_allows_the_style_and_script_that_are_there(text):
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    directives = dict(part.strip().split(" ", 1) for part in Markup(policy[1]).unescape().split(";"))
    assert directives["default-src"] == "'none'"
    assert set(directives) == {"default-src", "style-src", "script-src", "img-src", "base-uri", "form-action"}
    for tag in ("style", "script"):
        (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert directives[f"{tag}-src"] == f"'sha256-{digest}'"


def test_nothing_is_loaded(parsed):
    for tag, attributes in parsed.elements:
        for name in ("src", "href", "srcset", "action", "data"):
            value = attributes.get(name) or ""
            assert value == "" or value.startswith("#") or value == "data:,", (tag, name, value)


# ---------------------------------------------------------------- structure


def test_every_link_has_its_target_and_no_id_stands_twice(parsed):
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {attributes["href"][1:] for tag, attributes in parsed.elements if tag == "a"}
    assert links <= set(ids)
    labels = {attributes["aria-labelledby"] for _, attributes in parsed.elements if "aria-labelledby" in attributes}
    assert labels <= set(ids)


@pytest.mark.parametrize("status", statuses.WORST_FIRST)
def test_every_status_has_a_word_and_a_sign(text, status):
    assert f'<td class="{status}">' in text
    assert f"{statuses.GLYPHS[status]}</span>" in text
    assert f'<span class="v">{statuses.WORDS[status]}</span>' in text
    assert len(set(statuses.GLYPHS.values())) == len(statuses.WORST_FIRST)


@pytest.mark.parametrize(
    ("counts", "status", "number", "told"),
    [
        ({"passed": 7}, "passed", "7", "7 passed"),
        ({"passed": 4, "failed": 3}, "failed", "3/7", "3 failed, 4 passed"),
        ({"passed": 1, "not-run": 6}, "passed", "1/7", "1 passed, 6 not run"),
        ({"inapplicable": 1}, "inapplicable", "", "not applicable"),
    ],
)
def test_a_cell_is_the_worst_of_its_tests(counts, status, number, told):
    cell = Cell("a.b", Counter(counts))
    assert (cell.status, cell.number, cell.told) == (status, number, told)


def test_addresses_are_safe_and_no_two_are_equal():
    slugs = Slugs({"overview"})
    assert slugs("a/b", "<c>") == "a-b-c"
    assert slugs("A.b", "c") == "A.b-c"
    assert slugs("a b c") == "a-b-c-2"
    assert slugs("overview") == "overview-2"
    assert slugs("\u202e") == "x"
    assert len(slugs("y" * 500)) == 120


def test_cells_link_to_their_findings_or_to_what_blocks_them():
    table = a_matrix(1)
    (row,) = table.rows
    failed, blocked = row.cells[0], row.cells[1]
    failed.counts, blocked.counts = Counter({"failed": 1}), Counter({"blocked": 1})
    blocked.reasons = (f"blocked: blocked by {failed.check} of x",)
    known = {"status": "known", "reason": "r"}
    made = pages(
        table.rows, [(row, found(row, failed.check, "b", **known), None), (row, found(row, failed.check, "a"), None)]
    )
    assert [(page.found["cause"]["name"], page.status) for page in made] == [("a", "failed"), ("b", "known")]
    assert [slug for slug, _ in failed.links] == [page.slug for page in made]
    assert blocked.links == failed.links
    assert row.causes == ["a", "b"]
    assert row.cells[2].links == []


def test_a_finding_says_all_that_is_known_of_it():
    table = a_matrix(1)
    (row,) = table.rows
    row.lock = ("behaves differently", "  * a <token>")
    changed = found(row, "spans.matched", "x", status="changed", before="spans.matched/y")
    told = overview(table, [(row, changed, drawn(17))], [], "now")
    for part in (
        *("0 image opens, 1 close", "was removed as if it were BOS", "it was <code>spans.matched/y</code> before"),
        *("fault at 17, expected <code>&lt;/slice&gt; (4)</code>", "slice, not closed", "1000x800"),
        *("overview of 4 + 2x2 tiles of 4 = 20 placeholders", "a &lt;token&gt;", "hypothesis unknown", "toy 1"),
        *(f"verify(load_subject(&#39;{row.name}&#39;)", "--spans-conversation &#34;Conversation("),
    ):
        assert part in told, part
    known = found(row, "spans.matched", "x", status="known", reason="bug <42>")
    assert "known failure: bug &lt;42&gt;" in overview(table, [(row, known, None)], [], "now")


def test_a_green_run():
    table = a_matrix(2)
    for row in table.rows:
        row.cells = [Cell(cell.check, Counter({"passed": 7})) for cell in row.cells]
    told = overview(table, [], [], "now")
    assert "2 subjects, 22 checks, 0 findings" in told
    assert 'id="findings"' not in told
    assert Counter(re.findall(r'<td class="([\w-]+)">', told)) == {"passed": 44}


def test_two_hundred_subjects_stay_small():
    made = a_run(200, 300)
    assert len(made.encode()) < 4_000_000
    assert made.count('<section class="page"') == 500


def test_the_page_of_one_conversation_is_as_safe():
    told = html_runs.a_conversation()
    assert Counter(tag for tag, _ in Parsed(told).elements)["script"] == 1
    assert "<img" not in told
    assert "&lt;script&gt;" in told


# ---------------------------------------------------------------- drawings and nesting


def test_images_are_to_scale():
    large, small = drawings([Picture(1000, 800, 20, (1, 4), (2, 2), (1, 4)), Picture(1, 1, 4, (1, 4))])
    assert large.width / large.height == pytest.approx(1.25, rel=0.01)
    assert large.width <= WIDEST
    assert large.height <= HIGHEST
    assert len(large.lines) == 3  # one between the rows, one in each
    assert (small.width, small.height, small.to_scale) == (SMALLEST, SMALLEST, False)
    assert large.to_scale
    assert drawings([]) == []


def test_too_many_tiles_are_told_and_not_drawn():
    (one,) = drawings([Picture(100, 100, 1000, None, (1,) * 1000, (1, 1))])
    assert one.lines == ()
    assert one.told == "1000x1 tiles of 1 = 1000 placeholders"


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (Picture(1, 1), "number of placeholders unknown"),
        (Picture(1, 1, 1, (1, 1)), "1 placeholder"),
        (Picture(1, 1, 64, (1, 64)), "64 placeholders"),
        (Picture(1, 1, 6, (2, 3)), "2x3 = 6 placeholders"),
        (Picture(1, 1, 8, (1, 4), (1,), (1, 4)), "overview of 4 + 1x1 tile of 4 = 8 placeholders"),
        (Picture(1, 1, 9, None, (1, 2)), "3 tiles in 2 rows = 9 placeholders"),
    ],
)
def test_a_layout_in_words(picture, words):
    assert layout_in_words(picture) == words


def shape(nodes) -> list:
    return [[one.span.kind, *shape(one.nodes)] if isinstance(one, Group) else one.at for one in nodes]


def test_what_lies_in_a_span_is_in_its_group():
    strip = html_runs.drawn(17).strip
    assert strip is not None
    assert shape(nested(strip))[:5] == [0, ["image", 1, 2, 6], ["slice", 7, 8, 12], ["slice", 13, 14], 17]


def test_a_span_whose_open_is_left_out_begins_where_it_shows():
    segments = (Segment(0, None, 5, "", "", "omitted"), Segment(5, 1, 1, "a", "a", "text"))
    strip = Strip(6, segments, (Span("image", 2, 6), Span("slice", 3, 6, 1)))
    assert shape(nested(strip)) == [0, ["image", ["slice", 5]]]


def test_spans_that_lie_too_deep_are_not_drawn():
    spans = tuple(Span("image", 0, 2, depth) for depth in range(1000))
    drawn_ = nested(Strip(2, (Segment(0, 1, 2, "a", "a", "text"),), spans))
    assert str(shape(drawn_)).count("image") == DEEPEST


# ---------------------------------------------------------------- the file


def test_only_a_report_is_replaced(tmp_path):
    path = tmp_path / "x.html"
    refuse_to_replace("--html", path, html.GENERATOR)
    path.write_text("")
    refuse_to_replace("--html", path, html.GENERATOR)
    path.write_text(a_run(1, 1), encoding="utf-8")
    refuse_to_replace("--html", path, html.GENERATOR)
    path.write_text("version: 1\n")
    with pytest.raises(ConfigError, match=r"--html .*x\.html: is there already, and is no report of this option"):
        refuse_to_replace("--html", path, html.GENERATOR)


def test_the_templates_are_in_the_package():
    folder = Path(html.__file__).with_name("templates")
    assert {path.name for path in folder.iterdir()} >= {"run.html", "conversation.html", "style.css", "script.js"}
