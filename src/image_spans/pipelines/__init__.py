"""Reference pipelines: assembly code that is right, short enough to be copied.

A pipeline is a module here with a function ``encode(tokenizer, conversation, *, contract, **options)``. Unlike a
pipeline of yours it gets the adapter (:class:`image_spans.subject.Tokenizer`) instead of the library's own object,
so that one text serves every library. Each also has the entries ``batch`` and ``continue`` (``_entries``).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypeAlias

from image_spans import discovery
from image_spans.pipelines import _entries

Entry: TypeAlias = Literal["encode", "batch", "continue"]


def names() -> list[str]:
    """The names that the YAML may use under ``pipeline``."""
    return discovery.names(__name__)


def reference(name: str, entry: Entry = "encode") -> Callable[..., Any]:
    """An entry of the reference pipeline ``name``.

    Raises:
        ConfigError: there is none of that name.
    """
    function: Callable[..., Any] = discovery.load(__name__, name, "pipeline").encode
    if entry == "encode":
        return function
    return partial(_entries.collate if entry == "batch" else _entries.extend, function)
