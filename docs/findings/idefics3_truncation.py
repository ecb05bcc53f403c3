"""Idefics3: a limit that cuts through an image, and another processor at such a limit."""

import sys

from PIL import Image
from tokenizers import Tokenizer, models
from transformers import Idefics3ImageProcessorPil, Idefics3Processor, LlavaImageProcessorPil, LlavaProcessor
from transformers import PreTrainedTokenizerFast as Fast

words = Tokenizer(models.WordLevel({"<unk>": 0, "<image>": 1}, unk_token="<unk>"))
three = Idefics3Processor(Idefics3ImageProcessorPil(), Fast(tokenizer_object=words, unk_token="<unk>"), image_seq_len=4)
named = {"unk_token": "<unk>", "extra_special_tokens": {"image_token": "<image>"}}
llava = LlavaProcessor(LlavaImageProcessorPil(), Fast(tokenizer_object=words, **named), patch_size=112)
for processor in (llava, three):
    try:
        processor(Image.new("RGB", (8, 8)), "<image>", max_length=2, truncation=True)
    except Exception as error:
        last = error
        print(f"{type(processor).__name__}: {type(error).__name__}: {str(error)[:48]}")
sys.exit(0 if isinstance(last, TypeError) else 1)
