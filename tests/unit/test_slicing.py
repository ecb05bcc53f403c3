"""The slice rules against values worked out by hand and against their own symmetry."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from image_spans import slicing
from image_spans.errors import ConfigError
from image_spans.slicing import Block, Layout, fixed, minicpm

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
        ("", "unknown slice rule ''; known: fixed, internvl, llama4, minicpm, pixtral (or module:function)"),
        ("no_such_module:layout", "there is no module 'no_such_module'"),
        ("no such:rule", "unknown slice rule 'no such:rule'"),
    ],
)
def test_what_is_no_rule(name: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        slicing.rule(name)
    assert said in str(error.value)
