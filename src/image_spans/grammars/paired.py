"""``open slots close`` for each block; the slices of a large image follow flat or nested.

Sources: MiniCPM-V 2.6 and later write ``<slice>..</slice>`` pairs after the overview, rows joined by a
newline (flat); MiniCPM-V 2.0 and Llama3-V 2.5 write one ``<slice>..</slice>`` round rows of
``<image>..</image>`` pairs (nested). Qwen-VL, InternVL and GLM-V are paired without slices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from image_spans.grammars import Element, Fixed, Pair, Slots, markers

if TYPE_CHECKING:
    from image_spans.contract import Contract
    from image_spans.slicing import Block, Layout


def write(layout: Layout, contract: Contract, number: int) -> Sequence[Element]:
    """The elements of one image: number, overview, then its slices as the contract nests them."""
    elements: list[Element] = [Fixed(contract.images.before)]
    numbering = contract.images.number
    if numbering is not None and (numbering.when == "always" or layout.sliced):
        elements += markers("number_open", 1)
        elements.append(Fixed(str(number + numbering.start)))
        elements += markers("number_close", 1)
    if layout.overview is not None:
        elements += _span(layout.overview, "image", contract)
    slices = contract.slices
    if slices is not None and layout.sliced:
        nested = slices.grammar == "nested"
        if nested:
            elements += markers("slice_open", len(slices.open))
        for index, row in enumerate(layout.grid):
            if index:
                elements.append(Fixed(slices.row_break))
            for block in row:
                elements += _span(block, "image" if nested else "slice", contract)
        if nested:
            elements += markers("slice_close", len(slices.close))
    elements.append(Fixed(contract.images.after))
    return elements


def _span(block: Block, kind: str, contract: Contract) -> list[Element]:
    brackets = contract.slices if kind == "slice" and contract.slices else contract.images
    return [
        *markers(f"{kind}_open", len(brackets.open)),
        Slots(block.slots),
        *markers(f"{kind}_close", len(brackets.close)),
    ]


def pairs(contract: Contract) -> Sequence[Pair]:
    """Image and slice spans; an image span may stand in a slice span only where slices are nested."""
    nested = contract.slices is not None and contract.slices.grammar == "nested"
    found = [Pair("image", "image_open", "image_close", within=("slice",) if nested else ())]
    if contract.slices is not None:
        found.append(Pair("slice", "slice_open", "slice_close"))
    if contract.images.number is not None:
        found.append(Pair("number", "number_open", "number_close"))
    return found
