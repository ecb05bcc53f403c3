"""Mutants of the other entries: what is cut at a limit, a padded batch, one message more; see :mod:`mutants`."""

from __future__ import annotations

from declared_mutants import features_of

from image_spans.conversation import resized
from mutants import CHAT, CLOSE, OPEN, PAD, ROWS, SLICE, SLICE_CLOSE, TEXT_ONLY, mutant

BOTH = ("image_bounds", "labels")
LIMIT = {"entry": "limit", "returns": BOTH, "template": CHAT}
BATCH = {"entry": "batch", "returns": BOTH, "template": CHAT, "pad": "</s>"}
TURNS = {"entry": "continue", "returns": BOTH, "template": CHAT}


def _prefix(made, length):
    """The first ids of an encoding, with bounds that fit them."""
    bounds = [(start, min(end, length)) for start, end in made["image_bounds"] if start < length]
    return {"input_ids": made["input_ids"][:length], "labels": made["labels"][:length], "image_bounds": bounds}


# ---------------------------------------------------------------- F11: truncation


@mutant("truncation.policy", cause="cut-inside-span", truncation="never_split", harmless=TEXT_ONLY, **LIMIT)
def ids_cut_without_a_look(tokenizer, conversation, right, max_length):
    """F11, MiniCPM-V#483: ids are cut before starts and ends are paired; the last start survives, its end does not."""
    return _prefix(right(conversation), max_length)


@mutant(
    "truncation.policy",
    cause="cut-inside-span",
    truncation="never_split",
    pipeline="rows",
    slices=None,
    images=ROWS,
    harmless=TEXT_ONLY,
    **LIMIT,
)
def row_cut_from_its_break(tokenizer, conversation, right, max_length):
    """F11, verl-tool PR#145: the cut walks back to the end of a run, and forgets what closes it."""
    made = right(conversation)
    for start, end in made["image_bounds"]:
        if start < max_length < end:
            max_length = start
    return _prefix(made, max_length)


@mutant("truncation.policy", cause="bounds-not-cut", truncation="never_split", harmless=TEXT_ONLY, **LIMIT)
def bounds_taken_before_the_cut(tokenizer, conversation, right, max_length):
    """F11, MiniCPM-V finetune (C6): the collator trims ids and labels, not the bounds that were computed earlier."""
    return {**right(conversation, max_length=max_length), "image_bounds": right(conversation)["image_bounds"]}


@mutant(
    "truncation.policy",
    cause="features-kept",
    truncation={"policy": "never_split", "side": "left"},
    accepts=("images",),
    harmless=TEXT_ONLY,
    **{**LIMIT, "returns": ("image_bounds", "features")},
)
def pictures_of_cut_images_are_still_passed(tokenizer, conversation, right, max_length):
    """F11, trl#5285: keep_end drops all image tokens, while the pixel values are still passed."""
    return {**right(conversation, max_length=max_length), "features": features_of(conversation)}


@mutant("truncation.policy", cause="limit-exceeded", truncation="never_split", harmless=TEXT_ONLY, **LIMIT)
def limit_of_the_length_before_expansion(tokenizer, conversation, right, max_length):
    """F11, ms-swift#3112: the limit is applied where each placeholder still counts as one."""
    made = right(conversation)
    more = sum(end - start - 1 for start, end in made["image_bounds"])
    return right(conversation, max_length=max_length + more)


@mutant(
    "truncation.policy",
    cause="labels-not-cut",
    truncation={"policy": "never_split", "side": "left"},
    harmless={"truncation": "never_split"},
    **LIMIT,
)
def labels_cut_on_the_other_side(tokenizer, conversation, right, max_length):
    """F11, MiniCPM-V#631: ids and labels are cut by different code, and nothing is left to learn from."""
    made = right(conversation, max_length=max_length)
    return {**made, "labels": right(conversation)["labels"][: len(made["input_ids"])]}


@mutant(
    "truncation.policy",
    cause="bos-cut-off",
    bos=True,
    truncation={"policy": "never_split", "side": "left"},
    **LIMIT,
)
def end_kept_without_bos(tokenizer, conversation, right, max_length):
    """F11, trl#5285: keep_end keeps the last tokens, and BOS is none of them."""
    made = right(conversation)
    if len(made["input_ids"]) <= max_length:
        return made
    cut = right(conversation, max_length=max_length + 1)
    moved = [(start - 1, end - 1) for start, end in cut["image_bounds"]]
    return {"input_ids": cut["input_ids"][1:], "labels": cut["labels"][1:], "image_bounds": moved}


@mutant("truncation.policy", cause="limit-refusal-unclear", truncation="reject", **LIMIT)
def refusal_without_a_number(tokenizer, conversation, right, max_length):
    """F11 and F14, MiniCPM-V#523: what is wrong is said to be the data; which limit to raise is not."""
    try:
        return right(conversation, max_length=max_length)
    except ValueError:
        raise ValueError("data fetch error") from None


@mutant("truncation.policy", cause="cut-instead-of-refusal", truncation="reject", **LIMIT)
def cut_although_it_should_be_refused(tokenizer, conversation, right, max_length):
    """F11, transformers#37222: the processor cuts the run and returns silently; the model fails later."""
    return _prefix(right(conversation), max_length)


@mutant("truncation.policy", cause="cut-inside-span", truncation="drop_images", harmless=TEXT_ONLY, **LIMIT)
def overview_dropped_without_its_slices(tokenizer, conversation, right, max_length):
    """F11, MiniCPM-V#483: an image is taken for one span, so only its overview goes."""
    made = right(conversation)
    if len(made["input_ids"]) <= max_length or OPEN not in made["input_ids"]:
        return right(conversation, max_length=max_length)
    at = made["input_ids"].index(OPEN)
    ids, labels = ([*made[key][:at], *made[key][at + 6 :]] for key in ("input_ids", "labels"))
    bounds = [(start - 6, end - 6) for start, end in made["image_bounds"][1:]]
    cut = {"input_ids": ids, "labels": labels, "image_bounds": bounds}
    return cut if len(ids) <= max_length else right(conversation, max_length=max_length)


# ---------------------------------------------------------------- F12: batches


@mutant("batch.agrees", cause="rows-lost", **BATCH)
def only_the_first_row_comes_out(tokenizer, conversations, right, padding_side):
    """F12, transformers#34204: all images are one list of length 1, and zip stops at the shorter."""
    return right(conversations[:1], padding_side=padding_side)


@mutant("batch.agrees", cause="rows-reordered", **BATCH)
def rows_sorted_by_length(tokenizer, conversations, right, padding_side):
    """F12, LlamaFactory PR#6801 alike: rows are sorted to save padding, and not put back into their order."""
    lengths = {c: len(right([c], padding_side="left")["input_ids"][0]) for c in conversations}
    return right(sorted(conversations, key=lengths.get), padding_side=padding_side)


@mutant("batch.agrees", cause="bounds-not-moved", **BATCH)
def bounds_stay_where_they_were(tokenizer, conversations, right, padding_side):
    """F12, nanoVLM#29 alike: the left padding moves the ids, and the bounds were taken before it."""
    return {
        **right(conversations, padding_side=padding_side),
        "image_bounds": [right([one], padding_side="left")["image_bounds"][0] for one in conversations],
    }


@mutant("batch.agrees", cause="padding-on-wrong-side", **BATCH)
def padding_side_not_heeded(tokenizer, conversations, right, padding_side):
    """F12, sentence-transformers PR#3869: the tokenizer's own setting is used, whatever is asked for."""
    return right(conversations, padding_side="right")


@mutant("batch.agrees", cause="pad-id-wrong", harmless={"pad": "<pad>"}, **BATCH)
def padded_with_the_image_token(tokenizer, conversations, right, padding_side):
    """F12 and F2, lmdeploy#3285: the padding id is read from another attribute, which is that of the image."""
    made = right(conversations, padding_side=padding_side)
    rows = zip(made["input_ids"], made["attention_mask"], strict=True)
    padded = [[i if seen else PAD for i, seen in zip(row, mask, strict=True)] for row, mask in rows]
    return {**made, "input_ids": padded}


@mutant("batch.agrees", cause="labels-on-padding", harmless={"batch_fill": {"labels": PAD}}, **BATCH)
def padding_is_learned(tokenizer, conversations, right, padding_side):
    """F13, smol-vision#11: the padding in labels is replaced by another id instead of the ignored value."""
    made = right(conversations, padding_side=padding_side)
    rows = zip(made["labels"], made["attention_mask"], strict=True)
    labels = [[i if seen else PAD for i, seen in zip(row, mask, strict=True)] for row, mask in rows]
    return {**made, "labels": labels}


@mutant("batch.agrees", cause="labels-masked-by-id", harmless={"template": {}}, **BATCH)
def padding_of_labels_is_told_by_its_id(tokenizer, conversations, right, padding_side):
    """F13, Transformers-Tutorials#511 alike: the padding of labels is told by its id, which ends answers too."""
    made = right(conversations, padding_side=padding_side)
    return {**made, "labels": [[-100 if label == 900 else label for label in row] for row in made["labels"]]}


@mutant("batch.agrees", cause="mask-wrong", harmless={"template": {}}, **BATCH)
def mask_hides_what_looks_like_padding(tokenizer, conversations, right, padding_side):
    """F12, sentence-transformers PR#3869 alike: the mask is ids != pad, where padding is also what ends an answer."""
    made = right(conversations, padding_side=padding_side)
    return {**made, "attention_mask": [[int(token_id != 900) for token_id in row] for row in made["input_ids"]]}


@mutant("failures.loud", cause="batch-mismatch-swallowed", accepts=("images",), harmless=TEXT_ONLY, **BATCH)
def images_of_a_batch_are_one_list(tokenizer, conversations, right, padding_side):
    """F12, LlamaFactory PR#6801: the images of all samples are one list; each takes as many as it has markers."""
    images = [image for one in conversations for image in one.images]
    wanted = sum(len(message.images) for one in conversations for message in one.messages)
    if len(images) != wanted:
        raise ValueError(f"{len(images)} images for {wanted} markers")
    taken = iter(images)
    return right([resized(one, taken) for one in conversations], padding_side=padding_side)


# ---------------------------------------------------------------- F8: expanded twice


@mutant("expansion.once", cause="expanded-again", harmless=TEXT_ONLY, **TURNS)
def history_is_expanded_again(tokenizer, encoding, message, right):
    """F8, LlamaFactory#5344: what is expanded already goes through the code that expands once more."""
    return _rewritten(lambda token_id: 4 if token_id == PAD else 1, encoding, message, right)


@mutant("expansion.once", cause="old-block-changed", harmless=TEXT_ONLY, **TURNS)
def wrappers_are_doubled(tokenizer, encoding, message, right):
    """F8, vllm PR#49691: the run alone is replaced by open, slots and close, which stand round it already."""
    wrappers = (OPEN, CLOSE, SLICE, SLICE_CLOSE)
    return _rewritten(lambda token_id: 2 if token_id in wrappers else 1, encoding, message, right)


@mutant("expansion.once", cause="bos-per-turn", bos=True, **TURNS)
def every_turn_brings_its_bos(tokenizer, encoding, message, right):
    """F1, llama.cpp PR#3645: each chunk that is added is encoded with a BOS of its own."""
    return _joined([*encoding["input_ids"], 0], [*encoding["labels"], -100], encoding, message, right)


@mutant("expansion.once", cause="labels-not-continued", **TURNS)
def only_the_last_answer_is_learned(tokenizer, encoding, message, right):
    """F13, MGM#126 alike: labels of earlier turns are forgotten when a turn is added; only the last is learned."""
    longer = right(encoding, message)
    old = len(encoding["input_ids"])
    return {**longer, "labels": [-100] * old + longer["labels"][old:]}


def _rewritten(times, encoding, message, right):
    """Each earlier id so many times, and the message behind them."""
    ids, labels = (
        [value for token_id, value in zip(encoding["input_ids"], values, strict=True) for _ in range(times(token_id))]
        for values in (encoding["input_ids"], encoding["labels"])
    )
    return _joined(ids, labels, encoding, message, right)


def _joined(ids, labels, encoding, message, right):
    """Other earlier ids, and the message behind them; bounds fit the ids."""
    longer = right(encoding, message)
    old = len(encoding["input_ids"])
    whole = [*ids, *longer["input_ids"][old:]]
    edges = [at for at in range(len(whole) + 1) if (whole[at - 1 : at] == [PAD]) != (whole[at : at + 1] == [PAD])]
    bounds = list(zip(edges[::2], edges[1::2], strict=True))
    return {"input_ids": whole, "labels": [*labels, *longer["labels"][old:]], "image_bounds": bounds}
