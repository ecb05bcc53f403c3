"""How many placeholders, where the ids end, and where the bounds say (F6, F8, F9, F11, F12)."""

from __future__ import annotations

from collections.abc import Sequence

from image_spans.case import Case
from image_spans.diagnosis.markers import SPAN_EMPTY
from image_spans.diagnosis.rivals import encoded, text_behind, text_in_front
from image_spans.findings import Cause, Finding
from image_spans.oracles import PLACEHOLDER, Token


def moved(case: Case, finding: Finding) -> Cause | None:
    """All the text is there, divided by the images in another way."""
    if not finding.facts.get("moved"):
        return None
    declared = case.subject.contract.images.order
    return Cause("image-moved", f"images were moved within the text, but the declared order is {declared}")


def slot_count(case: Case, finding: Finding) -> Cause | None:
    """The number of slots alone, where no layout explains it."""
    counts = finding.facts.get("slots")
    if finding.facts.get("stray"):
        return Cause("stray-placeholder", "a placeholder stands where no image is, as when a model generated it")
    if finding.facts.get("empty"):
        return SPAN_EMPTY
    if not counts:
        return None
    found, wanted = counts
    image = finding.facts.get("image")
    if abs(found - wanted) == 1:
        few = "less" if found < wanted else "more"
        return Cause(
            "slots-off-by-one", f"one slot {few} than image {image} needs: {found} in a span, expected {wanted}"
        )
    if _each_expanded(case):
        return Cause(
            "expanded-twice",
            f"the placeholders were expanded again: {found // wanted} times the {wanted} that image {image} needs",
        )
    times = f", {found // wanted} times as many" if found % wanted == 0 else ""
    return Cause(
        "slots-differ",
        f"the number of slots comes from another rule: image {image} has {found} in a span, expected {wanted}{times}",
    )


def _each_expanded(case: Case) -> bool:
    """Whether every placeholder of every run stands for as many as the run should have.

    That a run is some times as long says little: another rule may give that too.
    """
    pairs = zip(case.found.tokens, case.expected.tokens, strict=False)
    runs = [(found[1], wanted[1]) for found, wanted in pairs if found[0] == wanted[0] == PLACEHOLDER]
    same = [role for role, _ in case.found.tokens] == [role for role, _ in case.expected.tokens]
    return same and all(found == wanted * wanted for found, wanted in runs) and any(w > 2 for _, w in runs)


# ---------------------------------------------------------------- cut off


def cut_at_limit(case: Case, finding: Finding) -> Cause | None:
    """The ids end, or begin, inside of what they should be, and with more text they still are as many."""
    length = len(case.ids)
    for side, probes in (("right", text_in_front), ("left", text_behind)):  # on the side that stays
        image = _cut_image(case, left=side == "left")
        if image is None:
            continue
        for probe in probes(case):
            other = encoded(case, probe)
            if other is None or len(other.ids) != length:
                continue
            if _cut_image(other, left=side == "left") is not None:
                return Cause("cut-at-limit", _limit_sentence(case, side, image))
    return None


def _cut_image(case: Case, *, left: bool) -> int | str | None:
    """The image in or behind which all is missing, or "" for text; None where it is not only that."""
    step = -1 if left else 1
    found, wanted = case.found.tokens[::step], case.expected.tokens[::step]
    owners, gaps = case.expected.owners[::step], case.expected.gaps[::step]
    stretches = [case.found.gap(index) for index in range(len(found) + 1)][::step]
    if len(found) > len(wanted) or not begins(wanted, found):
        return None
    texts, count = case.bench.texts, len(found)
    if not all(texts.survives(ids, pieces) for ids, pieces in zip(stretches[:count], gaps[:count], strict=True)):
        return None
    text = "".join(piece.text for piece in gaps[count])
    got = texts.decode(stretches[count]) if stretches[count] else ""
    if not (text.endswith(got) if left else text.startswith(got)) or (found == wanted and got == text):
        return None
    if found == wanted:
        return ""
    shortened = count and found[-1] != wanted[count - 1]
    owner = owners[count - 1 if shortened else count]
    return "" if owner is None else owner


def begins(wanted: list[Token], found: list[Token]) -> bool:
    """Whether the tokens found are the first of those wanted; of the last run a part is enough."""
    if not found:
        return True
    *front, (role, many) = found
    right = wanted[len(front)]
    return front == wanted[: len(front)] and right[0] == role and many <= right[1]


def _limit_sentence(case: Case, side: str, image: int | str) -> str:
    texts = case.bench.texts
    pieces = sum(len(texts.alone(piece.text)[0]) for gap in case.expected.gaps for piece in gap if piece.text)
    whole = pieces + sum(many for _, many in case.expected.tokens) + len(case.found.bos)
    where = f"in or before image {image}" if image != "" else "in the text"
    return (
        f"the {side} side is cut off {where}: no more than {len(case.ids)} ids come back, "
        f"and the limit would have to be about {whole} for all"
    )


# ---------------------------------------------------------------- bounds


def bounds(case: Case, finding: Finding) -> Cause | None:
    """The bounds that are given against the runs that are there."""
    given, runs = finding.facts["bounds"]
    if not given:
        return Cause("bounds-empty", "the pipeline returns no bounds although there are placeholders")
    shift = given[0][0] - runs[0][0] if runs else 0
    moved = [(start - shift, end - shift) for start, end in given]
    if shift and (moved == runs or _joined(moved) == runs):
        return Cause(
            "bounds-shifted",
            f"all bounds are {abs(shift)} ids too {'high' if shift > 0 else 'low'}, "
            "as when ids are put in or taken out after the bounds were taken",
        )
    if len(given) == len(runs):
        shifts = {(a - c, b - d) for (a, b), (c, d) in zip(given, runs, strict=True)}
        if len(shifts) == 1:
            start, end = shifts.pop()
            if (start, end) == (0, -1):
                return Cause(
                    "bounds-inclusive", "the end of each bound is its last placeholder; it should be one behind"
                )
            if (start, end) in ((-1, 1), (-1, 0), (0, 1)):
                return Cause("bounds-with-markers", "the bounds take in the open or close markers")
    if set(given) < set(runs):
        return Cause("bounds-missing", f"{len(runs) - len(given)} of {len(runs)} runs of placeholders have no bound")
    if sorted(given) == sorted(runs):
        return Cause("bounds-unordered", "the bounds are right but not in the order of the ids")
    return None


def _joined(bounds: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Bounds that touch as one: images that touch are one run."""
    joined: list[tuple[int, int]] = []
    for start, end in bounds:
        joined[-1:] = [(joined[-1][0], end)] if joined and joined[-1][1] == start else [*joined[-1:], (start, end)]
    return joined
