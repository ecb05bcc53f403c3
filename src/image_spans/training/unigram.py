"""Unigram with Metaspace, as T5 has it in tokenizers: a blank becomes ``▁``, and one may come in front of a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from image_spans.training import sentencepiece


def train(
    *,
    vocab: int = 600,
    special_tokens: Sequence[str] = (),
    prepend_scheme: Literal["always", "first", "never"] = "always",
) -> Any:
    """A ``tokenizers.Tokenizer``. Its model finds special tokens in text even where text is protected.

    Args:
        vocab: the largest size of the vocabulary, special tokens included; the corpus gives a little over 400.
        special_tokens: tokens that are read from text; ``<unk>`` comes first.
        prepend_scheme: where ``▁`` is put: in front of the text and behind each special token, in front of the
            text only, or nowhere.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    # The trainer of tokenizers gives some pieces other scores each time; that of sentencepiece does not.
    pieces = sentencepiece.train(
        kind="unigram",
        vocab=vocab,
        bos=False,
        dummy_prefix=prepend_scheme != "never",
        byte_fallback=False,
        control=special_tokens,
    )
    scored = [(pieces.id_to_piece(index), pieces.get_score(index)) for index in range(pieces.get_piece_size())]
    tokenizer = Tokenizer(models.Unigram(scored, unk_id=pieces.unk_id()))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=prepend_scheme)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme=prepend_scheme)
    named = ("<unk>", *special_tokens)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in named])
    return tokenizer
