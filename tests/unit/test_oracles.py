import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_spans.conversation import Conversation, Image, Message, Text
from image_spans.grammars import Pair
from image_spans.oracles import Oracle, imbalance, scan
from support import contract

PAIRS = (Pair("image", "image_open", "image_close", within=("slice",)), Pair("slice", "slice_open", "slice_close"))
SMALL, LARGE = Image(1, 1), Image(449, 449)
IMAGE = [("image_open", 1), ("placeholder", 4), ("image_close", 1)]
SLICE = [("slice_open", 1), ("placeholder", 4), ("slice_close", 1)]
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


@pytest.mark.parametrize(("when", "numbers"), [("always", ["7", "8"]), ("sliced", ["8"])])
def test_numbers(when, numbers):
    numbering = {"open": "<image_id>", "close": "</image_id>", "when": when, "from": 7}
    images = {"open": "<image>", "close": "</image>", "placeholder": "<pad>", "slots": 4, "number": numbering}
    expected = Oracle(contract(images=images)).expected(user(SMALL, LARGE))
    at = [index for index, token in enumerate(expected.tokens) if token == ("number_close", 1)]
    assert [texts(expected)[index] for index in at] == numbers


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


@pytest.mark.parametrize(
    ("order", "gaps", "owners"),
    [
        ("as_given", ["a", "b", "cd", ""], [0, 1, 2]),
        ("first_in_message", ["", "ab", "", "cd"], [0, 1, 2]),
        ("first_in_conversation", ["", "", "", "abcd"], [0, 1, 2]),
        ("reorderings:backwards", ["", "dcb", "a", ""], [2, 1, 0]),
    ],
)
def test_orders(order, gaps, owners, tmp_path):
    (tmp_path / "reorderings.py").write_text(
        "from image_spans.conversation import Conversation, Message\n"
        "def backwards(c):\n"
        "    parts = [p for m in c.messages for p in m.parts][::-1]\n"
        "    return Conversation([Message('user', parts), Message('user', [])])\n"
    )
    images = {"open": "<image>", "close": "</image>", "placeholder": "<pad>", "slots": 4, "order": order}
    oracle = Oracle(contract(images=images, slices=None).locate(tmp_path))
    conversation = Conversation(
        [
            Message("user", [Text("a"), SMALL, Text("b")]),
            Message(
                "user", [SMALL, Text("c"), Text("d"), SMALL] if order.startswith("re") else [SMALL, Text("cd"), SMALL]
            ),
        ]
    )
    if order.startswith("re"):
        expected = oracle.expected(conversation)
        assert [
            owner for owner, token in zip(expected.owners, expected.tokens, strict=True) if token[0] == "placeholder"
        ] == [
            2,
            1,
            0,
        ]
        return
    expected = oracle.expected(conversation)
    spans = [owner for owner, token in zip(expected.owners, expected.tokens, strict=True) if token[0] == "placeholder"]
    assert spans == owners
    outer = [text for gap, text in enumerate(texts(expected)) if not expected.inside_block(gap)]
    assert outer == gaps


def test_template_begin_and_end():
    template = {"begin": ["<", ""], "end": [">", ""], "user": ["U:", ";"]}
    expected = Oracle(contract(template=template)).expected(user(Text("a")))
    assert texts(expected) == ["<U:a;>"]
    assert [piece.message for piece in expected.gaps[0] if piece.text] == [None, None, 0, None, None]


def test_typed_markers_are_tokens_only_when_interpreted():
    typed = user(Text("x<slice>y<image>"))
    assert Oracle(contract()).expected(typed).tokens == []
    expected = Oracle(contract(literals="interpret")).expected(typed)
    assert expected.tokens == [("slice_open", 1), ("image_open", 1)]
    assert expected.owners == [None, None]
    assert texts(expected) == ["x", "y", ""]


ROLES = {1: "image_open", 2: "image_close", 3: "placeholder"}


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
