"""Aria with split_image: how many placeholders each of two images gets, and how many crops there are."""

import sys

from PIL import Image
from tokenizers import Tokenizer, models
from transformers import AriaImageProcessorPil, AriaProcessor, PreTrainedTokenizerFast

words = Tokenizer(models.WordLevel({"<unk>": 0, "<image>": 1}, unk_token="<unk>"))
named = {"unk_token": "<unk>", "extra_special_tokens": {"image_token": "<image>"}}
tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, **named)
processor = AriaProcessor(AriaImageProcessorPil(), tokenizer, size_conversion={490: 1})
pictures = [Image.new("RGB", (400, 400)), Image.new("RGB", (1900, 400))]
crops = {"max_image_size": 490, "split_image": True}
for images in ([pictures[0]], [pictures[1]], pictures):
    output = processor(images, "<image>" * len(images), images_kwargs=crops, return_tensors="np")
    print(f"{[one.size for one in images]}: {output.input_ids.size} placeholders, {len(output.pixel_values)} crops")
sys.exit(0 if output.input_ids.size != len(output.pixel_values) else 1)
