"""That the language of grammars is rich enough: real models written as grammars of one's own, against their code."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from image_spans.contract import Contract
from image_spans.conversation import Conversation, Image, Message, Text
from image_spans.engine import verify
from image_spans.findings import Finding
from image_spans.grammars import Fixed, Marker, Pair, grammar
from image_spans.oracles import Oracle
from image_spans.slicing import Block, Layout
from support import ToyTokenizer, contract, subject

HERE = Path(__file__).parent
QUICK = settings(
    max_examples=100, database=None, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
COUNTS = st.integers(1, 6)

IDEFICS3 = {
    "grammar": "own_grammars:idefics3",
    "placeholder": "<image>",
    "slots": "own_grammars:tiles",
    "markers": {
        "fake": "<fake_token_around_image>",
        "global": "<global-img>",
        **{f"row_{row}_col_{column}": f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)},
    },
}
GEMMA3 = {
    "grammar": "own_grammars:gemma3",
    "open": "<start_of_image>",
    "close": "<end_of_image>",
    "placeholder": "<image_soft_token>",
    "slots": "own_grammars:tiles",
}
LLAMA4 = {"open": "<|image_start|>", "close": "<|image_end|>", "placeholder": "<|patch|>"}
OWN_LLAMA4 = {
    **LLAMA4,
    "grammar": "own_grammars:llama4",
    "slots": "llama4",
    "options": {"slots": 144},
    "markers": {"tile_x": "<|tile_x_separator|>", "tile_y": "<|tile_y_separator|>", "whole": "<|image|>"},
}
SAME_SPAN = {
    "grammar": "same_span",
    "tile_break": "<|tile_x_separator|>",
    "row_break": "<|tile_y_separator|>",
    "overview": "last",
    "overview_open": "<|image|>",
    "rule": "llama4",
}
PICTURE = {
    "grammar": "own_grammars:picture",
    "open": "<img>",
    "close": "</img>",
    "placeholder": "<imgpad>",
    "slots": 2,
}


def promise(images: dict[str, Any], slices: dict[str, Any] | None = None) -> Contract:
    return contract(images=images, slices=slices).locate(HERE)


def spelled(promised: Contract, layout: Layout, number: int = 0) -> str:
    """What the grammar of a contract writes, as text with special tokens in it."""
    written = grammar(promised.images.grammar, promised.folder).write(layout, promised, number)
    return "".join(
        element.text
        if isinstance(element, Fixed)
        else promised.markers[element.role]
        if isinstance(element, Marker)
        else promised.images.placeholder * element.count
        for element in written
    )


def layout_of(rows: int, columns: int, slots: int) -> Layout:
    block = Block(1, slots)
    return Layout(block, ((block,) * columns,) * rows if rows * columns > 1 else ())


def processor(model: str, cls: str, method: str) -> Any:
    """A method of a processor of transformers, by itself: without torch, a processor cannot be made."""
    module = importlib.import_module(f"transformers.models.{model}.processing_{model}")
    if not hasattr(getattr(module, cls), method):
        pytest.skip(f"this version of transformers has no {cls}.{method}")
    return getattr(getattr(module, cls), method)


# ---------------------------------------------------------------- against the real code


@given(COUNTS, COUNTS, st.integers(1, 9))
@QUICK
def test_idefics3_is_that_of_transformers(rows: int, columns: int, slots: int) -> None:
    write = processor("idefics3", "Idefics3Processor", "replace_image_token")
    itself = SimpleNamespace(
        fake_image_token="<fake_token_around_image>",
        global_image_tag="<global-img>",
        image_token="<image>",
        image_seq_len=slots,
    )
    cut = rows * columns > 1
    inputs = {"rows": [[rows if cut else 0]], "cols": [[columns if cut else 0]]}
    assert spelled(promise(IDEFICS3), layout_of(rows, columns, slots)) == write(itself, inputs, 0)


@given(st.integers(2, 5), st.booleans(), st.booleans(), st.integers(1, 9))
@QUICK
def test_gemma3_is_that_of_transformers(crops: int, cut: bool, wide: bool, slots: int) -> None:
    write = processor("gemma3", "Gemma3Processor", "replace_image_token")
    whole = f"\n\n<start_of_image>{'<image_soft_token>' * slots}<end_of_image>\n\n"  # as its __init__ puts it together
    real = write(SimpleNamespace(full_image_sequence=whole), {"num_crops": [crops if cut else 0]}, 0)
    rows, columns = (1, crops) if wide else (crops, 1)
    assert spelled(promise(GEMMA3), layout_of(rows, columns, slots) if cut else layout_of(1, 1, slots)) == real


@given(COUNTS, COUNTS, st.integers(1, 9))
@QUICK
def test_llama4_is_that_of_transformers(rows: int, columns: int, slots: int) -> None:
    real = processor("llama4", "Llama4Processor", "_prompt_split_image")(None, (rows, columns), slots)
    layout = layout_of(rows, columns, slots)
    assert spelled(promise({**LLAMA4, "slots": slots}, SAME_SPAN), layout) == real
    assert spelled(promise(OWN_LLAMA4), layout) == real


# ---------------------------------------------------------------- in conversations


@given(st.lists(st.tuples(st.integers(1, 4000), st.integers(1, 4000)), min_size=1, max_size=3))
@QUICK
def test_llama4_as_an_own_grammar_expects_what_the_built_in_one_does(sizes: list[tuple[int, int]]) -> None:
    conversation = Conversation([Message("user", [Text("a"), *(Image(*size) for size in sizes), Text("b")])])
    own, built_in = promise(OWN_LLAMA4), promise({**LLAMA4, "slots": 144}, SAME_SPAN)
    one, other = Oracle(own).expected(conversation), Oracle(built_in).expected(conversation)
    assert [(own.markers[role], count) for role, count in one.tokens] == [
        (built_in.markers[role], count) for role, count in other.tokens
    ]
    assert (one.gaps, one.owners, one.messages, one.order) == (other.gaps, other.owners, other.messages, other.order)


def expected(images: dict[str, Any], *parts: Text | Image) -> tuple[str, list[str]]:
    """The tokens, each once and a run as its length, and the text between them."""
    promised = promise(images)
    found = Oracle(promised).expected(Conversation([Message("user", parts)]))
    tokens = " ".join(str(count) if role == "placeholder" else promised.markers[role] for role, count in found.tokens)
    return tokens, ["".join(piece.text for piece in gap) for gap in found.gaps]


FAKE = "<fake_token_around_image>"


def test_idefics3() -> None:
    tokens, texts = expected(IDEFICS3, Text("a"), Image(200, 150), Text("b"), Image(1, 1))
    assert tokens == (
        f"{FAKE} <row_1_col_1> 3 {FAKE} <row_1_col_2> 3 {FAKE} <row_2_col_1> 3 {FAKE} <row_2_col_2> 3 "
        f"{FAKE} <global-img> 3 {FAKE} {FAKE} <global-img> 3 {FAKE}"
    )
    assert texts == ["a", *[""] * 5, "\n", *[""] * 5, "\n\n", *[""] * 3, "b", *[""] * 4]


def test_gemma3() -> None:
    tokens, texts = expected(GEMMA3, Text("a"), Image(200, 100), Text("b"), Image(1, 1))
    assert tokens == " ".join(["<start_of_image> 3 <end_of_image>"] * 4)
    assert texts == [
        *["aHere is the original image \n\n", "", ""],
        *["\n\n and here are some crops to help you see better \n\n", "", ""],
        *["\n\n \n\n", "", ""],
        *["\n\nb\n\n", "", "", "\n\n"],
    ]


def test_the_number_of_an_image_is_that_of_its_place() -> None:
    """Also for images of one size, whose blocks are otherwise alike."""
    tokens, texts = expected(PICTURE, Image(1, 1), Image(1, 1), Text("a"), Image(1, 1))
    assert tokens == " ".join(["<img> 2 </img>"] * 3)
    assert [text for text in texts if text] == ["Picture 1: ", "Picture 2: ", "aPicture 3: "]


def test_pairs_are_told_by_the_roles() -> None:
    def pairs(images: dict[str, Any]) -> list[Pair]:
        promised = promise(images)
        return list(grammar(promised.images.grammar, promised.folder).pairs(promised))

    assert pairs(IDEFICS3) == []
    assert pairs(GEMMA3) == [Pair("image", "image_open", "image_close")]
    assert pairs({**GEMMA3, "close": ()}) == []
    more = {"tile_open": "<t>", "tile_close": "</t>", "left_open": "<l>", "right_close": "</r>"}
    number = {"open": "<n>", "close": "</n>"}
    assert pairs({**GEMMA3, "open": ["<a>", "<b>"], "markers": more, "number": number}) == [
        Pair("image", "image_open", "image_close", ("tile", "number")),
        Pair("tile", "tile_open", "tile_close", ("image", "number")),
        Pair("number", "number_open", "number_close", ("image", "tile")),
    ]


# ---------------------------------------------------------------- judged

CONVERSATION = Conversation(
    [
        Message("user", [Text("a"), Image(400, 350), Image(400, 350)]),
        Message("assistant", [Text("b")]),
        Message("user", [Image(1, 1), Text("\nc")]),
    ]
)


def pipeline(promised: Contract, damage: tuple[str, str] = ("", "")) -> Any:
    """A pipeline that spells each image and reads it as markup; ``damage`` replaces one text in it by another."""

    def encode(tokenizer: ToyTokenizer, conversation: Conversation) -> list[int]:
        ids, number = [], 0
        for message in conversation.messages:
            for part in message.parts:
                if isinstance(part, Text):
                    ids += tokenizer.encode_text(part.text)
                else:
                    text = spelled(promised, promised.layout(part.width, part.height, 1), number)
                    ids += tokenizer.encode_markup(text.replace(*damage) if damage[0] else text)
                    number += 1
        return ids

    return encode


@pytest.mark.parametrize("images", [IDEFICS3, GEMMA3, OWN_LLAMA4, PICTURE], ids=lambda images: images["grammar"])
def test_a_pipeline_that_writes_it_so_is_right(images: dict[str, Any]) -> None:
    promised = promise(images)
    tokenizer = ToyTokenizer(specials=tuple(promised.markers.values()))
    verify(subject(pipeline(promised), promised=promised, tokenizer=tokenizer), CONVERSATION)


@pytest.mark.parametrize(
    ("images", "damage", "check"),
    [
        (IDEFICS3, ("<row_2_col_1>", "<row_1_col_2>"), "spans.expected"),
        (IDEFICS3, (FAKE + "<global-img>", "<global-img>"), "spans.expected"),
        (IDEFICS3, ("\n\n", "\n"), "spans.expected"),
        (IDEFICS3, ("<global-img><image>", "<global-img>"), "spans.slots"),
        (GEMMA3, ("<end_of_image>", ""), "spans.matched"),
        (GEMMA3, (" help ", " "), "spans.expected"),
        (OWN_LLAMA4, ("<|tile_y_separator|><|image|>", "<|image|>"), "spans.expected"),
        (PICTURE, ("Picture 2", "Picture 1"), "text.survives"),
    ],
)
def test_a_pipeline_that_writes_it_otherwise_is_not(
    images: dict[str, Any], damage: tuple[str, str], check: str
) -> None:
    promised = promise(images)
    tokenizer = ToyTokenizer(specials=tuple(promised.markers.values()))
    with pytest.raises(Finding) as found:
        verify(subject(pipeline(promised, damage), promised=promised, tokenizer=tokenizer), CONVERSATION)
    assert found.value.check == check
