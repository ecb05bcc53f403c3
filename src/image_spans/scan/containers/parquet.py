"""Parquet, read in batches of a few rows; needs pyarrow."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from image_spans.errors import words
from image_spans.scan.causes import Unread
from image_spans.scan.opened import Opened
from image_spans.scan.rows import Row

BATCH = 32
"""Rows that are made Python objects at once; each may hold pictures."""


def holds(path: Path, head: bytes) -> bool:
    """By its first bytes."""
    return head.startswith(b"PAR1")


def count(opened: Opened) -> int:
    """How many rows there are, as the end of the file says.

    Raises:
        Unread: as :func:`rows`.
    """
    library, parquet = pyarrow("Parquet", "pyarrow.parquet")
    try:
        return int(parquet.ParquetFile(opened.stream).metadata.num_rows)
    except (library.ArrowException, OSError, ValueError) as error:
        raise Unread(words(error)) from None


def rows(opened: Opened, path: Path, file: str, wanted: frozenset[int] | None = None) -> Iterator[Row]:
    """The rows; groups in which none is wanted are not read.

    Raises:
        Unread: pyarrow is missing, or cannot read the file.
    """
    library, parquet = pyarrow("Parquet", "pyarrow.parquet")
    try:
        data = parquet.ParquetFile(opened.stream)
        first = 0
        for group in range(data.num_row_groups):
            number = data.metadata.row_group(group).num_rows
            if wanted is None or not wanted.isdisjoint(range(first, first + number)):
                batches = data.iter_batches(batch_size=BATCH, row_groups=[group])
                yield from in_batches(batches, file, first, wanted)
            first += number
    except (library.ArrowException, OSError, ValueError) as error:
        raise Unread(words(error)) from None


def pyarrow(what: str, module: str) -> tuple[Any, Any]:
    """The library, and a module of it.

    Raises:
        Unread: it is not installed.
    """
    try:
        return importlib.import_module("pyarrow"), importlib.import_module(module)
    except ImportError:
        raise Unread(f"reading {what} needs pyarrow: pip install 'pytest-image-spans[scan]'") from None


def in_batches(
    batches: Iterator[Any], file: str, first: int = 0, wanted: frozenset[int] | None = None
) -> Iterator[Row]:
    """The rows of record batches; only those that are wanted are made Python objects."""
    for batch in batches:
        for start in range(0, batch.num_rows, BATCH):
            part = batch.slice(start, BATCH)
            places = range(first + start, first + start + part.num_rows)
            if wanted is None:
                yield from (Row(file, index, data) for index, data in zip(places, part.to_pylist(), strict=True))
                continue
            for index in sorted(wanted.intersection(places)):
                (data,) = part.slice(index - places.start, 1).to_pylist()
                yield Row(file, index, data)
        first += batch.num_rows
