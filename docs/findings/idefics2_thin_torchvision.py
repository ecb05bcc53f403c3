"""Idefics2's image processor with splitting, on both image backends: images that are one pixel wide, or high."""

import sys

from PIL import Image
from transformers import Idefics2ImageProcessor, Idefics2ImageProcessorPil

failed = []
for size in ((2, 8), (1, 8), (8, 1)):
    for cls in (Idefics2ImageProcessorPil, Idefics2ImageProcessor):
        try:
            crops = len(cls(do_image_splitting=True)([[Image.new("RGB", size)]])["pixel_values"][0])
            print("{}x{}".format(*size), cls.__name__, crops)
        except (ZeroDivisionError, RuntimeError) as error:
            failed.append(cls)
            print("{}x{}".format(*size), cls.__name__, f"{type(error).__name__}: {error}")
sys.exit(0 if Idefics2ImageProcessor in failed else 1)
