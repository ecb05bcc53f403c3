"""An image of three squares side by side, each of one colour: how it is cut, and how many colours each tile shows."""

import sys

import numpy as np
from PIL import Image
from transformers.models.ovis2.image_processing_pil_ovis2 import Ovis2ImageProcessorPil

processor = Ovis2ImageProcessorPil(size={"height": 448, "width": 448}, crop_to_patches=True, max_patches=9)
wide = np.repeat(np.eye(3, dtype=np.uint8) * 200, 448, axis=0)[None].repeat(448, axis=0)
seen = []
for name, image in (("1344x448", wide), ("448x1344", wide.transpose(1, 0, 2))):
    found = processor(Image.fromarray(image), return_tensors="np", do_rescale=False, do_normalize=False)
    rows, columns = (int(number) for number in found["grids"][0])
    tiles = found["pixel_values"][1:]  # the first is the whole image
    colours = [int((tile.max(axis=(1, 2)) > 150).sum()) for tile in tiles]
    seen.append((rows, columns))
    print(f"{name}: {rows} rows, {columns} columns, colours in each tile: {colours}")
covering = {"use_covering_area_grid": False}
found = processor(Image.fromarray(wide), return_tensors="np", **covering)
print(f"1344x448 by the other rule, {covering}: {[int(number) for number in found['grids'][0]]}")
sys.exit(0 if seen == [(3, 1), (1, 3)] else 1)
