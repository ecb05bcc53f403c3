"""MiniCPM-V 2.0 and MiniCPM-Llama3-V 2.5: one slice pair round a grid of image spans, rows joined by the row break."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from image_spans.contract import Contract
from image_spans.conversation import Conversation, Text
from image_spans.pipelines._prompt import Assembly, Prompt, refuse_wrong_number
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
    """ids, image bounds and labels of a conversation."""
    images, slices = contract.images, contract.slices
    assert slices is not None, "nested_slices needs slices in the contract"
    prompt = Prompt(tokenizer, contract, assembly, earlier)
    refuse_wrong_number(conversation)
    number_of_images = prompt.earlier_images + len(conversation.images)
    number = prompt.earlier_images

    def tokens(*spelled: str) -> None:
        for token in spelled:
            prompt.token(token)

    def span(count: int) -> None:
        tokens(*images.open)
        prompt.slots(images.placeholder, count)
        tokens(*images.close)

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
                tokens(images.number.open)
                prompt.fixed(str(images.number.start + number))
                tokens(images.number.close)
            number += 1
            if layout.overview:
                span(layout.overview.slots)
            if layout.sliced:
                tokens(*slices.open)
                for index, row in enumerate(layout.grid):
                    prompt.fixed(slices.row_text if index else "")
                    for block in row:
                        span(block.slots)
                tokens(*slices.close)
            prompt.fixed(images.after)
        prompt.end()
    return prompt.result(max_length)
