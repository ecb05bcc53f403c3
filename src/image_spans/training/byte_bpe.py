"""Byte-level BPE, as GPT-2, Qwen and Llama 3 have it: no unk, every text round-trips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from image_spans.training import corpus


def train(
    *, vocab: int = 600, special_tokens: Sequence[str] = (), bos: str | None = None, eos: str | None = None
) -> Any:
    """A ``PreTrainedTokenizerFast``.

    Args:
        vocab: size of the vocabulary, special tokens included.
        special_tokens: tokens that are read from text unless it is protected.
        bos: a token that the native call puts in front of every text; None: it adds nothing.
        eos: a token that is named, but not added.
    """
    from image_spans.tokenizers.transformers import library

    named = {"bos_token": bos, "eos_token": eos}
    keywords: dict[str, Any] = {key: value for key, value in named.items() if value}
    return library().PreTrainedTokenizerFast(tokenizer_object=backend(vocab, special_tokens, bos, eos), **keywords)


def backend(vocab: int, special_tokens: Sequence[str], bos: str | None = None, eos: str | None = None) -> Any:
    """The tokenizers object behind it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
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
