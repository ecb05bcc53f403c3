"""Idefics2's image processor: an image that is one pixel high, with and without splitting."""

import sys

from PIL import Image
from transformers import Idefics2ImageProcessorPil

failed = 0
for height in (2, 1):
    for split in (False, True):
        processor = Idefics2ImageProcessorPil(do_image_splitting=split)
        try:
            print(height, split, len(processor([[Image.new("RGB", (8, height))]])["pixel_values"][0]))
        except ZeroDivisionError as error:
            failed += 1
            print(height, split, f"{type(error).__name__}: {error}")
sys.exit(0 if failed else 1)
