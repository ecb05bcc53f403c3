"""``python -m image_spans compare``: what its arguments mean, and its exit codes; worlds are stand-ins."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from compared_records import outcome, record
from image_spans.__main__ import main
from image_spans.compare import own, run, worlds
from image_spans.errors import Unavailable

YAML = """\
version: 1
subjects:
  one: &one
    tokenizer: {backend: tokenizers, source: {trained: byte_bpe}}
    pipeline: placeholder_run
    contract: {bos: none, images: {grammar: run, placeholder: <image>, slots: 4}, template: {}}
  other: *one
"""


class Stand:
    """Worlds that were asked for, and what they say."""

    def __init__(self) -> None:
        self.built: list[tuple[str, tuple[str, ...]]] = []
        self.asked: list[tuple[str, str, list[str], bool]] = []
        self.says: dict[str, object] = {}

    def build(self, label, requirements, path, tell, *, fresh=False):
        self.built.append((label, tuple(requirements)))
        said = self.says.get(label)
        if isinstance(said, BaseException):
            raise said
        return worlds.World(label, "python", tuple(path))

    def outcome(self, world, subjects, names, tell, *, checks=True, profile=None):
        tell(f"recording in {world.label}")
        self.asked.append((world.label, Path(subjects).name, list(names), checks))
        said = self.says.get(world.label, record())
        return outcome(world.label, dict.fromkeys(names, said))


@pytest.fixture
def stand(tmp_path, monkeypatch) -> Stand:
    stand = Stand()
    monkeypatch.setattr(worlds, "build", stand.build)
    monkeypatch.setattr(worlds, "releases", lambda name: ["4.57.6", "5.0.0", "5.1.0", "5.2.0"])
    monkeypatch.setattr(run, "outcome", stand.outcome)
    monkeypatch.setattr(own, "folder", lambda: tmp_path)
    monkeypatch.chdir(tmp_path)
    Path("tokenizers_under_test.yaml").write_text(YAML)
    return stand


def test_two_worlds_that_are_the_same(stand, capsys):
    assert main(["compare", "--with", "transformers==4.57.6"]) == 0
    said = capsys.readouterr()
    assert "before: as installed here\nafter:  transformers 4.57.6\n" in said.out
    assert said.err == "recording in as installed here\nrecording in transformers 4.57.6\n"
    before, after = stand.built
    assert "transformers==4.57.6" in after[1]
    assert any(one.startswith("tokenizers==") for one in before[1])
    assert not any(one.startswith("tokenizers") for one in after[1])
    assert stand.asked[0][2:] == (["one", "other"], True)


def test_different(stand, capsys):
    stand.says["transformers 5.0.0, tokenizers 0.22"] = record(bos=False)
    arguments = ["--with", "transformers==5.0.0", "--with", "tokenizers==0.22", "--against", "transformers==4.57.6"]
    assert main(["compare", *arguments, "-k", "one", "--no-checks", "--format", "json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert (data["before"], data["after"]) == ("transformers 4.57.6", "transformers 5.0.0, tokenizers 0.22")
    assert list(data["subjects"]) == ["one"]
    assert stand.asked[1][2:] == (["one"], False)


def test_k_finds_the_same_environment_again(stand):
    main(["compare", "--with", "transformers==5.0.0"])
    main(["compare", "--with", "transformers==5.0.0", "-k", "other"])
    assert stand.built[:2] == stand.built[2:]


def test_the_newest_release_is_named(stand, capsys):
    assert main(["compare", "--with", "transformers", "--require", "my-tool==2"]) == 0
    assert "after:  transformers 5.2.0\n" in capsys.readouterr().out
    assert all("my-tool==2" in requirements for _, requirements in stand.built)


def test_what_cannot_be_installed_is_one_line(stand, capsys):
    stand.says["transformers 9"] = Unavailable("transformers 9 cannot be installed: No matching distribution found")
    assert main(["compare", "--with", "transformers==9"]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "transformers 9 cannot be installed: No matching distribution found\n")


def test_an_interrupt_is_no_traceback(stand, capsys):
    stand.says["transformers 9"] = KeyboardInterrupt()
    assert main(["compare", "--with", "transformers==9"]) == 130
    assert capsys.readouterr().err == "interrupted; environments that were built are kept\n"


def test_subjects_that_are_nowhere(stand, capsys):
    stand.says |= {"as installed here": "no file", "transformers 5.0.0": "no file"}
    assert main(["compare", "--with", "transformers==5.0.0"]) == 2
    assert "one cannot be had in either: no file" in capsys.readouterr().out


def test_a_pair_is_compared_here(stand, capsys):
    assert main(["compare", "one", "other"]) == 0
    assert stand.built == []
    assert stand.asked == [("this environment", "tokenizers_under_test.yaml", ["one", "other"], True)]
    assert "before: one\nafter:  other\n" in capsys.readouterr().out


def test_two_files_are_compared_here(stand, capsys):
    Path("old.yaml").write_text(YAML.replace("other:", "gone:"))
    stand.says["old.yaml"] = record(bos=False)
    assert main(["compare", "--against-subjects", "old.yaml"]) == 1
    assert [(label, names) for label, _, names, _ in stand.asked] == [
        ("old.yaml", ["one", "gone"]),
        ("tokenizers_under_test.yaml", ["one", "other"]),
    ]
    text = capsys.readouterr().out
    assert "the plain call puts <s> (1) in front of a text, before nothing" in text
    assert "gone\n  cannot be had in tokenizers_under_test.yaml: there is no such subject" in text


def test_two_locks_need_neither_a_world_nor_a_file_of_subjects(stand, capsys):
    Path("tokenizers_under_test.yaml").unlink()
    for name, bos in (("old.json", True), ("new.json", False)):
        Path(name).write_text(json.dumps({"schema": 1, "subjects": {"one": record(bos=bos)}}))
    assert main(["compare", "--locks", "old.json", "old.json"]) == 0
    assert main(["compare", "--locks", "old.json", "new.json", "--format", "md"]) == 1
    assert "### 1 of 1 subject behaves differently" in capsys.readouterr().out
    assert main(["compare", "--locks", "old.json", "none.json"]) == 2
    assert stand.built == stand.asked == []


def test_a_walk_goes_round_what_cannot_be_installed(stand, capsys):
    stand.says |= {"transformers 5.0.0": Unavailable("no wheel"), "transformers 5.1.0": record(bos=False)}
    assert main(["compare", "--walk", "transformers==4.57.6..5.2.0"]) == 1
    text = capsys.readouterr().out
    assert "transformers: 3 releases recorded: 4.57.6, 5.1.0, 5.2.0\n5.0.0 cannot be had: no wheel\n" in text
    assert "(4.57.6 is the last without; changed back in 5.2.0) [one, other]" in text
    assert "(as in 4.57.6; 5.1.0 is the last without) [one, other]" in text


def test_other_libraries_stand_still_on_a_walk(stand):
    assert main(["compare", "--walk", "transformers==5.0.0,5.2.0", "--with", "tokenizers==0.22"]) == 0
    assert [label for label, _ in stand.built] == [
        "transformers 5.0.0, tokenizers 0.22",
        "transformers 5.2.0, tokenizers 0.22",
    ]


@pytest.mark.parametrize(("walked", "tried"), [("1..40", 2), (",".join(map(str, range(1, 41))), 40)])
def test_a_long_range_is_bisected_and_a_list_is_not(stand, capsys, monkeypatch, walked, tried):
    monkeypatch.setattr(worlds, "releases", lambda name: [str(number) for number in range(1, 41)])
    assert main(["compare", "--walk", f"lib=={walked}"]) == 0
    assert len(stand.built) == tried
    assert ("bisected; not tried: 2, 3, " in capsys.readouterr().out) == (tried == 2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nothing to compare: give --with, --against, --walk, --locks, --against-subjects or two subjects"),
        (["one"], "expected two subjects, found 1"),
        (["one", "othr"], "there is no subject 'othr'; did you mean 'other'?"),
        (["one", "other", "-k", "one"], "-k and two subjects cannot be combined"),
        (["one", "other", "--with", "a==1"], "--with and two subjects cannot be combined"),
        (["--walk", "a==1..2", "--against", "a==1"], "--walk and --against cannot be combined"),
        (["--with", "a=1"], "'a=1' is not a requirement such as transformers==5.23.0"),
        (["--with", "a==1", "-k", "none"], "-k 'none' fits none of the subjects one, other"),
        (["--with", "a>9"], "no release fits a>9"),
        (["--with", "a==1", "--every", "3"], "--every takes a number from 2, and goes with --walk"),
        (["--walk", "a==1..2", "--every", "1"], "--every takes a number from 2, and goes with --walk"),
        (["--with", "a==1", "--subjects", "none.yaml"], "none.yaml: there is no such file"),
    ],
)
def test_what_cannot_be_meant_is_one_line(stand, capsys, arguments, said):
    assert main(["compare", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.skipif(
    "IMAGE_SPANS_WORLDS" not in os.environ,
    reason="builds environments from the index (IMAGE_SPANS_WORLDS=1); the weekly workflow does",
)
def test_two_real_worlds(tmp_path, monkeypatch, capsys):
    """In 4.57 LlamaTokenizer adds BOS to what it loads from a bare file, in 5.0 it does not; then all is kept."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMAGE_SPANS_CACHE", str(tmp_path / "cache"))
    Path("tokenizers_under_test.yaml").write_text(
        "version: 1\nsubjects:\n  llama:\n    tokenizer:\n      backend: transformers\n      class: LlamaTokenizer\n"
        "      source: {package: mistral-common, file: mistral_common/data/tokenizer.model.v1}\n"
        "      add_special_tokens: [<image>]\n    pipeline: placeholder_run\n"
        "    contract: {bos: none, images: {grammar: run, placeholder: <image>, slots: 4}, template: {}}\n"
    )
    arguments = ["compare", "--against", "transformers==4.57.6", "--with", "transformers==5.0.0", "--format", "json"]
    assert main(arguments) == 1
    data = json.loads(capsys.readouterr().out)
    assert data["versions"]["transformers"] == ["4.57.6", "5.0.0"]
    told = json.dumps(data["subjects"]["llama"]["changes"])
    assert "the plain call puts nothing in front of a text, before <s> (1)" in told
    assert main([*arguments, "--no-checks"]) == 1
    assert "building" not in capsys.readouterr().err
