"""The adapters against what was measured on the real libraries."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from image_spans import config
from image_spans.errors import ConfigError, Unavailable
from image_spans.tokenizers import TokenizerSpec, adapt, load, observe
from image_spans.training import byte_bpe, sentencepiece, tiktoken
from support import ToyTokenizer

ROOT = Path(__file__).parents[2]
MARKERS = ["<image>", "</image>"]
ROLES = {"image_open": "<image>", "image_close": "</image>"}
SPECS = {spec.name: spec for spec in config.read(ROOT / "tokenizers_under_test.yaml")}


@pytest.fixture(params=SPECS)
def default(request):
    spec = SPECS[request.param]
    reason = spec.missing()
    if reason is not None:
        pytest.skip(reason)
    return config.load(spec)


OBSERVED = {  # BOS id, what the native call adds, dummy prefix
    "minicpm-o-4.5": (None, (), False),
    "minicpm-v-2": (1, (1,), True),
    "mistral-v1-sentencepiece": (1, (), True),
    "deepseek-v4": (0, (), False),
    "deepseek-v4-bos": (0, (0,), False),
    "qwen3.6-tiktoken": (None, (), False),
    "trained-sentencepiece": (1, (1,), True),
    "trained-tiktoken": (None, (), False),
}


def test_observed_facts(default):
    facts = default.facts
    assert (facts.bos, facts.prefix, facts.dummy_prefix) == OBSERVED[default.name]
    assert facts.suffix == ()
    assert facts.protects_text


def test_known_ids(default):
    for token, token_id in default.known_ids.items():
        assert default.tokenizer.token_to_id(token) == token_id
        assert default.tokenizer.id_to_token(token_id) == token


def test_what_every_adapter_promises(default):
    tokenizer = default.tokenizer
    assert tokenizer.token_to_id("<no such token>") is None  # never the id of unk
    assert tokenizer.id_to_token(10**7) == "<id 10000000>"
    assert tokenizer.id_to_token(-1) == "<id -1>"
    assert tokenizer.named_ids().get("unk") not in tokenizer.special_tokens().values()
    for text in ("hello", "Hello, world! 42", "\u4f60\u597d \U0001f600"):
        ids = tokenizer.encode_text(text)
        assert set(map(type, ids)) == {int}
        assert tokenizer.decode(ids).strip() == text
    for token, token_id in tokenizer.special_tokens().items():
        assert tokenizer.token_to_id(token) == token_id
        break


@pytest.fixture(
    params=[
        lambda: byte_bpe.train(special_tokens=MARKERS),
        lambda: byte_bpe.train(special_tokens=MARKERS, bos="<s>"),
        lambda: tiktoken.train(special_tokens=MARKERS),
        lambda: sentencepiece.train(control=MARKERS),
        lambda: sentencepiece.train(user_defined=MARKERS, add_bos=True),
        lambda: sentencepiece.train(bos=False, dummy_prefix=False, kind="unigram", vocab=900),
    ],
    ids=["byte BPE", "byte BPE with BOS", "tiktoken", "SPM control", "SPM user-defined", "SPM without BOS"],
)
def trained(request):
    return request.param


def test_training_is_deterministic_and_silent(trained, capfd):
    one, other = adapt(trained()), adapt(trained())
    text = "What is in this picture? <image>\n"
    assert one.encode_text(text) == other.encode_text(text)
    assert capfd.readouterr() == ("", "")


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


def test_dummy_prefix_of_a_character_model_is_a_token_of_its_own():
    tokenizer = adapt(sentencepiece.train(kind="char"))
    assert [tokenizer.id_to_token(i) for i in tokenizer.encode_text("ab")] == ["\u2581", "a", "b"]


def test_adapt_takes_any_object_that_meets_the_protocol():
    toy = ToyTokenizer()
    assert adapt(toy) is toy
    with pytest.raises(ConfigError, match=r"it lacks encode, encode_text, .*native, library"):
        adapt(object())


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


def test_a_tokenizer_that_loads_empty(tmp_path):
    (tmp_path / "empty_factory.py").write_text(
        "from image_spans.tokenizers.transformers import library\n"
        "from tokenizers import Tokenizer, models\n"
        "def load():\n"
        "    return library().PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()))\n"
    )
    with pytest.raises(ConfigError, match=r"loaded empty: ordinary text encodes to nothing but unk"):
        load(spec(factory="empty_factory:load"), tmp_path)


BPE = {"backend": "transformers", "source": {"trained": "byte_bpe"}}
TIKTOKEN = {"backend": "tiktoken", "source": {"trained": "tiktoken"}}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({**BPE, "add_special_tokens": {"<image>": 5}}, "transformers gives out the ids itself"),
        (
            {"backend": "sentencepiece", "source": {"trained": "sentencepiece"}, "add_special_tokens": {"<image>": 5}},
            "sentencepiece appends pieces in order",
        ),
        ({**TIKTOKEN, "add_special_tokens": {"<image>": 600}}, "the id 600 of '<image>' is taken"),
        ({"backend": "tiktoken", "source": {"path": "x.txt"}}, "pattern is missing"),
        ({"backend": "tiktoken", "source": {"path": "x.txt"}, "pattern": "x"}, "x.txt is no rank file of tiktoken"),
        ({"backend": "sentencepiece", "source": {"path": "x.txt"}}, "sentencepiece cannot load x.txt"),
        ({"backend": "transformers", "source": {"path": "x.json"}}, "transformers cannot load x.json"),
        (
            {"backend": "transformers", "source": {"path": "x.txt"}, "class": "LlamaTokenzer"},
            "has no class 'LlamaTokenzer'; did you mean 'LlamaTokenizer",
        ),
    ],
)
def test_what_does_not_load(given, said, tmp_path):
    (tmp_path / "x.txt").write_text("this is no tokenizer")
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(ConfigError) as error:
        load(spec(**given), tmp_path)
    assert said in str(error.value)


def test_added_tokens_follow_the_vocabulary(tmp_path):
    tokenizer = load(spec(**TIKTOKEN, add_special_tokens=["<image>", "</image>"]), tmp_path)
    assert [tokenizer.token_to_id(token) for token in ("<|endoftext|>", "<image>", "</image>")] == [600, 601, 602]


def test_an_absent_library(monkeypatch, tmp_path):
    import importlib.metadata

    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", absent)
    with pytest.raises(Unavailable, match=r"the library tiktoken is not installed \(pip install tiktoken\)"):
        load(spec(**TIKTOKEN), tmp_path)


def test_loading_says_nothing():
    code = (
        "from pathlib import Path\nfrom image_spans import load_subjects\n"
        "from image_spans.tokenizers import TokenizerSpec, load\n"
        "load(TokenizerSpec(backend='transformers', source={'trained': 'byte_bpe'}), Path())\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT / "src"), "PATH": "", "HOME": str(Path.home())},
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
