import pytest
from pydantic import ValidationError

from image_spans.contract import Contract
from image_spans.slicing import Block, Layout
from support import contract

IMAGES = {"open": "<image>", "close": "</image>", "placeholder": "<pad>", "slots": 4}
ROWS = {"grammar": "rows", "close": "<end>", "row_break": "<break>", "placeholder": "<pad>", "slots": "pixtral"}
RUN = {"grammar": "run", "placeholder": "<pad>", "slots": 4}
OWN = {"grammar": "my:grammar", "placeholder": "<pad>", "slots": 4}
FLAT = {"open": "<slice>", "close": "</slice>", "rule": "minicpm"}
SAME_SPAN = {"grammar": "same_span", "rule": "llama4"}


def test_markers_by_role():
    assert contract(images={**IMAGES, "open": ["<a>", "<b>"], "number": {"open": "<n>", "close": "</n>"}}).markers == {
        "image_open": "<a>",
        "image_open_2": "<b>",
        "image_close": "</image>",
        "slice_open": "<slice>",
        "slice_close": "</slice>",
        "number_open": "<n>",
        "number_close": "</n>",
        "placeholder": "<pad>",
    }


def test_markers_of_rows():
    assert contract(images=ROWS, slices=None).markers == {
        "image_close": "<end>",
        "row_break": "<break>",
        "placeholder": "<pad>",
    }
    assert contract(images={**ROWS, "close": ["<end>", "<eos>"]}, slices=None).markers["image_close_2"] == "<eos>"


def test_markers_of_one_span():
    assert contract(slices=SAME_SPAN).markers == contract(slices=None).markers
    inside = {"tile_break": "<x>", "row_break": "<y>", "overview_open": "<whole>"}
    found = contract(slices={**SAME_SPAN, **inside}).markers
    assert found == {**contract(slices=None).markers, **inside}
    # Under flat and nested a row break is text.
    assert "row_break" not in contract(slices={**FLAT, "row_break": "<y>"}).markers


def test_markers_of_ones_own():
    own = {"tile_open": "<t>", "sign": "<pic>"}
    assert contract(images={**OWN, "markers": own}, slices=None).markers == {**own, "placeholder": "<pad>"}
    every = {**IMAGES, "number": {"open": "<n>", "close": "</n>"}, "row_break": "<break>", "markers": own}
    assert contract(images={**every, "grammar": "my:grammar"}, slices=None).markers == {
        "image_open": "<image>",
        "image_close": "</image>",
        **own,
        "row_break": "<break>",
        "number_open": "<n>",
        "number_close": "</n>",
        "placeholder": "<pad>",
    }


def test_the_text_between_rows():
    assert contract().slices.row_text == "\n"
    assert contract(slices={**FLAT, "row_break": ""}).slices.row_text == ""
    assert contract(slices={**FLAT, "row_break": ","}).slices.row_text == ","


def test_short_forms():
    short = contract(literals="reject", input={"images": "1..3"})
    assert short.literals.policy == "reject"
    assert (short.input.images.least, short.input.images.most) == (1, 3)
    assert contract(input={"images": 2}).input.images.most == 2
    per = contract(literals={"policy": "plain", "per": {"<image>": "reject"}}).literals
    assert (per.policy_for("<image>"), per.policy_for("<slice>")) == ("reject", "plain")


def test_layouts():
    assert contract().layout(449, 449, 1).grid == ((Block(1, 4),), (Block(1, 4),))
    assert contract(slices=None).layout(449, 449, 1) == Layout(Block(1, 4))
    by_rule = {"grammar": "run", "placeholder": "<pad>", "slots": "minicpm", "options": {"slots": 2}}
    assert contract(images=by_rule, slices=None).layout(449, 449, 1).slots == 6
    by_features = {"grammar": "run", "placeholder": "<pad>", "slots": "from_features"}
    with pytest.raises(ValueError, match="not known from the size"):
        contract(images=by_features, slices=None).layout(1, 1, 1)


def test_rule_of_the_user(tmp_path):
    (tmp_path / "own_rule.py").write_text(
        "from image_spans.slicing import Block, Layout\n"
        "def tall(width, height, number_of_images, *, most):\n"
        "    return Layout(Block(1, min(height, most)))\n"
    )
    own = {"grammar": "run", "placeholder": "<pad>", "slots": "own_rule:tall", "options": {"most": 9}}
    assert contract(images=own, slices=None).locate(tmp_path).layout(1, 500, 1).slots == 9


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"imags": 1}, "unknown key 'imags'; did you mean 'images'?"),
        ({"images": {**IMAGES, "grammar": "pared"}}, "unknown grammar 'pared'; did you mean 'paired'?"),
        ({"images": {**IMAGES, "order": "first"}}, "unknown order 'first'"),
        (
            {"images": {**IMAGES, "slots": "minicmp"}, "slices": None},
            "unknown slice rule 'minicmp'; did you mean 'minicpm'?",
        ),
        ({"images": {"placeholder": "<pad>", "slots": 4}}, "the grammar paired needs open and close"),
        ({"images": {**IMAGES, "grammar": "run"}}, "the grammar run has no open and close"),
        ({"images": {**IMAGES, "close": "<image>"}}, "'<image>' is both image_open and image_close"),
        ({"images": {"grammar": "run", "placeholder": "<pad>", "slots": 4}}, "slices need the grammar paired, not run"),
        ({"images": {**IMAGES, "slots": "minicpm"}}, "with slices, slots is a number"),
        ({"slices": {"open": "<s>", "close": "</s>", "rule": "x"}}, "unknown slice rule 'x'"),
        ({"input": {"images": "4..0"}}, "the range is empty"),
        ({"input": {"images": " 0 .. 0 ", "images_in": []}}, "images allows none, so nothing about images would be"),
        ({"input": {"images": "many"}}, "'many' is not a range such as 0..4"),
        ({"input": {"images_in": ["usr"]}}, "images_in names the role 'usr', which is not one of roles"),
        ({"input": {"images_in": []}}, "images_in is empty, but images allows some"),
        ({"input": {"images": "-1..4"}}, "'-1..4' is not a range such as 0..4"),
        ({"input": {"images": "0..65"}}, "less than or equal to 64"),
        ({"input": {"images": -1}}, "greater than or equal to 0"),
        ({"input": {"images": True}}, "input.images"),
        ({"input": {"images": {"least": 0, "msot": 1}}}, "unknown key 'msot'; did you mean 'most'?"),
        ({"input": {"roles": []}}, "input.roles"),
        ({"input": {"roles": "user"}}, "input.roles"),
        ({"input": {"rolls": []}}, "unknown key 'rolls'; did you mean 'roles'?"),
        ({"input": {"empty_text": "no"}}, "'allowed' or 'forbidden'"),
        ({"bos": "once"}, "'none', 'exactly_once' or 'after_images'"),
        ({"images": {**IMAGES, "placeholder": ""}}, "images.placeholder"),
        ({"images": {**IMAGES, "open": []}}, "the grammar paired needs open and close"),
        ({"images": {**IMAGES, "open": ["<a>", ""]}}, "images.open.1"),
        ({"images": {**IMAGES, "close": ()}}, "the grammar paired needs open and close"),
        ({"images": {**IMAGES, "slots": 0}}, "images.slots"),
        ({"images": {**IMAGES, "slots": True}}, "images.slots"),
        ({"images": {**IMAGES, "options": {"slots": 2}}}, "options belong to a rule named by slots, but slots is 4"),
        (
            {"images": {**IMAGES, "slots": "from_features", "options": {"a": 1}}, "slices": None},
            "options belong to a rule named by slots, but slots is from_features",
        ),
        ({"images": {**IMAGES, "order": "first_in_mesage"}}, "did you mean 'first_in_message'?"),
        ({"images": {**IMAGES, "order": "a:b:c"}}, "unknown order 'a:b:c'"),
        ({"images": {**IMAGES, "number": {"open": "<n>"}}}, "images.number.close"),
        ({"images": {**IMAGES, "number": {"open": "<n>", "close": "</n>", "form": 1}}}, "did you mean 'from'?"),
        ({"images": {**IMAGES, "number": {"open": "<n>", "close": "</n>", "when": "never"}}}, "'always' or 'sliced'"),
        (
            {"images": {**IMAGES, "number": {"open": "<n>", "close": "<pad>"}}},
            "'<pad>' is both number_close and placeholder",
        ),
        ({"images": {**IMAGES, "open": ["<a>", "<a>"]}}, "'<a>' is both image_open and image_open_2"),
        (
            {
                "images": {
                    **IMAGES,
                    "grammar": "run",
                    "open": (),
                    "close": (),
                    "number": {"open": "<n>", "close": "</n>"},
                }
            },
            "the grammar run has no number",
        ),
        (
            {"slices": {"open": "<image>", "close": "</s>", "rule": "minicpm"}},
            "'<image>' is both image_open and slice_open",
        ),
        ({"slices": {"open": [], "close": "</s>", "rule": "minicpm"}}, "slices under flat need open and close"),
        (
            {"slices": {"open": "<s>", "close": "</s>", "rule": "minicpm", "grammar": "round"}},
            "'flat', 'nested' or 'same_span'",
        ),
        ({"slices": {"open": "<s>", "close": "</s>"}}, "slices.rule"),
        (
            {"images": {**RUN, "grammar": "rows"}, "slices": None},
            "the grammar rows needs row_break and close",
        ),
        ({"images": {**ROWS, "close": ()}, "slices": None}, "the grammar rows needs row_break and close"),
        ({"images": {**ROWS, "row_break": None}, "slices": None}, "the grammar rows needs row_break and close"),
        ({"images": {**ROWS, "row_break": ""}, "slices": None}, "images.row_break"),
        ({"images": {**ROWS, "row_break": ["<a>", "<b>"]}, "slices": None}, "images.row_break"),
        ({"images": {**ROWS, "open": "<o>"}, "slices": None}, "the grammar rows has no open (paired has)"),
        (
            {"images": {**ROWS, "number": {"open": "<n>", "close": "</n>"}}, "slices": None},
            "the grammar rows has no number (paired has)",
        ),
        ({"images": ROWS}, "slices need the grammar paired, not rows"),
        ({"images": ROWS, "slices": SAME_SPAN}, "slices need the grammar paired, not rows"),
        ({"images": {**ROWS, "row_break": "<end>"}, "slices": None}, "'<end>' is both image_close and row_break"),
        ({"images": {**RUN, "close": "<end>"}, "slices": None}, "the grammar run has no close (paired and rows have)"),
        ({"images": {**RUN, "row_break": "<b>"}, "slices": None}, "the grammar run has no row_break (rows has)"),
        ({"images": {**IMAGES, "row_break": "<b>"}}, "the grammar paired has no row_break (rows has)"),
        (
            {"images": {**IMAGES, "row_break": "<b>", "markers": {"a": "<a>"}}},
            "the grammar paired has no row_break and markers (only module:function may have)",
        ),
        ({"slices": {**SAME_SPAN, "open": "<s>"}}, "slices under same_span have no open (flat and nested have)"),
        (
            {"slices": {**SAME_SPAN, "open": "<s>", "close": "</s>"}},
            "slices under same_span have no open and close (flat and nested have)",
        ),
        ({"slices": {**SAME_SPAN, "row_break": ""}}, "under same_span row_break is a token; leave it out for none"),
        ({"slices": {**SAME_SPAN, "tile_break": ""}}, "slices.tile_break"),
        ({"slices": {**SAME_SPAN, "overview_open": ""}}, "slices.overview_open"),
        ({"slices": {**SAME_SPAN, "overview": "middle"}}, "'first' or 'last'"),
        ({"slices": {**SAME_SPAN, "tile_break": "<pad>"}}, "'<pad>' is both tile_break and placeholder"),
        (
            {"slices": {**SAME_SPAN, "tile_break": "<x>", "row_break": "<x>"}},
            "'<x>' is both tile_break and row_break",
        ),
        ({"slices": {**FLAT, "tile_break": "<x>"}}, "slices under flat have no tile_break (same_span has)"),
        ({"slices": {**FLAT, "overview": "last"}}, "slices under flat have no overview: last (same_span has)"),
        (
            {"slices": {**FLAT, "grammar": "nested", "overview_open": "<o>", "overview": "last"}},
            "slices under nested have no overview_open and overview: last (same_span has)",
        ),
        ({"slices": {**FLAT, "tile_braek": "<x>"}}, "unknown key 'tile_braek'; did you mean 'tile_break'?"),
        ({"images": OWN}, "slices need the grammar paired, not my:grammar"),
        *[
            ({"images": {**OWN, "markers": {role: "<a>"}}, "slices": None}, f"{role} is a role of its own")
            for role in ("image_open", "slice_close", "number_open", "placeholder", "row_break", "tile_break")
        ],
        (
            {"images": {**OWN, "open": ["<a>", "<b>"], "markers": {"image_open_2": "<c>"}}, "slices": None},
            "image_open_2 is a role of its own; choose another name",
        ),
        *[
            (
                {"images": {**OWN, "markers": {role: "<a>"}}, "slices": None},
                f"{role!r} cannot name a role; expected a name such as tile_break",
            )
            for role in ("tile break", "<tile>", "", "2nd")
        ],
        ({"images": {**OWN, "markers": {"tile": ""}}, "slices": None}, "images.markers.tile"),
        ({"images": {**OWN, "markers": {"tile": ["<a>"]}}, "slices": None}, "images.markers.tile"),
        ({"images": {**OWN, "markers": {"a": "<pad>"}}, "slices": None}, "'<pad>' is both a and placeholder"),
        ({"images": {**OWN, "markers": {"a": "<a>", "b": "<a>"}}, "slices": None}, "'<a>' is both a and b"),
        ({"images": {**OWN, "open": "<a>", "markers": {"b": "<a>"}}, "slices": None}, "'<a>' is both image_open and b"),
        ({"images": {**OWN, "options": {"a": 1}}, "slices": None}, "options belong to a rule named by slots"),
        ({"images": {**OWN, "grammar": "my:"}, "slices": None}, "unknown grammar 'my:'"),
        ({"literals": "ignore"}, "'plain', 'reject' or 'interpret'"),
        ({"literals": {"per": {"<image>": "ignore"}}}, "'plain', 'reject' or 'interpret'"),
        ({"literals": {"policy": "plain", "tags": "x"}}, "unknown key 'tags'; did you mean 'tag'?"),
        ({"template": {"user": ["a"]}}, "template.user"),
        ({"template": {"user": "ab"}}, "template.user"),
    ],
)
def test_what_is_refused(changes, said):
    with pytest.raises(ValidationError) as error:
        contract(**changes)
    assert said in str(error.value)


def test_what_is_on_the_edge_is_accepted():
    assert contract(input={"images": "64..64"}).input.images.most == 64
    assert contract(input={"images": " 0 .. 1 "}).input.images.most == 1
    assert contract(input={"roles": ["user"]}).input.roles == ("user",)
    assert contract(images={**IMAGES, "slots": 1}).images.slots == 1
    assert contract(images={**IMAGES, "order": "my:order"}).images.order == "my:order"
    assert contract(images={**IMAGES, "slots": "my:rule", "options": {"a": 1}}, slices=None).images.options == {"a": 1}
    assert contract(slices={"open": "<s>", "close": "</s>", "rule": "my:rule"}).slices.rule == "my:rule"
    assert contract(literals={"policy": "reject", "tag": "<image>"}).literals.tag == "<image>"
    assert contract(images={**OWN, "open": "<a>"}, slices=None).images.close == ()
    assert contract(images={**OWN, "markers": {"image_opener": "<a>"}}, slices=None).images.open == ()
    assert contract(slices={**SAME_SPAN, "overview": "last"}).slices.overview == "last"
    assert contract(slices={**FLAT, "overview": "first"}).slices.overview == "first"


def test_defaults():
    plain = Contract(bos="none", images={"grammar": "run", "placeholder": "<pad>", "slots": 4})
    assert plain.input.roles == ("system", "user", "assistant")
    assert (plain.input.images_in, plain.input.empty_text) == (("user",), "allowed")
    assert (plain.input.images.least, plain.input.images.most) == (0, 4)
    assert (plain.images.order, plain.images.number, plain.slices, plain.template) == ("as_given", None, None, None)
    assert plain.literals.policy_for("<pad>") == "plain"
    assert plain.markers == {"placeholder": "<pad>"}
    assert plain.folder is None
    truncation = plain.truncation
    assert (truncation.policy, truncation.side, truncation.keep_bos) == ("unsupported", "right", True)
    assert (plain.pad, plain.batch_fill) == (None, {})


def test_truncation_and_padding():
    assert contract(truncation="reject").truncation.policy == "reject"
    assert contract(truncation={"policy": "never_split", "side": "left"}).truncation.side == "left"
    assert contract(batch_fill={"labels": -1}).batch_fill == {"labels": -1}
    for wrong in ({"truncation": "cut"}, {"truncation": {"keep_bos": 1}}, {"batch_fill": {"mask": 0}}):
        with pytest.raises(ValidationError):
            contract(**wrong)


def test_numbering_is_spelled_from():
    for spelled in ("from", "start"):
        numbering = {"open": "<n>", "close": "</n>", "when": "sliced", spelled: 3}
        assert contract(images={**IMAGES, "number": numbering}).images.number.start == 3


def test_options_of_slices_reach_the_rule():
    slices = {
        "open": "<s>",
        "close": "</s>",
        "rule": "minicpm",
        "options": {"max_slice_nums": 2, "scale_resolution": 10},
    }
    assert len(contract(slices=slices).layout(90, 90, 1).grid) == 2
    assert contract(slices=slices).layout(10, 10, 1).grid == ()
    assert contract(slices={**slices, "options": {"slots": 7}}).layout(1, 1, 1).slots == 7


def test_the_number_of_images_reaches_the_rule(tmp_path):
    (tmp_path / "rule_by_number.py").write_text(
        "from image_spans.slicing import Block, Layout\n"
        "def by_number(width, height, number_of_images, **options):\n"
        "    tiles = ((Block(1, options['slots']),),) if 'slots' in options else ()\n"
        "    return Layout(Block(1, number_of_images), tiles)\n"
    )
    own = {"grammar": "run", "placeholder": "<pad>", "slots": "rule_by_number:by_number"}
    assert contract(images=own, slices=None).locate(tmp_path).layout(1, 1, 3).slots == 3
    slices = {"open": "<s>", "close": "</s>", "rule": "rule_by_number:by_number"}
    assert contract(slices=slices).locate(tmp_path).layout(1, 1, 3) == Layout(Block(1, 3), ((Block(1, 4),),))
    assert contract(slices=slices).locate(tmp_path).folder == tmp_path


def test_frozen():
    with pytest.raises(ValidationError):
        contract().bos = "exactly_once"
    assert isinstance(contract(), Contract)
