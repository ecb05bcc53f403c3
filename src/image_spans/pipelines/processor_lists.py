"""The pipeline ``processor`` as a call without ``return_tensors`` answers it: a path that must give the same ids."""

from __future__ import annotations

from typing import Any

from image_spans.contract import Contract
from image_spans.conversation import Conversation
from image_spans.pipelines import processor
from image_spans.subject import Tokenizer

problems = processor.problems


def encode(tokenizer: Tokenizer, conversation: Conversation, *, contract: Contract, **options: Any) -> dict[str, Any]:
    """The one sample of a call that returns lists; options as for ``processor``."""
    call = {**options.get("call", {}), "return_tensors": None}
    return processor.encode(tokenizer, conversation, contract=contract, **{**options, "call": call})
