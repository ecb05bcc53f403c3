"""Right but unusual subjects that do more than encode: they pad batches, keep to a limit, return arrays and features.

Adds to :data:`zoo.ZOO`; nothing here calls a reference pipeline.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from zoo import _markup, healthy

from image_spans.conversation import Conversation, Text
from image_spans.slicing import pixtral
from image_spans.subject import Subject
from support import ToyTokenizer, contract, facts

IGNORED = -100
PAD_SLOT = 7
"""The toy's ``<pad>``, which marks the slots of an image."""


def _subject(
    run: Callable[..., Any],
    *,
    returns: Sequence[str] = (),
    abilities: Sequence[str] = (),
    tokenizer: ToyTokenizer | None = None,
    predict: Callable[[int, int], int] | None = None,
    batch: Callable[..., Any] | None = None,
    **promised: Any,
) -> Subject:
    tokenizer = tokenizer or ToyTokenizer()
    return Subject(
        run.__name__,
        tokenizer,
        facts(tokenizer),
        contract(**promised),
        partial(run, tokenizer),
        frozenset(returns),
        abilities=frozenset((*abilities, *(["batch"] if batch else ()), *(["predict"] if predict else ()))),
        batch=partial(batch, tokenizer) if batch else None,
        predict=predict,
    )


def _pieces(tokenizer: ToyTokenizer, conversation: Conversation) -> list[tuple[int | None, list[int]]]:
    """Each part's image index (None: text) and ids."""
    pieces: list[tuple[int | None, list[int]]] = []
    number = 0
    for message in conversation.messages:
        for part in message.parts:
            if isinstance(part, Text):
                pieces.append((None, tokenizer.encode_text(part.text)))
            else:
                pieces.append((number, tokenizer.encode_markup(_markup(part))))
                number += 1
    return pieces


def _bounds(ids: Sequence[int]) -> list[tuple[int, int]]:
    """Runs of slots: here every span has brackets, so no two touch."""
    starts = [at for at, one in enumerate(ids) if one == PAD_SLOT and (at == 0 or ids[at - 1] != PAD_SLOT)]
    return [(at, next((end for end in range(at, len(ids)) if ids[end] != PAD_SLOT), len(ids))) for at in starts]


def _with_arrays(ids: list[int]) -> dict[str, Any]:
    return {
        "input_ids": ids,
        "attention_mask": [1] * len(ids),
        "token_type_ids": [int(one == PAD_SLOT) for one in ids],
        "position_ids": list(range(len(ids))),
        "image_bounds": _bounds(ids),
    }


ARRAYS = ("attention_mask", "token_type_ids", "position_ids", "image_bounds")


def _flat(tokenizer: ToyTokenizer, conversation: Conversation) -> list[int]:
    return [one for _, ids in _pieces(tokenizer, conversation) for one in ids]


# ---------------------------------------------------------------- batches


@healthy
def padding_on_both_sides_where_positions_count_from_the_first_id():
    """As generation wants it: positions do not count the padding, which has position 1."""

    def run(tokenizer, conversation):
        return _with_arrays(_flat(tokenizer, conversation))

    def batch(tokenizer, conversations, *, padding_side):
        rows = [_with_arrays(_flat(tokenizer, one)) for one in conversations]
        width = max(len(row["input_ids"]) for row in rows)
        fills = {"input_ids": 900, "attention_mask": 0, "token_type_ids": 0, "position_ids": 1}
        for row in rows:
            missing = width - len(row["input_ids"])
            for key, fill in fills.items():
                row[key] = [fill] * missing + row[key] if padding_side == "left" else row[key] + [fill] * missing
            moved = missing if padding_side == "left" else 0
            row["image_bounds"] = [(start + moved, end + moved) for start, end in row["image_bounds"]]
        return {key: [row[key] for row in rows] for key in rows[0]}

    return _subject(run, returns=ARRAYS, batch=batch, pad="</s>")


@healthy
def padding_to_a_multiple_of_eight_where_positions_count_it():
    """Wider than the longest row, for the sake of the hardware; padded with the token that also ends an answer."""
    template = {"user": ["", ""], "assistant": ["", "</s>"], "system": ["", ""]}

    def run(tokenizer, conversation):
        ids: list[int] = []
        for message in conversation.messages:
            ids += _flat(tokenizer, Conversation([message]))
            ids += [900] if message.role == "assistant" else []
        return {"input_ids": ids, "position_ids": list(range(len(ids)))}

    def batch(tokenizer, conversations, *, padding_side):
        rows = [run(tokenizer, one)["input_ids"] for one in conversations]
        width = -(-max(map(len, rows)) // 8) * 8
        padding = [[900] * (width - len(row)) for row in rows]
        both = zip(padding, rows, strict=True)
        return {
            "input_ids": [pads + row if padding_side == "left" else row + pads for pads, row in both],
            "attention_mask": [
                [0] * len(pads) + [1] * len(row) if padding_side == "left" else [1] * len(row) + [0] * len(pads)
                for pads, row in zip(padding, rows, strict=True)
            ],
            "position_ids": [list(range(width)) for _ in rows],
        }

    return _subject(run, returns=["position_ids"], batch=batch, pad="</s>", template=template)


# ---------------------------------------------------------------- limits


@healthy
def longer_than_the_limit_is_refused():
    """No id is ever cut off: the error says how long it is, and how long it may be."""

    def run(tokenizer, conversation, max_length=None):
        ids = _flat(tokenizer, conversation)
        if max_length is not None and len(ids) > max_length:
            raise ValueError(f"{len(ids)} ids are more than max_length={max_length}: use fewer or smaller images")
        return ids

    return _subject(run, abilities=["max_length"], truncation="reject")


@healthy
def images_that_do_not_fit_go_whole_with_their_features():
    """From the last image on, each goes with its features until the rest fits; then the text is cut behind."""

    def run(tokenizer, conversation, max_length=10**6):
        pieces = _pieces(tokenizer, conversation)
        while sum(len(ids) for _, ids in pieces) > max_length and any(number is not None for number, _ in pieces):
            last = max(at for at, (number, _) in enumerate(pieces) if number is not None)
            del pieces[last]
        ids = [one for _, part in pieces for one in part][:max_length]
        slots = [(number, part.count(PAD_SLOT)) for number, part in pieces if number is not None]
        return {"input_ids": ids, "features": slots, "image_bounds": _bounds(ids)}

    return _subject(
        run,
        returns=["features", "image_bounds"],
        abilities=["max_length"],
        truncation={"policy": "drop_images", "side": "right"},
    )


@healthy
def the_end_of_a_chat_is_kept_and_bos_in_front():
    """The left side is cut off behind BOS, as far as the next border of a span; features go with their spans."""

    def run(tokenizer, conversation, max_length=10**6):
        ids, owner = [0], [-1]
        for number, part in _pieces(tokenizer, conversation):
            ids += part
            owner += [-1 if number is None else number] * len(part)
        if len(ids) > max_length:
            edge = len(ids) - max_length + 1
            while edge < len(ids) and owner[edge] >= 0 and owner[edge - 1] == owner[edge]:
                edge += 1
            ids, owner = [0, *ids[edge:]][:max_length], [-1, *owner[edge:]][:max_length]
        pairs = zip(ids, owner, strict=True)
        held = [number for one, number in pairs if one == PAD_SLOT]
        features = [(number, held.count(number)) for number in sorted(set(held))]
        return {"input_ids": ids, "features": features, "labels": [IGNORED] * len(ids)}

    return _subject(
        run,
        returns=["features"],
        abilities=["max_length"],
        tokenizer=ToyTokenizer(bos=True),
        bos="exactly_once",
        truncation={"policy": "never_split", "side": "left"},
    )


# ---------------------------------------------------------------- features


@healthy
def features_of_tiles_and_a_predictor_that_only_knows_the_size():
    """One entry of features per row of patches, several to an image; the predictor computes without the rule."""

    def predict(width, height):
        scale = max(width / 64, height / 64)
        if scale > 1:
            width, height = width / scale, height / scale
        return max(1, -(-round(width) // 16)) * max(1, -(-round(height) // 16))

    def run(tokenizer, conversation):
        ids, features, number = [], [], 0
        for message in conversation.messages:
            for part in message.parts:
                if isinstance(part, Text):
                    ids += tokenizer.encode_text(part.text)
                    continue
                grid = pixtral.layout(part.width, part.height, 1, size=64).overview
                rows = [[PAD_SLOT] * grid.columns for _ in range(grid.rows)]
                for at, row in enumerate(rows):
                    ids += [*row, tokenizer.token_to_id("</image>" if at == len(rows) - 1 else "<slice>")]
                    features.append((number, len(row)))
                number += 1
        return {"input_ids": ids, "features": features}

    images = {
        "grammar": "rows",
        "row_break": "<slice>",
        "close": "</image>",
        "placeholder": "<pad>",
        "slots": "pixtral",
        "options": {"size": 64},
    }
    return _subject(run, returns=["features"], predict=predict, images=images, slices=None)
