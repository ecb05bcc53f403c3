"""The guard is silent on what the default subjects make, and speaks where one marker of it is gone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from image_spans import Finding, config, strategies
from image_spans.errors import Unavailable
from image_spans.guard import load_guard
from image_spans.guard.given import sample_of

YAML = Path(__file__).parents[2] / "tokenizers_under_test.yaml"
SPECS = {spec.name: spec for spec in config.read(YAML)}
POSITIONS = ["start", "middle", "end", "adjacent", "every_message", "none"]


@pytest.fixture(scope="module", params=SPECS)
def guard(request):
    """One at a time: vocabularies are large."""
    try:
        return load_guard(request.param, YAML)
    except Unavailable as error:
        pytest.skip(str(error))


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_every_default_subject(guard, data):
    subject = guard.subject
    profile = strategies.Profile.of(subject.contract)
    position = data.draw(st.sampled_from(POSITIONS))
    conversation = data.draw(strategies.conversations(position=position, profile=profile))
    encoding = subject.encode(conversation)
    images = [(image.width, image.height) for image in conversation.images]
    labels = encoding.arrays.get("labels")
    learns = labels is not None and any(label != -100 for label in labels)
    side = {"image_bounds": encoding.image_bounds, "labels": labels if learns else None}
    for _ in range(2):
        guard.verify_ids(encoding.ids, images, **side)
        guard.verify_ids(np.array(encoding.ids, np.int64), **side)
    if encoding.ids:
        assert guard._compiled.passes(sample_of(encoding.ids, {}), images, None)
    structural = [at for at, token_id in enumerate(encoding.ids) if token_id in subject.marker_ids.values()]
    if structural:
        at = data.draw(st.sampled_from(structural))
        with pytest.raises(Finding) as raised:
            guard.verify_ids(encoding.ids[:at] + encoding.ids[at + 1 :], images)
        assert raised.value.check.startswith("spans.")
