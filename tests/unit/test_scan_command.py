"""``python -m image_spans scan``: what its arguments mean, what it prints, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import toy_folder
from image_spans.__main__ import main
from image_spans.scan import loop
from image_spans.scan.judge import Judged, Problem
from image_spans.scan.loop import Part, Stop
from image_spans.scan.tally import Tally
from toy_folder import ROOT, YAML


@pytest.fixture
def folder(tmp_path, monkeypatch):
    toy_folder.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sample(text="x", answer="y", **more):
    return {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": answer}], **more}


GOOD, SILENT, MISSING = sample(), sample(answer=""), sample("<image>", images=["none.png"])


def lines(path, *rows):
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows))


def scan(capfd, *arguments):
    code = main(["scan", *arguments, "--subject", "toy"])
    told = capfd.readouterr()
    return code, told.out, told.err


# ---------------------------------------------------------------- what it prints


def test_a_clean_scan_says_what_it_saw(folder, capfd):
    lines("a.jsonl", GOOD, GOOD)
    assert scan(capfd, "a.jsonl") == (
        0,
        "toy: no findings in 2 rows\nrows     sharegpt 2; 2 judged by the pipeline\nlengths  2 ids\n",
        "",
    )


def test_text(folder, capfd):
    lines("a.jsonl", GOOD, MISSING, SILENT, sample("x\u00e4"), sample("abcdefgh"))
    code, out, err = scan(capfd, "a.jsonl", "--max-length", "5")
    assert (code, err) == (1, "")
    assert (
        out
        == """\
a.jsonl:2  turn 0  image-missing
  there is no file "none.png"
  Remedy   put the file there, or name its folder with --images

a.jsonl:3  nothing-trained
  no turn of assistant has text, so nothing is learned
  Remedy   remove the sample, or give it an answer: its loss is 0 or not a number

a.jsonl:5  too-long
  9 ids, max_length is 5
  Remedy   shorten the sample, scale its images, or raise max_length

toy: 3 of 5 rows have findings
  image-missing          1  first a.jsonl:2
  nothing-trained        1  first a.jsonl:3
  too-long               1  first a.jsonl:5
rows     sharegpt 5; 4 judged by the pipeline
lengths  1 to 9, median 2, 95 % within 9 ids; 1 over max_length 5
"""
    )


def test_markdown(folder, capfd):
    lines("a.jsonl", GOOD, sample("<image>", images=["a|b<c.png"]))
    code, out, _ = scan(capfd, "a.jsonl", "--format", "md")
    assert code == 1
    told, remedy = 'there is no file "a\\|b&lt;c.png"', "put the file there, or name its folder with --images"
    assert out.splitlines() == [
        "**toy: 1 of 2 rows have findings**",
        "",
        "| cause | rows | first |",
        "|---|--:|---|",
        "| `image-missing` | 1 | a.jsonl:2 |",
        "",
        "- rows: sharegpt 2; 1 judged by the pipeline",
        "- lengths: 2 ids",
        "",
        "| where | turn | cause | what | remedy |",
        "|---|--:|---|---|---|",
        f"| a.jsonl:2 | 0 | `image-missing` | {told} | {remedy} |",
    ]


def test_json_and_json_lines_say_the_same(folder, capfd):
    lines("a.jsonl", MISSING, GOOD, SILENT)
    code, out, _ = scan(capfd, "a.jsonl", "--format", "json")
    whole = json.loads(out)
    assert code == 1
    assert whole["findings"][0] == {
        "cause": "image-missing",
        "message": 'there is no file "none.png"',
        "remedy": "put the file there, or name its folder with --images",
        "file": "a.jsonl",
        "row": 0,
        "line": 1,
        "place": "a.jsonl:1",
        "turn": 0,
    }
    code, out, _ = scan(capfd, "a.jsonl", "--format", "jsonl")
    *findings, summary = map(json.loads, out.splitlines())
    assert (code, findings, summary) == (1, whole["findings"], {"summary": whole["summary"]})
    assert whole["summary"]["causes"] == {
        "image-missing": {"rows": 1, "first": "a.jsonl:1"},
        "nothing-trained": {"rows": 1, "first": "a.jsonl:3"},
    }


@pytest.mark.parametrize("form", ["json", "jsonl", "text", "md"])
def test_findings_beyond_the_limit_are_counted(folder, capfd, form):
    lines("a.jsonl", *[MISSING] * 30, SILENT)
    told = {
        limit: scan(capfd, "a.jsonl", "--format", form, *limit)[1].count("none.png")
        for limit in ((), ("--limit-findings", "3"), ("--limit-findings", "0"))
    }
    assert list(told.values()) == [20, 3, 30]
    _, out, _ = scan(capfd, "a.jsonl", "--format", form, "--limit-findings", "1")
    assert "30" in out
    assert "nothing-trained" in out


def test_findings_are_not_held_where_they_are_written_at_once():
    tally = Tally(0, keeps=False)
    assert tally.add_problems([Problem("image-missing", "", "")] * 3)
    assert tally.problems == []
    assert tally.samples == {"image-missing": 1}


def test_what_others_wrote_cannot_write_into_a_terminal(folder, capfd):
    lines("a.jsonl", sample("<image>", images=["\x1b[31m\u202e\n.png"]), {"\x1b[31m": 1})
    _, out, _ = scan(capfd, "a.jsonl")
    assert out.isascii()
    assert "\x1b" not in out


# ---------------------------------------------------------------- which rows


def test_a_sample_of_rows_is_the_same_for_a_seed(folder, capfd):
    lines("a.jsonl", *[SILENT] * 50)
    lines("b.jsonl", *[SILENT] * 50)

    def rows(*arguments):
        _, out, _ = scan(capfd, "a.jsonl", "b.jsonl", "--format", "json", "--limit-findings", "0", *arguments)
        return [finding["place"] for finding in json.loads(out)["findings"]]

    chosen = rows("--sample", "10", "--seed", "1")
    assert len(chosen) == 10
    assert {place[0] for place in chosen} == {"a", "b"}
    assert chosen == rows("--sample", "10", "--seed", "1")
    assert chosen != rows("--sample", "10", "--seed", "2")
    assert set(chosen) <= set(rows())
    assert len(rows("--sample", "500")) == 100


def test_several_files_and_those_that_cannot_be_read(folder, capfd):
    lines("a.jsonl", GOOD)
    Path("b.json").write_text(json.dumps([GOOD, GOOD])[:-1])
    code, out, _ = scan(capfd, "none.json", "a.jsonl", ".", "b.json")
    assert code == 2
    assert "UNREAD   none.json: there is no such file\n" in out
    assert "UNREAD   .: is a folder, and no dataset" in out
    assert "UNREAD   b.json: ends inside the list" in out
    assert "no findings in 3 rows" in out


def test_a_file_without_rows_is_not_clean(folder, capfd):
    Path("a.json").write_text("[]")
    code, _, err = scan(capfd, "a.json")
    assert (code, err) == (2, "no row was read, so nothing was judged\n")


def test_fail_on(folder, capfd):
    lines("a.jsonl", MISSING, GOOD)
    for causes, code in (
        (["image-missing"], 1),
        (["image"], 1),
        (["too-long", "image-missing"], 1),
        (["too-long"], 0),
        (["image-mis"], 2),
        (["spans.matched"], 0),
        (["spans"], 0),
        (["spans.matched/first-id-removed"], 0),
    ):
        options = [word for cause in causes for word in ("--fail-on", cause)]
        assert scan(capfd, "a.jsonl", *options)[0] == code, causes


def test_options_that_change_how_rows_are_read(folder, capfd):
    lines(
        "a.jsonl",
        {"messages": [{"role": "ask", "content": "[I]x"}, {"role": "assistant", "content": "y"}], "image": "a"},
    )
    (folder / "pictures").mkdir()
    (folder / "pictures" / "a").write_bytes(b"")
    options = ("--role", "ask=user", "--tag", "[I]", "--images", "pictures", "--data-format", "sharegpt")
    _, out, _ = scan(capfd, "a.jsonl", *options)
    assert "image-empty" in out
    assert "1 of 1 rows" in out
    assert scan(capfd, "a.jsonl", "--checks", "spans", "--role", "ask=user")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--fail-on", "image-mising"], "--fail-on: unknown cause 'image-mising'; did you mean 'image-missing'?"),
        (["--data-format", "lava"], "unknown data format 'lava'; did you mean 'llava'?"),
        (["--role", "human"], "--role 'human' is not of the form DATA=CONTRACT, such as human=user"),
        (["--max-length", "0"], "--max-length takes a number from 1, not 0"),
        (["--workers", "0"], "--workers takes a number from 1, not 0"),
        (["--sample", "-1"], "--sample takes a number from 1, not -1"),
        (["--limit-findings", "-1"], "--limit-findings takes a number from 0, not -1"),
        (["--timeout", "nan"], "--timeout takes a number from 0, not nan"),
        (["--tag", ""], "--tag is empty"),
        (["--images", "nowhere"], "--images: there is no folder nowhere"),
        (["--checks", "spams"], "unknown check 'spams'; did you mean 'spans'?"),
        (["--subjects", "none.yaml"], "none.yaml: there is no such file"),
    ],
)
def test_what_was_mistyped_is_one_line(folder, capfd, arguments, told):
    lines("a.jsonl", GOOD)
    code, out, err = scan(capfd, "a.jsonl", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(told)
    assert err.count("\n") == 1


def test_a_subject_that_is_wrong_itself(folder, capfd):
    text = YAML.replace("placeholder: <pad>", "placeholder: <none>")
    Path("tokenizers_under_test.yaml").write_text(text)
    lines("a.jsonl", GOOD, MISSING)
    code, out, _ = scan(capfd, "a.jsonl")
    assert code == 1
    assert out.startswith("the subject itself  contract.tokens/")
    assert "a.jsonl:2  turn 0  image-missing" in out
    assert "0 judged by the pipeline" in out


# ---------------------------------------------------------------- how it ends


def started(folder, *arguments):
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "image_spans", "scan", "--subject", "toy", "--format", "json", *arguments]
    return subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_with_the_report_so_far(folder, number, code):
    lines("a.jsonl", SILENT, GOOD, sample("wait for ever"), SILENT)
    with started(folder, "a.jsonl") as process:
        assert process.stderr.readline() == "waiting\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (code, "")
    summary = json.loads(out)["summary"]
    assert summary["rows"] == 2
    assert summary["stopped"] == number.name
    assert summary["causes"] == {"nothing-trained": {"rows": 1, "first": "a.jsonl:1"}}


def test_whoever_stops_reading_gets_no_traceback(folder):
    lines("a.jsonl", *[SILENT] * 20_000)
    with started(folder, "a.jsonl", "--format", "jsonl", "--limit-findings", "0") as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == 2


def test_a_signal_between_two_rows_loses_none():
    stop, tally = Stop(), Tally()

    def told(problems):
        stop.by = signal.SIGTERM  # as if it had come while the row was counted

    problem = Problem("image-missing", "", "")
    verdicts = iter([Judged(()), Judged((problem,)), Judged(())])
    with stop.listening():
        loop.scan(verdicts, tally, stop, told)
    assert (tally.rows, tally.stopped) == (2, "SIGTERM")
    assert next(verdicts) == Judged(())


def _interrupt():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(1)


def test_a_second_signal_ends_as_ever():
    before = signal.getsignal(signal.SIGINT)
    stop = Stop()
    with stop.listening():
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(100):
            time.sleep(0.001)
        assert stop.by == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            _interrupt()
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupt_that_is_not_ours_goes_on():
    def interrupted():
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt):
        loop.scan(interrupted(), Tally(), Stop())


def test_progress_counts_the_bytes_of_all_files(folder):
    lines("a.jsonl", GOOD, GOOD)
    lines("b.jsonl", GOOD)
    parts = loop.parts([Path("a.jsonl"), Path("b.jsonl")], Tally())
    told = []
    assert len(list(loop.rows(parts, Tally(), tell=told.append))) == 3
    assert told == sorted(told)
    assert told[-1] == sum(part.size for part in parts)


def test_on_a_terminal_there_is_a_bar(folder, monkeypatch):
    import io

    from image_spans.scan import command

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    with command._progress([Part(Path("a"), 100)]) as tell:
        time.sleep(0.01)
        tell(50, 7)
        time.sleep(0.2)
    assert "50%" in sys.stderr.getvalue()
    assert "7 rows" in sys.stderr.getvalue()
    assert "rows/s" in sys.stderr.getvalue()
