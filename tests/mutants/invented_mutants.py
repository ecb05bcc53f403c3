"""Mutants after no report of their own: what may as well go wrong, each beside the report that is nearest to it."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

from more_mutants import edited, retyped

from image_spans.conversation import Conversation, Image, Message, Text
from mutants import (
    CHAT,
    CLOSE,
    NUMBER,
    NUMBERED,
    OPEN,
    PAD,
    SLICE,
    SLICE_CLOSE,
    TEXT_ONLY,
    Harmless,
    _ids_only,
    mutant,
)
from support import ToyTokenizer

FROM_ONE = {**NUMBERED, "number": {"open": "<image_id>", "close": "</image_id>", "start": 1}}
ONE_IMAGE = {"input": {"images": "0..1"}}
NEWLINE = 1000 + ord("\n")


class Composing(ToyTokenizer):
    """A tokenizer that normalises (NFC), as Qwen's does."""

    def encode_text(self, text):
        return super().encode_text(unicodedata.normalize("NFC", text))


@mutant("text.survives", cause="text-normalised", harmless=Harmless(tokenizer=Composing))
def text_is_composed(tokenizer, conversation, right):
    """F4, vllm PR#50899 alike: text is brought into a normal form, which this tokenizer does not do."""
    return right(retyped(conversation, lambda text, m: unicodedata.normalize("NFC", text)))


@mutant("text.survives", cause="text-normalised")
def text_is_lowered(tokenizer, conversation, right):
    """F4, transformers PR#30918 alike: text is lowered as for another model's vocabulary."""
    return right(retyped(conversation, lambda text, m: text.lower()))


@mutant("text.survives", cause="blanks-changed")
def line_ends_are_unified(tokenizer, conversation, right):
    """F3, transformers PR#23909 alike: a file is opened in text mode, and its line ends become newlines."""
    return right(retyped(conversation, lambda text, m: text.replace("\r\n", "\n")))


@mutant("text.survives", cause="blanks-eaten")
def text_is_trimmed_when_there_are_several_turns(tokenizer, conversation, right):
    """F3, transformers#29626 alike: the branch for several turns strips each text, the one for a single turn not."""
    several = len(conversation.messages) > 1
    return right(retyped(conversation, lambda text, m: text.strip()) if several else conversation)


@mutant("spans.order", cause="image-moved", harmless=TEXT_ONLY)
def image_goes_behind_the_first_newline(tokenizer, conversation, right):
    """F7, Qwen-VL-Series-Finetune#43 alike: the place of an image is found by the newline before it."""

    def move(parts, number):
        for at in range(1, len(parts)):
            before, image = parts[at - 1 : at + 1]
            if isinstance(before, Text) and isinstance(image, Image) and "\n" in before.text:
                line, rest = before.text.split("\n", 1)
                parts[at - 1 : at + 1] = [Text(line + "\n"), image, Text(rest)]
        return parts

    return right(edited(conversation, move))


@mutant("spans.expected", cause="image-dropped", harmless={"input": {"images": "0..3"}})
def fourth_image_is_dropped(tokenizer, conversation, right):
    """F7, lmdeploy#3300 alike: a limit on the number of images is heeded without a word."""
    seen = 0

    def keep(parts, number):
        nonlocal seen
        kept = []
        for part in parts:
            seen += isinstance(part, Image)
            if isinstance(part, Text) or seen < 4:
                kept.append(part)
        return kept

    return right(edited(conversation, keep))


@mutant(
    "spans.expected",
    cause="number-differs",
    images=NUMBERED,
    harmless={"images": {**NUMBERED, "number": {**NUMBERED["number"], "start": 1}}},
)
def numbers_count_from_one(tokenizer, conversation, right):
    """F10, MiniCPM-V finetune (C4) alike: the images are counted from 1, and the model counts from 0."""
    ids = right(conversation)["input_ids"]
    zero = 1000 + ord("0")
    by = int(any(pair == (NUMBER, zero) for pair in pairwise(ids)))  # they do not yet
    return _ids_only([token_id + by * (before == NUMBER) for before, token_id in pairwise([0, *ids])])


@mutant("spans.expected", cause="number-differs", images=NUMBERED, harmless=ONE_IMAGE)
def numbers_begin_anew_in_every_message(tokenizer, conversation, right):
    """F10, MiniCPM-V finetune (C4) alike: the counter of images lives as long as a message."""
    ids = []
    for message in conversation.messages:
        ids += right(Conversation([message]))["input_ids"]
    return _ids_only(ids)


@mutant("spans.expected", cause="marker-lost", harmless=ONE_IMAGE)
def images_that_touch_become_one(tokenizer, conversation, right):
    """F10, lmms-engine#132 alike: a close that an open follows is taken for a seam, and both go."""
    ids = right(conversation)["input_ids"]
    seams = [at for at in range(len(ids) - 1) if ids[at : at + 2] == [CLOSE, OPEN]]
    gone = {place for at in seams for place in (at, at + 1)}
    return _ids_only([token_id for at, token_id in enumerate(ids) if at not in gone])


@mutant("spans.slots", cause="stray-placeholder", harmless=ONE_IMAGE)
def padding_between_images(tokenizer, conversation, right):
    """F12, nanoVLM#29 alike: images are padded apart with what is the placeholder too."""
    ids = right(conversation)["input_ids"]
    return _ids_only(
        [
            i
            for at, token_id in enumerate(ids)
            for i in ([token_id, PAD] if ids[at : at + 2] == [CLOSE, OPEN] else [token_id])
        ]
    )


@mutant("text.survives", cause="special-added", harmless=ONE_IMAGE)
def end_of_text_between_images(tokenizer, conversation, right):
    """F12, LlamaFactory PR#6801 alike: samples are packed, and what parts them stands between images of one sample."""
    ids = right(conversation)["input_ids"]
    return _ids_only(
        [
            i
            for at, token_id in enumerate(ids)
            for i in ([token_id, 900] if ids[at : at + 2] == [CLOSE, OPEN] else [token_id])
        ]
    )


@mutant("text.survives", cause="newlines-added", template=CHAT, harmless={"slices": None})
def row_break_behind_the_last_row_too(tokenizer, conversation, right):
    """F10, onnxruntime-genai PR#2077 alike: every row of slices ends with a break, the last one as well."""
    given = right(conversation)["input_ids"]
    ids = []
    for at, token_id in enumerate(given):
        ids.append(token_id)
        if token_id == SLICE_CLOSE and _ends_slices(given, at):
            ids.append(NEWLINE)
    return _ids_only(ids)


def _ends_slices(ids, at):
    return ids[at + 1 : at + 2] != [SLICE] and ids[at + 1 : at + 3] != [NEWLINE, SLICE]


@mutant("pipeline.encodes", cause="id-outside")
def ids_are_stored_in_sixteen_bits(tokenizer, conversation, right):
    """F13, trl#1802 alike: an array of 16 bits turns large ids into negative ones."""
    return _ids_only([i - 65536 if 32768 <= i < 65536 else i for i in right(conversation)["input_ids"]])


@mutant("spans.expected", cause="images-dropped")
def tiny_images_are_dropped(tokenizer, conversation, right):
    """F9, transformers PR#42784 alike: an image smaller than a patch falls through, and nobody says so."""
    return right(
        edited(
            conversation,
            lambda parts, k: [p for p in parts if isinstance(p, Text) or min(p.width, p.height) >= 28],
        )
    )


@mutant("labels.cover_answers", cause="labels-begin-late", returns=("image_bounds", "labels"), template=CHAT)
def first_id_of_an_answer_is_masked(tokenizer, conversation, right):
    """F13, Bunny#75: the first id is masked as BOS, although there is none."""
    made = right(conversation)
    labels = made["labels"]
    begins = [at for at in range(len(labels)) if labels[at] != -100 and (not at or labels[at - 1] == -100)]
    return {**made, "labels": [-100 if at in begins else label for at, label in enumerate(labels)]}


@mutant("text.survives", cause="text-begin-lost", template=CHAT, harmless=TEXT_ONLY)
def instructions_are_dropped_where_there_are_images(tokenizer, conversation, right):
    """F7, mlx-vlm#833 alike: the branch for images builds its prompt without the system message."""
    kept = [m for m in conversation.messages if not (conversation.images and m.role == "system")]
    return right(Conversation([Message(m.role, m.parts) for m in kept]))
