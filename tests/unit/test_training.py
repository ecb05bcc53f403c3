"""The recipes: small tokenizers that are the same each time, silent and quick."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from image_spans import strategies
from image_spans.errors import ConfigError
from image_spans.sources import TrainedSource
from image_spans.subject import Tokenizer
from image_spans.tokenizers import adapt, observe
from image_spans.training import byte_bpe, corpus, sentencepiece, tiktoken, unigram, wordpiece

MARKERS = ("<image>", "</image>")
ROLES = {"image_open": "<image>", "image_close": "</image>"}
TEXTS = ("hello", " hello", "", "\n", "What is in this picture? <image>\n", "déçu 图片 ما 😀", "a  b")
QUICK = settings(
    max_examples=100, database=None, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)

RECIPES: dict[str, Callable[[], Any]] = {
    "byte BPE": lambda: byte_bpe.train(special_tokens=MARKERS),
    "byte BPE with BOS": lambda: byte_bpe.train(special_tokens=MARKERS, bos="<s>", eos="</s>"),
    "byte BPE with NFC": lambda: byte_bpe.train(special_tokens=MARKERS, normalizer="nfc"),
    "raw byte BPE": lambda: byte_bpe.backend(600, MARKERS),
    "WordPiece": lambda: wordpiece.train(special_tokens=MARKERS),
    "Unigram": lambda: unigram.train(special_tokens=MARKERS),
    "tiktoken": lambda: tiktoken.train(special_tokens=MARKERS),
    "BPE": lambda: sentencepiece.train(control=MARKERS),
    "BPE with BOS": lambda: sentencepiece.train(user_defined=MARKERS, add_bos=True),
    "unigram": lambda: sentencepiece.train(kind="unigram", vocab=900, dummy_prefix=False, bos=False),
    "characters": lambda: sentencepiece.train(kind="char"),
    "no byte fallback": lambda: sentencepiece.train(byte_fallback=False),
}


@pytest.fixture(params=RECIPES)
def recipe(request: pytest.FixtureRequest) -> Callable[[], Any]:
    return RECIPES[request.param]


def pieces(tokenizer: Tokenizer, text: str) -> list[str]:
    return [tokenizer.id_to_token(token_id) for token_id in tokenizer.encode(text)]


def test_two_trainings_are_equal_silent_and_quick(recipe: Callable[[], Any], capfd: pytest.CaptureFixture[str]) -> None:
    one = adapt(recipe())
    began = time.perf_counter()
    other = adapt(recipe())
    assert time.perf_counter() - began < 2
    for text in TEXTS:
        assert one.encode_text(text) == other.encode_text(text)
        assert one.encode_markup(text) == other.encode_markup(text)
        assert one.encode(text.replace("<image>", "")) == other.encode(text.replace("<image>", ""))
    assert dict(one.special_tokens()) == dict(other.special_tokens())
    assert dict(one.named_ids()) == dict(other.named_ids())
    assert capfd.readouterr() == ("", "")


def test_a_marker_that_is_not_declared_is_not_one_token_by_chance(recipe: Callable[[], Any]) -> None:
    tokenizer = adapt(recipe())
    for marker in ("<slice>", "</slice>", "<image_id>", "<pad>", "<unused>"):
        assert tokenizer.token_to_id(marker) is None
        assert len(tokenizer.encode_text(marker)) > 1


def test_the_corpus_holds_many_scripts() -> None:
    letters = set("".join(corpus()))
    names = {unicodedata.name(letter, "").partition(" ")[0] for letter in letters}
    assert {"LATIN", "CYRILLIC", "GREEK", "ARABIC", "DEVANAGARI", "CJK", "HIRAGANA", "HANGUL"} <= names


@pytest.mark.parametrize("name", ["byte BPE", "byte BPE with BOS", "raw byte BPE", "tiktoken"])
def test_byte_level_recipes_round_trip(name: str) -> None:
    tokenizer = adapt(RECIPES[name]())

    @given(strategies.texts())
    @QUICK
    def check(text: str) -> None:
        assert tokenizer.decode(tokenizer.encode_text(text)) == text

    check()
    assert "unk" not in tokenizer.named_ids()
    assert observe(tokenizer, ROLES).normalises is False
    for hard in ("\x00", "\ufeff", "e\u0301", "👩‍👩‍👧‍👦", "\u2028", "<image>x</image>"):
        assert tokenizer.decode(tokenizer.encode_text(hard)) == hard


def test_byte_fallback() -> None:
    with_bytes, without = adapt(sentencepiece.train()), adapt(sentencepiece.train(byte_fallback=False))
    assert with_bytes.named_ids()["unk"] not in with_bytes.encode_text("\u1234")
    assert without.named_ids()["unk"] in without.encode_text("\u1234")
    assert with_bytes.decode(with_bytes.encode_text("x\u1234")) == "x\u1234"


def test_bos_that_the_native_call_adds() -> None:
    assert pieces(adapt(byte_bpe.train(bos="<s>")), "hello")[0] == "<s>"
    assert pieces(adapt(byte_bpe.train()), "hello")[0] != "<s>"
    assert pieces(adapt(sentencepiece.train(add_bos=True)), "hello") == ["<s>", "▁hello"]
    assert pieces(adapt(sentencepiece.train()), "hello") == ["▁hello"]  # it has a BOS, and adds none
    named = adapt(byte_bpe.train(bos="<s>", eos="</s>"))
    assert set(named.named_ids()) == {"bos", "eos"}
    assert named.named_ids()["eos"] not in named.encode("hello")


def test_normalization() -> None:
    plain, changed = adapt(sentencepiece.train()), adapt(sentencepiece.train(normalization="nmt_nfkc"))
    assert changed.decode(changed.encode_text("\uff41")) == "a"
    assert plain.decode(plain.encode_text("\uff41")) == "\uff41"
    assert observe(changed, {}).normalises
    assert not observe(plain, {}).normalises


def test_normal_forms_of_byte_bpe() -> None:
    by_form = {form: adapt(byte_bpe.train(special_tokens=MARKERS, normalizer=form)) for form in (None, "nfc", "nfkc")}
    for text, wanted in {
        "e\u0301": {None: "e\u0301", "nfc": "\u00e9", "nfkc": "\u00e9"},
        "\uff1cimage>": {None: "\uff1cimage>", "nfc": "\uff1cimage>", "nfkc": "<image>"},
    }.items():
        for form, tokenizer in by_form.items():
            assert tokenizer.decode(tokenizer.encode_markup(text)) == wanted[form]
            # The marker is looked for in the text as it was typed.
            assert tokenizer.token_to_id("<image>") not in tokenizer.encode_markup(text)
    assert [observe(tokenizer, ROLES).normalises for tokenizer in by_form.values()] == [False, True, True]


def test_wordpiece() -> None:
    plain, cased = adapt(wordpiece.train()), adapt(wordpiece.train(lowercase=False, post_processor=False))
    assert plain.library.startswith("tokenizers ")
    assert pieces(plain, "WORLDS") == ["[CLS]", "world", "##s", "[SEP]"]
    assert pieces(cased, "WORLD")[0] == "[UNK]"
    assert plain.decode(plain.encode_text("a  b")) == "a b"
    assert plain.encode_text("\n") == []
    assert plain.named_ids() == {"unk": 0}
    assert plain.special_tokens() == {"[CLS]": 1, "[SEP]": 2}
    facts = observe(plain, {})
    assert (facts.prefix, facts.suffix, facts.bos, facts.normalises) == ((1,), (2,), 1, True)
    assert observe(cased, {}).prefix == observe(cased, {}).suffix == ()
    marked = adapt(wordpiece.train(special_tokens=MARKERS))
    assert [marked.token_to_id(token) for token in MARKERS] == [3, 4]
    assert observe(marked, ROLES).protects_text


@pytest.mark.parametrize(
    ("scheme", "wanted"),
    [
        ("always", "\u2581hello<image>\u2581hello"),
        ("first", "\u2581hello<image>hello"),
        ("never", "hello<image>hello"),
    ],
)
def test_where_unigram_puts_a_blank(scheme: Any, wanted: str) -> None:
    tokenizer = adapt(unigram.train(special_tokens=MARKERS, prepend_scheme=scheme))
    assert "".join(pieces(tokenizer, "hello<image>hello")) == wanted
    facts = observe(tokenizer, ROLES)
    assert facts.dummy_prefix == (scheme != "never")
    assert not facts.protects_text  # the model itself finds the token in protected text
    assert tokenizer.named_ids() == {"unk": 0}
    assert tokenizer.special_tokens() == {"<image>": 1, "</image>": 2}
    assert tokenizer.encode_text("\u1234")[-1] == 0


def test_no_bos_at_all() -> None:
    tokenizer = adapt(sentencepiece.train(bos=False))
    assert tokenizer.native.bos_id() == -1
    assert set(tokenizer.named_ids()) == {"unk"}
    assert observe(tokenizer, {}).bos is None


def test_the_dummy_prefix() -> None:
    assert pieces(adapt(sentencepiece.train(dummy_prefix=False)), "hello") == ["hello"]
    assert pieces(adapt(sentencepiece.train(kind="char")), "ab") == ["▁", "a", "b"]  # a token of its own


def test_control_is_never_read_from_text_and_user_defined_always() -> None:
    control, always = adapt(sentencepiece.train(control=MARKERS)), adapt(sentencepiece.train(user_defined=MARKERS))
    assert control.token_to_id("<image>") not in control.encode("a<image>b")
    assert always.token_to_id("<image>") in always.encode("a<image>b")
    assert {*MARKERS, "<s>", "</s>"} == set(control.special_tokens()) == set(always.special_tokens())


def test_sizes_of_vocabularies() -> None:
    assert len(byte_bpe.train(vocab=300, special_tokens=MARKERS)) == 300  # special tokens included
    assert wordpiece.train(vocab=700, special_tokens=MARKERS).get_vocab_size() == 700
    assert unigram.train(vocab=400, special_tokens=MARKERS).get_vocab_size() == 400
    assert sentencepiece.train(vocab=600).get_piece_size() == 600
    assert tiktoken.train(vocab=300, special_tokens=MARKERS).n_vocab == 303  # they and <|endoftext|> follow the ranks
    assert tiktoken.train(vocab=300).encode_single_token("<|endoftext|>") == 300


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (("byte_bpe", {"vocabulary": 1}), "the recipe byte_bpe has no option 'vocabulary'; did you mean 'vocab'?"),
        (("sentencepiece", {"add_boss": True}), "has no option 'add_boss'; did you mean 'add_bos'?"),
        (("tiktoken", {"bos": "<s>"}), "has no option 'bos'; known: special_tokens, vocab"),
        (("sentencepiece", {"kind": "word2vec"}), "training sentencepiece with {'kind': 'word2vec'} failed"),
        (("sentencepiece", {"vocab": 1}), "training sentencepiece with {'vocab': 1} failed"),
        (("byte_bpe", {"vocab": "many"}), "training byte_bpe with {'vocab': 'many'} failed"),
        (("byte_bpe", {"special_tokens": "<image>"}), "failed: special_tokens: "),
        (("sentencepiece", {"control": "<image>"}), "failed: control: "),
        (("sentencepiece", {"kind": "word"}), "failed: kind: Input should be 'bpe', 'unigram' or 'char'"),
        (("sentencepiece", {"bos": 1}), "failed: bos: "),
        (("byte_bpe", {"normalizer": "nfd"}), "failed: normalizer: Input should be 'nfc' or 'nfkc'"),
        (
            ("unigram", {"prepend_scheme": "last"}),
            "failed: prepend_scheme: Input should be 'always', 'first' or 'never'",
        ),
        (("wordpiece", {"lowercase": 1}), "failed: lowercase: "),
        (("wordpiece", {"post_processer": True}), "has no option 'post_processer'; did you mean 'post_processor'?"),
        (("tiktoken", {"special_tokens": 5}), "training tiktoken with {'special_tokens': 5} failed"),
    ],
)
def test_options_that_do_not_fit(
    source: tuple[str, dict[str, Any]], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    recipe, options = source
    with pytest.raises(ConfigError) as error:
        TrainedSource(trained=recipe, options=options).train()
    assert said in str(error.value)
    assert capfd.readouterr() == ("", "")
