"""Right but unusual subjects: each looks suspicious and breaks nothing.

Every one is a pipeline written here, not a reference pipeline, on a tokenizer that is trained on the spot or a toy.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import partial
from typing import Any

from image_spans import tokenizers
from image_spans.contract import Contract
from image_spans.conversation import Conversation, Image, Text
from image_spans.slicing import internvl, minicpm, pixtral
from image_spans.subject import Subject
from image_spans.training import byte_bpe, sentencepiece, tiktoken, unigram, wordpiece
from support import MARKERS, ToyTokenizer, contract, facts

ZOO: dict[str, Callable[[], Subject]] = {}


def healthy(make: Callable[[], Subject]) -> Callable[[], Subject]:
    ZOO[make.__name__] = make
    return make


def _toy(
    pipeline: Callable[..., Any], tokenizer: ToyTokenizer | None = None, returns=(), abilities=(), **promised: Any
):
    tokenizer = tokenizer or ToyTokenizer()
    promise = contract(**promised)
    run = partial(pipeline, tokenizer)
    return Subject(
        pipeline.__name__, tokenizer, facts(tokenizer), promise, run, frozenset(returns), abilities=frozenset(abilities)
    )


def _real(pipeline: Callable[..., Any], native: Any, returns=(), **promised: Any) -> Subject:
    tokenizer = tokenizers.adapt(native)
    promise = Contract(**promised)
    seen = tokenizers.observe(tokenizer, promise.markers)
    return Subject(pipeline.__name__, tokenizer, seen, promise, partial(pipeline, native), frozenset(returns))


def _span(slots: int = 4, opened: str = "<image>", closed: str = "</image>") -> str:
    return opened + "<pad>" * slots + closed


def _markup(image: Image, number: int = 0) -> str:
    """MiniCPM's block as text."""
    rows = minicpm.layout(image.width, image.height, 1, slots=4).grid
    return _span() + "\n".join(_span(4, "<slice>", "</slice>") * len(row) for row in rows)


def _ids(
    tokenizer: ToyTokenizer, conversation: Conversation, block: Callable[[Image, int], str] = _markup
) -> list[int]:
    """Messages one after the other; markers through markup, typed text as text."""
    ids: list[int] = []
    number = 0
    for message in conversation.messages:
        for part in message.parts:
            if isinstance(part, Text):
                ids += tokenizer.encode_text(part.text)
            else:
                ids += tokenizer.encode_markup(block(part, number))
                number += 1
    return ids


# ---------------------------------------------------------------- BOS and order


@healthy
def bos_behind_the_image_block():
    """By contract BOS stands behind the images, as in some encoder-decoder models."""

    def pipeline(tokenizer, conversation):
        images = [part for message in conversation.messages for part in message.images]
        front = [i for number, image in enumerate(images) for i in tokenizer.encode_markup(_markup(image, number))]
        text = [
            i
            for m in conversation.messages
            for p in m.parts
            if isinstance(p, Text)
            for i in tokenizer.encode_text(p.text)
        ]
        return [*front, 0, *text]

    images = {
        "open": "<image>",
        "close": "</image>",
        "placeholder": "<pad>",
        "slots": 4,
        "order": "first_in_conversation",
    }
    return _toy(pipeline, bos="after_images", images=images)


@healthy
def images_moved_to_the_front_of_their_message():
    """A declared reordering: LLaVA puts the image before the question wherever it stood."""

    def pipeline(tokenizer, conversation):
        ids = []
        for message in conversation.messages:
            for part in sorted(message.parts, key=lambda part: isinstance(part, Text)):
                ids += (
                    tokenizer.encode_text(part.text)
                    if isinstance(part, Text)
                    else tokenizer.encode_markup(_markup(part))
                )
        return ids

    images = {"open": "<image>", "close": "</image>", "placeholder": "<pad>", "slots": 4, "order": "first_in_message"}
    return _toy(pipeline, images=images)


@healthy
def bos_spelled_by_the_template():
    """The template spells BOS, so the pipeline adds none; typed BOS text stays text."""

    def pipeline(tokenizer, conversation):
        return [0, *_ids(tokenizer, conversation)]

    return _toy(pipeline, bos="exactly_once", template={"begin": ["<s>", ""]})


# ---------------------------------------------------------------- shapes


@healthy
def rows_that_only_end():
    """Pixtral: no open marker at all, breaks between rows and one end."""

    def block(image, number):
        grid = pixtral.layout(image.width, image.height, 1, size=64).overview
        return "<slice>".join(["<pad>" * grid.columns] * grid.rows) + "</image>"

    def pipeline(tokenizer, conversation):
        return _ids(tokenizer, conversation, block)

    images = {
        "grammar": "rows",
        "row_break": "<slice>",
        "close": "</image>",
        "placeholder": "<pad>",
        "slots": "pixtral",
    }
    return _toy(pipeline, images={**images, "options": {"size": 64}}, slices=None)


@healthy
def numbers_on_sliced_images_only():
    """MiniCPM-V 2.6 with image numbers where there are slices."""

    def block(image, number):
        sliced = minicpm.layout(image.width, image.height, 1).sliced
        return (f"<image_id>{number}</image_id>" if sliced else "") + _markup(image)

    def pipeline(tokenizer, conversation):
        return _ids(tokenizer, conversation, block)

    number = {"open": "<image_id>", "close": "</image_id>", "when": "sliced"}
    images = {"open": "<image>", "close": "</image>", "placeholder": "<pad>", "slots": 4, "number": number}
    return _toy(pipeline, images=images)


@healthy
def thumbnail_when_there_is_more_than_one_tile():
    """InternVL: one run in one span; the thumbnail comes last and only with several tiles."""

    def block(image, number):
        tiles = sum(len(row) for row in internvl.layout(image.width, image.height, 1, max_patches=6).grid)
        return _span(4 * (tiles + 1))

    def pipeline(tokenizer, conversation):
        return _ids(tokenizer, conversation, block)

    slices = {"grammar": "same_span", "overview": "last", "rule": "internvl", "options": {"max_patches": 6}}
    return _toy(pipeline, slices=slices)


@healthy
def a_run_without_brackets_that_touches_its_neighbour():
    """LLaVA: two images beside each other are one run, and the bounds say where one ends."""

    def pipeline(tokenizer, conversation):
        ids, bounds = [], []
        for message in conversation.messages:
            for part in message.parts:
                if isinstance(part, Text):
                    ids += tokenizer.encode_text(part.text)
                else:
                    bounds.append([len(ids), len(ids) + 5])
                    ids += tokenizer.encode_markup("<pad>" * 5)
        return {"input_ids": ids, "image_bounds": bounds}

    images = {"grammar": "run", "placeholder": "<pad>", "slots": 5}
    return _toy(pipeline, returns=("image_bounds",), images=images, slices=None)


@healthy
def newline_before_and_behind_every_image():
    """Fixed text round an image that is not in the data."""

    def block(image, number):
        return f"\nPicture: {_markup(image)}\n"

    def pipeline(tokenizer, conversation):
        return _ids(tokenizer, conversation, block)

    images = {"open": "<image>", "close": "</image>", "placeholder": "<pad>", "slots": 4}
    return _toy(pipeline, images={**images, "before": "\nPicture: ", "after": "\n"})


# ---------------------------------------------------------------- text


@healthy
def blanks_stripped_from_every_message():
    """The chat template trims the content of a message (Llama 3: ``content | trim``), by contract."""

    def pipeline(tokenizer, conversation):
        ids = []
        for message in conversation.messages:
            # Placeholders of one character stand for the images while the whole is trimmed.
            content = "".join(p.text if isinstance(p, Text) else "\uffff" for p in message.parts).strip()
            images = iter(message.images)
            for index, text in enumerate(content.split("\uffff")):
                ids += tokenizer.encode_markup(_markup(next(images))) if index else []
                ids += tokenizer.encode_text(text)
        return ids

    return _toy(pipeline, trim="message")


@healthy
def blanks_stripped_from_every_piece_of_text():
    """A processor that joins content parts strips each of them, by contract."""

    def pipeline(tokenizer, conversation):
        ids = []
        for message in conversation.messages:
            for part in message.parts:
                text = part.text.strip() if isinstance(part, Text) else ""
                ids += tokenizer.encode_text(text) if isinstance(part, Text) else tokenizer.encode_markup(_markup(part))
        return ids

    return _toy(pipeline, trim="text")


class Composing(ToyTokenizer):
    """A tokenizer that normalises (NFC), as Qwen's does."""

    def encode_text(self, text):
        return super().encode_text(unicodedata.normalize("NFC", text))


@healthy
def a_tokenizer_that_composes_accents():
    """Text comes back in another normal form; nothing was lost."""

    def pipeline(tokenizer, conversation):
        return _ids(tokenizer, conversation)

    return _toy(pipeline, Composing())


@healthy
def a_dummy_prefix_before_every_piece():
    """Pieces of text are encoded one by one, and each gets the blank that the tokenizer puts in front."""

    def pipeline(tokenizer, conversation):
        ids = []
        for message in conversation.messages:
            for part in message.parts:
                if isinstance(part, Text):
                    ids += tokenizer.encode_text(part.text)
                else:
                    ids += ToyTokenizer().encode_markup(_markup(part))
        return ids

    return _toy(pipeline, ToyTokenizer(dummy=True))


@healthy
def typed_markers_are_interpreted():
    """By contract a marker that somebody types is the marker."""

    def pipeline(tokenizer, conversation):
        text = "".join(p.text if isinstance(p, Text) else _markup(p) for m in conversation.messages for p in m.parts)
        return tokenizer.encode_markup(text)

    return _toy(pipeline, literals="interpret")


@healthy
def typed_markers_are_refused_by_name():
    """By contract marker text is refused, and the error says which."""

    def pipeline(tokenizer, conversation):
        for message in conversation.messages:
            for part in message.parts:
                for token in MARKERS:
                    if isinstance(part, Text) and token in part.text:
                        raise ValueError(f"{message.role} typed {token}, which is reserved")
        return _ids(tokenizer, conversation)

    return _toy(pipeline, literals="reject")


# ---------------------------------------------------------------- real libraries


def _block(image: Image) -> str:
    rows = minicpm.layout(image.width, image.height, 1, slots=4).grid
    return (
        "<image>"
        + "<slot>" * 4
        + "</image>"
        + "\n".join(("<slice>" + "<slot>" * 4 + "</slice>") * len(r) for r in rows)
    )


PAIRED = {
    "images": {"open": "<image>", "close": "</image>", "placeholder": "<slot>", "slots": 4},
    "slices": {"open": "<slice>", "close": "</slice>", "rule": "minicpm"},
    "template": {},
}
TOKENS = ["<image>", "</image>", "<slice>", "</slice>", "<slot>"]


@healthy
def whole_text_at_once_through_markers_that_are_ordinary_added_tokens():
    """The prompt is one string; its markers are added tokens that are not special, so typed ones count too."""
    native = byte_bpe.train()
    native.add_tokens(TOKENS)  # not special

    def pipeline(tokenizer, conversation):
        text = "".join(p.text if isinstance(p, Text) else _block(p) for m in conversation.messages for p in m.parts)
        return tokenizer.encode(text, add_special_tokens=False)

    return _real(pipeline, native, bos="none", literals="interpret", **PAIRED)


@healthy
def whole_text_at_once_with_bos():
    """BOS comes from the one call that encodes everything."""
    native = byte_bpe.train(bos="<s>", special_tokens=TOKENS)

    def pipeline(tokenizer, conversation):
        text = "".join(p.text if isinstance(p, Text) else _block(p) for m in conversation.messages for p in m.parts)
        return tokenizer.encode(text)

    return _real(pipeline, native, bos="exactly_once", literals="interpret", **PAIRED)


@healthy
def tiktoken_with_everything_allowed():
    """allowed_special="all" on a string that is the whole conversation."""
    native = tiktoken.train(special_tokens=TOKENS)

    def pipeline(tokenizer, conversation):
        text = "".join(p.text if isinstance(p, Text) else _block(p) for m in conversation.messages for p in m.parts)
        return tokenizer.encode(text, allowed_special="all")

    return _real(pipeline, native, bos="none", literals="interpret", **PAIRED)


@healthy
def sentencepiece_whole_text_through_user_defined_pieces():
    """User-defined pieces are always read; the dummy prefix stands once, in front of everything."""
    native = sentencepiece.train(user_defined=TOKENS, bos=False)

    def pipeline(tokenizer, conversation):
        text = "".join(p.text if isinstance(p, Text) else _block(p) for m in conversation.messages for p in m.parts)
        return tokenizer.encode(text)

    return _real(pipeline, native, bos="none", literals="interpret", **PAIRED)


def _by_id(encode: Callable[[Any, str], list[int]], look_up: Callable[[Any, str], int]):
    def pipeline(tokenizer, conversation):
        ids = []
        for message in conversation.messages:
            for part in message.parts:
                if isinstance(part, Text):
                    ids += encode(tokenizer, part.text)
                else:
                    ids += [look_up(tokenizer, token) for token in ("<image>", *["<slot>"] * 4, "</image>")]
        return ids

    return pipeline


@healthy
def word_pieces_that_lose_case_and_blanks():
    """BERT's tokenizer gives no text back as it was; nothing but that is lost."""

    def encode(tokenizer, text):
        tokenizer.encode_special_tokens = True
        return tokenizer.encode(text, add_special_tokens=False).ids

    pipeline = _by_id(encode, lambda tokenizer, token: tokenizer.token_to_id(token))
    native = wordpiece.train(special_tokens=["<image>", "</image>", "<slot>"])
    return _real(pipeline, native, bos="none", **{**PAIRED, "slices": None})


@healthy
def a_unigram_model_without_bytes():
    """Unknown characters are unk, alone and in a row, and are so without any image too."""
    native = sentencepiece.train(
        kind="unigram", byte_fallback=False, bos=False, control=["<image>", "</image>", "<slot>"]
    )
    pipeline = _by_id(lambda t, text: t.encode(text), lambda t, token: t.piece_to_id(token))
    return _real(pipeline, native, bos="none", **{**PAIRED, "slices": None})


@healthy
def metaspace_that_writes_a_blank_behind_every_image():
    """Legacy Llama and T5 put a blank in front of each stretch of text between special tokens."""
    native = unigram.train(prepend_scheme="always", special_tokens=TOKENS)

    def pipeline(tokenizer, conversation):
        text = "".join(p.text if isinstance(p, Text) else _block(p) for m in conversation.messages for p in m.parts)
        return tokenizer.encode(text, add_special_tokens=False).ids

    return _real(pipeline, native, bos="none", literals="interpret", **PAIRED)
