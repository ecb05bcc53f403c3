"""What is different, for a terminal, as Markdown for a pull request, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from image_spans.compare.differences import Comparison, Flip, Subject
from image_spans.compare.walk import Step, Walk
from image_spans.lock.changes import Change
from image_spans.lock.record import LIBRARIES

_DETAILS = 12
"""So many consequences of one change are shown; JSON has all."""


def comparison(found: Comparison, form: str) -> str:
    """A comparison as ``text``, ``md`` or ``json``."""
    return {"text": _text, "md": _markdown, "json": _json}[form](found)


def walk(found: Walk, form: str) -> str:
    """A walk as ``text``, ``md`` or ``json``."""
    return {"text": _walk_text, "md": _walk_markdown, "json": _walk_json}[form](found)


# ---------------------------------------------------------------- words that all forms share


def _count(found: Comparison) -> str:
    different = [subject for subject in found.subjects if subject.is_different]
    number = f"{len(found.subjects)} subject{'s' * (len(found.subjects) != 1)}"
    if not different:
        return f"{number}: no difference in behaviour"
    return f"{len(different)} of {number} behave{'s' * (len(different) == 1)} differently"


def _versions(found: Comparison) -> Iterator[str]:
    """The libraries that tokenize line by line, all others in one."""
    others = []
    for name, (before, after) in found.versions.items():
        if name in LIBRARIES:
            yield f"{name} {after or 'is not there'}, was {before or 'not there'}"
        else:
            others.append(f"{name} {after or 'gone'}")
    if others:
        yield f"also: {', '.join(others)}"


def _absent(found: Comparison, subject: Subject) -> list[str]:
    before, after = subject.absent
    if before is not None and before == after:
        return [f"cannot be had in either: {before}"]
    return [
        f"cannot be had in {label}: {reason}"
        for label, reason in ((found.before, before), (found.after, after))
        if reason is not None
    ]


def _made_of(found: Comparison, subject: Subject) -> list[str]:
    """What a subject is made of now, but for the versions that are told once for all."""
    return [line for line in subject.made_of if line.partition(" ")[0] not in found.versions]


def _cosmetic(found: Comparison) -> list[str]:
    """The subjects that behave as before, but are made of other things."""
    made_of = {one.name: _made_of(found, one) for one in found.subjects if not one.is_different}
    return [f"{name} ({'; '.join(lines)})" for name, lines in made_of.items() if lines]


def _not_there(found: Comparison) -> list[str]:
    """The subjects that can be had on neither side."""
    return [
        f"{subject.name} {line}"
        for subject in found.subjects
        if not subject.is_different
        for line in _absent(found, subject)
    ]


def _flips(flips: Sequence[Flip]) -> Iterator[str]:
    for flip in flips:
        if flip.judged:
            yield f"check {flip.check} {flip.after}, before {flip.before}"
    for when, checks in (
        ("checks no longer judged", [flip.check for flip in flips if flip.after == "not judged"]),
        ("checks judged only now", [flip.check for flip in flips if flip.before == "not judged"]),
    ):
        if checks:
            yield f"{when}: {_listed(checks)}"


def _listed(words: Sequence[str], most: int = 6) -> str:
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more


def _shortened(details: Sequence[str]) -> Iterator[str]:
    yield from details[:_DETAILS]
    if len(details) > _DETAILS:
        yield f"... and {len(details) - _DETAILS} more"


def _same(found: Comparison) -> list[str]:
    return [subject.name for subject in found.subjects if not subject.is_different and subject.absent == (None, None)]


# ---------------------------------------------------------------- a comparison


def _text(found: Comparison) -> str:
    lines = [f"before: {found.before}", f"after:  {found.after}", *(f"  {line}" for line in _versions(found))]
    lines += [_count(found), *found.troubles]
    for subject in found.subjects:
        if not subject.is_different:
            continue
        lines += ["", subject.name, *(f"  {line}" for line in _absent(found, subject))]
        lines += [f"  {line}" for line in _made_of(found, subject)]
        for change in subject.changes:
            lines += [f"  {change.headline}", *(f"    {line}" for line in _shortened(_behind(change)))]
        lines += [f"  {line}" for line in _flips(subject.flips)]
    lines += ["", *_not_there(found)]
    same = _same(found)
    if same:
        lines.append(f"the same: {', '.join(same)}")
    lines += [f"  only made of other things: {line}" for line in _cosmetic(found)]
    return "\n".join(lines).rstrip() + "\n"


def _behind(change: Change) -> tuple[str, ...]:
    """What follows from a change, unless the headline has said it."""
    return () if len(change.details) == 1 and change.headline.endswith(change.details[0]) else change.details


def _markdown(found: Comparison) -> str:
    lines = [f"### {_count(found)}", "", f"Before: {_code(found.before)}, after: {_code(found.after)}.", ""]
    if found.versions:
        lines += ["| distribution | before | after |", "|---|---|---|"]
        lines += [f"| {name} | {old or ''} | {new or ''} |" for name, (old, new) in found.versions.items()]
        lines.append("")
    lines += [f"**{_plain(trouble)}**\n" for trouble in found.troubles]
    for subject in found.subjects:
        if not subject.is_different:
            continue
        lines += [f"#### {subject.name}", "", *(f"- {_plain(line)}" for line in _absent(found, subject))]
        lines += [f"- {_plain(line)}" for line in _made_of(found, subject)]
        for change in subject.changes:
            lines.append(f"- {_plain(change.headline)}")
            behind = _behind(change)
            if behind:
                lines += ["", "  <details><summary>what follows</summary>", "", "  ```text"]
                lines += [f"  {line}" for line in _shortened(behind)]
                lines += ["  ```", "", "  </details>", ""]
        lines += [*(f"- {_plain(line)}" for line in _flips(subject.flips)), ""]
    lines += [f"- {_plain(line)}" for line in _not_there(found)]
    same = _same(found)
    if same:
        lines += ["", f"The same: {', '.join(same)}."]
    cosmetic = [f"- only made of other things: {_plain(line)}" for line in _cosmetic(found)]
    lines += [""] * bool(cosmetic) + cosmetic
    return "\n".join(lines).rstrip() + "\n"


def _plain(text: str) -> str:
    """Text in which Markdown finds nothing to format: tokens are full of what it takes for markup."""
    return text.translate(_ESCAPES)


_ESCAPES = {
    **{ord(character): f"\\{character}" for character in "\\`*_{}[]#|~$"},
    **{ord(character): f"&{name};" for character, name in (("<", "lt"), (">", "gt"), ("&", "amp"), ("@", "commat"))},
}


def _code(text: str) -> str:
    return f"`{text}`"


def _json(found: Comparison) -> str:
    return _dumped(
        {
            "schema": 1,
            "before": found.before,
            "after": found.after,
            "versions": {name: list(pair) for name, pair in found.versions.items()},
            "different": any(subject.is_different for subject in found.subjects),
            "troubles": found.troubles,
            "subjects": {subject.name: _subject_json(subject) for subject in found.subjects},
        }
    )


def _subject_json(subject: Subject) -> dict[str, Any]:
    before, after = subject.absent
    return {
        "different": subject.is_different,
        "changes": [{"headline": one.headline, "details": one.details} for one in subject.changes],
        "checks": [asdict(flip) for flip in subject.flips],
        "made of": subject.made_of,
        "cannot be had": {"before": before, "after": after},
    }


def _dumped(data: Any) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


# ---------------------------------------------------------------- a walk


def _walk_text(found: Walk) -> str:
    lines = [*_on_the_way(found), ""]
    for release, steps in _by_release(found):
        moved = found.came_with.get(release)
        also = f" (with {'; '.join(moved)})" if moved else ""
        lines.append(f"{found.name} {release}{also}")
        for step in steps:
            lines += [f"  {line}" for line in _step(step)]
    return "\n".join(lines).rstrip() + "\n"


def _step(step: Step) -> Iterator[str]:
    yield f"{step.headline}{_when(step)} [{_listed(step.subjects, 4)}]"
    yield from (f"  {line}" for line in (*step.made_of, *_flips(step.flips)))


def _when(step: Step) -> str:
    if step.as_in is not None:
        return f" (as in {step.as_in}; {step.last} is the last without)"
    return f" ({step.last} is the last without{f'; changed back in {step.until}' if step.until else ''})"


def _by_release(found: Walk) -> Iterator[tuple[str, list[Step]]]:
    for release in dict.fromkeys(step.first for step in found.steps):
        yield release, [step for step in found.steps if step.first == release]


def _on_the_way(found: Walk) -> Iterator[str]:
    """What was tried, what was not, and what that means."""
    yield f"{found.name}: {len(found.tried)} releases recorded: {', '.join(found.tried) or 'none'}"
    for release, reason in found.unavailable.items():
        yield f"{release} cannot be had: {reason}"
    if found.untried:
        yield (
            f"bisected; not tried: {', '.join(found.untried)}. What changed and changed back between two releases that "
            "are alike is not seen (--every N tries up to N releases)"
        )
    for name, reason in found.absent.items():
        yield f"{name} cannot be had in any of them: {reason}"
    yield from found.troubles
    if found.is_empty:
        yield "nothing could be compared"
    elif not found.steps:
        yield "no behaviour changed"


def _walk_markdown(found: Walk) -> str:
    lines = [f"### {found.name} {found.tried[0]} to {found.tried[-1]}" if found.tried else f"### {found.name}", ""]
    lines += [f"- {_plain(line)}" for line in _on_the_way(found)]
    if found.steps:
        lines += [
            "",
            "| first with it | last without | what changed | back | checks | subjects |",
            "|---|---|---|---|---|---|",
        ]
    for step in found.steps:
        back = f"as in {step.as_in}" if step.as_in else f"changed back in {step.until}" if step.until else ""
        moved = found.came_with.get(step.first)
        cells = [
            f"{step.first}<br>with {'; '.join(moved)}" if moved else step.first,
            step.last,
            _plain(step.headline),
            back,
        ]
        cells[2] += "".join(f" ({_plain(line)})" for line in step.made_of)
        cells += ["<br>".join(map(_plain, _flips(step.flips))), _plain(", ".join(step.subjects))]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines).rstrip() + "\n"


def _walk_json(found: Walk) -> str:
    return _dumped(
        {
            "schema": 1,
            "distribution": found.name,
            "tried": found.tried,
            "untried": found.untried,
            "unavailable": dict(found.unavailable),
            "cannot be had": dict(found.absent),
            "troubles": found.troubles,
            "came with": dict(found.came_with),
            "changes": [_step_json(step) for step in found.steps],
        }
    )


def _step_json(step: Step) -> dict[str, Any]:
    return {
        "first with": step.first,
        "last without": step.last,
        "subjects": step.subjects,
        "headline": step.headline,
        "details": step.details,
        "checks": [asdict(flip) for flip in step.flips],
        "made of": step.made_of,
        "as in": step.as_in,
        "changed back in": step.until,
    }
