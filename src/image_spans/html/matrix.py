"""Subject x check: how all items of a run ended, as plain data for the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from image_spans import checks, strategies
from image_spans.config import SubjectSpec
from image_spans.html.statuses import INAPPLICABLE, NOT_RUN, PASSED, SKIPPED, WORDS, WORST_FIRST
from image_spans.lock import watch
from image_spans.session import LOCKED, Session, why_inapplicable

_MOST_REASONS = 3

Ended = Mapping[tuple[str, str], tuple[str, str]]
"""Position and check to status and reason."""


@dataclass(frozen=True)
class Column:
    """A check."""

    name: str
    summary: str

    @property
    def group(self) -> str:
        return self.name.partition(".")[0]

    @property
    def short(self) -> str:
        return self.name.partition(".")[2]


@dataclass
class Cell:
    """A check of a subject, over all positions."""

    check: str
    counts: Counter[str]
    """Status to number of items."""
    reasons: tuple[str, ...] = ()
    links: list[tuple[str, str]] = field(default_factory=list)
    """Where its findings are, and what each is called; filled when the findings are known."""

    @property
    def status(self) -> str:
        """The worst of its items."""
        return next(status for status in WORST_FIRST if self.counts[status])

    @property
    def number(self) -> str:
        """How many of its items ended so: ``7``, or ``3/7``; nothing where there are none."""
        if self.status == INAPPLICABLE:
            return ""
        total = sum(self.counts.values())
        own = self.counts[self.status]
        return str(total) if own == total else f"{own}/{total}"

    @property
    def told(self) -> str:
        """All its items in words: ``3 failed, 4 passed``."""
        if self.status == INAPPLICABLE:
            return WORDS[INAPPLICABLE]
        return ", ".join(f"{self.counts[one]} {WORDS[one]}" for one in WORST_FIRST if self.counts[one])


@dataclass
class Row:
    """A subject."""

    path: Path
    name: str
    label: str
    """Its name, with its file where another subject has the same."""
    cells: list[Cell]
    missing: str = ""
    """Why it cannot be had."""
    lock: tuple[str, ...] = ()
    """What the comparison with the lock said, where it has changed."""
    slug: str = ""
    """The address of its section."""
    causes: list[str] = field(default_factory=list)
    """The names of the causes of its findings."""


@dataclass(frozen=True)
class Matrix:
    """All subjects of a run."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    @property
    def counts(self) -> Counter[str]:
        """Status to number of items, of the whole run."""
        return sum((cell.counts for row in self.rows for cell in row.cells), Counter())

    @property
    def groups(self) -> list[tuple[str, list[Column]]]:
        """Groups of checks, in order, each with its columns."""
        groups: dict[str, list[Column]] = {}
        for column in self.columns:
            groups.setdefault(column.group, []).append(column)
        return list(groups.items())


_GROUPS = ("contract", "pipeline", "bos", "spans", "text", "literals", "paths", "relations")


def of_checks() -> list[Column]:
    """The columns of all checks, those of a group together."""
    registered = checks.checks()
    order = [*_GROUPS, *(one.group for one in registered.values())]
    names = sorted(registered, key=lambda name: order.index(registered[name].group))
    return [Column(name, registered[name].rule) for name in names]


def matrix(session: Session) -> Matrix:
    """The matrix of a run that has ended."""
    specs = [(spec, items) for path in session.files for spec, items in session.items(path).items()]
    has_lock = any(check == LOCKED for spec, _ in specs for _, check in session.ledger.ended(spec))
    columns = [*of_checks(), *([Column(LOCKED, "The subject behaves as it is locked.")] if has_lock else [])]
    rows = [_row(session, spec, items, columns) for spec, items in specs]
    return Matrix(tuple(columns), tuple(rows))


def _row(session: Session, spec: SubjectSpec, items: set[tuple[str, str]], columns: Sequence[Column]) -> Row:
    ended = session.ledger.ended(spec)
    missing = session.files[spec.path].missing.get(spec.name) or session.unavailable.get(session.shown(spec), "")
    cells = []
    for column in columns:
        positions = {position for position, check in items if check == column.name}
        found = dict(_of_check(ended, column.name))
        why = missing or _why_no_item(session, spec, column.name)
        if why is not None and not positions and not found:
            status = SKIPPED if missing else _absent(session, spec, column.name)
            cells.append(Cell(column.name, Counter({status: 1}), (why,)))
            continue
        for position in positions:
            found.setdefault(position, (NOT_RUN, "not selected, or the run ended before"))
        cells.append(_cell(column.name, found))
    label = session.shown(spec)
    seen = session.locks[spec.path].seen.get(spec.name)
    lock = watch.report(label, seen).splitlines() if seen is not None and seen.status == watch.CHANGED else ()
    return Row(spec.path, spec.name, label, cells, missing, tuple(lock))


def _of_check(ended: Ended, check: str) -> Iterator[tuple[str, tuple[str, str]]]:
    for (position, name), how in ended.items():
        if name == check:
            yield position, how


def _absent(session: Session, spec: SubjectSpec, check: str) -> str:
    """What a check without items is: not applicable, or not asked for."""
    return INAPPLICABLE if _reason(spec, check) is not None else NOT_RUN


def _reason(spec: SubjectSpec, check: str) -> str | None:
    one = checks.checks().get(check)
    return None if one is None else why_inapplicable(spec, one)


def _why_no_item(session: Session, spec: SubjectSpec, check: str) -> str | None:
    return _reason(spec, check) or "not selected (--spans-checks, or the lock is not compared)"


def _cell(check: str, found: Mapping[str, tuple[str, str]]) -> Cell:
    counts = Counter(status for status, _ in found.values())
    reasons: dict[str, list[str]] = {}
    # In the order of positions, not of workers.
    for position in sorted(found, key=lambda one: strategies.POSITIONS.index(one) if one else -1):
        status, reason = found[position][0], found[position][1].removeprefix("Skipped: ")
        if status != PASSED and reason:
            told = reason if reason.startswith(WORDS[status]) else f"{WORDS[status]}: {reason}"
            reasons.setdefault(told, []).append(position)
    lines = [f"{reason} ({', '.join(places)})" if any(places) else reason for reason, places in reasons.items()]
    more = [f"... and {len(lines) - _MOST_REASONS} more"] if len(lines) > _MOST_REASONS else []
    return Cell(check, counts, (*lines[:_MOST_REASONS], *more))
