"""The types of tokens that Janus, Ovis2 and DeepSeek-VL return for an image: 1 is one of an image."""

import sys

from PIL import Image
from tokenizers import Tokenizer, models
from transformers import (
    DeepseekVLImageProcessorPil,
    DeepseekVLProcessor,
    JanusImageProcessorPil,
    JanusProcessor,
    Ovis2ImageProcessorPil,
    Ovis2Processor,
)
from transformers import PreTrainedTokenizerFast as Fast

words = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
named = {"image_token": "<image>", "boi_token": "<boi>", "eoi_token": "<eoi>", "a": "<IMG_START>", "b": "<IMG_ATOM>"}
tokenizer = Fast(tokenizer_object=words, unk_token="<unk>", extra_special_tokens=named)
deepseek = DeepseekVLProcessor(DeepseekVLImageProcessorPil(), tokenizer, num_image_tokens=3)
janus = JanusProcessor(JanusImageProcessorPil(), tokenizer, num_image_tokens=3)
ovis2 = Ovis2Processor(Ovis2ImageProcessorPil(), tokenizer, image_seq_length=3)
types = {"return_mm_token_type_ids": True, "return_tensors": "np"}
for processor in (deepseek, janus, ovis2):
    output = processor(text="<image>", images=Image.new("RGB", (8, 8)), **types)
    print(type(processor).__name__, output["mm_token_type_ids"][0].tolist())
sys.exit(0 if not output["mm_token_type_ids"].any() else 1)
