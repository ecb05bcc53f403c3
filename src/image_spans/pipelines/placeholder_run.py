"""LLaVA, PaliGemma, DeepSeek-VL: an image is one run of placeholders, nothing round it."""

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
    images = contract.images
    prompt = Prompt(tokenizer, contract, assembly, earlier)
    refuse_wrong_number(conversation)
    number_of_images = prompt.earlier_images + len(conversation.images)
    for message in conversation.messages:
        prompt.begin(message.role)
        for part in message.parts:
            if isinstance(part, Text):
                prompt.text(part.text)
            else:
                layout = contract.layout(part.width, part.height, number_of_images)
                prompt.image()
                prompt.fixed(images.before)
                prompt.slots(images.placeholder, layout.slots)
                prompt.fixed(images.after)
        prompt.end()
    return prompt.result(max_length)
