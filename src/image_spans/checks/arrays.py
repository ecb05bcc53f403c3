"""Per-token side arrays: each marks exactly what it claims to mark."""

from __future__ import annotations

from image_spans.case import Case
from image_spans.checks import Verdict, check
from image_spans.contract import Contract
from image_spans.findings import first_difference
from image_spans.oracles import PLACEHOLDER

MARKING = ("attention_mask", "token_type_ids", "position_ids")


def _no_arrays(contract: Contract, abilities: frozenset[str]) -> str | None:
    return None if abilities.intersection(MARKING) else f"the pipeline returns none of {', '.join(MARKING)}"


NEEDS = ["pipeline.encodes", "spans.matched", "spans.expected", "spans.slots"]


@check("arrays.mark", needs=NEEDS, inapplicable=_no_arrays)
def mark(case: Case) -> Verdict:
    """Attention is 1 everywhere, token types mark the placeholders, positions count one by one."""
    assert case.encoding is not None
    for key, given in case.encoding.arrays.items():
        wanted = _wanted(case, key, given)
        if wanted is None or given == wanted:
            continue
        at = first_difference(given, wanted)
        return case.finding(
            "arrays.mark",
            f"{key} is {given[at]} at {at}, expected {wanted[at]}",
            at=at,
            expected=f"{key} {wanted[at]}",
            array=key,
        )
    return None


def _wanted(case: Case, key: str, given: list[int]) -> list[int] | None:
    if key == "attention_mask":
        return [1] * len(case.ids)
    if key == "token_type_ids":
        types = [0] * len(case.ids)
        for (role, count), start in zip(case.found.tokens, case.found.starts, strict=True):
            if role == PLACEHOLDER:
                types[start : start + count] = [case.subject.contract.token_types] * count
        return types
    if key == "position_ids" and given:
        return list(range(given[0], given[0] + len(given)))  # some models begin behind their padding id
    return None
