"""docs/findings against the libraries: each page shows what its script prints with the versions that it names."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FINDINGS = Path(__file__).parents[2] / "docs" / "findings"
PAGES = sorted(page for page in FINDINGS.glob("*.md") if page.name != "README.md")


def versions(page: str) -> dict[str, str]:
    line = re.search(r"^Versions: (.+)$", page, re.MULTILINE)
    assert line is not None, "a page names the versions"
    return dict(entry.split(" ") for entry in line[1].split(", "))


def other_version(wanted: dict[str, str]) -> str | None:
    """Why a page says nothing about what is installed here."""
    for name, version in wanted.items():
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return f"{name} is not installed"
        if installed != version:
            return f"the page is about {name} {version}, installed is {installed}"
    return None


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_shows_what_its_script_prints(path, tmp_path):
    page = path.read_text(encoding="utf-8")
    if (reason := other_version(versions(page))) is not None:
        pytest.skip(reason)
    shown = re.search(r"```text\n(.*?)```", page, re.DOTALL)
    assert shown is not None
    ran = subprocess.run(
        [sys.executable, path.with_suffix(".py")],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=tmp_path,
        env={**os.environ, "PYTHONUTF8": "1", "HF_HUB_OFFLINE": "1"},
        timeout=120,
    )
    assert ran.stdout == shown[1], ran.stderr
    assert ran.returncode == 0, "the hazard is gone: say so on the page"


def test_each_finding_is_a_page_a_script_and_a_line_of_the_index():
    assert len(PAGES) >= 10
    index = (FINDINGS / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^- \[(\w+)\]\((\w+)\.md\): ", index, re.MULTILINE)
    assert sorted(listed) == [(page.stem, page.stem) for page in PAGES]
    assert sorted(FINDINGS.glob("*.py")) == [page.with_suffix(".py") for page in PAGES]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_script_runs_without_this_project(path):
    script = path.with_suffix(".py").read_text(encoding="utf-8")
    assert "image_spans" not in script
    assert len(script.splitlines()) <= 30


def test_a_page_about_other_versions_is_left_out():
    assert other_version({"pytest": importlib.metadata.version("pytest")}) is None
    assert other_version({"pytest": "0.0.1"}) == f"the page is about pytest 0.0.1, installed is {pytest.__version__}"
    assert other_version({"no-such-package-at-all": "1"}) == "no-such-package-at-all is not installed"
    assert versions("# x\n\nVersions: transformers 5.23.0, mistral-common 1.13.1\n") == {
        "transformers": "5.23.0",
        "mistral-common": "1.13.1",
    }
