"""Recording in a world: the real recorder in this environment, and stand-ins for one that takes the process with it."""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path

import pytest

from image_spans.compare import own, worlds
from image_spans.compare.run import outcome
from image_spans.errors import Unavailable

YAML = """\
version: 1
subjects:
  right:
    tokenizer: &tokenizer
      backend: tokenizers
      source: {trained: byte_bpe}
      add_special_tokens: [<image>]
    pipeline: placeholder_run
    contract: &contract {bos: none, images: {grammar: run, placeholder: <image>, slots: 4}, template: {}}
  wrong:
    tokenizer: *tokenizer
    pipeline: mine:encode
    contract: *contract
  broken:
    tokenizer: *tokenizer
    pipeline: nowhere:encode
    contract: *contract
"""

MINE = """\
from image_spans import Text

def encode(tokenizer, conversation):
    parts = [part for message in conversation.messages for part in message.parts]
    text = "".join(part.text if isinstance(part, Text) else "<image>" * 3 for part in parts)
    return tokenizer.encode(text, add_special_tokens=False).ids
"""


def test_what_subjects_do_in_this_environment(tmp_path, monkeypatch):
    """The user's own settings of pytest, which ask for what is not there, and the user's tests are left alone."""
    monkeypatch.setenv("IMAGE_SPANS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    (tmp_path / "conftest.py").write_text("import no_such_module")
    (tmp_path / "test_mine.py").write_text("def test_that_is_none_of_ours():\n    raise KeyboardInterrupt\n")
    (tmp_path / "mine.py").write_text(MINE)
    file = tmp_path / "subjects.yaml"
    file.write_text(YAML)
    told = []
    names = ["right", "wrong", "broken"]
    said = outcome(worlds.here((str(own.folder()),)), file, names, told.append, profile="spans-dev")
    assert told == ["this environment: recording 3 subjects and running their checks"]
    assert list(said.records) == names
    assert said.records["broken"].startswith("'nowhere:encode': there is no module 'nowhere'")
    assert said.records["right"]["texts"]
    assert "hypothesis" in said.versions
    assert said.trouble is None
    assert {one["is"] for one in said.verdicts["right"].values()} == {"passes"}
    wrong = {check: one["causes"] for check, one in said.verdicts["wrong"].items() if one["is"] == "fails"}
    assert wrong["spans.slots"]

    alone = outcome(worlds.here((str(own.folder()),)), file, ["right"], told.append, checks=False)
    assert alone.records == {"right": said.records["right"]}, "recorded twice, it is the same"
    assert alone.verdicts == {}


@pytest.fixture
def fake(tmp_path):
    """A world whose Python is a script: it gets the names that it should record, and a function that writes a line."""

    def make(body: str) -> worlds.World:
        script = tmp_path / "python"
        script.write_text(
            f"#!{sys.executable}\n"
            "import json, os, sys\n"
            "out = open(sys.argv[sys.argv.index('--out') + 1], 'a')\n"
            "only = [word for before, word in zip(sys.argv, sys.argv[1:]) if before == '--only']\n"
            "def write(**line):\n    out.write(json.dumps(line) + '\\n'); out.flush()\n" + textwrap.dedent(body)
        )
        script.chmod(0o755)
        return worlds.World("x 1", str(script))

    return make


def run(world, names=("a", "b", "c"), **options):
    return outcome(world, Path("subjects.yaml"), list(names), lambda text: None, **options)


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are scripts")

DIES_ON_B = """\
write(versions={"lib": "1"})
for name in only:
    write(begin=name)
    if name == "b":
        out.write('{"half')
        out.flush()
        print("Fatal Python error: Segmentation fault", file=sys.stderr)
        os._exit(139)
    write(subject=name, record={"name": name})
write(begin="the checks")
write(checks={name: {} for name in only})
"""


def test_a_library_that_takes_the_process_with_it_costs_one_subject(fake):
    said = run(fake(DIES_ON_B))
    assert list(said.records) == ["a", "b", "c"]
    assert said.records["a"] == {"name": "a"}
    assert said.records["b"] == "the process ended while it was recorded: Fatal Python error: Segmentation fault"
    assert list(said.verdicts) == ["a", "c"], "also those that were recorded before it"
    assert said.trouble is None
    only = run(fake(DIES_ON_B), ["b"])
    assert list(only.records) == ["b"]


def test_checks_that_take_the_process_with_them_leave_the_records(fake):
    said = run(
        fake("for n in only:\n    write(subject=n, record={})\nwrite(begin='the checks')\nsys.exit('too bad')\n")
    )
    assert list(said.records) == ["a", "b", "c"]
    assert said.trouble == "too bad"


def test_pytest_that_does_not_run_is_told_with_its_words(fake):
    body = "for n in only:\n    write(subject=n, record={})\nwrite(trouble='pytest ended with USAGE_ERROR')\n"
    said = run(fake(body + "print('ERROR: no such option', file=sys.stderr)\n"))
    assert said.trouble == "pytest ended with USAGE_ERROR: ERROR: no such option"
    assert len(said.records) == 3


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("sys.exit('ModuleNotFoundError: no yaml')", "x 1: ModuleNotFoundError: no yaml"),
        ("write(versions={})\nsys.exit('it broke')", "x 1: it broke"),
        (
            "write(versions={}, trouble='subjects.yaml:3: unknown key')\nsys.exit(2)",
            "x 1: subjects.yaml:3: unknown key",
        ),
        ("os._exit(3)", "x 1: it ended with 3"),
    ],
)
def test_a_world_in_which_nothing_runs(fake, body, said):
    with pytest.raises(Unavailable) as refused:
        run(fake(body))
    assert str(refused.value) == said


def test_a_python_that_is_gone(tmp_path):
    with pytest.raises(Unavailable, match=r"^x 1: its Python does not start: "):
        run(worlds.World("x 1", str(tmp_path / "python")))


def test_what_a_world_is_asked(fake, tmp_path):
    world = fake(
        f"open({str(tmp_path / 'arguments')!r}, 'w').write(json.dumps(sys.argv))\nwrite(subject='a', record={{}})"
    )
    run(world, ["a"], profile="mine")
    arguments = json.loads((tmp_path / "arguments").read_text())
    assert arguments[1:4] == ["-m", "image_spans", "_record"]
    assert arguments[-5:] == ["--only", "a", "--checks", "--profile", "mine"]
    run(world, ["a"], checks=False)
    assert "--checks" not in json.loads((tmp_path / "arguments").read_text())
