"""What the library datasets saves: a folder with ``state.json`` and files of Arrow streams; needs pyarrow alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from image_spans.errors import words
from image_spans.scan.causes import Unread
from image_spans.scan.containers.parquet import in_batches, pyarrow
from image_spans.scan.opened import Opened
from image_spans.scan.rows import Row


def files(folder: Path) -> list[Path] | None:
    """The files of a dataset, or of all its splits; None: the folder is none.

    Raises:
        Unread: what it says of itself cannot be read.
    """
    try:
        if (folder / "dataset_dict.json").is_file():
            splits = json.loads((folder / "dataset_dict.json").read_text(encoding="utf-8"))["splits"]
            return [path for split in splits for path in files(folder / split) or ()]
        if (folder / "state.json").is_file():
            state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
            return [folder / one["filename"] for one in state["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Unread(f"is a saved dataset whose description cannot be read ({words(error)})") from None
    return None


def holds(path: Path, head: bytes) -> bool:
    """By the name and the first bytes of an Arrow stream."""
    return path.suffix == ".arrow" and head[:4] == b"\xff\xff\xff\xff"


def count(opened: Opened) -> int:
    """How many rows there are, up to where the file breaks off."""
    number = 0
    with suppress(Unread):
        for batch in _batches(opened):
            number += batch.num_rows
    return number


def rows(opened: Opened, path: Path, file: str, wanted: frozenset[int] | None = None) -> Iterator[Row]:
    """The rows.

    Raises:
        Unread: pyarrow is missing, or cannot read the file.
    """
    yield from in_batches(_batches(opened), file, 0, wanted)


def _batches(opened: Opened) -> Iterator[Any]:
    library, ipc = pyarrow("a saved dataset", "pyarrow.ipc")
    try:
        yield from ipc.open_stream(opened.stream)
    except (library.ArrowException, OSError, ValueError) as error:
        raise Unread(words(error)) from None
