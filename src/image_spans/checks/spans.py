"""Spans: balanced, as many as expected, filled, in order, and where the bounds say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import permutations

from image_spans.case import Case
from image_spans.checks import Verdict, check
from image_spans.contract import Contract
from image_spans.conversation import resized
from image_spans.findings import first_difference
from image_spans.oracles import PLACEHOLDER, Token, imbalance, pairs_of


def _nothing_opens(contract: Contract, abilities: frozenset[str]) -> str | None:
    return None if pairs_of(contract) else f"the grammar {contract.images.grammar} has no open marker"


@check("spans.matched", needs=["pipeline.encodes"], inapplicable=_nothing_opens)
def matched(case: Case) -> Verdict:
    """As many closes as opens, per kind; every close closes an open of its kind; nothing open at the end (I1)."""
    pairs = case.bench.oracle.pairs
    fault = imbalance(case.found.tokens, pairs)
    if fault is None:
        return None
    counts = Counter(role for role, _ in case.found.tokens)
    uneven = [
        f"{counts[pair.open]} {pair.kind} open{'s' * (counts[pair.open] != 1)}, "
        f"{counts[pair.close]} close{'s' * (counts[pair.close] != 1)}"
        for pair in pairs
        if counts[pair.open] != counts[pair.close]
    ]
    first = first_difference(case.found.tokens, case.expected.tokens)
    wanted = case.expected.tokens[first][0] if first < len(case.expected.tokens) else ""
    return case.finding(
        "spans.matched",
        "; ".join(uneven) or fault.text,
        at=_start(case, first if wanted else fault.token),
        expected=case.token_name(wanted) if wanted else "",
    )


@check("spans.expected", needs=["pipeline.encodes", "spans.matched"])
def expected(case: Case) -> Verdict:
    """The spans are the expected ones: per image one, or 1 + rows x columns; numbers and row breaks too (I3)."""
    if not case.structure_holds:
        bare = bool(case.bench.oracle.pairs)  # with brackets, runs are spans.slots' business
        found, wanted = _skeleton(case.found.tokens, bare), _skeleton(case.expected.tokens, bare)
        if found != wanted and permuted(case) is None:
            at, token = _first_wrong(case, bare)
            return case.finding("spans.expected", _difference(case), at=at, expected=token)
        return None
    if case.damaged_inside and permuted(case) is None:
        gap = case.damaged_inside[0]
        wanted_text = "".join(piece.text for piece in case.expected.gaps[gap])
        got = case.bench.texts.decode(case.found.gap(gap))
        image = case.expected.owners[gap]
        return case.finding(
            "spans.expected",
            f"inside image {image} stands {got!a} instead of {wanted_text!a}",
            at=case.found.ends[gap - 1],
            expected=repr(wanted_text),
            gap=gap,
        )
    return None


@check("spans.slots", needs=["pipeline.encodes", "spans.matched", "spans.expected"])
def slots(case: Case) -> Verdict:
    """Each span holds exactly the slots that its image needs; no placeholder outside a span (I2)."""
    if case.structure_holds or permuted(case) is not None:
        return None
    found, wanted = case.found.tokens, case.expected.tokens
    index = first_difference(found, wanted)
    here = found[index] if index < len(found) else ("", 0)
    there = wanted[index] if index < len(wanted) else ("", 0)
    at = _start(case, index)
    if here[0] == there[0] == PLACEHOLDER:
        image = case.expected.owners[index]
        return case.finding(
            "spans.slots",
            f"a span of image {image} has {here[1]} slots, expected {there[1]}",
            at=at,
            expected=f"{there[1]} slots",
            image=image,
            slots=(here[1], there[1]),
        )
    if here[0] == PLACEHOLDER:
        message = f"{here[1]} placeholder{'s' * (here[1] > 1)} outside any span"
        return case.finding("spans.slots", message, at=at, expected="no placeholder", stray=True)
    image = case.expected.owners[index]
    return case.finding(
        "spans.slots",
        f"a span of image {image} is empty, expected {there[1]} slots",
        at=at,
        expected=f"{there[1]} slots",
        image=image,
        empty=True,
    )


@check("spans.order", needs=["pipeline.encodes", "spans.matched", "spans.expected", "spans.slots"])
def order(case: Case) -> Verdict:
    """The k-th span belongs to the k-th image, in the declared order, where the image stands in the text (I9)."""
    if not case.structure_holds or case.damaged_inside:
        found = permuted(case)
        assert found is not None  # or spans.expected or spans.slots would have failed
        whole = case.structure_holds
        first = case.damaged_inside[0] if whole else first_difference(case.found.tokens, case.expected.tokens)
        return case.finding(
            "spans.order",
            f"the images stand in the order {list(found)}, expected {case.expected.order}",
            at=case.found.starts[first],
            expected=f"image {case.expected.owners[first]}",
            order=found,
        )
    if case.damaged_gaps and _moved(case):
        gap = case.damaged_gaps[0]
        at = case.found.starts[gap] if gap < len(case.found.starts) else len(case.ids)
        return case.finding(
            "spans.order", "an image stands at another place in the text than declared", at=at, moved=True
        )
    return None


def _no_bounds(contract: Contract, abilities: frozenset[str]) -> str | None:
    return None if "image_bounds" in abilities else "the pipeline does not return image_bounds"


@check(
    "spans.bounds",
    needs=["pipeline.encodes", "spans.matched", "spans.expected", "spans.slots"],
    inapplicable=_no_bounds,
)
def bounds(case: Case) -> Verdict:
    """The bounds that the pipeline returns cover exactly the placeholders, in order."""
    assert case.encoding is not None
    given = case.encoding.image_bounds or []
    runs = case.found.runs
    if tile(given, runs):  # adjacent images without text between them are one run, but several bounds
        return None
    owned = [run for run, owner in zip(runs, _owners_of_runs(case), strict=True) if owner is not None]
    if tile(given, owned):  # what somebody typed has no image
        return None
    index = first_difference(given, runs)
    wrong = given[index] if index < len(given) else None
    right = runs[index] if index < len(runs) else None
    return case.finding(
        "spans.bounds",
        f"bounds {index} are {wrong or 'missing'}, the placeholders stand at {right or 'none'}",
        at=right[0] if right else max(0, min(given[index][0], len(case.ids))),
        expected=f"bounds {right}",
        bounds=(given, runs),
    )


def tile(given: Sequence[tuple[int, int]], runs: Sequence[tuple[int, int]]) -> bool:
    """Whether ``given`` cuts ``runs`` into consecutive non-empty parts and covers nothing else."""
    joined: list[tuple[int, int]] = []
    for start, end in given:
        if start >= end:
            return False
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined == list(runs)


def _owners_of_runs(case: Case) -> list[int | None]:
    """Per run of placeholders its image; None for a typed one."""
    expected = case.expected
    return [owner for (role, _), owner in zip(expected.tokens, expected.owners, strict=True) if role == PLACEHOLDER]


def _skeleton(tokens: Sequence[Token], bare: bool) -> list[str]:
    return [role for role, _ in tokens if not (bare and role == PLACEHOLDER)]


def permuted(case: Case) -> tuple[int, ...] | None:
    """Another order of the images that explains the tokens exactly; None where there is none.

    The oracle is asked what the ids would hold if the images had each other's sizes, so images of one
    layout never count as swapped.
    """
    images = case.conversation.images
    if len(set(images)) < 2 or len(images) > 5:
        return None
    for order in permutations(range(len(images))):
        other = resized(case.conversation, [images[index] for index in order])
        if case.is_explained_by(case.bench.oracle.expected(other)):
            return order
    return None


def _difference(case: Case) -> str:
    images = len(case.conversation.images)
    spans = sum(role == "image_open" for role, _ in case.found.tokens) or len(case.found.runs)
    if images and not case.found.tokens:
        return f"{images} image{'s' * (images > 1)} and no span at all"
    found, wanted = Counter(role for role, _ in case.found.tokens), Counter(role for role, _ in case.expected.tokens)
    parts = [
        f"{found[role]} {_plain(role, found[role])}, expected {wanted[role]}"
        for role in dict.fromkeys([*wanted, *found])
        if found[role] != wanted[role] and not role.endswith("_close")
    ]
    return "; ".join(parts) or f"{spans} spans for {images} images, in another sequence than expected"


_NOUNS = {
    PLACEHOLDER: "placeholder run",
    "image_open": "image span",
    "slice_open": "slice span",
    "number_open": "image number",
}


def _plain(role: str, count: int) -> str:
    return _NOUNS.get(role, role.replace("_", " ")) + "s" * (count != 1)


def _first_wrong(case: Case, bare: bool) -> tuple[int, str]:
    """Position and expected token of the first marker that is not the expected one."""
    at = [index for index, (role, _) in enumerate(case.found.tokens) if not (bare and role == PLACEHOLDER)]
    wanted = _skeleton(case.expected.tokens, bare)
    index = first_difference(_skeleton(case.found.tokens, bare), wanted)
    position = _start(case, at[index] if index < len(at) else len(case.found.tokens))
    return position, case.token_name(wanted[index]) if index < len(wanted) else "no marker"


def _start(case: Case, token: int) -> int:
    """Where a found token begins; the end of the ids for the one behind the last."""
    return case.found.starts[token] if token < len(case.found.starts) else len(case.ids)


def _moved(case: Case) -> bool:
    """Whether all the text is there, only divided otherwise by the images."""
    found, texts = case.found, case.bench.texts
    outer = [gap for gap in range(len(case.expected.gaps)) if not case.expected.inside_block(gap)]
    got = [texts.decode(found.gap(gap)) if found.gap(gap) else "" for gap in outer]
    wanted = ["".join(piece.text for piece in case.expected.gaps[gap]) for gap in outer]
    if got != wanted and "".join(got) == "".join(wanted):
        return True
    # Once more without blanks, since a dummy prefix adds some; that only blanks moved is for text.survives.
    got, wanted = ["".join(text.split()) for text in got], ["".join(text.split()) for text in wanted]
    return got != wanted and "".join(got) == "".join(wanted)
