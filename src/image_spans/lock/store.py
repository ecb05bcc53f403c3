"""The lock file: one record per subject, written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from image_spans.errors import ConfigError
from image_spans.files import write_whole
from image_spans.lock.record import MADE_OF, Record

SCHEMA = 1
_REMEDY = "take it from version control again, or delete it and record anew: pytest --spans-lock=update"


def lock_file(yaml: Path) -> Path:
    """The lock of a YAML of subjects: ``tokenizers_under_test.lock.json`` beside ``tokenizers_under_test.yaml``."""
    return yaml.with_suffix(".lock.json")


def read(path: Path, shown: str | None = None) -> dict[str, Record]:
    """Subject to record; empty where there is no lock.

    Args:
        path: the lock file.
        shown: what messages call it; default: its name.

    Raises:
        ConfigError: it cannot be read, or is no lock of this schema.
    """
    where = shown or path.name
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}: cannot be read ({getattr(error, 'strerror', None) or 'not UTF-8'})") from error
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        at = f":{error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        conflict = any(line.startswith(("<<<<<<< ", ">>>>>>> ")) for line in text.splitlines())
        why = "has an unresolved merge conflict" if conflict else "is damaged: not JSON"
        raise ConfigError(f"{where}{at}: {why}; {_REMEDY}") from error
    if not isinstance(found, dict) or not isinstance(found.get("subjects"), dict) or "schema" not in found:
        raise ConfigError(f"{where}: is no lock of image-spans (expected the keys schema and subjects); {_REMEDY}")
    if found["schema"] != SCHEMA:
        newer = isinstance(found["schema"], int) and found["schema"] > SCHEMA
        remedy = "upgrade pytest-image-spans" if newer else "record anew: pytest --spans-lock=update"
        raise ConfigError(f"{where}: has the schema {found['schema']!r}, this version writes {SCHEMA}; {remedy}")
    for name, record in found["subjects"].items():
        if not isinstance(record, dict) or not isinstance(record.get(MADE_OF), dict) or "class" not in record[MADE_OF]:
            raise ConfigError(f"{where}: the record of {name!r} is damaged; {_REMEDY}")
    subjects: dict[str, Record] = found["subjects"]
    return subjects


def text_of(records: Mapping[str, Record]) -> str:
    """What the file holds: sorted, one value a line, readable in a diff."""
    whole: dict[str, Any] = {"schema": SCHEMA, "subjects": records}
    text = json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode() + "\n"


def write(path: Path, records: Mapping[str, Record]) -> None:
    """Replace the lock; the old one stays until the new one is there whole.

    Raises:
        OSError: it cannot be written.
    """
    for left in path.parent.glob(f".{path.name}.*.tmp"):  # by a process that was killed
        left.unlink(missing_ok=True)
    write_whole(path, text_of(records))
