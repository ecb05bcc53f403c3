"""Names of tokens that the field uses for images. Data: a new model family is a new row.

A name is compared as :func:`fold` writes it, so one row stands for ``<|image_pad|>``, ``<|IMAGE_PAD|>`` and DeepSeek's
full-width bars.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


def fold(token: str) -> str:
    """A token's name without what families spell differently: case, full-width bars, blanks."""
    return token.lower().translate(_FOLDED)


_FOLDED = str.maketrans({"\uff5c": "|", "\u2581": "_", " ": "_"})


@dataclass(frozen=True)
class Brackets:
    """A token that opens an image and one that closes it, with the placeholders that stand between them."""

    open: str
    close: str
    placeholders: tuple[str, ...]
    """The likelier ones first."""


UNK = "<unk>"
_IN_IMAGE = ("<|patch|>", "<|image_placeholder|>", "<|image_pad|>", "<|image|>", "<image>")  # Llama 4, ERNIE, ..., Emu3
PAIRS = (
    # MiniCPM-V: <unk> up to 4.5, <|image_pad|> since. <slot> has no other use anywhere.
    Brackets("<image>", "</image>", ("<slot>", "<im_patch>", "<image_pad>", UNK)),
    Brackets("<img>", "</img>", ("<img_context>", "<imgpad>", "<image>", "<slot>")),  # InternVL, GOT-OCR 2
    Brackets("<|vision_start|>", "<|vision_end|>", ("<|image_pad|>",)),  # Qwen2-VL and its kin
    Brackets("<|begin_of_image|>", "<|end_of_image|>", ("<|image|>", "<|image_pad|>")),  # GLM-4.1V
    Brackets("<|image_start|>", "<|image_end|>", _IN_IMAGE),
    Brackets("<image_start>", "<image_end>", ("<image_pad>", "<image>", "<im_patch>")),
    Brackets("<im_start>", "<im_end>", ("<im_patch>", "<image>")),  # LLaVA 1.0, MiniCPM-V 1
    Brackets("<img_start>", "<img_end>", ("<img_pad>", "<img_atom>")),  # Hunyuan-VL, Ovis2
    Brackets("<start_of_image>", "<end_of_image>", ("<image_soft_token>",)),  # Gemma 3
    Brackets("<begin_of_image>", "<end_of_image>", ("<image_placeholder>",)),  # Janus
    Brackets("<|start_of_img|>", "<|end_of_img|>", ("<|img_patch|>",)),  # Aya Vision
    Brackets("<|image>", "<image|>", ("<|image|>",)),  # Gemma 4
    Brackets("<|media_begin|>", "<|media_end|>", ("<|media_pad|>",)),  # Kimi-VL
    Brackets("<racm3:break>", "<eoss>", ("<image>",)),  # Chameleon
    Brackets("<boi>", "<eoi>", ("<image>", "<image_pad>")),
)

ROWS = ("[img]", "[img_break]", "[img_end]")
"""Pixtral: the placeholder, what stands between two rows, and what ends the last."""

PLACEHOLDERS = (
    *(
        "<|image_pad|>",
        "<|image_placeholder|>",
        "<image_placeholder>",
        "<image_soft_token>",
        "<image_pad>",
        "<img_pad>",
    ),
    *(
        "<imgpad>",
        "<img_context>",
        "<|img_patch|>",
        "<im_patch>",
        "<img_atom>",
        "<|image|>",
        "<image>",
        "<|image_token|>",
        "[img]",
        "<slot>",
    ),
)
"""What stands for an image by itself, the likelier ones first (LLaVA, DeepSeek-VL, PaliGemma)."""

SLICES = ("<slice>", "</slice>")
NUMBER = ("<image_id>", "</image_id>")
TILE_BREAKS = {"tile_break": "<|tile_x_separator|>", "row_break": "<|tile_y_separator|>", "overview_open": "<|image|>"}
"""Llama 4: keys of ``slices`` to the tokens inside an image's span."""
TILES_IN_ONE_SPAN = "<img_context>"
"""InternVL's name for its placeholder, and of no model that does otherwise."""

OWN = {
    "<fake_token_around_image>": "one token opens and closes images (Idefics)",
    "tile_global": "a token names each tile (Aya Vision)",
    "<img_grid>": "tokens stand between tiles and at the end of rows (Ovis2)",
    "<|img_line_break|>": "a token ends each row between open and close (Cohere)",
    "<|image_token|>": "the size stands in front of the placeholders (Emu3)",
}
"""Tokens that show a form for which a grammar of one's own is needed, and why."""

IDEFICS = {"fake": "<fake_token_around_image>", "whole": "<global-img>"}
IDEFICS_TILE = re.compile(r"<(row_[0-9]+_col_[0-9]+)>")
"""Roles as examples/idefics3.py calls them."""

_WORDS = re.compile(r"image|img|vision|visual|picture|slice|(?<![a-z])(im_|tile|patch|boi|eoi)")


def looks_visual(token: str) -> bool:
    """Whether a name speaks of images, whatever its role; sound and video are other things."""
    folded = fold(token)
    return bool(_WORDS.search(folded)) and not re.search(r"video|audio|\|im_(start|end)\|", folded)
