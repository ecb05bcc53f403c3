"""The checks: named rules that compare an encoding with the oracle.

A check is one function, registered under its name:

    @check("spans.matched", needs=["pipeline.encodes"])
    def spans_matched(case: Case) -> Finding | None:
        \"\"\"As many closes as opens.\"\"\"

It returns None where the rule holds, a :class:`Finding` where it does not, and a :class:`NotJudged` where
this conversation cannot tell. The built-in ones are the modules of this package.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias, TypeVar

from image_spans import discovery
from image_spans.case import Case
from image_spans.contract import Contract
from image_spans.conversation import Conversation
from image_spans.errors import ConfigError, nearest, words
from image_spans.findings import Finding

_INVARIANTS = re.compile(r" \((I\d+(?:, I\d+)*)\)(?=[.:]?$)")
"""Their numbers, at the end of a summary."""

Family: TypeAlias = Literal["once", "single", "hazard", "variants", "faults", "limits", "batch"]


@dataclass(frozen=True)
class NotJudged:
    """A check's answer for a conversation that cannot show whether its rule holds."""

    because_of: str | None = None
    """The check that failed there, so that this one could not be judged; None: nothing to judge."""
    on: Conversation | None = field(default=None, compare=False, repr=False)
    """The conversation on which it failed: the one to be judged, or a related one."""


NOT_JUDGED: Final = NotJudged()

Verdict: TypeAlias = Finding | NotJudged | None
Inapplicable: TypeAlias = Callable[[Contract, frozenset[str]], "str | None"]
"""From a contract and what else is declared (``Subject.abilities``) to the reason why a check does not apply."""


@dataclass(frozen=True)
class Check:
    """A registered check."""

    name: str
    family: Family
    judge: Callable[[Any], Verdict]
    """Takes a :class:`Case`; a check of the family ``once`` takes the :class:`Subject`."""
    needs: tuple[str, ...]
    inapplicable: Inapplicable
    """Why the check says nothing about a subject (nothing declared to judge); None where it applies."""
    positions: tuple[str, ...] | None
    """The positions of images at which it is judged; None: all."""
    examples: tuple[Conversation, ...] = ()
    """Conversations that it judges besides those drawn, where they are in the contract: at the position ``start``, and
    those without images at ``none``."""

    @property
    def summary(self) -> str:
        """The first line of its docstring."""
        return (self.judge.__doc__ or "").strip().partition("\n")[0]

    @property
    def rule(self) -> str:
        """The same without the numbers of its invariants, for readers who have no list of them."""
        return _INVARIANTS.sub("", self.summary)

    @property
    def invariants(self) -> str:
        """The numbers of the invariants that it judges: ``I6, I15``; empty for what no contract can state."""
        found = _INVARIANTS.search(self.summary)
        return found[1] if found else ""

    @property
    def group(self) -> str:
        """The first part of the name; the column of the summary."""
        return self.name.partition(".")[0]


_REGISTRY: dict[str, Check] = {}
_F = TypeVar("_F", bound=Callable[..., Verdict])


def _always(contract: Contract, abilities: frozenset[str]) -> str | None:
    return None


def check(
    name: str,
    *,
    family: Family = "single",
    needs: Iterable[str] = (),
    inapplicable: Inapplicable = _always,
    positions: Sequence[str] | None = None,
    examples: Sequence[Conversation] = (),
) -> Callable[[_F], _F]:
    """Register a check.

    Args:
        name: ``group.rule``, without dashes (names stand in test ids).
        family: which draws it judges: ``once`` (the subject, no conversation), ``single``, ``hazard``
            (text that spells markers), ``variants`` (it encodes further conversations itself), ``faults`` (the
            same, outside of the contract), ``limits`` (at several lengths) or ``batch`` (several together).
        needs: checks that must hold on a conversation before this one is judged on it.
        inapplicable: why it says nothing about a subject, from what the subject declares.
        positions: image positions at which it is judged.
        examples: conversations that it judges besides those that are drawn.
    """

    def register(function: _F) -> _F:
        if name in _REGISTRY and _REGISTRY[name].judge is not function:
            raise ConfigError(f"there is already a check {name!r}")
        if "." not in name or "-" in name:
            raise ConfigError(f"a check's name has the form group.rule, without dashes; not {name!r}")
        chosen = tuple(positions) if positions is not None else None
        _REGISTRY[name] = Check(name, family, function, tuple(needs), inapplicable, chosen, tuple(examples))
        return function

    return register


def checks() -> dict[str, Check]:
    """All registered checks by name, in the order in which they are judged."""
    names = _in_order(tuple((name, one.needs) for name, one in _REGISTRY.items()))
    return {name: _REGISTRY[name] for name in names}


@lru_cache(maxsize=8)
def _in_order(registered: tuple[tuple[str, tuple[str, ...]], ...]) -> tuple[str, ...]:
    """Their names; kept, since every conversation that is judged asks for them."""
    return tuple(sorted((name for name, _ in registered), key=_depth))


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
    """What the check ``name`` says of a case; asked once. Not judged where a needed check failed."""
    if name not in case.verdicts:
        one = _REGISTRY[name]
        blocked = blocking(case, one.needs)
        if blocked:
            case.verdicts[name] = blocked
        elif case.encoding is None and one.family == "single" and "pipeline.encodes" in one.needs:
            case.verdicts[name] = NOT_JUDGED  # refused, as declared: there are no ids to judge
        else:
            try:
                case.verdicts[name] = one.judge(case)
            except Exception as error:  # a tokenizer, a rule or an order of the user's
                case.verdicts[name] = case.finding(name, f"judging raised {words(error)}", raised=error)
    verdict: Verdict = case.verdicts[name]
    return verdict


def blocking(case: Case, names: Iterable[str]) -> NotJudged | None:
    """What to answer where one of these checks fails on a case, or could not be judged because another failed."""
    for name in names:
        verdict = judge(case, name)
        if isinstance(verdict, Finding):
            return NotJudged(name, case.conversation)
        if isinstance(verdict, NotJudged) and verdict.because_of is not None:
            return verdict
    return None


for _name in discovery.names(__name__):
    importlib.import_module(f"{__name__}.{_name}")
