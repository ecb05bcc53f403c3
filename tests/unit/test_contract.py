import pytest
from pydantic import ValidationError

from image_spans.contract import Contract
from image_spans.slicing import Block, Layout
from support import contract

IMAGES = {"open": "<image>", "close": "</image>", "placeholder": "<pad>", "slots": 4}


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
        ({"images": {**IMAGES, "grammar": "run"}}, "the grammar run has no open, close or number"),
        ({"images": {**IMAGES, "close": "<image>"}}, "'<image>' is both image_open and image_close"),
        ({"images": {"grammar": "run", "placeholder": "<pad>", "slots": 4}}, "slices need the grammar paired, not run"),
        ({"images": {**IMAGES, "slots": "minicpm"}}, "with slices, slots is a number"),
        ({"slices": {"open": "<s>", "close": "</s>", "rule": "x"}}, "unknown slice rule 'x'"),
        ({"input": {"images": "4..0"}}, "the range is empty"),
        ({"input": {"images": "many"}}, "'many' is not a range such as 0..4"),
        ({"input": {"images_in": ["usr"]}}, "images_in names the role 'usr', which is not one of roles"),
        ({"input": {"images_in": []}}, "images_in is empty, but images allows some"),
    ],
)
def test_what_is_refused(changes, said):
    with pytest.raises(ValidationError) as error:
        contract(**changes)
    assert said in str(error.value)


def test_frozen():
    with pytest.raises(ValidationError):
        contract().bos = "exactly_once"
    assert isinstance(contract(), Contract)
