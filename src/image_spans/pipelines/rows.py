"""Pixtral and Mistral Small 3.1: rows of placeholders, a break token between them and the end token behind the last."""

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
    """ids, bounds of the rows and labels of a conversation."""
    images = contract.images
    assert images.row_break is not None, "rows needs row_break in the contract"
    prompt = Prompt(tokenizer, contract, assembly, earlier)
    refuse_wrong_number(conversation)
    number_of_images = prompt.earlier_images + len(conversation.images)
    for message in conversation.messages:
        prompt.begin(message.role)
        for part in message.parts:
            if isinstance(part, Text):
                prompt.text(part.text)
                continue
            grid = contract.layout(part.width, part.height, number_of_images).overview
            assert grid is not None, "the rule of rows gives one block"
            prompt.image()
            prompt.fixed(images.before)
            for row in range(grid.rows):
                prompt.slots(images.placeholder, grid.columns)
                for token in (images.row_break,) if row < grid.rows - 1 else images.close:
                    prompt.token(token)
            prompt.fixed(images.after)
        prompt.end()
    return prompt.result(max_length)
