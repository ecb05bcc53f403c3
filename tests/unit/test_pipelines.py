"""The reference pipelines against ids written by hand, and against every check."""

from __future__ import annotations

from functools import partial

import pytest

from image_spans import pipelines
from image_spans.conversation import Conversation, Image, Message, Text
from image_spans.engine import verify
from image_spans.errors import ConfigError
from image_spans.subject import as_encoding
from support import ROWS, ToyTokenizer, contract, subject

SMALL, LARGE = Image(1, 1), Image(449, 449)
IMAGES = {"open": "<image>", "close": "</image>", "placeholder": "<pad>", "slots": 4}
NUMBERED = {**IMAGES, "number": {"open": "<image_id>", "close": "</image_id>"}}
NESTED = {"grammar": "nested", "open": "<slice>", "close": "</slice>", "rule": "minicpm"}
RUN = {"grammar": "run", "placeholder": "<pad>", "slots": "minicpm", "options": {"slots": 4}}
CHAT = {"begin": ["!", ""], "user": ["U:", ";"], "assistant": ["A:", "</s>\n"], "end": ["?", ""]}
BREAKS = {"tile_break": "<slice>", "row_break": "</slice>", "overview_open": "<image_id>"}
ONE_SPAN = {"grammar": "same_span", "rule": "llama4"}
LLAMA4 = {"slices": {**ONE_SPAN, **BREAKS, "overview": "last"}}
NAMES = {"[": 1, "]": 2, "{": 3, "}": 4, "(": 5, ")": 6, ".": 7, "#": 900, "^": 0}


def ids_of(text):
    """Ids by hand: ``[....]`` is an image span, ``{....}`` a slice span, ``(0)`` a number, ``^`` BOS, ``#`` EOS."""
    return [NAMES.get(character, 1000 + ord(character)) for character in text]


def user(*parts):
    return Conversation([Message("user", parts)])


CASES = [
    ("flat_slices", user(Text("a"), SMALL, Text("b")), {}, "a[....]b"),
    ("flat_slices", user(SMALL, SMALL), {}, "[....][....]"),
    ("flat_slices", user(LARGE), {}, "[....]{....}\n{....}"),
    ("flat_slices", user(LARGE, Text("a")), {"slices": None}, "[....]a"),
    ("flat_slices", user(SMALL, Text("a"), LARGE), {"images": NUMBERED}, "(0)[....]a(1)[....]{....}\n{....}"),
    (
        "flat_slices",
        user(SMALL, LARGE),
        {"images": {**NUMBERED, "number": {**NUMBERED["number"], "when": "sliced", "from": 3}}},
        "[....](4)[....]{....}\n{....}",
    ),
    ("flat_slices", user(SMALL), {"images": {**IMAGES, "before": "x", "after": "yz"}}, "x[....]yz"),
    ("flat_slices", user(), {}, ""),
    ("flat_slices", Conversation([]), {"template": CHAT}, "!?"),
    ("flat_slices", user(Text("a"), SMALL), {"template": CHAT}, "!U:a[....];?"),
    ("flat_slices", user(SMALL), {"template": {"begin": ["!", "-"], "end": ["?", "/"]}}, "!-[....]?/"),
    ("nested_slices", user(Text("a"), LARGE), {"slices": NESTED}, "a[....]{[....]\n[....]}"),
    ("nested_slices", user(SMALL, Text("a")), {"slices": NESTED}, "[....]a"),
    (
        "nested_slices",
        user(SMALL, LARGE),
        {"slices": NESTED, "images": {**NUMBERED, "number": {**NUMBERED["number"], "from": 1}, "after": ","}},
        "(1)[....],(2)[....]{[....]\n[....]},",
    ),
    ("placeholder_run", user(Text("a"), LARGE, Text("b")), {"images": RUN, "slices": None}, "a............b"),
    (
        "placeholder_run",
        user(SMALL, SMALL),
        {"images": {**RUN, "before": "x", "after": "y"}, "slices": None},
        "x....yx....y",
    ),
    # Rows of patches: ``{`` is the break.
    ("rows", user(Text("a"), Image(48, 32), Text("b")), {"images": ROWS, "slices": None}, "a...{...]b"),
    ("rows", user(Image(1, 1), Image(16, 48)), {"images": ROWS, "slices": None}, ".].{.{.]"),
    (
        "rows",
        user(Image(640, 320)),
        {"images": {**ROWS, "close": ["</image>", "</slice>"], "before": "x", "after": "y"}, "slices": None},
        "x....{....]}y",
    ),
    # All tiles in one span: ``{`` parts tiles, ``}`` rows, ``(`` opens the overview.
    ("same_span", user(SMALL, Text("a")), LLAMA4, "[(....]a"),
    ("same_span", user(Text("a"), Image(337, 1), SMALL), LLAMA4, "a[....{....}(....][(....]"),
    ("same_span", user(Image(672, 672)), LLAMA4, "[....{....}....{....}(....]"),
    ("same_span", user(Image(672, 672)), {"slices": {**ONE_SPAN, **BREAKS}}, "[(....}....{....}....{....]"),
    ("same_span", user(SMALL), {"slices": {**ONE_SPAN, **BREAKS}}, "[(....]"),
    ("same_span", user(Image(337, 1), Text("a")), {"slices": ONE_SPAN}, "[............]a"),
    ("same_span", user(Image(1, 337)), {"slices": {**ONE_SPAN, "overview": "last"}}, "[............]"),
    (
        "same_span",
        user(Image(672, 672)),
        {"slices": {**ONE_SPAN, "row_break": "</slice>", "overview": "last"}},
        "[........}........}....]",
    ),
    ("same_span", user(Image(672, 672)), {"slices": {**ONE_SPAN, "row_break": "</slice>"}}, "[....}........}........]"),
    (
        "same_span",
        user(Image(672, 672)),
        {"slices": {**ONE_SPAN, "tile_break": "<slice>", "overview": "last"}},
        "[....{........{........]",
    ),
    (
        "same_span",
        user(SMALL),
        {"images": {**IMAGES, "open": ["<image>", "<slice>"], "before": "x", "after": "y"}, "slices": ONE_SPAN},
        "x[{....]y",
    ),
    (
        "same_span",
        user(SMALL, Image(337, 1)),
        {"images": {**NUMBERED, "number": {**NUMBERED["number"], "from": 1}}, "slices": ONE_SPAN},
        "(1)[....](2)[............]",
    ),
    (
        "same_span",
        user(SMALL, Image(337, 1)),
        {"images": {**NUMBERED, "number": {**NUMBERED["number"], "when": "sliced"}}, "slices": ONE_SPAN},
        "[....](1)[............]",
    ),
]


@pytest.mark.parametrize("assembly", ["segments", "whole_text"])
@pytest.mark.parametrize(("name", "conversation", "promised", "ids"), CASES)
def test_ids_are_those_written_by_hand(name, conversation, promised, ids, assembly):
    promise = contract(**promised)
    result = pipelines.reference(name)(ToyTokenizer(), conversation, contract=promise, assembly=assembly)
    encoding = as_encoding(result, frozenset({"image_bounds", "labels"}))
    assert encoding.ids == ids_of(ids)
    assert all(set(encoding.ids[start:end]) == {7} for start, end in encoding.image_bounds)
    assert sum(end - start for start, end in encoding.image_bounds) == encoding.ids.count(7)
    assert set(encoding.arrays["labels"]) <= {-100}  # nobody answers here
    verify(subject(name, promised=promise), conversation)


def test_slices_without_an_overview(tmp_path):
    (tmp_path / "tiles_only_of_this_test.py").write_text(
        "from image_spans.slicing import Block, Layout\n"
        "def tiles(width, height, number_of_images, *, slots):\n"
        "    return Layout(None, ((Block(1, slots),) * width,) * height)\n"
    )
    rule = {"rule": "tiles_only_of_this_test:tiles", "row_break": ","}
    for name, slices, ids in (
        ("flat_slices", {"open": "<slice>", "close": "</slice>", **rule}, "{....}{....},{....}{....}a"),
        ("nested_slices", {**NESTED, **rule}, "{[....][....],[....][....]}a"),
        ("same_span", {**ONE_SPAN, **BREAKS, "rule": rule["rule"]}, "[....{....}....{....]a"),
        ("same_span", {**ONE_SPAN, **BREAKS, "rule": rule["rule"], "overview": "last"}, "[....{....}....{....]a"),
    ):
        promise = contract(slices=slices).locate(tmp_path)
        one = subject(name, promised=promise)
        assert one.encode(user(Image(2, 2), Text("a"))).ids == ids_of(ids)
        verify(one, user(Image(2, 2), Text("a")))


def test_bounds_by_hand():
    encode = partial(pipelines.reference("flat_slices"), ToyTokenizer(), contract=contract())
    assert encode(user(Text("ab"), LARGE))["image_bounds"] == [(3, 7), (9, 13), (16, 20)]
    assert encode(user(Text("ab")))["image_bounds"] == []
    run = contract(images={**RUN, "slots": 4, "options": {}}, slices=None)
    encode = partial(pipelines.reference("placeholder_run"), ToyTokenizer(), contract=run)
    assert encode(user(SMALL, SMALL))["image_bounds"] == [(0, 4), (4, 8)]


def test_bounds_of_rows_and_tiles():
    encode = partial(pipelines.reference("rows"), ToyTokenizer(), contract=contract(images=ROWS, slices=None))
    assert encode(user(Text("a"), Image(48, 32)))["image_bounds"] == [(1, 4), (5, 8)]
    encode = partial(pipelines.reference("same_span"), ToyTokenizer(), contract=contract(**LLAMA4))
    assert encode(user(Text("a"), Image(337, 1)))["image_bounds"] == [(2, 6), (7, 11), (13, 17)]
    # Runs that touch are several bounds; spans.bounds takes either.
    encode = partial(pipelines.reference("same_span"), ToyTokenizer(), contract=contract(slices=ONE_SPAN))
    assert encode(user(Image(337, 1)))["image_bounds"] == [(1, 5), (5, 9), (9, 13)]


TWO = Conversation([Message("user", [Text("a")]), Message("user", [Text("b")])])


@pytest.mark.parametrize(
    ("conversation", "assembly", "ids"),
    [
        (user(Text("a"), Text("b"), SMALL, Text("c")), "segments", " a b[....] c"),
        (user(Text("a"), Text("b"), SMALL, Text("c")), "whole_text", " ab[....] c"),
        (TWO, "segments", " a b"),
        (TWO, "whole_text", " ab"),
        (user(Text(""), SMALL, Text("")), "segments", "[....]"),
        (user(Text(""), SMALL, Text("")), "whole_text", "[....]"),
    ],
)
def test_assemblies_differ_in_where_text_is_cut(conversation, assembly, ids):
    encode = partial(pipelines.reference("flat_slices"), contract=contract(), assembly=assembly)
    tokenizer = ToyTokenizer(dummy=True)
    assert encode(tokenizer, conversation)["input_ids"] == ids_of(ids)
    verify(subject(encode, tokenizer=tokenizer), conversation)


@pytest.mark.parametrize(
    ("name", "promised", "conversation", "bos", "ids", "bounds"),
    [
        ("flat_slices", {}, user(Text("a"), SMALL), "none", "a[....]", [(2, 6)]),
        ("flat_slices", {}, user(Text("a"), SMALL), "exactly_once", "^a[....]", [(3, 7)]),
        ("flat_slices", {}, user(Text("a")), "exactly_once", "^a", []),
        ("flat_slices", {}, user(), "exactly_once", "^", []),
        ("flat_slices", {}, user(SMALL, Text("a")), "after_images", "[....]^a", [(1, 5)]),
        ("flat_slices", {}, user(LARGE, Text("b")), "after_images", "[....]{....}\n{....}^b", None),
        ("flat_slices", {}, user(Text("a")), "after_images", "^a", []),
        ("nested_slices", {"slices": NESTED}, user(LARGE, Text("a")), "after_images", "[....]{[....]\n[....]}^a", None),
        (
            "placeholder_run",
            {"images": RUN, "slices": None},
            user(SMALL, Text("a"), SMALL, Text("b")),
            "after_images",
            "....a....^b",
            [(0, 4), (5, 9)],
        ),
        ("rows", {"images": ROWS, "slices": None}, user(Image(16, 32)), "exactly_once", "^.{.]", [(1, 2), (3, 4)]),
        ("rows", {"images": ROWS, "slices": None}, user(SMALL, Text("a")), "after_images", ".]^a", [(0, 1)]),
        ("same_span", LLAMA4, user(SMALL, Text("a")), "exactly_once", "^[(....]a", [(3, 7)]),
        ("same_span", LLAMA4, user(Image(337, 1), Text("a")), "after_images", "[....{....}(....]^a", None),
        ("flat_slices", {"template": {"begin": ["<s>", ""]}}, user(SMALL), "exactly_once", "^[....]", [(2, 6)]),
        ("flat_slices", {"template": {"begin": ["<s>", ""]}}, user(SMALL), "none", "^[....]", [(2, 6)]),
        ("flat_slices", {"template": CHAT}, user(SMALL), "exactly_once", "^!U:[....];?", [(5, 9)]),
    ],
)
def test_bos(name, promised, conversation, bos, ids, bounds):
    one = subject(name, bos=bos, **promised)
    encoding = one.encode(conversation)
    assert encoding.ids == ids_of(ids)
    if bounds is not None:
        assert encoding.image_bounds == bounds
    assert len(encoding.arrays["labels"]) == len(encoding.ids)
    verify(one, conversation)


@pytest.mark.parametrize("tokenizer", [ToyTokenizer(), ToyTokenizer(bos=True)])
def test_bos_of_the_native_call_is_never_used(tokenizer):
    conversation = Conversation([Message("user", [SMALL, Text("a")]), Message("assistant", [Text("b")])])
    for bos, ids in (("none", "[....]ab"), ("exactly_once", "^[....]ab")):
        assert subject("flat_slices", tokenizer=tokenizer, bos=bos).encode(conversation).ids == ids_of(ids)


@pytest.mark.parametrize("assembly", ["segments", "whole_text"])
def test_typed_markers_stay_text(assembly):
    typed = "<image></image><pad></s><s>"
    conversation = user(Text(typed), SMALL, Text(typed))
    for name, promised in (("flat_slices", {}), ("placeholder_run", {"images": RUN, "slices": None})):
        one = contract(template=CHAT, **promised)
        ids = pipelines.reference(name)(ToyTokenizer(), conversation, contract=one, assembly=assembly)["input_ids"]
        spelled = [1000 + ord(character) for character in typed]
        span = ids_of("[....]" if name == "flat_slices" else "....")
        assert ids == [*ids_of("!U:"), *spelled, *span, *spelled, *ids_of(";?")]


@pytest.mark.parametrize("assembly", ["segments", "whole_text"])
def test_labels_are_the_answers(assembly):
    conversation = Conversation(
        [
            Message("user", [Text("a"), SMALL]),
            Message("assistant", [Text("b"), Text("c")]),
            Message("user", [Text("d")]),
            Message("assistant", [Text("e")]),
        ]
    )
    encode = partial(pipelines.reference("flat_slices"), ToyTokenizer(), assembly=assembly)
    result = encode(conversation, contract=contract(template=CHAT))
    assert result["input_ids"] == ids_of("!U:a[....];A:bc#\nU:d;A:e#\n?")
    labels = [-100] * len("!U:a[....];A:") + ids_of("bc#\n") + [-100] * len("U:d;A:") + ids_of("e#\n") + [-100]
    assert result["labels"] == labels
    labels = [-100] * 8 + ids_of("bc") + [-100] + ids_of("e")
    assert encode(conversation, contract=contract(bos="exactly_once"))["labels"] == labels


def test_images_in_an_answer_are_not_learned():
    conversation = Conversation([Message("assistant", [Text("a"), SMALL, Text("b")])])
    promise = contract(input={"images_in": ["assistant"]}, images={**IMAGES, "after": "x"})
    labels = pipelines.reference("flat_slices")(ToyTokenizer(), conversation, contract=promise)["labels"]
    assert labels == [*ids_of("a"), *[-100] * 6, *ids_of("xb")]


@pytest.mark.parametrize("missing", ["<image>", "<pad>"])
def test_a_marker_that_the_vocabulary_lacks_is_refused(missing):
    tokenizer = ToyTokenizer(specials=tuple({"<image>", "</image>", "<pad>"} - {missing}))
    with pytest.raises(ValueError, match=f"the vocabulary has no token '{missing}'"):
        pipelines.reference("flat_slices")(tokenizer, user(SMALL), contract=contract())


def test_what_the_others_need():
    with pytest.raises(AssertionError, match="rows needs row_break in the contract"):
        pipelines.reference("rows")(ToyTokenizer(), user(), contract=contract())
    with pytest.raises(AssertionError, match="same_span needs slices in the contract"):
        pipelines.reference("same_span")(ToyTokenizer(), user(), contract=contract(slices=None))


def test_nested_needs_slices():
    with pytest.raises(AssertionError, match="nested_slices needs slices in the contract"):
        pipelines.reference("nested_slices")(ToyTokenizer(), user(), contract=contract(slices=None))


def test_names():
    assert pipelines.names() == [
        "flat_slices",
        "nested_slices",
        "placeholder_run",
        "processor",
        "processor_backends",
        "processor_flat",
        "processor_lists",
        "rows",
        "same_span",
    ]
    with pytest.raises(ConfigError, match="unknown pipeline 'flat_slice'; did you mean 'flat_slices'?"):
        pipelines.reference("flat_slice")
