"""SentencePieceBackend on text whose characters are byte pieces."""

import sys
from pathlib import Path

import mistral_common
import sentencepiece
from transformers.tokenization_utils_sentencepiece import SentencePieceBackend

model = str(next((Path(mistral_common.__file__).parent / "data").glob("*.model.v7m1")))
tokenizer = SentencePieceBackend(vocab_file=model, unk_token="<unk>")
reference = sentencepiece.SentencePieceProcessor(model_file=model)
texts = ("a\nb", "a \U0001f9ff", " a ")
for text in texts:
    ids = tokenizer.encode(text)
    print(f"{text!a}: SentencePieceBackend {tokenizer.decode(ids)!a}, sentencepiece {reference.decode(ids)!a}")
sys.exit(0 if any(tokenizer.decode(tokenizer.encode(text)) != text for text in texts) else 1)
