"""SentencePieceBackend(legacy=False) without unk_token, on text that begins with a blank."""

import sys
from pathlib import Path

import mistral_common
from transformers.tokenization_utils_sentencepiece import SentencePieceBackend

model = next((Path(mistral_common.__file__).parent / "data").glob("*.model.v7m1"))
tokenizer = SentencePieceBackend(vocab_file=str(model), legacy=False)
failed = 0
for text in ("hello", " hello"):
    try:
        print(f"{text!r}: {tokenizer.encode(text)}")
    except TypeError as error:
        failed += 1
        print(f"{text!r}: TypeError: {error}")
sys.exit(0 if failed else 1)
