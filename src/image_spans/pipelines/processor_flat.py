"""The pipeline ``processor`` with the pictures of a call in one flat list: a path that must give the same ids.

Callers do both: a list of pictures for each sample, and one list of all. For processors that take either.
"""

from __future__ import annotations

from typing import Any

from image_spans.contract import Contract
from image_spans.conversation import Conversation
from image_spans.pipelines import processor
from image_spans.subject import Tokenizer

problems = processor.problems


def encode(tokenizer: Tokenizer, conversation: Conversation, *, contract: Contract, **options: Any) -> dict[str, Any]:
    """The one sample of a call with a flat list; options as for ``processor``, whose ``images`` is not heeded."""
    return processor.encode(tokenizer, conversation, contract=contract, **{**options, "images": "flat"})
