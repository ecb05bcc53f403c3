"""InternVL and Llama 4: all tiles of an image in one span, the overview first or last, with separators if declared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from image_spans.contract import Contract
from image_spans.conversation import Conversation, Text
from image_spans.pipelines._prompt import Assembly, Prompt, refuse_wrong_number
from image_spans.slicing import Block
from image_spans.subject import Tokenizer


def encode(
    tokenizer: Tokenizer,
    conversation: Conversation,
    *,
    contract: Contract,
    assembly: Assembly = "segments",
    max_length: int | None = None,
    earlier: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """ids, bounds of the placeholder runs and labels of a conversation."""
    images, slices = contract.images, contract.slices
    assert slices is not None, "same_span needs slices in the contract"
    prompt = Prompt(tokenizer, contract, assembly, earlier)
    refuse_wrong_number(conversation)
    number_of_images = prompt.earlier_images + len(conversation.images)
    count = prompt.earlier_images

    def token(name: str | None) -> None:
        if name is not None:
            prompt.token(name)

    def overview(block: Block | None) -> None:
        if block is not None:
            token(slices.overview_open)
            prompt.slots(images.placeholder, block.slots)

    for message in conversation.messages:
        prompt.begin(message.role)
        for part in message.parts:
            if isinstance(part, Text):
                prompt.text(part.text)
                continue
            layout = contract.layout(part.width, part.height, number_of_images)
            prompt.image()
            prompt.fixed(images.before)
            if images.number and (images.number.when == "always" or layout.sliced):
                prompt.token(images.number.open)
                prompt.fixed(str(images.number.start + count))
                prompt.token(images.number.close)
            count += 1
            for name in images.open:
                token(name)
            if slices.overview == "first":
                overview(layout.overview)
            for number, row in enumerate(layout.grid):
                if number or (layout.overview and slices.overview == "first"):
                    token(slices.row_break)
                for index, block in enumerate(row):
                    token(slices.tile_break if index else None)
                    prompt.slots(images.placeholder, block.slots)
            if slices.overview == "last":
                token(slices.row_break if layout.grid and layout.overview else None)
                overview(layout.overview)
            for name in images.close:
                token(name)
            prompt.fixed(images.after)
        prompt.end()
    return prompt.result(max_length)
