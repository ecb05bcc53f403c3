"""The slice rules against values worked out by hand, their own symmetry, and the real code where it is installed."""

from __future__ import annotations
import __future__

import ast
import importlib
import math
from collections import defaultdict
from collections.abc import Callable
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from image_spans import slicing
from image_spans.discovery import names
from image_spans.errors import ConfigError
from image_spans.slicing import Block, Layout, fixed, internvl, llama4, minicpm, pixtral

QUICK = settings(
    max_examples=200, database=None, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
SIDES = st.integers(1, 5000)


def grid(width: int, height: int, **options: object) -> tuple[int, int] | None:
    """Columns and rows; None where the image is not sliced."""
    layout = minicpm.layout(width, height, 1, **options)  # type: ignore[arg-type]
    assert layout.overview == Block(1, options.get("slots", 64))  # type: ignore[arg-type]
    if not layout.sliced:
        return None
    assert {len(row) for row in layout.grid} == {len(layout.grid[0])}
    return len(layout.grid[0]), len(layout.grid)


@pytest.mark.parametrize(
    ("width", "height", "columns_and_rows"),
    [
        # Area up to 448 x 448 = 200704 pixels: whole, whatever the sides.
        *[(1, 1, None), (1, 200, None), (200, 1, None), (447, 447, None), (448, 448, None)],
        *[(447, 449, None), (896, 224, None), (2, 100352, None)],
        # Just above: ideally 2 slices, or 3. In a square's grids 1 x 2 and 2 x 1 err alike; the first one is taken.
        *[(449, 449, (1, 2)), (448, 449, (1, 2)), (449, 448, (2, 1)), (450, 447, (2, 1))],
        # 640 x 480 is 1.5 slices; 4 : 3 is nearer to 2 : 1 than to 3 : 1.
        *[(640, 480, (2, 1)), (480, 640, (1, 2)), (1000, 300, (3, 1)), (300, 1000, (1, 3))],
        # 3.9 slices: 3, 4 or 5; a square fits 2 x 2 only.
        *[(888, 888, (2, 2)), (896, 896, (2, 2)), (897, 897, (2, 2))],
        # 9 at most: a square of any size is 3 x 3.
        *[(1344, 1344, (3, 3)), (4000, 4000, (3, 3)), (1345, 1343, (3, 3))],
        # 10.3 slices count as 9: then 8 or 9 (10 is too many), and 16 : 9 is nearest to 4 : 2.
        *[(1920, 1080, (4, 2)), (1080, 1920, (2, 4))],
        # Panoramas.
        *[(4096, 50, (3, 1)), (50, 4096, (1, 3)), (20000, 100, (9, 1)), (100, 20000, (1, 9)), (1, 4000000, (1, 9))],
        # 6.9 slices: 6, 7 or 8; 2 : 1 is 4 x 2 exactly.
        *[(1664, 832, (4, 2)), (832, 1664, (2, 4))],
        # 3 : 2 of 5.1 slices: 5, 6 or 7; 3 x 2 exactly.
        *[(1240, 827, (3, 2)), (827, 1240, (2, 3))],
    ],
)
def test_minicpm(width: int, height: int, columns_and_rows: tuple[int, int] | None) -> None:
    assert grid(width, height) == columns_and_rows


def test_minicpm_counts_slots() -> None:
    assert minicpm.layout(448, 448, 1).slots == 64
    assert minicpm.layout(449, 449, 1).slots == 3 * 64
    assert minicpm.layout(4000, 4000, 1, slots=16).slots == 10 * 16
    assert minicpm.layout(449, 449, 1) == Layout(Block(1, 64), ((Block(1, 64),), (Block(1, 64),)))


def test_minicpm_options() -> None:
    assert grid(449, 449, scale_resolution=449) is None
    assert grid(225, 225, scale_resolution=224) == (1, 2)
    assert grid(4000, 4000, never_split=True) is None
    assert grid(4000, 4000, max_slice_nums=1) is None
    assert grid(4000, 4000, max_slice_nums=4) == (2, 2)
    assert grid(4000, 1000, max_slice_nums=4) == (4, 1)
    with pytest.raises(TypeError):
        minicpm.layout(1, 1, 1, max_slices=4)  # type: ignore[call-arg]


def test_minicpm_does_not_depend_on_the_number_of_images() -> None:
    assert {minicpm.layout(1000, 700, number) for number in (0, 1, 50)} == {minicpm.layout(1000, 700, 1)}


@given(SIDES, SIDES)
@example(448, 448)
@example(449, 449)
@QUICK
def test_minicpm_is_sliced_above_the_area_only_and_nine_times_at_most(width: int, height: int) -> None:
    found = grid(width, height)
    assert (found is None) == (width * height <= 448 * 448)
    if found is not None:
        columns, rows = found
        assert 2 <= columns * rows <= 9
        ideal = min(math.ceil(width * height / 448**2), 9)
        assert abs(columns * rows - ideal) <= 1


@given(SIDES, SIDES)
@QUICK
def test_minicpm_turned_by_a_right_angle_is_turned(width: int, height: int) -> None:
    def error(columns_and_rows: tuple[int, int]) -> float:
        return abs(math.log(width / height) - math.log(columns_and_rows[0] / columns_and_rows[1]))

    one, other = grid(width, height), grid(height, width)
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        turned = other[::-1]
        assert one == turned or math.isclose(error(one), error(turned), abs_tol=1e-12)  # a tie: the first is taken


@given(SIDES, SIDES, st.integers(1, 8))
@QUICK
def test_minicpm_scaled_with_its_resolution_stays_as_it_is(width: int, height: int, factor: int) -> None:
    assert grid(width, height) == grid(width * factor, height * factor, scale_resolution=448 * factor)


@given(SIDES, SIDES, st.integers(1, 16))
@QUICK
def test_minicpm_keeps_any_limit(width: int, height: int, most: int) -> None:
    columns, rows = grid(width, height, max_slice_nums=most) or (1, 1)
    assert columns * rows <= most


def tiles(rule: Callable[..., Layout], width: int, height: int, **options: Any) -> tuple[int, int]:
    """Columns and rows; an image that is not sliced is 1 x 1. Every block has the same slots, the overview too."""
    layout = rule(width, height, 1, **options)
    blocks = {block for row in layout.grid for block in row} | {layout.overview}
    assert len(blocks) == 1
    if not layout.sliced:
        return 1, 1
    assert {len(row) for row in layout.grid} == {len(layout.grid[0])}
    assert (len(layout.grid[0]), len(layout.grid)) != (1, 1)
    return len(layout.grid[0]), len(layout.grid)


# ---------------------------------------------------------------- pixtral


@pytest.mark.parametrize(
    ("width", "height", "columns_and_rows"),
    [
        *[(1, 1, (1, 1)), (16, 16, (1, 1)), (17, 16, (2, 1)), (16, 17, (1, 2)), (512, 300, (32, 19))],
        *[(1024, 1024, (64, 64)), (1025, 1025, (64, 64)), (9000, 9000, (64, 64))],
        # Shrunk to 1024 x 16.98: rounded it is 17 pixels and 2 rows; rounded down, as transformers does, 16 and 1 row.
        *[(1025, 17, (64, 2)), (17, 1025, (2, 64))],
        # 2048 x 33 halves to 16.5, which rounds to the even 16; 2048 x 35 to 17.5 and so to 18.
        *[(2048, 33, (64, 1)), (2048, 35, (64, 2))],
        # The shorter side never vanishes.
        *[(5000, 1, (64, 1)), (1, 5000, (1, 64))],
    ],
)
def test_pixtral(width: int, height: int, columns_and_rows: tuple[int, int]) -> None:
    columns, rows = columns_and_rows
    assert pixtral.layout(width, height, 1) == Layout(Block(rows, columns))


def test_pixtral_options() -> None:
    """Mistral Small 3.1: 1540 pixels, patches of 14, 2 x 2 of them merged into one slot."""
    small = {"size": 1540, "patch": 14, "merge": 2}
    assert pixtral.layout(1540, 1540, 1, **small) == Layout(Block(55, 55))
    assert pixtral.layout(29, 28, 1, **small) == Layout(Block(1, 2))
    assert pixtral.layout(3080, 770, 1, **small) == Layout(Block(14, 55))  # 385 pixels are 13.75 slots
    assert pixtral.layout(1025, 17, 1, rounding="down") == Layout(Block(1, 64))
    assert pixtral.layout(5000, 1, 1, rounding="down") == Layout(Block(1, 64))
    with pytest.raises(ValueError, match="rounding is 'up'; expected 'nearest' or 'down'"):
        pixtral.layout(1, 1, 1, rounding="up")  # type: ignore[arg-type]


@given(SIDES, SIDES, st.sampled_from([(1024, 16, 1), (1540, 14, 2), (336, 14, 1)]))
@example(1025, 17, (1024, 16, 1))
@example(2048, 33, (1024, 16, 1))
@QUICK
def test_pixtral_is_that_of_mistral_common(width: int, height: int, how: tuple[int, int, int]) -> None:
    module = pytest.importorskip("mistral_common.tokens.tokenizers.image")
    size, patch, merge = how
    assume(round(min(width, height) / max(width / size, height / size, 1)) > 0)  # 1.12 lost such a side
    encoder = module.ImageEncoder(module.ImageConfig(patch, size, merge), special_ids=None)
    columns, rows = encoder._image_to_num_tokens(SimpleNamespace(size=(width, height)))
    assert pixtral.layout(width, height, 1, size=size, patch=patch, merge=merge) == Layout(Block(rows, columns))


@cache
def _transformers_size() -> Callable[..., tuple[int, int]]:
    """Height and width after resizing, in pixels."""
    for name in ("image_processing_pil_pixtral", "image_processing_pixtral"):  # the first since 5.3 or so
        try:
            module = importlib.import_module(f"transformers.models.pixtral.{name}")
        except ImportError:
            continue
        found: Callable[..., tuple[int, int]] = module.get_resize_output_image_size
        return found
    pytest.skip("transformers keeps the sizes of Pixtral elsewhere, or needs torch for them")


@given(SIDES, SIDES)
@example(1025, 17)
@QUICK
def test_pixtral_rounded_down_is_that_of_transformers(width: int, height: int) -> None:
    assume(min(width, height) / max(width / 1024, height / 1024, 1) >= 1)  # it loses such a side
    image = np.broadcast_to(np.zeros(1, dtype=np.uint8), (height, width, 3))
    resized = _transformers_size()(image, (1024, 1024), (16, 16), "channels_last")
    assert pixtral.layout(width, height, 1, rounding="down") == Layout(Block(resized[0] // 16, resized[1] // 16))


@given(SIDES, SIDES)
@QUICK
def test_pixtral_covers_the_image_and_turns_with_it(width: int, height: int) -> None:
    layout = pixtral.layout(width, height, 1)
    block = layout.overview
    assert block is not None
    assert not layout.sliced
    assert 1 <= block.rows <= 64
    assert 1 <= block.columns <= 64
    assert pixtral.layout(height, width, 1).overview == Block(block.columns, block.rows)
    if max(width, height) <= 1024:
        assert (block.columns - 1) * 16 < width <= block.columns * 16
        assert (block.rows - 1) * 16 < height <= block.rows * 16


# ---------------------------------------------------------------- llama4


def test_llama4_lists_the_canvases_as_its_source_says() -> None:
    """The docstring of find_supported_resolutions, for 4 tiles at most."""
    assert llama4._canvases(4) == ((1, 4), (2, 2), (1, 1), (4, 1), (1, 3), (3, 1), (1, 2), (2, 1))


@pytest.mark.parametrize(
    ("width", "height", "columns_and_rows"),
    [
        # One tile is enough for all that fits into it.
        *[(1, 1, (1, 1)), (336, 336, (1, 1)), (336, 1, (1, 1)), (100, 336, (1, 1))],
        # A pixel more, and the smallest canvas that need not shrink it is taken.
        *[(337, 336, (2, 1)), (336, 337, (1, 2)), (337, 337, (2, 2)), (672, 672, (2, 2)), (673, 100, (3, 1))],
        *[(1344, 1344, (4, 4)), (1008, 1008, (3, 3)), (1000, 700, (3, 3))],
        # 4 x 3 holds 1344 x 1008 exactly; of those that hold a pixel more, 5 x 3 is the smallest.
        *[(1344, 1008, (4, 3)), (1345, 1008, (5, 3)), (1008, 1345, (3, 5))],
        # Nothing holds these: the canvas that shrinks them least, and of equal ones the smallest.
        *[(4000, 4000, (4, 4)), (1345, 1345, (4, 4)), (6000, 336, (16, 1)), (336, 6000, (1, 16))],
        *[(20000, 100, (16, 1)), (2688, 1344, (5, 3))],
    ],
)
def test_llama4(width: int, height: int, columns_and_rows: tuple[int, int]) -> None:
    assert tiles(llama4.layout, width, height) == columns_and_rows


def test_llama4_options() -> None:
    """The example in the docstring of get_best_fit: canvases of 1 to 3 tiles of 224 pixels."""
    assert tiles(llama4.layout, 300, 200, tile=224, max_patches=3) == (2, 1)
    assert tiles(llama4.layout, 4000, 4000, max_patches=1) == (1, 1)
    assert llama4.layout(1, 1, 1) == Layout(Block(1, 144))
    assert llama4.layout(337, 336, 1, slots=4) == Layout(Block(1, 4), ((Block(1, 4), Block(1, 4)),))
    assert llama4.layout(4000, 4000, 1).slots == 17 * 144


@given(SIDES, SIDES, st.sampled_from([4, 16]))
@QUICK
def test_llama4_shrinks_only_what_no_canvas_holds(width: int, height: int, most: int) -> None:
    columns, rows = tiles(llama4.layout, width, height, max_patches=most)
    assert columns * rows <= most
    assert tiles(llama4.layout, 3 * width, 3 * height, tile=3 * 336, max_patches=most) == (columns, rows)
    needed = math.ceil(width / 336), math.ceil(height / 336)
    if needed[0] * needed[1] <= most:
        assert columns >= needed[0]
        assert rows >= needed[1]
    turned = tiles(llama4.layout, height, width, max_patches=most)
    assert turned[0] * turned[1] == columns * rows


class _Side(NamedTuple):
    height: int
    width: int


@cache
def _llama4_source() -> dict[str, Any]:
    """The three functions of transformers, run without torch: numpy does what they ask of a tensor."""
    package = find_spec("transformers")
    assert package is not None
    assert package.origin is not None
    folder = Path(package.origin).parent / "models" / "llama4"
    names = {"get_factors", "find_supported_resolutions", "get_best_fit"}
    for file in sorted(folder.glob("image_processing_llama4*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        tree.body = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in names]
        if len(tree.body) == len(names):
            torch = SimpleNamespace(where=np.where, max=np.max, min=np.min, argmin=np.argmin)
            found: dict[str, Any] = {"torch": torch, "defaultdict": defaultdict, "lru_cache": lru_cache}
            flags = __future__.annotations.compiler_flag
            exec(compile(tree, str(file), "exec", flags=flags), found)
            return found
    pytest.skip("transformers keeps Llama 4's canvases elsewhere")


@given(SIDES, SIDES, st.sampled_from([3, 16]))
@example(1345, 1008, 16)
@example(4999, 4998, 16)
@QUICK
def test_llama4_is_that_of_transformers(width: int, height: int, most: int) -> None:
    source = _llama4_source()
    canvases = source["find_supported_resolutions"](most, _Side(336, 336))
    assert canvases == [(rows * 336, columns * 336) for rows, columns in llama4._canvases(most)]
    # torch divides integers in single precision; so do these.
    canvas = source["get_best_fit"]((height, width), np.array(canvases, dtype=np.float32))
    found = tiles(llama4.layout, width, height, max_patches=most)
    assert (canvas[1] // 336, canvas[0] // 336) == found


# ---------------------------------------------------------------- internvl


@pytest.mark.parametrize(
    ("width", "height", "columns_and_rows"),
    [
        # A square has the form of 1 x 1, 2 x 2 and 3 x 3; the larger ones want half of their pixels: 401408, 903168.
        *[(1, 1, (1, 1)), (448, 448, (1, 1)), (633, 633, (1, 1)), (634, 634, (2, 2)), (950, 950, (2, 2))],
        *[(951, 951, (3, 3)), (4000, 4000, (3, 3))],
        # 2 : 1 is 2 x 1, and 4 x 2 from more than 802816 pixels on.
        *[(2, 1, (2, 1)), (1, 2, (1, 2)), (1266, 633, (2, 1)), (1268, 634, (4, 2)), (634, 1268, (2, 4))],
        # 1000 : 700 is 1.43; 3 : 2 is 0.071 away, 4 : 3 0.095.
        (1000, 700, (3, 2)),
        # 16 : 9 is 1.78; 7 : 4 and 5 : 3 are more than 12 tiles, 2 : 1 is 0.22 away, 3 : 2 0.28.
        (1920, 1080, (4, 2)),
        # Panoramas take all twelve in a row.
        *[(20000, 100, (12, 1)), (100, 20000, (1, 12)), (5376, 448, (12, 1))],
    ],
)
def test_internvl(width: int, height: int, columns_and_rows: tuple[int, int]) -> None:
    assert tiles(internvl.layout, width, height) == columns_and_rows


def test_internvl_options() -> None:
    assert tiles(internvl.layout, 20000, 100, max_patches=6) == (6, 1)
    assert tiles(internvl.layout, 10, 10, min_patches=2) == (2, 2)  # whatever its size: nothing else is as square
    assert tiles(internvl.layout, 634, 634, tile=449) == (1, 1)
    assert tiles(internvl.layout, 4000, 4000, max_patches=1) == (1, 1)
    assert internvl.layout(1, 1, 1) == Layout(Block(1, 256))
    assert internvl.layout(1, 2, 1, slots=16) == Layout(Block(1, 16), ((Block(1, 16),), (Block(1, 16),)))
    assert internvl.layout(4000, 4000, 1).slots == 10 * 256


@cache
def _optimal_canvas() -> Callable[..., tuple[int, int]]:
    """transformers' own; InternVL uses the image processor of GOT-OCR 2."""
    for name in ("image_processing_pil_got_ocr2", "image_processing_got_ocr2"):  # the first since 5.3 or so
        try:
            module = importlib.import_module(f"transformers.models.got_ocr2.{name}")
        except ImportError:
            continue
        found: Callable[..., tuple[int, int]] = module.get_optimal_tiled_canvas
        return found
    pytest.skip("transformers keeps the canvases of GOT-OCR 2 elsewhere, or needs torch for them")


@given(SIDES, SIDES, st.sampled_from([(1, 12), (1, 6), (2, 12), (1, 40)]), st.sampled_from([448, 336]))
@example(634, 634, (1, 12), 448)
@example(1250, 1000, (2, 12), 448)
@QUICK
def test_internvl_is_that_of_transformers(width: int, height: int, limits: tuple[int, int], tile: int) -> None:
    least, most = limits
    found = tiles(internvl.layout, width, height, tile=tile, min_patches=least, max_patches=most)
    assert found == _optimal_canvas()((height, width), (tile, tile), least, most)


@given(SIDES, SIDES, st.integers(1, 12))
@QUICK
def test_internvl_keeps_any_limit_and_its_scale(width: int, height: int, most: int) -> None:
    columns, rows = tiles(internvl.layout, width, height, max_patches=most)
    assert columns * rows <= most
    assert tiles(internvl.layout, 3 * width, 3 * height, max_patches=most, tile=3 * 448) == (columns, rows)


@pytest.mark.parametrize("rule", [pixtral.layout, llama4.layout, internvl.layout])
def test_the_number_of_images_does_not_matter(rule: Callable[..., Layout]) -> None:
    assert {rule(1000, 700, number) for number in (0, 1, 50)} == {rule(1000, 700, 1)}


@given(SIDES, SIDES)
@QUICK
def test_fixed(width: int, height: int) -> None:
    layout = fixed.layout(width, height, 1, slots=576)
    assert (layout.sliced, layout.slots, layout.overview) == (False, 576, Block(1, 576))


def test_a_layout_counts_its_slots() -> None:
    assert Layout(None).slots == 0
    assert Layout(None, ((Block(2, 3), Block(1, 1)),)).slots == 7
    assert Layout(Block(4, 4), ((Block(2, 3),), (Block(1, 1),))).slots == 23


def test_a_rule_by_name() -> None:
    assert slicing.rule("minicpm") is minicpm.layout
    assert slicing.rule("pixtral") is pixtral.layout
    assert slicing.rule("llama4") is llama4.layout
    assert slicing.rule("internvl") is internvl.layout
    assert slicing.rule("fixed") is fixed.layout


def test_a_rule_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "halves_rule.py").write_text(
        "from image_spans.slicing import Block, Layout\n"
        "def layout(width, height, number_of_images, *, slots=2):\n"
        "    return Layout(Block(1, slots * number_of_images))\n"
        "NUMBER = 3\n"
    )
    rule = slicing.rule("halves_rule:layout", tmp_path)
    assert rule(10, 10, 3).slots == 6
    assert slicing.rule("halves_rule:layout", tmp_path) is rule
    with pytest.raises(ConfigError, match=r"halves_rule has no 'layot'; did you mean 'layout'"):
        slicing.rule("halves_rule:layot", tmp_path)
    with pytest.raises(ConfigError, match=r"is a int, not a function"):
        slicing.rule("halves_rule:NUMBER", tmp_path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("minicmp", "unknown slice rule 'minicmp'; did you mean 'minicpm'? (or module:function)"),
        ("", f"unknown slice rule ''; known: {', '.join(names('image_spans.slicing'))} (or module:function)"),
        ("no_such_module:layout", "there is no module 'no_such_module'"),
        ("no such:rule", "unknown slice rule 'no such:rule'"),
    ],
)
def test_what_is_no_rule(name: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        slicing.rule(name)
    assert said in str(error.value)


@pytest.mark.parametrize("rule", [internvl, llama4])
def test_how_many_tiles_may_be_asked_for(rule: Any) -> None:
    for most in (0, 1001):
        with pytest.raises(ValueError, match=f"^max_patches is {most}; expected 1 to 1000$"):
            rule.layout(1, 1, 1, max_patches=most)
    assert rule.layout(1, 1, 1, max_patches=1000).overview == rule.layout(1, 1, 1, max_patches=1).overview


def test_internvl_takes_the_first_of_equally_near_grids() -> None:
    """Of 3 or 4 tiles, 3 x 1 and 2 x 2 are equally near to 2 : 1; the later one needs more than half of its pixels."""

    def tiles(width: int, height: int) -> list[int]:
        return [len(row) for row in internvl.layout(width, height, 1, min_patches=3, max_patches=4).grid]

    assert tiles(200, 100) == [3]
    assert tiles(896, 448) == [3]  # half of the pixels, not more
    assert tiles(898, 449) == [2, 2]


def test_internvl_takes_fewer_columns_of_equally_near_grids() -> None:
    """5 : 4 is as far from 1 : 2 as from 2 : 1."""
    assert internvl.layout(5, 4, 1, min_patches=2, max_patches=2).grid == ((Block(1, 256),),) * 2


def test_internvl_without_any_grid() -> None:
    assert internvl.layout(1, 1, 1, min_patches=5, max_patches=4) == Layout(Block(1, 256))


def test_pixtral_keeps_one_pixel_of_a_line() -> None:
    assert pixtral.layout(4096, 1, 1, size=1024, patch=1) == Layout(Block(1, 1024))
    assert pixtral.layout(1, 4096, 1, size=1024, patch=1) == Layout(Block(1024, 1))
