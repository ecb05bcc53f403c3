"""Gemma 3: text that spells the marker of an image, and text that spells its placeholder."""

import sys

from PIL import Image
from tokenizers import Tokenizer, models
from transformers import Gemma3ImageProcessorPil, Gemma3Processor, PreTrainedTokenizerFast

words = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
named = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", extra_special_tokens=named)
processor = Gemma3Processor(Gemma3ImageProcessorPil(), tokenizer, image_seq_length=4)
for typed in ("", "<start_of_image>", "<image_soft_token>"):
    try:
        output = processor(Image.new("RGB", (8, 8)), f"<start_of_image>{typed}")
        count = output["input_ids"][0].count(tokenizer.image_token_id)
        print(f"{typed or 'nothing'}: {count} placeholders for {processor.image_seq_length} features")
    except ValueError as error:
        print(f"{typed}: ValueError: {str(error)[:42]}")
sys.exit(0 if count > processor.image_seq_length else 1)
