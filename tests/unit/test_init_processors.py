"""`init` on folders of saved processors: what is proposed is what tests/subjects/processors.yaml says by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from image_spans import Contract, Conversation, Image, Message, Text, config, slicing, verify
from image_spans.errors import ConfigError, Unavailable
from image_spans.init import make, names, render, settings, write
from image_spans.init.entry import Todo
from image_spans.init.places import value
from image_spans.init.rows import ROWS
from image_spans.init.rules import rule_of
from image_spans.init.settings import Settings
from image_spans.pipelines import _counts
from image_spans.processors import build, load
from image_spans.training import byte_bpe

pytest.importorskip("transformers", minversion="5.23")

SPECS = {spec.name: spec for spec in config.read(Path(__file__).parents[1] / "subjects" / "processors.yaml")}
SIZES = [(30, 40), (64, 64), (300, 90), (640, 480)]
FAMILIES = {
    # Subject to what stays open besides the template: a grammar of one's own, and what a file does not hold.
    "qwen2_vl": set(),
    "llava": set(),
    "llava_next": set(),
    "llava_onevision": set(),
    "idefics3_split": {"contract.images.grammar"},
    "smolvlm_split": {"contract.images.grammar"},
    "internvl": set(),
    "minicpmv4_6": set(),
    "minicpmv4_6_split": set(),
    "gemma3": set(),
    "gemma4": set(),
    "glm4v": set(),
    "paligemma": set(),
    "ovis2_split": {"contract.images.grammar"},
    "qianfan_ocr": set(),
    "aya_vision": {"contract.images.grammar", "contract.images.options.slots"},
    "lighton_ocr": set(),
    "ernie4_5_vl": set(),
    "aria_split": {"contract.images.slots"},
}


def saved(spec, folder):
    """A folder as a checkpoint has it, with the small vocabulary of the subject."""
    options = {key: value for key, value in spec.tokenizer.options.items() if key != "file"}
    made = build(**options)
    try:
        made.save_pretrained(folder)
    except AttributeError:  # one that also saves a font of its video processor, which is a stand-in here
        made.tokenizer.save_pretrained(folder)
        made.image_processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=FAMILIES)
def proposed(request, tmp_path_factory):
    spec = SPECS[request.param]
    reason = spec.missing()
    if reason is not None and "cache" not in reason:
        pytest.skip(reason)
    folder = saved(spec, tmp_path_factory.mktemp(request.param))
    processor = f"transformers:{spec.tokenizer.options['processor']}"
    return spec, folder, make.proposal(str(folder), folder, processor, request.param)


def test_what_is_stated_agrees(proposed):
    spec, _, proposal = proposed
    hand, entry = spec.contract.model_dump(by_alias=True), proposal.entry["contract"]
    assert {".".join(path) for path, _ in proposal.todos()} == {"contract.template"} | FAMILIES[spec.name]
    if spec.contract.template is None or "begin" not in spec.contract.template:
        assert entry["bos"] == hand["bos"]
    for key in ("grammar", "open", "close", "placeholder", "row_break", "number", "markers"):
        stated = entry["images"].get(key)
        if stated is not None and not isinstance(stated, Todo):
            wanted = hand["images"][key]
            short = isinstance(wanted, tuple) and len(wanted) == 1
            told = {**stated, "when": "always", "from": 0} if key == "number" else stated
            assert told == (wanted[0] if short else wanted), key
    for key in ("before", "after"):
        if "grammar" not in entry["images"]:
            assert entry["images"].get(key, "") == hand["images"][key]
    for key in ("grammar", "open", "close", "overview", "rule"):
        stated = entry.get("slices", {}).get(key)
        if stated is not None:
            wanted = hand["slices"][key]
            assert stated == (wanted[0] if isinstance(wanted, tuple) else wanted), key
    assert (entry.get("slices") is None) == (hand["slices"] is None)
    marker = proposal.entry["pipeline"]["options"]["marker"]
    assert marker == spec.pipeline.options["marker"]


def test_the_rule_gives_the_same_layouts(proposed):
    spec, _, proposal = proposed
    contract = proposal.entry["contract"]
    images = {key: contract["images"].get(key) for key in ("placeholder", "slots", "options")}
    if isinstance(images["slots"], Todo) or any(isinstance(one, Todo) for one in (images["options"] or {}).values()):
        return  # open, as FAMILIES says
    images |= {"open": "(", "close": ")"} if contract.get("slices") else {"grammar": "run"}
    given = {"bos": "none", "images": {key: one for key, one in images.items() if one is not None}}
    made = Contract.model_validate(given | ({"slices": contract["slices"]} if contract.get("slices") else {}))
    for width, height in SIZES:
        for number in (1, 2):
            assert made.layout(width, height, number) == spec.contract.layout(width, height, number)


def test_a_call_confirms_the_rule_and_the_yaml_is_valid(proposed):
    proposal = proposed[-1]
    write.check(render.document(proposal))
    if not any("slots" in ".".join(path) for path, _ in proposal.todos()):
        place = (
            ("contract", "slices", "rule")
            if "slices" in proposal.entry["contract"]
            else ("contract", "images", "slots")
        )
        assert "; seen: " in proposal.notes[place]


def test_answered_it_runs(tmp_path):
    folder = saved(SPECS["qwen2_vl"], tmp_path)
    proposal = make.proposal(str(folder), tmp_path, "transformers:Qwen2VLProcessor", "mine")
    (question,) = [f'"TODO: {text}"' for _, text in proposal.todos()]
    file = tmp_path / config.DEFAULT_FILE
    file.write_text(render.document(proposal).replace(question, "{}"))
    subject = config.load_subject("mine", file)
    asked = Conversation([Message("user", [Text("a"), Image(80, 300), Text("b")])])
    for check in ("spans.expected", "spans.slots", "geometry.agrees", "text.survives"):
        verify(subject, asked, check)


def test_a_run_may_choose_the_image_backend_of_a_saved_processor(tmp_path):
    folder = saved(SPECS["llava"], tmp_path)
    proposal = make.proposal(str(folder), tmp_path, "transformers:LlavaProcessor", "mine")
    (question,) = [f'"TODO: {text}"' for _, text in proposal.todos()]
    file = tmp_path / config.DEFAULT_FILE
    file.write_text(render.document(proposal).replace(question, "{}"))
    (spec,) = config.read(file)
    assert spec.image_backend == "pil"
    assert spec.on("torchvision").tokenizer.options["image_backend"] == "torchvision"


def test_a_rule_that_the_processor_does_not_follow_is_asked_about(tmp_path, monkeypatch):
    folder = saved(SPECS["qwen2_vl"], tmp_path)
    told = settings.read(folder)
    changed = Settings({**told.parts, "images": {**told.parts["images"], "max_pixels": 784}}, told.files)
    monkeypatch.setattr(make.files, "read", lambda *_: changed)
    images = make.proposal(str(folder), folder, "transformers:Qwen2VLProcessor").entry["contract"]["images"]
    assert images["slots"] == Todo("qwen2_vl by the files, which is 1 for 300x200; but 54 came")
    assert "options" not in images


def test_a_processor_that_takes_nothing_for_an_image_is_asked_about(tmp_path, monkeypatch):
    folder = saved(SPECS["qwen2_vl"], tmp_path)

    def broken(*_, **__):
        raise RuntimeError("no\nway")

    monkeypatch.setattr("image_spans.pipelines.processor.encode", broken)
    proposal = make.proposal(str(folder), folder, "transformers:Qwen2VLProcessor")
    marker = proposal.entry["pipeline"]["options"]["marker"]
    assert marker == Todo("what stands for an image in a prompt (the processor raised RuntimeError: no\nway)")
    write.check(render.document(proposal))


# ---------------------------------------------------------------- without a processor: the files alone


def checkpoint(folder, vocabulary_of, **files):
    saved(SPECS[vocabulary_of], folder)
    for name in ("processor_config.json", "preprocessor_config.json"):
        (folder / name).unlink(missing_ok=True)
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def contract_of(folder):
    return make.proposal(str(folder), folder).entry["contract"]


def test_pixtral_has_rows(tmp_path):
    made = build(
        processor="LlavaProcessor",
        image_processor="LlavaImageProcessor",
        tokens={"image_token": "[IMG]"},
        extra=["[IMG_BREAK]", "[IMG_END]"],
        bos="<s>",
    )
    made.tokenizer.save_pretrained(tmp_path)
    images = {"image_processor_type": "PixtralImageProcessorFast", "size": {"longest_edge": 224}}
    images |= {"patch_size": {"height": 14, "width": 14}}
    own = {"processor_class": "PixtralProcessor", "patch_size": 14, "spatial_merge_size": 2}
    own |= {"image_token": "[IMG]", "image_break_token": "[IMG_BREAK]", "image_end_token": "[IMG_END]"}
    for name, content in (("preprocessor_config", images), ("processor_config", own)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    proposal = make.proposal(str(tmp_path), tmp_path)
    assert proposal.entry["pipeline"]["encode"] == "rows"
    images = proposal.entry["contract"]["images"]
    tokens = [images[key] for key in ("grammar", "placeholder", "row_break", "close", "slots")]
    assert tokens == ["rows", "[IMG]", "[IMG_BREAK]", "[IMG_END]", "pixtral"]
    assert images["options"] == {"size": 224, "patch": 14, "merge": 2, "rounding": "down"}


def test_minicpm_as_its_repositories_have_it(tmp_path):
    images = {"image_processor_type": "MiniCPMVImageProcessor", "max_slice_nums": 9, "scale_resolution": 448}
    images |= {"image_feature_size": 64, "slice_mode": True, "im_start": "<image>", "im_end": "</image>"}
    images |= {"slice_start": "<slice>", "slice_end": "</slice>", "unk": "<unk>"}
    tokens = ["<image>", "</image>", "<slice>", "</slice>", "<unk>", "<|image_pad|>"]
    byte_bpe.train(special_tokens=tokens).save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(images))
    contract = contract_of(tmp_path)
    assert contract["images"]["placeholder"] == "<unk>"
    assert contract["images"]["slots"] == 64
    slices = contract["slices"]
    assert [slices[key] for key in ("grammar", "open", "close", "rule")] == ["flat", "<slice>", "</slice>", "minicpm"]
    assert slices["options"] == {"scale_resolution": 448, "max_slice_nums": 9, "never_split": False}


def test_internvl_as_its_repositories_have_it(tmp_path):
    model = {"model_type": "internvl_chat", "force_image_size": 448, "downsample_ratio": 0.5}
    model |= {"min_dynamic_patch": 1, "max_dynamic_patch": 6, "vision_config": {"patch_size": 14}}
    folder = checkpoint(tmp_path, "internvl", config=model)
    proposal = make.proposal(str(folder), folder)
    contract = proposal.entry["contract"]
    assert contract["images"]["slots"] == 256
    assert contract["slices"]["options"] == {"tile": 448, "min_patches": 1, "max_patches": 6}
    assert "model_type internvl_chat in config.json" in proposal.notes["contract", "slices", "rule"]


def test_a_switched_off_minicpm_has_no_slices(tmp_path):
    contract = contract_of(saved(SPECS["minicpmv4_6"], tmp_path))
    assert "slices" not in contract
    assert contract["images"]["slots"] == "minicpm4_6"


def test_an_image_processor_that_no_rule_knows_is_named(tmp_path):
    contract = contract_of(
        checkpoint(tmp_path, "llava", preprocessor_config={"image_processor_type": "OddImageProcessor"})
    )
    assert contract["images"]["slots"] == "a number, or a slice rule: none is known here for OddImageProcessor"


def test_llama_4_by_its_processors_numbers():
    images = {
        "image_processor_type": "Llama4ImageProcessorFast",
        "size": {"height": 336, "width": 336},
        "max_patches": 16,
    }
    own = {"processor_class": "Llama4Processor", "patch_size": 14, "pixel_shuffle_ratio": 0.5}
    rule = rule_of(Settings({"images": images, "processor": own}))
    assert (rule.row.rule, rule.slots, rule.options) == ("llama4", 144, {"tile": 336, "max_patches": 16})
    assert rule_of(Settings({"images": images})).slots is None


def test_numbers_that_are_none_are_not_known():
    told = {"image_processor_type": "LlavaImageProcessor", "crop_size": {"height": "336", "width": "336"}}
    assert rule_of(Settings({"images": told}, processor_class="LlavaProcessor")).slots is None
    chat = {"model_type": "internvl_chat", "force_image_size": None}
    assert rule_of(Settings({"model": chat})).slots is None
    odd = {"image_processor_type": "LlavaOnevisionImageProcessor", "size": {"height": 384, "width": 384}}
    found = rule_of(Settings({"images": odd, "processor": {"num_image_tokens": 730}}))
    assert {"patch", "max_patches"} <= set(found.missing)


def test_what_a_file_does_not_state_is_told(tmp_path):
    images = {"image_processor_type": "Qwen2VLImageProcessor", "patch_size": 14}
    folder = checkpoint(tmp_path, "qwen2_vl", preprocessor_config=images)
    note = make.proposal(str(folder), folder).notes["contract", "images", "slots"]
    assert note.endswith("not stated there, so the rule's own: merge, min_pixels, max_pixels")


@pytest.mark.parametrize("text", ["{", "[]", "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), "[" * 10**5])
def test_a_broken_configuration_is_one_error(tmp_path, text):
    folder = checkpoint(tmp_path, "llava")
    (folder / "preprocessor_config.json").write_text(text)
    with pytest.raises(ConfigError, match=r"preprocessor_config\.json"):
        make.proposal(str(folder), folder)


def test_ids_name_tokens_too():
    found = settings.named(
        Settings(
            {"model": {"image_token_index": 7, "boi_token_index": 8, "eoi_token_index": 99}}, {"model": "config.json"}
        ),
        {7: "<pic>", 8: "<begin>"},
    )
    assert found == {
        "placeholder": ("<pic>", "image_token in config.json"),
        "open": ("<begin>", "boi_token in config.json"),
    }


# ---------------------------------------------------------------- the tables


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.rule}-{'-'.join(row.image_processors or row.model_types)}")
def test_rows_name_what_there_is(row):
    layout = slicing.rule(row.rule)
    known = layout.__code__.co_varnames[3 : layout.__code__.co_argcount + layout.__code__.co_kwonlyargcount]
    assert set(row.options) <= set(known)
    assert row.slots is None or "slots" in known
    if row.counts is not None:
        name = value(Settings(), row.counts["rule"])
        needed, taken = _counts.options(_counts.RULES[name])
        assert set(needed) <= set(row.counts) - {"rule"} <= set(taken or row.counts)


def test_classes_are_those_of_transformers():
    import transformers

    elsewhere = {"MiniCPMVImageProcessor"}  # in the model's own repository
    known = set(dir(transformers))
    named = {name for row in ROWS for name in (*row.image_processors, *row.processors)}
    assert {name for name in named if name not in known and f"{name}Fast" not in known} == elsewhere


def test_nothing_is_no_rule():
    assert rule_of(Settings()) is None
    assert value(Settings({"images": {"size": {"height": 5, "width": 5}}}), "images.size") == 5


def test_names_are_folded_as_tokens_are():
    listed = [one for pair in names.PAIRS for one in (pair.open, pair.close, *pair.placeholders)]
    listed += [*names.ROWS, *names.PLACEHOLDERS, *names.SLICES, *names.NUMBER, *names.TILE_BREAKS.values(), *names.OWN]
    assert [one for one in listed if names.fold(one) != one] == []


# ---------------------------------------------------------------- the factory


def test_a_processor_is_loaded_from_its_folder(tmp_path):
    saved(SPECS["gemma3"], tmp_path)
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")
    made = load(processor="transformers:Gemma3Processor", file=str(tmp_path))
    assert made.image_seq_length == 4
    assert made.tokenizer.image_token == "<image_soft_token>"
    assert made.chat_template == "{{ messages }}"


WRONG = {
    "no folder": (lambda folder: {"file": str(folder / "none")}, "is no folder; expected one with"),
    "no such class": (lambda folder: {"processor": "transformers:Gema3Processor"}, "did you mean 'Gemma3Processor'?"),
    "no image processor": (
        lambda folder: (folder / "processor_config.json").write_text("{}") and {},
        "no image_processor_type",
    ),
    "no mapping": (lambda folder: (folder / "processor_config.json").write_text("[]") and {}, "holds no mapping"),
    "no JSON": (
        lambda folder: (folder / "processor_config.json").write_text("{") and {},
        "is not JSON that can be read",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_folder_that_does_not_fit_is_one_error(tmp_path, case):
    saved(SPECS["gemma3"], tmp_path)
    change, expected = WRONG[case]
    given = {"processor": "transformers:Gemma3Processor", "file": str(tmp_path), **change(tmp_path)}
    with pytest.raises((ConfigError, Unavailable), match=expected.replace("?", r"\?")):
        load(**given)
