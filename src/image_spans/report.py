"""The table at the end of a run: subject x group of checks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from image_spans.ci.annotations import commands
from image_spans.loaders import differing

if TYPE_CHECKING:
    import pytest

    from image_spans.session import Session

_GROUPS = ("contract", "pipeline", "bos", "spans", "text", "literals", "paths", "relations")
_COLOURS = {"failed": "red", "blocked": "yellow", "skipped": "yellow", "known": "yellow", "passed": "green"}
_WORDS = {"passed": "ok", "failed": "FAIL", "blocked": "blocked", "skipped": "skip", "known": "known"}


def cell(counts: Counter[str]) -> tuple[str, str]:
    """What a cell says, and its worst outcome."""
    worst = next((name for name in ("failed", "blocked", "skipped", "known", "passed") if counts[name]), "")
    if not worst:
        return "-", ""
    total = sum(counts.values())
    # What is known to fail is said besides what is worse: it may be the reason of it.
    known = f", known {counts['known']}" if counts["known"] and worst != "known" else ""
    if counts[worst] == total:
        return f"{_WORDS[worst]} {total}", worst
    return f"{_WORDS[worst]} {counts[worst]}/{total}{known}", worst


def cells(session: Session) -> tuple[list[str], dict[str, list[tuple[str, str]]]]:
    """The groups of checks of a run, and subject to its cells: what each says, and its worst outcome."""
    outcomes = session.outcomes
    present = {group for _, group in outcomes.cells}
    groups = [group for group in _GROUPS if group in present] + sorted(present - set(_GROUPS))
    subjects = {subject for subject, _ in outcomes.cells}
    rows = {
        subject: [cell(outcomes.cells.get((subject, group), Counter())) for group in groups]
        for subject in [session.shown(spec) for file in session.files.values() for spec in file.specs]
        if subject in subjects
    }
    return groups, rows


def notes(session: Session) -> list[tuple[bool, str]]:
    """What is said of a run besides its table: whether it is a warning, and a line."""
    said = [(False, line) for line in session.samples()]
    said += [(True, line) for line in session.untested()]
    if session.interrupted:
        said.append((True, "the run was interrupted; what is told is of the tests before"))
    if session.all_skipped:
        said.append((True, "nothing was tested, so the run fails"))
    said += session.judged_known_failures()
    return said + [(loud, f"lock: {line}") for loud, line in session.judged_locks()]


def write_summary(reporter: pytest.TerminalReporter, session: Session, *, may_be_idle: bool = False) -> None:
    """Write the table, the statistics when they were asked for, and what was not tested.

    Args:
        reporter: pytest's.
        session: the run.
        may_be_idle: whether it is as it should be that no test of a subject ran.
    """
    _write_tables(reporter, session)
    if reporter.verbosity >= 0:
        _write_inapplicable(reporter, session)
        _write_loaders(reporter, session.outcomes.loaders)
    if not session.collect_only and (session.outcomes.cells or not may_be_idle):
        if reporter.verbosity >= 0:
            for line in session.samples():
                reporter.write_line(f"image-spans: {line}")
        for line in session.untested():
            reporter.write_line(f"image-spans: {line}", yellow=True)
        if session.all_skipped:
            reporter.write_line("image-spans: ERROR: nothing was tested, so the run fails", red=True)
        _write_known_failures(reporter, session)
        _write_locks(reporter, session)
        _write_annotations(reporter, session)
        if reporter.verbosity >= 0:
            for file in session.written:
                reporter.write_line(f"image-spans: wrote {file}")


def _write_annotations(reporter: pytest.TerminalReporter, session: Session) -> None:
    """What GitHub Actions reads from the log, and why its summary could not be written."""
    if session.github.trouble is not None:
        reporter.write_line(f"image-spans: {session.github.trouble}", yellow=True)
    reporter.ensure_newline()
    for line in commands(session):
        reporter.write_line(line)


def _write_locks(reporter: pytest.TerminalReporter, session: Session) -> None:
    """What the comparison with the lock said, and whether a check fails as well."""
    for loud, line in session.judged_locks():
        if loud or reporter.verbosity >= 0:
            reporter.write_line(f"image-spans: lock: {line}", yellow=True)


def _write_known_failures(reporter: pytest.TerminalReporter, session: Session) -> None:
    """What became of the known failures that were not seen, and the YAML for the new ones if it was asked for."""
    for stale, line in session.judged_known_failures():
        if stale:
            reporter.write_line(f"image-spans: ERROR: {line}", red=True)
        elif reporter.verbosity >= 0:
            reporter.write_line(f"image-spans: {line}", yellow=True)
    if session.not_written is not None:
        reporter.write_line(f"image-spans: ERROR: {session.not_written}", red=True)
    if reporter.config.getoption("spans_accept"):
        lines = session.to_accept()
        reporter.section("image-spans: known failures to paste" if lines else "image-spans: no new finding", sep="-")
        for line in lines:
            reporter.write_line(line)


def _write_inapplicable(reporter: pytest.TerminalReporter, session: Session) -> None:
    """The checks that found nothing to judge on a subject: what is not declared is not tested."""
    rows = []
    for (check, reason), subjects in session.inapplicable().items():
        few = len(subjects) <= 2 or reporter.verbosity > 0
        rows.append((check, ", ".join(subjects) if few else f"{len(subjects)} subjects", reason))
    if rows:
        reporter.write_line("")
        reporter.write_line("did not apply" if reporter.verbosity > 0 else "did not apply (-v names all subjects)")
        widths = [max(len(row[column]) for row in rows) for column in range(2)]
        for check, names, reason in rows:
            reporter.write_line(f"{check:<{widths[0]}}  {names:<{widths[1]}}  {reason}")


def _write_loaders(reporter: pytest.TerminalReporter, loaders: dict[str, dict[str, dict[str, str]]]) -> None:
    """What differs between the subjects that load one file, with the ids of the same few texts."""
    for file, rows in loaders.items():
        columns = differing(rows)
        if len(rows) < 2 or not columns:
            continue
        reporter.write_line("")
        reporter.write_line(f"one file, {len(rows)} loaders: {file} (see docs/loaders.md)")
        for line in table(columns, {name: [row.get(c, "-") for c in columns] for name, row in rows.items()}):
            reporter.write_line(line)


def _write_tables(reporter: pytest.TerminalReporter, session: Session) -> None:
    outcomes = session.outcomes
    if outcomes.statistics:
        reporter.section("image-spans statistics")
    for title, lines in sorted(outcomes.statistics.items()):
        reporter.write_line(title)
        for line in lines:
            reporter.write_line(line)
    if not outcomes.cells or reporter.verbosity < 0:
        return
    reporter.section("image-spans", sep="-")
    groups, rows = cells(session)
    if reporter.hasmarkup:
        _rich(reporter, groups, rows)
    else:
        for line in table(groups, {subject: [text for text, _ in row] for subject, row in rows.items()}):
            reporter.write_line(line)


def table(columns: Sequence[str], rows: Mapping[str, Sequence[str]]) -> list[str]:
    """The lines of a table whose rows are subjects."""
    cells = [["subject", *columns], *([subject, *row] for subject, row in rows.items())]
    widths = [max(len(row[column]) for row in cells) for column in range(len(columns) + 1)]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def _rich(reporter: Any, groups: list[str], rows: dict[str, list[tuple[str, str]]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for name in ("subject", *groups):
        table.add_column(name, overflow="fold")  # the default, an ellipsis, fails on a terminal without Unicode
    for subject, cells in rows.items():
        table.add_row(Text(subject), *(Text(text, style=_COLOURS.get(worst, "")) for text, worst in cells))
    console = Console(file=reporter._tw._file, force_terminal=True, width=reporter._tw.fullwidth)
    console.print(table)
