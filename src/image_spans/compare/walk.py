"""A behaviour through many releases: when it changed, and when it changed back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from packaging.version import InvalidVersion, Version

from image_spans.compare.differences import NOT_JUDGED, Flip, Subject, subject
from image_spans.compare.run import Outcome
from image_spans.compare.worlds import requirement
from image_spans.errors import ConfigError
from image_spans.lock.changes import Path, at
from image_spans.lock.record import LIBRARIES

EVERY = 16
"""So many releases are all tried; of more, those that bisecting asks for."""

_LOST = "it cannot be had any more: "

Ask = Callable[[str], "Outcome | str"]
"""What a release does, or why it cannot be had."""


@dataclass(frozen=True)
class Step:
    """One thing that changed from one release to the next that was tried."""

    first: str
    """The first release with it."""
    last: str
    """The last one without."""
    subjects: tuple[str, ...]
    headline: str
    details: tuple[str, ...] = ()
    flips: tuple[Flip, ...] = ()
    made_of: tuple[str, ...] = ()
    """The class that loads it, where that is another."""
    as_in: str | None = None
    """An earlier release that behaved in the same way: it changed back."""
    until: str | None = None
    """The release that changed it back."""
    paths: frozenset[Path] = field(default=frozenset(), compare=False, repr=False)
    """Where in the record it shows."""


@dataclass(frozen=True)
class Walk:
    """What changed on the way."""

    name: str
    tried: tuple[str, ...]
    steps: tuple[Step, ...]
    unavailable: Mapping[str, str] = field(default_factory=dict)
    """Release to the reason why it cannot be had."""
    untried: tuple[str, ...] = ()
    """What bisecting left out."""
    absent: Mapping[str, str] = field(default_factory=dict)
    """Subject to the reason why it can be had in no release."""
    troubles: tuple[str, ...] = ()
    had: tuple[str, ...] = ()
    """The subjects that some release has."""
    came_with: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Release to the other libraries that tokenize which moved with it: what changed may be theirs."""

    @property
    def exit_code(self) -> int:
        """0: nothing changed; 1: something did; 2: there were not two releases, or not one subject, to compare."""
        if self.steps:
            return 1
        return 2 if self.is_empty or self.troubles else 0

    @property
    def is_empty(self) -> bool:
        """Whether there was nothing to compare."""
        return len(self.tried) < 2 or not self.had


def wanted(text: str, listed: Callable[[str], list[str]]) -> tuple[str, list[str]]:
    """The distribution and the releases of ``name==A..B`` or ``name==A,B,C``, oldest first.

    Raises:
        ConfigError: it cannot be read, or there are fewer than two.
        Unavailable: the releases cannot be listed.
    """
    name, separator, range_ = text.partition("==")
    name = name.strip()
    if not separator or not range_.strip():
        raise ConfigError(f"--walk {text!r}: expected NAME==FIRST..LAST or NAME==A,B,C")
    requirement(name)
    first, dots, last = range_.partition("..")
    given = [word.strip() for word in ((first, last) if dots else range_.split(","))]
    try:
        versions = sorted({Version(word) for word in given})
    except InvalidVersion as error:
        raise ConfigError(f"--walk {text!r}: {error}") from None
    if not dots:
        found = [str(version) for version in versions]
    elif Version(first) > Version(last):
        raise ConfigError(f"--walk {text!r}: {first.strip()} is newer than {last.strip()}")
    else:
        found = [release for release in listed(name) if versions[0] <= Version(release) <= versions[-1]]
    if len(found) < 2:
        raise ConfigError(f"--walk {text!r}: there are fewer than two releases ({', '.join(found) or 'none'})")
    return name, found


def walk(name: str, releases: Sequence[str], ask: Ask, every: int = EVERY) -> Walk:
    """Record releases, all of them or by bisecting, and tell what changed between those that follow each other.

    Args:
        name: the distribution.
        releases: oldest first.
        ask: what a release does; asked once for each.
        every: up to so many are all tried.
    """
    outcomes: dict[str, Outcome] = {}
    unavailable: dict[str, str] = {}

    def had(release: str) -> Outcome | None:
        if release not in outcomes and release not in unavailable:
            said = ask(release)
            if isinstance(said, str):
                unavailable[release] = said
            else:
                outcomes[release] = said
        return outcomes.get(release)

    if len(releases) <= every:
        for release in releases:
            had(release)
    else:
        _bisect(releases, had)
    tried = [release for release in releases if release in outcomes]
    untried = tuple(release for release in releases if release not in outcomes and release not in unavailable)
    names = list(dict.fromkeys(one for release in tried for one in outcomes[release].records))
    absent = {
        one: said
        for one in names
        if all(isinstance(outcomes[release].records.get(one, ""), str) for release in tried)
        and isinstance(said := outcomes[tried[-1]].records.get(one, ""), str)
    }
    steps = [step for one in names for step in _steps(one, tried, outcomes)]
    troubles = tuple(
        f"the checks of {one.label} say nothing: {one.trouble}" for one in outcomes.values() if one.trouble
    )
    came_with = {new: _moved(name, outcomes[old], outcomes[new]) for old, new in pairwise(tried)}
    had_ = tuple(one for one in names if one not in absent)
    told = tuple(_grouped(steps, tried))
    return Walk(name, tuple(tried), told, unavailable, untried, absent, troubles, had_, came_with)


def _moved(name: str, before: Outcome, after: Outcome) -> tuple[str, ...]:
    pairs = {one: (before.versions.get(one), after.versions.get(one)) for one in LIBRARIES if one != name}
    return tuple(f"{one} {new or 'gone'}, was {old or 'not there'}" for one, (old, new) in pairs.items() if old != new)


def _bisect(releases: Sequence[str], had: Callable[[str], Outcome | None]) -> None:
    """Ask for the ends, and between two that differ for the middle."""
    low, high = 0, len(releases) - 1
    while low < high and had(releases[low]) is None:
        low += 1
    while high > low and had(releases[high]) is None:
        high -= 1
    had(releases[low])  # it may be the only one left
    _between(releases[low : high + 1], had)


def _between(releases: Sequence[str], had: Callable[[str], Outcome | None]) -> None:
    """Both ends can be had."""
    if len(releases) < 3:
        return
    before, after = had(releases[0]), had(releases[-1])
    if before is None or after is None or _same(before, after):
        return
    middle = len(releases) // 2
    # Where the middle cannot be had, its neighbours are asked, nearest first.
    for at_ in sorted(range(1, len(releases) - 1), key=lambda index: abs(index - middle)):
        if had(releases[at_]) is not None:
            _between(releases[: at_ + 1], had)
            _between(releases[at_:], had)
            return


def _same(before: Outcome, after: Outcome) -> bool:
    names = {*before.records, *after.records}
    return not any(_different(name, before, after).is_different for name in names)


def _different(name: str, before: Outcome, after: Outcome) -> Subject:
    return subject(
        name,
        (before.records.get(name, "it was not recorded"), before.verdicts.get(name)),
        (after.records.get(name, "it was not recorded"), after.verdicts.get(name)),
    )


def _steps(name: str, tried: Sequence[str], outcomes: Mapping[str, Outcome]) -> list[Step]:
    """What changed in one subject, from each release that has it to the next that has it."""
    found: list[Step] = []
    had = [index for index, release in enumerate(tried) if isinstance(outcomes[release].records.get(name), dict)]
    for index in range(1, len(tried)):
        last, first = tried[index - 1], tried[index]
        before, after = _different(name, outcomes[last], outcomes[first]).absent
        if before is None and after is not None:
            found.append(Step(first, last, (name,), f"{_LOST}{after}"))
        elif before is not None and after is None:
            open_ = (at_ for at_, step in enumerate(found) if step.headline.startswith(_LOST) and step.until is None)
            lost = next(open_, None)
            if lost is not None:
                found[lost] = replace(found[lost], until=first)
            again = " again" if lost is not None else ""
            found.append(Step(first, last, (name,), f"it can be had{again}; before: {before}"))
        if index in had[1:]:
            known = had[had.index(index) - 1]
            found += _changes(name, tried[known], first, tried[:known], outcomes)
    return _with_ends(found)


def _changes(
    name: str, last: str, first: str, earlier: Sequence[str], outcomes: Mapping[str, Outcome]
) -> Iterator[Step]:
    """What changed in one subject between two releases that have it."""
    different = _different(name, outcomes[last], outcomes[first])
    other_class = tuple(line for line in different.made_of if line.startswith("class: "))
    # Which of several changes a check depends on is not known, so the checks stand with the first of them.
    told, made_of = different.flips, other_class
    for change in different.changes:
        as_in = _as_in(name, change.paths, outcomes[first], earlier, outcomes)
        step = Step(first, last, (name,), change.headline, change.details, told, made_of, as_in)
        yield replace(step, paths=frozenset(change.paths))
        told, made_of = (), ()
    if told and not different.changes:
        as_in = next((one for one in reversed(earlier) if _verdicts_are(name, told, outcomes[one])), None)
        yield Step(first, last, (name,), "only checks say something else", (), told, made_of, as_in)


def _as_in(
    name: str, paths: Sequence[Path], now: Outcome, earlier: Sequence[str], outcomes: Mapping[str, Outcome]
) -> str | None:
    """The latest earlier release where all that changed was as it is now."""
    record = now.records[name]
    for release in reversed(earlier):
        old = outcomes[release].records.get(name)
        if isinstance(old, str) or isinstance(record, str) or old is None:
            continue
        if all(at(old, path) == at(record, path) for path in paths):
            return release
    return None


def _verdicts_are(name: str, flips: Sequence[Flip], outcome: Outcome) -> bool:
    said = outcome.verdicts.get(name, {})
    return all(said.get(flip.check, NOT_JUDGED)["is"] == flip.after.partition(" (")[0] for flip in flips)


def _with_ends(steps: Sequence[Step]) -> list[Step]:
    """Tell of what was changed back where it began, too."""
    found = list(steps)
    for back in steps:
        if back.as_in is None:
            continue
        for index, step in enumerate(found):
            if step.until is None and step.last == back.as_in and step.paths <= back.paths:
                found[index] = replace(step, until=back.first)
    return found


def _grouped(steps: Sequence[Step], tried: Sequence[str]) -> list[Step]:
    """Steps that say the same of several subjects as one, in the order of releases."""
    groups: dict[Step, list[Step]] = {}
    for step in steps:
        groups.setdefault(replace(step, subjects=(), details=()), []).append(step)
    joined = [
        replace(members[0], subjects=tuple(name for one in members for name in one.subjects))
        for members in groups.values()
    ]
    return sorted(joined, key=lambda step: tried.index(step.first))
