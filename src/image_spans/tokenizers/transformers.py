"""Tokenizers of transformers: those that are backed by the tokenizers library, and the way to the others."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from image_spans.errors import ConfigError, Unavailable, nearest
from image_spans.subject import Ids, Tokenizer, nameless
from image_spans.tokenizers import _transformers_sentencepiece as pieces
from image_spans.tokenizers import mistral_common
from image_spans.tokenizers._ids import named, spelled
from image_spans.tokenizers._transformers_behaviour import behaviour, reloaded
from image_spans.tokenizers.tokenizers import completed

if TYPE_CHECKING:
    from image_spans.tokenizers import TokenizerSpec


def library() -> Any:
    """transformers, imported without its advice that PyTorch is missing: it is not needed here."""
    quiet = "TRANSFORMERS_NO_ADVISORY_WARNINGS"
    before = os.environ.get(quiet)
    os.environ[quiet] = "1"
    try:
        import transformers
    finally:
        if before is None:
            del os.environ[quiet]
        else:
            os.environ[quiet] = before
    return transformers


@contextmanager
def quiet(transformers: Any) -> Iterator[None]:
    """Without the library's advice about its own past and future, which it warns of and logs; and without a cache.

    It reads ranks with tiktoken, which keeps a copy of each file by its path alone: a file that changes would be
    read as it was. And without the hub: code of a checkpoint that names another repository is looked for there,
    whatever ``local_files_only`` says.
    """
    from huggingface_hub import constants

    offline = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    before = transformers.logging.get_verbosity()
    uncached = "TIKTOKEN_CACHE_DIR" not in os.environ
    os.environ.setdefault("TIKTOKEN_CACHE_DIR", "")
    transformers.logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers.logging.set_verbosity(before)
        constants.HF_HUB_OFFLINE = offline
        if uncached:
            del os.environ["TIKTOKEN_CACHE_DIR"]


__all__ = ["behaviour", "reloaded"]
DISTRIBUTION = "transformers"
NATIVE = {
    "transformers.PreTrainedTokenizerFast",
    "transformers.TokenizersBackend",
    "transformers.PreTrainedTokenizer",  # written in Python
    "transformers.PythonBackend",
}
KEYS = {"class_", "added_tokens", "options", "trust_remote_code"}


def _wrapped(native: Any, spec: TokenizerSpec) -> Any:
    # Without names: given here, one that the vocabulary lacks would be added without a word.
    return library().PreTrainedTokenizerFast(tokenizer_object=native)


TAKES = {"tokenizers.Tokenizer": _wrapped}
_NAMES = ("bos", "eos", "unk", "pad")
_ENDS = ("bos", "eos")
_ADD_ENDS = frozenset(f"add_{name}_token" for name in _ENDS)


class TransformersTokenizer:
    """A ``PreTrainedTokenizerFast``, whatever its class is called in this release."""

    def __init__(self, native: Any) -> None:
        self.native = native  # what the pipeline gets; the processor, where the tokenizer came in one
        self._native = native
        self.library = f"transformers {library().__version__} {type(native).__name__}"
        self._backend = native.backend_tokenizer
        # Cleaning up "a , b" is the caller's wish, not the vocabulary's: the backend decodes as it is.
        self._decode = partial(self._backend.decode, skip_special_tokens=False)
        self._known = cache(lambda token_id: self._name(token_id) is not None)
        self._unk = native.unk_token_id
        self._special: dict[str, int] | None = None

    def encode(self, text: str) -> list[int]:
        return list(self._native.encode(text))

    def encode_text(self, text: str) -> list[int]:
        return list(self._native.encode(text, add_special_tokens=False, split_special_tokens=True))

    def encode_markup(self, text: str) -> list[int]:
        return list(self._native.encode(text, add_special_tokens=False))

    def decode(self, ids: Ids) -> str:
        return spelled(ids, self._known, self._decode)

    def token_to_id(self, token: str) -> int | None:
        # Not convert_tokens_to_ids: it answers with unk for what it does not know.
        found: int | None = self._backend.token_to_id(token)
        return found

    def id_to_token(self, token_id: int) -> str:
        token = self._name(token_id)
        return nameless(token_id) if token is None else token

    def _name(self, token_id: int) -> str | None:
        try:
            token: str | None = self._backend.id_to_token(token_id)
        except OverflowError:  # it is negative, or far too large
            return None
        return token

    def special_tokens(self) -> Mapping[str, int]:
        if self._special is None:
            added = self._native.added_tokens_decoder
            self._special = {
                str(token.content): int(token_id)
                for token_id, token in added.items()
                if token.special and token_id != self._unk
            }
        return self._special

    def named_ids(self) -> Mapping[str, int]:
        found = {name: getattr(self._native, f"{name}_token_id") for name in _NAMES}
        return {name: int(token_id) for name, token_id in found.items() if token_id is not None}


def adapt(native: Any) -> Tokenizer:
    """The adapter of a transformers tokenizer.

    Raises:
        ConfigError: it is written in Python, and not round a model of sentencepiece.
    """
    if hasattr(native, "backend_tokenizer"):
        return TransformersTokenizer(native)
    if hasattr(native, "sp_model"):
        return pieces.TransformersPieceTokenizer(native, str(library().__version__))
    raise ConfigError(
        f"a {type(native).__name__} of transformers has neither a tokenizer of tokenizers nor a model of sentencepiece"
    )


def load(spec: TokenizerSpec, folder: Path) -> Tokenizer:
    """Load a folder, a ``tokenizer.json`` or a SentencePiece ``.model``.

    Raises:
        ConfigError: the file does not load, or is not what the class reads.
    """
    transformers = library()
    assert spec.source is not None
    path = spec.source.locate(folder)
    bare = spec.class_ is None and path.is_file() and path.suffix == ".json"
    if spec.added_tokens is not None and not bare:
        raise ConfigError("added_tokens completes a tokenizer.json that is loaded without class; nothing else reads it")
    if spec.class_ is None and path.is_file() and not bare:
        # AutoTokenizer would guess, and not alike in every release: the same file then encodes otherwise.
        raise ConfigError(f"class is missing: the class decides how {path.name} encodes (such as LlamaTokenizer)")
    if "trust_remote_code" in spec.options:
        raise ConfigError("options: trust_remote_code is a key of tokenizer itself, beside options")
    made = None
    try:
        if spec.added_tokens is not None:
            made = completed(path, spec.source.neighbour(folder, spec.added_tokens))

        def read(keywords: dict[str, Any]) -> Any:
            if made is not None:
                return transformers.PreTrainedTokenizerFast(tokenizer_object=made, **keywords)
            if bare:
                return _from_folder(transformers.PreTrainedTokenizerFast, path, "tokenizer.json", keywords)
            return _by_class(transformers, spec, path, keywords)

        with quiet(transformers):
            native = read({f"{name}_token": token for name, token in spec.special_tokens.items()} | spec.options)
            if any(_is_behind_vocabulary(native, token) for token in spec.special_tokens.values()):
                # The name alone may have put it there. Ends need names, and what is not named is not added.
                options = {key: value for key, value in spec.options.items() if key not in _ADD_ENDS}
                have = made.token_to_id if made is not None else adapt(read(options)).token_to_id
                named({n: t for n, t in spec.special_tokens.items() if t not in spec.add_special_tokens}, have)
    except ConfigError:
        raise
    except ImportError as error:  # sentencepiece, protobuf, mistral-common: each for some classes only
        text = " ".join(str(error).split())
        raise Unavailable(f"transformers needs a package that is not installed for {path.name}: {text}") from error
    except Exception as error:  # whatever the library does with a file that it does not understand
        if not spec.trust_remote_code and "trust_remote_code" in str(error):
            raise ConfigError(
                f"{path.name} needs code of its own, which is not run unless it is trusted; if you do, say "
                "trust_remote_code: true in tokenizer, or name a class that transformers has itself"
            ) from error
        raise ConfigError(f"transformers cannot load {path.name}: {type(error).__name__}: {error}") from error
    if hasattr(native, "backend_tokenizer"):
        _add_ends(native, spec.options)
    elif hasattr(native, "sp_model"):
        pieces.check(native, spec)
    return finish(native, spec)


def finish(native: Any, spec: TokenizerSpec) -> Tokenizer:
    """The adapter, with the tokens and names that the spec adds.

    Raises:
        ConfigError: they do not fit.
    """
    if type(native).__name__.startswith("MistralCommon"):
        return mistral_common.within(native, spec)
    named(spec.special_tokens, adapt(extend(native, spec)).token_to_id)
    for name, token in spec.special_tokens.items():
        if getattr(native, f"{name}_token") != token:
            setattr(native, f"{name}_token", token)
    return adapt(native)  # anew: it remembers which id is unk


def _is_behind_vocabulary(native: Any, token: str) -> bool:
    """Whether a token is one of those that were added to the vocabulary of the model."""
    if hasattr(native, "backend_tokenizer"):
        return native.backend_tokenizer.model.token_to_id(token) is None
    return token in getattr(native, "added_tokens_encoder", ())


def _add_ends(native: Any, options: Mapping[str, Any]) -> None:
    """Have the native call add BOS and EOS where that was asked for; before 5.0 most classes ignore it.

    Raises:
        ConfigError: there is no such token, and the library would add nothing without a word.
    """
    for name in _ENDS:
        if options.get(f"add_{name}_token") and getattr(native, f"{name}_token") is None:
            raise ConfigError(
                f"options: add_{name}_token, but no token has the name {name}; special_tokens gives it one"
            )
    asked = options.keys() & _ADD_ENDS
    if not asked or hasattr(native, "update_post_processor"):
        return
    from tokenizers import processors

    bos, eos = (getattr(native, f"{name}_token") if options.get(f"add_{name}_token") else None for name in _ENDS)
    single = " ".join([*([f"{bos}:0"] if bos else []), "$A:0", *([f"{eos}:0"] if eos else [])])
    native.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=single,
        pair=f"{single} {single.replace(':0', ':1').replace('$A', '$B')}",
        special_tokens=[(token, native.backend_tokenizer.token_to_id(token)) for token in (bos, eos) if token],
    )


def _by_class(transformers: Any, spec: TokenizerSpec, path: Path, keywords: dict[str, Any]) -> Any:
    name = spec.class_ or "AutoTokenizer"
    if name == "SentencePieceBackend":
        cls, keywords = pieces.backend(transformers, keywords)
    else:
        cls = getattr(transformers, name, None)
    if cls is None:
        known = [known for known in dir(transformers) if "Tokenizer" in known]
        raise ConfigError(f"transformers {transformers.__version__} has no class {name!r}{nearest(name, known)}")
    # Before 5.0 the plain name is the slow class; the fast one reads the same file.
    if not hasattr(cls, "backend_tokenizer") and hasattr(transformers, name + "Fast"):
        cls = getattr(transformers, name + "Fast")
    if name == "AutoTokenizer":
        # Said in any case: where nothing is said, the library asks on the terminal.
        keywords = {**keywords, "trust_remote_code": spec.trust_remote_code}
    elif spec.trust_remote_code:
        keywords = {**keywords, "trust_remote_code": True}
    if name.startswith("MistralCommon"):  # it reads a file by its name: tekken.json, tokenizer.model.v3
        return cls(str(path), **keywords)
    if path.is_dir():
        return cls.from_pretrained(str(path), local_files_only=True, **keywords)
    names = getattr(cls, "vocab_files_names", {})
    if path.suffix == ".json":
        wanted = "tekken.json" if path.name.startswith("tekken") else "tokenizer.json"
    else:
        wanted = names.get("vocab_file", "tokenizer.model")
    return _from_folder(cls, path, wanted, keywords)


def _from_folder(cls: Any, path: Path, name: str, keywords: dict[str, Any]) -> Any:
    """A class that reads folders only gets one that holds this file, under the name that it looks for."""
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copy(path, Path(scratch) / name)
        beside = path.parent / "tokenizer_config.json"
        if name == "tokenizer.json" and beside.is_file():
            shutil.copy(beside, scratch)
        return cls.from_pretrained(scratch, local_files_only=True, **keywords)


def extend(native: Any, spec: TokenizerSpec) -> Any:
    """Add the declared special tokens.

    Raises:
        ConfigError: ids are asked for, which this library gives out itself.
    """
    tokens: Sequence[str] | Mapping[str, int] = spec.add_special_tokens
    if isinstance(tokens, Mapping):
        raise ConfigError("add_special_tokens: transformers gives out the ids itself; list the tokens without ids")
    if not hasattr(native, "backend_tokenizer"):
        pieces.extend(native, spec)
        return native
    missing = [token for token in tokens if native.backend_tokenizer.token_to_id(token) is None]
    if missing:
        from tokenizers import AddedToken

        # Not normalised: else they are looked for in changed text, and not found when glued to a word.
        native.add_tokens([AddedToken(token, normalized=False, special=True) for token in missing], special_tokens=True)
    return native
