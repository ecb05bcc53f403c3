"""The files of the repository of somebody else."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]

YAML = """\
version: 1
subjects:
  mine:
    tokenizer:
      backend: tiktoken
      source: {trained: tiktoken, options: {special_tokens: [<image>, </image>, <slice>, </slice>, <slot>]}}
    pipeline: assembly:PIPELINE
    contract:
      bos: none
      images: {open: <image>, close: </image>, placeholder: <slot>, slots: 4}
      slices: {open: <slice>, close: </slice>, rule: minicpm}
      literals: interpret
      template: {}
"""

ASSEMBLY = """\
from image_spans import Text
from image_spans.slicing.minicpm import layout


def written(part):
    if isinstance(part, Text):
        return part.text
    slots = "<slot>" * 4
    rows = [f"<slice>{slots}</slice>" * len(row) for row in layout(part.width, part.height, 1).grid]
    return f"<image>{slots}</image>" + "\\n".join(rows)


def encoded(tokenizer, conversation):
    return [tokenizer.encode("".join(map(written, m.parts)), allowed_special="all") for m in conversation.messages]


def right(tokenizer, conversation):
    return sum(encoded(tokenizer, conversation), [])


def naive(tokenizer, conversation):
    return sum((ids[1:] for ids in encoded(tokenizer, conversation)), [])
"""

SMALL_PROFILE = """\
from hypothesis import settings

settings.register_profile("small", max_examples=20, derandomize=True, database=None)
settings.load_profile("small")
"""
