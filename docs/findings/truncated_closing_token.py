"""A limit that cuts off nothing but the token that closes an image."""

import sys

from PIL import Image
from tokenizers import Tokenizer, models
from transformers import PaddleOCRVLImageProcessorPil, PaddleOCRVLProcessor, PreTrainedTokenizerFast

words = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
named = {"image_token": "<pad>", "start_token": "<start>", "end_token": "<end>"}
tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", extra_special_tokens=named)
sizes = {"size": {"shortest_edge": 3136, "longest_edge": 3136}}
processor = PaddleOCRVLProcessor(PaddleOCRVLImageProcessorPil(**sizes), tokenizer)
for limit in (6, 5):
    output = processor(Image.new("RGB", (56, 56)), "<start><pad><end>", max_length=limit, truncation=True)
    print(limit, tokenizer.decode(output["input_ids"][0]))
sys.exit(0 if len(output["input_ids"][0]) == 5 else 1)
