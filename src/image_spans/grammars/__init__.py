"""Grammars: from an image's layout to the tokens that stand for it.

A grammar is a module here with two functions; the YAML names it under ``images: grammar``.

``write(layout, contract, number)``
    the elements of one image in order; ``number`` counts the conversation's images from 0.
``pairs(contract)``
    the open and close roles that must balance, with the kinds in which each may stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

from image_spans import discovery

if TYPE_CHECKING:
    from image_spans.contract import Contract
    from image_spans.slicing import Layout


@dataclass(frozen=True, slots=True)
class Marker:
    """One token that structures images; ``role`` is a key of ``Contract.markers()``."""

    role: str


@dataclass(frozen=True, slots=True)
class Fixed:
    """Text that the pipeline writes inside or round an image's block."""

    text: str


@dataclass(frozen=True, slots=True)
class Slots:
    """A run of ``count`` placeholders."""

    count: int


Element: TypeAlias = Marker | Fixed | Slots


@dataclass(frozen=True, slots=True)
class Pair:
    """Roles that open and close one kind of span; ``within`` names the kinds that may enclose it."""

    kind: str
    open: str
    close: str
    within: tuple[str, ...] = ()


class Grammar(Protocol):
    """What a grammar module offers."""

    def write(self, layout: Layout, contract: Contract, number: int) -> Sequence[Element]: ...

    def pairs(self, contract: Contract) -> Sequence[Pair]: ...


@cache
def grammar(name: str) -> Grammar:
    """The grammar that the YAML calls ``name``.

    Raises:
        ConfigError: there is no such grammar.
    """
    return cast("Grammar", discovery.load(__name__, name, "grammar"))


def markers(role: str, count: int) -> list[Marker]:
    """The markers of a role that ``count`` tokens spell together: ``role``, ``role_2``, ..."""
    return [Marker(role if index == 0 else f"{role}_{index + 1}") for index in range(count)]
