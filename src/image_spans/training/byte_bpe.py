"""Byte-level BPE, as GPT-2, Qwen and Llama 3 have it: no unk, every text round-trips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

from image_spans.training import corpus

Form: TypeAlias = Literal["nfc", "nfkc"] | None


def train(
    *,
    vocab: int = 600,
    special_tokens: Sequence[str] = (),
    bos: str | None = None,
    eos: str | None = None,
    normalizer: Form = None,
) -> Any:
    """A ``PreTrainedTokenizerFast``.

    Args:
        vocab: size of the vocabulary, special tokens included.
        special_tokens: tokens that are read from text unless it is protected.
        bos: a token that the native call puts in front of every text; None: it adds nothing.
        eos: a token that is named, but not added.
        normalizer: the normal form into which text is brought first.
    """
    from image_spans.tokenizers.transformers import library

    named = {"bos_token": bos, "eos_token": eos}
    keywords: dict[str, Any] = {key: value for key, value in named.items() if value}
    made = backend(vocab, special_tokens, bos, eos, normalizer)
    return library().PreTrainedTokenizerFast(tokenizer_object=made, **keywords)


def backend(
    vocab: int, special_tokens: Sequence[str], bos: str | None = None, eos: str | None = None, normalizer: Form = None
) -> Any:
    """The tokenizers object behind it."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    if normalizer:
        tokenizer.normalizer = {"nfc": normalizers.NFC, "nfkc": normalizers.NFKC}[normalizer]()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    named = [token for token in (bos, eos) if token]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=[*named, *special_tokens],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))]
        )
    return tokenizer
