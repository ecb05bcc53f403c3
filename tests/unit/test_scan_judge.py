"""One row at a time: what the checks say of it, and that no row stands in the way of another."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_spans import conversation as conversations
from image_spans.pipelines import reference
from image_spans.scan.causes import REMEDIES
from image_spans.scan.judge import Judge, Options, judged
from image_spans.scan.rows import Row
from planted_samples import png
from support import contract, subject

PROMISE = contract(literals={"policy": "plain", "per": {"<slice>": "reject"}})


def right(tokenizer, conversation):
    return reference("flat_slices")(tokenizer, conversation, contract=PROMISE)


def no_open(tokenizer, conversation):
    return [token_id for token_id in right(tokenizer, conversation)["input_ids"] if token_id != 1]


def row(*texts, images=(), index=0, last="c"):
    turns = [{"role": "user", "content": text} for text in texts]
    given = {"messages": [*turns, {"role": "assistant", "content": last}], "images": list(images)}
    return Row("a.json", index, json.dumps(given).encode())


def judge(pipeline=right, returns=(), promise=None, **options):
    one = subject(pipeline, **(promise or {"literals": {"policy": "plain", "per": {"<slice>": "reject"}}}))
    return Judge(replace(one, returns=frozenset(returns), abilities=frozenset(returns)), Options(**options))


def causes(found):
    return [problem.cause for problem in found.problems]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(png(10, 10))
    (tmp_path / "b.png").write_bytes(png(1000, 800))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_row_that_is_right_is_measured(folder):
    found = judge().row(row("<image>x", "y<image>", images=["a.png", "b.png"]))
    assert found.problems == ()
    assert found.judged
    assert not found.literals
    # Four markers of two spans, x, y, c; six blocks of 4 slots; four slices in 2 rows.
    assert found.length == 4 + 3 + 6 * 4 + 4 * 2 + 1
    assert [(one.width, one.height, one.tiles, one.slots) for one in found.images] == [
        (10, 10, 0, 4),
        (1000, 800, 4, 20),
    ]


def test_a_finding_names_row_turn_cause_and_how_to_repeat_it(folder):
    found = judge(no_open, subjects=folder / "own.yaml").row(row("<image>x", images=["a.png"], index=3))
    (problem,) = found.problems
    assert problem.cause.startswith("spans.matched/")
    assert (problem.file, problem.row, problem.place) == ("a.json", 3, "a.json[3]")
    assert problem.strip is not None
    assert f"verify(load_subject('toy', {str(folder / 'own.yaml')!r}), Conversation([" in problem.python
    assert "the pipeline is not" in problem.remedy


def test_a_conversation_that_nobody_would_paste_is_not_shown(folder):
    found = judge(no_open).row(row("<image>" + "x" * 2000, images=["a.png"]))
    assert [problem.python for problem in found.problems] == [""]


def test_text_that_spells_markers_is_judged_by_the_checks_that_know_of_it(folder):
    found = judge().row(row("<image>x </slice> y", images=["a.png"]))
    assert (causes(found), found.literals) == ([], True)
    found = judge().row(row("<image>x <slice> y", images=["a.png"]))
    assert causes(found) == ["literal-marker", "literals.policy/literal-accepted"]

    def reads(tokenizer, conversation):
        text = "".join(
            part.text for message in conversation.messages for part in message.parts if hasattr(part, "text")
        )
        return tokenizer.encode_markup(text)

    found = judge(reads).row(row("x </slice> y"))
    assert causes(found) == ["literals.policy/literal-became-structure"]
    assert found.problems[0].turn in (0, None)


def test_what_fails_without_the_markers_too_is_told_as_that(folder):
    found = judge(no_open).row(row("<image>x </slice>", images=["a.png"]))
    (problem,) = found.problems
    assert problem.cause.startswith("spans.matched/")
    assert problem.message.endswith("(on the sample with its markers replaced)")


def test_only_the_checks_that_are_asked_for_and_what_they_need(folder):
    def turned(tokenizer, conversation):
        ids = right(tokenizer, conversation)["input_ids"]
        return ids[::-1]

    every = {cause.partition("/")[0] for cause in causes(judge(turned).row(row("ab")))}
    assert every == {"text.survives"}
    assert causes(judge(turned, checks=("spans",)).row(row("ab"))) == []
    found = judge(no_open, checks=("text.survives",)).row(row("<image>x", images=["a.png"]))
    assert causes(found)[0].startswith("spans.matched/")


@pytest.mark.parametrize(
    ("pipeline", "cause"),
    [
        (lambda tokenizer, conversation: 1 / 0, "pipeline.encodes/"),
        (lambda tokenizer, conversation: "abc", "pipeline.encodes/"),
        (lambda tokenizer, conversation: exit(0), "pipeline.encodes/"),
        (lambda tokenizer, conversation: conversation.nothing, "pipeline.encodes/"),
    ],
)
def test_a_pipeline_that_fails_is_a_finding_of_the_row(pipeline, cause):
    found = judge(pipeline).row(row("x"))
    assert [one.startswith(cause) for one in causes(found)] == [True]
    assert found.length is None


def test_a_row_on_which_the_pipeline_does_not_end_keeps_no_other_from_being_judged(folder):
    def sleepy(tokenizer, conversation):
        if "sleep" in repr(conversation):
            time.sleep(60)
        return right(tokenizer, conversation)

    one = judge(sleepy, timeout=0.3)
    assert causes(one.row(row("x"))) == []
    assert [cause.partition("/")[0] for cause in causes(one.row(row("sleep")))] == ["pipeline.encodes"]
    after = one.row(row("y"))
    assert (causes(after), after.judged) == ([], True)


def test_whatever_judging_raises_is_a_finding_of_the_row(monkeypatch):
    one = judge()
    monkeypatch.setattr(one, "_untrained", lambda conversation: 1 / 0)
    found = judged(one, row("x", index=5), with_checks=True)
    assert [(problem.cause, problem.row) for problem in found.problems] == [("row-not-judged", 5)]
    assert "ZeroDivisionError" in found.problems[0].message


# ---------------------------------------------------------------- labels and lengths


def labelled(first=0):
    def encode(tokenizer, conversation):
        made = right(tokenizer, conversation)
        labels = [-100] * len(made["input_ids"])
        if first is not None:
            labels[-1] = made["input_ids"][-1]
        return {"input_ids": made["input_ids"], "labels": labels}

    return encode


def test_a_sample_without_an_answer_trains_nothing():
    for last in ("", " \n"):
        found = judge().row(row("x", last=last))
        assert causes(found) == ["nothing-trained"]
        assert found.judged
    given = {"messages": [{"role": "user", "content": "x"}]}
    assert causes(judge().row(Row("a", 0, json.dumps(given).encode()))) == ["nothing-trained"]


def test_a_sample_of_which_no_label_is_left():
    assert causes(judge(labelled(), ["labels"]).row(row("x"))) == []
    found = judge(labelled(None), ["labels"]).row(row("x"))
    assert [cause.partition("/")[0] for cause in causes(found)] == ["labels.cover_answers", "nothing-trained"]


def test_lengths_against_max_length(folder):
    given = row("<image>x<image>", images=["a.png"] * 2)
    length = judge().row(given).length
    assert length is not None
    assert causes(judge(max_length=length).row(given)) == []
    found = judge(max_length=length - 2).row(given)
    assert causes(found) == ["too-long"]
    # The answer and the closing token are behind it; both runs of placeholders are within.
    assert found.problems[0].message == (
        f"{length} ids, max_length is {length - 2}; 0 of 2 runs of placeholders end behind it"
    )
    assert "1 of 2 runs" in judge(max_length=length - 3).row(given).problems[0].message
    found = judge(labelled(), ["labels"], max_length=length - 1).row(given)
    assert causes(found) == ["too-long", "nothing-trained"]
    assert f"the first label is at {length - 1}" in found.problems[1].message


# ---------------------------------------------------------------- images


def test_slots_of_images_are_those_that_are_delivered(folder):
    promise = {"images": {"open": "<image>", "close": "</image>", "placeholder": "<pad>", "slots": "from_features"}}

    def delivers(tokenizer, conversation):
        ids, features = [], []
        for message in conversation.messages:
            for part in message.parts:
                if hasattr(part, "text"):
                    ids += tokenizer.encode_text(part.text)
                else:
                    count = part.width // 5
                    ids += [1, *[7] * count, 2]
                    features.append((len(features), count))
        return {"input_ids": ids, "features": features}

    one = judge(delivers, ["features"], {**promise, "slices": None})
    found = one.row(row("<image>x", images=["a.png"]))
    assert (causes(found), [(shape.tiles, shape.slots) for shape in found.images]) == ([], [(None, 2)])


def test_a_rule_that_raises_leaves_the_sizes(folder, monkeypatch):
    one = judge()
    given = row("<image>x", images=["a.png"])
    monkeypatch.setattr(type(one._bench.oracle), "layout", lambda self, conversation, number: 1 / 0)
    assert [(shape.width, shape.tiles) for shape in one.row(given).images] == [(10, None)]


def test_blank_pictures_do_not_pile_up(folder, monkeypatch):
    def looks(tokenizer, conversation):
        conversation.pil_images()
        return right(tokenizer, conversation)

    monkeypatch.setattr("image_spans.scan.judge._MOST_PIXELS", 150)
    one = judge(looks)
    one.row(row("<image>x", images=["a.png"]))
    assert conversations._blank.cache_info().currsize > 0
    one.row(row("<image>y", images=["a.png"]))
    assert conversations._blank.cache_info().currsize == 0


def test_images_lie_beside_the_data_or_in_the_folder_that_is_named(folder, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "c.png").write_bytes(png(1, 1))
    given = row("<image>x", images=["c.png"])
    assert causes(judge().row(given)) == ["image-missing"]
    assert causes(judge().row(replace(given, file="sub/a.json"))) == []
    assert causes(judge(images=tmp_path / "sub").row(given)) == []
    assert causes(judge(images=tmp_path / "sub").row(row("<image>", images=["a.png"]))) == ["image-missing"]


def test_roles_of_the_data_may_have_another_name():
    given = {"messages": [{"role": "ask", "content": "x"}, {"role": "bot", "content": "y"}]}
    data = Row("a", 0, json.dumps(given).encode())
    assert causes(judge().row(data)) == ["outside-role", "outside-role"]
    assert causes(judge(roles=(("ask", "user"), ("bot", "assistant"))).row(data)) == []


def test_a_subject_that_is_wrong_itself_says_so_and_rows_are_looked_at_without_it():
    one = judge(promise={"images": {"open": "<image>", "close": "</image>", "placeholder": "<none>", "slots": 4}})
    (problem,) = one.subject_itself()
    assert problem.cause.startswith("contract.tokens/")
    assert (problem.place, problem.row) == ("", None)
    assert not one.row(row("x"), with_checks=False).judged


def test_every_cause_has_a_remedy():
    assert all(remedy and not remedy.endswith(".") for remedy in REMEDIES.values())


KEYS = ("image", "images", "messages", "conversations", "role", "from", "content", "value", "type", "text", "system")
ODD = st.sampled_from([None, True, -1, 1.5, "", "<image>", "<image_00>", "\ud800", "\0", "user", "x" * 300, "a.png"])
ANYTHING = st.recursive(
    ODD,
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inside, max_size=4),
    max_leaves=12,
)


@given(value=st.dictionaries(st.sampled_from(KEYS), ANYTHING, max_size=4), columns=st.booleans())
def test_no_row_is_more_than_judging_can_bear(value, columns):
    found = judged(ANY, Row("a", 0, value if columns else json.dumps(value).encode()), with_checks=True)
    assert "row-not-judged" not in causes(found)
    assert found.judged or found.problems  # none is passed over without a word


ANY = judge()
