"""Calling code that is not ours: limits of time and output, and no way out."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import image_spans
from image_spans.errors import LONGEST_WORDS, words
from image_spans.foreign import LOUD, SHOWN, Foreign, LeftTheProcess, PrintedTooMuch, TookTooLong

LIMIT = 0.4


@pytest.fixture
def foreign():
    made = Foreign(LIMIT)
    yield made
    made.close()


def call(foreign, function, *arguments, **keywords):
    return foreign.call(lambda: "a test", function, *arguments, **keywords)


def spin(seconds: float = 1e9) -> str:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    return "done"


def test_what_ends_in_time_is_returned(foreign):
    assert call(foreign, spin, LIMIT / 4) == "done"
    assert call(foreign, pow, 2, 5) == 32
    with pytest.raises(KeyError, match="mine"):
        call(foreign, {}.__getitem__, "mine")


ENDLESS = [spin, *([lambda: time.sleep(1e6), threading.Event().wait] if hasattr(signal, "pthread_kill") else [])]


@pytest.mark.parametrize("endless", ENDLESS)
def test_what_does_not_end_is_interrupted_and_the_next_call_is_not(foreign, endless):
    for _ in range(2):
        with pytest.raises(TookTooLong, match=f"did not end within {LIMIT:g} seconds"):
            call(foreign, endless)
        assert call(foreign, pow, 2, 5) == 32


def test_outside_of_the_main_thread_too(foreign):
    seen = []

    def in_thread():
        try:
            call(foreign, spin)
        except TookTooLong as error:
            seen.append(error)
        seen.append(call(foreign, pow, 2, 5))

    thread = threading.Thread(target=in_thread)
    thread.start()
    thread.join(60)
    assert [type(one) for one in seen] == [TookTooLong, int]


TRACED = """
import sys, threading, time
from image_spans.foreign import Foreign, TookTooLong

def spin():
    while True:
        time.monotonic()

def called_again():
    return "done"

def in_thread():
    sys.settrace(lambda *event: None)
    for _ in range(3):
        try:
            foreign.call(lambda: "a test", spin)
        except TookTooLong:
            print(foreign.call(lambda: "a test", called_again))

foreign = Foreign(0.2)
thread = threading.Thread(target=in_thread)
thread.start()
thread.join()
foreign.close()
"""


def test_under_a_tracer_too():
    """Coverage and debuggers trace; CPython 3.11 must not be left looking for an exception that was taken back."""
    here = os.environ | {"PYTHONPATH": str(Path(image_spans.__file__).parents[1])}
    run = subprocess.run(
        [sys.executable, "-c", TRACED], capture_output=True, text=True, timeout=60, check=True, env=here
    )
    assert run.stdout.split() == ["done"] * 3


def test_a_call_inside_a_call_has_a_time_of_its_own(foreign):
    def outer():
        for _ in range(4):
            call(foreign, spin, LIMIT / 2)  # together more than the limit
        return "outer done"

    assert call(foreign, outer) == "outer done"

    def stuck_inside():
        with pytest.raises(TookTooLong):
            call(foreign, spin)
        return "went on"

    assert call(foreign, stuck_inside) == "went on"


def test_a_limit_of_its_own(foreign):
    assert call(foreign, spin, 2 * LIMIT, limit=60.0) == "done"
    assert call(Foreign(), spin, LIMIT) == "done"


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers")
def test_the_timer_of_somebody_else_still_rings(foreign):
    rung = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(True))
    try:
        signal.setitimer(signal.ITIMER_REAL, LIMIT / 4)
        assert call(foreign, spin, LIMIT / 2) == "done"
        assert rung == [True]
        assert signal.getsignal(signal.SIGALRM) is not before
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("way_out", [SystemExit(3), GeneratorExit(), pytest.skip.Exception("no")])
def test_the_ways_out_are_errors(foreign, way_out):
    def leave():
        raise way_out

    with pytest.raises(LeftTheProcess, match=type(way_out).__name__):
        call(foreign, leave)


def leave(code: int) -> None:
    os._exit(code)


@pytest.mark.parametrize("code", [0, 3])
def test_the_process_cannot_be_ended_inside_a_call(foreign, code):
    with pytest.raises(LeftTheProcess, match="called os._exit, which ends the whole run"):
        call(foreign, leave, code)
    with pytest.raises(LeftTheProcess, match="called os._exit"):  # the inner one, caught by the outer one
        call(foreign, call, foreign, leave, code)
    assert call(foreign, pow, 2, 5) == 32


def test_what_ends_the_process_is_put_back(foreign, monkeypatch):
    before = os._exit, os.execv, os.execve
    call(foreign, pow, 2, 5)
    assert os._exit is not before[0]
    kept = os._exit
    foreign.close()
    assert (os._exit, os.execv, os.execve) == before
    seen = []
    other = Foreign(LIMIT)
    monkeypatch.setattr(os, "_exit", seen.append)
    call(other, pow, 2, 5)
    os._exit(4)  # another code than 0 is no green run, and not ours outside of a call
    somebody = os._exit = lambda code: None
    other.close()
    assert seen == [4]
    assert os._exit is somebody
    monkeypatch.undo()
    monkeypatch.setitem(foreign._real, "_exit", seen.append)
    kept(0)  # whoever kept it for later gets what there was
    assert seen == [4, 0]


IN_A_THREAD = """
import os, threading
from image_spans.foreign import Foreign

def in_a_thread():
    thread = threading.Thread(target=lambda: os._exit({code}))
    thread.start()
    thread.join()

foreign = Foreign()
foreign.call(lambda: "a test", print, "called")
{then}
"""


@pytest.mark.parametrize("code", [0, 3])
def test_outside_of_a_call_it_cannot_be_ended_as_if_all_were_well(code):
    ran = subprocess.run(
        [sys.executable, "-c", IN_A_THREAD.format(code=code, then="in_a_thread()")],
        env={**os.environ, "PYTHONPATH": str(Path(image_spans.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == (code or 1)
    words = "image-spans: os._exit(0) was called outside of any call of code under test. The run ends here."
    assert (words in ran.stderr.splitlines()) == (code == 0)


def test_the_watchdog_of_somebody_else_may_end_it():
    """As that of pytest-timeout does, while a call is under way."""
    then = 'foreign.call(lambda: "a test", in_a_thread)'
    ran = subprocess.run(
        [sys.executable, "-c", IN_A_THREAD.format(code=3, then=then)],
        env={**os.environ, "PYTHONPATH": str(Path(image_spans.__file__).parents[1])},
        timeout=120,
    )
    assert ran.returncode == 3


def test_the_user_may_interrupt(foreign):
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call(foreign, interrupted)


def test_printing_is_passed_on_in_part(foreign, capsys):
    for number in range(2000):
        call(foreign, print, f"line {number} of what the code under test has to say")
    told = capsys.readouterr().out
    assert told.startswith("line 0 of what")
    assert told.count("is not shown") == 1
    assert len(told) < SHOWN + 200
    with pytest.raises(PrintedTooMuch, match=f"printed {LOUD + 1} characters in one call"):
        call(foreign, print, "x" * LOUD)
    with pytest.raises(PrintedTooMuch):
        call(foreign, lambda: print("x" * LOUD, file=sys.stderr))


def test_bytes_are_printed_too(foreign, capfdbinary):
    for _ in range(2000):
        call(foreign, lambda: sys.stdout.buffer.write(b"bytes of the code under test\n"))
    sys.stdout.flush()
    told = capfdbinary.readouterr().out
    assert told.startswith(b"bytes of")
    assert told.count(b"is not shown") == 1
    assert len(told) < SHOWN + 200

    def both():
        print("x" * (LOUD // 2), end="")
        sys.stdout.buffer.writelines([b"x" * (LOUD // 2), b"x"])

    with pytest.raises(PrintedTooMuch, match=f"printed {LOUD + 1} characters in one call"):
        call(foreign, both)

    def rewraps():
        io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8").write("x")  # and closes it when it is collected

    call(foreign, rewraps)
    assert not sys.stdout.buffer.closed


def test_a_stream_cannot_be_closed_and_may_be_missing(foreign, monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    call(foreign, lambda: sys.stdout.close())
    assert not stream.closed
    with pytest.raises(AttributeError):
        call(foreign, lambda: sys.stdout.buffer)  # it has none
    monkeypatch.setattr(sys, "stderr", None)
    assert call(foreign, pow, 2, 5) == 32


def test_long_words_are_cut():
    said = words(ValueError("x" * 10**6))
    assert said == f"ValueError: {'x' * LONGEST_WORDS}... (1000000 characters)"
    assert words(ValueError()) == "ValueError"
