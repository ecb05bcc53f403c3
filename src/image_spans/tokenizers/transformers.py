"""Tokenizers of transformers that are backed by the tokenizers library."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from image_spans.errors import ConfigError, nearest
from image_spans.subject import Ids, Tokenizer

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


NATIVE = {"transformers.PreTrainedTokenizerFast", "transformers.TokenizersBackend"}
_NAMES = ("bos", "eos", "unk", "pad")


class TransformersTokenizer:
    """A ``PreTrainedTokenizerFast``, whatever its class is called in this release."""

    def __init__(self, native: Any) -> None:
        self.native = native  # what the pipeline gets; the processor, where the tokenizer came in one
        self._native = native
        self.library = f"transformers {library().__version__} {type(native).__name__}"
        self._backend = native.backend_tokenizer
        # Cleaning up "a , b" is the caller's wish, not the vocabulary's: the backend decodes as it is.
        self._decode = self._backend.decode
        self._unk = native.unk_token_id
        self._special: dict[str, int] | None = None

    def encode(self, text: str) -> list[int]:
        return list(self._native.encode(text))

    def encode_text(self, text: str) -> list[int]:
        return list(self._native.encode(text, add_special_tokens=False, split_special_tokens=True))

    def encode_markup(self, text: str) -> list[int]:
        return list(self._native.encode(text, add_special_tokens=False))

    def decode(self, ids: Ids) -> str:
        return str(self._decode(list(ids), skip_special_tokens=False))

    def token_to_id(self, token: str) -> int | None:
        # Not convert_tokens_to_ids: it answers with unk for what it does not know.
        found: int | None = self._backend.token_to_id(token)
        return found

    def id_to_token(self, token_id: int) -> str:
        token = self._backend.id_to_token(token_id) if token_id >= 0 else None
        return f"<id {token_id}>" if token is None else str(token)

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
    """The adapter of a transformers tokenizer."""
    return TransformersTokenizer(native)


def load(spec: TokenizerSpec, folder: Path) -> Tokenizer:
    """Load a folder, a ``tokenizer.json`` or a SentencePiece ``.model``.

    Raises:
        ConfigError: the file does not load, or is not what the class reads.
    """
    transformers = library()
    assert spec.source is not None
    path = spec.source.locate(folder)
    keywords: dict[str, Any] = {f"{name}_token": token for name, token in spec.special_tokens.items()} | spec.options
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice of the library about its own future
            if spec.class_ is None and path.is_file() and path.suffix == ".json":
                if spec.added_tokens is not None:
                    added = spec.source.neighbour(folder, spec.added_tokens)
                    native = transformers.PreTrainedTokenizerFast(tokenizer_object=_completed(path, added), **keywords)
                else:
                    native = _from_folder(transformers.PreTrainedTokenizerFast, path, "tokenizer.json", keywords)
            else:
                native = _by_class(transformers, spec, path, keywords)
    except ConfigError:
        raise
    except Exception as error:  # whatever the library does with a file that it does not understand
        raise ConfigError(f"transformers cannot load {path.name}: {type(error).__name__}: {error}") from error
    return TransformersTokenizer(extend(native, spec))


def _by_class(transformers: Any, spec: TokenizerSpec, path: Path, keywords: dict[str, Any]) -> Any:
    name = spec.class_ or "AutoTokenizer"
    cls = getattr(transformers, name, None)
    if cls is None:
        known = [known for known in dir(transformers) if "Tokenizer" in known]
        raise ConfigError(f"transformers {transformers.__version__} has no class {name!r}{nearest(name, known)}")
    # Before 5.0 the plain name is the slow class; the fast one reads the same file.
    if not hasattr(cls, "backend_tokenizer") and hasattr(transformers, name + "Fast"):
        cls = getattr(transformers, name + "Fast")
    if spec.trust_remote_code:
        keywords = {"trust_remote_code": True, **keywords}
    if path.is_dir():
        return cls.from_pretrained(str(path), local_files_only=True, **keywords)
    return _from_folder(cls, path, "tokenizer.model", keywords)


def _from_folder(cls: Any, path: Path, name: str, keywords: dict[str, Any]) -> Any:
    """A class that reads folders only gets one that holds this file, under the name that it looks for."""
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copy(path, Path(scratch) / name)
        beside = path.parent / "tokenizer_config.json"
        if name == "tokenizer.json" and beside.is_file():
            shutil.copy(beside, scratch)
        return cls.from_pretrained(scratch, local_files_only=True, **keywords)


def _completed(path: Path, added: Path) -> Any:
    """A ``tokenizer.json`` that was shipped without its added tokens, with them put back at their ids."""
    from tokenizers import Tokenizer as Backend

    vocabulary = json.loads(path.read_text(encoding="utf-8"))
    tokens = json.loads(added.read_text(encoding="utf-8"))["added_tokens"]
    plain = {"normalized": False, "lstrip": False, "rstrip": False, "single_word": False}
    vocabulary["added_tokens"] = [
        {"id": token["id"], "content": token["content"], "special": token["special"], **plain}
        for token in sorted(tokens, key=lambda token: token["id"])
    ]
    backend = Backend.from_str(json.dumps(vocabulary))
    for token in tokens:
        if backend.token_to_id(token["content"]) != token["id"]:
            raise ConfigError(f"{added.name}: {token['content']!r} does not get its id {token['id']} in {path.name}")
    return backend


def extend(native: Any, spec: TokenizerSpec) -> Any:
    """Add the declared special tokens.

    Raises:
        ConfigError: ids are asked for, which this library gives out itself.
    """
    tokens: Sequence[str] | Mapping[str, int] = spec.add_special_tokens
    if isinstance(tokens, Mapping):
        raise ConfigError("add_special_tokens: transformers gives out the ids itself; list the tokens without ids")
    missing = [token for token in tokens if native.backend_tokenizer.token_to_id(token) is None]
    if missing:
        from tokenizers import AddedToken

        # Not normalised: else they are looked for in changed text, and not found when glued to a word.
        native.add_tokens([AddedToken(token, normalized=False, special=True) for token in missing], special_tokens=True)
    return native
