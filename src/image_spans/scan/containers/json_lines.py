"""JSON lines: one row in each line. Blank lines are none, but count."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from image_spans.scan import containers
from image_spans.scan import rows as _rows
from image_spans.scan.causes import Fault
from image_spans.scan.opened import Opened
from image_spans.scan.rows import Row


def holds(path: Path, head: bytes) -> bool:
    """By the name, unless a list begins on a line of its own."""
    if not containers.name(path).endswith((".jsonl", ".ndjson")):
        return False
    return re.match(rb"\s*\[\s*\n", head.removeprefix(containers.BOM)) is None


def rows(opened: Opened, path: Path, file: str, wanted: frozenset[int] | None = None) -> Iterator[Row]:
    """The rows; a line that is longer than may be held is passed over."""
    number = index = 0
    while line := opened.stream.readline(_rows.LARGEST_ROW + 1):
        number += 1
        if number == 1:
            line = line.removeprefix(containers.BOM)
        if len(line) > _rows.LARGEST_ROW:
            while line and not line.endswith(b"\n"):
                line = opened.stream.readline(1 << 20)
            yield Row(file, index, b"", number, Fault("row-too-large", f"longer than {_rows.LARGEST_ROW} bytes"))
        elif line.strip():
            yield Row(file, index, line, number)
        else:
            continue
        index += 1
