"""Files that are there as a whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def beside(path: Path) -> Path:
    """Where this process writes before it puts the file in its place."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


@contextmanager
def _made(path: Path, text: str) -> Iterator[Path]:
    """A finished file beside the one that is meant; gone in any case."""
    made = beside(path)
    try:
        with made.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        yield made
    finally:
        made.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Replace a file; the old one stays until the new one is there whole.

    Raises:
        OSError: it cannot be written.
    """
    with _made(path, text) as made:
        os.replace(made, path)


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there: whole, and never over another one, also where two processes do it at once.

    Raises:
        FileExistsError: it is there.
        OSError: it cannot be written.
    """
    with _made(path, text) as made:
        try:
            os.link(made, path)  # unlike a renaming, it fails where the name is taken
        except FileExistsError:
            raise
        except OSError:  # a file system without links: the name is taken first, which fails just so
            with path.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
