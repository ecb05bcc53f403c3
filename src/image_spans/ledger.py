"""What a run found, gathered from the reports of its items: the findings, and what became of the known failures.

Reports travel from xdist's workers, so all that is kept here is plain data.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from image_spans.config import SubjectSpec
from image_spans.errors import ConfigError
from image_spans.files import beside, write_whole
from image_spans.findings import Finding, one_line
from image_spans.known_failures import KnownFailure, to_paste

Key: TypeAlias = tuple[str, str, str]
"""The file of a subject, its name, and a fingerprint."""

NEW, KNOWN, CHANGED = "new", "known", "changed"
SHOWN, HELD, SILENT, BLOCKED = "shown", "held", "silent", "blocked by "
"""What the example of a known failure does: it shows the failure, it does not, it can no longer tell, or something else
fails on it; anything else is the fingerprint that it shows instead."""


@dataclass
class Note:
    """What one item has to tell; plain data but for its class."""

    findings: list[dict[str, Any]] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    """The known failures that were seen."""
    examples: dict[str, str] = field(default_factory=dict)
    """Known failure to what its example does."""
    ended_by: list[str] = field(default_factory=list)
    """The fingerprints of all findings, new and known, for which the item fails or is expected to."""
    expected: bool = False
    """Whether the item ends as a known failure."""
    lock: dict[str, Any] | None = None
    """What the comparison with the lock said."""
    exhibits: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Fingerprint of a finding to what is drawn of its conversation; only for ``--spans-html``."""


def entry(
    finding: Finding,
    *,
    file: str,
    status: str,
    known: KnownFailure | None,
    position: str,
    versions: dict[str, str | None],
) -> dict[str, Any]:
    """A finding as docs/findings-schema.md describes it."""
    pytest_command, python = finding.reproduce
    return {
        "schema": 1,
        "subject": finding.subject,
        "file": file,
        "check": finding.check,
        "cause": {"name": _text(finding.cause.name), "sentence": _text(finding.cause.sentence)},
        "fingerprint": _text(finding.fingerprint),
        "message": _text(finding.message),
        "status": status,
        "reason": known.reason if status == KNOWN and known else None,
        "before": known.fingerprint if status == CHANGED and known else None,
        "conversation": None if finding.conversation is None else ascii(finding.conversation),
        "position": position or None,
        "at": finding.at,
        "expected": _text(finding.expected) or None,
        "ids": None if finding.strip is None else list(finding.strip),
        "reproduce": {"pytest": pytest_command, "python": python},
        "versions": versions,
    }


def _text(text: str) -> str:
    """Text without halves of characters, which neither a file nor a worker can pass on."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


class Ledger:
    """Everything that the reports told."""

    def __init__(self) -> None:
        self._findings: dict[Key, dict[str, Any]] = {}
        self._exhibits: dict[Key, dict[str, Any] | None] = {}
        self._ended: dict[tuple[str, str], dict[tuple[str, str], tuple[str, str]]] = {}
        """File and subject, to position and check of an item, to how it ended and why."""
        self._shown: set[Key] = set()
        self._examples: dict[Key, set[str]] = {}
        self._ran: dict[tuple[str, str], set[tuple[str, str]]] = {}
        """File and subject to the positions and checks that were judged."""

    def add(self, record: dict[str, Any]) -> None:
        """What one report says."""
        path, name = record["path"], record["name"]
        place = (record["position"], record["check"])
        self._ended.setdefault((path, name), {})[place] = (record["status"], record["reason"])
        if record["ran"]:
            self._ran.setdefault((path, name), set()).add(place)
        for found in record["findings"]:
            key = (path, name, found["fingerprint"])
            best = self._findings.get(key)
            if best is None or _size(found) < _size(best):
                self._findings[key] = found
                self._exhibits[key] = record["exhibits"].get(found["fingerprint"])
        for fingerprint in record["shown"]:
            self._shown.add((path, name, fingerprint))
        for fingerprint, does in record["examples"].items():
            self._examples.setdefault((path, name, fingerprint), set()).add(does)

    @property
    def findings(self) -> list[dict[str, Any]]:
        """Every distinct finding, on the smallest conversation on which it was told."""
        return [found for _, found in sorted(self._findings.items())]

    @property
    def drawn(self) -> list[tuple[Key, dict[str, Any], dict[str, Any] | None]]:
        """The findings with where they belong, and with what is drawn of their conversation if anything is."""
        return [(key, found, self._exhibits[key]) for key, found in sorted(self._findings.items())]

    def of(self, spec: SubjectSpec) -> list[dict[str, Any]]:
        """The findings on a subject."""
        owner = (str(spec.path), spec.name)
        return [found for key, found in sorted(self._findings.items()) if key[:2] == owner]

    def failing(self, spec: SubjectSpec) -> list[str]:
        """The checks that found on a subject what is not known."""
        return sorted({found["check"] for found in self.of(spec) if found["status"] != KNOWN})

    def ran(self, spec: SubjectSpec) -> set[tuple[str, str]]:
        """The positions and checks that were judged on a subject."""
        return self._ran.get((str(spec.path), spec.name), set())

    def ended(self, spec: SubjectSpec) -> dict[tuple[str, str], tuple[str, str]]:
        """Position and check of each item of a subject that ended, to how it ended and why."""
        return self._ended.get((str(spec.path), spec.name), {})

    def verdict(self, spec: SubjectSpec, known: KnownFailure, items: set[tuple[str, str]]) -> tuple[bool, str] | None:
        """Whether a known failure is stale, and why it is or cannot be judged; None: it was seen.

        Args:
            spec: its subject.
            known: the failure.
            items: position and check of all items that the subject has; empty where the run is partial by an option.
        """
        path, name = str(spec.path), spec.name
        key = (path, name, known.fingerprint)
        if key in self._shown:
            return None
        ran = self.ran(spec)
        if not ran:
            return False, "unselected: nothing of its subject was judged"
        if not items or items - ran:
            return False, "this run tests a part of its subject only"
        if all(check != known.check for _, check in items):
            return True, f"no longer fails, because {known.check} does not apply to the subject"
        does = self._examples.get(key, set())
        if not does:
            return False, "its check could not judge anything"
        for what in sorted(does - {HELD, SILENT}):
            if what.startswith(BLOCKED):
                return False, f"on its example, the check is {what}"
            if spec.known(what) is None:
                return None  # the run says that it has changed
            return True, f"no longer fails; its example now shows {what}, which is known too"
        return True, "no longer fails"

    def write(self, path: Path) -> None:
        """Write the findings as JSON lines; the file is there as a whole or not at all.

        Raises:
            OSError: it cannot be written.
        """
        text = "".join(json.dumps(found, sort_keys=True) + "\n" for found in self.findings)
        write_whole(path, text)

    def to_accept(self, specs: Iterable[SubjectSpec]) -> list[str]:
        """The YAML that makes the new findings known, with a line before each subject's that says where it belongs."""
        lines: list[str] = []
        for spec in specs:
            new = [
                (found["check"], found["fingerprint"], found["conversation"])
                for found in self.of(spec)
                if found["status"] != KNOWN
            ]
            if new:
                text = spec.path.read_text(encoding="utf-8-sig").splitlines()
                lines += [f"# {spec.label}, under subjects.{spec.name}", *to_paste(new, text, spec.line)]
        return lines


def _size(found: dict[str, Any]) -> tuple[int, str, str]:
    code = found["conversation"] or ""
    return len(code), code, found["position"] or ""


_HEAD = 2_000
"""Bytes at the beginning of a file in which the mark of a report stands."""
FIRST_KEY = '{"at": '
"""How a file of findings begins; the keys of a line are sorted."""


def file_to_write(name: str, option: str, folder: Path) -> Path:
    """The file that an option names, which can be written.

    Args:
        name: of the option, such as ``--spans-findings``.
        option: what was given.
        folder: where relative paths begin.

    Raises:
        ConfigError: it cannot.
    """
    try:
        path = (folder / option).resolve()
        problem = _why_not_written(path)
    except (OSError, ValueError) as error:  # ValueError: a name that holds a zero
        problem = f"cannot be written: {getattr(error, 'strerror', None) or error}"
    if problem is not None:
        raise ConfigError(one_line(f"{name} {option}: {problem}"))
    return path


def refuse_to_replace(name: str, path: Path, mark: str, *, begins: bool = False) -> None:
    """Refuse to write over a file that no report of ours is: a slip of the keyboard must not cost a YAML.

    Args:
        name: of the option.
        path: its file.
        mark: by which a report of it is known.
        begins: whether the file begins with the mark, instead of holding it near its beginning.

    Raises:
        ConfigError: such a file is there.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        head = file.read(_HEAD)
    ours = head.startswith(mark.encode()) if begins else mark.encode() in head
    if head and not ours:
        raise ConfigError(
            one_line(f"{name} {path}: is there already, and is no report of this option; name another file")
        )


def _why_not_written(path: Path) -> str | None:
    if path.is_dir():
        return "is a folder; expected a file"
    if path.exists() and not path.is_file():
        return "is not an ordinary file"
    if not path.parent.is_dir():
        return f"there is no folder {path.parent}"
    beside(path).touch()
    beside(path).unlink()
    if path.exists():
        path.open("ab").close()
    return None


def reasons(known: Sequence[KnownFailure]) -> str:
    """Known failures in one line."""
    return "; ".join(one_line(f"known failure {one.fingerprint}: {one.reason}") for one in known)
