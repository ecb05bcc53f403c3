"""From rows to conversations: formats, and which picture a tag stands for."""

from __future__ import annotations

import pytest

from image_spans.conversation import Conversation, Image, Message, Text
from image_spans.errors import ConfigError
from image_spans.scan import formats
from image_spans.scan.causes import Fault
from image_spans.scan.convert import convert
from support import contract

SIZES = {"a": Image(1, 1), "b": Image(2, 2), "c": Image(3, 3)}
A, B, C = SIZES.values()


def look(source):
    source = source["path"] if isinstance(source, dict) else source
    return SIZES.get(source) or Fault("image-missing", f"there is no file {source}")


def made(row, tag="<image>", name=None, **limits):
    """Format, conversation, causes with turns."""
    form, sample = formats.read(row, tag, name)
    conversation, faults = convert(sample, contract(**({"input": limits} if limits else {})), tag, look)
    return form, conversation, [(fault.cause, fault.turn) for fault in faults]


def talk(*parts, role="user", then="c"):
    return Conversation([Message(role, parts), Message("assistant", [Text(then)])])


def own(text, image=None, **more):
    turns = [{"role": "user", "content": text}, {"role": "assistant", "content": "c"}]
    return {"conversations": turns, **({} if image is None else {"image": image}), **more}


def llava(text, image=None, **more):
    turns = [{"from": "human", "value": text}, {"from": "gpt", "value": "c"}]
    return {"conversations": turns, **({} if image is None else {"image": image}), **more}


def messages(content, images=None, **more):
    turns = [{"role": "user", "content": content}, {"role": "assistant", "content": "c"}]
    return {"messages": turns, **({} if images is None else {"images": images}), **more}


URL = {"type": "image_url", "image_url": {"url": "a"}}


@pytest.mark.parametrize(
    ("row", "form", "wanted"),
    [
        (own("x"), "minicpm", talk(Text("x"))),
        (own("<image>\nx", "a"), "minicpm", talk(A, Text("\nx"))),
        (own("x", "a"), "minicpm", talk(A, Text("\nx"))),
        (own("x<image>", {"<image>": "a"}), "minicpm", talk(Text("x"), A)),
        (own("x<image>", {"bytes": None, "path": "a"}), "minicpm", talk(Text("x"), A)),
        (own("<image_00>x<image_01>", {"<image_00>": "a", "<image_01>": "b"}), "minicpm", talk(A, Text("x"), B)),
        (own("<one>x", {"<one>": "a", "<image_01>": None}), "minicpm", talk(A, Text("x"))),
        (llava("x"), "llava", talk(Text("x"))),
        (llava("<image>x<image>", ["a", "b"]), "llava", talk(A, Text("x"), B)),
        (llava("x<image>", "a"), "llava", talk(Text("x"), A)),
        (llava("<image>x", images=["a"]), "sharegpt", talk(A, Text("x"))),
        (messages("<image>x", ["a"]), "sharegpt", talk(A, Text("x"))),
        (messages("<image>x", "a"), "sharegpt", talk(A, Text("x"))),
        (messages("x", []), "sharegpt", talk(Text("x"))),
        (messages("x"), "sharegpt", talk(Text("x"))),
        (own("<image>x", images=["b"]), "sharegpt", talk(B, Text("x"))),
        (messages([URL, {"type": "text", "text": "x"}]), "parts", talk(A, Text("x"))),
        (messages(["x", {"type": "image", "image": "b"}]), "parts", talk(Text("x"), B)),
        (messages([{"type": "image", "image": None, "text": None, "path": "b"}]), "parts", talk(B)),
        (messages([{"type": "input_image", "image_url": "c"}]), "parts", talk(C)),
        (messages([{"type": "image"}, {"type": "text", "text": "x"}, {"type": "image"}], ["a", "b"]), "parts",
         talk(A, Text("x"), B)),
        (messages([URL, {"type": "text", "text": "x<image>"}], ["a"]), "parts", talk(A, Text("x<image>"))),
        (own([URL]), "parts", talk(A)),
        ({**messages("x", []), "system": "s"}, "sharegpt",
         Conversation([Message("system", [Text("s")]), *talk(Text("x")).messages])),
        (messages(""), "sharegpt", talk(Text(""))),
    ],
)  # fmt: skip
def test_rows_that_are_right(row, form, wanted):
    found, conversation, faults = made(row)
    assert found == form
    assert (conversation, faults) == (wanted, [])


@pytest.mark.parametrize(
    ("row", "causes"),
    [
        (llava("x", "a"), [("image-count", None)]),
        (llava("<image>x"), [("image-count", None)]),
        (messages("<image>", ["a", "b"]), [("image-count", None)]),
        (messages([URL], ["a", "b"]), [("image-count", None)]),
        (messages([URL, {"type": "image"}], ["a", "b"]), [("image-count", None)]),
        (messages([{"type": "image"}]), [("image-count", None)]),
        (messages("<image>", ["none", "gone"]), [("image-count", None)] + [("image-missing", None)] * 2),
        (messages([URL, {"type": "image", "path": "none"}], ["none"]),
         [("image-count", None), ("image-missing", None), ("image-missing", None)]),
        (own("<image_00> <image_00>", {"<image_00>": "a"}), [("image-count", None)]),
        (own("<image_00> <image_07>", {"<image_00>": "a"}), [("image-count", 0)]),
        (own("x", {"<image_00>": "a"}), [("image-count", None)]),
        (own("x", {}), []),
        (own("<image_01>", {}), [("image-count", 0)]),
        (own("<image>", ["a"]), [("image-no-source", None)]),
        ({"conversations": [{"from": "human"}]}, [("turn-not-text", 0)]),
        ({"conversations": [{"from": None, "value": "x"}]}, [("turn-no-role", 0)]),
        ({"conversations": [{"value": "x"}]}, [("turn-no-role", 0)]),
        ({"conversations": ["x"]}, [("turn-not-object", 0)]),
        ({"conversations": "x"}, [("row-no-turns", None)]),
        ({"messages": []}, [("row-no-turns", None)]),
        ({"messages": [{"role": "user"}], "system": "s"}, [("turn-not-text", 1)]),
        ({"messages": None}, [("row-unknown-format", None)]),
        ({}, [("row-unknown-format", None)]),
        (messages([{"type": "text"}]), [("turn-not-text", 0)]),
        (messages([{"type": "audio"}]), [("turn-unknown-part", 0)]),
        (messages([{"text": "x"}]), [("turn-unknown-part", 0)]),
        (messages([3]), [("turn-unknown-part", 0)]),
        (messages("<image>", ["none"]), [("image-missing", 0)]),
        (messages("a\udc80"), [("turn-lone-surrogate", 0)]),
    ],
)  # fmt: skip
def test_rows_that_are_no_conversation_say_why(row, causes):
    _, conversation, faults = made(row)
    assert faults == causes
    assert (conversation is None) == bool(causes)


def test_a_tag_where_no_image_may_stand_is_text_if_the_others_suffice():
    row = messages("<image>x", ["a"])
    row["messages"][1]["content"] = "see <image>"
    _, conversation, faults = made(row)
    assert conversation == talk(A, Text("x"), then="see <image>")
    assert faults == [("literal-tag", 1)]


def test_tags_that_stand_in_another_order_than_listed_keep_the_picture_of_their_name():
    _, conversation, faults = made(own("<image_01>x<image_00>", {"<image_00>": "a", "<image_01>": "b"}))
    assert conversation == talk(B, Text("x"), A)
    assert faults == [("image-order", None)]


def test_another_tag():
    _, conversation, faults = made(messages("[IMG]x<image>", ["a"]), tag="[IMG]")
    assert (conversation, faults) == (talk(A, Text("x<image>")), [])


def test_a_format_may_be_named():
    assert made(messages("<image>x", ["a"]), name="parts")[2] == [("image-count", None)]
    assert made(own("x"), name="sharegpt")[1] == talk(Text("x"))
    assert formats.names() == ["llava", "minicpm", "parts", "sharegpt"]
    with pytest.raises(ConfigError, match="unknown data format 'lava'; did you mean 'llava'"):
        formats.module("lava")


def test_no_row_has_two_formats():
    rows = [
        own("x"),
        llava("x"),
        messages("x"),
        messages([URL]),
        own([URL]),
        own("x", images=["a"]),
        llava("x", images=[]),
    ]
    for row in rows:
        assert sum(formats.module(name).fits(row) for name in formats.names()) == 1, row


@pytest.mark.parametrize(
    ("limits", "row", "causes"),
    [
        ({"images": "0..1"}, messages("<image><image>x", ["a", "b"]), [("outside-images", None)]),
        ({"images": "1..2"}, messages("x"), [("outside-images", None)]),
        ({}, messages("<image>" * 30 + "x", ["a"] * 30), []),
        ({"sides": "2..4"}, messages("<image>x<image>", ["a", "b"]), [("outside-size", 0)]),
        ({"empty_text": "forbidden"}, messages(""), [("outside-empty-text", 0)]),
        ({"empty_text": "forbidden"}, messages("<image>", ["a"]), []),
        ({"roles": ["user"], "images_in": ["user"]}, messages("x"), [("outside-role", 1)]),
        ({"images_in": ["assistant"]}, messages("<image>", ["a"]), [("outside-image-role", 0)]),
    ],
)
def test_what_is_outside_of_the_contract(limits, row, causes):
    _, conversation, faults = made(row, **limits)
    assert faults == causes
    assert (conversation is None) == bool(causes)


def test_limits_that_the_contract_does_not_state_do_not_count(monkeypatch):
    monkeypatch.setitem(SIZES, "a", Image(9000, 10))
    _, conversation, faults = made(messages("<image>x", ["a"]))
    assert (conversation, faults) == (talk(Image(9000, 10), Text("x")), [])


def test_a_picture_that_pillow_refuses_is_told_and_judged(monkeypatch):
    monkeypatch.setitem(SIZES, "a", Image(20_000, 20_000))
    _, conversation, faults = made(messages("<image>x", ["a"]))
    assert conversation is not None
    assert faults == [("image-too-large", 0)]
