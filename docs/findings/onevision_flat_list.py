"""LLaVA-OneVision: two pictures of one sample, in a list of their own for the sample and in one flat list."""

import sys

from PIL import Image
from transformers import LlavaOnevisionImageProcessorPil, LlavaOnevisionProcessor

images = LlavaOnevisionImageProcessorPil()
processor = LlavaOnevisionProcessor.__new__(LlavaOnevisionProcessor)  # no tokenizer: what follows needs none
vars(processor).update(image_processor=images, image_token="#", num_image_tokens=27 * 27)
vars(processor).update(vision_aspect_ratio="anyres_max_9", vision_feature_select_strategy="full")
pictures = [Image.new("RGB", (640, 480)), Image.new("RGB", (640, 480))]
counts = []
for name, given in (("nested", [pictures]), ("flat", pictures)):
    output = images(given, return_tensors="np")
    counts.append([len(processor.replace_image_token(output, number)) for number in range(2)])
    print(f"{name}: batch_num_images {list(map(int, output['batch_num_images']))}, placeholders {counts[-1]}")
sys.exit(0 if counts[0] != counts[1] else 1)
