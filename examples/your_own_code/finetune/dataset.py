"""A fine-tuning script's data code, written for this page in the shape of MiniCPM-V's; nothing is copied."""

import math
import re

SLOTS, SLICE_SIDE, MOST_SLICES, IGNORED = 64, 448, 9, -100
TEMPLATES = {
    "minicpm": {"user": ("<用户>", ""), "assistant": ("<AI>", "</s>")},
    "qwen2": {role: (f"<|im_start|>{role}\n", "<|im_end|>\n") for role in ("user", "assistant")},
}


def preprocess(images, conversation, tokenizer, llm_type, max_length=4096):
    """ids, labels and image bounds of one row: images, and messages in which <image_00>, <image_01>, ... stand."""
    tags = [tag for message in conversation for tag in re.findall(r"<image_\d\d>", message["content"])]
    if tags != [f"<image_{number:02d}>" for number in range(len(images))]:
        raise ValueError(f"{len(images)} images for the tags {tags}")
    ids, labels = conversation_to_ids(conversation, images, tokenizer, llm_type)
    if len(ids) > max_length:
        raise ValueError(f"{len(ids)} ids are more than max_length={max_length}")
    return {"input_ids": ids, "labels": labels, "image_bound": image_bound(ids, tokenizer)}


def conversation_to_ids(conversation, images, tokenizer, llm_type):
    ids, labels = [], []

    def add(text, learned, typed=False):
        found = tokenizer.encode(text, split_special_tokens=typed)
        if llm_type == "minicpm":
            found = found[1:]  # remove bos
        ids.extend(found)
        labels.extend(found if learned else [IGNORED] * len(found))

    if llm_type == "minicpm":
        ids, labels = [tokenizer.bos_token_id], [IGNORED]
    for message in conversation:
        before, behind = TEMPLATES[llm_type][message["role"]]
        learned = message["role"] == "assistant"
        add(before, False)
        for piece in re.split(r"(<image_\d\d>)", message["content"]):
            if re.fullmatch(r"<image_\d\d>", piece):
                add(image_text(*images[int(piece[7:9])].size), False)
            else:
                add(piece, learned, typed=True)
        add(behind, learned)
    return ids, labels


def image_text(width, height):
    columns, rows = slice_grid(width, height)
    slots = "<unk>" * SLOTS
    return f"<image>{slots}</image>" + "\n".join([f"<slice>{slots}</slice>" * columns] * rows)


def slice_grid(width, height):
    """Columns and rows of the slices; none where the image is small."""
    wanted = min(math.ceil(width * height / SLICE_SIDE**2), MOST_SLICES)
    grids = [
        (columns, count // columns)
        for count in (wanted - 1, wanted, wanted + 1)
        if 1 < count <= MOST_SLICES
        for columns in range(1, count + 1)
        if count % columns == 0
    ]
    ratio = math.log(width / height)
    return min(grids, key=lambda grid: abs(ratio - math.log(grid[0] / grid[1]))) if wanted > 1 else (0, 0)


def image_bound(ids, tokenizer):
    opens, closes = (
        [tokenizer.convert_tokens_to_ids(token) for token in tokens]
        for tokens in (["<image>", "<slice>"], ["</image>", "</slice>"])
    )
    starts = [at + 1 for at, token in enumerate(ids) if token in opens]
    ends = [at for at, token in enumerate(ids) if token in closes]
    if len(starts) != len(ends):
        raise ValueError(f"{len(starts)} opens of images and slices, {len(ends)} closes")
    return list(zip(starts, ends, strict=True))
