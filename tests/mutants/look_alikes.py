"""Faults that look like another one: the same symptom, another cause.

Each function is a broken pipeline, as in :mod:`mutants`; its docstring says what it looks like and what it is. The
table says which causes must never be named, at any position and on no conversation, and which one must be: by check
where there are several, ``unknown`` where the evidence does not decide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import test_mutants
from declared_mutants import LEARNED
from limit_mutants import BATCH, TURNS

from image_spans.conversation import Conversation, Image, Message, Text, resized
from image_spans.slicing import Layout, minicpm
from image_spans.subject import Subject
from mutants import CHAT, CLOSE, ENTRIES, NESTED, OPEN, PAD, Mutant, _ids_only, _under
from support import ToyTokenizer, contract

TEXT = 1000
"""From here on ids are characters."""


@dataclass(frozen=True)
class LookAlike:
    """A broken pipeline, the causes that it must not be said to have, and those that it has."""

    mutant: Mutant
    never: tuple[str, ...]
    cause: str
    causes: Mapping[str, str]
    """By check, where it is not ``cause``."""
    tokenizer: Callable[[], ToyTokenizer]

    @property
    def name(self) -> str:
        return self.mutant.name


LOOK_ALIKES: list[LookAlike] = []


def look_alike(
    *never: str,
    cause: str,
    causes: Mapping[str, str] | None = None,
    tokenizer: Callable[[], ToyTokenizer] = ToyTokenizer,
    pipeline: str = "flat_slices",
    bos: bool = False,
    returns: tuple[str, ...] = ("image_bounds",),
    entry: str = "encode",
    **changes: Any,
) -> Callable[[Any], Any]:
    def register(function: Any) -> Any:
        promise = contract(**{"bos": "exactly_once" if bos else "none", **changes})
        abilities = frozenset(ENTRIES[entry])
        broken = Mutant(function, frozenset(), cause, promise, pipeline, returns, abilities, None, entry, tokenizer)
        LOOK_ALIKES.append(LookAlike(broken, never, cause, causes or {}, tokenizer))
        return function

    return register


def subject_of(one: LookAlike) -> Subject:
    return test_mutants.subject_of(one.mutant, one.tokenizer(), broken=True)


def _texts(conversation: Conversation, change: Callable[[str], str]) -> Conversation:
    """The conversation with every text changed."""
    return Conversation(
        [
            Message(m.role, [Text(change(p.text)) if isinstance(p, Text) else p for p in m.parts])
            for m in conversation.messages
        ]
    )


# ---------------------------------------------------------------- BOS, and the first id of a message


@look_alike("first-id-removed", cause="bos-missing", bos=True)
def first_id_that_is_bos(tokenizer, conversation, right):
    """The first id is removed, as in MiniCPM-V#331; here it is BOS, so nothing of any message is gone."""
    return _ids_only(right(conversation)["input_ids"][1:])


@look_alike("first-id-removed", cause="marker-lost")
def open_never_written(tokenizer, conversation, right):
    """Every message that begins with an image lacks its first id; so do images behind text: it is the open marker."""
    return _ids_only([t for t in right(conversation)["input_ids"] if t != OPEN])


@look_alike("first-id-removed", "text-lost", cause="text-begin-lost|unknown", causes={"spans.matched": "unknown"})
def first_two_ids_of_every_message(tokenizer, conversation, right):
    """A message of one letter lacks its first id; a longer one lacks two, so it was not taken for BOS."""
    return _ids_only([t for m in conversation.messages for t in right(Conversation([m]))["input_ids"][2:]])


@look_alike("bos-doubled", "bos-per-segment", "bos-misplaced", cause="literal-became-structure", bos=True)
def bos_typed_by_somebody(tokenizer, conversation, right):
    """BOS stands twice, or for each message: not the tokenizer adds it, the text spells it."""
    ids: list[int] = right(conversation)["input_ids"]
    spelled = tokenizer.encode_text("<s>")
    at = 0
    while at < len(ids):
        if ids[at : at + len(spelled)] == spelled:
            ids[at : at + len(spelled)] = [0]
        at += 1
    return _ids_only(ids)


@look_alike("bos-doubled", "bos-per-segment", cause="unknown", bos=True)
def bos_in_front_of_every_window(tokenizer, conversation, right):
    """BOS stands several times, sometimes at the edge of a message: text is encoded in windows of five characters."""
    ids = right(conversation)["input_ids"]
    count, out = 0, []
    for token_id in ids:
        out.append(token_id)
        count += token_id >= TEXT
        if token_id >= TEXT and count % 5 == 0:
            out.append(0)
    return _ids_only(out)


# ---------------------------------------------------------------- a close that is missing


@look_alike("marker-lost", "slots-differ", "slots-off-by-one", "text-lost", "text-end-lost", cause="cut-at-limit")
def ids_end_at_a_built_in_limit(tokenizer, conversation, right):
    """The close is missing, or slots are, or text: no more than twelve ids ever come back."""
    return _ids_only(right(conversation)["input_ids"][:12])


@look_alike("cut-at-limit", cause="marker-lost")
def last_close_of_all_not_written(tokenizer, conversation, right):
    """The ids end where the close of the last image should stand, or go on behind it; nothing was cut off."""
    ids = list(right(conversation)["input_ids"])
    if CLOSE in ids:
        del ids[len(ids) - 1 - ids[::-1].index(CLOSE)]
    return _ids_only(ids)


@look_alike("literal-became-structure", "marker-lost", cause="literal-hides-structure")
def close_left_out_where_the_text_has_one(tokenizer, conversation, right):
    """Somebody typed the close marker; it stayed text, but the image's own is left out, as if it were there."""
    ids = right(conversation)["input_ids"]
    typed = any("</image>" in p.text for m in conversation.messages for p in m.parts if isinstance(p, Text))
    return _ids_only([t for t in ids if not (typed and t == CLOSE)])


class WithUnk(ToyTokenizer):
    """All that is not ASCII is unk."""

    def encode_text(self, text):
        return [token_id if token_id < TEXT + 128 else 901 for token_id in super().encode_text(text)]

    def id_to_token(self, token_id):
        return "<unk>" if token_id == 901 else super().id_to_token(token_id)

    def token_to_id(self, token):
        return 901 if token == "<unk>" else super().token_to_id(token)

    def named_ids(self):
        return {**super().named_ids(), "unk": 901}


@look_alike("marker-became-unk", cause="marker-lost", tokenizer=WithUnk)
def close_lost_beside_unknown_letters(tokenizer, conversation, right):
    """A close is missing and there are unk: they are letters that the tokenizer does not know."""
    return _ids_only([t for t in right(conversation)["input_ids"] if t != CLOSE])


@look_alike("marker-lost", cause="marker-became-unk", tokenizer=WithUnk)
def close_that_is_unk(tokenizer, conversation, right):
    """A close is missing: its look-up gave the id of unk."""
    return _ids_only([901 if t == CLOSE else t for t in right(conversation)["input_ids"]])


@look_alike(
    "images-dropped",
    "image-dropped",
    "text-added",
    cause="tag-left-in-text",
    literals={"policy": "plain", "tag": "[img]"},
)
def tag_never_replaced(tokenizer, conversation, right):
    """No image is in the ids: it was not forgotten, its tag is still in the text."""
    messages = [
        Message(m.role, [Text("[img]") if isinstance(p, Image) else p for p in m.parts]) for m in conversation.messages
    ]
    return right(Conversation(messages))


@look_alike("images-dropped", cause="image-dropped", input={"images": "2..4"})
def second_image_dropped(tokenizer, conversation, right):
    """An image is missing, the others are there."""
    number, messages = 0, []
    for message in conversation.messages:
        parts = []
        for part in message.parts:
            number += isinstance(part, Image)
            if not isinstance(part, Image) or number != 2:
                parts.append(part)
        messages.append(Message(message.role, parts))
    return right(Conversation(messages))


# ---------------------------------------------------------------- other counts


@look_alike("expanded-twice", "overview-doubled", "image-doubled", cause="slots-differ")
def twice_as_many_slots(tokenizer, conversation, right):
    """Slots are a multiple of the right number: nothing was expanded again, the rule has eight."""
    eight = {"open": "<image>", "close": "</image>", "placeholder": "<pad>", "slots": 8}
    return _under({"images": eight}, "flat_slices", conversation)


@look_alike("cut-at-limit", "slots-off-by-one", cause="slots-differ")
def slots_capped(tokenizer, conversation, right):
    """Slots are missing at the end of a span, and its close is there: no limit of length, but of slots."""
    two = {"open": "<image>", "close": "</image>", "placeholder": "<pad>", "slots": 2}
    return _under({"images": two}, "flat_slices", conversation)


@look_alike(
    "expanded-twice",
    "slots-off-by-one",
    cause="slots-differ",
    images={
        "open": "<image>",
        "close": "</image>",
        "placeholder": "<pad>",
        "slots": 1,
    },
)
def five_slots_for_one(tokenizer, conversation, right):
    """Every number is a multiple of one."""
    five = {"open": "<image>", "close": "</image>", "placeholder": "<pad>", "slots": 5}
    return _under({"images": five}, "flat_slices", conversation)


@look_alike("images-reordered", cause="width-height-swapped")
def sides_swapped_of_several_images(tokenizer, conversation, right):
    """Two images of turned sizes look as if they had changed places."""
    return right(resized(conversation, [Image(i.height, i.width) for i in conversation.images]))


@look_alike("width-height-swapped", "images-reordered", cause="sides-sorted")
def longer_side_taken_for_the_width(tokenizer, conversation, right):
    """The sides of an upright image are swapped, those of a lying one are not."""
    return right(
        resized(conversation, [Image(max(i.width, i.height), min(i.width, i.height)) for i in conversation.images])
    )


@look_alike("width-height-swapped", "first-image-for-all", "last-image-for-all", cause="images-reordered")
def first_two_images_change_places(tokenizer, conversation, right):
    """Two images of turned sizes look as if their sides were swapped."""
    first, rest = conversation.images[:2], conversation.images[2:]
    return right(resized(conversation, [*reversed(first), *rest]))


@look_alike("row-break-differs", cause="width-height-swapped", slices=NESTED, pipeline="nested_slices")
def sides_swapped_of_a_column(tokenizer, conversation, right):
    """Between two slices the newline is missing: they stand in one row, since the sides are swapped."""
    first = [Image(i.height, i.width) for i in conversation.images]
    return right(resized(conversation, first))


def _grid(change: Callable[[tuple], tuple]) -> Callable[..., Layout]:
    def rule(width: int, height: int, number_of_images: int, **options: Any) -> Layout:
        layout = minicpm.layout(width, height, number_of_images, **options)
        return Layout(layout.overview, change(layout.grid))

    return rule


one_tile_less = _grid(lambda grid: (*grid[:-1], grid[-1][:-1]) if grid and grid[-1][:-1] else grid[:-1])
one_row_less = _grid(lambda grid: grid[:-1] or grid)
one_column_less = _grid(lambda grid: tuple(row[:-1] or row for row in grid))


def _with_rule(name: str, conversation: Conversation) -> dict[str, Any]:
    slices = {"open": "<slice>", "close": "</slice>", "rule": f"look_alikes:{name}"}
    return _under({"slices": slices}, "flat_slices", conversation)


@look_alike("row-missing", "column-missing", "slices-missing", cause="tile-missing")
def last_tile_left_out(tokenizer, conversation, right):
    """In a grid of one column a tile is a row, and in one of one row a column."""
    return _with_rule("one_tile_less", conversation)


@look_alike("tile-missing", "slices-missing", "width-height-swapped", cause="row-missing")
def last_row_left_out_of_slices(tokenizer, conversation, right):
    """In a grid of one column a row is a tile."""
    return _with_rule("one_row_less", conversation)


@look_alike("tile-missing", "slices-missing", "width-height-swapped", cause="column-missing")
def last_column_left_out_of_slices(tokenizer, conversation, right):
    """In a grid of one row a column is a tile."""
    return _with_rule("one_column_less", conversation)


# ---------------------------------------------------------------- text


@look_alike("text-lost", "text-begin-lost", "text-end-lost", "first-id-removed", cause="blanks-eaten|newlines-eaten")
def every_text_stripped(tokenizer, conversation, right):
    """A text of blanks alone is gone altogether: it was stripped, and text with letters is there."""
    return right(_texts(conversation, str.strip))


@look_alike("text-lost", "blanks-changed", "blanks-eaten", "text-became-unk", cause="text-normalised")
def every_text_in_lower_case(tokenizer, conversation, right):
    """Text is another one, and no blank of it: it was normalised, and not by the tokenizer."""
    return right(_texts(conversation, lambda text: text.replace("a", "A").replace("ё", "е")))


@look_alike("text-added", "blanks-added", "newlines-added", cause="special-added", template=CHAT)
def end_token_behind_every_image(tokenizer, conversation, right):
    """Something stands behind an image that was not there: no text, but the token that ends a turn."""
    ids = []
    for token_id in right(conversation)["input_ids"]:
        ids += [token_id, 900] if token_id == CLOSE else [token_id]
    return _ids_only(ids)


@look_alike("text-added", "text-lost", cause="special-as-text", template=CHAT)
def end_token_as_text(tokenizer, conversation, right):
    """The text is right letter by letter: the token that ends a turn was spelled."""
    ids = []
    for token_id in right(conversation)["input_ids"]:
        ids += tokenizer.encode_text("</s>") if token_id == 900 else [token_id]
    return _ids_only(ids)


@look_alike("bounds-shifted", "bounds-inclusive", "bounds-with-markers", cause="unknown")
def bounds_begin_behind_the_first_slot(tokenizer, conversation, right):
    """Bounds are off by one, at one end: they were not shifted, and their ends are right."""
    made = right(conversation)
    return {**made, "image_bounds": [(start + 1, end) for start, end in made["image_bounds"]]}


# ---------------------------------------------------------------- labels


@look_alike("labels-shifted-1", "all-ignored", "answer-unlabelled", cause="labels-begin-late", **LEARNED)
def labels_begin_after_the_first_id(tokenizer, conversation, right):
    """The first id of an answer is not learned: labels are not shifted, each stands at its id."""
    made = right(conversation)
    labels = made["labels"]
    return {**made, "labels": [b if a != -100 else -100 for a, b in zip([-100, *labels], labels, strict=False)]}


@look_alike("labels-shifted-1", "label-is-another-id", cause="labels-shifted-2", **LEARNED)
def labels_shifted_twice(tokenizer, conversation, right):
    """Data and collator both shift, so two places, also where letters repeat."""
    made = right(conversation)
    return {**made, "labels": [*made["labels"][2:], -100, -100]}


@look_alike("all-ignored", "labels-begin-late", "labels-end-early", cause="answer-unlabelled", **LEARNED)
def first_answer_not_learned(tokenizer, conversation, right):
    """Of a single answer nothing is learned; of several, the others are."""
    made = right(conversation)
    labels = list(made["labels"])
    at = next((k for k, label in enumerate(labels) if label != -100), len(labels))
    while at < len(labels) and labels[at] != -100:
        labels[at] = -100
        at += 1
    return {**made, "labels": labels}


# ---------------------------------------------------------------- batches and turns


@look_alike("bounds-not-moved", cause="bounds-differ", **BATCH)
def bounds_moved_by_one_too_few(tokenizer, conversations, right, padding_side):
    """Bounds of a padded row are wrong: they were moved, by one place less than the padding."""
    made = right(conversations, padding_side=padding_side)
    alone = [right([one], padding_side="left") for one in conversations]
    bounds = []
    for row, single in zip(made["image_bounds"], alone, strict=True):
        moved = any(a != b for a, b in zip(row, single["image_bounds"][0], strict=True))
        bounds.append([(start - moved, end - moved) for start, end in row])
    return {**made, "image_bounds": bounds}


@look_alike("expanded-again", cause="new-block-differs", **TURNS)
def old_images_put_in_once_more(tokenizer, encoding, message, right):
    """There are more placeholders than before: not the old block grew, the image was given again with the new turn."""
    longer = right(encoding, message)
    ids, old = longer["input_ids"], encoding["input_ids"]
    block = [OPEN, *[PAD] * 4, CLOSE]
    spare = block if OPEN in old else []
    whole = [*ids, *spare]
    labels = [*longer["labels"], *[-100] * len(spare)]
    return {**_ids_only(whole), "labels": labels}
