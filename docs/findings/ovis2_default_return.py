"""Ovis2: a call that does not say what it wants returned, and one that does."""

import sys

from PIL import Image
from tokenizers import Tokenizer, models
from transformers import Ovis2ImageProcessorPil, Ovis2Processor, PreTrainedTokenizerFast

words = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
named = {"unk_token": "<unk>", "extra_special_tokens": {"image_token": "<image>"}}
tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, **named)
processor = Ovis2Processor(Ovis2ImageProcessorPil(), tokenizer, image_seq_length=4)
for tensors in ("np", None):
    try:
        output = processor(Image.new("RGB", (8, 8)), "<image>", return_tensors=tensors)
        print(tensors, sorted(output))
    except AttributeError as error:
        output = None
        print(tensors, f"{type(error).__name__}: {error}")
sys.exit(0 if output is None else 1)
