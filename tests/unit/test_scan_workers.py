"""Several processes: the same report whatever their number, and no row lost or told twice where one ends."""

from __future__ import annotations

import json
import multiprocessing
import signal
from pathlib import Path

import pytest

from image_spans.__main__ import main
from image_spans.errors import ConfigError
from image_spans.scan import workers
from image_spans.scan.judge import Options
from image_spans.scan.rows import Row
from image_spans.scan.workers import Pool, Recipe
from toy_folder import YAML

OWN = """\
import ctypes
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, TESTS)
from support import ToyTokenizer, contract
from image_spans.pipelines import reference

PROMISE = contract(slices=None)
HERE = Path(__file__).parent


def load():
    if (HERE / "ends").exists() and os.getppid() == int((HERE / "ends").read_text()):
        ctypes.CDLL(None).exit(3)
    return ToyTokenizer()


def encode(tokenizer, conversation):
    said = repr(conversation)
    if "end the process" in said:
        ctypes.CDLL(None).exit(0)
    if "be killed once" in said and not (HERE / "killed").exists():
        (HERE / "killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if "add" in said:
        return [1000]
    return reference("flat_slices")(tokenizer, conversation, contract=PROMISE)["input_ids"]
"""
TESTS = Path(__file__).parents[1]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "tokenizers_under_test.yaml").write_text(YAML)
    (tmp_path / "own_tokenizer.py").write_text(OWN.replace("TESTS", repr(str(TESTS))))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(workers, "BATCH_ROWS", 4)
    return tmp_path


def sample(text):
    return {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": "y"}]}


def lines(name, texts):
    Path(name).write_text("".join(json.dumps(sample(text)) + "\n" for text in texts))


def scan(capfd, *arguments):
    code = main(["scan", *arguments, "--subject", "toy", "--format", "json", "--limit-findings", "0"])
    return code, json.loads(capfd.readouterr().out)


def test_the_report_is_the_same_whatever_the_number_of_processes(folder, capfd):
    lines("a.jsonl", [f"{'add' if number % 7 == 0 else 'right'} {number}" for number in range(100)])
    with Path("a.jsonl").open("a") as file:
        file.write("broken\n" * 3)
    alone = scan(capfd, "a.jsonl", "none.jsonl")
    assert alone[0] == 2
    assert alone[1]["summary"]["rows"] == 103
    assert len(alone[1]["findings"]) == 15 + 3
    assert scan(capfd, "a.jsonl", "none.jsonl", "--workers", "2") == alone
    assert scan(capfd, "a.jsonl", "none.jsonl", "--workers", "5") == alone
    assert not multiprocessing.active_children()


def test_a_row_that_ends_a_process_is_found_and_costs_no_other_its_verdict(folder, capfd):
    texts = [f"add {number}" for number in range(22)]
    texts[5] = texts[13] = "end the process"
    texts[9] = "be killed once"
    lines("a.jsonl", texts)
    code, told = scan(capfd, "a.jsonl", "--workers", "2")
    assert code == 1
    found = [(one["row"], one["cause"].partition("/")[0]) for one in told["findings"]]
    ended = {5: "row-ended-process", 13: "row-ended-process"}
    assert found == [(row, ended.get(row, "text.survives")) for row in range(22) if row != 9]
    assert told["summary"]["rows"] == 22
    assert told["findings"][5]["message"] == "a process that judged it ended with exit code 0"
    # Twice for each of the two, once with its batch and once alone; and once for the one that was killed.
    assert sorted(told["summary"]["workers_ended"]) == ["ended with exit code 0"] * 4 + ["was ended by SIGKILL"]


def test_a_process_that_cannot_load_the_subject(folder):
    with pytest.raises(ConfigError, match="there is no subject 'tiy'; did you mean 'toy'"):
        list(Pool(1, Recipe("tiy", Path("tokenizers_under_test.yaml"), Options()), with_checks=True).judge(rows(1)))
    (folder / "ends").write_text(str(__import__("os").getpid()))
    with pytest.raises(ConfigError, match="a process that loaded the subject toy ended with exit code 3"):
        list(Pool(1, Recipe("toy", Path("tokenizers_under_test.yaml"), Options()), with_checks=True).judge(rows(1)))
    assert not multiprocessing.active_children()


def rows(number):
    for index in range(number):
        yield Row("a", index, json.dumps(sample("right")).encode())


def test_no_more_rows_are_read_than_can_be_judged_soon(folder):
    read = []

    def endless():
        for row in rows(10**9):
            read.append(row.index)
            yield row

    pool = Pool(2, Recipe("toy", Path("tokenizers_under_test.yaml"), Options()), with_checks=True)
    verdicts = pool.judge(endless())
    for number in range(1, 60):
        assert next(verdicts).judged
        assert len(read) <= number + (2 * workers.AHEAD + 2) * 4
    verdicts.close()
    assert not multiprocessing.active_children()


def test_rows_that_are_larger_than_a_pipe_holds(folder, monkeypatch):
    monkeypatch.setattr(workers, "BATCH_ROWS", 2)
    text = "add " + "x" * 300_000
    given = [Row("a", index, json.dumps(sample(text)).encode()) for index in range(12)]
    pool = Pool(2, Recipe("toy", Path("tokenizers_under_test.yaml"), Options()), with_checks=True)
    assert [[problem.row for problem in verdict.problems] for verdict in pool.judge(given)] == [[n] for n in range(12)]


def test_large_rows_are_handed_out_alone(monkeypatch):
    monkeypatch.setattr(workers, "BATCH_BYTES", 100)
    monkeypatch.setattr(workers, "BATCH_ROWS", 4)
    given = [Row("a", 0, b"x" * 60), Row("a", 1, b"x" * 60), Row("a", 2, {"a": 1}), Row("a", 3, b"x" * 500)]
    given += [Row("a", index, b"x") for index in range(4, 9)]
    sizes = [len(batch) for batch in workers._batches(enumerate(given))]
    assert sizes == [2, 2, 4, 1]


def test_an_exit_code_in_words():
    assert workers._how(0) == "ended with exit code 0"
    assert workers._how(-signal.SIGSEGV) == "was ended by SIGSEGV"
