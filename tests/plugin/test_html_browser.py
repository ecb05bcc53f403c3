"""The HTML report in a browser: layout, filters, keys, copying, no error on the console, and what axe-core finds.

Skipped where there is no Chromium; with IMAGE_SPANS_REQUIRE_BROWSER=1 that is a failure. Screenshots go to the folder
IMAGE_SPANS_SCREENSHOTS, or to the temporary folder of the test.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

import html_runs

REQUIRED = os.environ.get("IMAGE_SPANS_REQUIRE_BROWSER") == "1"
WIDTHS = (1280, 400)
THEMES = ("light", "dark")


def unavailable(why: str) -> None:
    if REQUIRED:
        pytest.fail(f"IMAGE_SPANS_REQUIRE_BROWSER=1, but {why}")
    pytest.skip(why)


@pytest.fixture(scope="module")
def chromium():
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    program = next((found for found in map(shutil.which, names) if found), None)
    if program is None:
        unavailable(f"there is no Chromium ({', '.join(names)})")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        unavailable("playwright is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("html")
    for name, size in (("run", (12, 20)), ("large", (200, 300))):
        (made / f"{name}.html").write_text(html_runs.a_run(*size), encoding="utf-8")
    (made / "conversation.html").write_text(html_runs.a_conversation(), encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def screenshots(folder):
    given = os.environ.get("IMAGE_SPANS_SCREENSHOTS")
    path = Path(given) if given else folder
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture
def opened(chromium, folder):
    """Opens a report; at the end nothing may have been said on the console, and no dialog have come up."""
    contexts, said = [], []

    def call(name: str = "run", *, width: int = 1280, theme: str = "light", page: str = ""):
        context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
        contexts.append(context)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        tab = context.new_page()
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
        tab.goto((folder / f"{name}.html").as_uri() + (f"#{page}" if page else ""))
        return tab

    yield call
    for context in contexts:
        context.close()
    assert said == []


def pages(tab) -> list[str]:
    """The addresses of the findings: one with slices, one with hostile tokens, one whose ids end too early, ..."""
    return tab.eval_on_selector_all("[data-findings] a", "all => all.map(one => one.hash.slice(1))")


def shown(tab, selector: str) -> int:
    return tab.eval_on_selector_all(selector, "all => all.filter(one => one.getClientRects().length).length")


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_and_axe_finds_nothing(opened, screenshots, width, theme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    tab = opened(width=width, theme=theme)
    findings = pages(tab)
    wanted = {"matrix": "overview", "finding": findings[0], "hostile": findings[5]}
    wanted["subject"] = "subject-family-0-model-003"
    for name, page in wanted.items():
        tab.evaluate(f"location.hash = {page!r}")
        # Wider than the window is also what one can only scroll to, so the layout is asked and not the scroll bar.
        widest = tab.evaluate(
            "Math.max(...[...document.body.children].map(one => one.getBoundingClientRect().right),"
            " document.documentElement.scrollWidth, document.body.scrollWidth)"
        )
        assert widest <= width
        tab.screenshot(path=screenshots / f"{name}-{theme}-{width}.png", full_page=True)
        found = axe.run(tab).response["violations"]
        grave = [one for one in found if one["impact"] in ("serious", "critical")]
        assert [(one["id"], [node["html"] for node in one["nodes"][:3]]) for one in grave] == []


def test_the_page_of_one_conversation(opened, screenshots):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    tab = opened("conversation", width=400)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400
    tab.screenshot(path=screenshots / "conversation-light-400.png", full_page=True)
    assert [one["id"] for one in axe.run(tab).response["violations"] if one["impact"] in ("serious", "critical")] == []
    tab.get_by_role("button", name="Copy conversation").click()
    assert tab.evaluate("navigator.clipboard.readText()") == "Conversation([Message('user', [Image(1, 1)])])"


def test_the_theme_can_be_chosen(opened):
    tab = opened(theme="light")
    background = "getComputedStyle(document.body).backgroundColor"
    light = tab.evaluate(background)
    button = tab.get_by_role("button", name="Theme: auto")
    button.click()
    assert tab.evaluate(background) == light
    tab.get_by_role("button", name="Theme: light").click()
    dark = tab.evaluate(background)
    assert dark != light
    tab.reload()
    assert tab.evaluate(background) == dark
    tab.get_by_role("button", name="Theme: dark").click()
    assert tab.evaluate(background) == light


def test_filters(opened):
    tab = opened("large")
    rows, findings = "[data-matrix] tbody tr", "[data-findings] tbody tr"
    assert (shown(tab, rows), shown(tab, findings)) == (200, 300)
    tab.keyboard.press("/")
    tab.keyboard.type("Model-01")
    assert shown(tab, rows) == 10
    assert tab.inner_text("[data-told]").startswith("10 of 200 subjects, ")
    tab.get_by_role("button", name="Reset").click()
    assert (shown(tab, rows), shown(tab, findings)) == (200, 300)
    tab.select_option("select[name=check]", "spans.matched")
    assert shown(tab, f"{rows}:first-child td") == 1
    assert shown(tab, "[data-matrix] thead th") == 3  # subject, spans, matched
    tab.select_option("select[name=status]", "failed")
    assert 0 < shown(tab, rows) < 200
    assert shown(tab, rows) == shown(tab, f"{rows} td.failed")
    tab.select_option("select[name=status]", "")
    tab.select_option("select[name=check]", "")
    tab.select_option("select[name=cause]", "row-break-lost")
    assert 0 < shown(tab, findings) < 300
    causes = tab.eval_on_selector_all(f"{findings}:not([hidden]) a", "all => all.map(one => one.textContent)")
    assert set(causes) == {"row-break-lost"}
    tab.select_option("select[name=check]", "literals.policy")
    assert shown(tab, "[data-matrix] thead th") == 2
    tab.fill("input[name=text]", "nothing is called so")
    assert (shown(tab, rows), shown(tab, findings)) == (0, 0)


def test_the_header_stays_in_sight(opened):
    tab = opened("large")
    tab.evaluate("document.querySelector('.scroll').scrollTo(300, 3000)")
    top, left = tab.evaluate(
        "(() => { const box = document.querySelector('.scroll').getBoundingClientRect();"
        " const head = document.querySelector('.corner').getBoundingClientRect();"
        " return [head.top - box.top, head.left - box.left] })()"
    )
    assert 0 <= top <= 2
    assert 0 <= left <= 2


def test_keys(opened):
    tab = opened()
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "Skip to content"
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.id") == "main"
    tab.focus("[data-matrix] tbody tr:first-child a")
    for key, expected in (("ArrowDown", [1, 0]), ("ArrowUp", [0, 0]), ("ArrowUp", [0, 0]), ("ArrowRight", [0, 1])):
        tab.keyboard.press(key)
        where = "(() => { const cell = document.activeElement.closest('th, td');"
        where += " return [cell.parentElement.rowIndex - 2, cell.cellIndex] })()"
        assert tab.evaluate(where) == expected, key
    outline = tab.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.className") == "page"
    assert shown(tab, "#overview") == 0
    assert tab.title().startswith("family-0-model-000 - image-spans: ")


def test_the_strip_by_keys_and_by_mouse(opened):
    tab = opened()
    tab.goto(tab.url + "#" + pages(tab)[0])
    strip = tab.locator(".page:target [data-strip]")
    detail = tab.locator(".page:target [data-detail]")
    strip.locator(".t").nth(2).hover()
    assert detail.inner_text() == "positions 2 to 5: id 7, <pad> x4, placeholder"
    strip.locator("[tabindex='0']").focus()
    assert detail.inner_text() == "position 17: id 1087, W, text"  # the faulty one is where Tab goes
    tab.keyboard.press("ArrowLeft")
    assert detail.inner_text() == "positions 14 to 16: id 7, <pad> x3, placeholder"
    tab.keyboard.press("Home")
    tab.keyboard.press("ArrowLeft")
    assert detail.inner_text() == "position 0: id 0, <s>, bos"
    tab.keyboard.press("End")
    assert detail.inner_text().endswith("</s>, eos")
    assert strip.locator("[tabindex='0']").count() == 1


def test_hostile_tokens_stay_text(opened):
    tab = opened()
    tab.goto(tab.url + "#" + pages(tab)[5])
    names = tab.locator(".page:target .t .n").all_inner_texts()
    assert html_runs.SCRIPT in names
    assert html_runs.IMG.replace(" ", "\u2423") in names
    assert "\\u202eabc\\u2066\\u200b\\ufeff\\xad" in names
    assert html_runs.IMG in tab.inner_text(".page:target .chat")
    assert tab.locator("img, script").count() == 1
    tab.locator(".page:target .t").last.focus()


@pytest.mark.parametrize("works", [True, False], ids=["clipboard", "no clipboard"])
def test_copying(opened, works):
    tab = opened()
    tab.goto(tab.url + "#" + pages(tab)[0])
    if not works:  # a page that was not loaded securely
        tab.evaluate("Object.defineProperty(navigator.clipboard, 'writeText', {value: () => Promise.reject()})")
    code = tab.locator(".page:target code")
    for label, begins in (
        ("command", 'pytest "tokenizers'),
        ("Python", "from image_spans import *; verify(load_subject("),
    ):
        tab.get_by_role("button", name=f"Copy {label}").click()
        copied = tab.evaluate("navigator.clipboard.readText()")
        assert copied.startswith(begins)
        assert copied in code.all_inner_texts()
        assert tab.get_by_role("button", name=f"Copied {label}").count() == 1


def test_printing_shows_the_table_whole(opened):
    tab = opened("large")
    tab.emulate_media(media="print")
    assert shown(tab, "[data-filters]") == shown(tab, ".skip") == 0
    box = "(() => { const box = document.querySelector('.scroll'); return box.scrollHeight - box.clientHeight })()"
    assert tab.evaluate(box) <= 2


def test_two_hundred_subjects_load_quickly(opened, folder):
    began = time.perf_counter()
    tab = opened("large")
    took = time.perf_counter() - began
    ready = tab.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    size = (folder / "large.html").stat().st_size
    print(f"{size:,} bytes, ready after {ready:.0f} ms, {took:.2f} s with a new tab")
    assert ready < 15_000  # a second or so, where nothing else runs
