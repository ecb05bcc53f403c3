"""What the suite says of a subject, as a run would report it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from image_spans import strategies
from image_spans.diagnosis import diagnosed
from image_spans.engine import FAMILIES, Engine
from image_spans.findings import Finding
from image_spans.subject import Subject

Found = dict[str, set[str]]
"""Check to the causes that were found."""


def findings_on(
    subject: Subject,
    engine: Engine,
    families: Iterable[str] = tuple(FAMILIES),
    positions: Iterable[str] = strategies.POSITIONS,
) -> Found:
    """Check to the causes found, over these families and positions.

    Where a precheck fails all else is blocked, as in a run. And as in a run a check that blocks another is to blame
    where it finds nothing in its own draws.
    """
    failed = engine.failed_prechecks(subject)
    found: Found = {}
    for finding in failed:
        found.setdefault(finding.check, set()).add(finding.cause.name)
    if failed:
        return found
    profile = strategies.Profile.of(subject.contract)
    for family in families:
        for position in positions:
            if not strategies.applies(position, profile):
                continue
            for name, tally in engine.survey(subject, position, family).tallies.items():
                if tally.findings:
                    found.setdefault(name, set()).update(f.cause.name for f in tally.findings.values())
                for blocker in tally.blocked_on:
                    if blocker not in found:
                        _blame(subject, engine, blocker, tally.blocked_on[blocker], found)
    return found


def _blame(subject: Subject, engine: Engine, blocker: str, conversations: Iterable, found: Found) -> None:
    for conversation in conversations:
        case = engine.bench(subject).case(conversation)
        verdict = engine.verdict(case, blocker)
        if isinstance(verdict, Finding):
            found.setdefault(blocker, set()).add(diagnosed(case, verdict).cause.name)


def assert_killed(found: Mapping[str, set[str]], kills: frozenset[str], cause: str) -> None:
    """These checks and no other, each for this cause, and no cause unknown."""
    assert set(found) == kills
    assert all(cause in causes for causes in found.values()), found
    assert "unknown" not in set().union(*found.values()), found
