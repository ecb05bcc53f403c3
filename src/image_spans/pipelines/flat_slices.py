"""MiniCPM-V 2.6 and later: an overview span, then one span for each slice, rows joined by the row break.

Also right for models without slices, whose images are one span each (Qwen-VL, InternVL).
"""

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
    prompt = Prompt(tokenizer, contract, assembly, earlier)
    refuse_wrong_number(conversation)
    number_of_images = prompt.earlier_images + len(conversation.images)
    number = prompt.earlier_images

    def span(opens: tuple[str, ...], count: int, closes: tuple[str, ...]) -> None:
        for token in opens:
            prompt.token(token)
        prompt.slots(images.placeholder, count)
        for token in closes:
            prompt.token(token)

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
                prompt.fixed(str(images.number.start + number))
                prompt.token(images.number.close)
            number += 1
            if layout.overview:
                span(images.open, layout.overview.slots, images.close)
            for index, row in enumerate(layout.grid if slices else ()):
                assert slices is not None
                prompt.fixed(slices.row_text if index else "")
                for block in row:
                    span(slices.open, block.slots, slices.close)
            prompt.fixed(images.after)
        prompt.end()
    return prompt.result(max_length)
