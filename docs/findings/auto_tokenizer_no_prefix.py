"""A folder with nothing but a SentencePiece file, through AutoTokenizer."""

import shutil
import sys
import tempfile
from pathlib import Path

import mistral_common
import sentencepiece
from transformers import AutoTokenizer

model = next((Path(mistral_common.__file__).parent / "data").glob("*.model.v7m1"))
reference = sentencepiece.SentencePieceProcessor(model_file=str(model))
with tempfile.TemporaryDirectory() as folder:
    shutil.copy(model, Path(folder, "tokenizer.model"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
print(f"class: {type(tokenizer).__name__}")
print(f"'hello': {tokenizer.encode('hello', add_special_tokens=False)}")
print(f"'hello' in sentencepiece: {reference.encode('hello')}")
sys.exit(0 if tokenizer.encode("hello", add_special_tokens=False) != reference.encode("hello") else 1)
