"""The README's example of a scan is run as it stands, and docs/scanning.md names what there is."""

from __future__ import annotations

import re
from functools import partial

import PIL.Image
import pytest

import pages
from image_spans.__main__ import main
from image_spans.scan import formats
from image_spans.scan.causes import REMEDIES
from pages import ROOT

NAIVE = "ids += tokenizer.encode(text)[1:]  # remove bos"
block = partial(pages.block, ROOT / "README.md")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("my_data.py", "tokenizers_under_test.yaml", "train.jsonl"):
        (tmp_path / name).write_text(block(f"file: {name}"), encoding="utf-8")
    PIL.Image.new("RGB", (1000, 800)).save(tmp_path / "cat.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_example_prints_what_it_shows(folder, capfd):
    text = (folder / "my_data.py").read_text(encoding="utf-8")
    assert NAIVE in text
    (folder / "my_data.py").write_text(text.replace(NAIVE, "ids += tokenizer.encode(text, add_special_tokens=False)"))
    assert main(["scan", "train.jsonl", "--subject", "my-model"]) == 1
    assert capfd.readouterr().out == block("scan output")


def test_the_naive_code_is_found_on_the_first_row(folder, capfd):
    assert main(["scan", "train.jsonl", "--subject", "my-model"]) == 1
    out = capfd.readouterr().out
    assert "train.jsonl:1  turn 0  spans.matched/first-id-removed\n" in out


def test_the_page_names_every_cause_and_format():
    page = (ROOT / "docs" / "scanning.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([a-z0-9-]+)` \|", page, re.MULTILINE) == [*formats.names(), *REMEDIES]
