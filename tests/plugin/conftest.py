"""A repository of somebody else, made in a temporary folder."""

from __future__ import annotations

import pytest
from consumer_repository import ASSEMBLY, ROOT, SMALL_PROFILE, YAML


@pytest.fixture
def repository(pytester, monkeypatch):
    """An empty repository in which the plugin can be imported; returns the pytester."""
    for name in ("CI", "PYTEST_ADDOPTS", "PYTHONIOENCODING", "COLUMNS", "FORCE_COLOR", "PY_COLORS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    return pytester


@pytest.fixture
def consumer(repository):
    """Makes a repository whose subject runs the named pipeline; returns the pytester."""

    def make(pipeline: str = "right", yaml: str = YAML):
        files = {
            "tokenizers_under_test.yaml": yaml.replace("PIPELINE", pipeline),
            "assembly.py": ASSEMBLY,
            "conftest.py": SMALL_PROFILE,
        }
        for name, text in files.items():
            repository.path.joinpath(name).write_text(text, encoding="utf-8")
        return repository

    return make


@pytest.fixture
def own_tests(repository):
    """Adds the repository's own tests in a folder, which its settings name."""

    def add(source: str):
        (repository.path / "tests").mkdir()
        (repository.path / "tests" / "test_own.py").write_text(source, encoding="utf-8")
        (repository.path / "pyproject.toml").write_text('[tool.pytest.ini_options]\ntestpaths = ["tests"]\n')

    return add


@pytest.fixture
def run(repository):
    """Runs pytest in the repository, with the plugin as if it were installed."""

    def call(*arguments: str):
        return repository.runpytest_subprocess("-p", "image_spans.plugin", *arguments)

    return call


@pytest.fixture
def refused(run):
    """Runs pytest, which must refuse with a usage error of one line; returns the line."""

    def call(*arguments: str) -> str:
        result = run(*arguments)
        output = result.stdout.str() + result.stderr.str()
        assert result.ret == pytest.ExitCode.USAGE_ERROR, output
        assert "Traceback" not in output
        assert "INTERNALERROR" not in output
        lines = [line for line in result.errlines if line.strip()]
        assert len(lines) == 1, lines
        return lines[0]

    return call
