"""How many features each image has, by what its image processor itself returned.

A rule is a function here: from one output, the image processor, and the width and height of the images that it was
given, to a number per image. It reads what the image processor delivers and never asks the processor that writes the
prompt.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import accumulate
from typing import Any, TypeAlias

Rule: TypeAlias = Callable[..., list[int]]
Output: TypeAlias = Mapping[str, Any]
Size: TypeAlias = tuple[int, int]


def constant(output: Output, processor: Any, sizes: Sequence[Size], *, per: int) -> list[int]:
    """The same number for every image."""
    return [per] * len(sizes)


def grid_thw(output: Output, processor: Any, sizes: Sequence[Size]) -> list[int]:
    """The patches of ``image_grid_thw``, of which a square of ``merge_size`` makes one feature (Qwen-VL, GLM)."""
    return [t * h * w // processor.merge_size**2 for t, h, w in _plain(output["image_grid_thw"])]


def num_patches(output: Output, processor: Any, sizes: Sequence[Size], *, per: int) -> list[int]:
    """So many for each tile, thumbnail included, that ``num_patches`` counts (InternVL)."""
    return [per * count for count in _plain(output["num_patches"])]


def num_crops(output: Output, processor: Any, sizes: Sequence[Size], *, per: int) -> list[int]:
    """So many for the image and for each crop of ``num_crops`` (Gemma 3)."""
    return [per * (1 + count) for count in _plain(output["num_crops"])]


def rows_cols(output: Output, processor: Any, sizes: Sequence[Size], *, per: int) -> list[int]:
    """So many for each tile of ``rows`` x ``cols``, and for the whole image (Idefics3); both are lists per sample."""
    return [per * (tiles + 1) for tiles in _tiles_of_samples(output)]


def rows_cols_whole(output: Output, processor: Any, sizes: Sequence[Size], *, per: int) -> list[int]:
    """The same, where the whole image is there only besides several tiles (Granite Docling)."""
    return [per * (tiles + (tiles > 1)) for tiles in _tiles_of_samples(output)]


def _tiles_of_samples(output: Output) -> list[int]:
    rows, columns = ([one for sample in _plain(output[key]) for one in sample] for key in ("rows", "cols"))
    return [r * c for r, c in zip(rows, columns, strict=True)]


def grids(output: Output, processor: Any, sizes: Sequence[Size], *, per: int) -> list[int]:
    """So many for each tile of ``grids``, and for the whole image where there are several (Ovis2)."""
    return [per * (r * c + (r * c > 1)) for r, c in _plain(output["grids"])]


def pixels(output: Output, processor: Any, sizes: Sequence[Size], *, patch: int, plus: int = 0) -> list[int]:
    """One for each patch of the pixels (LLaVA), and ``plus``."""
    shapes = [tuple(picture.shape) for picture in output["pixel_values"]]
    return [(shape[-2] // patch) * (shape[-1] // patch) + plus for shape in shapes]


def pixel_rows(output: Output, processor: Any, sizes: Sequence[Size], *, merge: int) -> list[int]:
    """All rows of ``pixel_values``, one for each patch, of which a square of ``merge`` makes one feature (Qwen-VL)."""
    return [len(output["pixel_values"]) // merge**2]


def pixel_tiles(output: Output, processor: Any, sizes: Sequence[Size], *, per: int) -> list[int]:
    """So many for each tile of ``pixel_values``, whatever they are nested in; tiles of padding have no mask."""
    mask = output.get("pixel_attention_mask")
    if mask is not None:
        return [per * sum(1 for sample in mask for tile in sample if tile.any())]
    return [per * _tiles(output["pixel_values"])]


def _tiles(pixels: Any) -> int:
    if not hasattr(pixels, "shape"):
        return sum(_tiles(one) for one in pixels)
    return math.prod(pixels.shape[:-3])


def image_sizes(output: Output, processor: Any, sizes: Sequence[Size], *, patch: int, row_end: int = 0) -> list[int]:
    """One for each patch of the size after resizing, and ``row_end`` behind each row (Pixtral, Emu3)."""
    return [(height // patch) * (width // patch + row_end) for height, width in _plain(output["image_sizes"])]


def target_sizes(output: Output, processor: Any, sizes: Sequence[Size], *, merge: int) -> list[int]:
    """The patches of each slice, of which ``merge`` make one feature, all slices of an image together (MiniCPM-V)."""
    slots = [height * width // merge for height, width in _plain(output["target_sizes"])]
    counts = _plain(output["num_patches_per_image"])
    return [sum(slots[end - count : end]) for count, end in zip(counts, accumulate(counts), strict=True)]


def grid_rows(output: Output, processor: Any, sizes: Sequence[Size], *, plus: int = 0) -> list[int]:
    """The merged patches of ``image_grid_thw``, one more for the end of each row, and ``plus`` (HunYuan-VL)."""
    merge = processor.merge_size
    return [(h // merge) * (w // merge + 1) + plus for _, h, w in _plain(output["image_grid_thw"])]


def crops(output: Output, processor: Any, sizes: Sequence[Size], *, per: int, **options: Any) -> list[int]:
    """So many for each crop, of which the image processor itself says how many a size gives (Aria)."""
    return [per * processor.get_number_of_image_patches(height, width, options) for width, height in sizes]


def anyres(
    output: Output,
    processor: Any,
    sizes: Sequence[Size],
    *,
    side: int,
    patch: int,
    plus: int = 0,
    shrink: int = 1,
    most: int | None = None,
) -> list[int]:
    """LLaVA-NeXT: the whole image, and the tiles of the best resolution without their padding, with an end to each row.

    What the model makes of the tiles (``pack_image_features`` and ``unpad_image`` in modeling_llava_next.py): the
    features of all tiles as one picture, cut to the image's form.

    Args:
        output: what the image processor returned; its ``image_sizes`` are before resizing.
        processor: its ``image_grid_pinpoints`` are the resolutions.
        sizes: the images.
        side: of a tile, in pixels.
        patch: side of a patch.
        plus: what an image has besides.
        shrink: how many features a side are merged into one.
        most: LLaVA-OneVision: more features than so many tiles have are scaled down; and no image is tiled that is not
            the only one of its sample.
    """
    base = side // patch // shrink
    alone = [count == 1 for count in _plain(output.get("batch_num_images", [])) for _ in range(count)]
    counts = []
    for index, (height, width) in enumerate(_plain(output["image_sizes"])):
        if most is not None and not alone[index]:
            counts.append(base * base + 1 + plus)
            continue
        best_height, best_width = _best(height, width, processor.image_grid_pinpoints)
        rows, columns = base * (best_height // side), base * (best_width // side)
        if width / height > columns / rows:
            rows -= 2 * ((rows - int(round(height * (columns / width), 7))) // 2)
        else:
            columns -= 2 * ((columns - int(round(width * (rows / height), 7))) // 2)
        ratio = math.sqrt(rows * columns / (most * base * base)) if most else 1
        if ratio > 1.1:
            rows, columns = int(rows // ratio), int(columns // ratio)
        counts.append(rows * (columns + 1) + base * base + plus)
    return counts


def _best(height: int, width: int, resolutions: Sequence[Size]) -> Size:
    """The resolution that keeps most of the image's pixels, and of several the one with least room left."""

    def fit(resolution: Size) -> tuple[int, int]:
        rows, columns = resolution
        scale = min(columns / width, rows / height)
        kept = min(int(width * scale) * int(height * scale), width * height)
        return kept, kept - rows * columns

    return max(resolutions, key=fit)


def listed(
    output: Output, processor: Any, sizes: Sequence[Size], *, key: str, per: int = 1, plus: int = 0
) -> list[int]:
    """What stands under a key of the output, times ``per``, and ``plus``."""
    return [per * int(number) + plus for number in _flat(_plain(output[key]))]


RULES: Mapping[str, Rule] = {
    rule.__name__: rule
    for rule in (
        constant,
        grid_thw,
        num_patches,
        num_crops,
        rows_cols,
        rows_cols_whole,
        grids,
        pixels,
        pixel_rows,
        pixel_tiles,
        image_sizes,
        target_sizes,
        grid_rows,
        crops,
        anyres,
        listed,
    )
}


@cache  # asked at every call
def options(rule: Rule) -> tuple[list[str], list[str] | None]:
    """The options that a rule needs, and all that it takes; None: any."""
    parameters = inspect.signature(rule).parameters.values()
    own = [p for p in parameters if p.kind == p.KEYWORD_ONLY]
    any_other = any(p.kind == p.VAR_KEYWORD for p in parameters)
    return [p.name for p in own if p.default is p.empty], None if any_other else [p.name for p in own]


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else [_plain(one) for one in value] if _nested(value) else value


def _nested(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _flat(value: Any) -> list[Any]:
    return [one for part in value for one in _flat(part)] if isinstance(value, list) else [value]
