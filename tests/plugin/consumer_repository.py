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

SECOND = YAML.partition("subjects:\n")[2].replace("mine:", "other:").replace("PIPELINE", "right")

ABSENT = """\
  absent:
    tokenizer: {backend: tiktoken, source: {package: no-such-distribution, file: x}, pattern: x}
    pipeline: assembly:right
    contract: {bos: none, images: {grammar: run, placeholder: <slot>, slots: 4}}
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


def crashes_on_typed_markers(tokenizer, conversation):
    if any(isinstance(p, Text) and "<" in p.text for m in conversation.messages for p in m.parts):
        raise KeyError("marker")
    return right(tokenizer, conversation)
"""

SMALL_PROFILE = """\
from hypothesis import settings

settings.register_profile("small", max_examples=15, derandomize=True, database=None)
settings.load_profile("small")
"""

FILE = "tokenizers_under_test.yaml"
CONVERSATIONS = f"{FILE}::test_conversations::test_conversation"
NODE = f"{CONVERSATIONS}[mine-start-spans.matched]"
"""An item that fails for the naive pipeline."""


def cause(result) -> str:
    """The line of the cause in a failing run."""
    return next(line for line in result.outlines if line.startswith("  Cause"))


def command(result) -> str:
    """The command that a failing run prints, without ``pytest``."""
    line = next(line for line in result.outlines if line.startswith("  Reproduce"))
    return line.partition("pytest ")[2]
