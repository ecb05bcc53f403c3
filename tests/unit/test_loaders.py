"""What is said of subjects that load one file, against real loaders and the page that explains them."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import pytest

from image_spans import config
from image_spans.loaders import differing, observed
from image_spans.report import table

ROOT = Path(__file__).parents[2]
SPECS = {spec.name: spec for spec in config.read(ROOT / "tokenizers_under_test.yaml")}
FIVE = [name for name in SPECS if name.startswith("mistral-v7-")]


def rows(names):
    for name in names:
        if (reason := SPECS[name].missing()) is not None:
            pytest.skip(reason)
    return {name: observed(config.load(SPECS[name])) for name in names}


def test_what_one_file_becomes_in_five_loaders():
    assert len(FIVE) == 5
    found = rows(FIVE)
    assert found["mistral-v7-mistral-common"] | {"the call adds": "nothing"} == found["mistral-v7-sentencepiece"]
    assert found["mistral-v7-bos"] | {"the call adds": "nothing"} == found["mistral-v7-no-bos"]
    assert {"the call adds", "blank in front", "' hello'", "'<s>'", "'x[IMG]y'"} <= set(differing(found))


@pytest.mark.skipif(int(importlib.metadata.version("transformers")[0]) < 5, reason="the page describes transformers 5")
def test_the_page_shows_what_a_run_shows():
    found = rows(FIVE)
    columns = differing(found)
    lines = table(columns, {name: [row[column] for column in columns] for name, row in found.items()})
    page = (ROOT / "docs" / "loaders.md").read_text(encoding="utf-8")
    shown = re.search(r"<!-- table -->\n```text\n(.*?)\n```", page, re.DOTALL)
    assert shown is not None
    assert shown[1].splitlines() == lines
    for column in columns:
        assert f"`{column}`" in page.partition("The ids are")[2], f"{column} is not explained"


def test_only_what_differs_is_a_column():
    same, other = {"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"}
    assert differing({"x": same, "y": same}) == []
    assert differing({"x": same, "y": other}) == ["b", "c"]
    assert differing({}) == []
