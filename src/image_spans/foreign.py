"""Calling code that is not ours: it may never end, print without end, or leave by the back door.

One :class:`Foreign` belongs to a run. A call that takes too long is interrupted by an exception inside it; one that
hangs in native code, where no exception can reach it, ends the process, with a line that says what was called.
"""

from __future__ import annotations

import ctypes
import faulthandler
import io
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from functools import cached_property, partial
from types import FrameType
from typing import Any, TextIO, TypeVar

from image_spans.errors import words

T = TypeVar("T")

SHOWN = 10_000
"""Characters of a run's foreign output that are passed on, so that a report stays readable."""
LOUD = 100_000
"""Characters that one call may print; more is a fault of the code under test."""


class TookTooLong(Exception):
    """A call did not end within the limit and was interrupted."""


class LeftTheProcess(Exception):
    """A call tried to end more than itself: SystemExit, pytest.skip, pytest.exit, os._exit."""


class PrintedTooMuch(Exception):
    """A call wrote more than :data:`LOUD` characters, or bytes, to stdout and stderr."""


class ChangedItsInput(Exception):
    """A pipeline changed the conversation that it was given."""


MISBEHAVIOUR = (TookTooLong, LeftTheProcess, PrintedTooMuch, ChangedItsInput)
"""What code under test may do besides raising an exception of its own or returning something wrong."""


class _Overdue(BaseException):
    """Raised inside a call that takes too long; not an Exception, so that ``except Exception`` lets it through."""


class _Refused(SystemExit):
    """Raised in place of ending the process; in a thread of its own it ends that thread without a word."""


_ENDINGS = ("_exit", "execv", "execve")
"""What of ``os`` ends this process at once: pytest would not get to say what failed, and its exit code may be 0."""
_exit = os._exit


class Foreign:
    """How foreign code is called.

    Args:
        limit: seconds that a call may take; 0: any time.
        log: a file descriptor of the terminal, for the last words when a call hangs in native code.
    """

    def __init__(self, limit: float = 0.0, log: int | None = None) -> None:
        self.limit = limit
        self._log = log
        self._shown = SHOWN
        self._lock = threading.Lock()
        self._current: _Call | None = None
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()
        self._of_another_timer: BaseException | None = None
        """What another timer's handler raised inside a call, such as the time limit of a test."""
        self._calls: list[_Call] = []
        """Those under way, with or without a limit."""
        self._real: dict[str, Callable[..., None]] = {}
        """What ends the process, by its name in ``os``; the others stand in its place until the run is closed."""
        self._refusals: dict[str, Callable[..., None]] = {}
        self._process = os.getpid()

    def call(
        self, what: Callable[[], str], function: Callable[..., T], *arguments: Any, limit: float | None = None
    ) -> T:
        """What the function returns; whatever it raises of the kind Exception is raised.

        Args:
            what: what is called, for the last words; asked for only when they are spoken.
            limit: seconds that this call may take, if other than usual.

        Raises:
            TookTooLong, LeftTheProcess, PrintedTooMuch: it did.
        """
        __tracebackhide__ = True
        call = _Call(what, self._current, self.limit if limit is None else limit)
        with ExitStack() as stack:
            sinks = [stack.enter_context(to(self._sink(now))) for to, now in _streams()]
            self._keep_alive(call, stack)
            try:
                try:
                    self._enter(call)
                    result = function(*arguments)
                finally:
                    if os.getpid() != call.process:  # a child, forked by the function, is not to go on with our run
                        _exit(1)
                    self._leave(call)
            except _Overdue:
                self._leave(call)  # it may have been raised before that was done
                raise _too_long(call) from None
            except BaseException as error:
                if error is self._of_another_timer or isinstance(error, KeyboardInterrupt):
                    raise
                if call.overdue:
                    raise _too_long(call) from error
                if call.left is not None:
                    raise LeftTheProcess(call.left) from error
                if isinstance(error, Exception):
                    raise
                raise LeftTheProcess(f"raised {words(error)}, which ends more than one call") from error
            if call.overdue:  # the exception inside it was swallowed
                raise _too_long(call)
            if call.left is not None:  # so was that one, or it ended another thread
                raise LeftTheProcess(call.left)
        printed = sum(sink.written for sink in sinks)
        if printed > LOUD:
            raise PrintedTooMuch(f"printed {printed} characters in one call")
        return result

    def watch_no_longer(self) -> None:
        """Let all calls take any time from here on: somebody sits in a debugger."""
        self._closed.set()

    def close(self) -> None:
        """Stop watching; closes ``log``."""
        self._closed.set()
        for name, function in self._refusals.items():
            if getattr(os, name) is function:  # else somebody has put another one there, and knows why
                setattr(os, name, self._real[name])
        self._refusals = {}
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._log is not None:
            os.close(self._log)
            self._log = None

    def _sink(self, stream: TextIO) -> _Sink:
        return _Sink(stream.stream if isinstance(stream, _Sink) else stream, self)

    def pass_on(self, stream: Any, text: str | bytes) -> None:
        """Write foreign output where it was meant to go, as long as there is not too much of it."""
        if self._shown <= 0:
            return
        stream.write(text[: self._shown])
        self._shown -= len(text)
        if self._shown <= 0:
            last = "\n[image-spans: what the code under test prints from here on is not shown]\n"
            stream.write(last if isinstance(text, str) else last.encode())

    # ------------------------------------------------------------ the process

    def _keep_alive(self, call: _Call, stack: ExitStack) -> None:
        """From the first call on, Python code cannot end the process with 0, and a call cannot end it at all."""
        if not self._real:
            self._real = {name: getattr(os, name) for name in _ENDINGS}
            self._refusals = {name: partial(self._refuse, name) for name in _ENDINGS}
            for name, function in self._refusals.items():
                setattr(os, name, function)
        self._calls.append(call)
        stack.callback(self._calls.remove, call)

    def _refuse(self, name: str, *arguments: Any, **named: Any) -> None:
        calls, here = list(self._calls), threading.get_ident()
        looks_green = name != "_exit" or 0 in (*arguments, *named.values())
        if self._refusals and os.getpid() == self._process:  # a child that somebody forked may end
            # Another thread that ends the process with a failure may be somebody's watchdog, as pytest-timeout's is.
            if calls and (looks_green or any(call.thread == here for call in calls)):
                calls[-1].left = f"called os.{name}, which ends the whole run"
                raise _Refused(1)
            if looks_green and name == "_exit":
                self._last_words("os._exit(0) was called outside of any call of code under test", all_threads=False)
                self._real[name](1)
        self._real[name](*arguments, **named)

    def _last_words(self, why: str, *, all_threads: bool = True) -> None:
        log = 2 if self._log is None else self._log
        os.write(log, f"\nimage-spans: {why}. The run ends here.\n".encode("ascii", "backslashreplace"))
        faulthandler.dump_traceback(file=log, all_threads=all_threads)

    # ------------------------------------------------------------ time

    def _enter(self, call: _Call) -> None:
        if not call.limit:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="image-spans watchdog", daemon=True)
            self._thread.start()
        if _can_signal() and call.outer is None:
            call.handler = signal.signal(signal.SIGALRM, self._on_signal)
            call.handles = True
        call.deadline = time.monotonic() + call.limit
        self._current = call

    def _leave(self, call: _Call) -> None:
        if self._current is call:
            with self._lock:  # no exception is sent from here on
                self._current = call.outer
                if call.outer is not None:
                    call.outer.deadline += time.monotonic() - call.begun
            if call.sent:
                _let_arrive()
        if call.handles:
            call.handles = False
            signal.signal(signal.SIGALRM, call.handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """In the main thread: the watchdog's signal, or one of somebody else's timer."""
        call = self._current
        if call is not None and call.overdue:
            raise _Overdue
        while call is not None and call.outer is not None:
            call = call.outer
        if call is not None and callable(call.handler):
            try:
                call.handler(number, frame)
            except BaseException as error:
                self._of_another_timer = error
                raise

    def _watch(self) -> None:
        """The watchdog: interrupts a call at its deadline, and ends the process if that does not help."""
        pause = min(0.5, self.limit / 4) if self.limit else 0.5
        while not self._closed.wait(pause):
            with self._lock:
                call, now = self._current, time.monotonic()
                if call is None or now < call.deadline:
                    continue
                if not call.overdue:
                    call.overdue = True
                    self._interrupt(call)
                    continue
                if now > call.deadline + self.limit:
                    self._end(call)

    def _interrupt(self, call: _Call) -> None:
        outermost = call
        while outermost.outer is not None:
            outermost = outermost.outer
        # The call may have put another handler in place of ours; without any, the signal would kill the process.
        if outermost.handles and signal.getsignal(signal.SIGALRM) == self._on_signal:
            signal.pthread_kill(call.thread, signal.SIGALRM)
        else:
            call.sent = True
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(call.thread), ctypes.py_object(_Overdue))

    def _end(self, call: _Call) -> None:
        self._last_words(
            f"{call.what()} did not end within {call.limit:g} seconds and cannot be interrupted: it hangs in native "
            "code, or catches every exception"
        )
        _exit(1)


class _Call:
    """One call that is under way."""

    def __init__(self, what: Callable[[], str], outer: _Call | None, limit: float) -> None:
        self.what = what
        self.limit = limit
        self.outer = outer
        """The call inside which this one was made; its time stands still meanwhile."""
        self.begun = time.monotonic()
        self.deadline = 0.0
        self.thread = threading.get_ident()
        self.process = os.getpid()
        self.handler: Any = None
        self.handles = False
        """Whether ``handler`` is what has to be put back."""
        self.overdue = False
        self.sent = False
        """Whether an exception was sent to the thread."""
        self.left: str | None = None
        """How it tried to end the process."""


def _let_arrive() -> None:
    """Take the exception that was sent to this thread, if it has not arrived yet: it does in the first turn of a loop.

    Taking it back with ``PyThreadState_SetAsyncExc(thread, NULL)`` leaves CPython 3.11 looking for one for good, and
    under a tracer (coverage, a debugger) the next function call never ends.
    """
    try:
        for _ in range(100):
            pass
    except _Overdue:
        pass


def _too_long(call: _Call) -> TookTooLong:
    return TookTooLong(f"did not end within {call.limit:g} seconds")


def _can_signal() -> bool:
    """A signal also ends a sleep or a read; only the main thread can take it, and Windows has none."""
    if not hasattr(signal, "pthread_kill") or threading.current_thread() is not threading.main_thread():
        return False
    return signal.getsignal(signal.SIGALRM) is not None  # else it was installed by C, and could not be put back


class _Sink:
    """Stands for a stream, of text or of bytes: counts, and passes on what is not too much."""

    def __init__(self, stream: Any, foreign: Foreign) -> None:
        self.stream = stream
        self._foreign = foreign
        self._own = 0

    @cached_property
    def buffer(self) -> _Sink:
        """Takes bytes; what is written there was printed too."""
        return _Sink(self.stream.buffer, self._foreign)

    @property
    def written(self) -> int:
        """Characters and bytes."""
        below = self.__dict__.get("buffer")  # it is there once somebody has asked for it
        return self._own + (0 if below is None else below.written)

    def write(self, text: Any) -> int:
        if not isinstance(text, str):
            text = bytes(memoryview(text))
        self._own += len(text)
        self._foreign.pass_on(self.stream, text)
        return len(text)

    def writelines(self, lines: Iterable[Any]) -> None:
        for line in lines:
            self.write(line)

    def close(self) -> None:
        """Nothing: the stream is pytest's."""

    def _dealloc_warn(self, source: object) -> None:
        """Nothing: ``io`` asks for it when a wrapper around this is collected, and the stream is not left open."""

    def detach(self) -> None:
        raise io.UnsupportedOperation("the stream is not yours")

    def __enter__(self) -> _Sink:
        return self

    def __exit__(self, *raised: object) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def _streams() -> list[tuple[Any, TextIO]]:
    """What has to be redirected; a process without a terminal may have none."""
    streams = ((redirect_stdout, sys.stdout), (redirect_stderr, sys.stderr))
    return [(to, stream) for to, stream in streams if stream is not None]
