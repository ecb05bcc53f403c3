"""LLaVA, PaliGemma, DeepSeek-VL: an image is one run of placeholders, nothing round it."""

from __future__ import annotations

from typing import Any

from image_spans.contract import Contract
from image_spans.conversation import Conversation, Text
from image_spans.pipelines._prompt import Assembly, Prompt, refuse_wrong_number
from image_spans.subject import Tokenizer


def encode(
    tokenizer: Tokenizer, conversation: Conversation, *, contract: Contract, assembly: Assembly = "segments"
) -> dict[str, Any]:
    """ids, image bounds and labels of a conversation."""
    images = contract.images
    prompt = Prompt(tokenizer, contract.template, assembly)
    refuse_wrong_number(conversation)
    for message in conversation.messages:
        prompt.begin(message.role)
        for part in message.parts:
            if isinstance(part, Text):
                prompt.text(part.text)
            else:
                layout = contract.layout(part.width, part.height, len(conversation.images))
                prompt.fixed(images.before)
                prompt.slots(images.placeholder, layout.slots)
                prompt.fixed(images.after)
        prompt.end()
    return prompt.result(contract.bos)
