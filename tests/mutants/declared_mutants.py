"""Mutants for the checks that a subject switches on by what it declares; see :mod:`mutants`."""

from __future__ import annotations

from image_spans.conversation import Conversation, Text
from image_spans.slicing import minicpm
from mutants import CHAT, PAD, SLICE, TEXT_ONLY, mutant

TWO_ROLES = {role: CHAT[role] for role in ("user", "assistant")}
LEARNED = {"returns": ("image_bounds", "labels"), "template": CHAT}
FEATURES = {"returns": ("image_bounds", "features"), "accepts": ("images",)}


def features_of(conversation, layout=None):
    """What a right vision side delivers for the contract of the table: an entry for each block."""
    delivered = []
    for number, image in enumerate(conversation.images):
        blocks = (layout or minicpm.layout)(image.width, image.height, 1, slots=4)
        delivered += [(number, blocks.overview.slots)]
        delivered += [(number, block.slots) for row in blocks.grid for block in row]
    return delivered


# ---------------------------------------------------------------- F13: labels


@mutant("labels.cover_answers", cause="labels-shifted-1", harmless={"labels": {"shift": 1}}, **LEARNED)
def labels_shifted_although_the_model_shifts_them(tokenizer, conversation, right):
    """F13, LLaVA#661 alike: the data side shifts the labels, and the model's loss shifts them once more."""
    made = right(conversation)
    return {**made, "labels": [*made["labels"][1:], -100]}


@mutant("labels.cover_answers", cause="labels-end-early", harmless={"labels": {"end_token": "excluded"}}, **LEARNED)
def end_token_is_never_learned(tokenizer, conversation, right):
    """F13, transformers PR#30967: the mask ends with the answer's text, so the model never learns to stop."""
    made = right(conversation)
    labels = made["labels"]
    before = [0, *labels][:-1] if labels else []
    return {**made, "labels": [-100 if 900 in pair else pair[1] for pair in zip(before, labels, strict=True)]}


@mutant(
    "labels.cover_answers",
    cause="question-labelled",
    harmless={"input": {"roles": ["user", "assistant"]}, "template": TWO_ROLES},
    **LEARNED,
)
def questions_are_learned_too(tokenizer, conversation, right):
    """F13, LLaVA#1166 alike: roles are told apart by position, and a system message moves them by one."""
    made = right(conversation)
    ids, labels = made["input_ids"], list(made["labels"])
    if conversation.messages[0].role == "system":
        before = len(tokenizer.encode_text(CHAT["system"][0]))
        text = "".join(part.text for part in conversation.messages[0].parts)
        labels[before : before + len(text)] = ids[before : before + len(text)]
    return {**made, "labels": labels}


@mutant("labels.cover_answers", cause="structure-labelled", harmless=TEXT_ONLY, **LEARNED)
def image_tokens_are_learned(tokenizer, conversation, right):
    """F13, Transformers-Tutorials#511: only the placeholder is masked, open and close stay in the loss."""
    made = right(conversation)
    labels = [i if i in (1, 2) else label for i, label in zip(made["input_ids"], made["labels"], strict=True)]
    return {**made, "labels": labels}


@mutant("labels.cover_answers", cause="all-ignored", **LEARNED)
def loss_on_nothing_when_the_last_turn_is_a_question(tokenizer, conversation, right):
    """F13, MiniCPM-V#523: "No tokens available to compute loss"."""
    made = right(conversation)
    if conversation.messages[-1].role != "assistant":
        made = {**made, "labels": [-100] * len(made["labels"])}
    return made


# ---------------------------------------------------------------- F11, F13: side arrays


def _arrays(made):
    ids = made["input_ids"]
    return {
        "input_ids": ids,
        "attention_mask": [1] * len(ids),
        "token_type_ids": [int(token_id == PAD) for token_id in ids],
        "position_ids": list(range(len(ids))),
    }


ARRAYS = {"returns": ("attention_mask", "token_type_ids", "position_ids")}


@mutant("arrays.mark", cause="mask-hides-tokens", harmless=TEXT_ONLY, **ARRAYS)
def mask_made_by_comparing_with_the_padding_id(tokenizer, conversation, right):
    """F13, smol-vision#11 alike: the mask is ids != pad, and the placeholder is the padding token."""
    made = _arrays(right(conversation))
    return {**made, "attention_mask": [int(token_id != PAD) for token_id in made["input_ids"]]}


@mutant("arrays.mark", cause="types-misplaced", **ARRAYS)
def token_types_taken_before_the_newline_was_put_in(tokenizer, conversation, right):
    """F13, transformers#35200 alike: token types are computed, then another token is put in front of the images."""
    made = _arrays(right(conversation))
    return {**made, "token_type_ids": [*made["token_type_ids"], 0][1:]}


@mutant("arrays.mark", cause="positions-jump", harmless=TEXT_ONLY, **ARRAYS)
def positions_stand_still_inside_an_image(tokenizer, conversation, right):
    """F13, vllm PR#49691 alike: all slots of an image share a position, which this model does not do."""
    made = _arrays(right(conversation))
    positions, at = [], 0
    for token_id in made["input_ids"]:
        positions.append(at)
        at += token_id != PAD
    return {**made, "position_ids": positions}


# ---------------------------------------------------------------- F9: counts


@mutant("geometry.agrees", cause="counts-differ-fewer", harmless={"slices": None}, **FEATURES)
def vision_side_gets_the_overview_alone(tokenizer, conversation, right):
    """F9, mlx-vlm#1919: slicing is switched off in the image processor and on in the prompt."""
    return {**right(conversation), "features": [(n, 4) for n in range(len(conversation.images))]}


@mutant("geometry.agrees", cause="counts-differ-more", **FEATURES)
def vision_side_pads_every_image_to_nine_slices(tokenizer, conversation, right):
    """F9, text-generation-inference PR#2080: features are padded to the largest grid, and the prompt is not."""
    return {**right(conversation), "features": [(n, 40) for n in range(len(conversation.images))]}


@mutant("geometry.agrees", cause="features-missing", harmless={"input": {"images": "0..1"}}, **FEATURES)
def second_picture_is_lost_on_the_way(tokenizer, conversation, right):
    """F7, mlx-vlm PR#1466 alike: the vision side deduplicates pictures of one size; the prompt keeps both."""
    made = right(conversation)
    first = {image: number for number, image in reversed(list(enumerate(conversation.images)))}
    kept = [(n, slots) for n, slots in features_of(conversation) if first[conversation.images[n]] == n]
    return {**made, "features": kept}


@mutant(
    "geometry.agrees",
    cause="prediction-differs-fewer",
    predict=lambda width, height: minicpm.layout(width, height, 1, slots=4, scale_resolution=450).slots,
    harmless={
        "slices": {"open": "<slice>", "close": "</slice>", "rule": "minicpm", "options": {"scale_resolution": 450}}
    },
)
def scheduler_predicts_with_another_resolution(tokenizer, conversation, right):
    """F9, transformers PR#43948: a helper counts with the default resolution, the prompt with the configured one."""
    return right(conversation)


@mutant("geometry.agrees", cause="pixels-differ-fewer", returns=("pixels",), harmless={"slices": None})
def tiles_are_counted_and_one_less_is_cut(tokenizer, conversation, right):
    """F9, mlx-vlm#1919 alike: the prompt has an overview for every sliced image, the array of pixels holds none."""
    made = right(conversation)
    sliced = [minicpm.layout(image.width, image.height, 1).sliced for image in conversation.images]
    overviews = 4 * sum(sliced) if SLICE in made["input_ids"] else 0
    return {**made, "pixels": made["input_ids"].count(PAD) - overviews}


# ---------------------------------------------------------------- F14: a wrong number of images


def _lenient(right, conversation):
    return right(Conversation(conversation.messages))


@mutant("failures.loud", cause="mismatch-ignored", accepts=("images",))
def surplus_images_are_dropped(tokenizer, conversation, right):
    """F14, F12, transformers#34204: zip() over markers and images ends with the shorter one."""
    return _lenient(right, conversation)


@mutant("failures.loud", cause="mismatch-swallowed", accepts=("images",))
def another_sample_is_taken_instead(tokenizer, conversation, right):
    """F14, MiniCPM-V#652: an error in __getitem__ is logged and a random sample returned."""
    try:
        return right(conversation)
    except ValueError:
        return {"input_ids": tokenizer.encode_text("another sample"), "image_bounds": []}


@mutant("failures.loud", cause="mismatch-crashes-IndexError", accepts=("images",))
def images_are_taken_from_the_list_unchecked(tokenizer, conversation, right):
    """F14, vllm#8990 and others: IndexError deep inside instead of a word about the sample."""
    number = 0
    for message in conversation.messages:
        for part in message.parts:
            if not isinstance(part, Text):
                conversation.images[number]
                number += 1
    if number < len(conversation.images):
        raise ValueError(f"{len(conversation.images)} images for {number} markers")
    return _lenient(right, conversation)


@mutant("failures.loud", cause="refusal-unclear", accepts=("images",))
def refusal_says_nothing(tokenizer, conversation, right):
    """F14, AgentCPM-GUI#34: "invalid sample" without number, marker or place; the threads stall for want of it."""
    try:
        return right(conversation)
    except ValueError:
        raise ValueError("invalid sample") from None
