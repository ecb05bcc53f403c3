"""DeepSeek-OCR 2's processor with and without crops: placeholders, and the pixels of which the model makes features."""

import sys

from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from transformers.models.deepseek_ocr2.image_processing_pil_deepseek_ocr2 import DeepseekOcr2ImageProcessorPil
from transformers.models.deepseek_ocr2.processing_deepseek_ocr2 import DeepseekOcr2Processor

plain = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
plain.pre_tokenizer = pre_tokenizers.Whitespace()
special = {"unk_token": "<unk>", "pad_token": "<unk>", "extra_special_tokens": {"image_token": "<image>"}}
tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, **special)
processor = DeepseekOcr2Processor(DeepseekOcr2ImageProcessorPil(), tokenizer)
differ = False
for crop in (True, False):
    image = Image.new("RGB", (700, 500))
    found = processor(text="<image>", images=[image], crop_to_patches=crop, return_tensors="np")
    written, side = int((found["input_ids"] == tokenizer.image_token_id).sum()), found["pixel_values"].shape[-1]
    features = (side // 16 // 4) ** 2 + 1  # patches of 16 pixels, 4 x 4 of them to a query; and the separator
    differ |= written != features
    print(f"crop_to_patches={crop}: {written} placeholders, {side}x{side} pixels are {features} features")
sys.exit(0 if differ else 1)
