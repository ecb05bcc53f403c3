"""Hypothesis strategies for conversations with images.

from image_spans import strategies

@given(strategies.conversations(position="start", profile=strategies.Profile()))
def test_something(conversation): ...
"""

from image_spans.strategies.conversations import POSITIONS, Profile, applies, conversations, describe
from image_spans.strategies.sizes import boundary_sizes, images
from image_spans.strategies.texts import hazard_texts, hazards_in, texts

__all__ = [
    "POSITIONS",
    "Profile",
    "applies",
    "boundary_sizes",
    "conversations",
    "describe",
    "hazard_texts",
    "hazards_in",
    "images",
    "texts",
]
