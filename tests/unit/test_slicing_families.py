"""The slice rules of model families against values worked out by hand; the sweep is in test_processor_rules.py."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from image_spans import slicing
from image_spans.grammars import Slots, grammar
from image_spans.slicing import (
    Block,
    Layout,
    aria,
    deepseek_ocr2,
    emu3,
    gemma3,
    gemma4,
    glm4v,
    granite_docling,
    hunyuan_vl,
    idefics3,
    llava_next,
    llava_onevision,
    minicpm4_6,
    ovis2,
    paddleocr_vl,
    qwen2_vl,
)
from support import contract


def name(value: object) -> str:
    """How a parameter is shown: a rule by its name."""
    return str(getattr(value, "__name__", value)).rpartition(".")[2]


def grid(rows: int, columns: int, slots: int) -> tuple[tuple[Block, ...], ...]:
    return ((Block(1, slots),) * columns,) * rows


@pytest.mark.parametrize(
    ("rule", "size", "rows_and_columns"),
    [
        # 56 x 56 pixels at least: one slot of 28 doubles, a pixel too.
        *[(qwen2_vl, (28, 28), (2, 2)), (qwen2_vl, (1, 1), (2, 2)), (qwen2_vl, (56, 56), (2, 2))],
        # Rounded to the nearest slot, halves to the even one: 70 pixels are 2.5, 98 are 3.5.
        *[(qwen2_vl, (70, 70), (2, 2)), (qwen2_vl, (71, 71), (3, 3)), (qwen2_vl, (98, 98), (4, 4))],
        # 35 x 35 slots are allowed, 36 x 36 are 12544 pixels too many, and the next lower are 35 x 35.
        *[(qwen2_vl, (990, 990), (35, 35)), (qwen2_vl, (1000, 1000), (35, 35))],
        # 69 x 39 slots are too many; shrunk by 1.437 they are 47.7 x 26.8, rounded down.
        *[(qwen2_vl, (1920, 1080), (26, 47)), (qwen2_vl, (1080, 1920), (47, 26))],
        # Of no slots, so enlarged by 3.96: 0.14 x 28.3 slots, rounded up.
        *[(qwen2_vl, (1, 200), (29, 1)), (qwen2_vl, (200, 1), (1, 29))],
        # GLM: two frames of 28 x 28 are an eighth of 12544 pixels; grown by 2.83 and rounded up. A pixel is 28 first.
        *[(glm4v, (28, 28), (3, 3)), (glm4v, (1, 1), (3, 3)), (glm4v, (84, 84), (3, 3)), (glm4v, (112, 112), (4, 4))],
        # A narrow image grows to one slot, and then is as long as it is: 28 x 5600 pixels.
        *[(glm4v, (1, 200), (200, 1)), (glm4v, (200, 1), (1, 200)), (glm4v, (27, 28), (3, 3))],
        # PaddleOCR-VL: 384 x 384 pixels at least are 13.7 slots a side.
        *[(paddleocr_vl, (1, 1), (14, 14)), (paddleocr_vl, (384, 384), (14, 14)), (paddleocr_vl, (28, 28), (14, 14))],
        *[(paddleocr_vl, (1, 200), (200, 1)), (paddleocr_vl, (200, 1), (1, 200)), (paddleocr_vl, (1540, 28), (2, 102))],
        # Emu3: 512 x 512 to 1024 x 1024 pixels, 8 a token, and the end of each row.
        *[(emu3, (512, 512), (64, 65)), (emu3, (1, 1), (64, 65)), (emu3, (1100, 1100), (128, 129))],
        # Gemma 4: 280 tokens of 48 pixels; a square would have 16.7 a side. A line of 280 fits, longer ones are cut.
        *[(gemma4, (1, 1), (16, 16)), (gemma4, (4000, 4000), (16, 16)), (gemma4, (200, 100), (11, 23))],
        *[(gemma4, (1, 280), (280, 1)), (gemma4, (1, 281), (280, 1)), (gemma4, (4000, 1), (1, 280))],
    ],
    ids=name,
)
def test_one_block_of_rows_and_columns(rule, size: tuple[int, int], rows_and_columns: tuple[int, int]) -> None:
    assert rule.layout(*size, 1) == Layout(Block(*rows_and_columns))


def test_options_of_grids() -> None:
    assert qwen2_vl.layout(64, 64, 1, patch=16) == Layout(Block(2, 2))
    assert qwen2_vl.layout(280, 280, 1, max_pixels=28 * 28 * 64) == Layout(Block(8, 8))
    assert qwen2_vl.layout(280, 280, 1, merge=1) == Layout(Block(20, 20))
    assert glm4v.layout(28, 28, 1, frames=1) == Layout(Block(4, 4))
    assert glm4v.layout(560, 560, 1, max_pixels=2 * 28 * 28 * 100) == Layout(Block(10, 10))
    assert gemma4.layout(1, 1, 1, max_soft_tokens=70) == Layout(Block(8, 8))


@pytest.mark.parametrize("rule", [qwen2_vl, glm4v, paddleocr_vl, hunyuan_vl, emu3], ids=name)
@pytest.mark.parametrize("size", [(1, 201), (201, 1), (3, 601)], ids=str)
def test_an_aspect_above_200_is_refused(rule, size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="one side is more than 200 times the other"):
        rule.layout(*size, 1)


@pytest.mark.parametrize(
    ("rule", "size", "slots"),
    [
        # 16 rows of 16 and a newline, and both ends.
        *[(hunyuan_vl, (512, 512), 16 * 17 + 2), (hunyuan_vl, (1, 1), 16 * 17 + 2)],
        *[(hunyuan_vl, (2048, 2048), 64 * 65 + 2), (hunyuan_vl, (1024, 512), 16 * 33 + 2)],
        # All canvases hold it; 672 x 336 is the first of the smallest, and 24 of its 48 columns are padding.
        (llava_next, (336, 336), 576 + 24 * 25),
        (llava_next, (672, 672), 576 + 48 * 49),
        # On 672 x 672 it takes 33.6 of 48 rows; 7 are cut on either side.
        (llava_next, (1000, 700), 576 + 34 * 49),
        # No canvas keeps a pixel of it; on 672 x 336 no column is left, and each of 24 rows has its newline.
        (llava_next, (1, 3000), 576 + 24),
        # On 1 x 3 tiles, without the padding at left and right.
        (llava_next, (200, 1008), 576 + 72 * (14 + 1)),
        (llava_onevision, (384, 384), 729 + 27 * 28),
        (llava_onevision, (1152, 1152), 729 + 81 * 82),
        # A pixel more takes 4 x 4 tiles, which are too many and are scaled down to 3 x 3; so are 6 x 6.
        *[(llava_onevision, (1153, 1153), 729 + 81 * 82), (llava_onevision, (9000, 9000), 729 + 81 * 82)],
        # 2 x 5 tiles are 1.11 times as many as 9, of which the root is less than 1.1: they stay.
        (llava_onevision, (1920, 768), 729 + 54 * 136),
    ],
    ids=name,
)
def test_one_run(rule, size: tuple[int, int], slots: int) -> None:
    assert rule.layout(*size, 1) == Layout(Block(1, slots))


def test_options_of_runs() -> None:
    assert hunyuan_vl.layout(512, 512, 1, ends=0).slots == 16 * 17
    assert llava_next.layout(112, 112, 1, tile=112, pinpoints=[[112, 112]]) == Layout(Block(1, 64 + 8 * 9))
    assert llava_next.layout(336, 336, 1, patch=28).slots == 144 + 12 * 13
    assert llava_onevision.layout(1152, 1152, 1, max_patches=4).slots == 729 + 54 * 55


def test_several_images_of_onevision_are_not_tiled() -> None:
    assert {llava_onevision.layout(*size, 2) for size in ((1, 1), (9000, 100))} == {Layout(Block(1, 730))}
    assert llava_onevision.layout(384, 384, 0) == llava_onevision.layout(384, 384, 1)


@pytest.mark.parametrize(
    ("size", "rows_and_columns"),
    [
        # The longer side becomes 1456 pixels, 4 tiles; a small image is cut like a large one.
        *[((1, 1), (4, 4)), ((364, 364), (4, 4)), ((5000, 5000), (4, 4)), ((1000, 700), (3, 4)), ((700, 1000), (4, 3))],
        # 364 pixels are one row; 365 are made even, and are two.
        *[((1456, 364), (1, 4)), ((1000, 250), (1, 4)), ((1456, 365), (2, 4)), ((365, 1456), (4, 2))],
        *[((5000, 1), (1, 4)), ((1, 5000), (4, 1))],
    ],
    ids=name,
)
def test_idefics3(size: tuple[int, int], rows_and_columns: tuple[int, int]) -> None:
    assert idefics3.layout(*size, 1) == Layout(Block(1, 169), grid(*rows_and_columns, 169))


def test_options_of_idefics3() -> None:
    assert idefics3.layout(1000, 1000, 1, split=False) == Layout(Block(1, 169))
    assert idefics3.layout(1000, 700, 1, longest=364) == Layout(Block(1, 169))
    assert idefics3.layout(1000, 1000, 1, slots=64, tile=512, longest=2048) == Layout(Block(1, 64), grid(4, 4, 64))
    assert idefics3.layout(10, 10, 1, longest=8000).slots == (12 * 12 + 1) * 169  # 4096 pixels at most


@pytest.mark.parametrize(
    ("size", "rows_and_columns"),
    [
        # Not long enough: 1.2 is asked for.
        *[((1000, 1000), None), ((1199, 1000), None), ((1000, 1199), None)],
        # Two at least; 2.5 : 1 is three.
        *[
            ((600, 500), (1, 2)),
            ((1200, 600), (1, 2)),
            ((600, 1200), (2, 1)),
            ((1499, 600), (1, 2)),
            ((1500, 600), (1, 3)),
        ],
        # Four at most.
        *[((2560, 256), (1, 4)), ((300, 3000), (4, 1))],
        # Halves of 510 pixels are 255 wide, those of 511 are 256. A low image is not cut at all.
        *[((510, 400), None), ((511, 400), (1, 2)), ((4000, 255), None)],
        # 3 : 1, but 700 pixels hold only two crops of 256.
        ((767, 256), (1, 2)),
    ],
    ids=name,
)
def test_gemma3(size: tuple[int, int], rows_and_columns: tuple[int, int] | None) -> None:
    expected = grid(*rows_and_columns, 256) if rows_and_columns else ()
    assert gemma3.layout(*size, 1, pan_and_scan=True) == Layout(Block(1, 256), expected)
    assert gemma3.layout(*size, 1) == Layout(Block(1, 256))


def test_options_of_gemma3() -> None:
    assert gemma3.layout(200, 100, 1, pan_and_scan=True, min_crop_size=100).slots == 3 * 256
    assert gemma3.layout(9000, 900, 1, pan_and_scan=True, max_num_crops=9).slots == 10 * 256
    assert gemma3.layout(1200, 600, 1, pan_and_scan=True, min_ratio=2.1) == Layout(Block(1, 256))


@pytest.mark.parametrize(
    ("size", "rows_and_columns"),
    [
        # One tile keeps (448 / 472) ** 2 = 0.901 of a square of 472 pixels, and 0.897 of 473.
        *[((1, 1), None), ((448, 448), None), ((472, 472), None), ((473, 473), (2, 2))],
        # Three tiles side by side.
        *[((1344, 448), (1, 3)), ((448, 1344), (3, 1)), ((896, 448), (1, 2))],
        # No grid keeps nine tenths: the one that keeps most.
        *[((4000, 4000), (3, 3)), ((20000, 1000), (1, 9)), ((1000, 20000), (9, 1))],
    ],
    ids=name,
)
def test_ovis2(size: tuple[int, int], rows_and_columns: tuple[int, int] | None) -> None:
    expected = grid(*rows_and_columns, 256) if rows_and_columns else ()
    assert ovis2.layout(*size, 1) == Layout(Block(1, 256), expected)
    turned = grid(*rows_and_columns[::-1], 256) if rows_and_columns else ()
    assert ovis2.layout(*size, 1, transposed=True) == Layout(Block(1, 256), turned)


def test_options_of_ovis2() -> None:
    assert ovis2.layout(4000, 4000, 1, max_patches=4) == Layout(Block(1, 256), grid(2, 2, 256))
    assert ovis2.layout(472, 472, 1, covering=0.95) == Layout(Block(1, 256), grid(2, 2, 256))
    with pytest.raises(ValueError, match="max_patches is 0; expected 1 to 100"):
        ovis2.layout(1, 1, 1, max_patches=0)


def test_aria() -> None:
    assert aria.layout(4000, 100, 1) == Layout(Block(1, 256))
    assert aria.layout(490, 490, 1, slots=128, tile=490, split=True) == Layout(None, grid(1, 2, 128))
    assert aria.layout(980, 980, 1, slots=128, tile=490, split=True) == Layout(None, grid(2, 2, 128))
    assert aria.layout(490, 980, 1, slots=128, tile=490, split=True) == Layout(None, grid(2, 1, 128))
    # A canvas of 980 x 490 pixels has one tile of 980, which it fills by half.
    assert aria.layout(980, 490, 1, split=True) == Layout(None, grid(1, 1, 256))
    assert aria.layout(9000, 100, 1, split=True) == Layout(None, grid(1, 4, 256))
    assert aria.layout(10, 10, 1, tile=490, split=True, resolutions=[[490, 490]]) == Layout(None, grid(1, 1, 256))


def test_minicpm4_6() -> None:
    assert minicpm4_6.layout(448, 448, 1) == Layout(Block(8, 8))
    assert minicpm4_6.layout(1, 1, 1) == Layout(Block(8, 8))
    # 158 x 1267 pixels are 2.8 x 22.6 slots.
    assert minicpm4_6.layout(100, 800, 1) == Layout(Block(23, 3))
    # The whole image in 632 x 316 pixels is 11.3 x 5.6 slots, its halves are square.
    assert minicpm4_6.layout(896, 448, 1) == Layout(Block(6, 11), ((Block(8, 8), Block(8, 8)),))
    assert minicpm4_6.layout(448, 896, 1) == Layout(Block(11, 6), ((Block(8, 8),), (Block(8, 8),)))
    assert minicpm4_6.layout(448, 448, 1, slots=256) == Layout(Block(16, 16))
    assert minicpm4_6.layout(896, 448, 1, never_split=True) == Layout(Block(6, 11))
    assert len(minicpm4_6.layout(4000, 4000, 1, max_slice_nums=4).grid) == 2
    for slots in (0, 60, 25):  # no square, or a root that does not divide 448
        with pytest.raises(ValueError, match=f"slots is {slots}; expected a square whose root divides 448"):
            minicpm4_6.layout(1, 1, 1, slots=slots)


def test_deepseek_ocr2() -> None:
    assert deepseek_ocr2.layout(768, 768, 1) == Layout(Block(1, 257))
    assert deepseek_ocr2.layout(769, 769, 1) == Layout(Block(1, 257), grid(2, 2, 144))
    assert deepseek_ocr2.layout(1600, 800, 1) == Layout(Block(1, 257), grid(1, 2, 144))
    assert deepseek_ocr2.layout(100, 9000, 1) == Layout(Block(1, 257), grid(6, 1, 144))
    assert deepseek_ocr2.layout(9000, 9000, 1, crop=False) == Layout(Block(1, 145))


def test_granite_docling() -> None:
    assert granite_docling.layout(512, 512, 1) == Layout(None, grid(1, 1, 64))
    assert granite_docling.layout(1024, 512, 1) == Layout(Block(1, 64), grid(1, 2, 64))
    assert granite_docling.layout(9000, 100, 1) == Layout(Block(1, 64), grid(1, 16, 64))
    assert granite_docling.layout(9000, 9000, 1).slots == (5 * 5 + 1) * 64
    assert granite_docling.layout(9000, 100, 1, max_patches=1) == Layout(None, grid(1, 1, 64))


RULES: list[Callable[..., Layout]] = [
    *[aria.layout, deepseek_ocr2.layout, emu3.layout, gemma3.layout, gemma4.layout, glm4v.layout, idefics3.layout],
    *[granite_docling.layout, hunyuan_vl.layout, llava_next.layout, minicpm4_6.layout, ovis2.layout, qwen2_vl.layout],
    paddleocr_vl.layout,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__module__.rpartition(".")[2])
def test_a_rule_has_its_name_and_is_asked_for_each_image_alone(rule: Callable[..., Layout]) -> None:
    assert slicing.rule(rule.__module__.rpartition(".")[2]) is rule
    assert {rule(1000, 700, number) for number in (0, 1, 50)} == {rule(1000, 700, 1)}


PAIRED = {"open": "<image>", "close": "</image>", "placeholder": "<pad>"}


@pytest.mark.parametrize(
    ("images", "slices"),
    [
        *[({**PAIRED, "slots": rule}, None) for rule in ("qwen2_vl", "glm4v", "paddleocr_vl", "hunyuan_vl")],
        *[({**PAIRED, "slots": rule}, None) for rule in ("gemma3", "gemma4")],
        (
            {"grammar": "run", "placeholder": "<pad>", "slots": "llava_next", "options": {"pinpoints": [[336, 672]]}},
            None,
        ),
        *[
            ({"grammar": "run", "placeholder": "<pad>", "slots": rule}, None)
            for rule in ("llava_onevision", "deepseek_ocr2")
        ],
        ({"grammar": "run", "placeholder": "<pad>", "slots": "aria", "options": {"split": True}}, None),
        ({**PAIRED, "slots": 64}, {"open": "<slice>", "close": "</slice>", "rule": "minicpm4_6"}),
    ],
    ids=str,
)
def test_the_grammar_that_a_rule_is_meant_for_writes_its_slots(images, slices) -> None:
    told = contract(images=images, slices=slices)
    several = 0
    for size in ((1, 1), (1200, 600), (600, 2400)):
        layout = told.layout(*size, 1)
        written = [
            part.count for part in grammar(told.images.grammar).write(layout, told, 0) if isinstance(part, Slots)
        ]
        assert sum(written) == layout.slots
        several += len(written) > 1
    assert (several > 0) == (slices is not None)
