"""Pipelines that are right but for one thing, each after a real report.

A mutant takes ``(tokenizer, conversation, right)``; ``right(conversation)`` is what the reference pipeline gives. The
table says which checks must fail on it; all others must not. Each also has a near-miss, on which all checks must be
silent: the reference pipeline under the same contract, and where there is one, the same code where it does no harm.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from image_spans.contract import Contract
from image_spans.conversation import Conversation, Image, Message, Text, resized
from image_spans.pipelines import reference
from image_spans.slicing import Block, Layout, internvl, llama4, pixtral
from image_spans.strategies import POSITIONS
from support import ROWS, ToyTokenizer, contract

Right = Callable[[Conversation], "dict[str, Any]"]
CHAT = {"user": ["U:", "\n"], "assistant": ["A:", "</s>\n"], "system": ["S:", "\n"]}
NESTED = {"grammar": "nested", "open": "<slice>", "close": "</slice>", "rule": "minicpm"}
SPAN = {"open": "<image>", "close": "</image>", "placeholder": "<pad>", "slots": 4}
NUMBERED = {
    "open": "<image>",
    "close": "</image>",
    "placeholder": "<pad>",
    "slots": 4,
    "number": {"open": "<image_id>", "close": "</image_id>"},
}
RUN = {"grammar": "run", "placeholder": "<pad>", "slots": "minicpm", "options": {"slots": 4}}
# Pixtral's shape, Llama 4's and InternVL's; the toy has no other tokens, so theirs serve.
LLAMA4 = {
    "grammar": "same_span",
    "tile_break": "<slice>",
    "row_break": "</slice>",
    "overview": "last",
    "overview_open": "<image_id>",
    "rule": "llama4",
    "options": {"max_patches": 6},
}
INTERNVL = {"grammar": "same_span", "overview": "last", "rule": "internvl", "options": {"max_patches": 6}}


@dataclass(frozen=True)
class Harmless:
    """Where the code of a mutant is right: under another promise, on another tokenizer, or repaired."""

    changes: Mapping[str, Any] = field(default_factory=dict)
    """What the contract says instead."""
    tokenizer: Callable[[], ToyTokenizer] | None = None
    """Another tokenizer than the mutant's."""
    repaired: Callable[..., Any] | None = None
    """Other code: for what no reference pipeline can do."""
    positions: tuple[str, ...] = POSITIONS
    """Where the images stand; ``none``: on text alone."""


@dataclass(frozen=True)
class Mutant:
    """A broken pipeline, the subject that it runs on, and what must notice it."""

    function: Callable[..., Any]
    """Of the entry ``encode`` (tokenizer, conversation, right); ``limit``: also max_length; ``batch``: (tokenizer,
    conversations, right, padding_side); ``continue``: (tokenizer, encoding, message, right); ``path``: as encode."""
    kills: frozenset[str]
    cause: str
    contract: Contract
    pipeline: str
    returns: tuple[str, ...]
    abilities: frozenset[str]
    predict: Callable[[int, int], int] | None
    entry: str = "encode"
    """Which entry is broken."""
    tokenizer: Callable[[], ToyTokenizer] = ToyTokenizer
    harmless: Harmless | None = None

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def families(self) -> frozenset[str]:
        """The families of the reports, as its docstring names them."""
        return frozenset(re.findall(r"\bF\d+\b", self.function.__doc__ or ""))


TEXT_ONLY = Harmless(positions=("none",))
MUTANTS: list[Mutant] = []
ENTRIES = {"encode": (), "limit": ("max_length",), "batch": ("batch",), "continue": ("continue",), "path": ()}
"""The entry that is broken to what a subject declares to have it."""


def mutant(
    *kills: str,
    cause: str,
    pipeline: str = "flat_slices",
    bos: bool = False,
    returns: tuple[str, ...] = ("image_bounds",),
    accepts: tuple[str, ...] = (),
    predict: Callable[[int, int], int] | None = None,
    entry: str = "encode",
    tokenizer: Callable[[], ToyTokenizer] = ToyTokenizer,
    harmless: Harmless | Mapping[str, Any] | None = None,
    **changes: Any,
) -> Callable[[Any], Any]:
    """Add a mutant. ``harmless``: what its contract says where the same code is right, or a :class:`Harmless`."""

    def register(function: Any) -> Any:
        promised = {"bos": "exactly_once" if bos else "none", **changes}
        abilities = frozenset((*accepts, *(["predict"] if predict else ()), *ENTRIES[entry]))
        near = Harmless(harmless) if isinstance(harmless, Mapping) else harmless
        MUTANTS.append(
            Mutant(
                function,
                frozenset(kills),
                cause,
                contract(**promised),
                pipeline,
                returns,
                abilities,
                predict,
                entry,
                tokenizer,
                near and replace(near, changes={**promised, **near.changes}),
            )
        )
        return function

    return register


def _ids_only(ids: list[int]) -> dict[str, Any]:
    """Ids with bounds that fit them, so that only what was broken on purpose is found."""
    bounds, start = [], None
    for index, token_id in enumerate([*ids, -1]):
        if token_id == PAD and start is None:
            start = index
        elif token_id != PAD and start is not None:
            bounds.append((start, index))
            start = None
    return {"input_ids": ids, "image_bounds": bounds}


TOY = ToyTokenizer()
OPEN, CLOSE, SLICE, SLICE_CLOSE, NUMBER, NUMBER_CLOSE, PAD = (
    TOY.token_to_id(token) or 0
    for token in ("<image>", "</image>", "<slice>", "</slice>", "<image_id>", "</image_id>", "<pad>")
)


# ---------------------------------------------------------------- F1: BOS


@mutant("bos.placement", cause="bos-doubled", bos=True)
def template_and_tokenizer_each_add_bos(tokenizer, conversation, right):
    """F1, vllm#55197, transformers#35950: the chat template spells BOS and the tokenizer adds its own."""
    return _ids_only([0, *right(conversation)["input_ids"]])


@mutant("bos.placement", cause="bos-per-segment", bos=True, harmless={"bos": "none"})
def every_message_keeps_its_bos(tokenizer, conversation, right):
    """F1, llama.cpp PR#3645: each chunk is encoded with its own BOS."""
    ids = []
    for message in conversation.messages:
        ids += right(Conversation([message]))["input_ids"]
    return _ids_only(ids)


@mutant("bos.placement", cause="bos-missing", bos=True, harmless=TEXT_ONLY)
def bos_only_without_images(tokenizer, conversation, right):
    """F1, unsloth#10312: after a repair of the doubled BOS the image path adds none at all."""
    ids = right(conversation)["input_ids"]
    return _ids_only(ids[1:] if conversation.images else ids)


@mutant("bos.placement", cause="bos-misplaced", bos=True, template=None, harmless=TEXT_ONLY)
def image_in_front_of_bos(tokenizer, conversation, right):
    """F1, transformers PR#35081: the image block is concatenated in front of BOS instead of behind it."""
    ids = right(conversation)["input_ids"]
    last = max((index + 1 for index, token_id in enumerate(ids) if token_id == CLOSE), default=1)
    return _ids_only([*ids[1:last], 0, *ids[last:]])


@mutant("spans.matched", "text.survives", cause="first-id-removed")
def first_id_of_every_message_removed(tokenizer, conversation, right):
    """F1, OpenBMB/MiniCPM-V#331: the first id of each message is removed as if it were BOS."""
    ids, number = [], 0
    for message in conversation.messages:
        ids += right(Conversation([message]))["input_ids"][1:]
        number += len(message.images)
    return _ids_only(ids)


# ---------------------------------------------------------------- F2, F10: markers


@mutant("spans.expected", cause="images-dropped", harmless=TEXT_ONLY)
def images_ignored(tokenizer, conversation, right):
    """F7, mlx-vlm#833: no marker in the prompt, although images are collected from all turns."""
    messages = [Message(m.role, [p for p in m.parts if isinstance(p, Text)]) for m in conversation.messages]
    return right(Conversation(messages))


@mutant("spans.matched", cause="marker-lost")
def close_never_written(tokenizer, conversation, right):
    """F2, MiniCPM-V#652: the close marker is lost, so as many starts as images but no end."""
    return _ids_only([token_id for token_id in right(conversation)["input_ids"] if token_id != CLOSE])


@mutant("spans.matched", cause="markers-swapped")
def open_and_close_swapped(tokenizer, conversation, right):
    """F2, lmdeploy#3285 alike: the ids of start and end are read from the wrong attributes; the counts are equal."""
    swap = {OPEN: CLOSE, CLOSE: OPEN, SLICE: SLICE_CLOSE, SLICE_CLOSE: SLICE}
    return _ids_only([swap.get(token_id, token_id) for token_id in right(conversation)["input_ids"]])


@mutant("spans.expected", cause="marker-as-text", harmless=TEXT_ONLY)
def markers_go_through_text(tokenizer, conversation, right):
    """F2, transformers PR#43222: the backend never encodes control tokens that are spelled in text."""
    ids = []
    for token_id in right(conversation)["input_ids"]:
        ids += tokenizer.encode_text(tokenizer.id_to_token(token_id)) if token_id in (OPEN, CLOSE) else [token_id]
    return _ids_only(ids)


@mutant("spans.expected", cause="slices-missing", harmless={"slices": None})
def slices_left_out(tokenizer, conversation, right):
    """F9, ms-swift#3972: a fixed sequence for each marker, although large images have crops."""
    small = resized(conversation, [Image(1, 1)] * len(conversation.images))
    return right(small)


@mutant("spans.expected", cause="overview-missing", images=NUMBERED)
def overview_left_out(tokenizer, conversation, right):
    """F9, transformers PR#42784: tokens are written for the tiles only; the overview falls between two cases."""
    given = right(conversation)["input_ids"]
    ids: list[int] = []
    for index, token_id in enumerate(given):
        large = given[index + 6 : index + 7] == [SLICE]
        inside = any(given[k] == OPEN and given[k + 6 : k + 7] == [SLICE] for k in range(max(0, index - 5), index))
        if not (inside or (token_id == OPEN and large)):
            ids.append(token_id)
    return _ids_only(ids)


# One image at most: of two, turned ones may look like swapped ones.
@mutant("spans.expected", cause="width-height-swapped", input={"images": "0..1"}, harmless={"slices": None})
def width_and_height_swapped(tokenizer, conversation, right):
    """F9, transformers#33261: width and height are swapped; square images hide it."""
    return right(resized(conversation, [Image(i.height, i.width) for i in conversation.images]))


@mutant("spans.expected", cause="row-break-differs", slices=NESTED, pipeline="nested_slices")
def row_break_left_out(tokenizer, conversation, right):
    """F10, llama.cpp PR#11513: text round the slices is not that of the reference."""
    ids = right(conversation)["input_ids"]
    newline = 1000 + ord("\n")
    kept = [
        t
        for k, t in enumerate(ids)
        if not (
            t == newline and 0 < k < len(ids) - 1 and ids[k + 1] == OPEN and ids[k - 1] == CLOSE and _in_slice(ids, k)
        )
    ]
    return _ids_only(kept)


def _in_slice(ids: list[int], at: int) -> bool:
    return ids[:at].count(SLICE) > ids[:at].count(SLICE_CLOSE)


@mutant("spans.expected", cause="number-differs", images=NUMBERED, harmless={"input": {"images": "0..1"}})
def every_image_has_number_zero(tokenizer, conversation, right):
    """F10, MiniCPM-V finetune (C4): the id counter does not advance for every picture."""
    ids = right(conversation)["input_ids"]
    return {
        **right(conversation),
        "input_ids": [1000 + ord("0") if k and ids[k - 1] == NUMBER else t for k, t in enumerate(ids)],
    }


# ---------------------------------------------------------------- F2, F9, F10: rows of placeholders (Pixtral)


@mutant("spans.expected", cause="marker-lost", images=ROWS, slices=None, pipeline="rows")
def row_breaks_never_written(tokenizer, conversation, right):
    """F10, onnxruntime-genai PR#2077: the rows are one run, as for models without rows; all counts are right."""
    return _ids_only([t for t in right(conversation)["input_ids"] if t != SLICE])


@mutant("spans.expected", cause="marker-lost", images=ROWS, slices=None, pipeline="rows")
def last_row_has_no_end(tokenizer, conversation, right):
    """F2, MiniCPM-V#652: the end of the image is lost; the last row runs into the text."""
    return _ids_only([t for t in right(conversation)["input_ids"] if t != CLOSE])


@mutant("spans.expected", cause="marker-mistaken", images=ROWS, slices=None, pipeline="rows")
def last_row_ends_like_the_others(tokenizer, conversation, right):
    """F10, onnxruntime-genai PR#2077: every row is built alike; the break of the last one stays instead of the end."""
    return _ids_only([SLICE if t == CLOSE else t for t in right(conversation)["input_ids"]])


@mutant("spans.expected", cause="marker-surplus", images=ROWS, slices=None, pipeline="rows")
def break_behind_the_last_row_too(tokenizer, conversation, right):
    """F10, onnxruntime-genai PR#2077 asserts against it: there are as many breaks as rows, not one less."""
    ids = []
    for token_id in right(conversation)["input_ids"]:
        ids += [SLICE, CLOSE] if token_id == CLOSE else [token_id]
    return _ids_only(ids)


# One image at most: of two, turned ones may look like swapped ones.
@mutant(
    "spans.expected",
    cause="width-height-swapped",
    images=ROWS,
    slices=None,
    pipeline="rows",
    input={"images": "0..1"},
)
def rows_and_columns_swapped(tokenizer, conversation, right):
    """F9, transformers#33261: the sides are unpacked in the wrong order; as many slots, in rows of another length."""
    return right(resized(conversation, [Image(i.height, i.width) for i in conversation.images]))


FINE = {**ROWS, "options": {"size": 32, "patch": 1}}  # patches of several pixels hide most roundings


@mutant("spans.expected", "spans.slots", cause="rounding-differs", images=FINE, slices=None, pipeline="rows")
def sides_rounded_down(tokenizer, conversation, right):
    """F9, transformers#35775 and its Pixtral processor: sides are cut off where the reference rounds them."""
    down = {**FINE, "options": {**FINE["options"], "rounding": "down"}}
    return _under({"images": down, "slices": None}, "rows", conversation)


def one_row_less(width: int, height: int, number_of_images: int, *, size: int) -> Layout:
    block = pixtral.layout(width, height, number_of_images, size=size).overview
    assert block is not None
    return Layout(Block(max(block.rows - 1, 1), block.columns))


@mutant("spans.expected", cause="row-missing", images=ROWS, slices=None, pipeline="rows")
def last_row_left_out(tokenizer, conversation, right):
    """F9, transformers PR#34522: the two sides count rows by different integer rules."""
    return _under({"images": {**ROWS, "slots": "mutants:one_row_less"}, "slices": None}, "rows", conversation)


# ---------------------------------------------------------------- F2, F8, F9, F10: all tiles in one span


@mutant("spans.expected", cause="marker-lost", slices=LLAMA4, pipeline="same_span")
def tile_separators_never_written(tokenizer, conversation, right):
    """F10, llama.cpp PR#11513: the tiles are right, what stands between them is another model's."""
    return _ids_only([t for t in right(conversation)["input_ids"] if t != SLICE])


@mutant("spans.expected", cause="overview-misplaced", slices=LLAMA4, pipeline="same_span")
def overview_in_front_of_the_tiles(tokenizer, conversation, right):
    """F10, llama.cpp#24880: tiles and overview in the wrong order; the counts are equal."""
    return _under({"slices": {**LLAMA4, "overview": "first"}}, "same_span", conversation)


def one_tile_more(width: int, height: int, number_of_images: int, *, slots: int, max_patches: int) -> Layout:
    layout = llama4.layout(width, height, number_of_images, slots=slots, max_patches=max_patches)
    if not layout.grid:
        return layout
    *rows, last = layout.grid
    return Layout(layout.overview, (*rows, last + last[-1:]))


@mutant("spans.expected", cause="tile-surplus", slices=LLAMA4, pipeline="same_span")
def one_tile_too_many(tokenizer, conversation, right):
    """F9, transformers PR#43948: a helper that counts the tiles itself."""
    return _under({"slices": {**LLAMA4, "rule": "mutants:one_tile_more"}}, "same_span", conversation)


def overview_of_two(width: int, height: int, number_of_images: int, *, slots: int, max_patches: int) -> Layout:
    layout = llama4.layout(width, height, number_of_images, slots=slots, max_patches=max_patches)
    return Layout(Block(1, 2 * slots), layout.grid) if layout.grid else layout


@mutant("spans.slots", cause="overview-doubled", slices=LLAMA4, pipeline="same_span")
def overview_with_twice_its_slots(tokenizer, conversation, right):
    """F9, MGM#126: the overview's slots are computed from another size than its features."""
    return _under({"slices": {**LLAMA4, "rule": "mutants:overview_of_two"}}, "same_span", conversation)


@mutant("spans.matched", cause="markers-swapped", slices=LLAMA4, pipeline="same_span")
def open_and_close_of_one_span_swapped(tokenizer, conversation, right):
    """F2, lmdeploy#3285 alike: the ids of start and end are read from the wrong attributes; the counts are equal."""
    swap = {OPEN: CLOSE, CLOSE: OPEN}
    return _ids_only([swap.get(token_id, token_id) for token_id in right(conversation)["input_ids"]])


@mutant("spans.expected", cause="slices-missing", slices=LLAMA4, pipeline="same_span", harmless=TEXT_ONLY)
def one_tile_for_every_image(tokenizer, conversation, right):
    """F9, mlx-vlm#1919: the prompt is written as if every image were one tile."""
    return right(resized(conversation, [Image(1, 1)] * len(conversation.images)))


@mutant("spans.expected", cause="overview-missing", slices=LLAMA4, pipeline="same_span")
def tiles_without_their_overview(tokenizer, conversation, right):
    """F9, transformers PR#42784: tokens are written for the tiles only."""
    return _under({"slices": {**LLAMA4, "rule": "mutants:no_overview"}}, "same_span", conversation)


def no_overview(width: int, height: int, number_of_images: int, *, slots: int, max_patches: int) -> Layout:
    layout = llama4.layout(width, height, number_of_images, slots=slots, max_patches=max_patches)
    return Layout(None, layout.grid) if layout.grid else layout


def always_an_overview(width: int, height: int, number_of_images: int, *, slots: int, max_patches: int) -> Layout:
    layout = internvl.layout(width, height, number_of_images, slots=slots, max_patches=max_patches)
    return Layout(layout.overview, layout.grid or ((Block(1, slots),),))


@mutant("spans.slots", cause="overview-surplus", slices=INTERNVL, pipeline="same_span", harmless=TEXT_ONLY)
def overview_of_a_single_tile(tokenizer, conversation, right):
    """F9, vllm#7160: the thumbnail is counted also where the image is one tile and has none."""
    return _under({"slices": {**INTERNVL, "rule": "mutants:always_an_overview"}}, "same_span", conversation)


@mutant("spans.matched", cause="marker-surplus")
def wrapped_twice(tokenizer, conversation, right):
    """F8, vllm PR#49691: the prompt has the wrapper, and what is put in between has it too."""
    ids = []
    for token_id in right(conversation)["input_ids"]:
        ids += [token_id, token_id] if token_id in (OPEN, CLOSE) else [token_id]
    return _ids_only(ids)


def _under(promised: dict[str, Any], pipeline: str, conversation: Conversation) -> dict[str, Any]:
    """What a reference pipeline gives under another contract than the one that is judged."""
    result: dict[str, Any] = reference(pipeline)(TOY, conversation, contract=contract(bos="none", **promised))
    return result


# ---------------------------------------------------------------- F8, F9: slots


@mutant("spans.slots", cause="slots-off-by-one")
def one_slot_short(tokenizer, conversation, right):
    """F9, transformers PR#34447: one token for a CLS that this encoder does not have."""
    ids = right(conversation)["input_ids"]
    return _ids_only([t for k, t in enumerate(ids) if not (t == PAD and ids[k - 1] in (OPEN, SLICE))])


@mutant("spans.slots", cause="expanded-twice")
def expanded_twice(tokenizer, conversation, right):
    """F8, LlamaFactory#5344: the plugin expands and the library expands again."""
    ids = []
    for token_id in right(conversation)["input_ids"]:
        ids += [PAD] * 4 if token_id == PAD else [token_id]
    return _ids_only(ids)


@mutant("spans.slots", cause="stray-placeholder", harmless=TEXT_ONLY)
def stray_placeholder_behind_images(tokenizer, conversation, right):
    """F6, EasyR1#110: a placeholder outside any span, as when the model generated one."""
    ids = right(conversation)["input_ids"]
    return _ids_only([*ids, PAD] if conversation.images else ids)


# ---------------------------------------------------------------- order and bounds


@mutant("spans.order", cause="images-reordered", harmless={"input": {"images": "0..1"}})
def images_in_reverse(tokenizer, conversation, right):
    """F12, MiniCPM-V finetune (C1): pictures follow the order of a dictionary, not of the text."""
    return right(resized(conversation, reversed(conversation.images)))


@mutant("spans.order", cause="image-moved", harmless={"images": {**SPAN, "order": "first_in_message"}})
def trailing_image_moved_to_front(tokenizer, conversation, right):
    """F7, lmdeploy PR#2428 alike: as mistral-common moves a trailing image to the front; here nobody declared it."""
    messages = [Message(m.role, sorted(m.parts, key=lambda p: isinstance(p, Text))) for m in conversation.messages]
    return right(Conversation(messages))


@mutant("spans.bounds", cause="bounds-shifted")
def bounds_not_shifted(tokenizer, conversation, right):
    """F12, nanoVLM#29 alike: something is put in front after the bounds were taken."""
    result = right(conversation)
    return {**result, "image_bounds": [(start + 1, end + 1) for start, end in result["image_bounds"]]}


@mutant("spans.bounds", cause="bounds-inclusive")
def bounds_end_on_last_placeholder(tokenizer, conversation, right):
    """F9, transformers PR#35052 alike: the end of a bound is taken as its last slot."""
    result = right(conversation)
    return {**result, "image_bounds": [(start, end - 1) for start, end in result["image_bounds"]]}


# ---------------------------------------------------------------- F3: text beside markers


@mutant("text.survives", cause="text-lost", harmless={"input": {"images": "0..1"}})
def text_after_second_image_lost(tokenizer, conversation, right):
    """F7, mlx-vlm PR#1466: ids are built as chunk 0, marker, chunk 1; all later chunks are dropped."""
    messages, seen = [], 0
    for message in conversation.messages:
        parts = []
        for part in message.parts:
            seen += isinstance(part, Image)
            if isinstance(part, Image) or seen < 2:
                parts.append(part)
        messages.append(Message(message.role, parts))
    return right(Conversation(messages))


@mutant("text.survives", cause="newlines-eaten")
def newline_beside_image_eaten(tokenizer, conversation, right):
    """F3, transformers PR#23909: added tokens strip what stands beside them."""
    ids = right(conversation)["input_ids"]
    newline = 1000 + ord("\n")
    return _ids_only([t for k, t in enumerate(ids) if not (t == newline and k and ids[k - 1] == CLOSE)])


@mutant("text.survives", cause="blanks-added", template=CHAT)
def blank_added_after_image(tokenizer, conversation, right):
    """F3, transformers#24569: a blank appears after each added token."""
    ids = []
    given = right(conversation)["input_ids"]
    for token_id, following in zip(given, [*given[1:], 0], strict=True):
        last = token_id in (CLOSE, SLICE_CLOSE) and following not in (SLICE, 1000 + ord("\n"))
        ids += [token_id, 1000 + ord(" ")] if last else [token_id]
    return _ids_only(ids)


# ---------------------------------------------------------------- F5: literals


@mutant("literals.policy", cause="literal-became-structure", harmless={"literals": "interpret"})
def typed_markers_become_tokens(tokenizer, conversation, right):
    """F5, transformers#47217: after rendering, a typed marker cannot be told from a real one."""
    ids = []
    for message in conversation.messages:
        for part in message.parts:
            if isinstance(part, Text):
                ids += tokenizer.encode_markup(part.text)
            else:
                ids += right(Conversation([Message(message.role, [part])]))["input_ids"]
    return _ids_only(ids)


@mutant("literals.policy", cause="literal-accepted", literals="reject", harmless={"literals": "plain"})
def typed_markers_are_not_refused(tokenizer, conversation, right):
    """F5, vllm PR#13911: the check for typed markers was lost in a refactoring."""
    return right(conversation)


# ---------------------------------------------------------------- F4, F14: paths and relations


class _Cache:
    last: Conversation | None = None


def forget() -> None:
    """What mutants with a memory remember of another test."""
    _Cache.last = None


@mutant("paths.agree", cause="keeps-state")
def cached_answer_is_cut(tokenizer, conversation, right):
    """F14, MiniCPM-V#652 alike: the same prompt again comes from a cache that forgot the last id."""
    ids = right(conversation)["input_ids"]
    again, _Cache.last = conversation == _Cache.last, conversation
    return _ids_only(ids[:-1] if again else ids)


@mutant(
    "relations.swap",
    cause="spans-bound-to-position",
    returns=("features",),
    pipeline="placeholder_run",
    slices=None,
    images={"placeholder": "<pad>", "grammar": "run", "slots": "from_features"},
    harmless={"input": {"images": "0..1"}},
)
def sizes_taken_from_the_first_image(tokenizer, conversation, right):
    """F9, MGM#126: one size for all images of a sample; prompt and features agree and are both wrong."""
    first = next((image for message in conversation.messages for image in message.images), None)
    return delivered(tokenizer, conversation, lambda number, image: 1 + first.width % 7)


@mutant("relations.prefix", cause="prefix-depends-on-images", template=None, harmless=TEXT_ONLY)
def system_prompt_chosen_by_image_size(tokenizer, conversation, right):
    """F4, vllm PR#10485 alike: another text stands in front when an image is large."""
    large = any(image.width * image.height > 448 * 448 for image in conversation.images)
    return _ids_only(tokenizer.encode_text("large picture: " if large else "") + right(conversation)["input_ids"])


def nine_slots_each(tokenizer, conversation, right):
    """The repair: an image's slots depend on nothing but the image."""
    return delivered(tokenizer, conversation, lambda number, image: 9)


def delivered(tokenizer, conversation, slots):
    """A run of ``slots(number, image)`` per image, and features that agree."""
    ids, features, number = [], [], 0
    for message in conversation.messages:
        for part in message.parts:
            if isinstance(part, Text):
                ids += tokenizer.encode_text(part.text)
            else:
                ids += [PAD] * slots(number, part)
                features.append((number, slots(number, part)))
                number += 1
    return {"input_ids": ids, "features": features}


@mutant(
    "relations.append",
    cause="earlier-span-changed",
    returns=("features",),
    pipeline="placeholder_run",
    slices=None,
    images={"placeholder": "<pad>", "grammar": "run", "slots": "from_features"},
    harmless=Harmless(repaired=nine_slots_each),
)
def old_images_shrink_when_a_turn_is_added(tokenizer, conversation, right):
    """F8, MiniCPM-V#587: an image of an earlier turn is expanded anew, with a smaller budget."""
    return delivered(tokenizer, conversation, lambda number, image: max(1, 9 - len(conversation.messages)))


# ---------------------------------------------------------------- F14: failures


@mutant("pipeline.encodes", cause="raised-UnboundLocalError")
def variable_bound_only_with_a_system_message(tokenizer, conversation, right):
    """F7, vllm#8990: a variable is assigned only in one branch."""
    if conversation.messages[0].role == "system" or len(conversation.messages) < 2:
        ids = right(conversation)["input_ids"]
    return _ids_only(ids)


@mutant("pipeline.encodes", cause="bad-return")
def one_id_becomes_a_float(tokenizer, conversation, right):
    """F14, MiniCPM-V#316: stacking an empty list gives a float array."""
    ids = right(conversation)["input_ids"]
    return [float(token_id) for token_id in ids] if conversation.messages[-1].role == "assistant" else _ids_only(ids)
