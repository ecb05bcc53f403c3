"""--spans-image-backend in runs of pytest: chosen, refused, skipped with its reason, kept in what repeats a failure.

A stand-in takes the place of torchvision, or of its absence: the same runs with any set of packages. It counts
otherwise than PIL does, as a backend might.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys

import pytest
from consumer_repository import FILE, SMALL_PROFILE, YAML

pytest.importorskip("transformers", minversion="5.0")

SUBJECT = """\
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
    contract:
      input: {images: 0..1, sides: 1..64, aspect: 10}
      bos: none
      images: {grammar: run, placeholder: <image>, slots: 4}
      literals: {policy: interpret, per: {<image>: reject}}
      template: {}
"""
PROCESSORS = f"version: 1\nsubjects:\n{SUBJECT}"
ABSENT = """
from image_spans import discovery

ask = discovery.installed
discovery.installed = lambda name: None if name == "torchvision" else ask(name)
"""
STAND_IN = """
from image_spans import discovery, image_backends

ask, real = discovery.installed, image_backends.image_class
discovery.installed = lambda name: "0.28.0" if name == "torchvision" else ask(name)


def image_class(transformers, name, backend):
    cls = real(transformers, name.removesuffix("Larger"), "pil")
    if backend == "pil":
        return cls

    def larger(self, **keywords):
        side = {"height": 42, "width": 42}
        cls.__init__(self, **{**keywords, "size": {"shortest_edge": 42}, "crop_size": side})

    return type(cls.__name__ + "Larger", (cls,), {"__init__": larger, "__module__": cls.__module__})


image_backends.image_class = image_class
image_backends.of_class = lambda cls: "torchvision" if cls.__name__.endswith("Larger") else "pil"
"""
CHOSEN = "--spans-image-backend=torchvision"
FEW = ("-k", "start and (slots or encodes or agree) or contract or unavailable")


@pytest.fixture
def processors(consumer):
    """Makes a repository with a processor under test; returns the pytester."""

    def make(more: str, yaml: str = PROCESSORS):
        repository = consumer(yaml=yaml)
        (repository.path / "stand_in.py").write_text(more, encoding="utf-8")
        (repository.path / "conftest.py").write_text(f"import stand_in\n{SMALL_PROFILE}", encoding="utf-8")
        return repository

    return make


def found(repository) -> dict[str, dict]:
    lines = (repository.path / "f").read_text(encoding="utf-8").splitlines()
    return {one["fingerprint"]: one for one in map(json.loads, lines)}


def test_a_wrong_name_is_one_line(consumer, refused):
    consumer()
    said = refused("--spans-image-backend=torchvison")
    assert said == "ERROR: --spans-image-backend: unknown image backend 'torchvison'; did you mean 'torchvision'?"


def test_a_backend_that_nothing_is_built_on_is_refused(consumer, refused):
    consumer()
    assert "--spans-image-backend: nothing would be tested on torchvision: no subject is built by" in refused(CHOSEN)


def test_an_option_without_a_yaml_is_refused(repository, refused):
    assert "--spans-image-backend: there is no tokenizers_under_test.yaml here" in refused(CHOSEN)


def test_without_torchvision_nothing_is_green(processors, refused):
    processors(ABSENT)
    reason = "llava: it requires torchvision, which is not installed"
    assert refused(CHOSEN).endswith(f"none of its subjects can be had, so nothing would be tested: {reason}")


def test_without_torchvision_a_subject_is_skipped_with_the_reason(processors, run):
    processors(ABSENT, YAML.replace("PIPELINE", "right") + SUBJECT)
    result = run(CHOSEN, "-rs", *FEW)
    assert result.ret == 0
    reason = "it requires torchvision, which is not installed"
    result.stdout.fnmatch_lines(
        [
            "image-spans: image backend torchvision, where a subject leaves the choice",
            f"image-spans: {FILE}: 2 subjects, 1 skipped",
            f"  skipped llava: {reason}",
            f"image-spans: NOT TESTED: llava: {reason}",
        ]
    )


def test_without_torchvision_the_path_did_not_apply(processors, run, refused):
    known = (
        "    known_failures:\n      - check: paths.agree\n        reason: r\n        requires: [torchvision]\n"
        "        example: \"Conversation([Message('user', [Image(1, 1), Text('a')])])\"\n"
        "        fingerprint: paths.agree/path-backends-differs\n"
    )
    processors(ABSENT, PROCESSORS + known)
    result = run()
    assert result.ret == 0
    reason = "it requires torchvision, which is not installed"
    result.stdout.fnmatch_lines([f"paths.agree *llava *the path backends: {reason}"])
    result.stdout.fnmatch_lines(
        [f"image-spans: known failure paths.agree/path-backends-differs of llava does not count: {reason}"]
    )
    strict = refused("--spans-require-all")
    assert strict == f"ERROR: {FILE}: --spans-require-all, but 1 cannot be had: llava (the path backends): {reason}"


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_the_backend_under_test_is_the_chosen_one(processors, run, workers):
    if workers:
        pytest.importorskip("xdist")
    repository = processors(STAND_IN)
    assert run("--spans-findings=f", *workers, *FEW).ret == 1
    assert set(found(repository)) == {"paths.agree/path-backends-differs"}
    told = found(repository)["paths.agree/path-backends-differs"]
    assert "backend=" not in told["reproduce"]["pytest"] + told["reproduce"]["python"]
    assert run("--spans-findings=f", CHOSEN, *workers, *FEW).ret == 1
    assert {one["check"] for one in found(repository).values()} == {"spans.slots"}


def test_what_repeats_a_failure_keeps_the_backend(processors, run):
    repository = processors(STAND_IN)
    run("--spans-findings=f", CHOSEN, *FEW)
    (one,) = (one for one in found(repository).values() if one["check"] == "spans.slots")
    told = one["reproduce"]
    assert told["pytest"].endswith(f" {CHOSEN}")
    assert "load_subject('llava', image_backend='torchvision')" in told["python"]
    again = run("--spans-findings=f", *shlex.split(told["pytest"])[1:])
    assert again.ret == 1
    assert set(found(repository)) == {one["fingerprint"]}
    pasted = f"import stand_in\nfrom image_spans import Finding\ntry:\n    exec({told['python']!r})\n"
    pasted += "except Finding as finding:\n    print(finding.fingerprint)\n"
    done = subprocess.run(
        [sys.executable, "-c", pasted], cwd=repository.path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [one["fingerprint"]]
    elsewhere = pasted.replace(", image_backend='torchvision'", "").replace(", image_backend=\\'torchvision\\'", "")
    done = subprocess.run(
        [sys.executable, "-c", elsewhere], cwd=repository.path, capture_output=True, text=True, check=True
    )
    assert not done.stdout
