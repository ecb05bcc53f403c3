"""Which slice rule an image processor follows, and where its options stand in the checkpoint's files. Data.

Each row is one way to one rule: the image processors of transformers (and of model repositories) that follow it, how
placeholders are laid out, and the places of the options. That rule and class agree is what
tests/unit/test_processor_rules.py compares over a sweep of sizes; a rule's module names its source.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from image_spans.init.settings import Settings

Place: TypeAlias = str | tuple[str, ...] | Callable[[Settings], Any]
"""``part.key.key``, the first of several that there is, or what computes it (None: it cannot)."""


def value(settings: Settings, place: Place) -> Any:
    """What stands at a place; None where nothing does."""
    if callable(place):
        return place(settings)
    for one in (place,) if isinstance(place, str) else place:
        found = settings.get(one)
        if isinstance(found, Mapping) and set(found) == {"height", "width"}:
            found = found["height"]  # all rules know squares only
        if found is not None and not isinstance(found, Mapping):
            return found
    return None


def _square(side: Place, patch: Place, more: Callable[[Settings], int] = lambda _: 0) -> Place:
    """The slots of a square: its patches, and ``more``."""

    def count(settings: Settings) -> int | None:
        length, step = value(settings, side), value(settings, patch)
        if type(length) is not int or type(step) is not int or step < 1:
            return None
        per_side = int(length // step)
        return per_side * per_side + more(settings)

    return count


def _class_token(settings: Settings) -> int:
    """What LLaVA's vision tower gives besides patches, unless that is left out."""
    extra = settings.get("processor.num_additional_image_tokens")
    drops = bool(settings.get("processor.vision_feature_select_strategy") != "full")
    return (extra if type(extra) is int else 1) - drops


def _is(constant: Any) -> Place:
    """A value that every checkpoint has."""
    return lambda _: constant


def _not(place: str) -> Place:
    return lambda settings: None if settings.get(place) is None else not settings.get(place)


def _llama4_slots(settings: Settings) -> int | None:
    side, patch = (
        value(settings, "images.size"),
        value(settings, ("processor.patch_size", "model.vision_config.patch_size")),
    )
    ratio = value(settings, ("processor.pixel_shuffle_ratio", "model.vision_config.pixel_shuffle_ratio"))
    if type(side) is not int or type(patch) is not int or not isinstance(ratio, float):
        return None
    return round((side // patch) ** 2 * ratio**2)


def _internvl_chat_slots(settings: Settings) -> int | None:
    side = value(settings, ("model.force_image_size", "model.vision_config.image_size"))
    patch, ratio = value(settings, "model.vision_config.patch_size"), value(settings, "model.downsample_ratio")
    if type(side) is not int or type(patch) is not int or not isinstance(ratio, float):
        return None
    return int((side // patch) ** 2 * ratio**2)


def _minicpm4_6_slots(settings: Settings) -> int | None:
    side = value(settings, "images.scale_resolution")
    merged = 4 if settings.get("images.downsample_mode") == "4x" else 16
    return (side // 14) ** 2 // merged if type(side) is int else None


def _pixtral_patch(settings: Settings) -> int | None:
    patch = value(settings, ("processor.patch_size", "images.patch_size"))
    merge = value(settings, ("processor.spatial_merge_size", "model.spatial_merge_size"))
    return patch * (merge if type(merge) is int else 1) if type(patch) is int else None


def _aya_slots(settings: Settings) -> int | None:
    side, patch, factor = (settings.get(f"processor.{key}") for key in ("img_size", "patch_size", "downsample_factor"))
    return (side // (patch * factor)) ** 2 if all(type(one) is int and one for one in (side, patch, factor)) else None


def _anyres_most(settings: Settings) -> int | None:
    text = value(settings, ("processor.vision_aspect_ratio", "model.vision_aspect_ratio"))
    number = text.removeprefix("anyres_max_") if isinstance(text, str) else ""
    return int(number) if number.isdigit() else None


def _onevision_patch(settings: Settings) -> int | None:
    side, slots = value(settings, "images.size"), value(settings, "processor.num_image_tokens")
    if type(side) is not int or type(slots) is not int or math.isqrt(slots) ** 2 != slots or not slots:
        return None
    return side // math.isqrt(slots)


@dataclass(frozen=True)
class Row:
    """One way to one rule."""

    rule: str
    image_processors: tuple[str, ...]
    grammar: Literal["run", "paired", "rows", "own"]
    options: Mapping[str, Place] = field(default_factory=dict)
    """Option of the rule to where it stands."""
    processors: tuple[str, ...] = ()
    """Where the image processor serves several families: those that follow this rule."""
    model_types: tuple[str, ...] = ()
    """The same, as config.json names them; for code that lies in model repositories."""
    slots: Place | None = None
    """Where the number of slots of each block stands: an option of the rule, and the contract's number under slices."""
    placeholder: str | None = None
    """The token that the processor puts in for the one that it names, as :mod:`names` writes it."""
    splits: str | None = None
    """The switch of splitting: where it is false, an image is one block."""
    around: tuple[str, str] = ("", "")
    """Text that the processor writes before and behind an image."""
    slices: Mapping[str, Any] | None = None
    """Further keys of ``contract.slices``, where blocks are slices of their own."""
    counts: Mapping[str, Place] | None = None
    """The rule that reads features in the image processor's output (``pipelines/_counts.py``), with its options."""


def _per(rule: str) -> Mapping[str, Place]:
    return {"rule": _is(rule), "per": _SLOTS}


_PIXELS: Mapping[str, Place] = {
    "min_pixels": ("images.min_pixels", "images.size.shortest_edge", "images.size.min_pixels"),
    "max_pixels": ("images.max_pixels", "images.size.longest_edge", "images.size.max_pixels"),
}
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
_SLOTS: Place = "slots"
"""In ``counts``: the slots of one block."""
_PATCHES: Mapping[str, Place] = {
    "rule": _is("image_sizes"),
    "patch": _pixtral_patch,
}
_LLAVA_PATCH: Place = ("processor.patch_size", "model.vision_config.patch_size")
_SAME_SPAN = {"grammar": "same_span", "overview": "last"}
_PIXTRAL: Mapping[str, Place] = {
    "size": "images.size.longest_edge",
    "patch": ("processor.patch_size", "images.patch_size"),
    "merge": ("processor.spatial_merge_size", "model.spatial_merge_size"),
    "rounding": _is("down"),
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
        counts={"rule": _is("grid_thw")},
    ),
    Row(
        "glm4v",
        ("Glm4vImageProcessor", "Glm46VImageProcessor"),
        "paired",
        {**_GRID, "frames": "images.temporal_patch_size"},
        counts={"rule": _is("grid_thw")},
    ),
    Row(
        "glm4v", ("Cosmos3EdgeImageProcessor",), "paired", {**_GRID, "frames": _is(1)}, counts={"rule": _is("grid_thw")}
    ),
    Row(
        "glm5_next",
        ("Glm5NextImageProcessor",),
        "paired",
        {"patch": "images.patch_size", "merge": "images.merge_size", "max_slots": "images.max_image_tokens"},
        counts={"rule": _is("grid_thw")},
    ),
    Row("paddleocr_vl", ("PaddleOCRVLImageProcessor",), "paired", _GRID, counts={"rule": _is("grid_thw")}),
    Row("hunyuan_vl", ("HunYuanVLImageProcessor",), "paired", _GRID, counts={"rule": _is("grid_rows"), "plus": _is(2)}),
    Row(
        "emu3",
        ("Emu3ImageProcessor",),
        "own",
        _PIXELS,
        counts={"rule": _is("image_sizes"), "patch": _is(8), "row_end": _is(1)},
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
        slots=_internvl_chat_slots,
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
    Row("internvl", ("GotOcr2ImageProcessor",), "own", _TILES, processors=("AyaVisionProcessor",), slots=_aya_slots),
    Row(
        "fixed",
        ("GotOcr2ImageProcessor",),
        "paired",
        processors=("GotOcr2Processor",),
        slots=_is(256),
        counts=_per("num_patches"),
    ),
    Row(
        "minicpm",
        ("MiniCPMVImageProcessor",),
        "paired",
        {
            "scale_resolution": "images.scale_resolution",
            "max_slice_nums": "images.max_slice_nums",
            "never_split": _not("images.slice_mode"),
        },
        slots="images.image_feature_size",
        slices={"grammar": "flat"},
    ),
    Row(
        "minicpm4_6",
        ("MiniCPMV4_6ImageProcessor",),
        "paired",
        {
            "scale_resolution": "images.scale_resolution",
            "max_slice_nums": "images.max_slice_nums",
            "never_split": _not("images.slice_mode"),
        },
        slots=_minicpm4_6_slots,
        slices={"grammar": "flat"},
        counts={"rule": _is("target_sizes"), "merge": _is(16)},
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
            "rule": _is("anyres"),
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
            "patch": _onevision_patch,
            "max_patches": _anyres_most,
        },
        counts={
            "rule": _is("anyres"),
            "side": ("images.size.height", "images.size"),
            "patch": _onevision_patch,
            "most": _anyres_most,
        },
    ),
    Row(
        "fixed",
        ("LlavaImageProcessor", "CLIPImageProcessor"),
        "run",
        processors=("LlavaProcessor",),
        slots=_square(
            ("images.crop_size.height", "images.size.shortest_edge"),
            _LLAVA_PATCH,
            more=_class_token,
        ),
        counts={"rule": _is("pixels"), "patch": _LLAVA_PATCH, "plus": _class_token},
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
        counts={"rule": _is("listed"), "key": _is("num_soft_tokens_per_image")},
    ),
    Row(
        "llama4",
        ("Llama4ImageProcessor",),
        "paired",
        {"tile": ("images.size.height", "images.size"), "max_patches": "images.max_patches"},
        placeholder="<|patch|>",
        slots=_llama4_slots,
        slices=_SAME_SPAN,
    ),
    Row(
        "ovis2",
        ("Ovis2ImageProcessor",),
        "own",
        {
            "tile": ("images.size.height", "images.size"),
            "max_patches": "images.max_patches",
            "transposed": _is(True),
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
        slots=lambda settings: value(settings, f"processor.size_conversion.{settings.get('images.max_image_size')}"),
    ),
    Row(
        "deepseek_ocr2",
        ("DeepseekOcr2ImageProcessor",),
        "run",
        {"tile": "images.tile_size", "tile_slots": _square("images.tile_size", _is(64))},
        slots=_square(("images.size.height", "images.size"), _is(64)),
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
    Row("fixed", ("MllamaImageProcessor",), "run", slots=_is(1), counts=_per("constant")),
)


def row_of(settings: Settings) -> Row | None:
    """The way to a rule that the files name; None: they name none, or one that is not known."""
    for row in ROWS:
        if row.model_types:
            fits = settings.model_type in row.model_types
        else:
            fits = settings.image_processor in row.image_processors
            if row.processors and fits:
                fits = settings.processor_class in row.processors
        if fits:
            return row
    return None


@dataclass(frozen=True)
class Rule:
    """What a row says of one checkpoint."""

    row: Row
    options: Mapping[str, Any]
    slots: int | None
    """Of each block."""
    counts: Mapping[str, Any] | None
    """The option ``counts`` of the pipeline ``processor``."""
    alike: bool
    """Whether each image is one block of as many slots."""
    missing: tuple[str, ...]
    """Options that the files do not state; the rule's own numbers hold then."""


def rule_of(settings: Settings) -> Rule | None:
    """The rule of a checkpoint, with its options; None: the files name none that is known."""
    row = row_of(settings)
    if row is None:
        return None
    found = {name: value(settings, place) for name, place in row.options.items()}
    slots = None if row.slots is None else value(settings, row.slots)
    missing = tuple(name for name, one in found.items() if one is None)
    options = {name: one for name, one in found.items() if one is not None}
    slots = slots if type(slots) is int and slots > 0 else None
    pan_and_scan = row.rule == "gemma3" and options["pan_and_scan"]
    whole = row.splits is not None and settings.get(row.splits) is False
    alike = row.rule == "fixed" or whole or (row.rule == "gemma3" and not pan_and_scan)
    return Rule(row, options, slots, _counts(settings, row, slots), alike, missing)


def _counts(settings: Settings, row: Row, slots: int | None) -> Mapping[str, Any] | None:
    """None where a number in it is not known."""
    places = (row.counts or {}).items()
    found = {name: slots if place == _SLOTS else value(settings, place) for name, place in places}
    return found if found and None not in found.values() else None
