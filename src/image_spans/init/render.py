"""A proposal as YAML to be read by people: short mappings on one line, the evidence as comments."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from image_spans.init.entry import KeyPath, Proposal, Todo

WIDTH = 120
_EDITOR = "# How an editor completes and checks this file: python -m image_spans schema --help\n"
_PLAIN = re.compile(r"[A-Za-z</_][A-Za-z0-9_./<>|+:@-]*")


def document(proposal: Proposal) -> str:
    """A whole file."""
    return f"{_EDITOR}version: 1\nsubjects:\n{subject(proposal)}"


def subject(proposal: Proposal) -> str:
    """One entry, as it stands under ``subjects``."""
    lines = [part for line in proposal.seen for part in _comment(line, 2)]
    lines.append(f"  {scalar(proposal.name)}:")
    lines += _mapping(proposal.entry, (), 4, proposal.notes)
    return "".join(f"{line}\n" for line in lines)


def _mapping(values: Mapping[str, Any], path: KeyPath, indent: int, notes: Mapping[KeyPath, str]) -> list[str]:
    lines: list[str] = []
    for key, value in values.items():
        here = (*path, key)
        note = notes.get(here, "")
        inner = any(len(one) > len(here) and one[: len(here)] == here for one in notes)
        head = f"{' ' * indent}{scalar(key)}:"
        line = f"{head} {_flow(value)}"
        if isinstance(value, Mapping) and value and (inner or len(line) > WIDTH or _holds_todo(value)):
            lines += [*(_comment(note, indent) if note else []), head, *_mapping(value, here, indent + 2, notes)]
        elif note and len(line) + len(note) + 4 <= WIDTH:
            lines.append(f"{line}  # {_printable(note)}")
        else:
            lines += [*(_comment(note, indent) if note else []), line]
    return lines


def _holds_todo(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_holds_todo, value.values()))
    return isinstance(value, Todo)


def _comment(text: str, indent: int) -> list[str]:
    return [f"{' ' * indent}# {line}" for line in textwrap.wrap(_printable(text), WIDTH - indent - 2)]


def _printable(text: str) -> str:
    """Foreign text in a comment: nothing that ends the line, that YAML forbids or that changes how a line reads."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(key)}: {_flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, Todo):
        return scalar(f"TODO: {value}")
    return scalar(value)


def scalar(value: Any) -> str:
    """One value on one line; text in quotes unless it needs none, in a mapping on one line too."""
    if not isinstance(value, str):
        return str(yaml.safe_dump(value, width=10**6).split("\n")[0])
    if _PLAIN.fullmatch(value) and _is_text(value):
        return value
    quoted: str = yaml.safe_dump(value, default_style='"', allow_unicode=value.isprintable(), width=10**6)
    return quoted.rstrip("\n")


def _is_text(plain: str) -> bool:
    """Whether YAML reads it as this text where it stands without quotes, also inside a mapping on one line."""
    try:
        mapping = yaml.compose(f"{{key: {plain}}}", yaml.SafeLoader)
    except yaml.YAMLError:
        return False
    assert isinstance(mapping, yaml.MappingNode), "it has braces round it"
    (_, node), *more = mapping.value
    return not more and node.tag == "tag:yaml.org,2002:str" and node.value == plain
