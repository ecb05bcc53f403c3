"""One adapter per tokenizer library, imported only when a subject asks for it.

An adapter is a module here with ``load(spec, folder)``, ``NATIVE`` (the names of the library's classes) and
``adapt(native)``; its name is what the YAML calls ``backend``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import Field, StrictBool, StrictInt, StrictStr, field_validator, model_validator
from pydantic_core import PydanticCustomError

from image_spans import discovery
from image_spans.contract import Model, Options
from image_spans.errors import ConfigError, Unavailable, nearest
from image_spans.sources import Source, TrainedSource
from image_spans.subject import Tokenizer
from image_spans.tokenizers._observe import observe

__all__ = ["TokenizerSpec", "adapt", "load", "observe"]

BACKENDS = {"transformers": "transformers", "sentencepiece": "sentencepiece", "tiktoken": "tiktoken"}
"""Backend to the distribution that it needs."""


class TokenizerSpec(Model):
    """How a tokenizer is loaded: ``backend`` and ``source``, or ``factory``."""

    backend: StrictStr | None = None
    source: Source | None = None
    factory: StrictStr | None = None
    class_: StrictStr | None = Field(default=None, alias="class")
    """The class of transformers that loads the file; default: by the form of the file."""
    add_special_tokens: tuple[StrictStr, ...] | dict[StrictStr, StrictInt] = ()
    """Tokens to add; with ids where the library lets them be chosen (tiktoken)."""
    added_tokens: StrictStr | None = None
    """A JSON file of the same source with ``added_tokens`` (id, content, special) for a bare tokenizer.json."""
    special_tokens: dict[StrictStr, StrictStr] = {}
    """Names for tokens: ``bos``, ``eos``, ``unk``, ``pad``."""
    options: Options = {}
    """Keywords for the library's loading call."""
    pattern: StrictStr | None = None
    """tiktoken's regular expression, which a rank file does not hold."""
    ids: dict[StrictStr, StrictInt] = {}
    """Ids that the vocabulary is known to give; ``contract.tokens`` compares."""
    trust_remote_code: StrictBool = False

    @field_validator("backend")
    @classmethod
    def _known_backend(cls, name: str | None) -> str | None:
        if name is not None and name not in discovery.names(__name__):
            hint = nearest(name, discovery.names(__name__))
            raise PydanticCustomError("backend", "unknown backend {name}{hint}", {"name": repr(name), "hint": hint})
        return name

    @field_validator("special_tokens")
    @classmethod
    def _known_names(cls, named: dict[str, str]) -> dict[str, str]:
        for name in named:
            if name not in ("bos", "eos", "unk", "pad"):
                hint = nearest(name, ("bos", "eos", "unk", "pad"))
                raise PydanticCustomError("special", "unknown name {name}{hint}", {"name": repr(name), "hint": hint})
        return named

    @model_validator(mode="after")
    def _one_way(self) -> TokenizerSpec:
        if self.factory is not None:
            if self.backend is not None or self.source is not None:
                raise PydanticCustomError(
                    "factory", "a factory stands instead of backend and source, not beside them", {}
                )
        elif self.source is None or self.backend is None:
            wanted = "source" if self.source is None else "backend"
            raise PydanticCustomError("source", "{wanted} is missing (or factory: module:function)", {"wanted": wanted})
        return self


def load(spec: TokenizerSpec, folder: Path) -> Tokenizer:
    """The adapter of a tokenizer.

    Args:
        spec: what the YAML says.
        folder: the folder of the YAML.

    Raises:
        Unavailable: a package or file is not there.
        ConfigError: the tokenizer does not load, or loads empty.
    """
    if spec.factory is not None:
        made = discovery.resolve(spec.factory, folder)()
        tokenizer = adapt(getattr(made, "tokenizer", made))
        if tokenizer.native is not made and hasattr(made, "tokenizer"):
            tokenizer.native = made  # a processor: the pipeline gets it whole
    else:
        assert spec.backend is not None
        module = discovery.load(__name__, spec.backend, "backend")
        _need(BACKENDS.get(spec.backend, spec.backend))
        if isinstance(spec.source, TrainedSource):
            tokenizer = adapt(module.extend(spec.source.train(), spec))
        else:
            tokenizer = module.load(spec, folder)
    _refuse_empty(tokenizer)
    return tokenizer


def _need(distribution: str) -> None:
    import importlib.metadata

    try:
        importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        raise Unavailable(f"the library {distribution} is not installed (pip install {distribution})") from None


def adapt(native: Any) -> Tokenizer:
    """The adapter of a library's object, by its type; an object that is an adapter itself is returned as it is.

    Raises:
        ConfigError: no library is known for it and it lacks methods of the protocol; names them.
    """
    ancestry = {f"{cls.__module__.partition('.')[0]}.{cls.__name__}" for cls in type(native).__mro__}
    for name in discovery.names(__name__):
        module = discovery.load(__name__, name, "backend")
        if ancestry & module.NATIVE:
            return cast("Tokenizer", module.adapt(native))
    methods = [name for name in vars(Tokenizer) if not name.startswith("_")]
    lacking = [name for name in (*methods, "native", "library") if not hasattr(native, name)]
    if lacking:
        raise ConfigError(
            f"a {type(native).__module__}.{type(native).__name__} is no tokenizer of a known library, "
            f"and as one of its own (image_spans.Tokenizer) it lacks {', '.join(dict.fromkeys(lacking))}"
        )
    return cast("Tokenizer", native)


def _refuse_empty(tokenizer: Tokenizer) -> None:
    """A tokenizer without its vocabulary loads without a word in some libraries."""
    unk = tokenizer.named_ids().get("unk")
    for text in ("hello", "Hello, world!", "a picture"):
        ids = [token_id for token_id in tokenizer.encode_text(text) if token_id != unk]
        if ids:
            return
    raise ConfigError(
        f"{tokenizer.library} loaded empty: ordinary text encodes to nothing but unk. "
        "Most likely the vocabulary file was not read: name its folder, or another class"
    )


def named(spec_names: Mapping[str, str], token_to_id: Any) -> dict[str, int]:
    """The ids of the tokens to which a spec gives names.

    Raises:
        ConfigError: there is no such token.
    """
    found = {}
    for name, token in spec_names.items():
        token_id = token_to_id(token)
        if token_id is None:
            raise ConfigError(f"special_tokens: {name} is {token!r}, which is not in the vocabulary")
        found[name] = token_id
    return found
