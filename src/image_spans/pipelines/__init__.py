"""Reference pipelines: assembly code that is right, short enough to be copied.

A pipeline is a module here with a function ``encode(tokenizer, conversation, *, contract, **options)``. Unlike a
pipeline of yours it gets the adapter (:class:`image_spans.subject.Tokenizer`) instead of the library's own object,
so that one text serves every library.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from image_spans import discovery


def names() -> list[str]:
    """The names that the YAML may use under ``pipeline``."""
    return discovery.names(__name__)


def reference(name: str) -> Callable[..., Any]:
    """The reference pipeline ``name``.

    Raises:
        ConfigError: there is none of that name.
    """
    function: Callable[..., Any] = discovery.load(__name__, name, "pipeline").encode
    return function
