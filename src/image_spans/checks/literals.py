"""Marker text that somebody typed."""

from __future__ import annotations

import re

from image_spans.case import Case
from image_spans.checks import Verdict, blocking, check
from image_spans.checks.bos import expected_count
from image_spans.checks.pipeline import spelled
from image_spans.checks.text import NEEDS, damage
from image_spans.conversation import Conversation, Message, Text
from image_spans.errors import words
from image_spans.findings import first_difference

OTHERS = [*NEEDS, "text.survives"]


@check("literals.policy", family="hazard", needs=["pipeline.encodes"])
def policy(case: Case) -> Verdict:
    """Typed marker text is plain, refused or interpreted, as declared, and never shifts a real image's span (I8)."""
    rejected = spelled(case, "reject")
    if rejected:
        return _refusal(case, rejected)
    if case.structure_holds and not case.damaged_gaps and _bos_holds(case):
        return None
    # The same conversation without hazards tells whether the text is to blame.
    tame = case.again(without_hazards(case.conversation))
    if blocked := blocking(tame, OTHERS):
        return blocked
    if not case.structure_holds:
        return _structure(case)
    if not _bos_holds(case):
        at = case.found.bos[-1] if case.found.bos else 0
        return case.finding("literals.policy", "BOS text that was typed became BOS", at=at, expected="text", typed=True)
    # Text alone is damaged: where it still is with the other characters kept, these are to blame and not the markers.
    other = case.again(without_hazards(case.conversation, _of_markers(case)))
    if blocked := blocking(other, OTHERS):
        return blocked
    return damage(case, "literals.policy", case.damaged_gaps[0])


def _bos_holds(case: Case) -> bool:
    bos = case.subject.facts.bos
    if bos is None:
        return True
    typed = 0
    if case.subject.contract.literals.policy == "interpret":
        typed = sum(text.count(case.id_name(bos)) for text in case.conversation.texts)
    return len(case.found.bos) - typed == expected_count(case)


def _refusal(case: Case, rejected: list[str]) -> Verdict:
    if case.error is None:
        return case.finding(
            "literals.policy", f"typed {rejected[0]} was accepted, declared: reject", at=0, spelled=rejected
        )
    if not (any(token in str(case.error) for token in rejected) or _counts_them(case, rejected)):
        return case.finding(
            "literals.policy",
            f"the refusal does not name the marker {rejected[0]}: {words(case.error)}",
            spelled=rejected,
        )
    return None


def _counts_them(case: Case, rejected: list[str]) -> bool:
    """Whether a refusal says how many images there are, and how many there would be with those that were typed."""
    given = len(case.conversation.images)
    told = {int(number) for number in re.findall(r"\d{1,9}", str(case.error))}
    texts = case.conversation.texts
    return any({given, given + sum(text.count(token) for text in texts)} <= told for token in rejected)


def _structure(case: Case) -> Verdict:
    found, wanted = case.found.tokens, case.expected.tokens
    index = first_difference(found, wanted)
    at = case.found.starts[index] if index < len(found) else len(case.ids)
    extra = len(found) - len(wanted)
    what = (
        f"{abs(extra)} structural token{'s' * (abs(extra) > 1)} {'too many' if extra > 0 else 'too few'}"
        if extra
        else "shifted spans"
    )
    return case.finding(
        "literals.policy",
        f"text that spells markers gives {what}",
        at=at,
        expected=case.token_name(wanted[index][0]) if index < len(wanted) else "text",
        typed=True,
    )


_MARKER_LIKE = re.compile(r"[^\w\s]|_")


def _of_markers(case: Case) -> re.Pattern[str]:
    """The characters other than letters, digits and blanks of what may be read as a token.

    Not under an accent: with it such a character is another one, which a normal form may change.
    """
    tag = case.subject.contract.literals.tag
    spelled = (*case.subject.contract.markers.values(), *case.subject.tokenizer.special_tokens(), tag or "")
    marks = sorted({character for token in spelled for character in token if _MARKER_LIKE.match(character)})
    return re.compile(f"(?:{'|'.join(map(re.escape, marks))})(?![\u0300-\u036f])" if marks else r"(?!)")


def without_hazards(conversation: Conversation, marks: re.Pattern[str] = _MARKER_LIKE) -> Conversation:
    """The same conversation with ``a`` for every character that a marker could be made of.

    Letters, digits and blanks stay, so that damage to ordinary text shows there too and is not blamed on markers.
    """
    return Conversation(
        [
            Message(m.role, [Text(marks.sub("a", p.text)) if isinstance(p, Text) else p for p in m.parts])
            for m in conversation.messages
        ]
    )
