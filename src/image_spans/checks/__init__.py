"""The checks: named rules that compare an encoding with the oracle.

A check is one function, registered under its name:

    @check("spans.matched", needs=["pipeline.encodes"])
    def spans_matched(case: Case) -> Finding | None:
        \"\"\"As many closes as opens.\"\"\"

It returns None where the rule holds, a :class:`Finding` where it does not, and :data:`NOT_JUDGED` where
this conversation cannot tell. The built-in ones are the modules of this package.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Final, Literal, TypeAlias, TypeVar

from image_spans import discovery
from image_spans.case import Case
from image_spans.errors import ConfigError, nearest
from image_spans.findings import Finding
from image_spans.subject import Subject

Family: TypeAlias = Literal["once", "single", "hazard", "variants"]


class _NotJudged:
    def __repr__(self) -> str:
        return "NOT_JUDGED"


NOT_JUDGED: Final = _NotJudged()
"""A check's answer for a conversation that cannot show whether its rule holds."""

Verdict: TypeAlias = "Finding | None | _NotJudged"


@dataclass(frozen=True)
class Check:
    """A registered check."""

    name: str
    family: Family
    judge: Callable[[Any], Verdict]
    """Takes a :class:`Case`; a check of the family ``once`` takes the :class:`Subject`."""
    needs: tuple[str, ...]
    inapplicable: Callable[[Subject], str | None]
    """Why the check says nothing about a subject (nothing declared to judge); None where it applies."""
    positions: tuple[str, ...] | None
    """The positions of images at which it is judged; None: all."""

    @property
    def summary(self) -> str:
        """The first line of its docstring."""
        return (self.judge.__doc__ or "").strip().partition("\n")[0]

    @property
    def group(self) -> str:
        """The first part of the name; the column of the summary."""
        return self.name.partition(".")[0]


_REGISTRY: dict[str, Check] = {}
_F = TypeVar("_F", bound=Callable[..., Verdict])


def _always(subject: Subject) -> str | None:
    return None


def check(
    name: str,
    *,
    family: Family = "single",
    needs: Iterable[str] = (),
    inapplicable: Callable[[Subject], str | None] = _always,
    positions: Sequence[str] | None = None,
) -> Callable[[_F], _F]:
    """Register a check.

    Args:
        name: ``group.rule``, without dashes (names stand in test ids).
        family: which draws it judges: ``once`` (the subject, no conversation), ``single``, ``hazard``
            (text that spells markers) or ``variants`` (it encodes further conversations itself).
        needs: checks that must hold on a conversation before this one is judged on it.
        inapplicable: why it says nothing about a subject, from what the subject declares.
        positions: image positions at which it is judged.
    """

    def register(function: _F) -> _F:
        if name in _REGISTRY and _REGISTRY[name].judge is not function:
            raise ConfigError(f"there is already a check {name!r}")
        if "." not in name or "-" in name:
            raise ConfigError(f"a check's name has the form group.rule, without dashes; not {name!r}")
        chosen = tuple(positions) if positions is not None else None
        _REGISTRY[name] = Check(name, family, function, tuple(needs), inapplicable, chosen)
        return function

    return register


@cache
def _load_built_in() -> None:
    for name in discovery.names(__name__):
        importlib.import_module(f"{__name__}.{name}")


def checks() -> dict[str, Check]:
    """All registered checks by name, in the order in which they are judged."""
    _load_built_in()
    return dict(sorted(_REGISTRY.items(), key=lambda item: _depth(item[0])))


def _depth(name: str) -> tuple[int, str]:
    needs = _REGISTRY[name].needs
    return (1 + max((_depth(need)[0] for need in needs), default=0), name)


def find(pattern: str) -> list[str]:
    """The names that ``pattern`` selects: a check, or a group such as ``spans``.

    Raises:
        ConfigError: it selects nothing; names the nearest spelling.
    """
    names = checks()
    chosen = [name for name in names if pattern in (name, names[name].group)]
    if not chosen:
        raise ConfigError(f"unknown check {pattern!r}{nearest(pattern, [*names, *{c.group for c in names.values()}])}")
    return chosen


def judge(case: Case, name: str) -> Verdict:
    """What the check ``name`` says of a case; asked once. NOT_JUDGED where a needed check failed."""
    if name not in case.verdicts:
        one = _REGISTRY[name]
        blocked = any(judge(case, need) is not None for need in one.needs)
        case.verdicts[name] = NOT_JUDGED if blocked else one.judge(case)
    return case.verdicts[name]


def holds(case: Case, *names: str) -> bool:
    """Whether all of these checks hold on a case; for checks that encode a variant."""
    return all(judge(case, name) is None for name in names)
