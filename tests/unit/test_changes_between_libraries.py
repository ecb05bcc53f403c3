"""What a change is called where the library has another version."""

from __future__ import annotations

from compared_records import record
from image_spans.lock.changes import at, diff


def loaded_as(name, version, **more):
    one = record(version=version, **more)
    one["made of"]["class"] = name
    return one


def test_a_class_with_another_name_hides_nothing_of_another_version():
    found = diff(loaded_as("Old", "1"), loaded_as("New", "2", bos=False, hello="10 11"))
    assert [change.headline for change in found.changes] == [
        "the plain call puts nothing in front of a text, before <s> (1)",
        "1 of 1 texts are split differently",
    ]
    assert "class: New, was Old" in found.made_of


def test_another_class_of_the_same_version_is_the_cause_of_all():
    [change] = diff(loaded_as("Old", "1"), loaded_as("New", "1", bos=False, hello="10 11")).changes
    assert change.headline == "it is loaded as New, before as Old"
    assert {path[0] for path in change.paths} == {"plain call", "texts", "conversations"}


def spelled(**roles):
    return {
        role: {"token": f"<{role}>", "id": 5 + number, "kind": "special token", "spelled in markup": how}
        for number, (role, how) in enumerate(roles.items())
    }


def test_markers_to_which_the_same_happened_are_told_together():
    old = record(markers=spelled(open="its id", close="its id", slot="its id", row="its id", end="its id"))
    glued = {"alone": "its id", "glued": "text"}
    new = record(markers=spelled(open="text", close="text", slot="text", row="text", end="its id"))
    [change] = diff(old, new).changes
    assert change.headline == "<open>, <close>, <slot> and 1 more, spelled in markup, are read differently"
    assert len(change.details) == 4
    apart = record(markers=spelled(open=glued, close="its id", slot="its id", row="its id", end="its id"))
    [change] = diff(old, apart).changes
    assert change.headline == "<open>, spelled in markup, is read differently"


def test_a_change_says_where_in_the_record_it_shows():
    old, new = record(), record(hello="10 11")
    [change] = diff(old, new).changes
    assert change.paths == (("texts", "hello"),)
    assert at(old, change.paths[0])["ids"] == "10"
    assert at(new, ("texts", "hello", "ids", "deeper")) is None
    assert at(new, ("nowhere", "at all")) is None


def test_no_ids_at_all_are_called_nothing():
    old, new = {"ids": "", "tokens": ""}, {"ids": "1", "tokens": "<s>"}
    for before, after, said in ((old, new, "[<s> (1)], was [nothing]"), (new, old, "[nothing], was [<s> (1)]")):
        [change] = diff(record(texts={"": before}), record(texts={"": after})).changes
        assert said in change.details[0]


def test_a_blank_behind_markers_that_is_gone_is_called_that():
    """transformers 5 puts a blank in front of the first piece alone, 4.57 also behind every special token."""

    def behind(token):
        line = {"ids": "5 20", "tokens": f"{token} ab"}
        return {"alone": "its id", "at the start": line, "glued": {"ids": "1", "tokens": "x"}}

    plain = {"adds in front": [], "adds behind": [], "blank in front of text": True}
    parted = {"plain call": plain, "markers": spelled(open="its id", slot="its id", end="its id")}
    joined = {"plain call": plain, "markers": spelled(open=behind("<open>"), slot=behind("<slot>"), end="its id")}
    old, new = record(**parted), record(**joined)
    [change] = diff(old, new).changes
    assert change.headline == "text right behind <open>, <slot>, spelled in markup, no longer gets a blank in front"
    [change] = diff(new, old).changes
    assert change.headline == "text right behind <open>, <slot>, spelled in markup, now gets a blank in front"
