"""Tekkenizer on negative ids."""

import sys
from pathlib import Path

import mistral_common
from mistral_common.tokens.tokenizers.tekken import SpecialTokenPolicy, Tekkenizer

tokenizer = Tekkenizer.from_file(Path(mistral_common.__file__).parent / "data" / "tekken_240911.json")
taken = 0
for number in (-1, -990, -1001, 131072):
    for policy in (SpecialTokenPolicy.KEEP, SpecialTokenPolicy.IGNORE):
        try:
            print(f"decode([{number}]), {policy.name}: {tokenizer.decode([number], policy)!r}")
            taken += 1
        except (IndexError, KeyError, ValueError) as error:
            print(f"decode([{number}]), {policy.name}: {type(error).__name__}")
print(f"is_special(-990): {tokenizer.is_special(-990)}")
sys.exit(0 if taken else 1)
