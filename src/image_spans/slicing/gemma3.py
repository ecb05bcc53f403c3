"""Gemma 3's pan and scan: a long image is cut along its longer side, where that is switched on; with an overview.

Source: "Gemma 3 Technical Report" (arXiv 2503.19786), section 2.1, and ``pan_and_scan`` in transformers'
image_processing_gemma3.py (5.23), contributed with the model. Without pan and scan an image is one block, for the
grammar ``paired``; with it, sentences stand between the blocks, so a grammar of one's own is needed.
"""

from __future__ import annotations

import math

from image_spans.slicing import Block, Layout


def layout(
    width: int,
    height: int,
    number_of_images: int,
    *,
    slots: int = 256,
    pan_and_scan: bool = False,
    min_crop_size: int = 256,
    max_num_crops: int = 4,
    min_ratio: float = 1.2,
) -> Layout:
    """The overview and, with ``pan_and_scan``, the crops: one row of a wide image, one column of a high one.

    Args:
        slots: placeholders of each crop and of the overview.
        pan_and_scan: whether images are cut at all (``do_pan_and_scan``).
        min_crop_size: an image is not cut if a crop had a shorter side (``pan_and_scan_min_crop_size``).
        max_num_crops: how many crops at most (``pan_and_scan_max_num_crops``).
        min_ratio: longer to shorter side from which an image is cut (``pan_and_scan_min_ratio_to_activate``).
    """
    block = Block(1, slots)
    longer, shorter = max(width, height), min(width, height)
    if not pan_and_scan or longer / shorter < min_ratio:
        return Layout(block)
    crops = min(math.floor(longer / min_crop_size), math.floor(longer / shorter + 0.5))
    crops = min(max(crops, 2), max_num_crops)
    if min(math.ceil(longer / crops), shorter) < min_crop_size:
        return Layout(block)
    return Layout(block, ((block,) * crops,) if width >= height else ((block,),) * crops)
