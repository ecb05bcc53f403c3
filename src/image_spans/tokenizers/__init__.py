"""One adapter per tokenizer library, imported only when a subject asks for it.

An adapter is a module here with ``load(spec, folder)``, ``finish(native, spec)`` (adds the spec's tokens and names),
``NATIVE`` (the names of the library's classes), ``KEYS`` (the optional keys of a spec that it reads),
``DISTRIBUTION`` (what has to be installed) and ``adapt(native)``; its name is what the YAML calls ``backend``.
``TAKES`` (optional) says of other libraries' classes how what a recipe made is turned into an object of this one.
``behaviour(native)`` (optional) names what else the lock should record, each a question without arguments, and
``reloaded(native)`` (optional) gives what the library's own saving and loading makes of it.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, cast

from pydantic import Field, StrictBool, StrictInt, StrictStr, field_validator, model_validator
from pydantic_core import PydanticCustomError

from image_spans import discovery
from image_spans.contract import Model, Options, Requirements
from image_spans.errors import ConfigError, Unavailable, nearest
from image_spans.sources import Source, TrainedSource
from image_spans.subject import Tokenizer
from image_spans.tokenizers._observe import observe
from image_spans.tokenizers._own import OwnTokenizer

__all__ = ["TokenizerSpec", "adapt", "adapter_of", "load", "missing", "native_of", "observe"]


class TokenizerSpec(Model):
    """How a tokenizer is loaded: ``backend`` and ``source``, or ``factory``, which may have a ``source`` too."""

    backend: StrictStr | None = None
    """The library that loads the tokenizer."""
    source: Source | None = None
    """Where its files are."""
    factory: StrictStr | None = None
    """``module:function`` that returns a tokenizer or a processor, instead of a backend."""
    class_: StrictStr | None = Field(default=None, alias="class")
    """The class of transformers that loads the file; default: by the form of the file."""
    add_special_tokens: tuple[StrictStr, ...] | dict[StrictStr, StrictInt] = ()
    """Tokens to add; with ids where the library lets them be chosen (tiktoken)."""
    added_tokens: Annotated[StrictStr, Field(min_length=1)] | None = None
    """A JSON file of the same source with ``added_tokens`` (id, content, special) for a bare tokenizer.json."""
    special_tokens: dict[StrictStr, StrictStr] = {}
    """Names for tokens: ``bos``, ``eos``, ``unk``, ``pad``."""
    options: Options = {}
    """Keywords for the library's loading call, or for the factory."""
    pattern: StrictStr | None = None
    """tiktoken's regular expression, which a rank file does not hold."""
    ids: dict[StrictStr, StrictInt] = {}
    """Ids that the vocabulary is known to give; ``contract.tokens`` compares."""
    requires: Requirements = ()
    """What must be installed besides, such as ``transformers>=5``; else the subject is skipped with that reason."""
    trust_remote_code: StrictBool = False
    """Whether code of the source may run."""

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
            if self.backend is not None:
                raise PydanticCustomError("factory", "a factory stands instead of a backend, not beside it", {})
            if isinstance(self.source, TrainedSource):
                raise PydanticCustomError("factory", "a factory gets a file, which a trained source does not have", {})
            if self.source is not None and "file" in self.options:
                raise PydanticCustomError("factory", "the file is that of the source; remove options.file", {})
        elif self.source is None or self.backend is None:
            wanted = "source" if self.source is None else "backend"
            raise PydanticCustomError("source", "{wanted} is missing (or factory: module:function)", {"wanted": wanted})
        self._nothing_ignored()
        return self

    def _nothing_ignored(self) -> None:
        """A key that would have no effect is an error."""
        keys: tuple[str, ...] = ("class_", "added_tokens", "pattern", "options")
        if self.factory is not None:
            without, keys = (
                "a factory stands alone; it does what {keys} would ask for",
                ("add_special_tokens", "special_tokens", *(key for key in keys if key != "options")),
            )
        elif isinstance(self.source, TrainedSource):
            without = "a trained tokenizer takes no {keys}; its options stand beside trained"
        else:
            assert self.backend is not None
            read = discovery.load(__name__, self.backend, "backend").KEYS
            without = f"the backend {self.backend} takes no {{keys}}"
            keys = tuple(key for key in (*keys, "trust_remote_code") if key not in read)
        given = [key.rstrip("_") for key in keys if getattr(self, key)]
        trained = isinstance(self.source, TrainedSource)
        if trained and set(self.options) <= {"user_defined"} and "options" in given:
            given.remove("options")
        if given:
            raise PydanticCustomError("ignored", without, {"keys": " and ".join(given)})


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
        factory = discovery.resolve(spec.factory, folder)
        try:
            file = {} if spec.source is None else {"file": str(spec.source.locate(folder))}
            made = factory(**spec.options, **file)
        except (ConfigError, Unavailable):
            raise
        except Exception as error:  # it is the user's
            raise ConfigError(f"the factory {spec.factory} raised {_line(error)}") from error
        if hasattr(made, "tokenizer") and _lacking(made) and _adapter(made) is None:
            tokenizer = adapt(made.tokenizer)
            tokenizer.native = made  # a processor: the pipeline gets it whole
        else:
            tokenizer = adapt(made)
    else:
        assert spec.backend is not None
        reason = missing(spec)
        if reason is not None:
            raise Unavailable(reason)
        module = discovery.load(__name__, spec.backend, "backend")
        try:
            if isinstance(spec.source, TrainedSource):
                tokenizer = module.finish(_trained(spec, spec.source, module), spec)
            else:
                tokenizer = module.load(spec, folder)
        except (ConfigError, Unavailable):
            raise
        except Exception as error:  # a library's own words for a value that it cannot take
            raise ConfigError(f"loading it with {spec.backend} raised {_line(error)}") from error
    _refuse_empty(tokenizer)
    return tokenizer


def missing(spec: TokenizerSpec) -> str | None:
    """Why the library of a spec cannot be used here, found without importing it; None: it can."""
    reason = discovery.unmet(spec.requires)
    if reason is not None:
        return reason
    if spec.backend is None:
        return None
    distribution = discovery.load(__name__, spec.backend, "backend").DISTRIBUTION
    if discovery.installed(distribution) is None:
        return f"the library {distribution} is not installed (pip install {distribution})"
    return None


def _trained(spec: TokenizerSpec, source: TrainedSource, module: ModuleType) -> Any:
    """What a recipe makes, as an object of the backend's library."""
    native = source.train()
    ancestry = _ancestry(native)
    if ancestry & module.NATIVE:
        return native
    for name, turned in getattr(module, "TAKES", {}).items():
        if name in ancestry:
            return turned(native, spec)
    made_by = _adapter(native)
    maker = made_by.__name__.rpartition(".")[2] if made_by else "factory"
    raise ConfigError(f"the recipe {source.trained} makes a tokenizer of {maker}, not of {spec.backend}")


def adapt(native: Any) -> Tokenizer:
    """The adapter of a library's object, by its type; of an object with the methods of one, what checks them.

    Raises:
        ConfigError: no library is known for it and it lacks methods of the protocol; names them.
    """
    module = _adapter(native)
    if module is not None:
        return cast("Tokenizer", module.adapt(native))
    if type(native).__module__.startswith(f"{__name__}."):  # it is one of ours
        return cast("Tokenizer", native)
    lacking = _lacking(native)
    if lacking:
        raise ConfigError(
            f"a {type(native).__module__}.{type(native).__name__} is no tokenizer of a known library, "
            f"and as one of its own (image_spans.Tokenizer) it lacks {', '.join(lacking)}"
        )
    return OwnTokenizer(native)


def _adapter(native: Any) -> ModuleType | None:
    """The adapter of the library that an object comes from."""
    ancestry = _ancestry(native)
    for name in discovery.names(__name__):
        module = discovery.load(__name__, name, "backend")
        if ancestry & module.NATIVE:
            return module
    return None


def native_of(tokenizer: Tokenizer) -> Any:
    """The library's tokenizer behind an adapter, also where a processor that holds it goes to the pipeline."""
    native = tokenizer.native
    return native.tokenizer if _adapter(native) is None and hasattr(native, "tokenizer") else native


def adapter_of(tokenizer: Tokenizer) -> ModuleType | None:
    """The module of the library that a tokenizer comes from; None for one of somebody's own."""
    return _adapter(native_of(tokenizer))


def _ancestry(native: Any) -> set[str]:
    """Its class and those that it comes from, as library and name."""
    return {f"{cls.__module__.partition('.')[0]}.{cls.__name__}" for cls in type(native).__mro__}


def _lacking(native: Any) -> list[str]:
    """What an object lacks of the protocol."""
    methods = [name for name in vars(Tokenizer) if not name.startswith("_")]
    return list(dict.fromkeys(name for name in (*methods, "native", "library") if not hasattr(native, name)))


def _refuse_empty(tokenizer: Tokenizer) -> None:
    """A tokenizer without its vocabulary loads without a word in some libraries."""
    try:
        unk = tokenizer.named_ids().get("unk")
    except Exception as error:  # the tokenizer may be the user's
        raise ConfigError(f"{tokenizer.library} names no ids: {_line(error)}") from error
    for text in ("hello", "Hello, world!", "a picture"):
        try:
            ids = [token_id for token_id in tokenizer.encode_text(text) if token_id != unk]
        except Exception as error:  # the tokenizer may be the user's, or have no model at all
            raise ConfigError(f"{tokenizer.library} cannot encode {text!r}: {_line(error)}") from error
        if ids:
            return
    raise ConfigError(
        f"{tokenizer.library} loaded empty: ordinary text encodes to nothing but unk. "
        "Most likely the vocabulary file was not read: name its folder, or another class"
    )


def _line(error: Exception) -> str:
    """An error on one line, whatever its text."""
    return " ".join(f"{type(error).__name__}: {error}".split())
