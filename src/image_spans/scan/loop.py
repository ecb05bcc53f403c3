"""From files to rows, from rows to the tally; one bad row never ends it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import FrameType
from typing import TypeAlias

from image_spans.errors import words
from image_spans.scan import containers
from image_spans.scan.causes import Unread
from image_spans.scan.judge import Judged, Problem
from image_spans.scan.rows import Row
from image_spans.scan.tally import Tally


class Stop:
    """Ctrl-C and SIGTERM: they end the row that is being judged, and the scan behind it; never what counts it.

    A second one ends the process as ever.
    """

    def __init__(self) -> None:
        self.by: signal.Signals | None = None
        self._judging = False

    @contextmanager
    def listening(self) -> Iterator[Stop]:
        """While this lasts, the signals are ours; only in the main thread."""
        before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def judging(self) -> Iterator[None]:
        """What may be interrupted at once.

        Raises:
            KeyboardInterrupt: a signal came, now or before.
        """
        self._judging = True
        try:
            if self.by is not None:
                raise KeyboardInterrupt
            yield
        finally:
            self._judging = False

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        again, self.by = self.by is not None, signal.Signals(number)
        if self._judging or again:
            raise KeyboardInterrupt


@dataclass(frozen=True)
class Part:
    """One file to read."""

    path: Path
    size: int
    """Bytes."""


def parts(paths: Sequence[Path], tally: Tally) -> list[Part]:
    """The files that hold the rows of these paths; the tally is told of those that cannot be had."""
    found = []
    for path in paths:
        try:
            found += [Part(file, file.stat().st_size) for file in containers.files(path)]
        except (Unread, OSError) as error:
            tally.unread.append((str(path), str(error) if isinstance(error, Unread) else words(error)))
    return found


Wanted: TypeAlias = "Mapping[Path, frozenset[int]]"
"""File to the indexes of the rows that are wanted of it."""


def sampled(files: Sequence[Part], number: int, seed: int) -> Wanted:
    """Rows chosen at random, the same for a seed. Counts the rows of all files first, without parsing one."""
    places = [(part.path, index) for part in files for index in range(containers.count(part.path))]
    found: dict[Path, set[int]] = {part.path: set() for part in files}
    for path, index in Random(seed).sample(places, min(number, len(places))):
        found[path].add(index)
    return {path: frozenset(indexes) for path, indexes in found.items()}


def rows(
    files: Sequence[Part],
    tally: Tally,
    wanted: Wanted | None = None,
    tell: Callable[[int], None] = lambda _: None,
) -> Iterator[Row]:
    """The rows of files, in order.

    Args:
        files: what to read.
        tally: is told of what cannot be read.
        wanted: the rows that are wanted; None: all.
        tell: is told how many bytes of all were read.
    """
    before = 0
    for part in files:
        try:
            own = None if wanted is None else wanted[part.path]
            yield from containers.rows(part.path, str(part.path), lambda at, before=before: tell(before + at), own)  # type: ignore[misc]
        except Unread as error:
            tally.unread.append((str(part.path), str(error)))
        before += part.size
        tell(before)


def scan(
    verdicts: Iterator[Judged],
    tally: Tally,
    stop: Stop,
    found: Callable[[Sequence[Problem]], None] = lambda _: None,
) -> None:
    """Gather the verdicts of all rows, in their order.

    Args:
        verdicts: of the rows; reading and judging happen while the next one is asked for.
        tally: gathers what is found.
        stop: ends the scan early; the tally then says so.
        found: is told the problems of each row that has some, within the tally's limit.
    """
    try:
        while True:
            with stop.judging():
                verdict = next(verdicts, None)
            if verdict is None:
                return
            kept = tally.add(verdict)
            if kept:
                found(kept)
    except KeyboardInterrupt:
        if stop.by is None:
            raise
        tally.stopped = stop.by.name
