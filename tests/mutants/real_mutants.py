"""Faults put into the right pipelines of the YAML's subjects: what each does depends on the tokenizer.

A fault takes ``(under, conversation)`` and gives what the broken pipeline returns. On some tokenizers the same code is
right: those are the best near-misses, and stand in the table as silent.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from judging import Found, findings_on

from image_spans.config import SubjectSpec
from image_spans.conversation import Conversation, Image, Message, Text, resized
from image_spans.engine import Engine
from image_spans.pipelines import reference
from image_spans.subject import Subject

IGNORED = -100


class Spoilt:
    """A tokenizer of which one method is replaced."""

    def __init__(self, inner: Any, encode_text: Callable[[str], list[int]]) -> None:
        self._inner = inner
        self.encode_text = encode_text

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


@dataclass(frozen=True)
class Under:
    """What a fault is put into."""

    spec: SubjectSpec
    subject: Subject

    @property
    def tokenizer(self) -> Any:
        return self.subject.tokenizer

    @property
    def added(self) -> list[int]:
        """What the library's plain call puts in front."""
        return list(self.subject.facts.prefix)

    def right(self, conversation: Conversation, **keywords: Any) -> dict[str, Any]:
        return self.subject.pipeline(conversation, **keywords)

    def encoding(self, conversation: Conversation, encode_text: Callable[[str], list[int]]) -> dict[str, Any]:
        """The reference pipeline, with another way to encode a text."""
        pipeline = self.spec.pipeline
        spoilt = Spoilt(self.tokenizer, encode_text)
        encode = reference(pipeline.encode)
        return encode(spoilt, conversation, contract=self.subject.contract, **pipeline.options)

    def ids_of(self, *endings: str) -> set[int]:
        """The ids of the roles that end so."""
        return {i for role, i in self.subject.marker_ids.items() if role.endswith(endings)}

    @property
    def placeholder(self) -> int:
        return self.subject.marker_ids["placeholder"]

    def around(self, ids: list[int]) -> dict[str, Any]:
        """Ids with bounds that fit them and labels that nobody judges, so that only the one fault is found."""
        marks = [False, *(token_id == self.placeholder for token_id in ids), False]
        edges = [at for at in range(len(ids) + 1) if marks[at] != marks[at + 1]]
        return {"input_ids": ids, "image_bounds": list(zip(edges[::2], edges[1::2], strict=True))}


@dataclass(frozen=True)
class Fault:
    """A way to break a pipeline; ``entry`` is the one that is broken."""

    function: Callable[..., Any]
    entry: str
    returns: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def families(self) -> frozenset[str]:
        return frozenset(re.findall(r"\bF\d+\b", self.function.__doc__ or ""))

    def of(self, entry: str) -> Fault:
        """The same of another entry."""
        return replace(self, entry=entry)


FAULTS: dict[str, Fault] = {}


def fault(entry: str = "encode", returns: tuple[str, ...] = ("image_bounds",)) -> Callable[[Any], Any]:
    def register(function: Any) -> Any:
        FAULTS[function.__name__] = Fault(function, entry, returns)
        return function

    return register


def broken(under: Under, one: Fault) -> Subject:
    """The subject with this fault in it, and no other entry than the one that is broken."""
    subject, run = under.subject, partial(one.function, under)
    abilities = {"limit": {"max_length"}, "batch": {"batch"}}.get(one.entry, set())

    def encode(conversation: Conversation, max_length: int | None = None) -> Any:
        if one.entry == "limit":
            return under.right(conversation) if max_length is None else run(conversation, max_length)
        return run(conversation) if one.entry == "encode" else under.right(conversation)

    return Subject(
        f"{one.name} in {subject.name}",
        subject.tokenizer,
        subject.facts,
        subject.contract,
        encode,
        frozenset(one.returns),
        refusals=subject.refusals,
        known_ids=subject.known_ids,
        abilities=frozenset(abilities),
        batch=run if one.entry == "batch" else None,
    )


def parts(conversation: Conversation, change: Callable[[list[Any]], list[Any]]) -> Conversation:
    return Conversation([Message(m.role, change(list(m.parts))) for m in conversation.messages])


@fault(returns=("image_bounds", "labels"))
def none(under, conversation, *arguments, **keywords):
    """No fault: what the pipeline gives."""
    if isinstance(conversation, Conversation):
        return under.right(conversation, **({"max_length": arguments[0]} if arguments else {}))
    return under.subject.batch(conversation, **keywords)


# ---------------------------------------------------------------- F1: BOS


@fault()
def first_id_removed_by_position(under, conversation):
    """F1, OpenBMB/MiniCPM-V#331: the first id of each encoded text is removed as if it were BOS."""
    return under.encoding(conversation, lambda text: [*under.added, *under.tokenizer.encode_text(text)][1:])


@fault()
def bos_of_every_text_kept(under, conversation):
    """F1, llama.cpp PR#3645: each text is encoded by the plain call, and keeps what that puts in front."""
    return under.encoding(conversation, lambda text: [*under.added, *under.tokenizer.encode_text(text)])


@fault()
def bos_added_on_top_of_the_template(under, conversation):
    """F1, vllm#55197: the template spells BOS, and the plain call adds its own."""
    return under.around([*under.added, *under.right(conversation)["input_ids"]])


# ---------------------------------------------------------------- F2: markers


@fault()
def markers_through_the_plain_call(under, conversation):
    """F2, transformers PR#43222: markers go through text; some backends never read control tokens from it."""
    return under.around(_respelled(under, conversation, under.tokenizer.encode_markup))


@fault()
def markers_through_protected_text(under, conversation):
    """F2, fastokens PR#36: the added tokens were not loaded, and a marker is plain text."""
    return under.around(_respelled(under, conversation, under.tokenizer.encode_text))


def _respelled(under, conversation, encode):
    """The ids with every marker but the placeholder encoded anew."""
    made = {i: encode(under.tokenizer.id_to_token(i)) for i in under.ids_of("open", "close", "break")}
    return [i for token_id in under.right(conversation)["input_ids"] for i in made.get(token_id, [token_id])]


@fault()
def slots_are_another_id(under, conversation):
    """F2, lmdeploy#3285: the id of padding, or of the end of a text, stands for the slots of an image."""
    named = under.tokenizer.named_ids()
    other = named.get("pad", named.get("eos"))
    other = under.tokenizer.encode_text("x")[-1] if other is None else other
    ids = under.right(conversation)["input_ids"]
    return {"input_ids": [other if i == under.placeholder else i for i in ids], "image_bounds": []}


@fault()
def open_and_close_swapped(under, conversation):
    """F15, ViPer#7: the ids are read by their place in a list, which an upgrade has changed."""
    roles = under.subject.marker_ids
    swap = {}
    for role, token_id in roles.items():
        other = roles.get(role.replace("open", "close") if "open" in role else role.replace("close", "open"), token_id)
        swap[token_id] = other
    return under.around([swap.get(i, i) for i in under.right(conversation)["input_ids"]])


# ---------------------------------------------------------------- F3: beside a marker


@fault()
def newlines_beside_images_eaten(under, conversation):
    """F3, transformers PR#23909: newlines next to added tokens disappear."""

    def change(given):
        for at, part in enumerate(given):
            if isinstance(part, Text) and at and isinstance(given[at - 1], Image):
                given[at] = part = Text(part.text.lstrip("\n"))
            if isinstance(part, Text) and at + 1 < len(given) and isinstance(given[at + 1], Image):
                given[at] = Text(part.text.rstrip("\n"))
        return given

    return under.right(parts(conversation, change))


@fault()
def blank_in_front_of_every_text(under, conversation):
    """F3, transformers#24569: a blank is put in front of every text, as SentencePiece does of itself."""
    lead = "" if under.subject.facts.dummy_prefix else " "
    return under.encoding(conversation, lambda text: under.tokenizer.encode_text(lead + text))


@fault()
def first_word_becomes_unk(under, conversation):
    """F3, text-generation-inference#938: what stands behind a marker is cut at another place, and is unk."""
    unk = under.tokenizer.named_ids().get("unk")

    def encode(text):
        ids = under.tokenizer.encode_text(text)
        return [unk, *ids[1:]] if unk is not None and ids else ids

    return under.encoding(conversation, encode)


# ---------------------------------------------------------------- F4: to text and back


@fault()
def everything_decoded_and_encoded_again(under, conversation):
    """F4, vllm PR#10485: the finished ids become text, and the text ids."""
    return under.around(under.tokenizer.encode_markup(under.tokenizer.decode(under.right(conversation)["input_ids"])))


@fault()
def texts_decoded_and_encoded_again(under, conversation):
    """F4, vllm PR#50899: ids of a text become text and ids again, which is no identity everywhere."""
    encode, decode = under.tokenizer.encode_text, under.tokenizer.decode
    return under.encoding(conversation, lambda text: encode(decode(encode(text))))


# ---------------------------------------------------------------- F5, F6: literals, surplus markers


@fault()
def typed_markers_read(under, conversation):
    """F5, transformers#47217: what somebody typed is read for markers, where the tokenizer reads any from text."""
    return under.encoding(conversation, under.tokenizer.encode_markup)


@fault()
def special_text_disallowed(under, conversation):
    """F14, LlamaFactory#370: tiktoken's own call raises for text that spells a special token."""
    native = under.tokenizer.native
    if hasattr(native, "encode_ordinary"):
        for message in conversation.messages:
            for part in message.parts:
                if isinstance(part, Text):
                    native.encode(part.text)
    return under.right(conversation)


@fault()
def placeholder_behind_everything(under, conversation):
    """F6, EasyR1#110: a placeholder that the model generated is fed back."""
    return under.around([*under.right(conversation)["input_ids"], under.placeholder])


# ---------------------------------------------------------------- F7, F8, F9, F10, F12


@fault()
def text_behind_the_second_image_lost(under, conversation):
    """F7, mlx-vlm PR#1466: ids are chunk, marker, chunk; all later chunks are dropped."""
    seen = 0
    messages = []
    for message in conversation.messages:
        kept = []
        for at, part in enumerate(message.parts):
            seen += isinstance(part, Image)
            between = any(isinstance(later, Image) for later in message.parts[at:])  # else images would touch
            if between or seen < 2:
                kept.append(part)
        messages.append(Message(message.role, kept))
    return under.right(Conversation(messages))


@fault()
def slots_expanded_twice(under, conversation):
    """F8, LlamaFactory#5344: the plugin expands, and the library expands once more."""
    ids = under.right(conversation)["input_ids"]
    return under.around([i for token_id in ids for i in [token_id] * (2 if token_id == under.placeholder else 1)])


@fault()
def sides_swapped(under, conversation):
    """F9, transformers#33261: width and height are swapped; where all images have as many slots, nothing shows."""
    if len(conversation.images) > 1:
        return under.right(conversation)  # of two, turned ones may look like swapped ones
    return under.right(resized(conversation, [Image(i.height, i.width) for i in conversation.images]))


@fault()
def breaks_never_written(under, conversation):
    """F10, llama.cpp PR#11513: what separates rows or tiles is another model's."""
    gone = under.ids_of("tile_break") or under.ids_of("row_break")
    return under.around([i for i in under.right(conversation)["input_ids"] if i not in gone])


@fault()
def images_in_reverse(under, conversation):
    """F12, MiniCPM-V finetune (C1): pictures follow the order of a dictionary; alike blocks cannot tell."""
    return under.right(resized(conversation, reversed(conversation.images)))


# ---------------------------------------------------------------- F12, F13: bounds, labels


@fault()
def bounds_taken_before_bos(under, conversation):
    """F12, nanoVLM#29 alike: bounds are taken before what the plain call adds is put in front."""
    made = under.right(conversation)
    by = len(under.added)
    return {**made, "image_bounds": [(start - by, end - by) for start, end in made["image_bounds"]]}


@fault(returns=("labels",))
def labels_shifted(under, conversation):
    """F13, LLaVA#661: labels are one place ahead of their ids."""
    made = under.right(conversation)
    return {**made, "labels": [*made["labels"][1:], IGNORED][: len(made["labels"])]}


@fault(returns=("labels",))
def bos_counted_for_every_round(under, conversation):
    """F13, MGM#126: where an answer begins is a sum of lengths by the plain call, BOS of every round and all."""
    made = under.right(conversation)
    by = len(under.added) * (len(conversation.messages) - 1)
    labels = made["labels"]
    moved = [*[IGNORED] * by, *labels][: len(labels)]
    shifted = [i if kept != IGNORED else kept for i, kept in zip(made["input_ids"], moved, strict=True)]
    return {**made, "labels": shifted}


# ---------------------------------------------------------------- F11, F12: other entries


@fault("limit")
def close_lost_at_the_limit(under, conversation, max_length):
    """F11, MiniCPM-V#483: the finished ids are cut; the last start survives, its end does not."""
    made = under.right(conversation)
    bounds = [(start, min(end, max_length)) for start, end in made["image_bounds"] if start < max_length]
    return {"input_ids": made["input_ids"][:max_length], "image_bounds": bounds}


@fault("batch")
def bounds_not_moved_by_padding(under, conversations, *, padding_side):
    """F12, nanoVLM#29 alike: padding on the left moves the ids, and the bounds were taken before."""
    made = under.subject.batch(conversations, padding_side=padding_side)
    return {**made, "image_bounds": [under.right(one)["image_bounds"] for one in conversations]}


# ---------------------------------------------------------------- judging

PASSES = {
    "encode": (("single", ("start", "middle", "end", "none")), ("hazard", ("start",))),
    "limit": (("limits", ("start",)),),
    "batch": (("batch", ("start",)),),
}
"""Per entry the families and positions that tell its faults; few, since real tokenizers take their time."""


def judged(under: Under, one: Fault, engine: Engine) -> Found:
    """What is found on a subject with this fault in it."""
    subject = broken(under, one)
    found: Found = {}
    for family, positions in PASSES[one.entry]:
        for name, causes in findings_on(subject, engine, (family,), positions).items():
            found.setdefault(name, set()).update(causes)
    return found
