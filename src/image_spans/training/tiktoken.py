"""A tiktoken Encoding. tiktoken has no trainer: the tokens of a byte-level BPE become its ranks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from image_spans.training.byte_bpe import backend

PATTERN = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""


def train(*, vocab: int = 600, special_tokens: Sequence[str] = ()) -> Any:
    """A ``tiktoken.Encoding`` whose special tokens follow the ranks, ``<|endoftext|>`` first."""
    import tiktoken

    to_byte = _bytes_of_characters()
    vocabulary = backend(vocab, ()).get_vocab()
    ranks = {bytes(to_byte[character] for character in token): rank for token, rank in vocabulary.items()}
    specials = {token: len(ranks) + index for index, token in enumerate(("<|endoftext|>", *special_tokens))}
    return tiktoken.Encoding("trained", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens=specials)


def _bytes_of_characters() -> dict[str, int]:
    """GPT-2's table of printable characters for bytes, reversed (``bytes_to_unicode`` in its encoder.py)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + index): byte for index, byte in enumerate(others)}
