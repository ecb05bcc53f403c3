"""Every check can fail, and fails on nothing else: the table of mutants, both sides."""

from __future__ import annotations

from functools import partial

import declared_mutants  # noqa: F401  # adds to MUTANTS
import limit_mutants  # noqa: F401  # the same
import pytest

from image_spans import checks, strategies
from image_spans.engine import FAMILIES, Engine
from image_spans.pipelines import reference
from image_spans.subject import Subject
from mutants import MUTANTS, Mutant, forget
from support import ToyTokenizer, facts

BUDGET = 60
PRECHECKS = {"contract.tokens", "contract.bos"}


def subject_of(mutant: Mutant, tokenizer: ToyTokenizer, *, broken: bool) -> Subject:
    forget()
    entries = ("encode", "batch", "continue")
    right, collate, extend = (
        partial(reference(mutant.pipeline, entry), tokenizer, contract=mutant.contract) for entry in entries
    )
    spoilt = mutant.entry if broken else None

    def run(conversation, max_length=None):
        if spoilt == "limit":
            return mutant.function(tokenizer, conversation, right, 10**6 if max_length is None else max_length)
        return (
            mutant.function(tokenizer, conversation, right)
            if spoilt == "encode"
            else right(conversation, max_length=max_length)
        )

    def batch(conversations, *, padding_side):
        if spoilt == "batch":
            return mutant.function(tokenizer, conversations, collate, padding_side)
        return collate(conversations, padding_side=padding_side)

    def longer(encoding, message):
        if spoilt == "continue":
            return mutant.function(tokenizer, encoding, message, extend)
        return extend(encoding, message)

    returns = frozenset(mutant.returns if broken else ("image_bounds", "labels"))
    name = mutant.name if broken else f"right for {mutant.name}"
    abilities = mutant.abilities if broken else mutant.abilities - {"predict"}
    return Subject(
        name,
        tokenizer,
        facts(tokenizer),
        mutant.contract,
        run,
        returns,
        abilities=abilities,
        predict=mutant.predict if broken else None,
        batch=batch,
        extend=longer,
    )


def findings_on(subject: Subject, engine: Engine) -> dict[str, set[str]]:
    """Check to the causes found, over all families and positions."""
    found: dict[str, set[str]] = {}
    profile = strategies.Profile.of(subject.contract)
    for family in FAMILIES:
        for position in strategies.POSITIONS:
            if not strategies.applies(position, profile):
                continue
            for name, tally in engine.survey(subject, position, family).tallies.items():
                if tally.findings:
                    found.setdefault(name, set()).update(f.cause.name for f in tally.findings.values())
    return found


@pytest.fixture(scope="module")
def engine():
    return Engine(BUDGET, 0)


@pytest.fixture(scope="module")
def tokenizer():
    return ToyTokenizer()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_is_killed_by_the_named_checks_and_no_other(mutant, engine, tokenizer):
    found = findings_on(subject_of(mutant, tokenizer, broken=True), engine)
    assert set(found) == mutant.kills
    assert all(mutant.cause in causes for causes in found.values()), found
    assert "unknown" not in set().union(*found.values()), found


# The reference pipelines compute slots from the size and keep typed markers as text.
REPAIRABLE = [
    mutant
    for mutant in MUTANTS
    if mutant.contract.images.slots != "from_features" and mutant.contract.literals.policy != "reject"
]


@pytest.mark.parametrize("mutant", REPAIRABLE, ids=lambda mutant: mutant.name)
def test_right_pipeline_under_the_same_contract_is_silent(mutant, engine, tokenizer):
    assert findings_on(subject_of(mutant, tokenizer, broken=False), engine) == {}


def test_no_check_is_idle():
    killing = {name for mutant in MUTANTS for name in mutant.kills}
    assert set(checks.checks()) - PRECHECKS == killing


def test_every_mutant_names_its_report():
    for mutant in MUTANTS:
        assert mutant.function.__doc__, mutant.name
        assert mutant.function.__doc__.endswith(".")
