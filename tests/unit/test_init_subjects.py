"""What `init` proposes for the default subjects, from their tokenizers alone, is what their contracts say by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from image_spans import config
from image_spans.errors import Unavailable
from image_spans.init import render, write
from image_spans.init.entry import Todo
from image_spans.init.probe import probe
from image_spans.init.propose import chat_of, propose
from image_spans.init.settings import Settings

YAML = Path(__file__).parents[2] / "tokenizers_under_test.yaml"
SPECS = {spec.name: spec for spec in config.read(YAML)}

BOS_IS_OPEN = {
    # A token is named BOS and the plain call adds none. The first two of these are the same to any call, and yet one
    # contract says none, the other exactly_once: it is the pipeline that puts it in.
    "mistral-v1-sentencepiece",
    "mistral-v7-sentencepiece",
    "mistral-v7-sentencepiece-backend",
    "deepseek-v4",
    "llama-4",
    "toy-unigram",
    "trained-wordpiece",  # the plain call adds [CLS], which nothing names BOS
}
DEVIATES = {
    # Tokens that a contract leaves unused, and slices in the span of the image, leave no trace in a vocabulary.
    "trained-normalising": {"contract.images.open", "contract.images.close", "pipeline.encode"},
    "trained-unigram": {"pipeline.encode"},
}
MAY_BE_OPEN = {"contract.images.slots", "contract.template", "contract.slices.grammar", "contract.slices.rule"}
BRACKETS = ("open", "close", "placeholder", "row_break", "number", "markers")
LEAST_STATED = {
    "minicpm-o-4.5": 10,
    "minicpm-v-2": 6,
    "mistral-v1-sentencepiece": 5,
    "deepseek-v4": 3,
    "deepseek-v4-bos": 4,
    "qwen3.6-tiktoken": 5,
    "mistral-v7-bos": 6,
    "mistral-v7-no-bos": 6,
    "mistral-v7-sentencepiece": 5,
    "mistral-v7-sentencepiece-backend": 5,
    "mistral-v7-mistral-common": 6,
    "pixtral-transformers": 6,
    "pixtral-mistral-common": 6,
    "llama-4": 10,
    "toy-unigram": 4,
    "internvl-tiktoken": 8,
    "trained-sentencepiece": 6,
    "trained-tiktoken": 10,
    "trained-no-bos-id": 5,
    "trained-extra-first-token": 6,
    "trained-normalising": 2,
    "trained-wordpiece": 4,
    "trained-unigram": 5,
    "trained-byte-bpe": 5,
    "trained-own-grammar": 20,
}
"""How many keys of pipeline and contract are stated, and right: an entry of nothing but TODO would agree with all."""


@pytest.fixture(scope="module", params=SPECS)
def case(request):
    """One at a time: vocabularies are large."""
    spec = SPECS[request.param]
    try:
        tokenizer = config.load(spec).tokenizer
    except Unavailable as error:
        pytest.skip(str(error))
    written = {"backend": spec.tokenizer.backend, "source": {"path": "x"}}
    if spec.tokenizer.backend == "tiktoken":
        written["pattern"] = spec.tokenizer.pattern or "x"
    found = probe(tokenizer)
    return spec, propose(spec.name, written, spec.tokenizer, found, Settings(), chat_of(found))


def by_hand(spec, path):
    """The value of a key of contract or pipeline, defaults too; short forms as they are written out."""
    part, *keys = path
    value = getattr(spec, part).model_dump(by_alias=True)
    for key in keys:
        value = value.get(key, "not there") if isinstance(value, dict) else "not there"
    return value


def as_stated(path, value):
    if path[-1] in ("open", "close") and path[1:-1] != ("images", "number"):
        return (value,)
    if path == ("contract", "literals"):
        return {"policy": value, "tag": None, "per": {}}
    return tuple(value) if isinstance(value, list) else value


def test_what_is_stated_agrees(case):
    spec, proposal = case
    wrong, right = {}, 0
    for path, value in proposal.leaves():
        if isinstance(value, Todo) or path[0] == "tokenizer":
            continue
        hand = by_hand(spec, path)
        if path == ("contract", "literals"):
            hand = {**hand, "tag": None, "per": {}}
        if path == ("pipeline", "returns"):
            assert set(value) <= {*config.RETURNS}
        elif as_stated(path, value) != hand:
            wrong[".".join(path)] = value, hand
        else:
            right += 1
    assert set(wrong) == DEVIATES.get(spec.name, set()), wrong
    assert right >= LEAST_STATED[spec.name]


def test_ids_are_those_of_the_vocabulary(case):
    spec, proposal = case
    ids = proposal.entry["tokenizer"]["ids"]
    known = {**spec.tokenizer.ids, **dict(getattr(spec.tokenizer.add_special_tokens, "items", dict)())}
    both = {*ids} & {*known}
    assert {token: ids[token] for token in both} == {token: known[token] for token in both}
    assert spec.contract.images.placeholder in ids


def test_what_can_be_decided_is(case):
    spec, proposal = case
    open_ = {".".join(path) for path, _ in proposal.todos()}
    own = ":" in spec.contract.images.grammar
    allowed = MAY_BE_OPEN | ({"contract.images.grammar", "pipeline.encode"} if own else set())
    if "contract.slices.grammar" in open_:
        allowed |= {"pipeline.encode"}
    assert open_ - {"contract.bos"} <= allowed
    assert ("contract.bos" in open_) == (spec.name in BOS_IS_OPEN)
    images, slices = proposal.entry["contract"]["images"], proposal.entry["contract"].get("slices", {})
    assert {key for key in BRACKETS if getattr(spec.contract.images, key)} <= set(images)
    if spec.contract.slices is not None:
        inside = ("open", "close", "tile_break", "row_break", "overview_open")
        assert {key for key in inside if getattr(spec.contract.slices, key)} <= set(slices)


def test_the_yaml_reads_back_as_it_was_meant(case):
    _, proposal = case
    text = render.document(proposal)
    write.check(text)

    def spelled(value):
        if isinstance(value, dict):
            return {key: spelled(one) for key, one in value.items()}
        return f"TODO: {value}" if isinstance(value, Todo) else value

    assert yaml.safe_load(text)["subjects"] == {proposal.name: spelled(proposal.entry)}
