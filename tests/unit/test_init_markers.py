"""Roles of tokens, from their names and from what files name."""

from __future__ import annotations

import pytest

from image_spans.init.entry import Todo
from image_spans.init.markers import find
from image_spans.init.names import looks_visual
from image_spans.init.places import Row


def found(*tokens, row=None, **named):
    return find(
        {token: n for n, token in enumerate(tokens)}, {role: (token, "a file") for role, token in named.items()}, row
    )


def test_of_two_families_the_one_that_was_added_last():
    marks = found("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<img>", "</img>", "<IMG_CONTEXT>")
    assert [marks.images[key] for key in ("open", "close", "placeholder")] == ["<img>", "</img>", "<IMG_CONTEXT>"]
    assert marks.notes["images", "open"] == "by their names; added behind <|vision_start|>"
    assert marks.unread == ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>"]


def test_what_a_file_names_goes_before_names():
    marks = found("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<image>", placeholder="<image>")
    assert marks.images == {"grammar": "run", "placeholder": "<image>"}
    assert marks.notes["images", "placeholder"] == "a file"


def test_case_and_bars_make_no_difference():
    marks = found("<|VISION_START|>", "<|VISION_END|>", "<|IMAGE_PAD|>")
    assert marks.images["placeholder"] == "<|IMAGE_PAD|>"
    assert found("<\uff5cimage\uff5c>").images["placeholder"] == "<\uff5cimage\uff5c>"


def test_a_rule_of_runs_has_nothing_round_images():
    row = Row("llava_next", (), "run")
    marks = found("<|vision_start|>", "<|vision_end|>", "<image>", row=row)
    assert marks.images == {"grammar": "run", "placeholder": "<image>"}


@pytest.mark.parametrize(
    ("tokens", "question"),
    [
        (["<image>", "</image>", "<unk>"], "between <image> and </image>; is it <unk>?"),
        (["<|vision_start|>", "<|vision_end|>", "<imgpad>"], "is it <imgpad>?"),
        (["<|vision_start|>", "<|vision_end|>"], "the token that stands for one feature of an image"),
    ],
)
def test_a_placeholder_that_is_not_known_is_asked_for(tokens, question):
    placeholder = found(*tokens).images["placeholder"]
    assert isinstance(placeholder, Todo)
    assert question in placeholder


def test_unk_between_the_tokens_of_minicpm():
    marks = found("<image>", "</image>", "<slice>", "</slice>", "<unk>")
    assert marks.images["placeholder"] == "<unk>"
    assert isinstance(marks.slices["grammar"], Todo)


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("<source_image>", True),
        ("<|vision_pad|>", True),
        ("<|video_pad|>", False),
        ("<|im_start|>", False),
        ("<im_start>", True),
        ("<|patch|>", True),
        ("<|dispatch|>", False),
        ("hello", False),
    ],
)
def test_names_that_speak_of_images(token, expected):
    assert looks_visual(token) is expected
