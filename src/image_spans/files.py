"""Files that are there as a whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def beside(path: Path) -> Path:
    """Where this process writes before it puts the file in its place."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def write_whole(path: Path, text: str) -> None:
    """Replace a file; the old one stays until the new one is there whole.

    Raises:
        OSError: it cannot be written.
    """
    made = beside(path)
    try:
        with made.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(made, path)
    finally:
        made.unlink(missing_ok=True)
