"""BOS: doubled, missing, once for each piece (F1)."""

from __future__ import annotations

from collections.abc import Iterator

from image_spans.case import Case
from image_spans.conversation import Text
from image_spans.diagnosis.rivals import Fit, among, filled_and_longer
from image_spans.diagnosis.words import plain
from image_spans.findings import UNKNOWN, Cause, Finding


def _bos(case: Case, finding: Finding) -> Iterator[Fit]:
    # Two BOS stand at the edge of a piece by chance too: what names a fault must hold on other conversations.
    yield Fit(UNKNOWN, lambda _: True, rank=2)
    bos, declared = case.found.bos, case.subject.contract.bos
    if not bos:
        yield Fit(
            Cause("bos-missing", "no BOS was added, or the only one was stripped and not put back"),
            lambda other: not other.found.bos,
        )
        return
    typed = _typed(case)
    if typed and len(bos) <= typed[0] + (declared != "none"):
        number, role, token = typed[1:]
        yield Fit(
            Cause(
                "literal-became-structure",
                f"{plain(token)}, typed by the {role} in message {number}, was read as the token itself",
            ),
            lambda other: len(other.found.bos) == (declared != "none"),  # there nobody types it
        )
    if len(bos) > 1:
        if _side_by_side(bos):
            yield Fit(
                Cause("bos-doubled", "BOS is added twice, as when a template spells it and the tokenizer adds its own"),
                lambda other: len(other.found.bos) == len(bos) and _side_by_side(other.found.bos),
            )
        if _between_pieces(case):
            yield Fit(
                Cause(
                    "bos-per-segment", "pieces were encoded one by one and each kept the BOS that the tokenizer adds"
                ),
                _per_segment,
            )
    elif declared == "none":
        yield Fit(
            Cause("bos-undeclared", "the tokenizer's own BOS was left in, but the contract declares none"),
            lambda other: len(other.found.bos) == 1,
        )
        yield Fit(
            Cause("bos-per-segment", "pieces were encoded one by one and each kept the BOS that the tokenizer adds"),
            _per_segment,
        )
    else:
        yield Fit(
            Cause(
                "bos-misplaced",
                "BOS was put on the wrong side of other tokens, as when a block is inserted in front of it",
            ),
            lambda other: len(other.found.bos) == 1,
        )


def _side_by_side(bos: list[int]) -> bool:
    return len(bos) > 1 and bos == list(range(bos[0], bos[0] + len(bos)))


def _per_segment(case: Case) -> bool:
    return len(case.found.bos) > 1 and not _side_by_side(case.found.bos) and _between_pieces(case)


def _between_pieces(case: Case) -> bool:
    """Whether every BOS stands where a piece of text begins or an image does, and not inside of a text."""
    found, texts = case.found, case.bench.texts
    for gap in range(len(found.tokens) + 1) if case.structure_holds else ():
        places = found.places(gap)
        before = found.ends[gap - 1] if gap else 0
        end = found.starts[gap] if gap < len(found.starts) else len(found.ids)
        pieces = [piece.text for piece in case.expected.gaps[gap]]
        wholes = {"".join("".join(pieces[:count]).split()) for count in range(len(pieces) + 1)}
        for at in (at for at in found.bos if before <= at < end):
            ids = tuple(found.ids[place] for place in places if place < at)
            if "".join((texts.decode(ids) if ids else "").split()) not in wholes:
                return False
    return True


def _typed(case: Case) -> tuple[int, int, str, str] | None:
    """How often somebody typed the text of BOS; the first message, its role, and that text."""
    token = case.id_name(case.subject.facts.bos or 0)
    counts = [
        sum(part.text.count(token) for part in message.parts if isinstance(part, Text))
        for message in case.conversation.messages
    ]
    first = next((number for number, count in enumerate(counts) if count), None)
    return None if first is None else (sum(counts), first, case.conversation.messages[first].role, token)


bos = among([_bos], filled_and_longer)
