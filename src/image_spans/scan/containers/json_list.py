"""JSON: a list of rows, or rows one behind the other. Split at its brackets, never held as a whole.

A JSON parser gives up at the first fault, and would take all rows behind it along. So rows are cut out by brackets and
quotes alone, and each is parsed by itself. A line break ends a string: JSON has none inside, and a quote that is
missing then spoils one row. Where a bracket is missing, the row ends where the next begins like it: on a new line,
after the same blanks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from image_spans.scan import containers
from image_spans.scan import rows as _rows
from image_spans.scan.causes import Fault, Unread
from image_spans.scan.opened import Opened
from image_spans.scan.rows import Row

CHUNK = 1 << 18
"""Bytes that are read at once."""


def holds(path: Path, head: bytes) -> bool:
    """By how it begins."""
    return head.removeprefix(containers.BOM).lstrip()[:1] in (b"[", b"{")


def rows(opened: Opened, path: Path, file: str, wanted: frozenset[int] | None = None) -> Iterator[Row]:
    """The rows.

    Raises:
        Unread: the list has no end, or something stands behind it.
    """
    for index, data in enumerate(Splitter(opened.stream)):
        if data is None:
            yield Row(file, index, b"", fault=Fault("row-too-large", f"longer than {_rows.LARGEST_ROW} bytes"))
        else:
            yield Row(file, index, data)


_OUTER = re.compile(rb'["{}\[\],]')
_INNER = re.compile(rb'["{}\[\]]')
_STRING = re.compile(rb'["\\\n]')
_VISIBLE = re.compile(rb"\S")
_PARTNER = {ord("}"): ord("{"), ord("]"): ord("[")}
_QUOTE, _COMMA, _BACKSLASH, _LINE, _END, _BRACE = b'",\\\n]}'


class Splitter:
    """Iterates over the rows as bytes; None stands for one that is too large."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._buffer = bytearray()
        """What was read and not given out; taking away from its front costs nothing."""
        self._at = 0
        """Up to here the buffer is known."""
        self._open: list[int] = []
        """The brackets that are open inside the row."""
        self._in_string = False
        self._dropped = False
        """Whether a part of the row is gone, since it is too large."""
        self._is_list = False

    def __iter__(self) -> Iterator[bytes | None]:
        """The rows.

        Raises:
            Unread: the list has no end, or something stands behind it.
        """
        self._begin()
        count = 0
        while True:
            end = self._step()
            if end is None:
                too_large = len(self._buffer) > _rows.LARGEST_ROW
                if not too_large and self._more():
                    continue
                end = self._resumption()
                if end is not None:
                    count += 1
                    yield self._cut(end)
                    continue
                if too_large:
                    self._let_go()
                    continue
                break
            row = self._cut(end)
            closing = self._buffer[0] if self._is_list else _COMMA
            if self._is_list:
                del self._buffer[0]
            if row != b"" or closing == _COMMA or count:
                yield row
                count += 1
            if closing == _END:
                self._refuse_more()
                return
        if self._dropped or self._buffer.strip():
            yield self._cut(len(self._buffer))
        if self._is_list:
            raise Unread("ends inside the list: it is cut off, or a bracket is missing")

    def _begin(self) -> None:
        while not self._buffer.strip() and self._more():
            pass
        if self._buffer.startswith(containers.BOM):
            del self._buffer[: len(containers.BOM)]
        first = _VISIBLE.search(self._buffer)
        self._is_list = first is not None and first.group() == b"["
        if self._is_list and first is not None:
            del self._buffer[: first.end()]
        else:
            self._buffer[:0] = b"\n"  # the first row begins a line, as the others do

    def _step(self) -> int | None:
        """Where the row ends that the buffer begins with; None: that is not yet known."""
        buffer = self._buffer
        while True:
            inside = self._open or not self._is_list
            match = (_STRING if self._in_string else _INNER if inside else _OUTER).search(buffer, self._at)
            if match is None:
                self._at = len(buffer)
                return None
            at = match.start()
            byte = buffer[at]
            self._at = at + 1
            if self._in_string:
                if byte != _BACKSLASH:
                    self._in_string = False
                elif at + 1 == len(buffer):
                    self._at = at  # what is escaped is not read yet
                    return None
                elif buffer[at + 1] != _LINE:
                    self._at += 1
            elif byte == _QUOTE:
                self._in_string = True
            elif byte in b"{[":
                self._open.append(byte)
            elif not self._open:
                if self._is_list and byte != _BRACE:
                    return at
            elif _PARTNER[byte] in self._open:
                while self._open.pop() != _PARTNER[byte]:
                    pass  # what was never closed
                if not self._open and not self._is_list:
                    return at + 1

    def _resumption(self) -> int | None:
        """Where a row that was never closed is to end: where the next begins as it did; None: nowhere."""
        first = _VISIBLE.search(self._buffer)
        if not self._open or self._dropped or first is None:
            return None
        line = self._buffer.rfind(b"\n", 0, first.start())
        found = self._buffer.find(self._buffer[line : first.end()], first.end()) if line >= 0 else -1
        return found if found >= 0 else None

    def _cut(self, end: int) -> bytes | None:
        """Take the row off the buffer."""
        row = None if self._dropped else bytes(self._buffer[:end]).strip()
        if row is not None and self._open:
            row = row.removesuffix(b",")
        del self._buffer[:end]
        self._at = 0
        self._open.clear()
        self._in_string = self._dropped = False
        return row

    def _more(self) -> bool:
        """Read on; False at the end of the file."""
        given = self._stream.read(CHUNK)
        self._buffer += given
        return bool(given)

    def _let_go(self) -> None:
        """Forget the row so far: it is too large to be held."""
        self._dropped = True
        self._buffer.clear()
        self._at = 0

    def _refuse_more(self) -> None:
        while not self._buffer.strip():
            self._buffer.clear()
            if not self._more():
                return
        raise Unread("something stands behind the end of the list")
