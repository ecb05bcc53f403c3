"""Emu3's image processor: pictures with a side of 1 or 3 pixels."""

import sys

from PIL import Image
from transformers import Emu3ImageProcessor

processor, seen = Emu3ImageProcessor(min_pixels=4096, max_pixels=16384), []
for size in ((8, 4), (8, 3), (3, 8), (8, 1)):
    try:
        seen.append(tuple(int(side) for side in processor(Image.new("RGB", size))["image_sizes"][0]))
        print(size, seen[-1])
    except ValueError as error:
        seen.append(error)
        print(size, f"ValueError: {error}")
sys.exit(0 if isinstance(seen[-1], ValueError) else 1)
