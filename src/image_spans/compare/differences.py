"""From what two worlds say to what is different, by subject."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from image_spans.compare.run import Outcome, Verdicts
from image_spans.lock.changes import Change, diff
from image_spans.lock.record import Record

NOT_JUDGED: Mapping[str, Any] = {"is": "not judged", "causes": []}


@dataclass(frozen=True)
class Flip:
    """A check that says something else."""

    check: str
    before: str
    after: str

    @property
    def judged(self) -> bool:
        """Whether it was judged in both."""
        return NOT_JUDGED["is"] not in (self.before, self.after)


@dataclass(frozen=True)
class Subject:
    """What is different in one subject."""

    name: str
    changes: tuple[Change, ...] = ()
    flips: tuple[Flip, ...] = ()
    made_of: tuple[str, ...] = ()
    """What it is made of, which is no difference by itself."""
    absent: tuple[str | None, str | None] = (None, None)
    """Why it cannot be had, before and after."""

    @property
    def is_different(self) -> bool:
        """Whether it behaves differently; one that cannot be had in either does not."""
        return bool(self.changes or self.flips) or (self.absent[0] is None) != (self.absent[1] is None)


@dataclass(frozen=True)
class Comparison:
    """What is different between two worlds."""

    before: str
    after: str
    subjects: tuple[Subject, ...]
    versions: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)
    """The distributions that have another version."""
    troubles: tuple[str, ...] = ()
    """What could not be compared, in one line each."""

    @property
    def exit_code(self) -> int:
        """0: the same; 1: different; 2: it could not be compared, for nothing was there on both sides."""
        if any(subject.is_different for subject in self.subjects):
            return 1
        nothing = all(subject.absent != (None, None) for subject in self.subjects)
        return 2 if nothing or self.troubles else 0


def compared(before: Outcome, after: Outcome, pairs: Iterable[tuple[str, str]] | None = None) -> Comparison:
    """The differences of subjects of the same name, or of these pairs.

    Args:
        before: what one world says.
        after: what the other does; versions and troubles are of both.
        pairs: a subject of the one and one of the other.
    """
    if pairs is None:
        pairs = [(name, name) for name in dict.fromkeys((*before.records, *after.records))]
    subjects = tuple(
        subject(
            one if one == other else f"{one} -> {other}",
            (before.records.get(one, f"there is no such subject in {before.label}"), before.verdicts.get(one)),
            (after.records.get(other, f"there is no such subject in {after.label}"), after.verdicts.get(other)),
        )
        for one, other in pairs
    )
    troubles = {f"the checks of {one.label} say nothing: {one.trouble}": None for one in (before, after) if one.trouble}
    versions = {
        name: (before.versions.get(name), after.versions.get(name))
        for name in sorted({*before.versions, *after.versions})
        if before.versions.get(name) != after.versions.get(name)
    }
    return Comparison(before.label, after.label, subjects, versions, tuple(troubles))


def subject(
    name: str, before: tuple[Record | str, Verdicts | None], after: tuple[Record | str, Verdicts | None]
) -> Subject:
    """What is different in one."""
    (old, old_verdicts), (new, new_verdicts) = before, after
    if isinstance(old, str) or isinstance(new, str):
        return Subject(name, absent=(old if isinstance(old, str) else None, new if isinstance(new, str) else None))
    found = diff(old, new)
    return Subject(name, found.changes, tuple(flips(old_verdicts or {}, new_verdicts or {})), found.made_of)


def flips(before: Verdicts, after: Verdicts) -> Iterable[Flip]:
    """The checks that say something else; none where one side was not asked."""
    if not before or not after:
        return
    for check in sorted({*before, *after}):
        old, new = _said(before.get(check, NOT_JUDGED)), _said(after.get(check, NOT_JUDGED))
        if old != new:
            yield Flip(check, old, new)


def _said(verdict: Mapping[str, Any]) -> str:
    causes = ", ".join(verdict["causes"])
    return f"{verdict['is']} ({causes})" if causes else str(verdict["is"])
