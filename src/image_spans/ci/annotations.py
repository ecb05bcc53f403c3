"""Annotations: lines of the log by which GitHub shows findings at the YAML's lines in a pull request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from image_spans.ledger import KNOWN

if TYPE_CHECKING:
    from image_spans.session import Session

MOST = 10
"""GitHub shows so many errors of a step."""


def commands(session: Session) -> Iterator[str]:
    """A command for each new finding of a run, at the line of its subject; none outside of GitHub Actions."""
    if session.github.annotates:
        specs = [spec for file in session.files.values() for spec in file.specs]
        yield from errors(
            [
                (session.github.shown(spec.path, session.root), spec.line, session.shown(spec), found)
                for spec in specs
                for found in session.ledger.of(spec)
                if found["status"] != KNOWN
            ]
        )


def errors(findings: Sequence[tuple[str, int, str, Mapping[str, Any]]], most: int = MOST) -> Iterator[str]:
    """A workflow command for each new finding; where there are more than are shown, the last one counts the others.

    Args:
        findings: file, line in it, what the subject is called, and the finding as docs/findings-schema.md describes it.
        most: how many are shown.
    """
    shown = findings if len(findings) <= most else findings[: most - 1]
    for file, line, subject, found in shown:
        command = found["reproduce"]["pytest"]
        text = f"{found['message']}\nCause: {found['cause']['sentence']}\nReproduce: {command}"
        yield _error(file, line, f"{subject}: {found['fingerprint']}", text)
    if len(shown) < len(findings):
        file, line, _, _ = findings[len(shown)]
        left = len(findings) - len(shown)
        yield _error(file, line, "image-spans", f"{left} more new findings; the job summary and the log have them")


def _error(file: str, line: int, title: str, text: str) -> str:
    return f"::error file={_property(file)},line={line},title={_property(title)}::{_data(text)}"


def _data(text: str) -> str:
    """The message of a command: a line of the log, in ASCII but for what stands for a new line."""
    lines = ("".join(c if c.isprintable() else ascii(c)[1:-1] for c in part) for part in text.split("\n"))
    return "%0A".join(line.replace("%", "%25") for line in lines)


def _property(text: str) -> str:
    """A property of a command, which also has no colons and commas."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")
