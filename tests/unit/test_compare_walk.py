"""A walk through releases: what changed, what changed back, and what bisecting cannot see."""

from __future__ import annotations

import json

import pytest

from compared_records import outcome, record, verdicts
from image_spans.compare import render
from image_spans.compare.walk import walk, wanted
from image_spans.errors import ConfigError

RELEASES = [f"5.{minor}.0" for minor in range(40)]
BOS_GONE = "the plain call puts nothing in front of a text, before <s> (1)"
BOS_BACK = "the plain call puts <s> (1) in front of a text, before nothing"
SPLIT = "1 of 1 texts are split differently"


def releases(table: dict[str, object]):
    """What each release does: a record, or a reason why it cannot be had; and which were asked."""
    asked: list[str] = []

    def ask(release):
        asked.append(release)
        said = table[release]
        if isinstance(said, str):
            return said
        checks = {"toy": verdicts(bos__once="fails: missing" if not said["plain call"]["adds in front"] else "passes")}
        return outcome(f"lib {release}", {"toy": said}, checks)

    return ask, asked


def told(found):
    return [(step.first, step.last, step.headline, step.as_in, step.until) for step in found.steps]


def test_what_changed_and_changed_back_is_told_twice():
    """The ends are alike; only what lies between them is not."""
    table = {
        "5.0.0": record(),
        "5.1.0": record(bos=False),
        "5.2.0": record(bos=False, hello="10 11"),
        "5.3.0": record(hello="10 11"),
        "5.4.0": record(),
    }
    ask, asked = releases(table)
    found = walk("lib", list(table), ask)
    assert asked == list(table)
    assert told(found) == [
        ("5.1.0", "5.0.0", BOS_GONE, None, "5.3.0"),
        ("5.2.0", "5.1.0", SPLIT, None, "5.4.0"),
        ("5.3.0", "5.2.0", BOS_BACK, "5.0.0", None),
        ("5.4.0", "5.3.0", SPLIT, "5.1.0", None),
    ]
    flips = [[(flip.check, flip.before, flip.after) for flip in step.flips] for step in found.steps]
    assert flips[0] == [("bos.once", "passes", "fails (missing)")]
    assert flips[2] == [("bos.once", "fails (missing)", "passes")]
    assert flips[1] == flips[3] == []
    assert found.exit_code == 1
    assert found.untried == ()


def test_the_same_change_of_several_subjects_is_one_line():
    def ask(release):
        one = record(bos=release < "2")
        return outcome(release, {"a": one, "b": one, "c": record(), "never": "no file"})

    found = walk("lib", ["1", "2"], ask)
    [step] = found.steps
    assert step.subjects == ("a", "b")
    assert found.absent == {"never": "no file"}


def test_bisecting_asks_for_few_and_finds_what_lasts():
    table = {release: record(bos=index < 23) for index, release in enumerate(RELEASES)}
    ask, asked = releases(table)
    found = walk("lib", RELEASES, ask, every=10)
    assert told(found) == [("5.23.0", "5.22.0", BOS_GONE, None, None)]
    assert len(asked) == len(set(asked)) < 10
    assert set(found.tried) | set(found.untried) == set(RELEASES)


def test_bisecting_misses_what_changed_back_and_says_so():
    table = {release: record(bos=index not in (20, 21)) for index, release in enumerate(RELEASES)}
    ask, asked = releases(table)
    found = walk("lib", RELEASES, ask, every=10)
    assert asked == [RELEASES[0], RELEASES[-1]]
    assert found.steps == ()
    for form in ("text", "md"):
        said = render.walk(found, form)
        assert "What changed and changed back between two releases that are alike is not seen" in said
    ask, _ = releases(table)
    assert [step.first for step in walk("lib", RELEASES, ask, every=40).steps] == ["5.20.0", "5.22.0"]


def test_releases_that_cannot_be_had_are_named_and_gone_round():
    table: dict[str, object] = {release: record(bos=index < 23) for index, release in enumerate(RELEASES)}
    for index in (0, 19, 20, 21, 22, 39):
        table[RELEASES[index]] = f"no wheel of {RELEASES[index]}"
    ask, asked = releases(table)
    found = walk("lib", RELEASES, ask, every=10)
    assert told(found) == [("5.23.0", "5.18.0", BOS_GONE, None, None)]
    assert set(found.unavailable) <= set(asked)
    assert "5.22.0 cannot be had: no wheel of 5.22.0" in render.walk(found, "text")


@pytest.mark.parametrize("every", [2, 16])
def test_one_release_alone_cannot_be_compared(every):
    ask, _ = releases({"1": "no", "2": record(), "3": "no"})
    found = walk("lib", ["1", "2", "3"], ask, every=every)
    assert found.tried == ("2",)
    assert found.exit_code == 2
    assert "nothing could be compared" in render.walk(found, "text")
    ask, _ = releases({"1": "no", "2": "no", "3": "no"})
    found = walk("lib", ["1", "2", "3"], ask, every=every)
    assert (found.tried, found.exit_code) == ((), 2)
    assert "3 cannot be had: no" in render.walk(found, "md")


def test_nothing_changed():
    ask, _ = releases({"1": record(version="1"), "2": record(version="2")})
    found = walk("lib", ["1", "2"], ask)
    assert found.exit_code == 0
    assert "no behaviour changed" in render.walk(found, "text")


def test_a_subject_that_some_releases_cannot_load():
    def ask(release):
        return outcome(release, {"toy": "it does not load" if release == "2" else record()})

    found = walk("lib", ["1", "2", "3"], ask)
    assert told(found) == [
        ("2", "1", "it cannot be had any more: it does not load", None, "3"),
        ("3", "2", "it can be had again; before: it does not load", None, None),
    ]


def test_what_changed_while_it_could_not_be_had_is_told_when_it_can():
    said = {"1": record(), "2": "it does not load", "3": record(bos=False)}
    found = walk("lib", list(said), lambda release: outcome(release, {"toy": said[release]}))
    assert told(found) == [
        ("2", "1", "it cannot be had any more: it does not load", None, "3"),
        ("3", "2", "it can be had again; before: it does not load", None, None),
        ("3", "1", BOS_GONE, None, None),
    ]


def test_a_subject_that_the_first_release_cannot_load():
    said = {"1": "it does not load", "2": "it does not load", "3": record()}
    found = walk("lib", list(said), lambda release: outcome(release, {"toy": said[release]}))
    assert told(found) == [("3", "2", "it can be had; before: it does not load", None, None)]


def test_subjects_that_no_release_can_load_are_no_success():
    found = walk("lib", ["1", "2"], lambda release: outcome(release, {"toy": "no file"}))
    assert found.exit_code == 2
    assert found.absent == {"toy": "no file"}
    assert render.walk(found, "text").endswith("toy cannot be had in any of them: no file\nnothing could be compared\n")


def test_another_class_stands_with_the_first_change_alone():
    def ask(release):
        one = record(bos=release == "1", hello="10" if release == "1" else "11")
        one["made of"] |= {"class": f"Class{release}", "libraries": {"lib": release}}
        return outcome(release, {"toy": one})

    found = walk("lib", ["1", "2"], ask)
    assert [(step.headline, step.made_of) for step in found.steps] == [
        (BOS_GONE, ("class: Class2, was Class1",)),
        (SPLIT, ()),
    ]
    assert "    class: Class2, was Class1\n" in render.walk(found, "text")
    assert "(class: Class2, was Class1)" in render.walk(found, "md")


def test_checks_that_are_judged_no_more_are_told():
    said = {"1": "passes", "2": "not judged"}
    found = walk("lib", list(said), lambda r: outcome(r, {"toy": record()}, {"toy": verdicts(a__b=said[r])}))
    assert "  only checks say something else (1 is the last without) [toy]\n    checks no longer judged: a.b" in (
        render.walk(found, "text")
    )


def test_checks_alone_can_turn_and_turn_back():
    said = {"1": "passes", "2": "fails: x", "3": "passes"}

    def ask(release):
        return outcome(release, {"toy": record()}, {"toy": verdicts(a__b=said[release])})

    found = walk("lib", list(said), ask)
    assert told(found) == [
        ("2", "1", "only checks say something else", None, "3"),
        ("3", "2", "only checks say something else", "1", None),
    ]


def test_other_libraries_that_moved_with_a_release_are_named():
    """What changed may be theirs."""
    came = {"1": "0.22.2", "2": "0.23.1", "3": "0.23.1"}

    def ask(release):
        return outcome(
            release, {"toy": record(bos=release != "2")}, versions={"tokenizers": came[release], "rich": release}
        )

    found = walk("transformers", list(came), ask)
    assert found.came_with == {"2": ("tokenizers 0.23.1, was 0.22.2",), "3": ()}
    assert "transformers 2 (with tokenizers 0.23.1, was 0.22.2)\n" in render.walk(found, "text")
    assert "transformers 3\n" in render.walk(found, "text")
    assert "| 2<br>with tokenizers 0.23.1, was 0.22.2 | 1 |" in render.walk(found, "md")


def test_how_a_walk_is_told():
    table: dict[str, object] = {"1": record(), "2": record(bos=False), "3": record(), "4": "no wheel"}
    ask, _ = releases(table)
    found = walk("lib", list(table), ask)
    assert render.walk(found, "text") == (
        "lib: 3 releases recorded: 1, 2, 3\n"
        "4 cannot be had: no wheel\n\n"
        "lib 2\n"
        f"  {BOS_GONE} (1 is the last without; changed back in 3) [toy]\n"
        "    check bos.once fails (missing), before passes\n"
        "lib 3\n"
        f"  {BOS_BACK} (as in 1; 2 is the last without) [toy]\n"
        "    check bos.once passes, before fails (missing)\n"
    )
    rows = [line for line in render.walk(found, "md").splitlines() if line.startswith("|")]
    assert rows[2] == (
        "| 2 | 1 | the plain call puts nothing in front of a text, before &lt;s&gt; (1) | changed back in 3 "
        "| check bos.once fails (missing), before passes | toy |"
    )
    assert len(rows) == 4
    data = json.loads(render.walk(found, "json"))
    assert [(one["first with"], one["last without"], one["as in"]) for one in data["changes"]] == [
        ("2", "1", None),
        ("3", "2", "1"),
    ]
    assert data["unavailable"] == {"4": "no wheel"}


def listed(name):
    return ["4.57.6", "5.0.0", "5.1.0", "5.2.1", "5.10.0"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("lib==5.0.0..5.2.1", ["5.0.0", "5.1.0", "5.2.1"]),
        ("lib==4.57..5.0", ["4.57.6", "5.0.0"]),
        ("lib == 5.1.0 .. 6", ["5.1.0", "5.2.1", "5.10.0"]),
        ("lib==5.10.0, 5.2.1,5.2.1,4", ["4", "5.2.1", "5.10.0"]),
    ],
)
def test_the_releases_of_a_walk(text, found):
    assert wanted(text, listed) == ("lib", found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lib", "expected NAME==FIRST..LAST or NAME==A,B,C"),
        ("lib==", "expected NAME==FIRST..LAST"),
        ("lib==5.1.0..5.0.0", "5.1.0 is newer than 5.0.0"),
        ("lib==5.1.0", r"fewer than two releases \(5.1.0\)"),
        ("lib==5.3..5.4", r"fewer than two releases \(none\)"),
        ("lib==5.0..", "Invalid version"),
        ("lib==new..newer", "Invalid version"),
        ("a b==1..2", "is not a requirement"),
    ],
)
def test_what_is_no_walk(text, said):
    with pytest.raises(ConfigError, match=said):
        wanted(text, listed)
