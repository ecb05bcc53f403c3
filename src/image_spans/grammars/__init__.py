"""Grammars: from an image's layout to the tokens that stand for it.

A grammar is a module here with two functions; the YAML names it under ``images: grammar``. A grammar of one's own
(``module:function``) is the first of them alone; what its open and close tokens pair is then their names' meaning.

``write(layout, contract, number)``
    the elements of one image in order; ``number`` counts the conversation's images from 0.
``pairs(contract)``
    the open and close roles that must balance, with the kinds in which each may stand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

from image_spans import discovery

if TYPE_CHECKING:
    from image_spans.contract import Contract
    from image_spans.slicing import Layout


@dataclass(frozen=True, slots=True)
class Marker:
    """One token that structures images; ``role`` is a key of ``Contract.markers``."""

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


@dataclass(frozen=True)
class _Own:
    """A grammar that the user wrote: one function."""

    function: Callable[..., Iterable[Element]]

    def write(self, layout: Layout, contract: Contract, number: int) -> Sequence[Element]:
        return tuple(self.function(layout, contract, number))

    def pairs(self, contract: Contract) -> Sequence[Pair]:
        """Image open and close, and those of a number, where they are declared."""
        kinds = {"image": contract.images.open and contract.images.close, "number": contract.images.number}
        return [Pair(kind, f"{kind}_open", f"{kind}_close") for kind, declared in kinds.items() if declared]


@cache
def grammar(name: str, folder: Path | None = None) -> Grammar:
    """The grammar that the YAML calls ``name``; ``folder`` is where the module of one's own is looked up first.

    Raises:
        ConfigError: there is no such grammar.
    """
    if discovery.is_reference(name):
        return _Own(discovery.resolve(name, folder))
    return cast("Grammar", discovery.load(__name__, name, "grammar"))


def markers(role: str, count: int) -> list[Marker]:
    """The markers of a role that ``count`` tokens spell together: ``role``, ``role_2``, ..."""
    return [Marker(role if index == 0 else f"{role}_{index + 1}") for index in range(count)]
