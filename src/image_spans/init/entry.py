"""The entry that is proposed: plain data of the YAML, in which some values are still to be decided."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

KeyPath: TypeAlias = tuple[str, ...]


class Todo(str):
    """What cannot be decided: the question. In the YAML it is a value that no run accepts."""

    __slots__ = ()


@dataclass
class Proposal:
    """One subject of the YAML."""

    name: str
    entry: dict[str, Any]
    """``tokenizer``, ``pipeline`` and ``contract``."""
    notes: dict[KeyPath, str] = field(default_factory=dict)
    """Key to the evidence for its value."""
    seen: list[str] = field(default_factory=list)
    """What was observed besides; it stands above the entry."""

    def todos(self) -> list[tuple[KeyPath, Todo]]:
        """All that is still to be decided."""
        return [(path, value) for path, value in self.leaves() if isinstance(value, Todo)]

    def leaves(self) -> Iterator[tuple[KeyPath, Any]]:
        """Every value that is no mapping, with its key."""
        yield from leaves(self.entry)


def leaves(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Every value inside mappings that is none itself, with its key."""
    if isinstance(value, Mapping) and value:
        for key, one in value.items():
            yield from leaves(one, (*path, key))
    else:
        yield path, value
