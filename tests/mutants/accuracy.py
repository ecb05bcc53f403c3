"""How often the diagnosis names the right cause, counted as somebody reads it: on the smallest conversation.

A mutant counts as right when each finding that is told first names the cause that the table declares, and no other
finding, at any position, names another one. "One of two" names no cause: told first it is a miss, else it is only
counted, if the declared one is among the two. So a mutant is wrong even if one position of seven misleads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from image_spans import strategies
from image_spans.engine import FAMILIES, Engine
from image_spans.findings import Finding, outline
from image_spans.subject import Subject


@dataclass(frozen=True)
class Told:
    """What a run tells of one finding."""

    position: str
    first: bool
    """Whether it is the one that the item tells in full; the others are listed."""
    finding: Finding

    def __str__(self) -> str:
        conversation = outline(self.finding.conversation) if self.finding.conversation else ""
        return f"{self.position}: {self.finding.fingerprint} on {conversation}: {self.finding.cause.sentence}"


def told(subject: Subject, engine: Engine) -> Iterator[Told]:
    """All findings on a subject, over families and positions, each on its smallest conversation."""
    profile = strategies.Profile.of(subject.contract)
    for family in FAMILIES:
        for position in strategies.POSITIONS:
            if not strategies.applies(position, profile):
                continue
            for tally in engine.survey(subject, position, family).tallies.values():
                for number, finding in enumerate(tally.findings.values()):
                    smallest = engine.shrink(subject, position, finding)
                    assert smallest.fingerprint == finding.fingerprint
                    yield Told(position, number == 0, smallest)


def names(finding: Finding) -> list[str]:
    """The causes that a finding leaves open: one where it names it."""
    return finding.cause.name.split("-or-")


def is_right(cause: str, one: Told) -> bool:
    """Whether what is told is the declared cause, or leaves it open beside the first."""
    return names(one.finding) == [cause] or (not one.first and cause in names(one.finding))


def misses(cause: str, findings: list[Told]) -> list[Told]:
    """What is told and is not the declared cause."""
    return [one for one in findings if not is_right(cause, one)]
