"""One fault has one cause, on one small image as on several large ones; each is said of tokens made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from image_spans import checks
from image_spans.case import Bench
from image_spans.contract import Contract
from image_spans.conversation import Conversation, Image, Message, Text
from image_spans.diagnosis import diagnosed
from image_spans.findings import Finding
from image_spans.slicing import Block, Layout
from support import ROWS, ToyTokenizer, contract, subject

NAMES = {"[": 1, "]": 2, "{": 3, "}": 4, "(": 5, ")": 6, ".": 7}
ONE_SPAN = {"grammar": "same_span", "rule": "llama4"}
BREAKS = {"tile_break": "<slice>", "row_break": "</slice>", "overview_open": "<image_id>", "overview": "last"}
FLAT = contract()
LLAMA4 = contract(slices={**ONE_SPAN, **BREAKS})
INTERNVL = contract(slices={**ONE_SPAN, "overview": "last"})
PIXTRAL = contract(images=ROWS, slices=None)
SMALL, LARGE = Image(1, 1), Image(449, 449)
TILES = Image(672, 336)  # 2 x 1
SQUARE = Image(672, 672)  # 2 x 2
SIX = Image(48, 32)  # 3 columns, 2 rows


def ids_of(text: str) -> list[int]:
    """``[....]`` is an image span, ``{....}`` a slice span; in rows and in one span ``{`` and ``}`` are breaks."""
    return [NAMES.get(character, 1000 + ord(character)) for character in text]


def cause(promised: Contract, text: str, *images: Image, tokenizer: ToyTokenizer | None = None) -> tuple[str, str, str]:
    """Check, cause and sentence of the one finding on these ids; each image is followed by the text ``a``."""
    one = subject(lambda _, __: ids_of(text), promised=promised, tokenizer=tokenizer)
    parts = [part for image in images for part in (image, Text("a"))]
    case = Bench(one).case(Conversation([Message("user", parts)]))
    found = []
    for name, check in checks.checks().items():
        if check.family == "single" and check.inapplicable(one.contract, one.returns) is None:
            verdict = checks.judge(case, name)
            if isinstance(verdict, Finding):
                found.append(diagnosed(case, verdict))
    (finding,) = found
    return finding.check, finding.cause.name, finding.cause.sentence


@pytest.mark.parametrize(
    ("promised", "text", "images", "said"),
    [
        # Never written, on one image and on several; or on one of several.
        (FLAT, "[....a", [SMALL], "</image> (2) is never written; all other tokens are there"),
        (FLAT, "[....a[....a", [SMALL, SMALL], "</image> (2) is never written; all other tokens are there"),
        (FLAT, "[....]a[....a", [SMALL, SMALL], "</image> (2) is missing at image 1; all other tokens are there"),
        (FLAT, "[....]{....\n{....a", [LARGE], "</slice> (4) is never written; all other tokens are there"),
        (FLAT, "....a", [SMALL], "<image> (1) and </image> (2) are never written; all other tokens are there"),
        (
            FLAT,
            "[....]a....a",
            [SMALL, SMALL],
            "<image> (1) and </image> (2) are missing at image 1; all other tokens are there",
        ),
        (PIXTRAL, "...{...a", [SIX], "</image> (2) is never written; all other tokens are there"),
        # Rows and tiles that touch are one run then.
        (PIXTRAL, "......]a", [SIX], "<slice> (3) is never written; all other tokens are there"),
        (PIXTRAL, "......]a...{...]a", [SIX, SIX], "<slice> (3) is missing at image 0; all other tokens are there"),
        (LLAMA4, "[........}(....]a", [TILES], "<slice> (3) is never written; all other tokens are there"),
        (LLAMA4, "[....{........(....]a", [SQUARE], None),
        (
            LLAMA4,
            "[....{....}....{....(....]a",
            [SQUARE],
            "</slice> (4) is missing at image 0; all other tokens are there",
        ),
        (LLAMA4, "[....{....}....]a", [TILES], "<image_id> (5) is never written; all other tokens are there"),
    ],
)
def test_a_lost_marker(promised: Contract, text: str, images: list[Image], said: str | None) -> None:
    if said is None:  # two markers of two roles: no one fault
        assert cause(promised, text, *images)[1] == "unknown"
    else:
        assert cause(promised, text, *images)[1:] == ("marker-lost", said)


@pytest.mark.parametrize(
    ("promised", "text", "images", "said"),
    [
        (FLAT, "[....]]a", [SMALL], "every </image> (2) is written twice, as when two places wrap an image"),
        (FLAT, "[....]]a[....]]a", [SMALL, SMALL], "every </image> (2) is written twice, as when two places wrap an"),
        (FLAT, "[....]]a[....]a", [SMALL, SMALL], "there is one </image> (2) too many, at 6"),
        (FLAT, "[[....]]a", [SMALL], "every <image> (1) and </image> (2) is written twice"),
        (PIXTRAL, "...{...{]a", [SIX], "every <slice> (3) is written twice"),
        (PIXTRAL, "...{...{]a.{]a", [SIX, SMALL], "there are 2 <slice> (3) too many, at 7"),
        (LLAMA4, "[..{..{....}(....]a", [TILES], "every <slice> (3) is written twice"),
        (LLAMA4, "[(....}]a", [SMALL], "there is one </slice> (4) too many, at 6"),
    ],
)
def test_a_surplus_marker(promised: Contract, text: str, images: list[Image], said: str) -> None:
    _, name, sentence = cause(promised, text, *images)
    assert name == "marker-surplus"
    assert sentence.startswith(said)


@pytest.mark.parametrize(
    ("promised", "text", "images", "name", "said"),
    [
        (FLAT, "]....[a", [SMALL], "markers-swapped", "open and close markers are swapped"),
        (
            PIXTRAL,
            "...{...{a",
            [SIX],
            "marker-mistaken",
            "<slice> (3) stands where </image> (2) belongs; all other tokens are right",
        ),
        (
            PIXTRAL,
            "...]...]a.]a",
            [SIX, SMALL],
            "marker-mistaken",
            "</image> (2) stands where <slice> (3) belongs; all other tokens are right",
        ),
        (PIXTRAL, "...]...{a", [SIX], "markers-swapped", "</image> (2) and <slice> (3) are swapped"),
        (
            LLAMA4,
            "[....}....{....}....{(....]a",
            [SQUARE],
            "markers-swapped",
            "</slice> (4) and <slice> (3) are swapped",
        ),
        (
            LLAMA4,
            "[....}....({....]a",
            [TILES],
            "marker-misplaced",
            "all tokens are there, but </slice> (4) stands too early at image 0",
        ),
    ],
)
def test_other_markers(promised: Contract, text: str, images: list[Image], name: str, said: str) -> None:
    assert cause(promised, text, *images)[1:] == (name, said)


@pytest.mark.parametrize(
    ("promised", "text", "images", "name", "said"),
    [
        (LLAMA4, "[(....}....{....]a", [TILES], "overview-misplaced", "in front of the tiles; it belongs last"),
        (LLAMA4, "[(....]a", [TILES], "slices-missing", "only the overview of the image is written, no slices"),
        (LLAMA4, "[....{....]a", [TILES], "overview-missing", "only the slices of the image are written, no overview"),
        (
            LLAMA4,
            "[....{....}(........]a",
            [TILES],
            "overview-doubled",
            "the overview of the image has twice",
        ),
        (
            LLAMA4,
            "[....{....}(....]a[(....]a",
            [SQUARE, SMALL],
            "row-missing",
            "the grid of each image has one row less than the rule gives",
        ),
        (
            LLAMA4,
            "[....{....}....{....}(....]a[....{....}(....]a",
            [SQUARE, SQUARE],
            "row-missing",
            "the grid of image 1 has one row less than the rule gives",
        ),
        (LLAMA4, "[....}....}(....]a", [SQUARE], "column-missing", "one column less"),
        (LLAMA4, "[....{....}....{....}....{....}(....]a", [SQUARE], "row-surplus", "one row more"),
        (LLAMA4, "[....{....{....}....{....{....}(....]a", [SQUARE], "column-surplus", "one column more"),
        (LLAMA4, "[....{....}....}(....]a", [SQUARE], "tile-missing", "the last tile of the image is missing"),
        (LLAMA4, "[....{....}....{....{....}(....]a", [SQUARE], "tile-surplus", "one tile of the image too many"),
        (INTERNVL, "[........]a", [SMALL], "overview-surplus", "though one tile is all of it"),
        (FLAT, "[....]a[....]{....}{....}a", [SMALL, Image(896, 896)], "row-missing", "one row less"),
        (FLAT, "[....]{....}\n{....}\n{....}a", [LARGE], "row-surplus", "one row more"),
        (PIXTRAL, "...]a", [SIX], "row-missing", "the grid of the image has one row less"),
        (PIXTRAL, "..{..]a", [SIX], "column-missing", "one column less"),
        (PIXTRAL, "..{..{..]a", [SIX], "sides-sorted", "side is always taken for the width"),
        (PIXTRAL, "...{...{...]a", [SIX], "row-surplus", "one row more"),
        (
            PIXTRAL,
            "...{...]a...{...]a",
            [SIX, SMALL],
            "largest-image-for-all",
            "of the largest one",
        ),
        (PIXTRAL, "...{...]a...{...]a...{...]a", [SMALL, SIX, SMALL], "largest-image-for-all", "of the largest one"),
    ],
)
def test_other_layouts(promised: Contract, text: str, images: list[Image], name: str, said: str) -> None:
    _, found, sentence = cause(promised, text, *images)
    assert found == name
    assert said in sentence


def test_rounding_where_the_contract_rounds_down() -> None:
    down = contract(images={**ROWS, "options": {"size": 64, "rounding": "down"}}, slices=None)
    _, name, sentence = cause(down, "....{....]a", Image(640, 168))
    assert name == "rounding-differs"
    said = "are rounded to the nearest pixel, the rule rounds them down (image 0 has 8 slots, expected 4)"
    assert sentence.endswith(said)


def test_a_grammar_that_refuses_the_layouts_that_are_tried(tmp_path: Path) -> None:
    (tmp_path / "refusing_grammar_of_this_test.py").write_text(
        "from image_spans.grammars import Marker, Slots\n"
        "def write(layout, contract, number):\n"
        "    if (len(layout.grid), layout.overview.slots) != (2, 4):\n"
        "        raise RuntimeError('no such layout')\n"
        "    return [Marker('image_open'), Slots(4), Marker('image_close')]\n",
        encoding="utf-8",
    )
    images = {
        "grammar": "refusing_grammar_of_this_test:write",
        "open": "<image>",
        "close": "</image>",
        "placeholder": "<pad>",
        "slots": "internvl",
        "options": {"slots": 4},
    }
    own = contract(images=images, slices=None).locate(tmp_path)
    assert cause(own, "[...]a", Image(1, 2))[:2] == ("spans.slots", "slots-off-by-one")


def test_oracle_of_given_layouts() -> None:
    """What would stand there if the layouts were others; images that are not given keep theirs."""
    oracle = Bench(subject(promised=LLAMA4)).oracle
    conversation = Conversation([Message("user", [TILES, Text("a"), SMALL])])
    assert oracle.layout(conversation, 0).grid == ((Block(1, 4), Block(1, 4)),)
    assert oracle.layout(conversation, 1) == Layout(Block(1, 4))
    right = oracle.expected(conversation)
    assert oracle.expected(conversation, layouts={}).tokens == right.tokens
    other: dict[int, Any] = {0: Layout(Block(1, 9))}
    assert oracle.expected(conversation, layouts=other).tokens == [
        *[("image_open", 1), ("overview_open", 1), ("placeholder", 9), ("image_close", 1)],
        *[("image_open", 1), ("overview_open", 1), ("placeholder", 4), ("image_close", 1)],
    ]
    assert oracle.expected(conversation).tokens == right.tokens  # nothing of it was kept
