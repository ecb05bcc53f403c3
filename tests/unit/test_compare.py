"""What is different between two worlds, and how it is told; no world is built."""

from __future__ import annotations

import json

import pytest

from compared_records import outcome, record, verdicts
from image_spans.compare import locks, render
from image_spans.compare.differences import Flip, compared
from image_spans.compare.selection import chosen
from image_spans.errors import ConfigError

PASSES = verdicts(bos__once="passes", spans__matched="passes", text__survives="not judged")
FAILS = verdicts(bos__once="fails: missing", spans__matched="not judged", text__survives="passes")


def both(before=None, after=None, **subjects):
    """Two outcomes of subjects, each a pair of records."""
    return compared(
        outcome("lib 1", {name: pair[0] for name, pair in subjects.items()}, before, versions={"lib": "1", "b": "2"}),
        outcome("lib 2", {name: pair[1] for name, pair in subjects.items()}, after, versions={"lib": "2", "b": "2"}),
    )


def test_nothing_is_different_where_only_versions_are():
    found = both(toy=(record(version="1"), record(version="2")))
    assert found.exit_code == 0
    assert not found.subjects[0].is_different
    assert found.versions == {"lib": ("1", "2")}


def test_a_change_and_the_checks_that_turn():
    found = both({"toy": PASSES}, {"toy": FAILS}, toy=(record(), record(bos=False)))
    assert found.exit_code == 1
    [toy] = found.subjects
    assert [change.headline for change in toy.changes] == [
        "the plain call puts nothing in front of a text, before <s> (1)"
    ]
    assert toy.flips == (
        Flip("bos.once", "passes", "fails (missing)"),
        Flip("spans.matched", "passes", "not judged"),
        Flip("text.survives", "not judged", "passes"),
    )
    assert [flip.judged for flip in toy.flips] == [True, False, False]


def test_a_check_that_fails_for_another_reason_is_different():
    found = both({"toy": verdicts(a__b="fails: x")}, {"toy": verdicts(a__b="fails: x, y")}, toy=(record(), record()))
    assert found.subjects[0].flips == (Flip("a.b", "fails (x)", "fails (x, y)"),)
    assert found.exit_code == 1


def test_where_no_checks_were_asked_none_turn():
    assert both({"toy": PASSES}, {}, toy=(record(), record())).exit_code == 0


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        ("no file", "no file", 2),
        ("no file", "no such file", 2),
        ("no file", record(), 1),
        (record(), "no file", 1),
    ],
)
def test_a_subject_that_cannot_be_had(before, after, code):
    found = both(toy=(before, after))
    assert found.exit_code == code
    assert found.subjects[0].is_different == (code == 1)


def test_one_that_cannot_be_had_in_both_does_not_hide_that_the_others_are_the_same():
    found = both(gone=("no", "no"), toy=(record(), record()))
    assert found.exit_code == 0
    assert "gone cannot be had in either: no" in render.comparison(found, "text")


def test_checks_that_say_nothing_are_no_success():
    found = compared(outcome("a", {"toy": record()}, trouble="it broke"), outcome("b", {"toy": record()}))
    assert found.exit_code == 2
    assert found.troubles == ("the checks of a say nothing: it broke",)
    for form in ("text", "md", "json"):
        assert "the checks of a say nothing: it broke" in render.comparison(found, form)


def test_a_subject_on_one_side_only():
    found = compared(outcome("a", {"old": record()}), outcome("b", {"new": record()}))
    text = render.comparison(found, "text")
    assert "old\n  cannot be had in b: there is no such subject in b" in text
    assert "new\n  cannot be had in a: there is no such subject in a" in text
    assert found.exit_code == 1


def test_two_subjects_as_a_pair():
    world = outcome("here", {"one": record(), "other": record(bos=False)})
    [pair] = compared(world, world, [("one", "other")]).subjects
    assert pair.name == "one -> other"
    assert pair.is_different


DIFFERENT = {
    "toy": (record(), record(bos=False)),
    "same": (record(), record()),
    "gone": (record(), "no file <x>"),
    "never": ("no", "no"),
}

TEXT = """\
before: lib 1
after:  lib 2
  also: lib 2
2 of 4 subjects behave differently

toy
  the plain call puts nothing in front of a text, before <s> (1)
    conversations: one: [<image>*4 (5*4) t10], was [<s> (1) <image>*4 t10]
    plain call: adds in front: nothing, was 1 <s>
  check bos.once fails (missing), before passes
  checks no longer judged: spans.matched
  checks judged only now: text.survives

gone
  cannot be had in lib 2: no file <x>

never cannot be had in either: no
the same: same
"""

MARKDOWN = """\
### 2 of 4 subjects behave differently

Before: `lib 1`, after: `lib 2`.

| distribution | before | after |
|---|---|---|
| lib | 1 | 2 |

#### toy

- the plain call puts nothing in front of a text, before &lt;s&gt; (1)

  <details><summary>what follows</summary>

  ```text
  conversations: one: [<image>*4 (5*4) t10], was [<s> (1) <image>*4 t10]
  plain call: adds in front: nothing, was 1 <s>
  ```

  </details>

- check bos.once fails (missing), before passes
- checks no longer judged: spans.matched
- checks judged only now: text.survives

#### gone

- cannot be had in lib 2: no file &lt;x&gt;

- never cannot be had in either: no

The same: same.
"""


@pytest.mark.parametrize(("form", "wanted"), [("text", TEXT), ("md", MARKDOWN)])
def test_how_it_is_told(form, wanted):
    found = both({"toy": PASSES}, {"toy": FAILS}, **DIFFERENT)
    assert render.comparison(found, form) == wanted


def test_json_has_all_of_it():
    data = json.loads(render.comparison(both({"toy": PASSES}, {"toy": FAILS}, **DIFFERENT), "json"))
    assert data["schema"] == 1
    assert data["different"] is True
    assert data["versions"] == {"lib": ["1", "2"]}
    assert list(data["subjects"]) == list(DIFFERENT)
    toy = data["subjects"]["toy"]
    assert toy["checks"][0] == {"check": "bos.once", "before": "passes", "after": "fails (missing)"}
    assert len(toy["changes"][0]["details"]) == 2
    assert data["subjects"]["gone"]["cannot be had"] == {"before": None, "after": "no file <x>"}


def test_nothing_in_markdown_is_taken_for_markup():
    assert render._plain("<image> `a` *b* a|b [IMG] @all x_y") == (
        "&lt;image&gt; \\`a\\` \\*b\\* a\\|b \\[IMG\\] &commat;all x\\_y"
    )


def test_a_long_list_is_cut_and_says_so():
    many = {f"text {number}": {"ids": str(number), "tokens": "t"} for number in range(40)}
    other = {f"text {number}": {"ids": str(number + 1), "tokens": "t"} for number in range(40)}
    found = both(toy=(record(texts=many), record(texts=other)))
    text = render.comparison(found, "text")
    assert "ordinary tokens have other ids, such as t: 1, was 0" in text
    assert "    ... and 28 more\n" in text
    assert len(json.loads(render.comparison(found, "json"))["subjects"]["toy"]["changes"][0]["details"]) == 40


def lock(path, **subjects):
    path.write_text(json.dumps({"schema": 1, "subjects": subjects}))
    return path


def test_two_locks(tmp_path):
    old = lock(tmp_path / "old.json", toy=record(), same=record(version="1"), gone=record())
    new = lock(tmp_path / "new.json", toy=record(bos=False), same=record(version="2"), new=record())
    found = locks.comparison(old, new)
    assert found.exit_code == 1
    assert {one.name: one.is_different for one in found.subjects} == {
        "toy": True,
        "same": False,
        "gone": True,
        "new": True,
    }
    text = render.comparison(found, "text")
    assert "only made of other things: same (transformers 2, was 1)" in text
    assert "gone\n  cannot be had in" in text
    assert locks.comparison(old, old).exit_code == 0
    assert "same (transformers 2, was 1)" in render.comparison(found, "md")


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"schema": 2, "subjects": {}}', '{"schema": 1}'])
def test_what_is_no_lock(tmp_path, content):
    path = tmp_path / "lock.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError) as refused:
        locks.read(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


NAMES = ["mistral-v7-bos", "mistral-v7-no-bos", "Pixtral", "llama"]


@pytest.mark.parametrize(
    ("expression", "fits"),
    [
        (None, NAMES),
        ("mistral", NAMES[:2]),
        ("pixtral or llama", NAMES[2:]),
        ("mistral and not no-bos", NAMES[:1]),
        ("not (mistral or pixtral)", NAMES[3:]),
        ("not not llama", NAMES[3:]),
        ("llama or mistral and no-bos", [NAMES[1], NAMES[3]]),
    ],
)
def test_subjects_are_chosen_by_words(expression, fits):
    assert chosen(NAMES, expression) == fits


@pytest.mark.parametrize("expression", ["", "(", "a b", "mistral and", "or", ")", "not", "(llama", "llama)", "gemma"])
def test_an_expression_that_chooses_nothing_is_an_error(expression):
    with pytest.raises(ConfigError, match=r"^-k .*(cannot be read|fits none of the subjects)"):
        chosen(NAMES, expression)
