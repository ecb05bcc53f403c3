"""``samples`` of the YAML: which rows a run replays, and in which pass each of them is judged."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis.database import InMemoryExampleDatabase

from image_spans.config import read
from image_spans.conversation import Conversation, Image, Message, Text
from image_spans.engine import Engine
from image_spans.errors import ConfigError
from image_spans.scan.replay import Replay, replayed
from planted_samples import png
from support import subject

YAML = """\
version: 1
subjects:
  toy:
    tokenizer: {factory: "toy:load"}
    pipeline: flat_slices
    SAMPLES
    contract:
      bos: none
      input: {roles: [user, assistant]}
      images: {open: <image>, close: </image>, placeholder: <unk>, slots: 4}
"""


@pytest.fixture
def spec(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(png(3, 4))
    rows = [sample(f"<image>{number}", ["a.png"] if number % 10 else ["none.png"]) for number in range(300)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + "broken\n")

    def make(samples):
        Path("subjects.yaml").write_text(YAML.replace("SAMPLES", f"samples: {samples}" if samples else ""))
        (one,) = read("subjects.yaml")
        return one

    return make


def sample(text, images=(), **more):
    turns = [{"role": "user", "content": text}, {"role": "assistant", "content": "y"}]
    return {"messages": turns, "images": list(images), **more}


def made(number):
    return Conversation([Message("user", [Image(3, 4), Text(str(number))]), Message("assistant", [Text("y")])])


def test_the_first_rows_are_replayed_and_what_is_left_out_is_counted(spec):
    found = replayed(spec("{data: a.jsonl, images: pictures}"))
    assert found.conversations == tuple(made(number) for number in range(100) if number % 10)
    assert (found.rows, found.left_out) == (100, (("image-missing", 10),))
    found = replayed(spec("{data: [a.jsonl], images: pictures, number: 1000}"))
    assert (found.rows, len(found.conversations)) == (301, 270)
    assert found.left_out == (("image-missing", 30), ("row-not-json", 1))


def test_some_rows_at_random(spec):
    one, same, other = (
        replayed(spec(f"{{data: a.jsonl, images: pictures, number: 20, seed: {seed}}}")) for seed in (1, 1, 2)
    )
    assert one == same != other
    assert one.rows == 20
    assert set(one.conversations) < {made(number) for number in range(300)}


def test_no_samples(spec):
    assert replayed(spec("")) == Replay()


def test_roles_tag_and_format(spec, tmp_path):
    row = {"conversations": [{"role": "ask", "content": "[I]x"}, {"role": "bot", "content": "y"}], "image": "a.png"}
    (tmp_path / "pictures" / "b.json").write_text(json.dumps([row, row]))
    more = "roles: {ask: user, bot: assistant}"
    found = replayed(spec(f"{{data: pictures/b.json, tag: '[I]', data_format: minicpm, {more}}}"))
    assert found == Replay((made("x"),), 2)


@pytest.mark.parametrize(
    ("samples", "told"),
    [
        ("none.jsonl", "none.jsonl: there is no such file"),
        ("{data: a.jsonl, data_format: lava}", "unknown data format 'lava'; did you mean 'llava'?"),
        ("{data: a.jsonl, images: nowhere, number: 3}", r"none of its rows is a conversation \(image-missing 3\)"),
        ("cut.json", "cut.json: ends inside the list"),
        ("empty.json", r"none of its rows is a conversation \(there is none\)"),
    ],
)
def test_samples_that_cannot_be_had(spec, samples, told):
    Path("cut.json").write_text("[" + json.dumps(sample("x")))
    Path("empty.json").write_text("[]")
    with pytest.raises(ConfigError, match=told):
        replayed(spec(samples))


@pytest.mark.parametrize(
    ("samples", "told"),
    [
        ("{images: a}", "subjects.toy.samples: the required key 'data' is missing"),
        ("{data: a, nmber: 3}", "unknown key 'nmber'; did you mean 'number'?"),
        ("{data: a, number: 0}", "samples.number"),
        ("[]", "subjects.toy.samples: expected at least 1 entry, found none"),
        ("7", "samples"),
    ],
)
def test_samples_that_are_mistyped(spec, samples, told):
    with pytest.raises(ConfigError) as error:
        spec(samples)
    assert told in str(error.value)
    assert str(error.value).startswith("subjects.yaml:6: ")


# ---------------------------------------------------------------- in a pass

START, END, NONE = (
    Conversation([Message("user", parts)])
    for parts in ([Image(1, 1), Text("some")], [Text("some"), Image(1, 1)], [Text("nothing but text")])
)
BESIDE = Conversation([Message("user", [Text(""), Image(1, 1), Text("")]), Message("user", [Text("more")])])
SPELLS = Conversation([Message("user", [Image(1, 1), Text("of </image>")])])


def test_a_sample_is_judged_where_its_images_stand_and_as_what_it_spells():
    one = subject()
    engine = Engine(3, 0, samples={one.name: (START, END, NONE, BESIDE, SPELLS)})
    found = {
        (position, family): [
            sample
            for sample in (START, END, NONE, BESIDE, SPELLS)
            if sample in engine.survey(one, position, family).conversations
        ]
        for position in ("start", "end", "none", "middle")
        for family in ("single", "hazard", "variants")
    }
    homes = {key: samples for key, samples in found.items() if samples}
    assert homes == {
        ("start", "single"): [START, BESIDE],
        ("end", "single"): [END],
        ("none", "single"): [NONE],
        ("start", "hazard"): [SPELLS],
    }
    assert engine.survey(one, "start", "single").conversations[:2] == (START, BESIDE)
    other = replace(one, name="other")
    assert START not in engine.survey(other, "start", "single").conversations


def test_a_sample_that_fails_is_kept_and_comes_first():
    def broken(tokenizer, conversation):
        if "telling" in repr(conversation):
            return []
        from image_spans.pipelines import reference
        from support import contract

        return reference("flat_slices")(tokenizer, conversation, contract=contract())["input_ids"]

    one, database = subject(broken), InMemoryExampleDatabase()
    telling = Conversation([Message("user", [Image(1, 1), Text("telling")])])
    samples = {one.name: (START, telling)}
    engine = Engine(3, 0, samples=samples, database=database)
    tallies = engine.survey(one, "start", "single").tallies
    (finding,) = tallies["spans.expected"].findings.values()
    assert finding.conversation == telling
    assert engine.shrink(one, "start", finding).conversation == telling
    again = Engine(3, 0, samples=samples, database=database).survey(one, "start", "single")
    assert again.conversations[:2] == (telling, START)
