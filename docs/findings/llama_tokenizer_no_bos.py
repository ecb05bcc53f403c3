"""Whether LlamaTokenizer adds BOS when it is not told."""

import shutil
import sys
import tempfile
from pathlib import Path

import mistral_common
from transformers import LlamaTokenizer, LlamaTokenizerFast

model = next((Path(mistral_common.__file__).parent / "data").glob("*.model.v7m1"))
with tempfile.TemporaryDirectory() as folder:
    shutil.copy(model, Path(folder, "tokenizer.model"))
    slow, fast = (kind.from_pretrained(folder).encode("hello") for kind in (LlamaTokenizer, LlamaTokenizerFast))
    told = LlamaTokenizer.from_pretrained(folder, add_bos_token=True).encode("hello")
print(f"LlamaTokenizer: {slow}\nLlamaTokenizerFast: {fast}\nadd_bos_token=True: {told}")
print(f"the docstring says True: {'add_bos_token (`bool`, *optional*, defaults to `True`)' in LlamaTokenizer.__doc__}")
sys.exit(0 if slow != told else 1)
