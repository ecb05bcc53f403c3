"""Hypothesis strategies for conversations with images.

from image_spans import strategies

@given(strategies.conversations(position="start", profile=strategies.Profile()))
def test_something(conversation): ...
"""

from image_spans.strategies.conversations import conversations
from image_spans.strategies.hazards import HAZARDS, hazard_texts, hazards_in
from image_spans.strategies.labels import describe, positions_of
from image_spans.strategies.profile import POSITIONS, Profile, applies, inapplicable
from image_spans.strategies.sizes import boundary_sizes, images
from image_spans.strategies.texts import texts

__all__ = [
    "HAZARDS",
    "POSITIONS",
    "Profile",
    "applies",
    "boundary_sizes",
    "conversations",
    "describe",
    "hazard_texts",
    "hazards_in",
    "images",
    "inapplicable",
    "positions_of",
    "texts",
]
