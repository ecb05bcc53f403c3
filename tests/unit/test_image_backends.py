"""The two image backends: which class is of which, how one is chosen, and that a difference between them is found."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from image_spans import Conversation, Finding, Image, Message, Text, discovery, image_backends, load_subject, verify
from image_spans.config import load, read
from image_spans.errors import ConfigError, Unavailable
from image_spans.pipelines import _counts
from image_spans.processors import build

ASKED = Conversation([Message("user", [Image(30, 60), Text("c")])])
YAML = """\
version: 1
subjects:
  llava:
    tokenizer:
      factory: image_spans.processors:build
      options:
        processor: LlavaProcessor
        image_processor: LlavaImageProcessor
        sizes: {size: {shortest_edge: 28}, crop_size: {height: 28, width: 28}}
        tokens: {image_token: <image>}
        options: {patch_size: 14, vision_feature_select_strategy: full}
    pipeline: {encode: processor, paths: {backends: processor_backends}, options: {marker: <image>}}
    contract: {bos: none, images: {grammar: run, placeholder: <image>, slots: 4}}
"""
OWN = YAML.replace("tokens:", "image_backend: torchvision\n        tokens:")
KNOWN = """\
    known_failures:
      - check: spans.slots
        reason: see docs/findings
        example: "Conversation([Message('user', [Image(1, 1), Text('a')])])"
        fingerprint: spans.slots/unknown
"""


@pytest.fixture
def installed(monkeypatch):
    """Says that distributions are installed, or (None) that they are not."""

    def say(**versions: str | None):
        ask = discovery.installed
        monkeypatch.setattr(discovery, "installed", lambda name: versions[name] if name in versions else ask(name))

    return say


@pytest.fixture
def yaml(tmp_path):
    """Writes a YAML; returns its path."""

    def write(text: str = YAML):
        file = tmp_path / "subjects.yaml"
        file.write_text(text, encoding="utf-8")
        return file

    return write


# ---------------------------------------------------------------- which class


class BaseImageProcessorFast:
    """Named as the base class of earlier releases."""


class TorchvisionBackend:
    """Named as the base class of later releases."""


class OnPil:
    pass


class OnTorchvision(TorchvisionBackend):
    pass


class OnTorchvisionBefore(BaseImageProcessorFast):
    pass


class NotInstalled:
    """What stands for a class without torch."""

    _backends = ("torch", "torchvision")


EARLIER = SimpleNamespace(
    __version__="5.0.0",
    AImageProcessor=OnPil,
    AImageProcessorFast=OnTorchvisionBefore,
    BImageProcessorFast=OnTorchvisionBefore,
    CImageProcessor=OnPil,
)
LATER = SimpleNamespace(
    __version__="5.24.0",
    AImageProcessor=OnTorchvision,
    AImageProcessorPil=OnPil,
    BImageProcessor=OnTorchvision,
    CImageProcessor=OnPil,
    DImageProcessor=NotInstalled,
)


@pytest.mark.parametrize(
    ("library", "name", "backend", "cls"),
    [
        (EARLIER, "AImageProcessor", "pil", OnPil),
        (EARLIER, "AImageProcessor", "torchvision", OnTorchvisionBefore),
        (EARLIER, "AImageProcessorFast", "pil", OnPil),
        (EARLIER, "BImageProcessor", "torchvision", OnTorchvisionBefore),
        (EARLIER, "CImageProcessor", "pil", OnPil),
        (LATER, "AImageProcessor", "pil", OnPil),
        (LATER, "AImageProcessor", "torchvision", OnTorchvision),
        (LATER, "AImageProcessorPil", "torchvision", OnTorchvision),
        (LATER, "BImageProcessor", "torchvision", OnTorchvision),
        (LATER, "CImageProcessor", "pil", OnPil),
    ],
)
def test_the_class_of_a_backend_in_earlier_and_later_releases(installed, library, name, backend, cls):
    installed(torchvision="0.28.0")
    assert image_backends.image_class(library, name, backend) is cls


@pytest.mark.parametrize(
    ("name", "backend", "said"),
    [
        ("BImageProcessor", "pil", "BImageProcessor of transformers 5.24.0 is not made for the image backend pil"),
        ("CImageProcessor", "torchvision", "CImageProcessor of transformers 5.24.0 is not made for the image backend"),
        ("DImageProcessor", "pil", "DImageProcessor of transformers 5.24.0 is not made for the image backend pil"),
    ],
)
def test_a_class_of_one_backend_is_no_other(installed, name, backend, said):
    installed(torchvision="0.28.0")
    with pytest.raises(Unavailable) as caught:
        image_backends.image_class(LATER, name, backend)
    assert said in str(caught.value)


def test_an_unknown_class_and_an_unknown_backend_are_named():
    with pytest.raises(ConfigError, match="has no class 'AImageProzessor'; did you mean 'AImageProcessor'"):
        image_backends.image_class(LATER, "AImageProzessor", "pil")
    with pytest.raises(ConfigError, match="unknown image backend 'torchvison'; did you mean 'torchvision'"):
        image_backends.named("torchvison")


# ---------------------------------------------------------------- how one is chosen


@pytest.mark.parametrize("text", [YAML, OWN])
def test_without_torchvision_a_subject_cannot_be_had(installed, yaml, text):
    installed(torchvision=None)
    with pytest.raises(Unavailable) as caught:
        load_subject("llava", yaml(text), image_backend="torchvision")
    assert str(caught.value) == (
        "LlavaImageProcessor on the image backend torchvision: it requires torchvision, which is not installed"
    )


def test_a_run_knows_before_it_loads_anything(installed, yaml):
    installed(torchvision=None)
    (spec,) = read(yaml())
    assert (spec.image_backend, spec.missing()) == ("pil", None)
    moved = spec.on("torchvision")
    assert (moved.image_backend, moved.missing()) == (
        "torchvision",
        "it requires torchvision, which is not installed",
    )
    assert moved != spec
    assert spec.on("pil") == spec


def test_the_choice_of_the_yaml_stands(yaml):
    (spec,) = read(yaml(OWN))
    assert not spec.takes_image_backend
    assert (spec.on("pil").image_backend, spec.on("torchvision").image_backend) == ("torchvision", "torchvision")


def test_what_others_make_has_no_image_backend(yaml):
    (spec,) = read(yaml(YAML.replace("image_spans.processors:build", "own:load")))
    assert (spec.image_backend, spec.on("torchvision")) == (None, spec)


def test_a_wrong_name_is_one_line(yaml):
    with pytest.raises(ConfigError, match="did you mean 'torchvision'"):
        load_subject("llava", yaml(), image_backend="torchvison")
    with pytest.raises(
        ConfigError, match="unknown image backend 'PIL'; did you mean|unknown image backend 'PIL'; known"
    ):
        build(processor="LlavaProcessor", image_processor="LlavaImageProcessor", image_backend="PIL")


# ---------------------------------------------------------------- what is known of one of them


@pytest.mark.parametrize(
    ("condition", "counts", "why"),
    [
        ("image_backend: pil", True, None),
        ("image_backend: torchvision", False, "it is one of the image backend torchvision"),
        ("requires: [torchvision]", False, "it requires torchvision, which is not installed"),
        ("requires: [pydantic>=2]", True, None),
        ("requires: [pydantic<2]", False, "it requires pydantic<2; installed is "),
    ],
)
def test_a_known_failure_may_be_one_of_a_backend_or_release(installed, yaml, condition, counts, why):
    installed(torchvision=None)
    (spec,) = read(yaml(f"{YAML}{KNOWN}        {condition}\n"))
    (recorded,) = spec.recorded_failures
    assert spec.known_failures == ((recorded,) if counts else ())
    assert (spec.known("spans.slots/unknown") is recorded) == counts
    said = recorded.idle(spec.image_backend)
    assert said is None if why is None else said.startswith(why)


def test_a_known_failure_of_the_other_backend_counts_there(yaml):
    (spec,) = read(yaml(f"{YAML}{KNOWN}        image_backend: torchvision\n"))
    assert spec.on("torchvision").known_failures == spec.recorded_failures


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{YAML}{KNOWN}        image_backend: torch\n", "unknown image backend 'torch'"),
        (f"{YAML}{KNOWN}        requires: [torchvision=>1]\n", "'torchvision=>1' is not a requirement such as"),
        (
            f"{YAML}{KNOWN}        image_backend: pil\n".replace("image_spans.processors:build", "own:load"),
            "known_failures[0].image_backend: the subject is not built by image_spans.processors:build",
        ),
    ],
)
def test_a_wrong_condition_is_one_line(yaml, text, said):
    with pytest.raises(ConfigError) as caught:
        read(yaml(text))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- whether they agree


def test_without_torchvision_the_path_is_left_out_by_name(installed, yaml):
    installed(torchvision=None)
    (spec,) = read(yaml())
    assert spec.missing_paths() == {"backends": "it requires torchvision, which is not installed"}
    assert not load(spec).paths


@pytest.fixture
def twins(installed, monkeypatch, yaml):
    """Loads the subject with a stand-in for the other backend, of this size; counts how often it is made."""
    pytest.importorskip("transformers", minversion="5.0")
    installed(torchvision="0.28.0")
    made = []

    def load_with(side: int):
        def other(image_processor):
            made.append(side)
            changed = {"size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}}
            return type(image_processor).from_dict({**image_processor.to_dict(), **changed})

        monkeypatch.setattr(image_backends, "other", other)
        return load_subject("llava", yaml())

    return load_with, made


def test_backends_that_count_differently_are_found(twins):
    load_with, _ = twins
    with pytest.raises(Finding) as caught:
        verify(load_with(42), ASKED, "paths.agree")
    assert caught.value.fingerprint == "paths.agree/path-backends-differs"
    assert "the path backends gives " in caught.value.message


def test_backends_that_agree_are_not_and_the_other_is_made_once(twins):
    load_with, made = twins
    subject = load_with(28)
    made.clear()
    verify(subject, ASKED, "paths.agree")
    verify(subject, Conversation([Message("user", [Image(28, 28)])]), "paths.agree")
    assert made == [28]


@pytest.mark.parametrize("backend", image_backends.NAMES)
def test_the_real_backends_agree(yaml, backend):
    pytest.importorskip("torchvision")
    subject = load_subject("llava", yaml(), image_backend=backend)
    images = subject.tokenizer.native.image_processor
    assert image_backends.of_class(type(images)) == backend
    twin = image_backends.other(images)
    assert image_backends.of_class(type(twin)) != backend
    assert (twin.crop_size["height"], type(image_backends.other(twin))) == (28, type(images))
    assert set(subject.paths) == {"backends"}
    verify(subject, ASKED, "paths.agree", "spans")


def test_the_other_backend_of_ones_own_class_is_not_guessed(installed):
    installed(torchvision="0.28.0")
    pytest.importorskip("transformers")
    with pytest.raises(Unavailable, match="OnPil has no other image backend: transformers .* has no class 'OnPil'"):
        image_backends.other(OnPil())


# ---------------------------------------------------------------- what is counted on tensors


TOLD = {
    "image_grid_thw": [[1, 4, 6], [1, 2, 2]],
    "num_patches": [3, 1],
    "num_crops": [2, 0],
    "grids": [[2, 2], [1, 1]],
    "image_sizes": [[16, 24], [8, 8]],
    "target_sizes": [[4, 4], [8, 4], [8, 8]],
    "num_patches_per_image": [1, 2],
    "batch_num_images": [1, 1],
    "tokens": [[3], [5]],
    "rows": [[2, 0]],
    "cols": [[3, 0]],
}
ON_TENSORS = {
    "grid_thw": {},
    "grid_rows": {},
    "num_patches": {"per": 4},
    "num_crops": {"per": 4},
    "rows_cols": {"per": 4},
    "rows_cols_whole": {"per": 4},
    "grids": {"per": 4},
    "pixels": {"patch": 14},
    "pixel_rows": {"merge": 1},
    "pixel_tiles": {"per": 4},
    "image_sizes": {"patch": 8},
    "target_sizes": {"merge": 16},
    "anyres": {"side": 56, "patch": 14, "most": 9},
    "listed": {"key": "tokens"},
}


def test_every_rule_that_reads_the_output_is_tried_on_tensors():
    assert {*ON_TENSORS, "constant", "crops"} == {*_counts.RULES}  # these two look at nothing of it


@pytest.mark.parametrize("rule", ON_TENSORS)
def test_tensors_are_counted_as_arrays_are(rule):
    torch = pytest.importorskip("torch")
    numpy = pytest.importorskip("numpy")
    images = SimpleNamespace(merge_size=2, image_grid_pinpoints=[[56, 56], [56, 112]])
    mask = numpy.zeros((1, 3, 28, 28), dtype=int)
    mask[0, :2, :5] = 1
    arrays = {key: numpy.array(value) for key, value in TOLD.items()}
    arrays |= {"pixel_values": numpy.zeros((2, 3, 28, 42))}
    tensors = {key: torch.from_numpy(array) for key, array in arrays.items()}
    listed = {key: list(tensor) for key, tensor in tensors.items()}  # what is not of one size stays a list of tensors
    wanted = _counts.RULES[rule](arrays, images, [(30, 60)] * 2, **ON_TENSORS[rule])
    assert wanted
    for given in (tensors, listed):
        counted = _counts.RULES[rule](given, images, [(30, 60)] * 2, **ON_TENSORS[rule])
        assert counted == wanted
        assert {type(number) for number in counted} == {int}
    if rule == "pixel_tiles":
        masked = {"pixel_attention_mask": torch.from_numpy(mask)}
        assert _counts.RULES[rule](masked, images, [], per=4) == [8]
