"""Mllama's image processor on both image backends: batches of two samples, of which one may have no image."""

import sys

from PIL import Image
from transformers import MllamaImageProcessor, MllamaImageProcessorPil

picture, wrong = Image.new("RGB", (30, 20)), []
for batch in ([[picture], [picture]], [[picture], []], [[], [picture]]):
    for cls in (MllamaImageProcessorPil, MllamaImageProcessor):
        name = f"{[len(sample) for sample in batch]} {cls.__name__}:"
        try:
            found = cls(size={"height": 56, "width": 56})(batch, return_tensors="np")
        except IndexError as error:
            wrong.append(name)
            print(name, f"IndexError: {error}")
            continue
        rows = {key: found[key].shape[0] for key in ("pixel_values", "aspect_ratio_ids", "aspect_ratio_mask")}
        print(name, rows)
        if set(rows.values()) != {2}:
            wrong.append(name)
sys.exit(0 if wrong else 1)
