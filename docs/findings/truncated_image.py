"""Janus and Ovis2: a limit that cuts through an image."""

import sys

from PIL import Image
from tokenizers import Tokenizer, models
from transformers import JanusImageProcessorPil, JanusProcessor, Ovis2ImageProcessorPil, Ovis2Processor
from transformers import PreTrainedTokenizerFast as Fast

words = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
named = {
    "image_token": "<image>",
    "boi_token": "<boi>",
    "eoi_token": "<eoi>",
    "open": "<IMG_START>",
    "atom": "<IMG_ATOM>",
}
tokenizer = Fast(tokenizer_object=words, unk_token="<unk>", extra_special_tokens=named)
janus = JanusProcessor(JanusImageProcessorPil(), tokenizer, num_image_tokens=4)
ovis2 = Ovis2Processor(Ovis2ImageProcessorPil(), tokenizer, image_seq_length=4)
limit = {"max_length": 3, "truncation": True, "return_tensors": "np"}
for processor in (janus, ovis2):
    output = processor(text="<image>", images=Image.new("RGB", (8, 8)), **limit)
    print(type(processor).__name__, tokenizer.decode(output["input_ids"][0]), output["pixel_values"].shape[0], "image")
sys.exit(0 if output["input_ids"].size == 3 else 1)
