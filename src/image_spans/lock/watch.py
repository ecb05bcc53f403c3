"""The lock in a run of pytest: each subject is compared with what was recorded, or recorded anew."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from image_spans.case import Bench
from image_spans.config import SubjectSpec
from image_spans.findings import one_line
from image_spans.lock import store
from image_spans.lock.changes import Change, Diff, diff
from image_spans.lock.record import Record, record

Mode: TypeAlias = Literal["check", "update", "off"]
SAME, FRESH, CHANGED, COSMETIC = "same", "new", "changed", "cosmetic"
SHOWN = 5
"""Lines that follow from a change, shown at its headline; the lock file's own diff has them all."""


@dataclass
class Seen:
    """What the comparison of one subject said; plain data, so that it travels from xdist's workers."""

    status: str
    changes: list[Change] = field(default_factory=list)
    made_of: list[str] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def of(plain: Mapping[str, Any]) -> Seen:
        changes = [Change(one["headline"], tuple(one["details"])) for one in plain["changes"]]
        return Seen(plain["status"], changes, list(plain["made_of"]))


class Lock:
    """The lock of one YAML.

    Raises:
        ConfigError: the file is damaged.
    """

    def __init__(self, yaml: Path, shown: str, mode: Mode) -> None:
        self.path = store.lock_file(yaml)
        self.mode = mode
        self.before: dict[str, Record] = {} if mode == "off" else store.read(self.path, shown)
        self.exists = mode != "off" and self.path.exists()
        self._after: dict[str, Record] = {}
        self.seen: dict[str, Seen] = {}

    @property
    def active(self) -> bool:
        """Whether subjects are recorded in this run: there is something to compare with, or it is to be written."""
        return self.mode == "update" or (self.mode == "check" and self.exists)

    def judge(self, spec: SubjectSpec, bench: Bench) -> Seen:
        """Record a subject and compare it with what was recorded before."""
        before = self.before.get(spec.name)
        after = record(spec, bench, before)
        self._after[spec.name] = after
        if before is None:
            return Seen(FRESH)
        found = diff(before, after)
        return Seen(_status(found), list(found.changes), list(found.made_of))

    def note(self, name: str, seen: Seen) -> None:
        """Remember for the summary."""
        self.seen[name] = seen

    def gone(self, names: Collection[str]) -> list[str]:
        """The subjects of the lock that the YAML has no more."""
        return [name for name in self.before if name not in names]

    def write(self, names: Collection[str], *, whole: bool) -> None:
        """Write what was recorded; what did not run stays as it was.

        Args:
            names: the subjects of the YAML.
            whole: whether all of them ran, so that those which the YAML has no more can go.

        Raises:
            OSError: it cannot be written.
        """
        kept = {name: one for name, one in self.before.items() if name in names or not whole}
        records = {**kept, **self._after}
        if records != self.before or not self.exists:
            store.write(self.path, records)


def _status(found: Diff) -> str:
    if found.changes:
        return CHANGED
    return COSMETIC if found.cosmetic else SAME


def report(name: str, seen: Seen) -> str:
    """What a failing item says: each headline, and what follows from it folded to a few lines."""
    lines = [one_line(f"{name} behaves differently from what is locked")]
    if seen.made_of:
        lines.append(one_line(f"  made of     {'; '.join(seen.made_of)}"))
    lines += list(_folded(seen.changes))
    lines.append("  Accept      pytest --spans-lock=update, and commit the lock")
    return "\n".join(lines)


def _folded(changes: list[Change]) -> Iterator[str]:
    for change in changes:
        yield _line(f"  * {change.headline}")
        if change.details != (change.headline,):
            yield from (_line(f"      {detail}") for detail in change.details[:SHOWN])
        if len(change.details) > SHOWN:
            yield f"      ... and {len(change.details) - SHOWN} more"


def _line(text: str) -> str:
    return one_line(text.replace("\u2423", "_"))  # the blank of a token's name, for any terminal


def summary(lock: Lock, failing: Mapping[str, Sequence[str]]) -> Iterator[tuple[bool, str]]:
    """Whether it matters, and a line, of each subject that is not as it was recorded; the cosmetic ones together.

    Args:
        lock: after the run.
        failing: subject to the checks that fail on it.
    """
    for name, seen in lock.seen.items():
        if seen.status == CHANGED:
            others = len(seen.changes) - 1
            more = f" (and {others} more change{'s' * (others > 1)})" if others else ""
            checks = failing.get(name, ())
            held = f"and {', '.join(checks)} fails" if checks else "and every check still holds"
            recorded = "recorded anew" if lock.mode == "update" else "changed"
            yield True, _line(f"{name} {recorded}: {seen.changes[0].headline}{more}; {held}")
    cosmetic: dict[str, list[str]] = {}
    for name, seen in lock.seen.items():
        if seen.status == COSMETIC:
            cosmetic.setdefault("; ".join(seen.made_of), []).append(name)
    for what, names in cosmetic.items():
        yield False, f"{what}: the behaviour of {_counted(names)} is the same"
    fresh = [name for name, seen in lock.seen.items() if seen.status == FRESH]
    if lock.mode == "update" and not lock.seen:
        yield True, "nothing was recorded: no test of the lock ran (test_lock; -k and --spans-checks choose tests)"
    if fresh:
        said = "recorded" if lock.mode == "update" else "not recorded yet (pytest --spans-lock=update)"
        yield False, f"{_counted(fresh)} {said}"


def _counted(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{len(names)} subjects"
