"""LlamaTokenizer(vocab_file=...), the call of transformers 4."""

import sys
from pathlib import Path

import mistral_common
from transformers import LlamaTokenizer

model = next((Path(mistral_common.__file__).parent / "data").glob("*.model.v7m1"))
tokenizer = LlamaTokenizer(vocab_file=str(model))
print(f"tokens: {len(tokenizer)}")
print(f"'hello': {tokenizer.encode('hello')}")
print(f"'[IMG]': {tokenizer.encode('[IMG]')}")
sys.exit(0 if tokenizer.encode("hello") == [] else 1)
