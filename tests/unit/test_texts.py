"""Whether a stretch of ids is the text that was given: what is forgiven, and what is not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_spans.oracles import Piece
from image_spans.texts import Texts
from support import ToyTokenizer, subject

UNK = 77
UNKNOWN = "\u2603\u2604"


class Lossy(ToyTokenizer):
    """Knows no snowman and no comet: together they are one unk. Writes upper case as lower case."""

    def encode_text(self, text):
        ids = []
        for token_id in super().encode_text(text):
            if chr(token_id - 1000) in UNKNOWN:
                ids += [] if ids and ids[-1] == UNK else [UNK]
            else:
                ids.append(1000 + ord(chr(token_id - 1000).lower()))
        return ids

    def decode(self, ids):
        return "".join("?" if token_id == UNK else self.id_to_token(token_id) for token_id in ids)

    def named_ids(self):
        return {**super().named_ids(), "unk": UNK}


class Strips(ToyTokenizer):
    """Decoding strips the first blank, as SentencePiece does."""

    def decode(self, ids):
        return super().decode(ids).removeprefix(" ")


def texts(tokenizer=None, *, anchor="", **promised):
    one = subject(tokenizer=tokenizer or ToyTokenizer(), **promised)
    ids = tuple(1000 + ord(character) for character in anchor)
    return Texts(replace(one, facts=replace(one.facts, anchor=ids, anchor_text=anchor)))


def ids_of(text, **specials):
    """Ids by hand: a character each, ``#`` is EOS, ``%`` is unk."""
    return tuple({"#": 900, "%": UNK}.get(character, 1000 + ord(character)) for character in text)


def pieces(*given):
    """Text of message 0; a list is text that the pipeline writes by contract."""
    return [Piece(one[0], None) if isinstance(one, list) else Piece(one, 0) for one in given]


EXACT = {"template": {}}
IN_ORDER = {"template": None}


@pytest.mark.parametrize(
    ("given", "wanted", "holds"),
    [
        ("", [], True),
        ("", ["", ""], True),
        ("a", ["a"], True),
        ("ab", ["a", "b"], True),
        ("ab", ["ab", ""], True),
        ("", ["a"], False),
        ("a", [], False),
        ("a", [""], False),
        ("b", ["a"], False),
        ("aa", ["a"], False),
        ("a", ["aa"], False),
        ("ba", ["a", "b"], False),
        ("a b", ["a", "b"], False),
        (" a", ["a"], False),
        ("a ", ["a"], False),
        ("A", ["a"], False),
    ],
)
def test_with_a_template_the_text_is_equal(given, wanted, holds):
    assert texts(**EXACT).survives(ids_of(given), pieces(*wanted)) is holds
    assert texts(**EXACT).is_exactly(ids_of(given), pieces(*wanted)) is holds


@pytest.mark.parametrize(
    ("given", "wanted", "holds"),
    [
        ("", [], True),
        ("", [""], True),
        ("", ["a"], False),
        ("x", [], True),
        ("xaybz", ["a", "b"], True),
        ("xaybz", ["b", "a"], False),
        ("xab", ["ab"], True),
        ("a", ["a", "a"], False),
        ("aa", ["a", "a"], True),
        ("ab", ["a", "ab"], False),
        ("aab", ["a", "ab"], True),
        ("xyz", ["", ""], True),
        ("xyz", ["y", "", "z"], True),
        ("b", ["a"], False),
    ],
)
def test_without_a_template_the_texts_stand_in_order(given, wanted, holds):
    assert texts(**IN_ORDER).survives(ids_of(given), pieces(*wanted)) is holds


@pytest.mark.parametrize(
    ("given", "wanted", "holds"),
    [
        ("a", ["a"], True),
        (" a", ["a"], True),
        ("  a", ["a"], False),
        (" a b", ["a", "b"], True),
        (" ab", ["a", "b"], True),
        ("a b", ["a", "b"], True),
        ("a  b", ["a", "b"], False),
        (" a ", ["a", ""], True),
        (" ", ["", ""], True),
        ("  a", [" a"], True),
        (" a", [" a"], True),
        ("a", [" a"], False),
        ("a ", ["a"], False),
        (" a", ["b"], False),
        (" ", [], False),
    ],
)
def test_a_dummy_prefix_may_stand_before_each_piece(given, wanted, holds):
    assert texts(ToyTokenizer(dummy=True), **EXACT).survives(ids_of(given), pieces(*wanted)) is holds
    if " " in given and holds and given != "".join(wanted):  # and only where it was observed
        assert not texts(**EXACT).survives(ids_of(given), pieces(*wanted))


def test_a_dummy_prefix_in_order():
    judge = texts(ToyTokenizer(dummy=True), **IN_ORDER)
    assert judge.survives(ids_of("x a y b"), pieces("a", "b"))
    assert judge.forms("a") == {"a", " a"}
    assert judge.forms(" a") == {" a", "  a"}
    assert texts().forms("a") == {"a"}


def test_special_tokens_are_compared_by_id():
    judge = texts(**EXACT)
    assert judge.survives(ids_of("a#b"), pieces("a", ["</s>"], "b"))
    assert judge.survives(ids_of("a#b"), pieces(["a</s>b"]))
    assert judge.survives(ids_of("a</s>b"), pieces("a</s>b"))
    assert not judge.survives(ids_of("a#b"), pieces("a</s>b"))  # typed text is not the token
    assert not judge.survives(ids_of("a</s>b"), pieces(["a</s>b"]))
    assert not judge.survives(ids_of("ab"), pieces("a", ["</s>"], "b"))
    assert not judge.survives(ids_of("a##b"), pieces("a", ["</s>"], "b"))
    assert not judge.survives(ids_of("ab#"), pieces("a", ["</s>"], "b"))
    assert not judge.survives((*ids_of("a"), 5, *ids_of("b")), pieces("a", ["</s>"], "b"))  # another special token
    assert not judge.survives(ids_of("#ab"), pieces("a", ["</s>"], "b"))
    assert not judge.survives(ids_of("a#b"), pieces("ab"))


def test_bos_in_a_template_is_not_text():
    """scan() has taken BOS out of the ids; its place is judged elsewhere."""
    judge = texts(**EXACT)
    assert judge.survives(ids_of("ab"), pieces(["a<s>b"]))
    assert not judge.survives(ids_of("ab"), pieces("a<s>b"))


def test_typed_special_tokens_are_tokens_where_interpreted():
    judge = texts(literals="interpret", **EXACT)
    assert judge.survives(ids_of("a#b"), pieces("a</s>b"))
    assert not judge.survives(ids_of("a</s>b"), pieces("a</s>b"))
    assert not texts(literals="plain", **EXACT).survives(ids_of("a#b"), pieces("a</s>b"))


def test_a_marker_that_stays_plain_among_interpreted_ones_is_text():
    judge = texts(literals={"policy": "interpret", "per": {"</slice>": "plain"}}, **EXACT)
    assert judge.survives(ids_of("a</slice>b"), pieces("a</slice>b"))
    assert not judge.survives(ids_of("ab"), pieces("a</slice>b"))
    assert judge.specials_of(pieces("a</slice>b</s>")) == [900]


def test_a_typed_bos_that_is_read_as_bos_is_no_text_in_order_either():
    judge = texts(literals="interpret", **IN_ORDER)
    assert judge.survives(ids_of("xab"), pieces("a<s>b"))
    assert judge.survives((), pieces("<s>"))
    assert not judge.survives(ids_of("xa"), pieces("a<s>b"))
    assert not texts(literals="plain", **IN_ORDER).survives(ids_of("xab"), pieces("a<s>b"))
    assert not judge.survives(ids_of("xab"), pieces(["a<s>b"]))


def test_structural_tokens_are_no_text():
    assert texts().specials == {900: "</s>", 5: "<image_id>", 6: "</image_id>"}


def test_a_tokenizer_without_special_tokens():
    bare = ToyTokenizer()
    bare.special_tokens = dict
    assert texts(bare, **EXACT).survives(ids_of("a</s>b"), pieces(["a</s>"], "b"))


@pytest.mark.parametrize(
    ("given", "wanted", "holds"),
    [
        ("%", ["\u2603"], True),
        ("%", ["\u2603\u2604"], True),
        ("%", ["\u2603", "\u2604"], True),  # they may have been encoded together
        ("%%", ["\u2603", "\u2604"], True),  # or one by one
        ("%%%", ["\u2603", "\u2604"], False),
        ("a%b", ["a\u2603b"], True),
        ("%b", ["ab"], False),  # a known character that became unk
        ("a", ["a\u2603"], False),
        ("a%", ["a"], False),
        ("a?", ["a\u2603"], False),  # spelled as decoding spells it, but not unk
        ("ab", ["AB"], True),  # what the tokenizer does anyway
        ("ab", ["A", "B"], True),
        ("Ab", ["A", "B"], True),
        ("xb", ["A", "B"], False),
    ],
)
def test_what_the_tokenizer_loses_anyway(given, wanted, holds):
    assert texts(Lossy(), **EXACT).survives(ids_of(given), pieces(*wanted)) is holds


def test_ids_of_the_whole_are_right_whatever_they_decode_to():
    """Where decoding a stretch depends on what stands around it, equal ids are enough."""

    class Moody(ToyTokenizer):
        def decode(self, ids):
            return super().decode(ids) if len(ids) == 1 else "..."

    judge = texts(Moody(), **EXACT)
    assert judge.survives(ids_of("ab"), pieces("ab"))
    assert judge.survives(ids_of("ab"), pieces("a", "b"))
    assert judge.survives(ids_of("xy"), pieces("ab"))  # nothing can be told apart here
    assert not judge.survives(ids_of("x"), pieces("ab"))


def test_unk_in_order():
    judge = texts(Lossy(), **IN_ORDER)
    assert judge.survives(ids_of("x%y"), pieces("\u2603"))
    assert not judge.survives(ids_of("xa%y"), pieces("a"))
    assert judge.survives(ids_of("xab"), pieces("A", "B"))
    assert not judge.survives((), pieces("a", "\u2603"))


def test_a_text_that_encodes_to_nothing_may_be_nowhere():
    class Deaf(ToyTokenizer):
        def encode_text(self, text):
            return super().encode_text(text.replace("\u200b", ""))

    judge = texts(Deaf(), **IN_ORDER)
    assert judge.survives((), pieces("\u200b"))
    assert not judge.survives((), pieces("\u200ba"))
    assert texts(Deaf(), **EXACT).survives((), pieces("\u200b"))


def test_a_stretch_is_decoded_behind_an_anchor():
    assert texts(Strips()).decode(ids_of(" a")) == "a"
    judge = texts(Strips(), anchor="x")
    assert judge.decode(ids_of(" a")) == " a"
    assert judge.decode(ids_of("a")) == "a"
    assert judge.survives(ids_of(" a"), pieces(" a"))
    assert not judge.survives(ids_of("a"), pieces(" a"))
    assert not judge.survives(ids_of(" a"), pieces("a"))


def test_an_anchor_that_fuses_is_left_out():
    class Fuses(ToyTokenizer):
        def decode(self, ids):
            return super().decode(ids).replace("xa", "!")

    assert texts(Fuses(), anchor="x").decode(ids_of("ab")) == "ab"
    assert texts(Fuses(), anchor="x").decode(ids_of("b")) == "b"


class Joins(ToyTokenizer):
    """Decoding takes the blank in front of a full stop away, so the texts of ids do not add up."""

    def decode(self, ids):
        return super().decode(ids).replace(" .", ".")


@pytest.mark.parametrize("anchor", ["", "x"])
def test_the_texts_of_single_ids_are_not_trusted_where_a_first_blank_is_stripped(anchor):
    one = texts(Strips(), anchor=anchor, template={})
    for number in range(100):  # stretches in which they do add up
        assert one.is_exactly(ids_of(f"{number}"), pieces(f"{number}"))
    assert not one.is_exactly(ids_of("a b"), pieces("ab"))
    assert one.is_exactly(ids_of("a b"), pieces("a b"))


def test_the_texts_of_single_ids_are_trusted_once_they_were_seen_to_add_up():
    one = texts(Joins(), anchor="x")
    assert one._joins(ids_of("a.b"), "a.b")
    assert not one._joins(ids_of("a ."), "a .")
    assert not one._joins(ids_of("a.b"), "a.b"), "they do not, so no longer"


def test_look_ups_are_remembered():
    class Counts(ToyTokenizer):
        calls = 0

        def decode(self, ids):
            Counts.calls += 1
            return super().decode(ids)

    judge = texts(Counts())
    for _ in range(3):
        assert judge.alone("a") == (ids_of("a"), "a")
        assert judge.decode(ids_of("a")) == "a"
    assert Counts.calls == 1


@given(st.lists(st.text("ab <\n", max_size=3), max_size=4), st.booleans())
def test_right_ids_survive_however_they_were_cut(given, dummy):
    tokenizer = ToyTokenizer(dummy=dummy)
    apart = tuple(token_id for text in given for token_id in tokenizer.encode_text(text))
    whole = tuple(tokenizer.encode_text("".join(given)))
    for promised in (EXACT, IN_ORDER):
        judge = texts(tokenizer, **promised)
        assert judge.survives(apart, pieces(*given))
        assert judge.survives(whole, pieces(*given))


@given(st.lists(st.text("abc", max_size=3), max_size=3), st.text("abc", max_size=9))
def test_other_text_never_survives(wanted, given):
    assert texts(**EXACT).survives(ids_of(given), pieces(*wanted)) is (given == "".join(wanted))
