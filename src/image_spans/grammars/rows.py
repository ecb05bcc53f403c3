"""Rows of placeholders with a token between them and one at the end: the image's only close.

Source: Pixtral and Mistral Small 3.1 (``ImageEncoder.__call__`` in mistral-common's tokens/tokenizers/image.py): each
row of patches is a run of ``[IMG]`` with ``[IMG_BREAK]`` behind it, and the last break is ``[IMG_END]`` instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from image_spans.grammars import Element, Fixed, Pair, Slots, markers

if TYPE_CHECKING:
    from image_spans.contract import Contract
    from image_spans.slicing import Layout


def write(layout: Layout, contract: Contract, number: int) -> Sequence[Element]:
    """The rows of the one block of an image.

    Raises:
        ValueError: the rule cuts the image into slices, for which this grammar has no form.
    """
    if layout.overview is None or layout.grid:
        raise ValueError("the grammar rows writes one block, but the rule cuts the image into slices")
    elements: list[Element] = [Fixed(contract.images.before)]
    for row in range(layout.overview.rows):
        if row:
            elements += markers("row_break", 1)
        elements.append(Slots(layout.overview.columns))
    elements += markers("image_close", len(contract.images.close))
    elements.append(Fixed(contract.images.after))
    return elements


def pairs(contract: Contract) -> Sequence[Pair]:
    """Nothing opens; that every row ends as it should is a matter of the expected sequence."""
    return ()
