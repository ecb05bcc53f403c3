"""What a tag must agree with before it is published."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = '[project]\nname = "x"\nversion = "1.2.3"\n'
CHANGELOG = """\
# Changelog

Newest first.

## 1.2.3 (2026-11-30)

- One thing.
  ## in a line is no headline

## 1.2.2 (2026-01-01)

- Another.
"""


@pytest.fixture
def release_notes(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "site"))
    return importlib.import_module("release_notes")


def test_the_section_of_the_tag(release_notes):
    text = release_notes.notes("v1.2.3", PROJECT, CHANGELOG)
    assert text == "- One thing.\n  ## in a line is no headline\n"


@pytest.mark.parametrize(
    ("tag", "changelog", "told"),
    [
        ("v1.2.4", CHANGELOG, "the tag is 'v1.2.4', but pyproject.toml says 1.2.3, so v1.2.3 was expected"),
        ("1.2.3", CHANGELOG, "the tag is '1.2.3', but"),
        ("v1.2.3", CHANGELOG.replace("1.2.3", "1.2.33"), "CHANGELOG.md has no section ## 1.2.3"),
        ("v1.2.3", CHANGELOG.replace("2026-11-30", "unreleased"), "has '## 1.2.3 (unreleased)', expected '## 1.2.3 (Y"),
    ],
)
def test_what_is_no_release_yet(release_notes, tag, changelog, told):
    with pytest.raises(ValueError, match=re.escape(told)):
        release_notes.notes(tag, PROJECT, changelog)


def test_the_command_ends_with_one_line(release_notes, capsys):
    assert release_notes.main() == 1
    assert capsys.readouterr().err == "expected one tag, such as v1.2.3, found 0\n"
    assert release_notes.main("v0") == 1
    assert re.fullmatch(r"the tag is 'v0', .+ was expected\n", capsys.readouterr().err)
