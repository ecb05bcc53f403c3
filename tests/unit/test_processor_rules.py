"""The slice rules against the image processors of transformers, over a sweep of sizes.

No torch: each image processor is the one of the PIL backend, small, and a processor is asked for the text of one image
alone, without a tokenizer.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from importlib import metadata
from typing import Any

import numpy as np
import pytest
from packaging.version import Version
from PIL import Image

from image_spans.slicing import (
    Layout,
    aria,
    deepseek_ocr2,
    emu3,
    gemma3,
    gemma4,
    glm4v,
    glm5_next,
    granite_docling,
    hunyuan_vl,
    idefics3,
    internvl,
    llava_next,
    llava_onevision,
    minicpm4_6,
    ovis2,
    paddleocr_vl,
    qwen2_vl,
)
from image_spans.strategies.sizes import boundary_sizes

TOKEN = "#"
"""Stands for the placeholder; no text of a processor has it."""

Outputs = Mapping[str, Any]
Grid = Callable[[Outputs], tuple[int, int]]
"""Rows and columns of the tiles, from what the image processor returned; (0, 0) where it did not cut."""


@dataclass(frozen=True)
class Case:
    """A rule with options, and the same options told to an image processor and a processor."""

    rule: Callable[[int, int], Layout]
    model: str
    image_processor: str
    processor: str
    told: dict[str, Any]
    """What the image processor is made with."""
    called: dict[str, Any] = field(default_factory=dict)
    """What it is called with: the defaults of the processor."""
    has: dict[str, Any] = field(default_factory=dict)
    """Attributes of the processor that write the text of an image."""
    asked: dict[str, Any] = field(default_factory=dict)
    grid: Grid | None = None
    folder: str = ""
    """Where the image processor is, if not with the model."""
    since: str = "0"
    """The release of transformers that counts so; an earlier one is known to be wrong."""
    no_heights: tuple[int, ...] = ()
    """Left out: heights that the image processor takes for a number of channels."""


def _one(name: str) -> Grid:
    return lambda outputs: (int(outputs[name][0][0]), int(outputs[name][0][1]))


def _rows_and_cols(outputs: Outputs) -> tuple[int, int]:
    return int(outputs["rows"][0][0]), int(outputs["cols"][0][0])


def _crops(outputs: Outputs) -> tuple[int, int]:
    return int(outputs["num_crops"][0]), 1


def _rule(module: Any, **options: Any) -> Callable[[int, int], Layout]:
    return partial(_asked, module.layout, tuple(options.items()))


def _asked(rule: Callable[..., Layout], options: tuple[tuple[str, Any], ...], width: int, height: int) -> Layout:
    return rule(width, height, 1, **dict(options))


PIXELS = {"shortest_edge": 56 * 56, "longest_edge": 64 * 28 * 28}
FEW = {"min_pixels": 56 * 56, "max_pixels": 64 * 28 * 28}
LAVA = ((112, 224), (224, 112), (224, 224), (336, 112), (112, 336))
VISION = ((56, 112), (112, 56), (112, 112), (168, 168), (336, 336), (56, 280), (336, 56))
IDEFICS = {"size": {"longest_edge": 224}, "max_image_size": {"longest_edge": 56}, "return_row_col_info": True}
MARKS = {"fake_image_token": "<fake>", "global_image_tag": "<global>"}
SLICE_MARKS = {
    f"{kind}_{side}_token": f"<{kind}{side}>" for kind in ("image", "slice", "image_id") for side in ("start", "end")
}

CASES = {
    "qwen2_vl": Case(_rule(qwen2_vl, **FEW), "qwen2_vl", "Qwen2VLImageProcessor", "Qwen2VLProcessor", {"size": PIXELS}),
    "qwen3_vl": Case(
        _rule(qwen2_vl, patch=16, **FEW),
        *("qwen3_vl", "Qwen2VLImageProcessor", "Qwen3VLProcessor"),
        {"size": PIXELS, "patch_size": 16},
        folder="qwen2_vl",
    ),
    "ernie4_5_vl_moe": Case(
        _rule(qwen2_vl, **FEW),
        *("ernie4_5_vl_moe", "Ernie4_5_VLMoeImageProcessor", "Ernie4_5_VLMoeProcessor"),
        {"size": PIXELS},
    ),
    "video_llama_3": Case(
        _rule(qwen2_vl, merge=1, **FEW),
        *("video_llama_3", "VideoLlama3ImageProcessor", "VideoLlama3Processor"),
        {"size": PIXELS, "merge_size": 1},
    ),
    "cohere_compass": Case(
        _rule(qwen2_vl, **FEW),
        *("cohere_compass", "CohereCompassImageProcessor", "CohereCompassProcessor"),
        {"size": PIXELS},
    ),
    "glm4v": Case(
        _rule(glm4v, max_pixels=28 * 28 * 150),
        "glm4v",
        "Glm4vImageProcessor",
        "Glm4vProcessor",
        {"size": {"shortest_edge": 112 * 112, "longest_edge": 28 * 28 * 150}},
    ),
    "glm46v": Case(
        _rule(glm4v, max_pixels=28 * 28 * 150),
        "glm46v",
        "Glm46VImageProcessor",
        "Glm46VProcessor",
        {"size": {"shortest_edge": 112 * 112, "longest_edge": 28 * 28 * 150}},
    ),
    "glm5_next": Case(
        _rule(glm5_next, max_slots=40),
        "glm5_next",
        "Glm5NextImageProcessor",
        "Glm5NextProcessor",
        {"max_image_tokens": 40},
    ),
    "cosmos3_edge": Case(
        _rule(glm4v, patch=16, frames=1, min_pixels=64 * 64, max_pixels=256 * 256),
        *("cosmos3_edge", "Cosmos3EdgeImageProcessor", "Cosmos3EdgeProcessor"),
        {"size": {"shortest_edge": 64 * 64, "longest_edge": 256 * 256}},
    ),
    "paddleocr_vl": Case(
        _rule(paddleocr_vl, **FEW),
        "paddleocr_vl",
        "PaddleOCRVLImageProcessor",
        "PaddleOCRVLProcessor",
        {"size": PIXELS},
    ),
    "hunyuan_vl": Case(
        _rule(hunyuan_vl, min_pixels=64 * 64, max_pixels=256 * 256),
        *("hunyuan_vl", "HunYuanVLImageProcessor", "HunYuanVLProcessor"),
        {"size": {"shortest_edge": 64 * 64, "longest_edge": 256 * 256}},
        has={"cat_extra_token": True},
    ),
    "emu3": Case(
        _rule(emu3, min_pixels=64 * 64, max_pixels=128 * 128),
        *("emu3", "Emu3ImageProcessor", "Emu3Processor"),
        {"min_pixels": 64 * 64, "max_pixels": 128 * 128},
        no_heights=(1, 3),
        has={
            "downsample_ratio": 8,
            **dict.fromkeys(("image_start_token", "fake_token_around_image", "eof_token", "image_end_token"), "<x>"),
        },
    ),
    "llava_next": Case(
        _rule(llava_next, pinpoints=LAVA, tile=112),
        *("llava_next", "LlavaNextImageProcessor", "LlavaNextProcessor"),
        {
            "size": {"shortest_edge": 112},
            "crop_size": {"height": 112, "width": 112},
            "image_grid_pinpoints": [[*pinpoint] for pinpoint in LAVA],
        },
        has={"patch_size": 14, "num_additional_image_tokens": 1, "vision_feature_select_strategy": "default"},
    ),
    "llava_onevision": Case(
        _rule(llava_onevision, pinpoints=VISION, tile=56, max_patches=7),
        *("llava_onevision", "LlavaOnevisionImageProcessor", "LlavaOnevisionProcessor"),
        {"size": {"height": 56, "width": 56}, "image_grid_pinpoints": [[*pinpoint] for pinpoint in VISION]},
        has={
            "num_image_tokens": 16,
            "vision_aspect_ratio": "anyres_max_7",
            "vision_feature_select_strategy": "full",
        },
    ),
    "aria": Case(
        _rule(aria, slots=128, tile=490, split=True),
        *("aria", "AriaImageProcessor", "AriaProcessor"),
        {"max_image_size": 490, "min_image_size": 1},
        called={"split_image": True},
        has={"size_conversion": {490: 128, 980: 256}},
    ),
    "aria of larger tiles": Case(
        _rule(aria, tile=980, split=True, resolutions=((490, 980), (980, 490), (1470, 490))),
        *("aria", "AriaImageProcessor", "AriaProcessor"),
        {"split_resolutions": [[490, 980], [980, 490], [1470, 490]]},
        called={"split_image": True},
        has={"size_conversion": {490: 128, 980: 256}},
    ),
    "idefics3": Case(
        _rule(idefics3, slots=4, tile=56, longest=224),
        *("idefics3", "Idefics3ImageProcessor", "Idefics3Processor"),
        IDEFICS,
        has={"image_seq_len": 4, **MARKS},
        grid=_rows_and_cols,
    ),
    "idefics3 of odd tiles, and a side that is no multiple": Case(
        _rule(idefics3, slots=4, tile=55, longest=120),
        *("idefics3", "Idefics3ImageProcessor", "Idefics3Processor"),
        {**IDEFICS, "size": {"longest_edge": 120}, "max_image_size": {"longest_edge": 55}},
        has={"image_seq_len": 4, **MARKS},
        grid=_rows_and_cols,
    ),
    "idefics3 of one tile": Case(
        _rule(idefics3, slots=4, tile=56, longest=56),
        *("idefics3", "Idefics3ImageProcessor", "Idefics3Processor"),
        {**IDEFICS, "size": {"longest_edge": 56}},
        has={"image_seq_len": 4, **MARKS},
        grid=_rows_and_cols,
    ),
    "idefics3 uncut": Case(
        _rule(idefics3, slots=4, tile=56, longest=224, split=False),
        *("idefics3", "Idefics3ImageProcessor", "Idefics3Processor"),
        {**IDEFICS, "do_image_splitting": False},
        has={"image_seq_len": 4, **MARKS},
        grid=_rows_and_cols,
    ),
    "smolvlm": Case(
        _rule(idefics3, slots=4, tile=55, longest=220),
        *("smolvlm", "SmolVLMImageProcessor", "SmolVLMProcessor"),
        {**IDEFICS, "size": {"longest_edge": 220}, "max_image_size": {"longest_edge": 55}},
        has={"image_seq_len": 4, **MARKS, "fake_image_token": "<fake>", "global_image_token": "<global>"},
        grid=_rows_and_cols,
    ),
    "granite_docling": Case(
        _rule(granite_docling, slots=4, tile=32),
        *("granite_docling", "GraniteDoclingImageProcessor", "GraniteDoclingProcessor"),
        {"size": {"height": 32, "width": 32}},
        has={"image_seq_len": 4, **MARKS},
        grid=_rows_and_cols,
    ),
    "internvl": Case(
        _rule(internvl, slots=4, tile=32),
        *("internvl", "GotOcr2ImageProcessor", "InternVLProcessor"),
        {"size": {"height": 32, "width": 32}},
        called={"crop_to_patches": True},
        has={"image_seq_length": 4, "start_image_token": "<a>", "end_image_token": "<b>"},
        folder="got_ocr2",
    ),
    "aya_vision": Case(
        _rule(internvl, slots=4, tile=32),
        *("aya_vision", "GotOcr2ImageProcessor", "AyaVisionProcessor"),
        {"size": {"height": 32, "width": 32}},
        called={"crop_to_patches": True},
        has={
            "img_size": 32,
            "patch_size": 16,
            "img_patch_token": TOKEN,
            **dict.fromkeys(("start_of_img_token", "end_of_img_token", "tile_token", "tile_global_token"), "<x>"),
        },
        folder="got_ocr2",
    ),
    "gemma3": Case(
        _rule(gemma3, slots=4),
        *("gemma3", "Gemma3ImageProcessor", "Gemma3Processor"),
        {"size": {"height": 28, "width": 28}},
        called={"do_pan_and_scan": False},
        has={"full_image_sequence": TOKEN * 4},
        grid=_crops,
    ),
    "gemma3 with pan and scan": Case(
        _rule(gemma3, slots=4, pan_and_scan=True, min_crop_size=64, max_num_crops=4, min_ratio=1.2),
        *("gemma3", "Gemma3ImageProcessor", "Gemma3Processor"),
        {"size": {"height": 28, "width": 28}},
        called={
            "do_pan_and_scan": True,
            "pan_and_scan_min_crop_size": 64,
            "pan_and_scan_max_num_crops": 4,
            "pan_and_scan_min_ratio_to_activate": 1.2,
        },
        has={"full_image_sequence": TOKEN * 4},
        grid=_crops,
    ),
    "gemma4": Case(
        _rule(gemma4, patch=4, max_soft_tokens=70),
        *("gemma4", "Gemma4ImageProcessor", "Gemma4Processor"),
        {"patch_size": 4, "max_soft_tokens": 70},
        has={"boi_token": "<a>", "eoi_token": "<b>"},
    ),
    "ovis2": Case(
        _rule(ovis2, slots=4, tile=32, max_patches=9, transposed=True),
        *("ovis2", "Ovis2ImageProcessor", "Ovis2Processor"),
        {"size": {"height": 32, "width": 32}, "crop_to_patches": True, "max_patches": 9},
        has={"image_seq_length": 4},
        grid=_one("grids"),
    ),
    "minicpmv4_6": Case(
        _rule(minicpm4_6, slots=4, scale_resolution=112),
        *("minicpmv4_6", "MiniCPMV4_6ImageProcessor", "MiniCPMV4_6Processor"),
        {"scale_resolution": 112},
        has={"slice_mode": True, **SLICE_MARKS},
        asked={"image_token_divisor": 16},
        grid=_one("grids"),
    ),
    "minicpmv4_6 of four times the slots": Case(
        _rule(minicpm4_6, slots=16, scale_resolution=112),
        *("minicpmv4_6", "MiniCPMV4_6ImageProcessor", "MiniCPMV4_6Processor"),
        {"scale_resolution": 112, "downsample_mode": "4x"},
        since="5.23.0",  # 5.20.2 makes both sides a multiple of 4 patches, whatever is merged
        has={"slice_mode": True, **SLICE_MARKS},
        asked={"image_token_divisor": 4},
        grid=_one("grids"),
    ),
    "deepseek_ocr2": Case(
        _rule(deepseek_ocr2, slots=4, tile_slots=1, tile=64),
        *("deepseek_ocr2", "DeepseekOcr2ImageProcessor", "DeepseekOcr2Processor"),
        {"size": {"height": 128, "width": 128}, "tile_size": 64},
        has={"patch_size": 16, "downsample_ratio": 4},
    ),
}


def _class(module: str, *names: str) -> Any:
    """The class of transformers, or a skip that says what is missing."""
    try:
        found = importlib.import_module(f"transformers.models.{module}")
    except ImportError as error:
        pytest.skip(f"this transformers has no {module}: {error}")
    for name in names:
        if hasattr(found, name):
            return getattr(found, name)
    pytest.skip(f"transformers' {module} has no {' or '.join(names)}")


@dataclass(frozen=True)
class Subject:
    """What transformers makes of one image."""

    image_processor: Any
    processor: Any
    case: Case

    def outputs(self, width: int, height: int) -> Outputs:
        found: Outputs = self.image_processor(_image(width, height), return_tensors="np", **self.case.called)
        return found

    def slots(self, outputs: Outputs) -> int:
        text: str = self.processor.replace_image_token(outputs, 0, **self.case.asked)
        return text.replace("<IMG_ATOM>", TOKEN).count(TOKEN)


@cache
def _image(width: int, height: int) -> Image.Image:
    return Image.new("RGB", (width, height))


def _subject(case: Case) -> Subject:
    if Version(metadata.version("transformers")) < Version(case.since):
        pytest.skip(f"{case.model} is counted otherwise before transformers {case.since}")
    folder = case.folder or case.model
    for module in (f"image_processing_pil_{folder}", f"image_processing_{folder}"):
        try:
            importlib.import_module(f"transformers.models.{folder}.{module}")
        except ImportError:
            continue
        made = _class(f"{folder}.{module}", f"{case.image_processor}Pil", case.image_processor)
        break
    else:
        pytest.skip(f"this transformers has no image processor of {folder} that needs no torch")
    kind = _class(f"{case.model}.processing_{case.model}", case.processor)
    if not hasattr(kind, "replace_image_token"):
        pytest.skip(f"{case.processor} of this transformers does not tell the text of one image")
    processor = kind.__new__(kind)  # no tokenizer: what writes the text of one image needs these attributes alone
    image_processor = made(**case.told)
    for name, value in {"image_token": TOKEN, "image_processor": image_processor, **case.has}.items():
        setattr(processor, name, value)
    return Subject(image_processor, processor, case)


MOST_PIXELS = 300_000
ALWAYS = (
    *[(1, 1), (1, 2), (2, 1), (1, 3), (7, 1), (1, 190), (190, 1), (1, 200), (200, 1), (1, 201), (201, 1), (2, 401)],
    *[(13, 14), (27, 28), (28, 29), (55, 56), (57, 56), (31, 33), (63, 65), (64, 64), (111, 113), (337, 112)],
    *[(97, 61), (61, 97), (101, 301), (301, 101), (255, 511), (640, 480), (480, 640), (33, 999), (999, 33)],
    *[(320, 128), (319, 128), (128, 320), (128, 319)],
)
"""One pixel a side, both sides of an aspect of 200, one off the tiles of these processors, odd sides, photos, 5 : 2."""


def _sizes(rule: Callable[[int, int], Layout]) -> Iterator[tuple[int, int]]:
    """Those, and the boundaries of the rule that are small enough, each with its neighbours."""
    seen = dict.fromkeys(ALWAYS)
    for width, height in boundary_sizes(rule, limit=24):
        if width * height <= MOST_PIXELS and max(width, height) <= 2000:
            seen.update(dict.fromkeys(((width, height), (width + 1, height), (width, height + 1))))
    seen.update(dict.fromkeys(_forms(rule)))
    yield from seen


LONG = 401
"""A prime, so that the shorter side is rounded in every way."""


def _forms(rule: Callable[[int, int], Layout]) -> Iterator[tuple[int, int]]:
    """Both sides of the changes along one line of equal width, and the same turned: where the form alone decides."""
    changes = [side for side in range(4, LONG + 1) if rule(LONG, side - 1) != rule(LONG, side)]
    for side in changes[:: max(1, len(changes) // 12)]:
        yield from ((LONG, side - 1), (LONG, side), (side - 1, LONG), (side, LONG))


@pytest.mark.parametrize("name", CASES)
def test_a_rule_counts_what_the_processor_counts(name: str) -> None:
    subject = _subject(CASES[name])
    rule, grid, judged = CASES[name].rule, CASES[name].grid, 0
    for width, height in _sizes(rule):
        if height in CASES[name].no_heights:
            continue
        try:
            layout = rule(width, height)
        except ValueError:
            with pytest.raises(ValueError):
                subject.outputs(width, height)
            continue
        outputs = subject.outputs(width, height)
        assert (width, height, layout.slots) == (width, height, subject.slots(outputs))
        if grid is not None:
            cut = (len(layout.grid), len(layout.grid[0])) if layout.grid else (0, 0)
            said = grid(outputs)
            if grid is _crops:
                assert max(cut) == said[0]
            elif said != (1, 1) or cut != (0, 0):  # some say 1 x 1 where there are no tiles beside the overview
                assert cut == said
        judged += 1
    assert judged >= 30


def _features(height: int, width: int, pinpoint: tuple[int, int], tile: int, patch: int) -> np.ndarray:
    """What ``pack_image_features`` leaves of the tiles, before newlines: laid out as a grid, the padding sliced off."""
    side = tile // patch
    grid = np.zeros((pinpoint[0] // tile, pinpoint[1] // tile, side, side)).transpose(0, 2, 1, 3)
    grid = grid.reshape(pinpoint[0] // tile * side, pinpoint[1] // tile * side)
    if width / height > grid.shape[1] / grid.shape[0]:
        padding = (grid.shape[0] - int(round(height * (grid.shape[1] / width), 7))) // 2
        return grid[padding : grid.shape[0] - padding]
    padding = (grid.shape[1] - int(round(width * (grid.shape[0] / height), 7))) // 2
    return grid[:, padding : grid.shape[1] - padding]


@pytest.mark.parametrize("name", ["llava_next", "llava_onevision"])
def test_any_resolution_is_what_the_model_makes_of_the_tiles(name: str) -> None:
    """Of the tiles that the image processor cuts, so of its choice of a canvas."""
    subject = _subject(CASES[name])
    tile = CASES[name].told["size"].get("height", 112)
    of_tiles: dict[int, int] = {}
    for width, height in _sizes(CASES[name].rule):
        tiles = len(subject.outputs(width, height)["pixel_values"][0]) - 1
        pinpoints = [
            (rows * tile, columns * tile)
            for rows, columns in ((pin[0] // tile, pin[1] // tile) for pin in CASES[name].told["image_grid_pinpoints"])
            if rows * columns == tiles
        ]
        sizes = set()
        for pinpoint in pinpoints:  # two canvases, high and wide, may have as many tiles
            rows, columns = _features(height, width, pinpoint, tile, 14).shape
            ratio = (rows * columns / (7 * (tile // 14) ** 2)) ** 0.5
            if name == "llava_onevision" and ratio > 1.1:
                rows, columns = int(rows // ratio), int(columns // ratio)
            sizes.add((tile // 14) ** 2 + rows * (columns + 1))
        assert CASES[name].rule(width, height).slots in sizes
        of_tiles[tiles] = of_tiles.get(tiles, 0) + 1
    assert len(of_tiles) >= 3
