"""GOT-OCR 2: one image for two markers, and two images for one."""

import sys

from PIL import Image
from tokenizers import Tokenizer, models
from transformers import GotOcr2ImageProcessorPil, GotOcr2Processor, PreTrainedTokenizerFast

words = Tokenizer(models.WordLevel({"<unk>": 0, "<imgpad>": 1}, unk_token="<unk>"))
tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>")
tokenizer.add_tokens(["<imgpad>"], special_tokens=True)
processor = GotOcr2Processor(GotOcr2ImageProcessorPil(), tokenizer)
for markers, images in ((1, 1), (2, 1), (1, 2)):
    try:
        output = processor([Image.new("RGB", (8, 8))] * images, "<imgpad>" * markers)
        ids, pictures = len(output["input_ids"][0]), len(output["pixel_values"])
        print(f"{markers} marked, {images} given: {ids} ids, {pictures} images")
    except Exception as error:
        output = None
        print(f"{markers} marked, {images} given: {type(error).__name__}")
sys.exit(0 if output is not None else 1)
