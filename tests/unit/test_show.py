"""``python -m image_spans show``: what can be typed or pasted, what is printed, and how it ends."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import PIL.Image
import pytest

import toy_folder
from image_spans.__main__ import main
from image_spans.case import Bench, Case
from image_spans.conversation import Conversation, Image, Message, Text
from image_spans.engine import Engine
from image_spans.errors import ConfigError
from image_spans.exhibit import exhibit
from image_spans.show import parse, render
from image_spans.show.judge import Verdict, verdicts
from image_spans.subject import Encoding
from support import ToyTokenizer, contract, subject

O, C, SO, SC, N, NC, P = range(1, 8)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    toy_folder.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def show(capfd, *arguments):
    code = main(["show", "toy", *arguments])
    told = capfd.readouterr()
    return code, told.out, told.err


# ---------------------------------------------------------------- what is read


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ("user: <image 449x449> What?", [Image(449, 449), Text(" What?")]),
        ("user:a<image 1x2><image 3x4>", [Text("a"), Image(1, 2), Image(3, 4)]),
        ("  user :\tx: y\nz ", [Text("x: y\nz ")]),
        ("user:", [Text("")]),
        ("user:  two", [Text(" two")]),
        ("user: <image> is text", [Text("<image> is text")]),
    ],
)
def test_a_turn(given, parts):
    assert parse.conversation([given], contract()) == (Conversation([Message("user", parts)]), [])


def test_several_turns_and_code():
    turns = Conversation([Message("user", [Text("a")]), Message("assistant", [Text("b")])])
    assert parse.conversation(["user: a", "assistant: b"], contract())[0] == turns
    assert parse.conversation([f"  {turns!r}\n"], contract())[0] == turns


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["hello"], "message 0: it has no role; expected one of "),
        (
            ["user: a", "asistant: b"],
            "message 1: the role \"asistant\" is none of the contract; did you mean 'assistant'?",
        ),
        (["user: <image 449>"], 'message 0: expected <image WIDTHxHEIGHT>, found "<image 449>"'),
        (["user: <image 1 x 1>"], 'message 0: expected <image WIDTHxHEIGHT>, found "<image 1 x 1>"'),
        (["user: <image 0x5>"], "message 0: <image 0x5>: the width of an Image is a whole number from 1, not 0"),
        (["Conversation([Mesage('user', [])])"], "column 15: "),
        (["assistant: <image 1x1>"], "outside of the contract: message 0: a turn of 'assistant' holds an image"),
        (["Conversation([Message('usr', [Text('a')])])"], "outside of the contract: message 0: the role "),
        (["user: a\udcff"], 'message 0: "a\\udcff" is no Unicode text (lone surrogate)'),
        (["Conversation([Message('user', [Text('\\ud800')])])"], "message 0: "),
        (["{"], "row-not-json: "),
        (["[1]"], "row-not-object: the row is a list, expected an object"),
        (['{"x": 1}'], "row-unknown-format: no known format; the keys are 'x'"),
        (['{"messages": [{"role": "user", "content": "<image>"}], "images": ["none.png"]}'], "turn 0: image-missing: "),
    ],
)
def test_what_cannot_be_read_is_one_line(given, said, tmp_path):
    limited = contract(input={"roles": ["user", "assistant"], "images_in": ["user"]})
    with pytest.raises(ConfigError) as caught:
        parse.conversation(given, limited, tmp_path)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_a_row_of_training_data(tmp_path):
    PIL.Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    row = {"messages": [{"role": "user", "content": "<image>What?"}, {"role": "assistant", "content": "A."}]}
    found, notes = parse.conversation([json.dumps({**row, "images": ["a.png"]})], contract(), tmp_path)
    assert found.messages[0] == Message("user", [Image(30, 20), Text("What?")])
    assert notes == []
    twice = json.dumps({**row, "images": ["a.png"]})[:-1] + ', "images": ["a.png"]}'
    assert parse.conversation([twice], contract(), tmp_path)[1][0].startswith("row-duplicate-key: ")


def test_standard_input_holds_turns_code_or_a_row():
    assert parse.turns("user: a\nb\nassistant: c\n", contract()) == ["user: a\nb", "assistant: c"]
    assert parse.turns("\n", contract()) == []
    for whole in ("Conversation([])", ' {"a":\n1}', "x"):
        assert parse.turns(whole, contract()) == [whole]


# ---------------------------------------------------------------- what is judged


def judged(conversation, **more):
    of = subject(**more)
    engine = Engine(1, 0)
    return {one.check: one for one in verdicts(engine, of, engine.bench(of).case(conversation))}


def test_every_check_of_one_conversation_has_a_verdict():
    said = judged(Conversation([Message("user", [Image(1, 1), Text("a")])]))
    assert said["spans.matched"].status == "ok"
    assert said["arrays.mark"].status == "not applicable"
    assert "literals.policy" not in said


def test_a_finding_its_cause_and_what_it_blocks():
    def naive(tokenizer, conversation):
        return [P, P, P, P, C, *tokenizer.encode_text("a")]

    said = judged(Conversation([Message("user", [Image(1, 1), Text("a")])]), pipeline=naive)
    assert said["spans.matched"].finding.cause.name == "marker-lost"
    assert (said["spans.slots"].status, said["spans.slots"].told) == ("blocked", "by spans.matched")


def test_typed_markers_are_judged_by_their_policy():
    said = judged(Conversation([Message("user", [Text("<slice>")])]))
    assert said["literals.policy"].status == "ok"
    assert said["spans.matched"].told == "the text spells <slice>, so literals.policy judges it"
    assert said["pipeline.encodes"].status == "ok"


def test_a_subject_that_is_broken_itself():
    lacking = ToyTokenizer(specials=("<image>", "</image>", "<slice>", "</slice>"))
    said = judged(Conversation([Message("user", [Text("a")])]), pipeline=lambda *_: [], tokenizer=lacking)
    assert said["contract.tokens"].status == "finding"
    assert said["spans.matched"].status == "blocked"


# ---------------------------------------------------------------- what is printed


def printed(ids, *, at=None, width=60, conversation=None, **more) -> list[str]:
    conversation = conversation or Conversation([Message("user", [Image(1, 1), Text("a\u202e")])])
    case = Case(Bench(subject(**more)), conversation, None if ids is None else Encoding(ids))
    drawn = exhibit(case, at, "</image> (2)" if at is not None else "")
    lines = [str(line) for line in render.lines("toy", drawn, [Verdict("a.b", "ok")], width)]
    assert all(line.isascii() for line in lines)
    assert lines[-2:] == ["", "  ok             a.b"]
    return lines[:-2]


def test_spans_are_bracketed_and_the_fault_is_pointed_at():
    lines = printed([O, P, P, C, 1097, O, P, 1098], at=7)
    assert lines[2:4] == ['  user: [image 1x1] "a\\u202e"', "  image 0  1x1, 4 placeholders"]
    assert lines[6:] == [
        "       0  image [ <image>(1) <pad>(7)x2 </image>(2) ]",
        "       4  a(1097)",
        "       5  image, not closed [ <image>(1) <pad>(7) ...",
        "       7  b(1098)",
        "          ^ expected </image> (2)",
    ]


def test_long_lines_are_wrapped_and_the_pointer_stays_below_its_token():
    lines = printed([1000 + ord(c) for c in "abcdefghijkl"], at=8, width=40)[6:]
    assert max(len(line) for line in lines if "^" not in line) <= 40
    below = next(number for number, line in enumerate(lines) if "^" in line)
    assert lines[below - 1][lines[below].index("^") :].startswith("i(1105)")


def test_a_fault_behind_the_end_and_no_ids():
    assert printed([O, P], at=2)[-1] == "          ^ the ids end here, expected </image> (2)"
    assert "  the pipeline returned no ids" in printed(None, pipeline=lambda *_: 1 / 0)


def test_nested_spans_are_indented_and_what_is_far_is_left_out():
    big = Conversation([Message("user", [Image(449, 449)])])
    lines = printed(list(Case(Bench(subject()), big).ids), conversation=big)[6:]
    assert lines[0] == "       0  image 0 ["
    assert lines[1] == "       0    image [ <image>(1) <pad>(7)x4 </image>(2) ]"
    assert lines[-1] == "          ]"
    assert any("... 600 ids ..." in line for line in printed([1097, 1098] * 500))


# ---------------------------------------------------------------- the command


def test_it_ends_with_0_1_or_2(folder, capfd):
    code, out, err = show(capfd, "user: <image 1x1>a")
    assert (code, err) == (0, "")
    assert "  ok             spans.matched\n" in out
    assert "\x1b" not in out
    yaml = folder / "tokenizers_under_test.yaml"
    yaml.write_text(yaml.read_text().replace("bos: none", "bos: exactly_once").replace("toy:", "other:"))
    assert main(["show", "other", "user: <image 1x1>a"]) == 1
    assert "  finding        bos.placement" in capfd.readouterr().out
    yaml.write_text(yaml.read_text().replace("other:", "toy:").replace("exactly_once", "none"))
    code, out, err = show(capfd, "hello")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1


def test_options_that_cannot_be(folder, capfd):
    assert show(capfd, "user: a", "--timeout=-1")[2] == "--timeout takes a number from 0, not -1.0\n"
    assert show(capfd, "user: a", "--images=none")[2] == "--images: there is no folder none\n"
    assert "there is no subject" in (main(["show", "ty", "user: a"]), capfd.readouterr().err)[1]
    assert show(capfd, "user: a", "--html=no/x.html")[2].startswith("--html no/x.html: there is no folder ")


def test_standard_input(folder, capfd, monkeypatch):
    row = b'\xef\xbb\xbf{"messages": [{"role": "user", "content": "a"}]}\r\n'
    given = ((b"user: a\nassistant: b\n", 0), (row, 0), (b" \n", 2), (b"\xff", 2), (b"user: \xff", 2))
    for text, code in given:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))
        assert show(capfd, "-")[0] == code


def test_html(folder, capfd):
    code, out, _ = show(capfd, "user: <image 1x1><b>\u202e", "--html")
    assert code == 0
    assert out.endswith("  written         toy.html\n")
    text = (folder / "toy.html").read_text(encoding="utf-8")
    assert '&lt;b&gt;<span class="esc">\\u202e</span>' in text
    assert "Content-Security-Policy" in text
    assert show(capfd, "user: a", "--html", "toy.html")[0] == 0
    (folder / "mine.txt").write_text("mine")
    assert "is no report of this option" in show(capfd, "user: a", "--html", "mine.txt")[2]
    assert (folder / "mine.txt").read_text() == "mine"


def test_colour_on_a_terminal_unless_it_is_not_wanted(folder, capfd, monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in show(capfd, "user: <image 1x1>")[1]
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in show(capfd, "user: <image 1x1>")[1]


def test_a_reader_that_goes_away(folder, monkeypatch):
    def gone(*_, **__):
        raise BrokenPipeError

    monkeypatch.setattr("rich.console.Console.print", gone)
    monkeypatch.setattr("os.dup2", lambda *_: None)
    assert main(["show", "toy", "user: a"]) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such pipe")
def test_a_reader_that_goes_away_from_a_real_pipe(folder):
    """rich would end the process with 1, which means a finding."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as out:
        done = subprocess.run([sys.executable, "-m", "image_spans", "show", "toy", "user: a"], stdout=out, check=False)
    assert done.returncode == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is full")
@pytest.mark.parametrize("command", [("show", "toy", "user: a"), ("schema",)], ids=lambda command: command[0])
def test_an_output_that_is_full(folder, command):
    with open("/dev/full", "w") as out:
        arguments = [sys.executable, "-m", "image_spans", *command]
        done = subprocess.run(arguments, stdout=out, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "standard output cannot be written: No space left on device\n"


def test_a_disk_that_is_full(folder, capfd, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("image_spans.files.write_whole", full)
    assert show(capfd, "user: a", "--html=x.html")[2] == "--html x.html: cannot be written: No space left on device\n"
