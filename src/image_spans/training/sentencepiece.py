"""SentencePiece, with and without BOS and dummy prefix."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, Literal

from image_spans.training import corpus


def train(
    *,
    kind: Literal["bpe", "unigram", "char"] = "bpe",
    vocab: int = 700,
    bos: bool = True,
    dummy_prefix: bool = True,
    byte_fallback: bool = True,
    control: Sequence[str] = (),
    user_defined: Sequence[str] = (),
    add_bos: bool = False,
    normalization: Literal["identity", "nmt_nfkc", "nfkc", "nmt_nfkc_cf", "nfkc_cf"] = "identity",
) -> Any:
    """A ``SentencePieceProcessor``.

    Args:
        kind: the model; under ``char`` the dummy prefix is a token of its own.
        vocab: size of the vocabulary.
        bos: whether the vocabulary has BOS and EOS at all (``bos_id`` is -1 without).
        dummy_prefix: whether a blank is put in front of every text.
        byte_fallback: whether unknown characters become bytes instead of unk (never under ``char``).
        control: tokens that are never read from text.
        user_defined: tokens that are always read from text.
        add_bos: whether the native call adds BOS.
        normalization: the rule by which text is changed first; under ``nmt_nfkc`` full-width letters become plain.
    """
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus()),
        model_writer=model,
        model_type=kind,
        vocab_size=vocab,
        hard_vocab_limit=False,
        character_coverage=1.0,
        byte_fallback=byte_fallback and kind != "char",
        add_dummy_prefix=dummy_prefix,
        normalization_rule_name=normalization,
        remove_extra_whitespaces=False,
        unk_id=0,
        bos_id=1 if bos else -1,
        eos_id=2 if bos else -1,
        pad_id=-1,
        control_symbols=list(control),
        user_defined_symbols=list(user_defined),
        minloglevel=2,
        num_threads=1,
    )
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue(), add_bos=add_bos)
