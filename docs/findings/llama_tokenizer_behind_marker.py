"""Whether text right behind a special token has the ids that it has alone."""

import shutil
import sys
import tempfile
from pathlib import Path

import mistral_common
from transformers import LlamaTokenizer

model = next((Path(mistral_common.__file__).parent / "data").glob("*.model.v1"))
with tempfile.TemporaryDirectory() as folder:
    shutil.copy(model, Path(folder, "tokenizer.model"))
    kinds = {
        name: LlamaTokenizer.from_pretrained(folder, **options)
        for name, options in (("as it comes", {}), ("legacy=True", {"legacy": True}))
    }
behind = {}
for name, tokenizer in kinds.items():
    tokenizer.add_tokens(["<image>"], special_tokens=True)
    behind[name] = tokenizer.tokenize("<image>What")[1:]
    print(f"{name}: alone {tokenizer.tokenize('What')!a}, behind <image> {behind[name]!a}")
sys.exit(0 if behind["as it comes"] != behind["legacy=True"] else 1)
