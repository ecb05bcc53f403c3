"""The environments of ``compare``: what is asked for, and that one that was not built to its end is never used."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from image_spans import config
from image_spans.compare import own, worlds
from image_spans.errors import ConfigError, Unavailable

YAML = """\
version: 1
subjects:
  trained:
    tokenizer: {backend: tokenizers, source: {trained: byte_bpe}, requires: [pluggy>=1]}
    pipeline: placeholder_run
    contract: {bos: none, images: {grammar: run, placeholder: <image>, slots: 4}, template: {}}
  from-a-package:
    tokenizer:
      backend: sentencepiece
      source: {package: No_Such.Package, file: tokenizer.model}
    pipeline: placeholder_run
    contract: {bos: none, images: {grammar: run, placeholder: <image>, slots: 4}, template: {}}
"""


@pytest.fixture
def specs(tmp_path):
    file = tmp_path / "subjects.yaml"
    file.write_text(YAML)
    return config.read(file)


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("IMAGE_SPANS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "worlds"


def here(name: str) -> str:
    return f"{name}=={importlib.metadata.version(name)}"


def asked(*texts: str):
    return [worlds.requirement(text) for text in texts]


def test_all_is_as_here_but_for_what_is_asked(specs):
    needed = worlds.needed(specs, [])
    assert {here("transformers"), here("hypothesis"), here("tokenizers"), here("huggingface-hub")} <= set(needed)
    assert here("pluggy") in needed, "a subject requires it"
    assert not any("such" in one for one in needed), "what is not here cannot be pinned; the subject says so"
    assert list(needed) == sorted(needed)
    other = worlds.needed(specs, asked("Transformers==4.57.6"), asked("my-tool>=2"))
    changed = set(other) ^ set(needed)
    assert {"Transformers==4.57.6", "my-tool>=2", "huggingface-hub>=0.34"} <= changed
    assert not any(one.startswith("tokenizers") for one in other), "transformers says which one it takes"
    both = worlds.needed(specs, asked("transformers==4.57.6", "tokenizers==0.22.0"))
    assert "tokenizers==0.22.0" in both


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("transformers=4", "'transformers=4' is not a requirement such as transformers==5.23.0"),
        ("./folder", "is not a requirement"),
        ("mine @ file:///somewhere", "names a place whose content may change"),
        ("mine @ git+https://example.org/mine@main", "names a place whose content may change"),
    ],
)
def test_what_may_change_its_meaning_is_refused(text, said):
    with pytest.raises(ConfigError) as refused:
        worlds.requirement(text)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_commit_is_a_requirement():
    commit = "0123456789" * 4
    assert worlds.requirement(f"mine @ git+https://example.org/mine@{commit}").name == "mine"


def test_the_newest_release_that_fits_is_taken():
    def listed(name):
        return ["4.57.6", "5.0.0", "5.9.1", "5.10.0"]

    def pinned(text):
        return str(worlds.pinned(worlds.requirement(text), listed))

    assert pinned("transformers") == "transformers==5.10.0"
    assert pinned("transformers<5") == "transformers==4.57.6"
    assert pinned("transformers[x]==5.9.*") == "transformers[x]==5.9.1"
    assert pinned("transformers==1.2") == "transformers==1.2", "whether there is one says pip"
    with pytest.raises(Unavailable, match=r"no release fits transformers>=6"):
        pinned("transformers>=6")


def answers(monkeypatch, returncode=0, stdout="", stderr=""):
    calls = []

    def run(command, **options):
        calls.append(command)
        return SimpleNamespace(returncode=returncode, stdout=stdout, stderr=stderr)

    monkeypatch.setattr(subprocess, "run", run)
    return calls


def test_releases_are_those_that_pip_lists_without_previews(monkeypatch):
    answers(monkeypatch, stdout="x (5.10.0)\nAvailable versions: 5.10.0, 5.9.0, 5.9.0rc1, 5.0.0.dev1, odd-one, 4.2\n")
    assert worlds.releases("x") == ["4.2", "5.9.0", "5.10.0"]


def test_an_index_without_it_is_one_line(monkeypatch):
    answers(monkeypatch, 1, stderr="WARNING: slow\nERROR: No matching distribution found for x\n")
    with pytest.raises(
        Unavailable, match=r"^pip does not list the releases of x: No matching distribution found for x$"
    ):
        worlds.releases("x")


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("ERROR: a\nERROR: No matching distribution found for x==9\n\n[notice] pip is old\n", "No matching .* x==9"),
        (
            "ERROR: Cannot install a and b because they conflict.\nERROR: ResolutionImpossible: for help visit u\n",
            "Cannot install a and b because they conflict.",
        ),
        ("something\nwent wrong\n", "went wrong"),
        ("", "no reason was given"),
    ],
)
def test_the_line_that_says_why(output, said):
    import re

    assert re.fullmatch(said, worlds.reason(output))


def test_where_an_environment_is_kept_depends_on_what_is_in_it(cache):
    home = worlds.home_of(["a==1", "b==2"])
    assert home.parent == cache
    assert home == worlds.home_of(["b==2", "a==1"])
    assert home != worlds.home_of(["a==1", "b==3"])


@pytest.fixture
def installed(monkeypatch) -> list[tuple[str, ...]]:
    """What was installed, by a stand-in that makes a Python that is not asked anything."""
    calls = []

    def install(folder, requirements, label):
        calls.append(tuple(requirements))
        worlds.python_of(folder).parent.mkdir(parents=True)
        worlds.python_of(folder).write_text(f"{len(calls)}")

    monkeypatch.setattr(worlds, "install", install)
    return calls


def built(*requirements: str, **options) -> worlds.World:
    return worlds.build("x 1", requirements, ["/mine"], lambda text: None, **options)


def test_an_environment_is_built_once(cache, installed):
    first = built("x==1")
    assert installed == [("x==1",)]
    assert Path(first.python).read_text() == "1"
    assert first.path[1:] == ("/mine",)
    assert built("x==1") == first
    assert len(installed) == 1
    assert built("x==2").python != first.python
    assert Path(built("x==1", fresh=True).python).read_text() == "3"
    assert not [path for path in cache.iterdir() if path.name.startswith("tmp")]


@pytest.mark.parametrize("damage", ["marker", "python"])
def test_half_of_an_environment_is_built_anew(cache, installed, damage):
    home = Path(built("x==1").python).parents[1]
    (home / "left over").write_text("")
    assert worlds.is_whole(home)
    (home / worlds._MARKER if damage == "marker" else worlds.python_of(home)).unlink()
    assert not worlds.is_whole(home)
    assert built("x==1").python
    assert len(installed) == 2
    assert worlds.is_whole(home)
    assert not (home / "left over").exists()


@pytest.mark.parametrize("error", [Unavailable("x 1 cannot be installed: no"), KeyboardInterrupt()])
def test_what_fails_on_the_way_leaves_nothing(cache, monkeypatch, error):
    def install(folder, requirements, label):
        folder.mkdir()
        (folder / "half").write_text("")
        raise error

    monkeypatch.setattr(worlds, "install", install)
    with pytest.raises(type(error)):
        built("x==1")
    assert list(cache.iterdir()) == []


def test_what_another_process_has_built_meanwhile_is_used_as_it_is(cache, installed, monkeypatch):
    install = worlds.install

    def slow(folder, requirements, label):
        monkeypatch.setattr(worlds, "install", install)
        built("x==1")  # the other one
        install(folder, requirements, label)

    monkeypatch.setattr(worlds, "install", slow)
    assert Path(built("x==1").python).read_text() == "1"
    assert len(installed) == 2
    assert len([path for path in cache.iterdir() if not path.name.startswith("own-")]) == 1


def test_a_failed_rebuild_keeps_what_was_there(cache, installed, monkeypatch):
    home = Path(built("x==1").python).parents[1]

    def install(folder, requirements, label):
        raise Unavailable("no")

    monkeypatch.setattr(worlds, "install", install)
    with pytest.raises(Unavailable):
        built("x==1", fresh=True)
    assert worlds.is_whole(home)


def test_what_pip_says_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(worlds.shutil, "which", lambda name: None)
    calls = answers(monkeypatch, 1, stderr="Looking\nERROR: No matching distribution found for x==9\n")
    with pytest.raises(Unavailable) as refused:
        worlds.install(tmp_path / "made", ["x==9"], "x 9")
    assert str(refused.value) == "x 9: no environment can be made: No matching distribution found for x==9"
    assert len(calls) == 1


def test_pip_is_asked_for_what_uv_cannot_install(tmp_path, monkeypatch):
    monkeypatch.setattr(worlds.shutil, "which", lambda name: f"/tools/{name}")
    calls = []

    def run(command, **options):
        calls.append(command)
        failed = command[0] == "/tools/uv"
        return SimpleNamespace(returncode=int(failed), stdout="", stderr="x No solution found")

    monkeypatch.setattr(subprocess, "run", run)
    worlds.install(tmp_path / "made", ["x==9"], "x 9")
    venv, uv, pip = calls
    python = str(worlds.python_of(tmp_path / "made"))
    assert venv[1:3] == ["-m", "venv"]
    assert uv[:3] == ["/tools/uv", "pip", "install"]
    assert pip[:5] == [sys.executable, "-m", "pip", "--python", python]
    for command in (uv, pip):
        assert python in command
        assert command[-1] == "x==9"


def test_variables_of_this_process_do_not_reach_a_world(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("PYTEST_ADDOPTS", "-n 4")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy")
    environment = worlds.World("x 1", "python", ("/own", "/mine")).environment()
    assert environment["PYTHONPATH"] == os.pathsep.join(("/own", "/mine"))
    assert "PYTEST_ADDOPTS" not in environment
    assert environment["HTTPS_PROXY"] == "http://proxy"
    inherited = worlds.here(("/own",)).environment()["PYTHONPATH"].split(os.pathsep)
    assert inherited[0] == "/own"
    assert [entry for entry in sys.path if entry] == inherited[1:]


def test_the_copy_of_this_package_is_found_as_a_distribution(cache):
    """Its own process sees the version, and the entry points by which pytest and Hypothesis find us."""
    folder = own.folder()
    assert own.folder() == folder, "made once"
    code = (
        "import importlib.metadata as m, image_spans.plugin as p; print(p.__file__); print(p.suite_folder());"
        "own = m.distribution('pytest-image-spans'); print(own.version); print([e.value for e in own.entry_points])"
    )
    world = worlds.World("copy", sys.executable, (str(folder),))
    done = subprocess.run(
        [sys.executable, "-c", code], env=world.environment(), capture_output=True, text=True, check=True, cwd=cache
    )
    file, suite, version, entries = done.stdout.splitlines()
    assert Path(file).is_relative_to(folder)
    assert Path(suite).is_relative_to(folder)
    assert list(Path(suite).glob("test_*.py"))
    assert version == own.described().version
    assert entries == "['image_spans.plugin', 'image_spans.profiles:register']"


def test_another_state_of_the_files_is_another_copy(tmp_path):
    described = own.described()
    (tmp_path / "a.py").write_text("1")
    first = own._digest(described, [tmp_path])
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_text("x")
    assert own._digest(described, [tmp_path]) == first
    (tmp_path / "a.py").write_text("2")
    assert own._digest(described, [tmp_path]) != first


def test_what_is_installed_is_described_where_there_is_no_clone(tmp_path, monkeypatch):
    monkeypatch.setattr(own, "_PACKAGE", tmp_path / "site-packages" / "image_spans")
    entry = SimpleNamespace(group="pytest11", name="n", value="v")
    installed = SimpleNamespace(version="1.2", requires=["pytest>=8", "ruff; extra == 'dev'"], entry_points=[entry])
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: installed)
    assert own.described() == own.Own("1.2", ("pytest>=8",), (("pytest11", "n", "v"),))

    def absent(name):
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(importlib.metadata, "distribution", absent)
    with pytest.raises(ConfigError, match="neither installed nor a clone"):
        own.described()
