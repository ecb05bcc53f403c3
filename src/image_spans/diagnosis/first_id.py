"""The first id of a message, removed as if it were BOS (F1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from image_spans.case import Case
from image_spans.conversation import Image, Text
from image_spans.diagnosis.rivals import Fit
from image_spans.diagnosis.words import plain
from image_spans.findings import Cause, Finding
from image_spans.oracles import PLACEHOLDER, Piece, Token


def first_id(case: Case, finding: Finding) -> Iterator[Fit]:
    """The first id of a message, or of each of them, is gone: a marker, a slot, or the beginning of its text."""
    gap = finding.facts.get("gap")
    cause = _first_of_text(case, gap) if gap is not None else _structure_without_first_ids(case)
    if cause is not None:
        yield Fit(cause, _explains)


def _explains(case: Case) -> bool:
    if not case.structure_holds:
        return _structure_without_first_ids(case) is not None
    outer = [gap for gap in case.damaged_gaps if not case.expected.inside_block(gap)]
    return any(_first_of_text(case, gap) for gap in outer)


def _first_of_text(case: Case, gap: int) -> Cause | None:
    return _first_text_id_removed(case, gap) or _first_id_of_each_text_removed(case, gap)


def _structure_without_first_ids(case: Case) -> Cause | None:
    return _first_token_removed(case) or _nothing_left_between(case)


def _nothing_left_between(case: Case) -> Cause | None:
    """Runs of placeholders stand together: the texts between them were one id each. All other texts lost theirs too."""
    expected = case.expected
    tokens: list[Token] = []
    gaps: list[int] = []
    emptied: list[int] = []
    for gap, (role, count) in enumerate(expected.tokens):
        if tokens and role == tokens[-1][0] == PLACEHOLDER and _is_one_id_each(case, expected.gaps[gap]):
            emptied.append(gap)
            tokens[-1] = (role, tokens[-1][1] + count)
        else:
            gaps.append(gap)
            tokens.append((role, count))
    if not emptied or tokens != case.found.tokens:
        return None
    for at, gap in enumerate([*gaps, len(expected.tokens)]):
        pieces = [_without_own_first_id(case, piece) for piece in expected.gaps[gap]]
        if not case.bench.texts.survives(case.found.gap(at), pieces):
            return None
    first = next(piece for piece in expected.gaps[emptied[0]] if piece.text)
    return _removed(case, first.message, _cut(case, first)[1], each=True)


def _is_one_id_each(case: Case, pieces: list[Piece]) -> bool:
    """Whether somebody typed these texts, and each is one id."""
    texts = [piece for piece in pieces if piece.text]
    return bool(texts) and all(p.message is not None and len(case.bench.texts.alone(p.text)[0]) == 1 for p in texts)


def _without_own_first_id(case: Case, piece: Piece) -> Piece:
    """A piece as it reads without its first id, if somebody typed it."""
    return Piece(_cut(case, piece)[0], piece.message) if piece.message is not None and piece.text else piece


def _first_token_removed(case: Case) -> Cause | None:
    """The found tokens are the expected ones without those that begin a message."""
    removed: list[tuple[int, str]] = []
    found = list(case.found.tokens)
    expected = case.expected
    index = 0
    for number, token in enumerate(expected.tokens):
        begins = _begins_message(case, number)
        if begins and token[0] == PLACEHOLDER and index < len(found) and found[index] == (PLACEHOLDER, token[1] - 1):
            removed.append((expected.messages[number], PLACEHOLDER))
            index += 1
        elif begins and not _rest_fits(found[index:], expected.tokens[number:]):
            removed.append((expected.messages[number], token[0]))
        elif index < len(found) and found[index] == token:
            index += 1
        else:
            return None
    if index != len(found) or not removed:
        return None
    message, role = removed[0]
    return _removed(case, message, case.token_name(role))


def _rest_fits(found: list[Token], wanted: list[Token]) -> bool:
    """Whether the first wanted token is there: enough of what follows agrees."""
    return found[:2] == wanted[:2]


def _begins_message(case: Case, number: int) -> bool:
    """Whether a token is the first thing in its message."""
    expected = case.expected
    owner = expected.owners[number]
    message = expected.messages[number]
    parts = case.conversation.messages[message].parts
    first = next((part for part in parts if not (isinstance(part, Text) and not part.text)), None)
    if not isinstance(first, Image) or owner is None or case.subject.contract.images.before:
        return False
    before = sum(len(m.images) for m in case.conversation.messages[:message])
    return owner == before and (number == 0 or expected.owners[number - 1] != owner)


def _first_text_id_removed(case: Case, gap: int) -> Cause | None:
    """The gap is right but for the first id of the text that begins a message."""
    pieces = case.expected.gaps[gap]
    cuts = {
        index: cut
        for index, piece in enumerate(pieces)
        if (cut := _without_first_id(case, piece, pieces[:index])) is not None
    }
    # One message of the gap, or every one of them, from one on: the first of all may be spared.
    for chosen in (*({index} for index in cuts), *({*list(cuts)[first:]} for first in range(len(cuts) - 1))):
        if _survives_cut(case, gap, {index: cuts[index][0] for index in chosen}):
            first = min(chosen)
            return _removed(case, pieces[first].message, cuts[first][1])
    return None


def _without_first_id(case: Case, piece: Piece, before: list[Piece]) -> tuple[str, str] | None:
    """The piece as it reads without its first id, and that id, if the piece begins a message."""
    if piece.message is None or not piece.text or any(p.message == piece.message and p.text for p in before):
        return None
    parts = case.conversation.messages[piece.message].parts
    first = next((part for part in parts if not (isinstance(part, Text) and not part.text)), None)
    if not isinstance(first, Text) or first.text != piece.text:
        return None
    return _cut(case, piece) if case.bench.texts.alone(piece.text)[0] else None


def _cut(case: Case, piece: Piece) -> tuple[str, str]:
    """A piece without its first id, and that id."""
    ids = case.bench.texts.alone(piece.text)[0]
    return case.bench.texts.decode(ids[1:]) if len(ids) > 1 else "", f"{case.id_name(ids[0])} ({ids[0]})"


def _survives_cut(case: Case, gap: int, cuts: Mapping[int, str]) -> bool:
    """Whether a gap holds its pieces, these of them without their first id."""
    pieces = [Piece(cuts.get(i, p.text), p.message) for i, p in enumerate(case.expected.gaps[gap])]
    return bool(cuts) and case.bench.texts.survives(case.found.gap(gap), pieces)


def _first_id_of_each_text_removed(case: Case, gap: int) -> Cause | None:
    """The gap is right but for the first id of every piece of text that somebody typed."""
    removed = _first_id_of_a_stretch(case, gap)
    if removed is not None:
        return removed
    texts, pieces = case.bench.texts, case.expected.gaps[gap]
    cuts = {
        index: _cut(case, piece)
        for index, piece in enumerate(pieces)
        if piece.message is not None and texts.alone(piece.text)[0]
    }
    if not _survives_cut(case, gap, {index: text for index, (text, _) in cuts.items()}):
        return None
    first = min(cuts)
    return _removed(case, pieces[first].message, cuts[first][1], each=True)


def _first_id_of_a_stretch(case: Case, gap: int) -> Cause | None:
    """What stands between two special tokens lost its first id, encoded in one; or each of its texts did."""
    texts, pieces = case.bench.texts, case.expected.gaps[gap]
    lost: list[tuple[str, int]] = []
    for ids, wanted in texts.stretches(case.found.gap(gap), pieces) or ():
        whole = texts.alone("".join(wanted))[0]
        if ids == whole:
            continue
        alone = [found for text in wanted if (found := texts.alone(text)[0])]
        if ids == whole[1:]:
            lost.append((wanted[0], whole[0]))
        elif ids == tuple(token_id for found in alone for token_id in found[1:]):
            lost += [(text, texts.alone(text)[0][0]) for text in wanted if texts.alone(text)[0]]
        else:
            return None
    if not lost:
        return None
    told = next(((text, token_id) for text, token_id in lost if texts.decode((token_id,)).strip()), lost[0])
    owners = [p.message if p.message is not None else p.ends for p in pieces if told[0] in p.text]
    return _removed(case, owners[0] if owners else None, f"{case.id_name(told[1])} ({told[1]})", each=True)


def _removed(case: Case, message: int | None, token: str, *, each: bool = False) -> Cause:
    facts = case.subject.facts
    if case.subject.facts.bos is None or facts.bos not in facts.prefix:
        why = "but this tokenizer adds none"
    else:
        why = "but that one was not BOS"
    if facts.dummy_prefix and facts.bos not in facts.prefix:
        why += " (its first token is an extra one, made of the blank that it puts in front)"
    return Cause(
        "first-id-removed",
        f"the first id of {'each text of ' if each else ''}message {message} was removed as if it were BOS, {why}; "
        f"it was {plain(token)}",
    )
