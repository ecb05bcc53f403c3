"""Text: nothing eaten, added, fused or turned to unk."""

from __future__ import annotations

from image_spans.case import Case
from image_spans.checks import Verdict, check
from image_spans.conversation import Conversation, Message, Text
from image_spans.findings import Finding, first_difference

LONG = Conversation([Message("user", [Text("a1 b2 c3 d4 e5 " * 140 + "z")])])
"""More ids than the limits that are left in by default, 512 or 1024: what is drawn is shorter than any.

Without an image, so that a pass which drew none is still seen to have tested nothing."""
NEEDS = ["pipeline.encodes", "bos.placement", "spans.matched", "spans.expected", "spans.slots", "spans.order"]


@check("text.survives", needs=NEEDS, examples=[LONG])
def survives(case: Case) -> Verdict:
    """With spans collapsed, every message's text decodes to what was given (I5, I7)."""
    # Gaps inside a block hold here: spans.expected is needed, and judges them.
    return damage(case, "text.survives", case.damaged_gaps[0]) if case.damaged_gaps else None


def damage(case: Case, check_name: str, gap: int) -> Finding:
    """The finding on a gap whose text is not what it should be."""
    ids = case.found.gap(gap)
    pieces = case.expected.gaps[gap]
    got, wanted = case.bench.texts.decode(ids) if ids else "", "".join(piece.text for piece in pieces)
    messages = [piece.message for piece in pieces if piece.message is not None and piece.text]
    of = f" of message {messages[0]}" if len(set(messages)) == 1 else ""
    start = case.found.ends[gap - 1] if gap else 0
    common = first_difference(got, wanted)
    return case.finding(
        check_name,
        f"the text{of} is {_around(got, common)}, expected {_around(wanted, common)}",
        at=start + _ids_before(case, ids, common),
        expected=ascii(wanted[common : common + 12]) if common < len(wanted) else "nothing more",
        gap=gap,
    )


def _around(text: str, at: int, reach: int = 24) -> str:
    start, end = max(0, at - reach), min(len(text), at + reach)
    return ("..." if start else "") + ascii(text[start:end]) + ("..." if end < len(text) else "")


def _ids_before(case: Case, ids: tuple[int, ...], characters: int) -> int:
    """How many ids of a stretch come before its character number ``characters``."""
    for count in range(len(ids) + 1):
        if len(case.bench.texts.decode(ids[:count])) > characters:
            return count - 1
    return len(ids)
