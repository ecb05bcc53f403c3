"""Grammars: from an image's layout to the tokens that stand for it.

A grammar is a module here with two functions; the YAML names it under ``images: grammar``. A grammar of one's own
(``module:function``) is the first of them alone; what pairs is told by the roles: ``tile_open`` and ``tile_close`` do.

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
        elements = self.function(layout, contract, number)
        if not isinstance(elements, Iterable):
            raise TypeError(f"expected an iterable of Marker, Fixed and Slots, it returned {elements!r}")
        return tuple(elements)

    def pairs(self, contract: Contract) -> Sequence[Pair]:
        return _declared_pairs(contract)


def _declared_pairs(contract: Contract) -> Sequence[Pair]:
    """Every ``.._open`` and ``.._close`` that are both declared; how they nest, only the user's function knows."""
    roles = contract.markers
    kinds = [role.removesuffix("_open") for role in roles if role.endswith("_open")]
    kinds = [kind for kind in kinds if f"{kind}_close" in roles]
    return [
        Pair(kind, f"{kind}_open", f"{kind}_close", within=tuple(other for other in kinds if other != kind))
        for kind in kinds
    ]


def pairs(contract: Contract) -> Sequence[Pair]:
    """What pairs under a contract; a grammar of one's own is not imported for it."""
    name = contract.images.grammar
    return _declared_pairs(contract) if discovery.is_reference(name) else grammar(name).pairs(contract)


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
