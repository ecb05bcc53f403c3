"""Code under test that does what it must not: one named finding each, and the run goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from consumer_repository import YAML

PIPELINES = {  # the check that says so, its message, its cause
    "raises": ("pipeline.encodes: raised KeyError: 'image_bound'", "the pipeline fails with KeyError inside *"),
    "raises_a_long_text": ("*: raised KeyError: * (3000002 characters)", "the pipeline fails with KeyError inside *"),
    "raises_what_exits_when_shown": ("*: raised Exits, which ends more than one call", "the pipeline tries to end *"),
    "leaves_what_cannot_be_compared": (
        "*: raised RuntimeError: not comparable",
        "the pipeline fails with RuntimeError *",
    ),
    "raises_what_cannot_be_shown": ("pipeline.encodes: raised Unprintable", "the pipeline fails with Unprintable *"),
    "returns_none": ("pipeline.encodes: the result is a NoneType, not a list of ids", "* is not an encoding"),
    "returns_text": ("pipeline.encodes: the result is a str, not a list of ids", "* is not an encoding"),
    "returns_floats": ("pipeline.encodes: the result holds *.0 (float) at 0; expected ints", "* is not an encoding"),
    "returns_bools": ("pipeline.encodes: the result holds True (bool) at 0; expected ints", "* is not an encoding"),
    "returns_nested": ("pipeline.encodes: the result is nested: *", "* is not an encoding"),
    "returns_a_batch_of_numpy": ("pipeline.encodes: the result is nested: *", "* is not an encoding"),
    "returns_a_generator": ("pipeline.encodes: the result is a generator, not a list of ids", "* is not an encoding"),
    "returns_itself": ("pipeline.encodes: the result is nested: *", "* is not an encoding"),
    "returns_negative": ("pipeline.encodes: the id at * is -200, which no token has", "an id is not in the vocab*"),
    "returns_huge": ("pipeline.encodes: the id at * is 1180591620717411303424, which no token*", "an id is not in *"),
    "returns_other_labels": ("pipeline.encodes: labels has * entries for * ids", "* is not an encoding"),
    "changes_the_conversation": ("pipeline.encodes: changed the conversation *", "the pipeline changes the conv*"),
    "prints_a_lot": ("pipeline.encodes: printed 200001 characters in one call", "the pipeline prints: *"),
    "prints_a_lot_of_bytes": ("pipeline.encodes: printed 200000 characters in one call", "the pipeline prints: *"),
    "loops": ("pipeline.encodes: did not end within 1 seconds", "the pipeline does not end; *"),
    "sleeps": ("pipeline.encodes: did not end within 1 seconds", "the pipeline does not end; *"),
    "loops_and_catches": ("pipeline.encodes: did not end within 1 seconds", "the pipeline does not end; *"),
    "loops_and_catches_all": ("pipeline.encodes: did not end within 1 seconds", "the pipeline does not end; *"),
    "loops_and_raises_another": ("pipeline.encodes: did not end within 1 seconds", "the pipeline does not end; *"),
    "loops_without_a_handler": ("pipeline.encodes: did not end within 1 seconds", "the pipeline does not end; *"),
    "exits": ("pipeline.encodes: raised SystemExit: 0, which ends more than one call", "the pipeline tries to end *"),
    "exits_at_once": ("pipeline.encodes: called os._exit, which ends the whole run", "the pipeline tries to end *"),
    "exits_at_once_in_a_thread": ("pipeline.encodes: called os._exit, which *", "the pipeline tries to end *"),
    "exits_at_once_and_catches_all": ("pipeline.encodes: called os._exit, which *", "the pipeline tries to end *"),
    "becomes_another_program": ("pipeline.encodes: called os.execv*, which ends *", "the pipeline tries to end *"),
    "skips": ("pipeline.encodes: raised Skipped: not today, which ends more than one call", "the pipeline tries *"),
    "recurses": ("pipeline.encodes: raised RecursionError: *", "the pipeline fails with RecursionError *"),
}
HARMLESS = (
    *("returns_numpy", "prints_a_little", "closes_stdout", "knows_images_by_identity"),
    *("forks", "forks_and_exits_at_once", "right"),
)


def _subjects(entries: dict[str, str]) -> str:
    """A YAML whose subjects differ in their pipelines."""
    head, _, entry = YAML.partition("  mine:\n")
    return head + "".join(
        "  " + name.replace("_", "-") + ":\n" + entry.replace("assembly:PIPELINE", pipeline)
        for name, pipeline in entries.items()
    )


@pytest.fixture
def hostile(consumer):
    """Makes a repository that has the hostile parts; returns the pytester."""

    def make(yaml: str):
        repository = consumer(yaml=yaml)
        parts = Path(__file__).with_name("hostile_parts.py").read_text(encoding="utf-8")
        repository.path.joinpath("parts.py").write_text(parts, encoding="utf-8")
        return repository

    return make


def test_hostile_pipelines(hostile, run):
    names = dict.fromkeys((*PIPELINES, *HARMLESS))
    hostile(_subjects({name: f"{'assembly' if name == 'right' else 'parts'}:{name}" for name in names}))
    result = run("--spans-timeout=1", "-k", "test_subject or start")
    output = result.stdout.str()
    assert result.ret == 1
    for name, (message, cause) in PIPELINES.items():
        subject = name.replace("_", "-")
        result.stdout.fnmatch_lines([f"{subject} breaks {message}", f"  Cause       {cause}"])
        full = [line for line in result.outlines if line.startswith(f"{subject} breaks ")]
        assert len({line.partition(":")[0] for line in full}) == 1, full  # one check, one cause
        assert output.count(f"load_subject('{subject}')") == 1  # told in full once
        result.stdout.fnmatch_lines([f"{subject} *ok 2 *FAIL 1*blocked*"])
    for name in HARMLESS:
        subject = name.replace("_", "-")
        assert f"{subject} breaks" not in output
        result.stdout.fnmatch_lines([f"{subject} *ok 2 *ok 1 *"])
    assert len(output) < 200_000
    assert "INTERNALERROR" not in output


def test_the_time_limit_of_a_test_is_not_the_fault_of_the_pipeline(hostile, run):
    repository = hostile(_subjects({"slow": "parts:sleeps_past_the_limit_of_the_test"}))
    with (repository.path / "conftest.py").open("a") as conftest:
        conftest.write(ALARM)
    result = run("-k", "start and pipeline")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*Failed: Timeout > 1 s"])
    assert "slow breaks" not in result.stdout.str()


ALARM = """
import signal

import pytest


def _out_of_time(number, frame):
    pytest.fail("Timeout > 1 s")


@pytest.fixture(autouse=True)
def limit():
    before = signal.signal(signal.SIGALRM, _out_of_time)
    yield
    signal.signal(signal.SIGALRM, before)
"""
"""As pytest-timeout does it; the pipeline itself sets the timer, so that it rings inside of it."""


def test_a_tokenizer_that_fails_while_the_cause_is_looked_for(hostile, run):
    yaml = _subjects({"late": "parts:without_the_first_id"})
    source = next(line for line in yaml.splitlines() if "source:" in line)
    hostile(yaml.replace(f"backend: tiktoken\n{source}", "factory: parts:FailsLate"))
    result = run("-k", "start")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "late breaks spans.matched: 0 image opens, 1 close",
            "  Cause       cause unknown: looking for it raised OSError: lost the file",
        ]
    )
    assert "Traceback" not in result.stdout.str()
    assert "def test_" not in result.stdout.str()


def test_a_pipeline_that_differs_on_a_second_call(hostile, run):
    hostile(_subjects({"forgets": "parts:differs_on_a_second_call"}))
    result = run("-k", "start")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["forgets breaks paths.agree: a second call gives *", "  Cause       * remembers *"])


def test_a_pipeline_that_prints_does_not_drown_the_report(hostile, run):
    hostile(_subjects({"prints": "parts:prints_a_little", "wrong": "parts:raises"}))
    result = run("-s", "-k", "start")
    printed = result.stderr.str()
    assert "about to encode Conversation(" in printed
    assert "what the code under test prints from here on is not shown" in printed
    assert len(printed) < 15_000


def test_rules_that_fail_or_loop(hostile, run):
    rules = {name: f"parts:rule_that_{name}_on_large_images" for name in ("fails", "loops")}
    yaml = _subjects(dict.fromkeys(rules, "assembly:right"))
    for rule in rules.values():
        yaml = yaml.replace("rule: minicpm", f"rule: '{rule}'", 1)
    hostile(yaml)
    result = run("--spans-timeout=1", "-k", "test_subject or middle")
    assert result.ret == 1
    assert result.parseoutcomes()["failed"] == 2
    result.stdout.fnmatch_lines(["*subjects.fails: the slice rule raised ZeroDivisionError: * for an image of *x*"])
    result.stdout.fnmatch_lines(["*subjects.loops: asking its slice rule for many sizes did not end within 1 seconds"])


TOKENIZERS = {
    "Raises": "raises breaks contract.tokens: the tokenizer raised OSError: lost the file",
    "ReturnsNone": "*subjects.returnsnone: *ReturnsNone.encode_text('hello') returned None, expected a list of ids",
    "ReturnsText": "*subjects.returnstext: *ReturnsText.encode('hello') returned a str, expected a list of ids",
    "ReturnsFloats": "*subjects.returnsfloats: *.encode_text('hello') returned a list *float*",
    "DecodesToBytes": "*subjects.decodestobytes: *.decode(*) returned a bytes, expected a*",
    "Loops": "*subjects.loops: loading it did not end within 5 seconds",
    "LoopsOnItsTokens": "*subjects.loopsonitstokens: asking its tokenizer for its tokens did not end within *",
    "load_and_raise": "*subjects.load-and-raise: the factory parts:load_and_raise raised FileNotFoundError: vocab.json",
    "load_and_loop": "*subjects.load-and-loop: loading it did not end within 5 seconds",
    "load_and_exit": "*subjects.load-and-exit: loading it raised SystemExit: bye, which ends more than one call",
    "load_nothing": "*subjects.load-nothing: a builtins.NoneType is no tokenizer *",
}


def test_hostile_tokenizers(hostile, run):
    yaml = _subjects({name.lower(): "assembly:right" for name in (*TOKENIZERS, "Plain")})
    source = next(line for line in yaml.splitlines() if "source:" in line)
    for name in (*TOKENIZERS, "Plain"):
        yaml = yaml.replace(f"backend: tiktoken\n{source}", f"factory: parts:{name}", 1)
    hostile(yaml)
    result = run("--spans-timeout=0.5", "-k", "test_subject or start")
    assert result.ret == 1
    for name, line in TOKENIZERS.items():
        result.stdout.fnmatch_lines([line])
        result.stdout.fnmatch_lines([f"{name.lower().replace('_', '-')} *FAIL 1/2*blocked*"])
    assert "plain breaks" not in result.stdout.str()
    result.stdout.fnmatch_lines(["plain *ok 2 *"])


def test_a_tokenizer_that_loops_while_it_is_judged(hostile, run):
    yaml = _subjects({"late": "assembly:right"})
    source = next(line for line in yaml.splitlines() if "source:" in line)
    hostile(yaml.replace(f"backend: tiktoken\n{source}", "factory: parts:LoopsLate"))
    result = run("--spans-timeout=1")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["late breaks *: judging did not end within 1 seconds"])


@pytest.mark.parametrize("arguments", [(), ("-n", "1")], ids=["plain", "xdist"])
def test_a_hang_in_native_code_ends_the_run_with_a_name(hostile, run, arguments):
    repository = hostile(_subjects({"hangs": "native:encode"}))
    repository.path.joinpath("native.py").write_text(
        "import signal\n\n\ndef encode(tokenizer, conversation):\n"
        "    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\n"  # no signal can reach it
        "    signal.sigwait({signal.SIGUSR1})\n",
        encoding="utf-8",
    )
    result = run("--spans-timeout=1", "-k", "start", *arguments)
    assert result.ret != 0
    output = result.stdout.str() + result.stderr.str()
    assert "image-spans: hangs on Conversation([Message('user'" in output
    assert "cannot be interrupted: it hangs in native code" in output
    assert "in encode" in output  # the traceback


@pytest.mark.parametrize("function", ["exit", "_exit"])
def test_native_code_that_ends_a_worker_ends_no_run(hostile, run, function):
    """Without xdist nobody is left who could say so; docs/ARCHITECTURE.md."""
    repository = hostile(_subjects({"ends": "native:encode"}))
    repository.path.joinpath("native.py").write_text(
        f"import ctypes\n\n\ndef encode(tokenizer, conversation):\n    ctypes.CDLL(None).{function}(0)\n",
        encoding="utf-8",
    )
    result = run("-k", "start", "-n", "1", "--max-worker-restart=0")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["worker 'gw0' crashed while running '*ends-start-*'"])


def test_a_thread_that_goes_on_after_the_call_cannot_end_the_run_as_if_all_were_well(hostile, run):
    repository = hostile(_subjects({"left-behind": "left_behind:encode"}))
    repository.path.joinpath("left_behind.py").write_text(LEFT_BEHIND, encoding="utf-8")
    with (repository.path / "conftest.py").open("a") as conftest:
        conftest.write("\n\ndef pytest_runtest_teardown():\n    import left_behind\n\n    left_behind.go_on()\n")
    result = run("-k", "start and pipeline")
    assert result.ret == 1
    output = result.stdout.str() + result.stderr.str()
    assert "image-spans: os._exit(0) was called outside of any call of code under test. The run ends here." in output
    assert "in end_the_process" in output  # the traceback


LEFT_BEHIND = """
import os
import threading

from assembly import right

tested = threading.Event()


def end_the_process():
    tested.wait()
    os._exit(0)


thread = threading.Thread(target=end_the_process, daemon=True)
thread.start()


def go_on():
    tested.set()
    thread.join()


def encode(tokenizer, conversation):
    return right(tokenizer, conversation)
"""


def test_the_limit(refused, hostile, run):
    hostile(_subjects({"mine": "assembly:right"}))
    assert "--spans-timeout: expected a number of seconds (0: no limit), found 'soon'" in refused(
        "--spans-timeout=soon"
    )
    assert run("--spans-timeout=0", "-k", "start").ret == 0


def test_a_debugger_in_a_call_is_left_in_peace(hostile, run):
    repository = hostile(_subjects({"debugged": "debugged:encode"}))
    repository.path.joinpath("debugged.py").write_text(
        "import pdb\nimport time\n\nfrom assembly import right\n\n\n"
        "class Waits(pdb.Pdb):\n    def set_trace(self, frame=None):\n        time.sleep(2.5)\n\n\n"
        "asked = []\n\n\ndef encode(tokenizer, conversation):\n"
        "    if not asked:\n        asked.append(breakpoint())\n    return right(tokenizer, conversation)\n",
        encoding="utf-8",
    )
    result = run("--spans-timeout=1", "-k", "start", "--pdbcls=debugged:Waits")
    assert result.ret == 0
    assert result.parseoutcomes()["passed"] == 12
