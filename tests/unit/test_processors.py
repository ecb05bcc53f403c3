"""Real processors: how they are built, called, and what is read from their image processors."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given as hypothesis_given
from hypothesis import settings

from image_spans import Contract, Conversation, Image, Message, Text, load_subjects, strategies
from image_spans.config import read
from image_spans.errors import ConfigError
from image_spans.pipelines import _counts, processor
from image_spans.processors import build
from image_spans.tokenizers import adapt

pytest.importorskip("transformers", minversion="5.23")

LLAVA = {
    "processor": "LlavaProcessor",
    "image_processor": "LlavaImageProcessor",
    "sizes": {"size": {"shortest_edge": 28}, "crop_size": {"height": 28, "width": 28}},
    "tokens": {"image_token": "<image>"},
    "bos": "<s>",
    "options": {"patch_size": 14, "vision_feature_select_strategy": "full"},
}
QWEN = {
    "processor": "Qwen2VLProcessor",
    "image_processor": "Qwen2VLImageProcessor",
    "sizes": {"size": {"shortest_edge": 3136, "longest_edge": 50176}},
    "tokens": {"image_token": "<|image_pad|>", "video_token": "<|video_pad|>"},
}
IMAGE = Image(30, 60)
ASKED = Conversation([Message("user", [Text("ab"), IMAGE, Text("c")])])
RUN = Contract.model_validate(
    {
        "bos": "exactly_once",
        "images": {"grammar": "run", "placeholder": "<image>", "slots": "from_features"},
        "template": {"user": ["q:", "\n"], "end": ["!", "written by the processor"]},
    }
)
OPTIONS = {"contract": RUN, "marker": "<image>", "counts": {"rule": "pixels", "patch": 14}}


def adapted(made):
    tokenizer = adapt(made.tokenizer)
    tokenizer.native = made
    return tokenizer


@pytest.fixture(scope="module")
def llava():
    return adapted(build(**LLAVA))


def test_a_call_gives_ids_and_what_the_image_processor_delivered(llava):
    one = processor.encode(llava, ASKED, **OPTIONS)
    ids = [int(token_id) for token_id in one["input_ids"]]
    assert llava.decode(ids) == "<s>q:ab<image><image><image><image>c\n!"
    assert one["features"] == [(0, 4)]
    assert [int(bit) for bit in one["attention_mask"]] == [1] * len(ids)


def test_without_images_there_are_no_features(llava):
    text = Conversation([Message("user", [Text("ab")])])
    assert processor.encode(llava, text, **OPTIONS)["features"] == []


def test_what_was_delivered_before_is_forgotten(llava):
    processor.encode(llava, ASKED, **OPTIONS)
    assert processor.encode(llava, ASKED, **OPTIONS)["features"] == [(0, 4)]


@pytest.mark.parametrize("images", ["nested", "flat"])
def test_a_batch_has_the_features_of_each_sample(llava, images):
    text = Conversation([Message("user", [Text("ab")])])
    two = Conversation([Message("user", [IMAGE, Text("c"), IMAGE])])
    rows = processor.batch(llava, [text, ASKED, two], padding_side="left", images=images, **OPTIONS)
    assert rows["features"] == [[], [(0, 4)], [(0, 4), (1, 4)]]
    assert [int(bits[0]) for bits in rows["attention_mask"]] == [0, 0, 1]


def test_a_wrong_number_of_images_is_the_processors_to_refuse(llava):
    with pytest.raises(ValueError, match="<image>"):
        processor.encode(llava, Conversation(ASKED.messages, [IMAGE, IMAGE]), **OPTIONS)


def test_a_limit_is_given_to_the_call(llava):
    text = Conversation([Message("user", [Text("ab" * 20)])])
    assert len(processor.encode(llava, text, max_length=5, **OPTIONS)["input_ids"]) == 5


def test_the_processors_own_template_may_write_the_prompt():
    made = build(**LLAVA)
    made.chat_template = (
        "{% for m in messages %}{% for p in m.content %}{{ p.text or '<image>' }};{% endfor %}{% endfor %}"
    )
    one = processor.encode(adapted(made), ASKED, chat_template=True, **OPTIONS)
    assert made.tokenizer.decode(one["input_ids"]) == "<s>ab;<image><image><image><image>;c;"


def test_token_types_come_from_the_key_that_is_named():
    made = adapted(build(**QWEN))
    options = {"contract": RUN, "marker": "<|image_pad|>", "counts": "grid_thw", "types": "mm_token_type_ids"}
    one = processor.encode(made, ASKED, **options)
    pad = made.token_to_id("<|image_pad|>")
    assert [int(kind) for kind in one["token_type_ids"]] == [int(token_id == pad) for token_id in one["input_ids"]]
    assert one["features"] == [(0, sum(int(kind) for kind in one["token_type_ids"]))]


def test_recording_leaves_the_image_processor_as_it_is(llava):
    processor.encode(llava, ASKED, **OPTIONS)
    images = llava.native.image_processor
    assert type(images).__name__ in ("LlavaImageProcessorPil", "LlavaImageProcessor")  # earlier releases have no ending
    assert not [key for key in images.to_dict() if "image_spans" in key]


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ("pixel", "unknown rule 'pixel'; did you mean 'pixels'?"),
        ("pixels", "counts: pixels takes patch, plus; given: none"),
        ({"rule": "pixels", "patch": 14, "side": 2}, "given: patch, side"),
    ],
)
def test_a_wrong_rule_is_named(llava, counts, said):
    with pytest.raises(ValueError) as caught:
        processor.encode(llava, ASKED, contract=RUN, marker="<image>", counts=counts)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"processor": "LlavaProzessor"}, "has no class 'LlavaProzessor'; did you mean 'LlavaProcessor'?"),
        (
            {"processor": "Idefics3Processor", "image_processor": "Idefics3ImageProcessor", "sizes": {}},
            "Idefics3Processor(image_processor, tokenizer, patch_size, vision_feature_select_strategy) raised",
        ),
        ({"file": "no/tokenizer.json"}, "there is no file no/tokenizer.json"),
    ],
)
def test_what_cannot_be_built_is_one_line(changes, said):
    with pytest.raises(ConfigError) as caught:
        build(**{**LLAVA, **changes})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_check_of_video_processors_is_left_as_it_was():
    from transformers import processing_utils

    before = hasattr(processing_utils.transformers_module, "VideoProcessorMixin")
    assert build(**QWEN).video_processor.merge_size == 2
    assert hasattr(processing_utils.transformers_module, "VideoProcessorMixin") == before


GRIDS = {"image_grid_thw": [[1, 4, 6]]}


@pytest.mark.parametrize(
    ("rule", "output", "options", "counts"),
    [
        ("constant", {}, {"per": 7}, [7]),
        ("grid_thw", GRIDS, {}, [6]),
        ("grid_rows", GRIDS, {"plus": 2}, [2 * (3 + 1) + 2]),
        ("num_patches", {"num_patches": [3, 1]}, {"per": 4}, [12, 4]),
        ("num_crops", {"num_crops": [2, 0]}, {"per": 4}, [12, 4]),
        ("rows_cols", {"rows": [[2, 0], []], "cols": [[3, 0], []]}, {"per": 4}, [28, 4]),
        ("grids", {"grids": [(2, 2), (1, 1)]}, {"per": 4}, [20, 4]),
        ("pixels", {"pixel_values": [SimpleNamespace(shape=(3, 28, 42))]}, {"patch": 14, "plus": 1}, [7]),
        ("image_sizes", {"image_sizes": [(16, 24)]}, {"patch": 8, "row_end": 1}, [8]),
        (
            "target_sizes",
            {"target_sizes": [(4, 4), (8, 4), (8, 8)], "num_patches_per_image": [1, 2]},
            {"merge": 16},
            [1, 6],
        ),
        ("listed", {"tokens": [[3], [5]]}, {"key": "tokens", "plus": 1}, [4, 6]),
        ("crops", {}, {"per": 8, "split": True}, [16]),
        # 4 x 4 patches of the whole, and two tiles side by side: 4 x 8, of which the image's form leaves all or half.
        ("anyres", {"image_sizes": [(56, 112)]}, {"side": 56, "patch": 14}, [16 + 4 * (8 + 1)]),
        ("anyres", {"image_sizes": [(28, 112)]}, {"side": 56, "patch": 14, "plus": 1}, [17 + 2 * (8 + 1)]),
        (
            "anyres",
            {"image_sizes": [(56, 112)] * 2, "batch_num_images": [2]},
            {"side": 56, "patch": 14, "most": 9},
            [17, 17],
        ),
        (
            "anyres",
            {"image_sizes": [(56, 112)], "batch_num_images": [1]},
            {"side": 56, "patch": 14, "most": 1},
            [16 + 2 * 6],
        ),
    ],
)
def test_counts(rule, output, options, counts):
    images = SimpleNamespace(
        merge_size=2,
        image_grid_pinpoints=[[56, 56], [56, 112]],
        get_number_of_image_patches=lambda height, width, given: 2 if given == {"split": True} else 1,
    )
    assert _counts.RULES[rule](output, images, [(30, 60)], **options) == counts


def test_features_that_are_over_show():
    assert processor._by_sample([4, 5, 6], [1, 1]) == [[(0, 4)], [(0, 5), (1, 6)]]


def test_only_a_processor_is_called(llava):
    with pytest.raises(TypeError, match="the factory returned a [A-Za-z]+, not a processor"):
        processor.encode(adapt(llava.native.tokenizer), ASKED, **OPTIONS)


def test_an_own_rule_is_found_in_the_folder(llava, tmp_path):
    (tmp_path / "own_counts.py").write_text(
        "def five(output, processor, sizes, *, plus):\n    return [5 + plus] * len(sizes)\n"
    )
    own = Contract.model_validate(RUN.model_dump(exclude_unset=True)).locate(tmp_path)
    counts = {"rule": "own_counts:five", "plus": 1}
    assert processor.encode(llava, ASKED, contract=own, marker="<image>", counts=counts)["features"] == [(0, 6)]


@pytest.mark.parametrize(
    ("pipeline", "said"),
    [
        ("{encode: processor}", "the processor pipeline needs the option marker: what stands"),
        ("{encode: processor, options: {marker: <image>, counts: pixel}}", "did you mean 'pixels'?"),
        ("{encode: processor, options: {marker: <image>, images: deep}}", "images is 'deep'; expected nested or flat"),
        ("{encode: processor, options: {marker: 1}}", "marker is 1; expected text"),
        ("{encode: processor, options: {marker: <image>}, continue: processor}", "processor has no continue entry"),
    ],
)
def test_a_wrong_yaml_is_one_line(tmp_path, pipeline, said):
    file = tmp_path / "subjects.yaml"
    file.write_text(
        f"version: 1\nsubjects:\n  one:\n    tokenizer: {{factory: a:b}}\n    pipeline: {pipeline}\n"
        "    contract: {bos: none, images: {grammar: run, placeholder: <image>, slots: 1}}\n"
    )
    with pytest.raises(ConfigError) as caught:
        read(file)
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"{file}:5: subjects.one.pipeline")


def test_a_factory_gets_its_options(tmp_path):
    file = tmp_path / "subjects.yaml"
    file.write_text(
        "version: 1\nsubjects:\n  one:\n    tokenizer:\n      factory: image_spans.processors:build\n"
        "      options: {processor: LlavaProcessor, image_processor: LlavaImageProcessor,\n"
        "                tokens: {image_token: <image>},\n"
        "                options: {patch_size: 14, vision_feature_select_strategy: full},\n"
        "                sizes: {size: {shortest_edge: 28}, crop_size: {height: 28, width: 28}}}\n"
        "    pipeline: {encode: processor, batch: processor, options: {marker: <image>}}\n"
        "    contract: {bos: none, images: {grammar: run, placeholder: <image>, slots: 4}}\n"
    )
    (subject,) = load_subjects(file)
    assert subject.encode(ASKED).ids.count(subject.marker_ids["placeholder"]) == 4


@pytest.mark.parametrize(
    ("width", "height", "inside"), [(4, 4, True), (3, 4, False), (41, 4, False), (40, 4, True), (101, 90, False)]
)
def test_sizes_stay_inside_the_contract(width, height, inside):
    given = Contract.model_validate({**RUN.model_dump(exclude_unset=True), "input": {"sides": "4..100", "aspect": 10}})
    assert given.input.takes(width, height) == inside
    asked = Conversation([Message("user", [Image(width, height)])])
    assert strategies.Profile.of(given).holds(asked) == inside


@pytest.mark.parametrize("slots", ["from_features", "minicpm"])
def test_draws_stay_inside_the_contract(slots):
    contract = {**RUN.model_dump(exclude_unset=True), "input": {"sides": "4..700", "aspect": 10}}
    contract["images"] = {**contract["images"], "slots": slots}
    given = Contract.model_validate(contract)

    @settings(max_examples=200, database=None, derandomize=True)
    @given_conversations(given)
    def drawn(asked):
        sizes.extend((image.width, image.height) for image in asked.images)

    sizes = []
    drawn()
    assert all(given.input.takes(*size) for size in sizes)
    assert {min(size) for size in sizes} >= {4}
    assert max(max(size) for size in sizes) > 500


def given_conversations(contract):
    return hypothesis_given(strategies.conversations(position="start", profile=strategies.Profile.of(contract)))


def test_the_page_shows_one_that_loads(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "processors.md").read_text(encoding="utf-8")
    file = tmp_path / "subjects.yaml"
    file.write_text(page.split("<!-- processor -->\n```yaml\n")[1].split("```")[0])
    (subject,) = load_subjects(file)
    encoding = subject.encode(ASKED)
    assert encoding.features == [(0, encoding.ids.count(subject.marker_ids["placeholder"]))]
