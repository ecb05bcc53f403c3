"""A proposal becomes a file that was not there; one that is there is never touched."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from image_spans import config
from image_spans.errors import ConfigError, Undecided
from image_spans.files import write_new


def refuse_existing(path: Path) -> None:
    """Say early that nothing would be written.

    Raises:
        ConfigError: there is such a file, or its folder is not there.
    """
    if path.suffix not in (".yaml", ".yml"):
        raise ConfigError(f"{path.name!r} is no name by which pytest knows a YAML; expected NAME.yaml")
    if os.path.lexists(path):
        raise ConfigError(_exists(path))
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"there is no folder {str(path.parent)!r} to write {path.name} in")


def _exists(path: Path) -> str:
    return f"{path} is there already and stays as it is; --print shows the entry, to be put under its subjects"


def check(text: str) -> None:
    """Have the YAML read as a run reads it; only what is TODO may be refused.

    Raises:
        ConfigError: it is not valid, which is a fault of ours.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / config.DEFAULT_FILE
        file.write_text(text, encoding="utf-8", newline="\n")
        try:
            config.read(file)
        except Undecided as open_:
            if open_.others:
                raise ConfigError(f"what would be proposed is not valid: {open_.others[0]}; please report it") from None
        except ConfigError as error:
            raise ConfigError(f"what would be proposed is not valid: {error}; please report it") from None


def create(path: Path, text: str) -> None:
    """Write a new file.

    Raises:
        ConfigError: it is there, or cannot be written.
    """
    try:
        write_new(path, text)
    except FileExistsError:
        raise ConfigError(_exists(path)) from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None


def show(text: str) -> None:
    """Print it, whatever characters the terminal knows."""
    sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
    sys.stdout.flush()
