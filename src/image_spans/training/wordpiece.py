"""WordPiece, as BERT has it: words and their parts (``##s``), blanks are lost, what is unknown becomes ``[UNK]``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from image_spans.training import corpus


def train(
    *, vocab: int = 800, special_tokens: Sequence[str] = (), lowercase: bool = True, post_processor: bool = True
) -> Any:
    """A ``tokenizers.Tokenizer``.

    Args:
        vocab: size of the vocabulary, special tokens included; the letters of the corpus are in it even if it is less.
        special_tokens: tokens that are read from text unless it is protected; ``[UNK] [CLS] [SEP]`` come first.
        lowercase: whether text is lowered and loses its accents.
        post_processor: whether the native call puts ``[CLS]`` in front of every text and ``[SEP]`` behind it.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    lines = map(normalizer.normalize_str, corpus())
    words = Counter(word for line in lines for word, _ in pre_tokenizer.pre_tokenize_str(line))
    tokens = ["[UNK]", "[CLS]", "[SEP]", *special_tokens]
    vocabulary = list(dict.fromkeys([*tokens, *_letters(words)]))
    vocabulary = list(dict.fromkeys([*vocabulary, *_parts(words)]))[: max(vocab, len(vocabulary))]

    model = models.WordPiece({token: index for index, token in enumerate(vocabulary)}, unk_token="[UNK]")
    tokenizer = Tokenizer(model)
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, pre_tokenizer
    tokenizer.decoder = decoders.WordPiece(cleanup=False)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in tokens])
    if post_processor:
        ends = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
        tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return tokenizer


# The library's own trainer breaks ties by the order of a hash map: two trainings give two vocabularies.


def _letters(words: Iterable[str]) -> list[str]:
    """Single letters as they occur, at the beginning of a word or in it; plain Latin ones as both."""
    begin = {word[0] for word in words}
    inside = {letter for word in words for letter in word[1:]}
    latin = {letter for letter in begin | inside if letter.isascii()}
    return [*sorted(begin | latin), *(f"##{letter}" for letter in sorted(inside | latin))]


def _parts(words: Counter[str]) -> list[str]:
    """Words, their beginnings and their ends; those first that cover most of the text."""
    covered: Counter[str] = Counter()
    for word, count in words.items():
        for cut in range(1, len(word)):
            covered[word[:cut]] += count * cut
            covered[f"##{word[cut:]}"] += count * (len(word) - cut)
        covered[word] += count * len(word)
    return sorted(covered, key=lambda part: (-covered[part], part))
