"""Mutants so that every family and every check has several, none of which is like another; see :mod:`mutants`."""

from __future__ import annotations

from image_spans.conversation import Conversation, Image, Message, Text, resized
from image_spans.slicing import minicpm
from mutants import (
    CHAT,
    CLOSE,
    NESTED,
    NUMBER,
    NUMBER_CLOSE,
    NUMBERED,
    OPEN,
    PAD,
    SLICE,
    SLICE_CLOSE,
    TEXT_ONLY,
    Harmless,
    _ids_only,
    _under,
    delivered,
    mutant,
    nine_slots_each,
)
from support import MARKERS, ToyTokenizer

NEWLINE, BLANK = 1000 + ord("\n"), 1000 + ord(" ")
ONE_IMAGE = {"input": {"images": "0..1"}}
ONE_MESSAGE = {"input": {"roles": ["user"]}}
FEATURES = {
    "returns": ("features",),
    "pipeline": "placeholder_run",
    "slices": None,
    "images": {"placeholder": "<pad>", "grammar": "run", "slots": "from_features"},
}


class Naming(ToyTokenizer):
    """A toy that names an unk, as SentencePiece does."""

    UNK = 999

    def __init__(self, **options):
        super().__init__(**options)
        self._names[self.UNK] = "<unk>"

    def named_ids(self):
        return {**super().named_ids(), "unk": self.UNK}


class OneLine(ToyTokenizer):
    """Newlines are blanks to it, as to BERT's tokenizer."""

    def encode_text(self, text):
        return super().encode_text(text.replace("\n", " "))


class Dummy(ToyTokenizer):
    """A blank in front of every text."""

    def __init__(self):
        super().__init__(dummy=True)


def edited(conversation, change):
    """The conversation with ``change(parts, message number)`` for the parts of each message."""
    messages = [Message(m.role, change(list(m.parts), k)) for k, m in enumerate(conversation.messages)]
    return Conversation(messages)


def retyped(conversation, change):
    """The conversation with ``change(text, message)`` for each text."""
    return Conversation(
        [
            Message(m.role, [Text(change(p.text, m)) if isinstance(p, Text) else p for p in m.parts])
            for m in conversation.messages
        ]
    )


def assembled(tokenizer, conversation, right, encode):
    """Images as they are right, texts by ``encode(text, message)``; without a template."""
    ids = []
    for message in conversation.messages:
        for part in message.parts:
            if isinstance(part, Text):
                ids += encode(part.text, message)
            else:
                ids += right(Conversation([Message(message.role, [part])]))["input_ids"]
    return _ids_only(ids)


def typed(conversation, roles=("system", "user", "assistant")):
    """The markers that somebody typed."""
    texts = [part.text for m in conversation.messages if m.role in roles for part in m.parts if isinstance(part, Text)]
    return [marker for marker in MARKERS if any(marker in text for text in texts)]


# ---------------------------------------------------------------- F3: the neighbours of a marker


@mutant("text.survives", cause="newlines-eaten", harmless=Harmless(tokenizer=OneLine))
def newline_before_image_eaten(tokenizer, conversation, right):
    """F3, transformers#29626: added tokens are made with lstrip on, and take the newline in front with them."""
    ids = right(conversation)["input_ids"]
    return _ids_only([t for t, after in zip(ids, [*ids[1:], 0], strict=False) if not (t == NEWLINE and after == OPEN)])


@mutant("text.survives", cause="blanks-added", template=CHAT, harmless=Harmless(tokenizer=Dummy))
def extra_blank_before_every_marker(tokenizer, conversation, right):
    """F3, sentencepiece#438: an extra piece for the blank in front of every user-defined symbol."""
    given = right(conversation)["input_ids"]
    ids = []
    for before, token_id in zip([0, *given], given, strict=False):
        first = token_id == OPEN and before not in (NEWLINE, BLANK)
        ids += [BLANK, token_id] if first and not tokenizer.dummy else [token_id]
    return _ids_only(ids)


@mutant(
    "text.survives",
    cause="text-became-unk",
    tokenizer=Naming,
    harmless=Harmless(tokenizer=ToyTokenizer),
)
def word_behind_an_image_becomes_unk(tokenizer, conversation, right):
    """F3, text-generation-inference#938: a word glued to an added token is cut at another place, and is unk."""
    unk = tokenizer.named_ids().get("unk")
    ids = right(conversation)["input_ids"]
    behind = [0, *ids[:-1]] if ids else []
    hit = {CLOSE, SLICE_CLOSE} if unk is not None else set()
    return _ids_only([unk if b in hit and t > BLANK else t for b, t in zip(behind, ids, strict=True)])


# ---------------------------------------------------------------- F4: boundaries, and ids to text and back


@mutant("literals.policy", cause="literal-became-structure", harmless={"literals": "interpret"})
def decoded_and_encoded_again(tokenizer, conversation, right):
    """F4, vllm PR#10485: ids become text and ids again; a typed marker is then like a real one."""
    return _ids_only(tokenizer.encode_markup(tokenizer.decode(right(conversation)["input_ids"])))


@mutant("spans.order", cause="image-moved", harmless=TEXT_ONLY)
def image_put_in_by_value(tokenizer, conversation, right):
    """F4, vllm PR#14038: the place is searched by value, and an equal letter stands earlier."""

    def move(parts, number):
        for at in range(1, len(parts)):
            if isinstance(parts[at], Image) and isinstance(parts[at - 1], Text) and parts[at - 1].text:
                text, last = parts[at - 1].text, parts[at - 1].text[-1]
                cut = text.index(last) + 1
                parts[at - 1 : at + 1] = [Text(text[:cut]), parts[at], Text(text[cut:])]
        return parts

    return right(edited(conversation, move))


@mutant("spans.expected", cause="image-doubled", harmless=ONE_IMAGE)
def one_target_replaced_for_every_image(tokenizer, conversation, right):
    """F4, vllm PR#10485: one match is replaced several times, since it is found by value again."""
    first, *others = conversation.images or (None,)

    def repeat(parts, number):
        again = [] if first is None or not others else [first]
        at = next((k for k, part in enumerate(parts) if isinstance(part, Image)), None)
        if number != next((k for k, m in enumerate(conversation.messages) if m.images), None) or at is None:
            return parts
        return [*parts[:at], *again, *parts[at:]]

    return right(edited(conversation, repeat))


# ---------------------------------------------------------------- F5, F6: literals, surplus markers


def _reading(roles):
    def spoil(tokenizer, conversation, right):
        return assembled(
            tokenizer,
            conversation,
            right,
            lambda text, m: tokenizer.encode_markup(text) if m.role in roles else tokenizer.encode_text(text),
        )

    return spoil


@mutant(
    "literals.policy",
    cause="literal-became-structure",
    harmless={"input": {"roles": ["user"]}},
)
def answers_are_read_for_markers(tokenizer, conversation, right):
    """F5, LlamaFactory#8440: the target's Markdown holds the tag, and counts as an image."""
    return _reading({"assistant"})(tokenizer, conversation, right)


@mutant("literals.policy", cause="literal-became-structure", harmless={"input": {"roles": ["user"]}})
def instructions_are_read_for_markers(tokenizer, conversation, right):
    """F6, sglang#37579: markers are looked for in tool descriptions and replayed output too."""
    return _reading({"system", "assistant"})(tokenizer, conversation, right)


@mutant("literals.policy", cause="literal-became-structure", harmless=TEXT_ONLY)
def markers_are_read_where_an_image_is_attached(tokenizer, conversation, right):
    """F5, sglang#35582: the prompt is searched for markers only when there is some image."""
    roles = {"system", "user", "assistant"} if conversation.images else set()
    return _reading(roles)(tokenizer, conversation, right)


@mutant("literals.policy", cause="literal-became-structure")
def tag_in_a_later_turn_opens_an_image(tokenizer, conversation, right):
    """F5, MiniCPM-V#587: only the first turn's tag is replaced; a later one is the start token itself."""
    numbers = {id(message): k for k, message in enumerate(conversation.messages)}
    return assembled(
        tokenizer,
        conversation,
        right,
        lambda text, m: tokenizer.encode_markup(text) if numbers[id(m)] else tokenizer.encode_text(text),
    )


@mutant("literals.policy", cause="literal-deleted")
def typed_markers_are_deleted(tokenizer, conversation, right):
    """F5, ollama PR#7849: what looks like a marker is taken out of the text instead of being escaped."""

    def without(text, message):
        for marker in MARKERS:
            text = text.replace(marker, "")
        return text

    return right(retyped(conversation, without))


def _refusal_names_them(tokenizer, conversation, right):
    if found := typed(conversation):
        raise ValueError(f"{', '.join(found)} must not be typed")
    return right(conversation)


@mutant(
    "literals.policy",
    cause="refusal-unclear",
    literals="reject",
    harmless=Harmless(repaired=_refusal_names_them),
)
def refusal_of_typed_markers_is_empty(tokenizer, conversation, right):
    """F5, sglang#35582: a typed marker gives an error with an empty detail."""
    if typed(conversation):
        raise ValueError("")
    return right(conversation)


@mutant("pipeline.encodes", cause="refused", harmless={"literals": "reject"})
def text_of_special_tokens_is_disallowed(tokenizer, conversation, right):
    """F14, LlamaFactory#370: tiktoken raises for special-token text, and nobody decided what should happen."""
    for marker in typed(conversation):
        raise ValueError(f"Encountered text corresponding to disallowed special token {marker!r}")
    return right(conversation)


@mutant("pipeline.encodes", cause="raised-StopIteration")
def marker_without_data_ends_an_iterator(tokenizer, conversation, right):
    """F6, transformers PR#46274: next() on the data of a marker that somebody typed."""
    data = iter(conversation.images)
    made = right(conversation)
    for _ in range(len(conversation.images) + ("<image>" in typed(conversation))):
        next(data)
    return made


@mutant("pipeline.encodes", cause="raised-IndexError")
def one_stored_image_is_popped_per_marker(tokenizer, conversation, right):
    """F6, vllm PR#53999: the interleaved path pops an item for every marker found, also those in an answer."""
    made = right(conversation)
    stored = list(conversation.images)
    for _ in range(len(stored) + bool(typed(conversation, ("assistant",)))):
        stored.pop()
    return made


@mutant("spans.slots", cause="span-empty", harmless=ONE_IMAGE)
def stale_image_leaves_its_delimiters(tokenizer, conversation, right):
    """F6, mlx-vlm PR#1941: the marker of an earlier image is removed, what stands round it is not."""
    ids = right(conversation)["input_ids"]
    if len(conversation.images) < 2:
        return _ids_only(ids)
    start = ids.index(PAD)
    return _ids_only(ids[:start] + ids[start + 4 :])


# ---------------------------------------------------------------- F7: spelling, insertion, counting


@mutant("spans.expected", cause="tag-left-in-text", literals={"policy": "plain", "tag": "[img]"}, harmless=TEXT_ONLY)
def pattern_includes_a_newline(tokenizer, conversation, right):
    """F7, Qwen-VL-Series-Finetune#43: the tag is looked for with a newline behind it, and stays in the text without."""

    def replace(parts, number):
        after = [*parts[1:], None]
        return [
            part if isinstance(part, Text) or (isinstance(then, Text) and then.text.startswith("\n")) else Text("[img]")
            for part, then in zip(parts, after, strict=True)
        ]

    return right(edited(conversation, replace))


@mutant("spans.expected", cause="image-doubled", harmless=TEXT_ONLY)
def image_inserted_on_top_of_its_tag(tokenizer, conversation, right):
    """F7, lmms-eval#998: a marker is put in front for every image, though the text has them already."""
    first = next((k for k, m in enumerate(conversation.messages) if m.images), None)
    return right(edited(conversation, lambda parts, k: ([*conversation.images] if k == first else []) + parts))


@mutant("spans.expected", cause="images-dropped", harmless=TEXT_ONLY)
def marker_of_another_family(tokenizer, conversation, right):
    """F7, vllm#14762: the prompt is written with another model's marker, which is text here."""
    return right(
        edited(conversation, lambda parts, k: [p if isinstance(p, Text) else Text("<|image_1|>") for p in parts])
    )


@mutant(
    "spans.order",
    cause="image-moved",
    harmless={
        "images": {
            "open": "<image>",
            "close": "</image>",
            "placeholder": "<pad>",
            "slots": 4,
            "order": "first_in_message",
        }
    },
)
def template_puts_its_images_first(tokenizer, conversation, right):
    """F7, lmdeploy PR#2428: the place that was asked for is no split point, and the template prepends its own."""
    return right(edited(conversation, lambda parts, k: sorted(parts, key=lambda part: isinstance(part, Text))))


@mutant("spans.order", cause="image-moved", harmless=ONE_IMAGE)
def all_images_go_to_the_last_question(tokenizer, conversation, right):
    """F7, lmdeploy#3300: images of all turns are collected, and belong to one turn when the prompt is written."""
    last = max((k for k, m in enumerate(conversation.messages) if m.role == "user"), default=0)
    if sum(bool(m.images) for m in conversation.messages) < 2:
        return right(conversation)

    def gather(parts, number):
        texts = [part for part in parts if isinstance(part, Text)]
        return [*conversation.images, *texts] if number == last else texts

    return right(edited(conversation, gather))


# ---------------------------------------------------------------- F9, F10, F12: geometry and order


@mutant("spans.expected", cause="slices-missing", harmless={"input": {"images": "0..2"}})
def no_crops_for_more_than_two_images(tokenizer, conversation, right):
    """F9, vllm#13396: cropping is switched off for more than two images, on one of two sides."""
    images = conversation.images
    return right(conversation if len(images) < 3 else resized(conversation, [Image(1, 1)] * len(images)))


@mutant("spans.expected", cause="largest-image-for-all", harmless=ONE_IMAGE)
def every_image_gets_the_crops_of_the_largest(tokenizer, conversation, right):
    """F9, text-generation-inference PR#2080 alike (and Aria's processor): each image gets what the largest needs."""
    images = conversation.images
    largest = max(images, key=lambda image: minicpm.layout(image.width, image.height, 1).slots, default=None)
    return right(resized(conversation, [largest] * len(images)))


@mutant("spans.order", cause="images-reordered", harmless=ONE_IMAGE)
def pictures_sorted_by_size(tokenizer, conversation, right):
    """F12, LlamaFactory PR#6801: pictures are grouped by shape, and not put back into their order."""
    return right(resized(conversation, sorted(conversation.images, key=lambda image: image.width * image.height)))


@mutant(
    "spans.matched",
    cause="marker-misplaced",
    images=NUMBERED,
    harmless={"images": {k: v for k, v in NUMBERED.items() if k != "number"}},
)
def number_on_the_wrong_side_of_open(tokenizer, conversation, right):
    """F10, lmms-engine#132: what belongs in front of the open marker stands behind it; all counts are right."""
    ids = list(right(conversation)["input_ids"])
    for at in [k for k, token_id in enumerate(ids) if token_id == NUMBER]:
        end = ids.index(NUMBER_CLOSE, at) + 1
        ids[at : end + 1] = [ids[end], *ids[at:end]]
    return _ids_only(ids)


@mutant("spans.matched", cause="slice-schema-differs")
def slices_in_the_older_schema(tokenizer, conversation, right):
    """F10, llama.cpp PR#11513: one slice pair round image pairs, where this model has a slice pair for each tile."""
    return _under({"slices": NESTED}, "nested_slices", conversation)


# ---------------------------------------------------------------- bounds


@mutant("spans.bounds", cause="bounds-empty", harmless=TEXT_ONLY)
def marker_ids_are_none_and_no_bound_is_found(tokenizer, conversation, right):
    """F15, vllm PR#38437: the attribute that held the id of the start is None after the upgrade."""
    return {**right(conversation), "image_bounds": []}


@mutant("spans.bounds", cause="bounds-with-markers", harmless=TEXT_ONLY)
def bounds_run_from_open_to_close(tokenizer, conversation, right):
    """F9, MiniCPM-V#331: the starts of spans are the markers' own places, not one behind."""
    made = right(conversation)
    return {**made, "image_bounds": [(start - 1, end) for start, end in made["image_bounds"]]}


@mutant("spans.bounds", cause="bounds-unordered", harmless=ONE_IMAGE | {"slices": None})
def bounds_of_overviews_before_those_of_slices(tokenizer, conversation, right):
    """F12, MiniCPM-V#652: starts of images and of slices are found one kind after the other."""
    made = right(conversation)
    kinds = {bound: made["input_ids"][bound[0] - 1] == SLICE for bound in made["image_bounds"]}
    return {**made, "image_bounds": sorted(made["image_bounds"], key=kinds.get)}


@mutant("spans.bounds", cause="bounds-missing", harmless={"slices": None})
def slices_have_no_bounds(tokenizer, conversation, right):
    """F15, vllm PR#40436: the id of the slice's start is gone from the tokenizer, so slices are not looked for."""
    made = right(conversation)
    kept = [bound for bound in made["image_bounds"] if made["input_ids"][bound[0] - 1] != SLICE]
    return {**made, "image_bounds": kept}


# ---------------------------------------------------------------- F15: drift after an upgrade


@mutant("pipeline.encodes", cause="raised-AttributeError", harmless={"slices": None})
def slice_attribute_vanished(tokenizer, conversation, right):
    """F15, vllm PR#40436: slice_start_id is read from the tokenizer's class, which no longer sets it."""
    ids = right(conversation)["input_ids"]
    return _ids_only([tokenizer.slice_start_id if token_id == SLICE else token_id for token_id in ids])


@mutant(
    "bos.placement",
    cause="bos-doubled",
    bos=True,
    tokenizer=lambda: ToyTokenizer(bos=True),
    harmless=Harmless(tokenizer=ToyTokenizer),
)
def flag_says_that_no_bos_is_added(tokenizer, conversation, right):
    """F15, transformers#30947: add_bos_token is false and has no effect; BOS is put in by hand as well."""
    return _ids_only([*tokenizer.encode(""), *right(conversation)["input_ids"]])


@mutant("text.survives", cause="first-id-removed", harmless=Harmless(tokenizer=Dummy))
def blank_in_front_is_taken_away(tokenizer, conversation, right):
    """F15, transformers#29625: add_prefix_space has no effect on one side, and the blank is removed all the same."""
    return assembled(tokenizer, conversation, right, lambda text, m: tokenizer.encode_text(text)[1:])


@mutant("spans.matched", cause="marker-mistaken", harmless=TEXT_ONLY)
def image_token_by_its_place_in_a_list(tokenizer, conversation, right):
    """F15, ViPer#7: the token is looked up by its place among the special tokens, and a new one stands before it."""
    listed = list(tokenizer.special_tokens().values())
    moved = {OPEN: listed[listed.index(OPEN) + 1]}
    return _ids_only([moved.get(t, t) for t in right(conversation)["input_ids"]])


# ---------------------------------------------------------------- F13: labels and ids


@mutant("pipeline.encodes", cause="id-outside", harmless=TEXT_ONLY)
def slots_are_negative_ids(tokenizer, conversation, right):
    """F13, trl#1802: the slots are -1 in the ids, which the loss does not ignore."""
    made = right(conversation)
    return {**made, "input_ids": [-1 if token_id == PAD else token_id for token_id in made["input_ids"]]}


# ---------------------------------------------------------------- F4, F6, F14: paths


@mutant("paths.agree", cause="path-other-differs", entry="path", harmless=Harmless(tokenizer=Dummy))
def fast_path_adds_blanks(tokenizer, conversation, right):
    """F3, transformers#24569: the fast tokenizer puts a blank in front of text behind a marker, the slow one none."""
    return assembled(
        tokenizer,
        conversation,
        right,
        lambda text, m: ([] if tokenizer.dummy else [BLANK] * bool(text)) + tokenizer.encode_text(text),
    )


@mutant("paths.agree", cause="path-other-raised-IndexError", entry="path", harmless=ONE_IMAGE)
def offline_path_pops_too_often(tokenizer, conversation, right):
    """F6, vllm PR#53999: two paths, of which one validates and the other crashes."""
    stored = list(conversation.images)[:1]
    for _ in conversation.images:
        stored.pop()
    return right(conversation)


@mutant("paths.agree", cause="path-other-differs", entry="path", bos=True, harmless={"bos": "none"})
def server_path_adds_bos_again(tokenizer, conversation, right):
    """F1, sglang PR#26505: the server's ids are right, the offline path has a second BOS."""
    given = right(conversation)["input_ids"]
    return _ids_only([*given[:1], *given] if given[:1] == [0] else given)


# ---------------------------------------------------------------- F8, F9, F12: relations


@mutant("relations.swap", cause="spans-bound-to-position", harmless={"input": {"images": "0..1"}}, **FEATURES)
def sizes_sorted_before_they_are_used(tokenizer, conversation, right):
    """F12, MiniCPM-V finetune (C1): sizes are sorted by name, prompt and features agree and are both wrong."""
    images = [image for message in conversation.messages for image in message.images]
    sizes = sorted(images, key=lambda image: (image.width, image.height))
    return delivered(tokenizer, conversation, lambda number, image: 1 + (sizes[number].width % 7))


@mutant("relations.swap", cause="spans-bound-to-position", harmless={"input": {"images": "0..1"}}, **FEATURES)
def later_images_get_fewer_slots(tokenizer, conversation, right):
    """F9, transformers PR#33424: what is left of a budget is shared in the order of the images, whatever their size."""
    return delivered(tokenizer, conversation, lambda number, image: max(1, 9 - 2 * number))


@mutant(
    "relations.append",
    cause="earlier-span-changed",
    harmless=Harmless(repaired=nine_slots_each),
    **FEATURES,
)
def images_shrink_once_they_are_of_an_earlier_turn(tokenizer, conversation, right):
    """F8, vllm PR#49691 alike: images of earlier turns are written anew when another turn follows."""
    current = bool(conversation.messages[-1].images)
    return delivered(tokenizer, conversation, lambda number, image: 9 if current else 3)


@mutant(
    "relations.append",
    cause="earlier-span-changed",
    harmless=Harmless(repaired=nine_slots_each),
    **FEATURES,
)
def budget_is_shared_with_the_text(tokenizer, conversation, right):
    """F11, ms-swift#3112: images are made smaller until the text fits, so a longer text changes earlier images."""
    text = sum(len(part.text) for m in conversation.messages for part in m.parts if isinstance(part, Text))
    return delivered(tokenizer, conversation, lambda number, image: 50 + -text % 50)


@mutant("relations.prefix", cause="prefix-depends-on-images", template=None, harmless=TEXT_ONLY)
def sizes_are_told_in_front(tokenizer, conversation, right):
    """F10, mlx-vlm PR#2142: a text about the images stands in front of everything instead of beside its image."""
    told = " ".join(f"{image.width}x{image.height}" for image in conversation.images)
    return _ids_only(tokenizer.encode_text(told) + right(conversation)["input_ids"])


@mutant("relations.prefix", cause="prefix-depends-on-images", template=None, harmless=TEXT_ONLY)
def marker_of_its_own_for_every_request(tokenizer, conversation, right):
    """F5, llama.cpp PR#21962: a marker that is drawn anew for each request is announced in the prompt."""
    nonce = sum(31 * image.width + image.height for image in conversation.images)
    return _ids_only(tokenizer.encode_text(f"media {nonce}: ") + right(conversation)["input_ids"])
