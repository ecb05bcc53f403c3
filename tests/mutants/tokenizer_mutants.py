"""Tokenizers that are right but for one thing, each after a real report, under a pipeline that is right.

Most are found before any conversation is drawn, by the prechecks; everything else is then blocked. The others are right
for a pipeline that puts in ids, and wrong for one that goes through text or through the plain call: each near-miss is
the same tokenizer, or the same code, where that does no harm.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from image_spans.contract import Contract
from image_spans.conversation import Text
from image_spans.pipelines import reference
from image_spans.slicing import minicpm
from image_spans.subject import Subject
from image_spans.tokenizers import observe
from mutants import CHAT, SPAN
from support import MARKERS, ToyTokenizer, contract

Make = Callable[[], Subject]


@dataclass(frozen=True)
class TokenizerMutant:
    """A subject whose tokenizer is broken, what must notice it, and a subject where the same does no harm."""

    make: Make
    kills: frozenset[str]
    cause: str
    near: Make

    @property
    def name(self) -> str:
        return self.make.__name__

    @property
    def families(self) -> frozenset[str]:
        return frozenset(re.findall(r"\bF\d+\b", self.make.__doc__ or ""))


TOKENIZER_MUTANTS: list[TokenizerMutant] = []


def mutant(*kills: str, cause: str, near: Make) -> Callable[[Make], Make]:
    def register(make: Make) -> Make:
        TOKENIZER_MUTANTS.append(TokenizerMutant(make, frozenset(kills), cause, near))
        return make

    return register


def on(tokenizer: ToyTokenizer, pipeline: Callable[..., Any] | None = None, **given: Any) -> Subject:
    """A subject on a tokenizer: the reference pipeline, or one that takes (tokenizer, conversation)."""
    known, as_text, abilities = given.pop("known", {}), given.pop("as_text", False), given.pop("abilities", ())
    promise: Contract = contract(**given)
    right = partial(reference("flat_slices"), tokenizer, contract=promise)
    what = pipeline.__name__ if pipeline else "right"
    return Subject(
        f"{type(tokenizer).__name__} {what} {given} {known} {as_text}",  # one pass for each
        tokenizer,
        observe(tokenizer, promise.markers),
        promise,
        partial(pipeline, tokenizer) if pipeline else right,
        frozenset() if pipeline else frozenset(("image_bounds", "labels")),
        known_ids=known,
        markers_as_text=as_text,
        abilities=frozenset(abilities),
        batch=partial(reference("flat_slices", "batch"), tokenizer, contract=promise),
    )


def block(part) -> str:
    """The block of an image as text."""
    rows = minicpm.layout(part.width, part.height, 1, slots=4).grid
    span = "<pad>" * 4
    return f"<image>{span}</image>" + "\n".join(f"<slice>{span}</slice>" * len(row) for row in rows)


def whole_text(tokenizer, conversation):
    """The prompt is one text, markers and all."""
    parts = [part for message in conversation.messages for part in message.parts]
    return tokenizer.encode_markup("".join(part.text if isinstance(part, Text) else block(part) for part in parts))


def plain_calls(tokenizer, conversation):
    """Each text by the library's plain call, what it puts in front as expected taken away by its id."""
    ids = []
    for message in conversation.messages:
        for part in message.parts:
            if isinstance(part, Text):
                given = tokenizer.encode(part.text)
                ids += given[1:] if given[:1] == [0] else given
            else:
                ids += ToyTokenizer().encode_markup(block(part))
    return ids


# ---------------------------------------------------------------- F2: markers


class NoControlTokens(ToyTokenizer):
    def token_to_id(self, token):
        return None if token == "<image>" else super().token_to_id(token)


@mutant(
    "contract.tokens",
    cause="marker-missing",
    near=lambda: on(NoControlTokens(), images={**SPAN, "open": "<image_id>", "close": "</image_id>"}),
)
def a_marker_is_several_ids():
    """F2, transformers PR#43222: a backend that knows no control tokens; the marker is text in several ids."""
    return on(NoControlTokens())


class UnknownIsUnk(ToyTokenizer):
    def __init__(self):
        super().__init__(specials=tuple(marker for marker in MARKERS if marker != "</slice>"))
        self._names[999] = "<unk>"

    def named_ids(self):
        return {**super().named_ids(), "unk": 999}

    def token_to_id(self, token):
        found = super().token_to_id(token)
        return 999 if found is None else found


@mutant("contract.tokens", cause="marker-missing", near=lambda: on(UnknownIsUnk(), slices=None))
def a_marker_is_unk():
    """F2, fastokens PR#36: the added token is in one of two files only, and looking it up gives unk."""
    return on(UnknownIsUnk())


class OnePair(ToyTokenizer):
    """One id for two spellings, one of which is an alias."""

    def __init__(self):
        super().__init__()
        self._specials["<slice>"] = self._specials["<image>"]

    def id_to_token(self, token_id):
        return _Either("<image>", "<slice>") if token_id == self._specials["<image>"] else super().id_to_token(token_id)


class _Either(str):
    """A name that is another one as well, as an alias is."""

    def __new__(cls, name, alias):
        made = super().__new__(cls, name)
        made.alias = alias
        return made

    def __eq__(self, other):
        return str.__eq__(self, other) or other == self.alias

    def __ne__(self, other):
        return not self == other

    __hash__ = str.__hash__


@mutant("contract.tokens", cause="marker-shared", near=lambda: on(OnePair(), slices=None))
def two_markers_are_one_id():
    """F2, llama.cpp PR#11513 alike: image and slice open with one id, so their spans cannot be told apart."""
    return on(OnePair())


class PadIsPlaceholder(ToyTokenizer):
    def named_ids(self):
        return {**super().named_ids(), "pad": self.token_to_id("<pad>")}


@mutant(
    "contract.tokens",
    cause="marker-is-special",
    near=lambda: on(PadIsPlaceholder(), images={**SPAN, "placeholder": "<image_id>"}),
)
def the_placeholder_is_the_padding():
    """F2, lmdeploy#3285: pad_token_id serves as the placeholder, so padding and slots cannot be told apart."""
    return on(PadIsPlaceholder())


class NotGlued(ToyTokenizer):
    """Looks for markers in text with blanks, so one that is glued to a word is none."""

    def encode_markup(self, text):
        found = re.search(r"\w(<image>)", text)
        if found is None:
            return super().encode_markup(text)
        return [
            *super().encode_markup(text[: found.start(1)]),
            *self.encode_text("<"),
            *self.encode_markup(text[found.start(1) + 1 :]),
        ]


@mutant("contract.tokens", cause="marker-not-atomic", near=lambda: on(NotGlued()))
def a_marker_glued_to_a_word_is_text():
    """F2, transformers#23818: markers are looked for in normalised text, and not found without a blank in front."""
    return on(NotGlued(), whole_text, as_text=True, literals="interpret")


class Lowering(ToyTokenizer):
    """Everything is lower case before markers are looked for."""

    def __init__(self):
        super().__init__(specials=("<IMG>", "</IMG>", *MARKERS))

    def encode_markup(self, text):
        return super().encode_markup(text.lower())


@mutant(
    "contract.tokens",
    cause="marker-not-atomic",
    near=lambda: on(Lowering(), images={**SPAN, "open": "<IMG>", "close": "</IMG>"}),
)
def a_marker_is_lowered():
    """F2, transformers PR#30918 alike: normalisation comes before the look for added tokens, which never match."""
    return on(Lowering(), as_text=True, images={**SPAN, "open": "<IMG>", "close": "</IMG>"})


# ---------------------------------------------------------------- F15: what an upgrade or a saved file changes


class Reserved(ToyTokenizer):
    def id_to_token(self, token_id):
        return "[UNUSED_TOKEN_146]" if token_id == self.token_to_id("<slice>") else super().id_to_token(token_id)


@mutant("contract.tokens", cause="marker-renamed", near=lambda: on(Reserved(), slices=None))
def a_reserved_id_is_not_renamed():
    """F15, transformers PR#44468: the added token reuses a reserved id, which keeps its old name."""
    return on(Reserved())


class Reindexed(ToyTokenizer):
    def __init__(self):
        super().__init__(specials=("</image>", "<image>", *MARKERS[2:]))


KNOWN = {"<image>": 1, "</image>": 2}


@mutant("contract.tokens", cause="id-changed", near=lambda: on(Reindexed()))
def two_ids_are_swapped():
    """F15, ViPer#7: an upgrade gives the tokens other ids; the vocabulary agrees with itself, not with the model."""
    return on(Reindexed(), known=KNOWN)


class Empty(ToyTokenizer):
    def encode_text(self, text):
        return []


@mutant("contract.tokens", cause="tokenizer-empty", near=lambda: on(ToyTokenizer(), known=KNOWN))
def the_vocabulary_is_empty():
    """F15, vllm PR#40436 alike: another class loads the file without its vocabulary, and without a word."""
    return on(Empty())


class NoBosName(ToyTokenizer):
    def named_ids(self):
        return {"eos": 900}


@mutant("contract.bos", cause="bos-undefined", near=lambda: on(NoBosName()))
def the_name_of_bos_vanished():
    """F15, vllm#41073: an attribute of the tokenizer, here that of BOS, is gone after an upgrade."""
    return on(NoBosName(), bos="exactly_once")


class SavedTruncation(ToyTokenizer):
    """The plain call cuts, as the file says."""

    LIMIT = 2048

    def encode(self, text):
        return super().encode(text)[: self.LIMIT]


@mutant("contract.bos", cause="call-truncates", near=lambda: on(ToyTokenizer()))
def truncation_was_saved_with_the_file():
    """F15, vllm PR#20058: the tokenizer was used with truncation and saved; every load cuts at 2048."""
    return on(SavedTruncation())


class SavedPadding(ToyTokenizer):
    def encode(self, text):
        ids = super().encode(text)
        return ids + [900] * (8 - len(ids))


@mutant("contract.bos", cause="bos-varies", near=lambda: on(ToyTokenizer(bos=True), bos="exactly_once"))
def padding_was_saved_with_the_file():
    """F15, vllm PR#20058 alike: the saved file pads, so what the plain call adds depends on the length of the text."""
    return on(SavedPadding())


class BosBeforeWords(ToyTokenizer):
    def __init__(self):
        super().__init__(bos=True)

    def encode(self, text):
        return super().encode(text) if text[:1].strip() else self.encode_markup(text)


@mutant("contract.bos", cause="bos-varies", near=lambda: on(ToyTokenizer(bos=True), plain_calls, literals="interpret"))
def bos_on_some_texts_only():
    """F1, TensorRT-LLM PR#1508 alike: BOS comes with some texts and not with others, so nothing can be stripped."""
    return on(BosBeforeWords(), bos="exactly_once")


class PrefixSpace(ToyTokenizer):
    """The plain call puts a blank in front, whatever add_prefix_space says."""

    def encode(self, text):
        return super().encode(" " + text if text else text)


@mutant("contract.bos", cause="bos-varies", near=lambda: on(ToyTokenizer(dummy=True)))
def add_prefix_space_has_no_effect():
    """F15, transformers#29625: the flag is not applied to a tokenizer that is loaded from its file."""
    return on(PrefixSpace())


class EndsEveryText(ToyTokenizer):
    def encode(self, text):
        return [*super().encode(text), 900]


@mutant("text.survives", cause="special-added", near=lambda: on(EndsEveryText(), template=CHAT))
def eos_is_appended_to_every_text():
    """F15, transformers#30947: add_eos_token has no effect on what the file's post-processor does."""
    return on(EndsEveryText(), plain_calls)


class FlagLies(ToyTokenizer):
    """Adds BOS, and a flag that nobody should read says that it does not."""

    add_bos_token = False

    def __init__(self):
        super().__init__(bos=True)


def bos_by_flag(tokenizer, conversation):
    """BOS by hand where a flag says that the tokenizer adds none."""
    ids = whole_text(tokenizer, conversation)
    by_call = tokenizer.encode("")
    return [*by_call, *([] if getattr(tokenizer, "add_bos_token", bool(by_call)) else [0]), *ids]


@mutant(
    "bos.placement",
    cause="bos-doubled",
    near=lambda: on(ToyTokenizer(bos=True), bos_by_flag, bos="exactly_once", literals="interpret"),
)
def the_bos_flag_is_decoration():
    """F15, transformers#30947: add_bos_token is false and BOS is added all the same."""
    return on(FlagLies(), bos_by_flag, bos="exactly_once", literals="interpret")


# ---------------------------------------------------------------- F3, F5: the neighbours of a marker, typed ones too


class Stripping(ToyTokenizer):
    """Added tokens take the blanks and newlines at their sides."""

    def encode_markup(self, text):
        return super().encode_markup(re.sub(r"\s*(<image>|</image>)\s*", r"\1", text))


@mutant("text.survives", "literals.policy", cause="blanks-eaten", near=lambda: on(Stripping()))
def an_added_token_strips_its_sides():
    """F3, transformers PR#23909: additional special tokens are made with lstrip and rstrip on."""
    return on(Stripping(), whole_text, literals="interpret")


class Sentences(ToyTokenizer):
    """Each stretch between two added tokens gets a blank in front, as if it were a text of its own."""

    def encode_markup(self, text):
        return super().encode_markup(re.sub(r"(</image>)(?=[^<\n])", r"\1 ", text))


@mutant("text.survives", "literals.policy", cause="blanks-added", near=lambda: on(Sentences()))
def text_behind_a_marker_gets_a_blank():
    """F3, transformers#25814: each stretch behind an added token is taken for a new sentence."""
    return on(Sentences(), whole_text, literals="interpret")


class Unprotecting(ToyTokenizer):
    """Reads markers from text, also where it is told not to."""

    def encode_text(self, text):
        parts = re.split(r"(<image>|</image>)", text)
        found = [
            [self._specials[part]] if part in self._specials else super(Unprotecting, self).encode_text(part)
            for part in parts
        ]
        return [token_id for ids in found for token_id in ids]


@mutant(
    "literals.policy",
    cause="literal-became-structure",
    near=lambda: on(Unprotecting(), whole_text, literals="interpret"),
)
def typed_text_cannot_be_protected():
    """F5, OpenBMB/MiniCPM-V#230: what the user types is tokenised like the pipeline's own block."""
    return on(Unprotecting())
