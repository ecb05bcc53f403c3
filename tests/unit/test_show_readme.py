"""The README's example of show is run as it stands, and docs/reading-a-report.md names what there is."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from image_spans.__main__ import main
from image_spans.html.statuses import GLYPHS, WORDS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "reading-a-report.md").read_text(encoding="utf-8")


def block(text: str, marker: str) -> str:
    match = re.search(rf"<!-- {re.escape(marker)} -->\n```\w+\n(.*?)```", text, re.DOTALL)
    assert match, f"there is no block {marker!r}"
    return match[1]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("my_data.py", "tokenizers_under_test.yaml"):
        (tmp_path / name).write_text(block(README, f"file: {name}"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for name in ("FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_the_example_prints_what_it_shows(folder, capfd):
    command = re.search(r"`python -m image_spans (show my-model .*?)`", README)
    assert command
    assert main(shlex.split(command[1])) == 1
    assert capfd.readouterr().out == block(README, "show output")


def test_the_repaired_code_prints_what_the_page_shows(folder, capfd):
    code = (folder / "my_data.py").read_text(encoding="utf-8")
    assert "tokenizer.encode(text)[1:]  # remove bos" in code
    code = code.replace("encode(text)[1:]  # remove bos", "encode(text, add_special_tokens=False)")
    (folder / "my_data.py").write_text(code, encoding="utf-8")
    (folder / "my_data.py").rename(folder / "repaired.py")
    yaml = folder / "tokenizers_under_test.yaml"
    yaml.write_text(yaml.read_text().replace("my_data:", "repaired:"))
    assert main(["show", "my-model", "user: <image 449x449> What is this?"]) == 0
    assert capfd.readouterr().out == block(PAGE, "show output")


def test_the_page_names_every_status():
    for status, word in WORDS.items():
        assert f"| {GLYPHS[status]} | {word} |" in PAGE
