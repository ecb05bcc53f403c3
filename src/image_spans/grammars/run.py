"""Placeholders only: an image is one run of the placeholder token.

Sources: LLaVA, PaliGemma and DeepSeek-VL expand ``<image>`` to as many placeholders as features. Two images
without text between them are one longer run: nothing in the ids tells where the second begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from image_spans.grammars import Element, Fixed, Pair, Slots

if TYPE_CHECKING:
    from image_spans.contract import Contract
    from image_spans.slicing import Layout


def write(layout: Layout, contract: Contract, number: int) -> Sequence[Element]:
    """One run of all the slots of the image, overview and tiles alike."""
    return [Fixed(contract.images.before), Slots(layout.slots), Fixed(contract.images.after)]


def pairs(contract: Contract) -> Sequence[Pair]:
    """Nothing opens or closes."""
    return ()
