"""Two lock files: what is different between what they say."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

from image_spans.compare.differences import Comparison, compared
from image_spans.compare.run import Outcome
from image_spans.errors import ConfigError
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
    if importlib.util.find_spec("image_spans.lock.store") is not None:
        from image_spans.lock import store  # type: ignore[attr-defined,unused-ignore]

        found: dict[str, Record] = store.read(path)
        return found
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as a lock file: {error}") from error
    if not isinstance(data, dict) or data.get("schema") != 1 or not isinstance(data.get("subjects"), dict):
        raise ConfigError(f"{path} is no lock file of schema 1")
    return dict(data["subjects"])
