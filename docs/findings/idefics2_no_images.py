"""Idefics2 and Idefics3: a prompt with an image, and no image."""

import sys

from tokenizers import Tokenizer, models
from transformers import Idefics2ImageProcessorPil, Idefics2Processor, Idefics3ImageProcessorPil, Idefics3Processor
from transformers import PreTrainedTokenizerFast as Fast

words = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
old = Idefics2Processor(Idefics2ImageProcessorPil(), Fast(tokenizer_object=words, unk_token="<unk>"), image_seq_len=4)
new = Idefics3Processor(Idefics3ImageProcessorPil(), Fast(tokenizer_object=words, unk_token="<unk>"), image_seq_len=4)
for processor in (new, old):
    try:
        output = processor(text="<image>")
        print(f"{type(processor).__name__}: {sorted(output)}, ids {output['input_ids'][0]}")
    except ValueError as error:
        print(f"{type(processor).__name__}: ValueError: {error}")
        output = None
sys.exit(0 if output is not None else 1)
