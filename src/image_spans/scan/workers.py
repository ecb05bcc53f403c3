"""Rows judged by several processes, told in the order of the rows, whichever process was first.

Every row has a number, and its verdict is taken once. A process that ends leaves the rows that it was given: they are
judged again, one at a time, so that a row which ends a process is found out, and costs no other row its verdict.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, TypeAlias

from image_spans.errors import ConfigError, Unavailable
from image_spans.scan.causes import Fault
from image_spans.scan.judge import Judge, Judged, Options, judged, of_fault
from image_spans.scan.rows import Row

BATCH_ROWS = 32
BATCH_BYTES = 1 << 20
AHEAD = 4
"""Batches per process that are read before the first of them is judged."""

Numbered: TypeAlias = "tuple[int, Row]"
Tell: TypeAlias = Callable[[str], None]


@dataclass(frozen=True)
class Recipe:
    """From which a process makes its judge."""

    subject: str
    file: Path
    options: Options

    def judge(self) -> Judge:
        """The judge.

        Raises:
            ConfigError, Unavailable: as loading a subject does.
        """
        from image_spans.config import load_subject

        return Judge(load_subject(self.subject, self.file), self.options)


@dataclass
class _Worker:
    """A process, our end of its pipe, and the rows that it was given and has not answered."""

    process: Any
    pipe: Connection
    ready: bool = False
    given: list[Numbered] = field(default_factory=list)


class Pool:
    """Processes that judge; they are started when rows come, and live until the pool is closed.

    Args:
        number: of processes.
        recipe: of their judges.
        with_checks: False: they look at the data alone.
        ended: is told how a process ended.
    """

    def __init__(self, number: int, recipe: Recipe, *, with_checks: bool, ended: Tell = lambda _: None) -> None:
        self._number = number
        self._recipe = recipe
        self._with_checks = with_checks
        self._ended = ended
        self._context = multiprocessing.get_context("spawn")  # threads and locks of a fork would be half of ours
        self._workers: list[_Worker] = []
        self._waiting: deque[list[Numbered]] = deque()
        """Batches that no process has yet."""
        self._verdicts: dict[int, Judged] = {}
        """Those that wait for a verdict of an earlier row."""

    def judge(self, rows: Iterable[Row]) -> Iterator[Judged]:
        """The verdicts of rows, in their order.

        Raises:
            ConfigError: a process cannot load the subject.
        """
        coming = batches(enumerate(rows))
        following = 0
        read = 0
        exhausted = False
        try:
            while True:
                while not exhausted and len(self._waiting) < self._number and read - following < self._most_ahead:
                    batch = next(coming, None)
                    exhausted = batch is None
                    if batch is not None:
                        self._waiting.append(batch)
                        read = batch[-1][0] + 1
                if exhausted and following == read:
                    return
                self._hand_out()
                self._listen()
                while following in self._verdicts:
                    yield self._verdicts.pop(following)
                    following += 1
        except BaseException:
            self.close()  # processes that are in the middle of a batch are of no use to another call
            raise

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *of_exception: object) -> None:
        self.close()

    @property
    def _most_ahead(self) -> int:
        return self._number * AHEAD * BATCH_ROWS

    def close(self) -> None:
        """End all processes; what they have under way is lost."""
        self._waiting.clear()
        self._verdicts.clear()
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join()
            worker.pipe.close()
        self._workers = []

    def _hand_out(self) -> None:
        while len(self._workers) < self._number and self._waiting:
            self._workers.append(self._started())
        for worker in self._workers:
            # Only one that waits for rows is given some: with both ends writing, neither would read.
            if self._waiting and worker.ready and not worker.given:
                batch = self._waiting.popleft()
                try:
                    worker.pipe.send(batch)
                except OSError:  # it has ended; whoever listens finds out
                    self._waiting.appendleft(batch)
                    continue
                worker.given = batch

    def _started(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(theirs, self._recipe, self._with_checks), daemon=True)
        process.start()
        theirs.close()
        return _Worker(process, ours)

    def _listen(self) -> None:
        """Take what processes say, or that they say no more."""
        pipes = {worker.pipe: worker for worker in self._workers}
        for pipe in wait(list(pipes)):
            assert isinstance(pipe, Connection)
            worker = pipes[pipe]
            try:
                said = pipe.recv()
            except (EOFError, OSError):
                self._bury(worker)
                continue
            if isinstance(said, str):
                raise ConfigError(said)
            if said is None:
                worker.ready = True
                continue
            for (number, _), verdict in zip(worker.given, said, strict=True):
                self._verdicts[number] = verdict
            worker.given = []

    def _bury(self, worker: _Worker) -> None:
        worker.process.join()
        worker.pipe.close()
        self._workers.remove(worker)
        how = _how(worker.process.exitcode)
        if not worker.ready:
            raise ConfigError(f"a process that loaded the subject {self._recipe.subject} {how}")
        self._ended(how)
        if len(worker.given) == 1:
            ((number, row),) = worker.given
            fault = Fault("row-ended-process", f"a process that judged it {how}")
            self._verdicts[number] = Judged((of_fault(fault, row),))
        else:
            self._waiting.extendleft([one] for one in reversed(worker.given))


def batches(rows: Iterable[Numbered]) -> Iterator[list[Numbered]]:
    """Rows in their order, as many at once as a process is given."""
    batch: list[Numbered] = []
    size = 0
    for number, row in rows:
        batch.append((number, row))
        size += len(row.data) if isinstance(row.data, bytes) else BATCH_BYTES // BATCH_ROWS
        if len(batch) == BATCH_ROWS or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _how(code: int | None) -> str:
    if code is not None and code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def _work(pipe: Connection, recipe: Recipe, with_checks: bool) -> None:
    """In a process of its own: None once it is ready, then the verdicts of each batch; a text where it cannot be."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; who started us says when we end
    try:
        judge = recipe.judge()
    except (ConfigError, Unavailable) as error:
        pipe.send(str(error))
        return
    pipe.send(None)
    while True:
        try:
            batch = pipe.recv()
        except EOFError:
            return
        pipe.send([judged(judge, row, with_checks=with_checks) for _, row in batch])
