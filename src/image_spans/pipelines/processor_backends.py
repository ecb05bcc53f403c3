"""The pipeline ``processor`` with the image processor of the other image backend: a path that must give the same ids.

Which backend loads is no choice of the code that calls: where torchvision is installed transformers takes it, elsewhere
PIL. A model trained with the one and served with the other sees other placeholders where they count differently.
"""

from __future__ import annotations

import copy
from typing import Any
from weakref import WeakKeyDictionary

from image_spans import image_backends
from image_spans.contract import Contract
from image_spans.conversation import Conversation
from image_spans.pipelines import processor
from image_spans.subject import Tokenizer

problems = processor.problems

_OTHERS: WeakKeyDictionary[Any, Tokenizer] = WeakKeyDictionary()
"""A processor to the adapter of its twin: made at the first call, kept as long as the processor is."""


def missing() -> str | None:
    """Why there is no other backend here: one of the two needs torchvision, whichever is under test."""
    return image_backends.missing("torchvision")


def encode(tokenizer: Tokenizer, conversation: Conversation, *, contract: Contract, **options: Any) -> dict[str, Any]:
    """The one sample of a call through the twin; options as for ``processor``."""
    native = tokenizer.native
    if native not in _OTHERS:
        twin = copy.copy(native)
        twin.image_processor = image_backends.other(native.image_processor)
        adapter = copy.copy(tokenizer)
        adapter.native = twin
        _OTHERS[native] = adapter
    return processor.encode(_OTHERS[native], conversation, contract=contract, **options)
