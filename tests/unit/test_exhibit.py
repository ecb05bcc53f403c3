"""What is drawn of a conversation: the token strip with its kinds, spans and fault, and images with their tiles."""

from __future__ import annotations

import json

import pytest

from image_spans.case import Bench, Case
from image_spans.conversation import Conversation, Image, Message, Text
from image_spans.exhibit import BLOCK, Exhibit, Picture, Turn, exhibit
from image_spans.exhibit.strip import strip
from image_spans.subject import Encoding
from support import ROWS, ToyTokenizer, subject

O, C, SO, SC, N, NC, P = range(1, 8)
A, B = 1000 + ord("a"), 1000 + ord("b")


def user(*parts) -> Conversation:
    return Conversation([Message("user", [Text(p) if isinstance(p, str) else Image(*p) for p in parts])])


ONE = user((1, 1), "ab")


def read(ids, conversation=ONE, *, at=None, most=400, of=None):
    case = Case(Bench(of or subject()), conversation, None if ids is None else Encoding(ids))
    return strip(case, at, "something", most)


def told(read) -> list[tuple]:
    return [(s.name if s.id is not None else None, s.count, s.kind, s.depth) for s in read.segments]


def spans(read) -> list[tuple]:
    return [(s.kind, s.start, s.end, s.depth, s.image, s.closed) for s in read.spans]


def test_an_image_and_text():
    found = read([0, O, P, P, P, P, C, A, B, 900])
    assert told(found) == [
        ("<s>", 1, "bos", 0),
        ("<image>", 1, "image", 1),
        ("<pad>", 4, "placeholder", 1),
        ("</image>", 1, "image", 1),
        ("a", 1, "text", 0),
        ("b", 1, "text", 0),
        ("</s>", 1, "eos", 0),
    ]
    assert [segment.at for segment in found.segments] == [0, 1, 2, 6, 7, 8, 9]
    assert spans(found) == [("image", 1, 7, 0, 0, True)]
    assert (found.length, found.at, found.expected) == (10, None, "something")
    assert not any(segment.fault for segment in found.segments)


def test_slices_lie_in_the_block_of_their_image():
    conversation = user((449, 449), "a", (1, 1))
    case = Case(Bench(subject()), conversation)
    found = strip(case)
    assert found is not None
    block, image, *slices, second = spans(found)
    assert block[0::3] == (BLOCK, 0)
    assert block[1:3] == (0, image[2] - image[1] + sum(s[2] - s[1] for s in slices) + 1)  # a newline between the rows
    assert image == ("image", 0, 6, 1, 0, True)
    assert {(s[0], s[3], s[4], s[5]) for s in slices} == {("slice", 1, 0, True)}
    assert second[0] == "image"
    assert second[3:] == (0, 1, True)
    assert found.segments[0].depth == 2


def test_nested_slices():
    nested = {"grammar": "nested", "open": "<slice>", "close": "</slice>", "rule": "minicpm"}
    case = Case(Bench(subject("nested_slices", slices=nested)), user((449, 449), "a"))
    found = strip(case)
    assert found is not None
    assert [s.kind for s in found.spans if s.depth == 0] == [BLOCK]
    assert {s.kind for s in found.spans if s.depth == 1} == {"image", "slice"}
    inner = [s for s in found.spans if s.depth == 2]
    assert inner
    assert {(s.kind, s.image) for s in inner} == {("image", 0)}


def test_a_grammar_without_pairs_has_blocks_where_the_structure_holds():
    of = subject("rows", images=ROWS, slices=None)
    case = Case(Bench(of), user((128, 128), "a"))
    found = strip(case)
    assert found is not None
    assert [s[0] for s in spans(found)] == [BLOCK]
    assert strip(Case(Bench(of), user((128, 128), "a"), Encoding([P, P, C]))).spans == ()


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([P, C, A], []),  # a close without an open
        ([O, P, P, A], [("image", 0, 3, 0, None, False)]),  # an open without a close reaches over its placeholders
        ([O, A, P], [("image", 0, 1, 0, None, False)]),
        ([O, SO, P, C], [("image", 0, 4, 0, None, True), ("slice", 1, 3, 1, None, False)]),
        ([O, O, C], [("image", 0, 1, 0, None, False), ("image", 1, 3, 0, None, True)]),
        ([SO, O, SC, C], [("slice", 0, 3, 0, None, True), ("image", 1, 2, 1, None, False)]),
    ],
)
def test_what_does_not_pair_is_shown_as_it_is(ids, expected):
    assert spans(read(ids)) == expected


def test_the_fault_begins_a_segment():
    found = read([O, P, P, P, P, P, C, A], at=5)
    assert told(found)[1:3] == [("<pad>", 4, "placeholder", 1), ("<pad>", 1, "placeholder", 1)]
    assert [segment.fault for segment in found.segments] == [False, False, True, False, False]


@pytest.mark.parametrize(("at", "told_at"), [(8, 8), (99, 8), (-1, 0)])
def test_a_fault_behind_the_end_is_no_segment(at, told_at):
    found = read([O, P, P, P, P, C, A, B], at=at)
    assert found.at == told_at
    assert sum(segment.fault for segment in found.segments) == (told_at < 8)


def test_equal_text_is_one_segment_from_four_on():
    assert [s.count for s in read([A, A, A, B, B, B, B]).segments] == [1, 1, 1, 4]


@pytest.mark.parametrize(
    ("at", "shown"),
    [
        (None, [0, 1, (2, 96), 98, 99]),
        (0, [0, 1, 2, 3, (4, 96)]),
        (50, [(0, 48), 48, 49, 50, 51, (52, 48)]),
        (99, [(0, 96), 96, 97, 98, 99]),
        (100, [(0, 96), 96, 97, 98, 99]),
    ],
)
def test_of_a_long_strip_what_is_far_from_the_fault_is_left_out(at, shown):
    ids = [A, B] * 50
    found = read(ids, at=at, most=4)
    assert [s.at if s.id is not None else (s.at, s.count) for s in found.segments] == shown
    assert found.length == 100
    assert sum(s.count for s in found.segments) == 100


def test_spans_of_which_nothing_is_shown_are_left_out():
    found = read([O, P, C] * 40, at=60, most=6)
    assert spans(found) == [("image", 57, 60, 0, None, True), ("image", 60, 63, 0, None, True)]


def test_an_id_that_no_token_has_and_half_a_character():
    class Broken(ToyTokenizer):
        def decode(self, ids):
            return "\ud800" * 100

    found = read([A, 950], of=subject(tokenizer=Broken()))
    assert [s.name for s in found.segments] == ["a", "<id 950>"]
    assert len(found.segments[0].text) < 100
    json.dumps(found.segments[0].text).encode()
    assert found.segments[0].text.startswith("\\ud800")


def test_no_ids_no_strip():
    def refuses(tokenizer, conversation):
        raise ValueError("no")

    assert exhibit(Case(Bench(subject(refuses)), ONE)).strip is None


# ---------------------------------------------------------------- turns and pictures


def test_turns_number_their_images():
    conversation = Conversation([Message("user", [Image(1, 1), Text("a")]), Message("assistant", [Image(2, 3)])])
    shown = exhibit(Case(Bench(subject()), conversation))
    assert shown.turns == (Turn("user", (0, "a")), Turn("assistant", (1,)))
    assert [(p.width, p.height, p.slots, p.overview, p.tiles) for p in shown.pictures] == [
        (1, 1, 4, (1, 4), ()),
        (2, 3, 4, (1, 4), ()),
    ]
    assert shown.given == 2


def test_tiles_of_a_sliced_image():
    (picture,) = exhibit(Case(Bench(subject()), user((1000, 800)))).pictures
    assert picture == Picture(1000, 800, 20, (1, 4), (2, 2), (1, 4))


def test_a_rule_that_fails_on_a_size(monkeypatch):
    of = subject()
    case = Case(Bench(of), user((5, 6)), Encoding([O]))
    assert case.expected.tokens  # asked for before the rule fails
    monkeypatch.setattr(type(of.contract), "layout", lambda *_: 1 / 0)
    assert exhibit(case).pictures == (Picture(5, 6),)


@pytest.mark.parametrize(("features", "slots"), [(None, (None, None)), ([(0, 3), (1, 1), (0, 2)], (5, 1))])
def test_slots_from_features(features, slots):
    images = {"open": "<image>", "close": "</image>", "placeholder": "<pad>", "slots": "from_features"}
    of = subject(images=images, slices=None)
    case = Case(Bench(of), user((1, 1), (2, 2)), Encoding([O], features=features))
    assert tuple(picture.slots for picture in exhibit(case).pictures) == slots


def test_it_comes_back_from_plain_data():
    shown = exhibit(Case(Bench(subject()), user((449, 449), "a \u202e")), 3, "x")
    plain = json.loads(json.dumps(shown.plain()))
    assert Exhibit.of(plain).turns == shown.turns
    assert Exhibit.of(plain).strip == shown.strip
    assert json.loads(json.dumps(Exhibit.of(plain).plain())) == plain
    none = Exhibit((), (), 0, None)
    assert Exhibit.of(none.plain()) == none
