"""Somebody new follows docs/start.md in an empty folder, with nothing but Python and pip.

Not collected by its name, as empty_environment.py: ``.ci/run`` names both.
"""

from __future__ import annotations

import sys

import pytest
from environments import Terminal, build

from pages import ROOT, steps

START = ROOT / "docs" / "start.md"


@pytest.mark.skipif(sys.platform == "win32", reason="the page is typed in a shell")
def test_the_start_page_can_be_followed(tmp_path):
    """With the wheel alone: not even a development tool of the project is there."""
    folder = tmp_path / "new"
    folder.mkdir()
    wheels = tmp_path / "wheels"
    build(wheels, "--wheel")
    terminal = Terminal(folder, wheels, PYTEST_ADDOPTS="--hypothesis-seed=0")
    typed = [step.command for step in steps(START, folder, terminal, install=True) if step.ran is not None]
    assert typed[1].startswith("pip install ")
    assert typed[-1] == "pytest"
    assert "<!doctype html>" in (folder / "report.html").read_text(encoding="utf-8").lower()
    print(f"{sum(terminal.seconds):.0f} s, {terminal.seconds[1]:.0f} of them for pip")
