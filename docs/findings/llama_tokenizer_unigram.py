"""A Unigram model through transformers' LlamaTokenizer."""

import shutil
import sys
import tempfile
from pathlib import Path

import curated_tokenizers
import sentencepiece
from transformers import LlamaTokenizer

model = Path(curated_tokenizers.__file__).parent / "tests" / "toy.model"
reference = sentencepiece.SentencePieceProcessor(model_file=str(model))
with tempfile.TemporaryDirectory() as folder:
    shutil.copy(model, Path(folder, "tokenizer.model"))
    tokenizer = LlamaTokenizer.from_pretrained(folder)
ids = tokenizer.encode("hello there", add_special_tokens=False)
print(f"LlamaTokenizer: {tokenizer.convert_ids_to_tokens(ids)!a}")
print(f"sentencepiece:  {reference.encode('hello there', out_type=str)!a}")
sys.exit(0 if ids != reference.encode("hello there") else 1)
