"""A row of a file, before anybody knows what it means; and the JSON in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from image_spans.scan.causes import Fault

LARGEST_ROW = 1 << 28
"""Bytes of a row that are held in memory; a longer one is told and passed over."""


@dataclass(frozen=True)
class Row:
    """One row.

    ``data`` is its JSON as bytes, or what a columnar file holds as plain Python; ``fault`` is why there is none.
    ``index`` counts the rows of a file from 0; ``line`` is that of JSON lines, from 1.
    """

    file: str
    index: int
    data: bytes | Mapping[str, Any]
    line: int | None = None
    fault: Fault | None = None

    @property
    def place(self) -> str:
        """``data.jsonl:7`` is a line from 1, ``data.json[6]`` an index from 0."""
        return f"{self.file}:{self.line}" if self.line is not None else f"{self.file}[{self.index}]"


def parsed(row: Row) -> tuple[Mapping[str, Any] | None, list[Fault]]:
    """The object that a row holds, and what is wrong with it; None: there is none."""
    if row.fault is not None:
        return None, [row.fault]
    if not isinstance(row.data, bytes):
        return row.data, []
    faults: list[Fault] = []

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs) and not faults:
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            faults.append(Fault("row-duplicate-key", f"the key {twice!r} stands twice in one object"))
        return found

    try:
        text = row.data.decode("utf-8")
        if "\0" in text:
            return None, [Fault("row-not-json", f"the row holds {text.count(chr(0))} NUL bytes")]
        value = json.loads(text, object_pairs_hook=collect)
    except UnicodeDecodeError as error:
        byte = row.data[error.start]
        return None, [Fault("row-not-utf8", f"byte {error.start} of the row is 0x{byte:02x}, which is not UTF-8 there")]
    except json.JSONDecodeError as error:
        return None, [Fault("row-not-json", f"{error.msg}, at character {error.pos} of the row")]
    except RecursionError:
        return None, [Fault("row-too-deep", "the row is nested too deeply to be read")]
    except ValueError as error:  # a number of too many digits
        return None, [Fault("row-not-json", str(error))]
    if not isinstance(value, dict):
        return None, [Fault("row-not-object", f"the row is {kind(value)}, expected an object")]
    return value, faults


def kind(value: Any) -> str:
    """What JSON calls a value: ``a number``, ``null``."""
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a text", list: "a list", dict: "an object"}
    return names.get(type(value), f"of the type {type(value).__name__}")
