"""What each check of one conversation says of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from image_spans import checks
from image_spans.case import Case
from image_spans.diagnosis import diagnosed
from image_spans.engine import Engine, spellings, spells
from image_spans.findings import Finding
from image_spans.subject import Subject

Status: TypeAlias = Literal["ok", "finding", "blocked", "not applicable", "not judged"]


@dataclass(frozen=True)
class Verdict:
    """A check, and what it says."""

    check: str
    status: Status
    told: str = ""
    """What is wrong, what blocks it, or why it says nothing."""
    finding: Finding | None = None


def verdicts(engine: Engine, subject: Subject, case: Case) -> list[Verdict]:
    """What is wrong with the subject itself, then every check of the family ``single``.

    Where a text spells markers, ``literals.policy`` judges instead, as in the suite and in a scan.
    """
    broken = [Verdict(one.check, "finding", one.message, one) for one in engine.failed_prechecks(subject)]
    if broken:
        names = [one.name for one in checks.checks().values() if one.family == "single"]
        return broken + [Verdict(name, "blocked", f"by {broken[0].check}") for name in names]
    return list(_of_case(engine, subject, case))


def _of_case(engine: Engine, subject: Subject, case: Case) -> Iterator[Verdict]:
    tokens = [token for token in spellings(subject) if spells(case.conversation, [token])]
    for name, one in checks.checks().items():
        if one.family != "single" and not (one.family == "hazard" and tokens):
            continue
        reason = one.inapplicable(subject.contract, subject.abilities)
        if reason is not None:
            yield Verdict(name, "not applicable", reason)
        elif tokens and one.family == "single" and name != "pipeline.encodes":
            yield Verdict(name, "not judged", f"the text spells {tokens[0]}, so literals.policy judges it")
        else:
            yield _verdict(engine, case, name)


def _verdict(engine: Engine, case: Case, name: str) -> Verdict:
    said = engine.verdict(case, name)
    if isinstance(said, Finding):
        return Verdict(name, "finding", said.message, diagnosed(case, said))
    if said is None:
        return Verdict(name, "ok")
    if said.because_of is not None:
        return Verdict(name, "blocked", f"by {said.because_of}")
    return Verdict(name, "not judged", "this conversation cannot tell")
