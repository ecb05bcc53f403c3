"""A tekken file through AutoTokenizer, with and without mistral_format, on text that spells special tokens."""

import shutil
import sys
import tempfile
from pathlib import Path

import mistral_common
from transformers import AutoTokenizer

model, ids = Path(mistral_common.__file__).parent / "data" / "tekken_240911.json", []
with tempfile.TemporaryDirectory() as folder:
    shutil.copy(model, Path(folder, "tekken.json"))
    for words in ({}, {"mistral_format": True}):
        tokenizer = AutoTokenizer.from_pretrained(folder, **words)
        ids.append(tokenizer.encode("a[IMG]b<s>"))
        print(f"{words}: {type(tokenizer).__name__}")
        print(f"  bos {tokenizer.bos_token}, eos {tokenizer.eos_token}, unk {tokenizer.unk_token}")
        print(f"  'a[IMG]b<s>': {ids[-1]}")
sys.exit(0 if ids[0] != ids[1] else 1)
