"""How many patches an image processor makes, and how many its get_number_of_image_patches says that it makes."""

import sys

from PIL import Image
from transformers.models.deepseek_ocr2.image_processing_pil_deepseek_ocr2 import DeepseekOcr2ImageProcessorPil
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

differ = []


def compare(name, processor, count, width, height, options):
    made = count(processor(Image.new("RGB", (width, height)), return_tensors="np", **options))
    said = processor.get_number_of_image_patches(height, width, options)
    differ.append(said != made)
    print(f"{name}, {width}x{height}: makes {made}, says {said}")


qwen, got = Qwen2VLImageProcessorPil(), GotOcr2ImageProcessorPil()
few = {"size": {"shortest_edge": 56 * 56, "longest_edge": 64 * 28 * 28}}
compare("Qwen2-VL, size told to the call", qwen, lambda out: int(out["image_grid_thw"].prod()), 1000, 700, few)
small = {"size": {"height": 100, "width": 100}, "crop_to_patches": True}
compare("InternVL, size told to the call", got, lambda out: out["num_patches"][0], 634, 634, small)
compare("DeepSeek-OCR 2", DeepseekOcr2ImageProcessorPil(), lambda out: 1 + out["num_local_patches"][0], 700, 500, {})
docs = Idefics3ImageProcessorPil(size={"longest_edge": 500}, return_row_col_info=True)
for name, options in (("longest edge 500", {}), ("without splitting", {"do_image_splitting": False})):
    compare(f"Idefics3, {name}", docs, lambda o: (o.pixel_values.shape[1], *o.rows[0], *o.cols[0]), 500, 300, options)
sys.exit(0 if any(differ) else 1)
