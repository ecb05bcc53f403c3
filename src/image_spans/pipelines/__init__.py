"""Reference pipelines: assembly code that is right, short enough to be copied.

A pipeline is a module here with a function ``encode(tokenizer, conversation, *, contract, **options)``. Unlike a
pipeline of yours it gets the adapter (:class:`image_spans.subject.Tokenizer`) instead of the library's own object,
so that one text serves every library. Each also has the entries ``batch`` and ``continue`` (``_entries``).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, TypeAlias

from image_spans import discovery
from image_spans.pipelines import _entries

Entry: TypeAlias = Literal["encode", "batch", "continue", "predict"]


def names() -> list[str]:
    """The names that the YAML may use under ``pipeline``."""
    return discovery.names(__name__)


def lacks(name: str, entry: Entry) -> bool:
    """Whether the reference pipeline ``name`` has no such entry: what it continues, it takes as ``earlier``."""
    module = discovery.load(__name__, name, "pipeline")
    if entry == "predict":
        return not hasattr(module, "predict")
    return entry == "continue" and "earlier" not in inspect.signature(module.encode).parameters


def missing(name: str) -> str | None:
    """Why the reference pipeline ``name`` cannot be called here, as for want of a package; None: it can."""
    reason: Callable[[], str | None] | None = getattr(discovery.load(__name__, name, "pipeline"), "missing", None)
    return None if reason is None else reason()


def problems(name: str, options: Mapping[str, Any]) -> Sequence[str]:
    """What a reference pipeline itself has to say against its options, before it is called."""
    check = getattr(discovery.load(__name__, name, "pipeline"), "problems", None)
    return [] if check is None else list(check(options))


def reference(name: str, entry: Entry = "encode") -> Callable[..., Any]:
    """An entry of the reference pipeline ``name``.

    Raises:
        ConfigError: there is none of that name.
    """
    module = discovery.load(__name__, name, "pipeline")
    function: Callable[..., Any] = module.encode
    if entry == "encode":
        return function
    own: Callable[..., Any] | None = getattr(module, entry, None)
    if own is not None:
        return own
    return partial(_entries.collate if entry == "batch" else _entries.extend, function)
