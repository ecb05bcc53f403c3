"""``open slots close`` for each block; the slices of a large image follow flat or nested, or stand in one span.

Sources: MiniCPM-V 2.6 and later write ``<slice>..</slice>`` pairs after the overview, rows joined by a
newline (flat); MiniCPM-V 2.0 and Llama3-V 2.5 write one ``<slice>..</slice>`` round rows of
``<image>..</image>`` pairs (nested). InternVL and Llama 4 write all tiles in one span (same_span; Llama 4 with
separators, ``_prompt_split_image`` in transformers' processing_llama4.py). Qwen-VL and GLM-V are paired without slices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from image_spans.grammars import Element, Fixed, Pair, Slots, markers

if TYPE_CHECKING:
    from image_spans.contract import Contract, Slices
    from image_spans.slicing import Block, Layout


def write(layout: Layout, contract: Contract, number: int) -> Sequence[Element]:
    """The elements of one image: number, overview, then its slices as the contract nests them.

    Raises:
        ValueError: the rule cuts the image into slices, but the contract has none.
    """
    if layout.sliced and contract.slices is None:
        raise ValueError("the rule cuts the image into slices, but the contract has no slices")
    elements: list[Element] = [Fixed(contract.images.before)]
    numbering = contract.images.number
    if numbering is not None and (numbering.when == "always" or layout.sliced):
        elements += markers("number_open", 1)
        elements.append(Fixed(str(number + numbering.start)))
        elements += markers("number_close", 1)
    slices = contract.slices
    if slices is not None and slices.grammar == "same_span":
        elements += _one_span(layout, contract, slices)
        elements.append(Fixed(contract.images.after))
        return elements
    if layout.overview is not None:
        elements += _span(layout.overview, "image", contract)
    if slices is not None and layout.sliced:
        nested = slices.grammar == "nested"
        if nested:
            elements += markers("slice_open", len(slices.open))
        for index, row in enumerate(layout.grid):
            if index:
                elements.append(Fixed(slices.row_text))
            for block in row:
                elements += _span(block, "image" if nested else "slice", contract)
        if nested:
            elements += markers("slice_close", len(slices.close))
    elements.append(Fixed(contract.images.after))
    return elements


def _one_span(layout: Layout, contract: Contract, slices: Slices) -> Iterator[Element]:
    """All blocks between one open and one close; a row break also stands between the slices and what follows them."""
    overview: list[Element] = []
    if layout.overview is not None:
        overview = [*markers("overview_open", 1 if slices.overview_open else 0), Slots(layout.overview.slots)]
    yield from markers("image_open", len(contract.images.open))
    if slices.overview == "first":
        yield from overview
    row_break = markers("row_break", 1 if slices.row_break else 0)
    for at, row in enumerate(layout.grid):
        if at or (overview and slices.overview == "first"):
            yield from row_break
        for index, block in enumerate(row):
            if index:
                yield from markers("tile_break", 1 if slices.tile_break else 0)
            yield Slots(block.slots)
    if slices.overview == "last":
        if layout.grid and overview:
            yield from row_break
        yield from overview
    yield from markers("image_close", len(contract.images.close))


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
    if contract.slices is not None and contract.slices.open:
        found.append(Pair("slice", "slice_open", "slice_close"))
    if contract.images.number is not None:
        found.append(Pair("number", "number_open", "number_close"))
    return found
