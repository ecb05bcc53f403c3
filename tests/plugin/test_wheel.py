"""The built wheel, installed where only these tests look, in a repository outside of the clone."""

from __future__ import annotations

import subprocess
import sys
import zipfile

import pytest
from consumer_repository import ROOT
from environments import build

CHOSEN = ("--spans-checks=contract,spans.matched", "-k", "own or contract or start")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder into which the wheel is installed."""
    pytest.importorskip("build")
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    target = folder / "site"
    (wheel,) = build(folder, "--wheel")
    install = ["pip", "install", "--no-deps", "--no-index", "--target", str(target), str(wheel)]
    subprocess.run([sys.executable, "-m", *install], check=True, capture_output=True)
    return target


@pytest.fixture
def elsewhere(installed, consumer, own_tests, monkeypatch):
    """A repository with a naive pipeline and tests of its own, which finds the wheel by its entry point."""
    pytester = consumer("naive")
    own_tests("def test_own():\n    pass\n")
    monkeypatch.setenv("PYTHONPATH", str(installed))
    return pytester


def test_it_holds_the_suite(installed):
    suite = {path.name for path in (installed / "image_spans" / "suite").glob("*.py")}
    assert suite == {path.name for path in (ROOT / "tests" / "properties").glob("*.py")}
    assert (installed / "image_spans" / "py.typed").is_file()
    assert (installed / "image_spans" / "training" / "corpus.txt").is_file()
    schemas = {path.name for path in (installed / "image_spans" / "schemas").glob("*.json")}
    assert schemas == {"findings-1.json", "lock-1.json", "subjects-1.json"}
    templates = {path.name for path in (installed / "image_spans" / "html" / "templates").iterdir()}
    assert templates == {path.name for path in (ROOT / "src" / "image_spans" / "html" / "templates").iterdir()}


def test_it_holds_every_file_of_the_package(installed):
    """Whatever folder is new: templates, schemas, a corpus."""
    sources = ROOT / "src" / "image_spans"
    here = {path.relative_to(sources) for path in sources.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    package = installed / "image_spans"
    came = {path.relative_to(package) for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert {path for path in came if path.parts[0] != "suite"} == here


def test_the_wheel_of_the_sdist_is_that_of_the_clone(installed, tmp_path):
    (wheel,) = (path for path in build(tmp_path) if path.suffix == ".whl")
    (clones,) = installed.parent.glob("*.whl")
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(clones) as other:
        assert {(info.filename, info.CRC) for info in one.infolist()} == {
            (info.filename, info.CRC) for info in other.infolist()
        }


@pytest.mark.parametrize("mode", ["prepend", "importlib"])
def test_it_runs_by_its_entry_point(elsewhere, mode):
    result = elsewhere.runpytest_subprocess(*CHOSEN, f"--import-mode={mode}")
    assert result.ret == 1
    assert (result.parseoutcomes()["failed"], result.parseoutcomes()["passed"]) == (1, 3)
    result.stdout.fnmatch_lines(["mine breaks spans.matched: 0 image opens, 1 close"])


def test_it_runs_on_two_workers(elsewhere):
    pytest.importorskip("xdist")
    result = elsewhere.runpytest_subprocess(*CHOSEN, "-n", "2")
    assert result.parseoutcomes() == {"failed": 1, "passed": 3}


def test_green_where_the_pipeline_is_right(elsewhere, consumer):
    consumer("right")
    assert elsewhere.runpytest_subprocess("--spans-checks=contract,spans").ret == 0
