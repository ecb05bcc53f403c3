"""Batches: each row is the encoding of its conversation, and what speaks of ids moves with the padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from image_spans.case import Case
from image_spans.checks import NOT_JUDGED, Verdict, blocking, check
from image_spans.checks.relations import NEEDS, with_a_turn
from image_spans.contract import Contract
from image_spans.conversation import Conversation, Message, Text
from image_spans.errors import words
from image_spans.findings import Finding, first_difference
from image_spans.foreign import MISBEHAVIOUR, TookTooLong
from image_spans.subject import BadEncoding, Encoding

NAME = "batch.agrees"
POSITIONS = ("start", "middle", "end", "adjacent")
FILL = {"labels": -100, "attention_mask": 0, "token_type_ids": 0}
"""What stands on padding, unless the contract's ``batch_fill`` says otherwise; positions go on or not, as one likes."""

Batch: TypeAlias = tuple[Sequence[Conversation], str]


def filling(contract: Contract, key: str) -> int | None:
    """What stands in a side array on the padding of a batch; None where that is left open."""
    fill: int | None = contract.batch_fill.get(key, FILL.get(key))  # type: ignore[call-overload]
    return fill


def _no_batch(contract: Contract, abilities: frozenset[str]) -> str | None:
    return None if "batch" in abilities else "the pipeline has no batch entry"


@check(NAME, family="batch", needs=NEEDS, inapplicable=_no_batch, positions=POSITIONS)
def agrees(case: Case) -> Verdict:
    """As many rows out as in; each without its padding is what its conversation is alone, bounds moved along (I11)."""
    singles: dict[Conversation, Case] = {}
    for conversation in dict.fromkeys(one for rows, _ in _batches(case) for one in rows):
        singles[conversation] = case.again(conversation)
        if singles[conversation].error is not None:
            return NOT_JUDGED  # refused as declared; or a conversation that we made is refused alone too
        if blocked := blocking(singles[conversation], NEEDS):
            return blocked
    for rows, side in _batches(case):
        found = _judge(case, [_encoding(singles[row]) for row in rows], (rows, side))
        if found is not None:
            return found
    return None


def _encoding(case: Case) -> Encoding:
    assert case.encoding is not None
    return case.encoding


def _batches(case: Case) -> Iterator[Batch]:
    """The conversation alone, and with a text-only one and a longer one in several orders."""
    one, contract = case.conversation, case.subject.contract
    longer = with_a_turn(case, "a b c d e f g h") or one
    lead = next((role for role in contract.input.roles if role != "system"), contract.input.roles[0])
    text = Conversation([Message(lead, [Text("a")])]) if not contract.input.images.least else one
    yield (one,), "right"
    yield (text, one, longer), "left"
    yield (text, one, longer), "right"
    yield (one, text, longer), "left"
    yield (longer, one, text), "right"
    yield (longer, one), "left"


def _judge(case: Case, singles: Sequence[Encoding], batch: Batch) -> Finding | None:
    conversations, side = batch
    try:
        rows = case.bench.run_batch(conversations, side)
    except TookTooLong:
        raise
    except (BadEncoding, *MISBEHAVIOUR) as error:
        return _finding(
            case, batch, f"the batch entry {'gave: ' if isinstance(error, BadEncoding) else ''}{error}", bad=error
        )
    except Exception as error:
        return _finding(case, batch, f"the batch entry raised {words(error)}", crashed=error)
    if len(rows) != len(singles):
        return _finding(case, batch, f"{len(rows)} rows came back", lost=len(rows) - len(singles))
    lengths = [len(row.ids) for row in rows]
    if len(set(lengths)) > 1:
        return _finding(case, batch, f"the rows have {', '.join(map(str, lengths))} ids, not all as many", ragged=True)
    longest = max(len(single.ids) for single in singles)
    if lengths[0] < longest:
        message = f"the rows have {lengths[0]} ids, the longest conversation has {longest}"
        return _finding(case, batch, message, shorter=True)
    for index, (row, single) in enumerate(zip(rows, singles, strict=True)):
        found = _judge_row(case, index, row, single, singles, batch)
        if found is not None:
            return found
    return None


def _judge_row(
    case: Case, index: int, row: Encoding, single: Encoding, singles: Sequence[Encoding], batch: Batch
) -> Finding | None:
    left = batch[1] == "left"
    length, padding = len(single.ids), len(row.ids) - len(single.ids)
    before = padding if left else 0
    own = slice(before, before + length)
    pads = [at for at in range(len(row.ids)) if not own.start <= at < own.stop]
    if row.ids[own] != single.ids:
        return _another(case, index, row, single, singles, batch)
    pad = _padding_id(case)
    if pads and pad is None and case.subject.contract.pad is not None:
        message = f"the contract's padding {case.subject.contract.pad!r} is no token of the vocabulary"
        return _finding(case, batch, message, no_pad=True)
    wrong = next((at for at in pads if row.ids[at] != (row.ids[pads[0]] if pad is None else pad)), None)
    if wrong is not None:
        name = case.id_name(row.ids[wrong])
        wanted = "one id" if pad is None else f"{case.id_name(pad)} ({pad})"
        message = f"row {index} is padded with {name} ({row.ids[wrong]}), expected {wanted}"
        return _finding(case, batch, message, pad=row.ids[wrong])
    for key, given in row.arrays.items():
        found = _judge_array(case, index, key, given, single, own, pads, batch)
        if found is not None:
            return found
    if row.image_bounds is not None and single.image_bounds is not None:
        wanted_bounds = [(start + before, end + before) for start, end in single.image_bounds]
        if row.image_bounds != wanted_bounds:
            message = f"row {index} has the bounds {row.image_bounds}, expected {wanted_bounds}"
            unmoved = row.image_bounds == single.image_bounds
            return _finding(case, batch, message, bounds=unmoved, padding=before)
    if row.features is not None and row.features != single.features:
        message = f"row {index} has the features {row.features}, alone it has {single.features}"
        return _finding(case, batch, message, features=True)
    return None


def _judge_array(
    case: Case,
    index: int,
    key: str,
    given: Sequence[int],
    single: Encoding,
    own: slice,
    pads: Sequence[int],
    batch: Batch,
) -> Finding | None:
    alone = single.arrays.get(key) or ([1] * len(single.ids) if key == "attention_mask" else None)
    fill = filling(case.subject.contract, key)
    if alone is not None:
        here = list(given[own])
        if key == "position_ids":
            here = [position - here[0] + alone[0] for position in here]  # some count the padding too
        if here != alone:
            at = first_difference(here, alone)
            message = f"row {index}: {key} is {here[at]} at {own.start + at}, alone it is {alone[at]}"
            differing = {(got, wanted) for got, wanted in zip(here, alone, strict=True) if got != wanted}
            by_id = key == "labels" and differing == {(fill, _padding_id(case))}
            return _finding(case, batch, message, array=key, by_id=by_id)
    wrong = next((at for at in pads if given[at] != fill), None) if fill is not None else None
    if wrong is None:
        return None
    message = f"row {index}: {key} is {given[wrong]} on the padding at {wrong}, expected {fill}"
    return _finding(case, batch, message, filled=key)


def _another(
    case: Case, index: int, row: Encoding, single: Encoding, singles: Sequence[Encoding], batch: Batch
) -> Finding:
    """What a row is, if it is not its conversation, padded on the side asked for."""
    length, left = len(single.ids), batch[1] == "left"
    own, other = (row.ids[-length:], row.ids[:length]) if left else (row.ids[:length], row.ids[-length:])
    if other == single.ids:
        asked, got = ("left", "right") if left else ("right", "left")
        return _finding(case, batch, f"row {index} is padded on the {got}, asked for was the {asked}", wrong_side=got)
    for number, some in enumerate(singles):
        count = len(some.ids)
        if some.ids == (row.ids[-count:] if left else row.ids[:count]):
            pads = row.ids[:-count] if left else row.ids[count:]
            if len(set(pads)) <= 1:
                return _finding(case, batch, f"row {index} holds conversation {number}", reordered=True)
    at = first_difference(own, single.ids)
    message = f"row {index} without its padding is not what the conversation is alone: {case.id_name(own[at])} at {at}"
    return _finding(case, batch, message, differs=True)


def _padding_id(case: Case) -> int | None:
    """The id of the padding; None where neither contract nor tokenizer names it."""
    pad, tokenizer = case.subject.contract.pad, case.subject.tokenizer
    return tokenizer.token_to_id(pad) if pad is not None else tokenizer.named_ids().get("pad")


def _finding(case: Case, batch: Batch, message: str, **facts: Any) -> Finding:
    conversations, side = batch
    images = ", ".join(str(len(conversation.images)) for conversation in conversations)
    what = f"a batch of {len(conversations)} padded on the {side} ({images} images)"
    return case.finding(NAME, f"{what}: {message}", **facts)
