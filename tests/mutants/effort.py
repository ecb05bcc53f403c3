"""How many conversations it takes until a mutant is found, counted as a run would meet them."""

from __future__ import annotations

import json
from pathlib import Path

from image_spans import checks, strategies
from image_spans.engine import FAMILIES, Engine
from image_spans.findings import Finding
from image_spans.subject import Subject

RECORD = Path(__file__).with_name("examples_to_failure.json")
BUDGET = 100


def examples_to_failure(subject: Subject, kills: frozenset[str], engine: Engine) -> int | None:
    """The number of the first conversation on which a named check fails, position by position; None: never.

    A precheck takes none.
    """
    if any(checks.checks()[name].family == "once" and engine.precheck(subject, name) for name in kills):
        return 0
    profile = strategies.Profile.of(subject.contract)
    families = {checks.checks()[name].family for name in kills}
    seen = 0
    for family in (family for family in FAMILIES.values() if family.name in families):
        for position in strategies.POSITIONS:
            if not strategies.applies(position, profile):
                continue
            names = [
                name
                for name in kills
                if (check := checks.checks()[name]).family == family.name
                and (check.positions is None or position in check.positions)
            ]
            for conversation in engine.conversations(subject, position, family) if names else ():
                seen += 1
                case = engine.bench(subject).case(conversation)
                if any(isinstance(checks.judge(case, name), Finding) for name in names):
                    return seen
    return _in_hazards(subject, kills, engine)


def _in_hazards(subject: Subject, kills: frozenset[str], engine: Engine) -> int | None:
    """The same where a check fails only on text that spells markers, and so blocks the one that draws it."""
    profile = strategies.Profile.of(subject.contract)
    seen = 0
    for position in (position for position in strategies.POSITIONS if strategies.applies(position, profile)):
        for conversation in engine.conversations(subject, position, FAMILIES["hazard"]):
            seen += 1
            case = engine.bench(subject).case(conversation)
            if any(isinstance(checks.judge(case, name), Finding) for name in kills):
                return seen
    return None


def over_seeds(subject: Subject, kills: frozenset[str], engines: list[Engine]) -> list[int]:
    """For each seed the number; a mutant that a seed does not find counts as all its conversations."""
    found = [examples_to_failure(subject, kills, engine) for engine in engines]
    return [BUDGET * len(strategies.POSITIONS) if number is None else number for number in found]


def recorded() -> dict[str, dict[str, float]]:
    """Mutant to ``median`` and ``worst`` over ten seeds, as ``benchmarks/mutants.py`` wrote them."""
    return json.loads(RECORD.read_text(encoding="utf-8"))
