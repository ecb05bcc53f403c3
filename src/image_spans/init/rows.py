"""Which slice rule an image processor follows, and where its options stand in the checkpoint's files. Data.

Each row is one way to one rule: the image processors of transformers (and of model repositories) that follow it, how
placeholders are laid out, and the places of the options. That rule and class agree is what
tests/unit/test_processor_rules.py compares over a sweep of sizes; a rule's module names its source.
"""

from __future__ import annotations

from collections.abc import Mapping

from image_spans.init.places import (
    Place,
    Row,
    anyres_most,
    aria_slots,
    aya_slots,
    class_token,
    constant,
    internvl_chat_slots,
    llama4_slots,
    minicpm4_6_slots,
    negated,
    onevision_patch,
    pixtral_patch,
    square,
)


def _per(rule: str) -> Mapping[str, Place]:
    return {"rule": constant(rule), "per": SLOTS}


_PIXELS: Mapping[str, Place] = {
    "min_pixels": ("images.min_pixels", "images.size.shortest_edge", "images.size.min_pixels"),
    "max_pixels": ("images.max_pixels", "images.size.longest_edge", "images.size.max_pixels"),
}
_GRID_THW: Mapping[str, Place] = {"rule": constant("grid_thw")}
_GRID_ROWS: Mapping[str, Place] = {"rule": constant("grid_rows"), "plus": constant(2)}
_GRID: Mapping[str, Place] = {"patch": "images.patch_size", "merge": "images.merge_size", **_PIXELS}
_TILES: Mapping[str, Place] = {
    "tile": ("images.size.height", "images.size"),
    "min_patches": "images.min_patches",
    "max_patches": "images.max_patches",
}
_LENGTH: Place = (
    "processor.image_seq_length",
    "images.image_seq_length",
    "processor.image_seq_len",
    "model.mm_tokens_per_image",
)
SLOTS: Place = "slots"
"""In ``counts``: the slots of one block."""
_PATCHES: Mapping[str, Place] = {
    "rule": constant("image_sizes"),
    "patch": pixtral_patch,
}
_LLAVA_PATCH: Place = ("processor.patch_size", "model.vision_config.patch_size")
_SLICES: Mapping[str, Place] = {
    "scale_resolution": "images.scale_resolution",
    "max_slice_nums": "images.max_slice_nums",
    "never_split": negated("images.slice_mode"),
}
_SAME_SPAN = {"grammar": "same_span", "overview": "last"}
_PIXTRAL: Mapping[str, Place] = {
    "size": "images.size.longest_edge",
    "patch": ("processor.patch_size", "images.patch_size"),
    "merge": ("processor.spatial_merge_size", "model.spatial_merge_size"),
    "rounding": constant("down"),
}

ROWS: tuple[Row, ...] = (
    Row(
        "qwen2_vl",
        (
            *("Qwen2VLImageProcessor", "Ernie4_5_VLMoeImageProcessor"),
            *("VideoLlama3ImageProcessor", "CohereCompassImageProcessor"),
        ),
        "paired",
        _GRID,
        counts=_GRID_THW,
    ),
    Row(
        "glm4v",
        ("Glm4vImageProcessor", "Glm46VImageProcessor"),
        "paired",
        {**_GRID, "frames": "images.temporal_patch_size"},
        counts=_GRID_THW,
    ),
    Row(
        "glm4v",
        ("Cosmos3EdgeImageProcessor",),
        "paired",
        {**_GRID, "frames": constant(1)},
        counts=_GRID_THW,
    ),
    Row(
        "glm5_next",
        ("Glm5NextImageProcessor",),
        "paired",
        {"patch": "images.patch_size", "merge": "images.merge_size", "max_slots": "images.max_image_tokens"},
        counts=_GRID_THW,
    ),
    Row("paddleocr_vl", ("PaddleOCRVLImageProcessor",), "paired", _GRID, counts=_GRID_THW),
    Row(
        "hunyuan_vl",
        ("HunYuanVLImageProcessor",),
        "paired",
        _GRID,
        counts=_GRID_ROWS,
    ),
    Row(
        "emu3",
        ("Emu3ImageProcessor",),
        "own",
        _PIXELS,
        counts={"rule": constant("image_sizes"), "patch": constant(8), "row_end": constant(1)},
    ),
    Row("pixtral", ("PixtralImageProcessor",), "run", _PIXTRAL, processors=("LightOnOcrProcessor",), counts=_PATCHES),
    Row("pixtral", ("PixtralImageProcessor",), "rows", _PIXTRAL, counts=_PATCHES),
    Row(
        "internvl",
        (),
        "paired",
        {
            "tile": ("model.force_image_size", "model.vision_config.image_size"),
            "min_patches": "model.min_dynamic_patch",
            "max_patches": "model.max_dynamic_patch",
        },
        model_types=("internvl_chat",),
        slots=internvl_chat_slots,
        slices=_SAME_SPAN,
    ),
    Row(
        "internvl",
        ("GotOcr2ImageProcessor",),
        "paired",
        _TILES,
        processors=("InternVLProcessor", "QianfanOCRProcessor"),
        slots=_LENGTH,
        slices=_SAME_SPAN,
        counts=_per("num_patches"),
    ),
    Row("internvl", ("GotOcr2ImageProcessor",), "own", _TILES, processors=("AyaVisionProcessor",), slots=aya_slots),
    Row(
        "fixed",
        ("GotOcr2ImageProcessor",),
        "paired",
        processors=("GotOcr2Processor",),
        slots=constant(256),
        counts=_per("num_patches"),
    ),
    Row(
        "minicpm",
        ("MiniCPMVImageProcessor",),
        "paired",
        _SLICES,
        slots="images.image_feature_size",
        slices={"grammar": "flat"},
    ),
    Row(
        "minicpm4_6",
        ("MiniCPMV4_6ImageProcessor",),
        "paired",
        _SLICES,
        slots=minicpm4_6_slots,
        slices={"grammar": "flat"},
        counts={"rule": constant("target_sizes"), "merge": constant(16)},
    ),
    Row(
        "idefics3",
        ("Idefics3ImageProcessor", "SmolVLMImageProcessor"),
        "own",
        {
            "tile": "images.max_image_size.longest_edge",
            "longest": "images.size.longest_edge",
            "split": "images.do_image_splitting",
        },
        slots="processor.image_seq_len",
        counts=_per("rows_cols"),
    ),
    Row(
        "granite_docling",
        ("GraniteDoclingImageProcessor",),
        "own",
        _TILES,
        splits="images.crop_to_patches",
        slots="processor.image_seq_len",
        counts=_per("rows_cols_whole"),
    ),
    Row(
        "llava_next",
        ("LlavaNextImageProcessor",),
        "run",
        {
            "pinpoints": ("images.image_grid_pinpoints", "model.image_grid_pinpoints"),
            "tile": ("images.crop_size.height", "images.size.shortest_edge"),
            "patch": _LLAVA_PATCH,
        },
        processors=("LlavaNextProcessor",),
        counts={
            "rule": constant("anyres"),
            "side": ("images.crop_size.height", "images.size.shortest_edge"),
            "patch": _LLAVA_PATCH,
        },
    ),
    Row(
        "llava_onevision",
        ("LlavaOnevisionImageProcessor",),
        "run",
        {
            "pinpoints": "images.image_grid_pinpoints",
            "tile": ("images.size.height", "images.size"),
            "patch": onevision_patch,
            "max_patches": anyres_most,
        },
        counts={
            "rule": constant("anyres"),
            "side": ("images.size.height", "images.size"),
            "patch": onevision_patch,
            "most": anyres_most,
        },
    ),
    Row(
        "fixed",
        ("LlavaImageProcessor", "CLIPImageProcessor"),
        "run",
        processors=("LlavaProcessor",),
        slots=square(
            ("images.crop_size.height", "images.size.shortest_edge"),
            _LLAVA_PATCH,
            more=class_token,
        ),
        counts={"rule": constant("pixels"), "patch": _LLAVA_PATCH, "plus": class_token},
    ),
    Row(
        "fixed",
        ("SiglipImageProcessor",),
        "run",
        processors=("PaliGemmaProcessor",),
        slots=_LENGTH,
        counts=_per("constant"),
    ),
    Row(
        "fixed",
        ("SiglipImageProcessor",),
        "paired",
        processors=("Gemma3nProcessor",),
        around=("\n\n", "\n\n"),
        slots=_LENGTH,
        counts=_per("constant"),
    ),
    Row(
        "gemma3",
        ("Gemma3ImageProcessor",),
        "paired",
        {
            "pan_and_scan": lambda settings: bool(settings.get("images.do_pan_and_scan")),
            "min_crop_size": "images.pan_and_scan_min_crop_size",
            "max_num_crops": "images.pan_and_scan_max_num_crops",
            "min_ratio": "images.pan_and_scan_min_ratio_to_activate",
        },
        around=("\n\n", "\n\n"),
        slots=_LENGTH,
        counts=_per("num_crops"),
    ),
    Row(
        "gemma4",
        ("Gemma4ImageProcessor",),
        "paired",
        {
            "patch": "images.patch_size",
            "pool": "images.pooling_kernel_size",
            "max_soft_tokens": "images.max_soft_tokens",
        },
        counts={"rule": constant("listed"), "key": constant("num_soft_tokens_per_image")},
    ),
    Row(
        "llama4",
        ("Llama4ImageProcessor",),
        "paired",
        {"tile": ("images.size.height", "images.size"), "max_patches": "images.max_patches"},
        placeholder="<|patch|>",
        slots=llama4_slots,
        slices=_SAME_SPAN,
    ),
    Row(
        "ovis2",
        ("Ovis2ImageProcessor",),
        "own",
        {
            "tile": ("images.size.height", "images.size"),
            "max_patches": "images.max_patches",
            "transposed": constant(True),
        },
        placeholder="<img_atom>",
        splits="images.crop_to_patches",
        slots="processor.image_seq_length",
        counts=_per("grids"),
    ),
    Row(
        "aria",
        ("AriaImageProcessor",),
        "run",
        {"tile": "images.max_image_size", "split": "images.split_image", "resolutions": "images.split_resolutions"},
        splits="images.split_image",
        slots=aria_slots,
    ),
    Row(
        "deepseek_ocr2",
        ("DeepseekOcr2ImageProcessor",),
        "run",
        {"tile": "images.tile_size", "tile_slots": square("images.tile_size", constant(64))},
        slots=square(("images.size.height", "images.size"), constant(64)),
    ),
    Row("fixed", ("ChameleonImageProcessor",), "paired", slots="processor.image_seq_length", counts=_per("constant")),
    Row("fixed", ("JanusImageProcessor",), "paired", slots="processor.num_image_tokens", counts=_per("constant")),
    Row(
        "fixed",
        ("DeepseekVLImageProcessor", "DeepseekVLHybridImageProcessor"),
        "run",
        slots="processor.num_image_tokens",
        counts=_per("constant"),
    ),
    Row("fixed", ("MllamaImageProcessor",), "run", slots=constant(1), counts=_per("constant")),
)
