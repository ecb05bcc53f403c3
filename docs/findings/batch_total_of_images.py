"""LLaVA-NeXT: a batch of two samples with one marker each, and a list of images for each."""

import sys

from PIL import Image
from tokenizers import Tokenizer, models
from transformers import LlavaNextImageProcessorPil, LlavaNextProcessor, PreTrainedTokenizerFast

words = Tokenizer(models.WordLevel({"<unk>": 0, "<image>": 1}, unk_token="<unk>"))
tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", pad_token="<unk>")
tokenizer.add_tokens(["<image>"], special_tokens=True)
options = {"patch_size": 14, "num_additional_image_tokens": 1, "vision_feature_select_strategy": "default"}
processor = LlavaNextProcessor(LlavaNextImageProcessorPil(), tokenizer, **options)
square, wide = Image.new("RGB", (400, 400)), Image.new("RGB", (900, 300))
seen = []
for images in ([[square], [wide]], [[square, wide], [wide]], [[square, wide], []]):
    given = " and ".join(str(len(sample)) for sample in images)
    try:
        rows = processor(images=images, text=["<image>"] * 2, padding=True)["input_ids"]
        seen.append(" and ".join(str(row.count(1)) for row in rows) + " placeholders")
    except ValueError as error:
        seen.append(str(error).split(". ")[-1])
    print(f"{given} images: {seen[-1]}")
sys.exit(0 if seen[-1] == seen[0] else 1)
