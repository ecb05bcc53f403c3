"""The grid of [IMG] tokens of one image, by transformers' image processor and by mistral-common's encoder."""

import sys

from mistral_common.tokens.tokenizers.image import ImageConfig, ImageEncoder, SpecialImageIDs
from PIL import Image
from transformers.models.pixtral.image_processing_pil_pixtral import PixtralImageProcessorPil


def grids(width, height, longest, patch, merge):
    image, step = Image.new("RGB", (width, height)), patch * merge
    config = ImageConfig(image_patch_size=patch, max_image_size=longest, spatial_merge_size=merge)
    encoder = ImageEncoder(config, SpecialImageIDs(img=10, img_break=12, img_end=13))
    processor = PixtralImageProcessorPil(size={"longest_edge": longest}, patch_size={"height": step, "width": step})
    try:
        rows, columns = (int(edge) // step for edge in processor(image, return_tensors="np")["image_sizes"][0])
    except ValueError:
        return "ValueError", encoder._image_to_num_tokens(image)
    return (columns, rows), encoder._image_to_num_tokens(image)


differ = []
for model in ((1024, 16, 1), (1540, 14, 2)):
    longest, step = model[0], model[1] * model[2]
    for size in ((step + 1, longest + 1), (1600, 1176), (1920, 1048), (3024, 4032), (1, longest + 1)):
        seen = grids(*size, *model)
        differ.append(seen[0] != seen[1])
        print(f"{model}: {size[0]}x{size[1]} is {seen[0]} in transformers, {seen[1]} in mistral-common")
sys.exit(0 if any(differ) else 1)
