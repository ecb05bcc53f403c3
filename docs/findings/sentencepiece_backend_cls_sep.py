"""What SentencePieceBackend, which is given no special tokens, puts round the ids of a text."""

import shutil
import sys
import tempfile
from pathlib import Path

import mistral_common
from transformers import SentencePieceBackend

model = next((Path(mistral_common.__file__).parent / "data").glob("*.model.v7m1"))
with tempfile.TemporaryDirectory() as folder:
    shutil.copy(model, Path(folder, "tokenizer.model"))
    tokenizer = SentencePieceBackend.from_pretrained(folder)
print(f"special_tokens_pattern: {tokenizer.special_tokens_pattern}")
print(f"round [7]: {tokenizer.build_inputs_with_special_tokens([7])}")
try:
    print(f"encode: {tokenizer.encode('hello')}")
except ValueError as error:
    print(f"encode raises ValueError: {error}")
    sys.exit(0)
sys.exit(1)
