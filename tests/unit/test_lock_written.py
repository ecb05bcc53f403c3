"""Ids, tokens and families of tokens as they stand in the lock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_spans.lock import written


@given(st.lists(st.integers(0, 3) | st.integers(0, 10**6)))
def test_ids_are_read_as_they_were_written(ids):
    assert written.read_ids(written.ids(ids)) == ids


def test_runs_are_shortened():
    names = {1: "<a b>", 2: "x\n"}
    assert written.ids([1, 2, 2, 2, 1]) == "1 2*3 1"
    assert written.tokens([1, 2, 2, 2, 1], names.__getitem__) == "<a\u2423b> x\\n*3 <a\u2423b>"


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        ({"<a>": 5}, {"<a>": "5"}),
        ({"<x_0>": 7, "<x_1>": 8, "<x_2>": 9, "</s>": 2}, {"</s>": "2", "<x_0> .. <x_2>": "7 .. 9"}),
        # Two in a row are no family, and a gap ends one.
        ({"<x_0>": 7, "<x_1>": 8, "<x_2>": 10}, {"<x_0>": "7", "<x_1>": "8", "<x_2>": "10"}),
        # <x_9> and <x_09> are two tokens.
        ({"<x_08>": 7, "<x_09>": 8, "<x_10>": 9}, {"<x_08>": "7", "<x_09>": "8", "<x_10>": "9"}),
        ({"<x_9>": 1, "<x_10>": 2, "<x_11>": 3}, {"<x_9> .. <x_11>": "1 .. 3"}),
    ],
)
def test_families(tokens, said):
    assert written.families(tokens) == said
    assert written.members(said) == tokens


@given(st.dictionaries(st.from_regex(r"<[a-z]_?[0-9]{0,3}>", fullmatch=True), st.integers(0, 60), max_size=30))
def test_families_are_read_as_they_were_written(tokens):
    unique = {token_id: token for token, token_id in tokens.items()}
    given_tokens = {token: token_id for token_id, token in unique.items()}
    assert written.members(written.families(given_tokens)) == given_tokens
