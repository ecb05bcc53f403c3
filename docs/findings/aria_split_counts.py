"""Two images of other forms in one call of Aria's processor, with split_image: placeholders against features."""

import sys

from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from transformers.models.aria.image_processing_pil_aria import AriaImageProcessorPil
from transformers.models.aria.processing_aria import AriaProcessor

plain = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
plain.pre_tokenizer = pre_tokenizers.Whitespace()
special = {"unk_token": "<unk>", "pad_token": "<unk>", "extra_special_tokens": {"image_token": "<image>"}}
tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, **special)
processor = AriaProcessor(AriaImageProcessorPil(max_image_size=490), tokenizer)
small, long = Image.new("RGB", (490, 490)), Image.new("RGB", (4000, 400))
differ = False
for name, images in (
    ("490x490", [small]),
    ("4000x400", [long]),
    ("both", [small, long]),
    ("490x490 twice", [small] * 2),
):
    options = {"split_image": True, "max_image_size": 490}
    found = processor(text="<image>" * len(images), images=images, images_kwargs=options, return_tensors="np")
    written = int((found["input_ids"] == tokenizer.image_token_id).sum())
    tiles = len(found["pixel_values"])  # the projector makes 128 features of each
    differ |= written != tiles * 128
    print(f"{name}: {written} placeholders, {tiles} tiles of 128 features are {tiles * 128}")
sys.exit(0 if differ else 1)
