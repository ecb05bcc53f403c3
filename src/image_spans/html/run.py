"""The report of a run: one file, written as a whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

from image_spans import discovery
from image_spans.exhibit import Exhibit
from image_spans.files import write_whole
from image_spans.html.matrix import Matrix, matrix
from image_spans.html.pages import Drawn, pages
from image_spans.html.render import document
from image_spans.html.statuses import WORST_FIRST
from image_spans.report import notes
from image_spans.session import Session


def write_html(session: Session) -> None:
    """Write the file of ``--spans-html``."""
    assert session.html_file is not None
    session.write("--spans-html", session.html_file, lambda path: write_whole(path, report(session)))


def report(session: Session) -> str:
    """The report of a run that has ended, as HTML."""
    table = matrix(session)
    rows = {(str(row.path), row.name): row for row in table.rows}
    drawn: list[Drawn] = [
        (rows[path, name], found, None if exhibit is None else Exhibit.of(exhibit))
        for (path, name, _), found, exhibit in session.ledger.drawn
    ]
    return overview(table, drawn, notes(session), f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC")


def overview(table: Matrix, drawn: Sequence[Drawn], said: Sequence[tuple[bool, str]], made: str) -> str:
    """The whole document.

    Args:
        table: subject x check.
        drawn: the findings, each with its row.
        said: lines of the summary, and whether each is a warning.
        made: when.
    """
    found = pages(table.rows, drawn)
    return document(
        "run.html",
        table=table,
        pages=found,
        said=said,
        made=made,
        rules={column.name: column.summary for column in table.columns},
        versions=discovery.versions(),
        statuses=[status for status in WORST_FIRST if table.counts[status]],
        causes=sorted({page.found["cause"]["name"] for page in found}),
    )
