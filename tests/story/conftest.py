"""The kinds of tokenizer that the story is told on."""

from __future__ import annotations

import pytest

from image_spans.tokenizers import adapt
from image_spans.training import byte_bpe, sentencepiece

MARKERS = ["<image>", "</image>", "<slice>", "</slice>", "<slot>"]


def _no_bos():
    return byte_bpe.train(special_tokens=MARKERS)


def _bos():
    return byte_bpe.train(special_tokens=MARKERS, bos="<s>")


def _extra_first():
    """The dummy prefix is a token of its own in front of every text."""
    return sentencepiece.train(kind="char", user_defined=MARKERS)


def _merged_extra_first():
    """The dummy prefix merges with the first word, except in front of a marker."""
    return sentencepiece.train(kind="bpe", user_defined=MARKERS)


KINDS = {
    "no BOS": _no_bos,
    "BOS": _bos,
    "extra first token": _extra_first,
    "extra first token, merged with the word": _merged_extra_first,
}


@pytest.fixture(scope="session")
def tokenizers():
    return {name: adapt(make()) for name, make in KINDS.items()}
