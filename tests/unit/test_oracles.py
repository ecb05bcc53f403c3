import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_spans.conversation import Conversation, Image, Message, Text
from image_spans.grammars import Pair
from image_spans.oracles import Oracle, imbalance, scan
from image_spans.slicing import Block, Layout
from support import contract

PAIRS = (Pair("image", "image_open", "image_close", within=("slice",)), Pair("slice", "slice_open", "slice_close"))
SMALL, LARGE = Image(1, 1), Image(449, 449)
IMAGE = [("image_open", 1), ("placeholder", 4), ("image_close", 1)]
SLICE = [("slice_open", 1), ("placeholder", 4), ("slice_close", 1)]
IMAGES = {"open": "<image>", "close": "</image>", "placeholder": "<pad>", "slots": 4}
RUN = {"grammar": "run", "placeholder": "<pad>", "slots": 4}


def texts(expected):
    return ["".join(piece.text for piece in gap) for gap in expected.gaps]


def user(*parts):
    return Conversation([Message("user", parts)])


def test_flat():
    expected = Oracle(contract()).expected(user(Text("a"), LARGE, Text("b"), SMALL))
    assert expected.tokens == IMAGE + SLICE + SLICE + IMAGE
    assert expected.owners == [0] * 9 + [1] * 3
    assert texts(expected) == ["a", "", "", "", "", "", "\n", "", "", "b", "", "", ""]
    assert [gap for gap in range(13) if expected.inside_block(gap)] == [1, 2, 3, 4, 5, 6, 7, 8, 10, 11]


def test_nested_with_text_round_the_block():
    nested = {"grammar": "nested", "open": "<slice>", "close": "</slice>", "rule": "minicpm"}
    images = {"open": "<image>", "close": "</image>", "placeholder": "<pad>", "slots": 4, "before": "(", "after": ")"}
    expected = Oracle(contract(slices=nested, images=images)).expected(user(LARGE))
    assert expected.tokens == [*IMAGE, ("slice_open", 1), *IMAGE, *IMAGE, ("slice_close", 1)]
    assert texts(expected)[0] == "("
    assert texts(expected)[-1] == ")"


ROWS = {
    "grammar": "rows",
    "row_break": "<break>",
    "close": "<end>",
    "placeholder": "<pad>",
    "slots": "pixtral",
    "options": {"size": 64},
}
BREAKS = {"tile_break": "<x>", "row_break": "<y>", "overview_open": "<whole>"}


def shown(expected):
    """The tokens as one line: markers by role, runs of placeholders by length."""
    return " ".join(str(count) if role == "placeholder" else role for role, count in expected.tokens)


@pytest.mark.parametrize(
    ("size", "tokens"),
    [
        ((1, 1), "1 image_close"),
        ((48, 16), "3 image_close"),
        ((16, 48), "1 row_break 1 row_break 1 image_close"),
        ((48, 32), "3 row_break 3 image_close"),
        ((640, 320), "4 row_break 4 image_close"),
    ],
)
def test_rows(size, tokens):
    """A break between two rows, and at the end of the last one the end of the image in its place."""
    assert shown(Oracle(contract(images=ROWS, slices=None)).expected(user(Image(*size)))) == tokens


def test_rows_in_a_conversation():
    images = {**ROWS, "close": ["<end>", "<over>"], "before": "(", "after": ")"}
    expected = Oracle(contract(images=images, slices=None)).expected(user(Image(32, 32), Text("a"), Image(1, 1)))
    assert shown(expected) == "2 row_break 2 image_close image_close_2 1 image_close image_close_2"
    assert texts(expected) == ["(", "", "", "", "", ")a(", "", "", ")"]
    assert expected.owners == [0] * 5 + [1] * 3
    adjacent = Oracle(contract(images=ROWS, slices=None)).expected(user(Image(16, 16), Image(16, 16)))
    assert shown(adjacent) == "1 image_close 1 image_close"  # the end parts them; a run of two would not
    assert Oracle(contract(images=ROWS, slices=None)).pairs == ()


def test_rows_have_no_form_for_slices():
    images = {**ROWS, "slots": "internvl", "options": {}}
    with pytest.raises(ValueError, match="the grammar rows writes one block, but the rule cuts the image into slices"):
        Oracle(contract(images=images, slices=None)).expected(user(Image(1, 2)))


@pytest.mark.parametrize(
    ("size", "keys", "tokens"),
    [
        # Not sliced: the overview alone, without separators.
        ((1, 1), {}, "image_open 4 image_close"),
        ((1, 1), {**BREAKS}, "image_open overview_open 4 image_close"),
        ((1, 1), {**BREAKS, "overview": "last"}, "image_open overview_open 4 image_close"),
        # Without separators all runs touch: InternVL.
        ((337, 1), {}, "image_open 12 image_close"),
        ((672, 672), {"overview": "last"}, "image_open 20 image_close"),
        # With all: Llama 4 has the overview last.
        (
            (672, 672),
            {**BREAKS, "overview": "last"},
            "image_open 4 tile_break 4 row_break 4 tile_break 4 row_break overview_open 4 image_close",
        ),
        (
            (672, 672),
            {**BREAKS, "overview": "first"},
            "image_open overview_open 4 row_break 4 tile_break 4 row_break 4 tile_break 4 image_close",
        ),
        ((337, 1), {**BREAKS, "overview": "last"}, "image_open 4 tile_break 4 row_break overview_open 4 image_close"),
        ((1, 337), {**BREAKS, "overview": "last"}, "image_open 4 row_break 4 row_break overview_open 4 image_close"),
        # With some.
        ((672, 672), {"tile_break": "<x>"}, "image_open 8 tile_break 8 tile_break 4 image_close"),
        ((672, 672), {"tile_break": "<x>", "overview": "last"}, "image_open 4 tile_break 8 tile_break 8 image_close"),
        ((672, 672), {"row_break": "<y>"}, "image_open 4 row_break 8 row_break 8 image_close"),
        ((672, 672), {"row_break": "<y>", "overview": "last"}, "image_open 8 row_break 8 row_break 4 image_close"),
        ((672, 672), {"overview_open": "<w>"}, "image_open overview_open 20 image_close"),
        ((672, 672), {"overview_open": "<w>", "overview": "last"}, "image_open 16 overview_open 4 image_close"),
    ],
)
def test_one_span(size, keys, tokens):
    one_span = {"grammar": "same_span", "rule": "llama4", **keys}
    oracle = Oracle(contract(slices=one_span))
    assert shown(oracle.expected(user(Image(*size)))) == tokens
    assert oracle.pairs == (Pair("image", "image_open", "image_close"),)


@pytest.mark.parametrize("overview", ["first", "last"])
def test_one_span_without_an_overview(overview, tmp_path):
    (tmp_path / "tiles_of_this_test.py").write_text(
        "from image_spans.slicing import Block, Layout\n"
        "def tiles(width, height, number_of_images, *, slots):\n"
        "    return Layout(None, ((Block(1, slots),) * width,) * height)\n"
    )
    one_span = {"grammar": "same_span", "rule": "tiles_of_this_test:tiles", "overview": overview, **BREAKS}
    oracle = Oracle(contract(slices=one_span).locate(tmp_path))
    expected = oracle.expected(user(Image(2, 2)))
    assert shown(expected) == "image_open 4 tile_break 4 row_break 4 tile_break 4 image_close"


def test_one_span_with_a_number_and_text_round_it():
    images = {**IMAGES, "number": {"open": "<n>", "close": "</n>", "when": "sliced"}, "before": "(", "after": ")"}
    one_span = {"grammar": "same_span", "rule": "llama4", "tile_break": "<x>"}
    expected = Oracle(contract(images=images, slices=one_span)).expected(user(SMALL, Image(337, 1)))
    assert shown(expected) == "image_open 4 image_close number_open number_close image_open 8 tile_break 4 image_close"
    assert texts(expected) == ["(", "", "", ")(", "1", "", "", "", "", "", ")"]
    assert expected.owners == [0] * 3 + [1] * 7


def test_slices_that_the_contract_does_not_know_are_not_dropped():
    oracle = Oracle(contract(images={**IMAGES, "slots": "internvl"}, slices=None))
    assert oracle.expected(user(SMALL)).tokens == [("image_open", 1), ("placeholder", 256), ("image_close", 1)]
    with pytest.raises(ValueError, match="the rule cuts the image into slices, but the contract has no slices"):
        oracle.expected(user(Image(1, 2)))


@pytest.mark.parametrize(("when", "numbers"), [("always", ["7", "8"]), ("sliced", ["8"])])
def test_numbers(when, numbers):
    numbering = {"open": "<image_id>", "close": "</image_id>", "when": when, "from": 7}
    images = {"open": "<image>", "close": "</image>", "placeholder": "<pad>", "slots": 4, "number": numbering}
    expected = Oracle(contract(images=images)).expected(user(SMALL, LARGE))
    at = [index for index, token in enumerate(expected.tokens) if token == ("number_close", 1)]
    assert [texts(expected)[index] for index in at] == numbers


def test_numbers_count_over_the_conversation_and_stand_before_the_overview():
    numbering = {"open": "<n>", "close": "</n>", "when": "sliced"}
    expected = Oracle(contract(images={**IMAGES, "number": numbering, "before": "(", "after": ")"})).expected(
        Conversation([Message("user", [SMALL]), Message("assistant", [Text("a")]), Message("user", [LARGE])])
    )
    assert expected.tokens == [*IMAGE, ("number_open", 1), ("number_close", 1), *IMAGE, *SLICE, *SLICE]
    assert expected.owners == [0] * 3 + [1] * 11
    assert expected.messages == [0] * 3 + [2] * 11
    assert texts(expected) == ["(", "", "", ")a(", "1", "", "", "", "", "", "", "\n", "", "", ")"]
    pieces = [(piece.text, piece.message) for piece in expected.gaps[3]]
    assert pieces == [(")", None), ("", 1), ("a", 1), ("", 2), ("(", None)]
    assert [gap for gap in range(15) if not expected.inside_block(gap)] == [0, 3, 14]


def test_markers_of_several_tokens():
    images = {**IMAGES, "open": ["<a>", "<b>"], "close": ["</b>", "</a>"]}
    slices = {"open": ["<s>", "<t>"], "close": "</s>", "rule": "minicpm", "row_break": ""}
    expected = Oracle(contract(images=images, slices=slices)).expected(user(LARGE))
    whole = ["image_open", "image_open_2", "placeholder", "image_close", "image_close_2"]
    tile = ["slice_open", "slice_open_2", "placeholder", "slice_close"]
    assert [role for role, _ in expected.tokens] == whole + tile + tile
    assert not any(texts(expected))


def test_equal_images_are_laid_out_once(tmp_path):
    (tmp_path / "counted_rule_of_this_test.py").write_text(
        "from image_spans.slicing import Block, Layout\n"
        "calls = []\n"
        "def rule(width, height, number_of_images):\n"
        "    calls.append((width, height, number_of_images))\n"
        "    return Layout(Block(1, width + number_of_images))\n"
    )
    own = {**IMAGES, "slots": "counted_rule_of_this_test:rule"}
    oracle = Oracle(contract(images=own, slices=None).locate(tmp_path))
    first = oracle.expected(user(Image(5, 1), Image(5, 1), Image(1, 5))).tokens
    assert [count for role, count in first if role == "placeholder"] == [8, 8, 4]
    assert oracle.expected(user(Image(5, 1), Image(5, 1), Image(1, 5))).tokens == first
    assert oracle.expected(user(Image(5, 1))).tokens[1] == ("placeholder", 6)  # the number of images counts too
    import counted_rule_of_this_test as module

    assert module.calls == [(5, 1, 3), (1, 5, 3), (5, 1, 1)]


def test_the_vision_sides_list_changes_no_part():
    given = Conversation([Message("user", [SMALL, Text("a")])], images=[SMALL, LARGE])
    assert Oracle(contract()).expected(given).tokens == IMAGE


def test_touching_runs_are_parted_by_any_text():
    for between in ({"after": " "}, {"before": " "}):
        expected = Oracle(contract(images={**RUN, **between}, slices=None)).expected(user(SMALL, SMALL))
        assert expected.tokens == [("placeholder", 4)] * 2
    two = Conversation([Message("user", [SMALL, SMALL]), Message("user", [SMALL])])
    parted = Oracle(contract(images=RUN, slices=None, template={"user": ["", "\n"]})).expected(two)
    assert parted.tokens == [("placeholder", 8), ("placeholder", 4)]
    assert texts(parted) == ["", "\n", "\n"]
    assert (parted.order, parted.owners, parted.messages) == ([0, 1, 2], [0, 2], [0, 1])
    empty = Oracle(contract(images=RUN, slices=None)).expected(user(SMALL, Text(""), SMALL, Text("a")))
    assert (empty.tokens, texts(empty)) == ([("placeholder", 8)], ["", "a"])


def test_slots_from_features_without_any():
    oracle = Oracle(contract(images={**RUN, "slots": "from_features"}, slices=None))
    assert oracle.expected(user(SMALL)).tokens == [("placeholder", 0)]
    assert oracle.expected(user(SMALL, Text("a")), [(1, 3)]).tokens == [("placeholder", 0)]


def test_runs_that_touch_are_one():
    oracle = Oracle(contract(images=RUN, slices=None))
    assert oracle.expected(user(SMALL, SMALL)).tokens == [("placeholder", 8)]
    assert oracle.expected(user(SMALL, Text("a"), SMALL)).tokens == [("placeholder", 4)] * 2
    two = Conversation([Message("user", [SMALL]), Message("user", [SMALL])])
    assert oracle.expected(two).tokens == [("placeholder", 8)]


def test_slots_from_features():
    oracle = Oracle(contract(images={**RUN, "slots": "from_features"}, slices=None))
    assert oracle.expected(user(SMALL, Text("a"), SMALL), [(0, 5), (1, 2), (0, 1)]).tokens == [
        ("placeholder", 6),
        ("placeholder", 2),
    ]


REORDERINGS = """
from image_spans.conversation import Conversation, Message

def backwards(conversation):
    return Conversation([Message(m.role, m.parts[::-1]) for m in reversed(conversation.messages)])

def fewer(conversation):
    return Conversation(conversation.messages[:1])
"""


@pytest.mark.parametrize(
    ("order", "gaps", "owners", "messages"),
    [
        ("as_given", ["a", "b", "cd", ""], [0, 1, 2], [0, 1, 1]),
        ("first_in_message", ["", "ab", "", "cd"], [0, 1, 2], [0, 1, 1]),
        ("first_in_conversation", ["", "", "", "abcd"], [0, 1, 2], [0, 0, 0]),
        ("reorderings_of_this_test:backwards", ["", "cd", "b", "a"], [2, 1, 0], [0, 0, 1]),
    ],
)
def test_orders(order, gaps, owners, messages, tmp_path):
    (tmp_path / "reorderings_of_this_test.py").write_text(REORDERINGS)
    oracle = Oracle(contract(images={**IMAGES, "order": order}, slices=None).locate(tmp_path))
    expected = oracle.expected(
        Conversation([Message("user", [Text("a"), SMALL, Text("b")]), Message("user", [SMALL, Text("cd"), SMALL])])
    )
    assert expected.tokens == IMAGE * 3
    assert expected.order == owners
    assert expected.owners == [owner for owner in owners for _ in range(3)]
    assert expected.messages == [message for message in messages for _ in range(3)]
    assert [text for gap, text in enumerate(texts(expected)) if not expected.inside_block(gap)] == gaps


def test_orders_keep_equal_images_apart(tmp_path):
    """Which image is which is told by the object, not by its size."""
    (tmp_path / "reorderings_of_this_test.py").write_text(REORDERINGS)
    images = {**IMAGES, "order": "reorderings_of_this_test:backwards", "number": {"open": "<n>", "close": "</n>"}}
    oracle = Oracle(contract(images=images, slices=None).locate(tmp_path))
    expected = oracle.expected(user(SMALL, Text("a"), SMALL, Text("a"), SMALL))
    assert expected.order == [2, 1, 0]
    assert [text for text in texts(expected) if text] == ["2", "a", "1", "a", "0"]


def test_an_order_of_ones_own_keeps_the_messages(tmp_path):
    (tmp_path / "reorderings_of_this_test.py").write_text(REORDERINGS)
    images = {**IMAGES, "order": "reorderings_of_this_test:fewer"}
    with pytest.raises(ValueError, match="zip"):
        Oracle(contract(images=images).locate(tmp_path)).expected(Conversation([Message("user", [Text("a")])] * 2))


def test_no_messages_in_any_order():
    for order in ("as_given", "first_in_message", "first_in_conversation"):
        expected = Oracle(contract(images={**IMAGES, "order": order})).expected(Conversation([]))
        assert (expected.tokens, expected.gaps, expected.order) == ([], [[]], [])


def test_template_begin_and_end():
    template = {"begin": ["<", "|"], "end": ["|", ">"], "user": ["U:", ";"]}
    expected = Oracle(contract(template=template)).expected(user(Text("a")))
    assert texts(expected) == ["<|U:a;|>"]
    assert [piece.message for piece in expected.gaps[0] if piece.text] == [None, None, 0, None, None]


def test_typed_markers_are_tokens_only_when_interpreted():
    typed = user(Text("x<slice>y<image>"))
    assert Oracle(contract()).expected(typed).tokens == []
    expected = Oracle(contract(literals="interpret")).expected(typed)
    assert expected.tokens == [("slice_open", 1), ("image_open", 1)]
    assert expected.owners == [None, None]
    assert texts(expected) == ["x", "y", ""]


def test_interpreted_markers():
    """The longest of those that begin first; each spelling by its own policy; never part of an image."""
    images = {**IMAGES, "open": "<im>", "close": "<im>>"}
    typed = user(Text("<im>>b<im>c"), SMALL, Text("<im>"))
    expected = Oracle(contract(images=images, slices=None, literals="interpret")).expected(typed)
    shown = " ".join(f"{role} x{count}" for role, count in expected.tokens)
    assert shown == "image_close x1 image_open x1 image_open x1 placeholder x4 image_close x1 image_open x1"
    assert expected.owners == [None, None, 0, 0, 0, None]
    assert texts(expected) == ["", "b", "c", "", "", "", ""]
    assert [gap for gap in range(7) if expected.inside_block(gap)] == [3, 4]
    per = {"policy": "interpret", "per": {"<im>": "plain"}}
    expected = Oracle(contract(images=images, slices=None, literals=per)).expected(user(Text("a<im>b<im>>")))
    assert expected.tokens == [("image_close", 1)]
    assert texts(expected) == ["a<im>b", ""]


def test_a_typed_placeholder_joins_the_run_that_it_touches():
    oracle = Oracle(contract(images=RUN, slices=None, literals="interpret"))
    assert oracle.expected(user(Text("a<pad>"), SMALL, Text("<pad><pad>b"))).tokens == [("placeholder", 7)]
    assert oracle.expected(user(SMALL, Text("b<pad>"))).tokens == [("placeholder", 4), ("placeholder", 1)]


ROLES = {1: "image_open", 2: "image_close", 3: "placeholder"}


@st.composite
def assembled(draw):
    """Tokens with text between them, as they come out of a pipeline; two runs of placeholders never touch."""
    text = st.lists(st.sampled_from([0, 50, 51]), max_size=3)
    tokens, gaps = [], [draw(text)]
    for role in draw(st.lists(st.sampled_from(["image_open", "image_close", "placeholder"]), max_size=8)):
        touches = role == "placeholder" and tokens and tokens[-1][0] == role and not gaps[-1]
        tokens.append(("image_open", 1) if touches else (role, draw(st.integers(1, 9)) if role == "placeholder" else 1))
        gaps.append(draw(text))
    return tokens, gaps


@given(assembled(), st.sampled_from([0, None, 99]))
def test_scan_gives_back_what_was_put_together(given, bos):
    tokens, gaps = given
    by_role = {role: token_id for token_id, role in ROLES.items()}
    ids, starts = list(gaps[0]), []
    for (role, count), gap in zip(tokens, gaps[1:], strict=True):
        starts.append(len(ids))
        ids += [by_role[role]] * count + gap
    found = scan(ids, ROLES, bos)
    assert found.tokens == tokens
    assert found.starts == starts
    assert found.ends == [start + count for start, (_, count) in zip(starts, tokens, strict=True)]
    assert [list(found.gap(index)) for index in range(len(gaps))] == [[i for i in gap if i != bos] for gap in gaps]
    assert found.bos == [index for index, token_id in enumerate(ids) if token_id == bos]
    assert found.runs == [
        (start, start + count) for start, (role, count) in zip(starts, tokens, strict=True) if role == "placeholder"
    ]


def test_an_id_that_is_both_bos_and_marker_is_structure():
    found = scan([1, 50], ROLES, 1)
    assert (found.tokens, found.bos) == ([("image_open", 1)], [])


@given(st.lists(st.sampled_from([0, 1, 2, 3, 3, 3, 50, 51])))
def test_scan_covers_every_id_once(ids):
    found = scan(ids, ROLES, 0)
    rebuilt = list(found.gap(0))
    for index, (start, end) in enumerate(zip(found.starts, found.ends, strict=True)):
        assert found.tokens[index] == (ROLES[ids[start]], end - start)
        assert len(set(ids[start:end])) == 1
        rebuilt += [*ids[start:end], *found.gap(index + 1)]
    assert rebuilt == [token_id for token_id in ids if token_id != 0]
    assert found.bos == [index for index, token_id in enumerate(ids) if token_id == 0]
    assert [
        ids[start - 1 : start] + ids[end : end + 1]
        for start, end in found.runs
        if 3 in (ids[start - 1 : start] + ids[end : end + 1])
    ] == []


def test_runs_of_different_length():
    assert scan([3] * 2 + [1] + [3] * 5 + [1] + [3], ROLES, None).tokens == [
        ("placeholder", 2),
        ("image_open", 1),
        ("placeholder", 5),
        ("image_open", 1),
        ("placeholder", 1),
    ]


@pytest.mark.parametrize(
    ("roles", "at"),
    [
        (["image_open", "image_close", "image_close", "image_open"], 2),  # equal counts, in the wrong order
        (["image_close", "image_open", "image_open", "image_close"], 0),
        (["image_open", "placeholder", "image_open"], 2),
        (["placeholder", "image_open", "placeholder"], 3),
        (["slice_open", "image_close"], 1),
        (["slice_open", "slice_open", "slice_close", "slice_close"], 1),
        (["slice_open", "image_open", "slice_open"], 2),
    ],
)
def test_imbalance_says_where(roles, at):
    assert imbalance([(role, 1) for role in roles], PAIRS).token == at


def test_nesting_is_allowed_where_the_grammar_says_so():
    nested = [(role, 1) for role in ("slice_open", "image_open", "image_close", "slice_close")]
    assert imbalance(nested, PAIRS) is None
    flat = (Pair("image", "image_open", "image_close"), PAIRS[1])
    assert imbalance(nested, flat).text == "an image opens inside a slice span"
    assert imbalance(nested, ()) is None


@given(st.lists(st.sampled_from(["image_open", "image_close", "slice_open", "slice_close", "x"]), max_size=8))
def test_what_is_balanced_has_equal_counts(roles):
    if imbalance([(role, 1) for role in roles], PAIRS) is None:
        for kind in ("image", "slice"):
            depth = 0
            for role in roles:
                depth += (role == f"{kind}_open") - (role == f"{kind}_close")
                assert depth in (0, 1)
            assert depth == 0
    else:
        assert set(roles) - {"x"}


@pytest.mark.parametrize(
    ("roles", "said"),
    [
        ([], None),
        (["image_open", "image_close", "slice_open", "slice_close"], None),
        (["slice_open", "image_open", "image_close", "slice_close"], None),
        (["image_close", "image_open"], "an image close has no open"),
        (["image_open"], "an image span is still open at the end"),
        (["image_open", "image_open", "image_close", "image_close"], "an image opens inside an image span"),
        (["image_open", "slice_open", "slice_close", "image_close"], "a slice opens inside an image span"),
        (
            ["slice_open", "image_open", "slice_close", "image_close"],
            "a slice close stands where an image span is open",
        ),
    ],
)
def test_imbalance(roles, said):
    fault = imbalance([(role, 1) for role in roles], PAIRS)
    assert (fault.text if fault else None) == said


# ---------------------------------------------------------------- texts of a message that are stripped


def two(*parts):
    return Conversation([Message("user", parts), Message("assistant", [Text(" d ")])])


@pytest.mark.parametrize(
    ("trim", "parts", "gaps"),
    [
        ("none", [Text(" a "), SMALL, Text(" b ")], [" a ", " b  d "]),
        ("text", [Text(" a "), SMALL, Text(" b ")], ["a", "bd"]),
        ("message", [Text(" a "), SMALL, Text(" b ")], ["a ", " bd"]),
        # As far as there is text: an image ends it, an empty text does not.
        ("message", [SMALL, Text(" a "), SMALL, Text(" b "), SMALL], ["", " a ", " b ", "d"]),
        ("message", [Text(" "), Text(" a "), Text(" "), SMALL], ["a  ", "d"]),
        ("message", [SMALL, Text(" "), Text(" a "), Text(" ")], ["", "  ad"]),
        ("text", [Text(" "), Text(" a "), Text(" "), SMALL], ["a", "d"]),
    ],
)
def test_texts_that_are_stripped(trim, parts, gaps):
    images = sum(part == SMALL for part in parts)
    expected = Oracle(contract(trim=trim, slices=None)).expected(two(*parts))
    assert expected.owners == [number for number in range(images) for _ in range(3)]
    outer = [text for gap, text in enumerate(texts(expected)) if not expected.inside_block(gap)]
    assert outer == gaps


# ---------------------------------------------------------------- parts of one's own

COUNTING = """
from image_spans.grammars import Fixed, Marker, Slots
from image_spans.slicing import Block, Layout
def write(layout, contract, number):
    return [Marker("image_open"), Fixed(str(number)), Slots(layout.slots), Marker("image_close")]
def rule(width, height, number_of_images):
    return Layout(Block(1, 10 * width + number_of_images))
"""


def test_a_grammar_and_a_rule_of_ones_own_see_number_and_count(tmp_path):
    (tmp_path / "counting_parts_of_this_test.py").write_text(COUNTING)
    own = {**IMAGES, "grammar": "counting_parts_of_this_test:write", "slots": "counting_parts_of_this_test:rule"}
    given = user(SMALL, SMALL, Image(2, 1))
    oracle = Oracle(contract(images=own, slices=None).locate(tmp_path))
    expected = oracle.expected(given)
    assert [count for role, count in expected.tokens if role == "placeholder"] == [13, 13, 23]
    assert [text for text in texts(expected) if text] == ["0", "1", "2"]
    assert oracle.layout(given, 2) == Layout(Block(1, 23))
    other = oracle.expected(given, layouts={1: Layout(Block(1, 5)), 2: None})
    assert [count for role, count in other.tokens if role == "placeholder"] == [13, 5, 23]
    assert [text for text in texts(other) if text] == ["0", "1", "2"]
    delivered = Oracle(contract(images={**own, "slots": "from_features"}, slices=None).locate(tmp_path))
    expected = delivered.expected(given, [(0, 1), (1, 2), (2, 3)])
    assert [count for role, count in expected.tokens if role == "placeholder"] == [1, 2, 3]
    assert [text for text in texts(expected) if text] == ["0", "1", "2"]


# ---------------------------------------------------------------- runs and what parts them


def test_only_runs_of_placeholders_become_one():
    typed = Oracle(contract(literals="interpret")).expected(user(Text("<image><image><pad><pad>")))
    assert typed.tokens == [("image_open", 1), ("image_open", 1), ("placeholder", 2)]


def test_text_in_front_of_a_run_stays_where_later_ones_touch():
    expected = Oracle(contract(images=RUN, slices=None)).expected(user(SMALL, Text("a"), SMALL, SMALL, Text("b")))
    assert (expected.tokens, texts(expected)) == ([("placeholder", 4), ("placeholder", 8)], ["", "a", "b"])


def test_a_dummy_prefix_parts_typed_placeholders_alone():
    oracle = Oracle(contract(images=RUN, slices=None, literals="interpret"))
    images = Conversation([Message("user", [SMALL]), Message("user", [SMALL])])
    assert oracle.expected(images, apart="texts").tokens == [("placeholder", 8)]
    typed = user(SMALL, Text("<pad>"))
    assert oracle.expected(typed).tokens == [("placeholder", 5)]
    assert oracle.expected(typed, apart="texts").tokens == [("placeholder", 4), ("placeholder", 1)]
    assert oracle.expected(user(SMALL, Text("<pad>"), SMALL), apart="texts").tokens == [
        ("placeholder", 4),
        ("placeholder", 5),
    ]


def test_pieces_of_typed_markers():
    oracle = Oracle(contract(literals="interpret"))
    pieces = [[(piece.text, piece.message) for piece in gap] for gap in oracle.expected(user(Text("a<pad>b"))).gaps]
    assert pieces == [[("", 0), ("a", 0)], [("b", 0)]]
    pieces = [[(piece.text, piece.message) for piece in gap] for gap in oracle.expected(user(Text("<pad>b"))).gaps]
    assert pieces == [[("", 0), ("", 0)], [("b", 0)]]


def test_bos_counts_as_no_text():
    found = scan([50, 0, 51, 1, 0, 52], ROLES, 0)
    assert [found.places(gap) for gap in (0, 1)] == [[0, 2], [5]]
    assert [found.gap(gap) for gap in (0, 1)] == [(50, 51), (52,)]
    assert scan([50, 0, 1], ROLES, None).gap(0) == (50, 0)


def test_what_a_template_ends():
    expected = Oracle(contract(template={"user": ["U:", "\n"], "end": ["", "!"]})).expected(user(Text("a")))
    assert expected.gaps == [[("U:", None, None), ("", 0, None), ("a", 0, None), ("\n", None, 0), ("!", None, None)]]
