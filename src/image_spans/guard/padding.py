"""Where a sample lies in its row, and whether what stands on the padding is padding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from image_spans.checks.batch import filling
from image_spans.contract import Contract
from image_spans.guard.given import Given, Ints
from image_spans.subject import Facts, Tokenizer

IGNORED = -100


@dataclass(frozen=True)
class Padding:
    """The padding of a subject's batches."""

    token_id: int | None
    """None where neither the contract nor the tokenizer names one."""
    dedicated: bool
    """Whether the token is nothing but padding; else a sample may begin or end with it."""
    is_bos: bool
    fills: Mapping[str, int | None]
    """What stands on it in each side array."""

    @classmethod
    def of(cls, contract: Contract, tokenizer: Tokenizer, facts: Facts) -> Padding:
        """The padding that a contract or a tokenizer names."""
        named = tokenizer.named_ids()
        token_id = tokenizer.token_to_id(contract.pad) if contract.pad is not None else named.get("pad")
        template = "".join(text for pair in (contract.template or {}).values() for text in pair)
        name = tokenizer.id_to_token(token_id) if token_id is not None else ""
        others = {named.get("eos"), facts.bos, *facts.prefix, *facts.suffix}
        keys = ("labels", "attention_mask", "token_type_ids", "position_ids")
        return cls(
            token_id,
            token_id is not None and token_id not in others and name not in template,
            token_id is not None and token_id == facts.bos,
            {key: filling(contract, key) for key in keys},
        )


@dataclass(frozen=True)
class Wrong:
    """What is wrong with the padding of a row."""

    at: int
    message: str
    facts: dict[str, Any]
    """As :mod:`image_spans.checks.batch` states them."""


def divide(given: Given, padding: Padding) -> tuple[int, int] | Wrong:
    """``[start, end)`` of the sample in its row.

    An attention mask tells it where there is one. Else the padding's ids at both ends are no part of it, but for those
    at its end that are labelled, where the token is more than padding.
    """
    ids, mask = given.ids, given.arrays.get("attention_mask")
    pad = padding.token_id
    if mask is not None:
        start, end = _edges(mask != padding.fills["attention_mask"])
        if padding.dedicated and end > start and pad in (ids[start], ids[end - 1]):
            at = start if ids[start] == pad else end - 1
            return Wrong(at, f"attention_mask is {mask[at]} on the padding at {at}", {"filled": "attention_mask"})
    elif pad is None:
        start, end = 0, len(ids)
    else:
        start, end = _edges(ids != pad)
        labels = given.arrays.get("labels")
        while labels is not None and not padding.dedicated and end < len(ids) and labels[end] == pad:
            end += 1
        start -= padding.is_bos and start > 0
    if start == 0 and end == len(ids):
        return start, end
    return _judge(given, padding, start, end) or (start, end)


def _edges(own: Any) -> tuple[int, int]:
    """The first place that is marked, and the one behind the last."""
    marked = np.flatnonzero(own)
    return (int(marked[0]), int(marked[-1]) + 1) if len(marked) else (0, 0)


def _judge(given: Given, padding: Padding, start: int, end: int) -> Wrong | None:
    outside = np.r_[0:start, end : len(given.ids)]
    pads = given.ids[outside]
    wanted = pads[0] if padding.token_id is None else padding.token_id
    wrong = np.flatnonzero(pads != wanted)
    if len(wrong):
        at = int(outside[wrong[0]])
        return Wrong(at, f"attention_mask hides the id {given.ids[at]} at {at}", {"array": "attention_mask"})
    for key, values in given.arrays.items():
        fill = padding.fills[key]
        wrong = np.flatnonzero(values[outside] != fill) if fill is not None else wrong
        if fill is not None and len(wrong):
            at = int(outside[wrong[0]])
            return Wrong(at, f"{key} is {values[at]} on the padding at {at}, expected {fill}", {"filled": key})
    return None


def cut(given: Given, start: int, end: int) -> Given:
    """The sample without its padding; bounds move along."""
    if start == 0 and end == len(given.ids):
        return given
    arrays: dict[str, Ints] = {key: values[start:end] for key, values in given.arrays.items()}
    bounds = None if given.bounds is None else [(first - start, last - start) for first, last in given.bounds]
    return Given(given.ids[start:end], arrays, bounds, given.features)
