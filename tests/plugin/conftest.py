"""A repository of somebody else, made in a temporary folder."""

from __future__ import annotations

import pytest
from consumer_repository import ASSEMBLY, ROOT, SMALL_PROFILE, YAML


@pytest.fixture
def consumer(pytester, monkeypatch):
    """Makes a repository whose subject runs the named pipeline; returns the pytester."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))

    def make(pipeline: str = "right", yaml: str = YAML):
        files = {
            "tokenizers_under_test.yaml": yaml.replace("PIPELINE", pipeline),
            "assembly.py": ASSEMBLY,
            "conftest.py": SMALL_PROFILE,
        }
        for name, text in files.items():
            pytester.path.joinpath(name).write_text(text, encoding="utf-8")
        return pytester

    return make


@pytest.fixture
def run(pytester):
    """Runs pytest in the repository, with the plugin as if it were installed."""

    def call(*arguments: str):
        return pytester.runpytest_subprocess("-p", "image_spans.plugin", *arguments)

    return call
