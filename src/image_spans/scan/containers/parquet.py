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


def rows(opened: Opened, path: Path, file: str) -> Iterator[Row]:
    """The rows.

    Raises:
        Unread: pyarrow is missing, or cannot read the file.
    """
    library, parquet = pyarrow("Parquet", "pyarrow.parquet")
    try:
        batches = parquet.ParquetFile(opened.stream).iter_batches(batch_size=BATCH)
        yield from in_batches(batches, file)
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


def in_batches(batches: Iterator[Any], file: str, first: int = 0) -> Iterator[Row]:
    """The rows of record batches."""
    index = first
    for batch in batches:
        for start in range(0, batch.num_rows, BATCH):
            for data in batch.slice(start, BATCH).to_pylist():
                yield Row(file, index, data)
                index += 1
