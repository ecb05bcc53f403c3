"""The summary of a run in Markdown: the table, each new finding in full, and what is known folded away."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from image_spans.ci.markdown import MARK, block, cell, code
from image_spans.conversation import parse_conversation
from image_spans.files import write_whole
from image_spans.findings import one_line, outline
from image_spans.ledger import KNOWN
from image_spans.report import cells, notes
from image_spans.session import Session

LIMIT = 1024 * 1024
"""Bytes that GitHub shows of one step; of a longer summary it shows nothing."""
_WIDTH = 110
"""Characters of a line of a sentence in a code block, which no browser breaks."""
_LEFT_OUT = 300
"""Bytes for the lines that say what is left out."""


@dataclass(frozen=True)
class Told:
    """All that a summary tells."""

    failed: bool
    subjects: int
    groups: Sequence[str]
    rows: Mapping[str, Sequence[str]]
    """Subject to what its cells say."""
    notes: Sequence[str]
    findings: Sequence[tuple[str, Mapping[str, Any]]]
    """What each subject is called, and a finding as docs/findings-schema.md describes it."""


def told(session: Session) -> Told:
    """What a run that has ended tells."""
    groups, rows = cells(session)
    labels = {
        (str(spec.path), spec.name): session.shown(spec) for file in session.files.values() for spec in file.specs
    }
    worst = {status for row in rows.values() for _, status in row}
    # Nothing is green because nothing was tested.
    incomplete = session.interrupted or session.all_skipped or not rows
    return Told(
        failed="failed" in worst or incomplete or session.has_stale or session.not_written is not None,
        subjects=len(rows),
        groups=groups,
        rows={subject: [text for text, _ in row] for subject, row in rows.items()},
        notes=[line for _, line in notes(session)],
        findings=[(labels[path, name], found) for (path, name, _), found, _ in session.ledger.drawn],
    )


def markdown(given: Told, limit: int = LIMIT) -> str:
    """The summary, of at most ``limit`` bytes: findings that have no room are left out and counted."""
    new = [one for one in given.findings if one[1]["status"] != KNOWN]
    known = [one for one in given.findings if one[1]["status"] == KNOWN]
    head = [f"### image-spans {'failed' if given.failed else 'passed'}: {_counts(given, len(new), len(known))}", ""]
    said = [*(f"- {code(line)}" for line in given.notes), ""] if given.notes else []
    whole = [*head, *_table(given), *said]
    room = limit - len(MARK) - 1 - _LEFT_OUT
    if _size(whole) > room:  # thousands of subjects
        whole = [*head, "The table is too long for this page.", ""]
    room -= _size(whole)
    lines, left_out = _fitting((_finding(*one) for one in new), room)
    whole += lines
    if left_out:
        whole += [f"{_number(left_out, 'new finding')} more: too long for this page; --spans-findings writes all.", ""]
    opening = ["<details>", f"<summary>{_number(len(known), 'known failure')}</summary>", ""]
    room -= _size([*lines, *opening, "", "</details>", ""])
    lines, left_out = _fitting(([_known(*one)] for one in known), room)
    if lines:
        more = [f"- {left_out} more: too long for this page"] if left_out else []
        whole += [*opening, *lines, *more, "", "</details>", ""]
    return "\n".join([MARK, *whole]).rstrip() + "\n"


def _counts(given: Told, new: int, known: int) -> str:
    parts = [_number(given.subjects, "subject"), _number(new, "new finding") if new else "no new finding"]
    return ", ".join(parts + ([_number(known, "known failure")] if known else []))


def _number(count: int, word: str) -> str:
    return f"{count} {word}{'s' * (count != 1)}"


def _table(given: Told) -> Iterator[str]:
    if given.rows:
        yield f"| subject | {' | '.join(given.groups)} |"
        yield f"|---|{'---|' * len(given.groups)}"
        for subject, texts in given.rows.items():
            shown = (f"**{text}**" if text.startswith("FAIL") else text for text in texts)
            yield f"| {cell(subject)} | {' | '.join(shown)} |"
        yield ""


def _finding(subject: str, found: Mapping[str, Any]) -> list[str]:
    """A new finding, as a terminal tells it, but with lines that have an end."""
    cause = one_line(found["cause"]["sentence"])
    said = [*_labelled("Message", found["message"]), *_labelled("Cause", cause)]
    if found["conversation"] is not None:
        said += _labelled("Smallest", outline(parse_conversation(found["conversation"])))
    if found["ids"] is not None:
        said += [f"{'Ids':<10}{found['ids'][0]}", f"{'':<10}{found['ids'][1]}"]
    if found["before"] is not None:
        said += _labelled("Before", found["before"])
    again = found["reproduce"]
    title = f"#### {code(subject)} {code(found['fingerprint'])}"
    return [title, "", block(said), "", block([again["pytest"]], "sh"), "", block([again["python"]], "python"), ""]


def _labelled(label: str, text: str) -> list[str]:
    wrapped = textwrap.wrap(one_line(text), _WIDTH, break_long_words=False, break_on_hyphens=False)
    return [f"{label if not index else '':<10}{line}" for index, line in enumerate(wrapped)]


def _known(subject: str, found: Mapping[str, Any]) -> str:
    return f"- {code(subject)} {code(found['fingerprint'])}: {code(found['reason'] or '')}"


def _size(lines: Iterable[str]) -> int:
    return sum(len(line.encode()) + 1 for line in lines)


def _fitting(parts: Iterable[list[str]], room: int) -> tuple[list[str], int]:
    """The lines of the parts for which there is room, in order, and how many parts are left out."""
    lines: list[str] = []
    left_out = 0
    for part in parts:
        size = _size(part)
        if left_out or size > room:  # nothing behind a gap: what is shown is the beginning
            left_out += 1
        else:
            lines += part
            room -= size
    return lines, left_out


# ---------------------------------------------------------------- files


def write(session: Session) -> None:
    """Write the file of ``--spans-md`` and add to GitHub's job summary; what fails is told at the end of the run."""
    if session.markdown_file is not None:
        session.write("--spans-md", session.markdown_file, lambda path: write_whole(path, markdown(told(session))))
    if session.github.summary is not None and session.outcomes.cells:
        try:
            session.github.trouble = append(session.github.summary, told(session))
        except OSError as error:  # nobody asked for it by name, so the run does not fail for it
            session.github.trouble = one_line(f"the job summary cannot be written: {error.strerror}")


def append(path: Path, given: Told, limit: int = LIMIT) -> str | None:
    """Add a summary to what other commands of the step have written; why it could not be, if so.

    Raises:
        OSError: it cannot be written.
    """
    before = path.read_bytes() if path.exists() else b""
    between = b"" if not before else b"\n" if before.endswith(b"\n") else b"\n\n"
    room = limit - len(before) - len(between)
    text = markdown(given, room).encode()
    if len(text) > room:
        return f"the job summary is full: {len(before)} of {limit} bytes are written by others"
    with path.open("ab") as file:
        file.write(between + text)
    return None
