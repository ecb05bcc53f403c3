"""SentencePieceBackend(add_bos_token=True)."""

import sys
from pathlib import Path

import mistral_common
from transformers.tokenization_utils_sentencepiece import SentencePieceBackend

model = next((Path(mistral_common.__file__).parent / "data").glob("*.model.v7m1"))
names = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
tokenizer = SentencePieceBackend(vocab_file=str(model), add_bos_token=True, **names)
print(f"bos_token_id: {tokenizer.bos_token_id}")
print(f"'hello': {tokenizer.encode('hello')}")
sys.exit(0 if tokenizer.encode("hello")[0] != tokenizer.bos_token_id else 1)
