"""Two lock files: what is different between what they say."""

from __future__ import annotations

from pathlib import Path

from image_spans.compare.differences import Comparison, compared
from image_spans.compare.run import Outcome
from image_spans.errors import ConfigError
from image_spans.lock import store
from image_spans.lock.record import Record


def comparison(before: Path, after: Path) -> Comparison:
    """The differences between two lock files; a subject that only one of them has is one.

    Raises:
        ConfigError: one cannot be read.
    """
    return compared(Outcome(str(before), dict(read(before))), Outcome(str(after), dict(read(after))))


def read(path: Path) -> dict[str, Record]:
    """Subject to record.

    Raises:
        ConfigError: it is no lock file.
    """
    if not path.exists():
        raise ConfigError(f"{path}: there is no such lock file")
    return store.read(path, str(path))
