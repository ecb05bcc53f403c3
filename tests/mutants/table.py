"""All mutants in one table: on the toy, of tokenizers, and on the subjects of the YAML."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from test_mutants import has_reference, subject_of
from tokenizer_mutants import TOKENIZER_MUTANTS

from image_spans.subject import Subject
from mutants import MUTANTS
from support import ToyTokenizer


@dataclass(frozen=True)
class Row:
    """A mutant as all of them are: what is broken, what must notice it, and where the same does no harm."""

    name: str
    document: str
    families: frozenset[str]
    kills: frozenset[str]
    make: Callable[[], Subject]
    near: tuple[str, ...]
    """What its near-misses are called; each is silent by a test of its own."""


_TOY = ToyTokenizer()


def rows() -> list[Row]:
    """Every mutant that needs no package."""
    made = []
    for one in MUTANTS:
        near = ("the reference pipeline",) * has_reference(one) + ("the same code",) * (one.harmless is not None)
        make = partial(subject_of, one, _TOY, broken=True)
        made.append(Row(one.name, one.function.__doc__ or "", one.families, one.kills, make, near))
    for other in TOKENIZER_MUTANTS:
        near = ("another use, or another tokenizer",)
        made.append(Row(other.name, other.make.__doc__ or "", other.families, other.kills, other.make, near))
    return made


ROWS = rows()
expected_kills = {row.name: row.kills for row in ROWS}
"""Mutant to the checks that fail on it; all others are silent."""
