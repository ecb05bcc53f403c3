"""tiktoken: ranks, a regular expression and a table of special tokens."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from image_spans.errors import ConfigError
from image_spans.subject import Ids, Tokenizer, nameless
from image_spans.tokenizers._ids import named, spelled

if TYPE_CHECKING:
    from image_spans.tokenizers import TokenizerSpec

DISTRIBUTION = "tiktoken"
NATIVE = {"tiktoken.Encoding"}
KEYS = {"pattern"}
_NAMES = {
    "bos": ("<|begin_of_text|>", "<s>", "<bos>"),
    "eos": ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>"),
}


class TiktokenTokenizer:
    """An ``Encoding``. Its plain call adds nothing and raises ValueError on text that spells a special token."""

    def __init__(self, native: Any, names: Mapping[str, str] | None = None) -> None:
        import tiktoken

        self.native = native  # what the pipeline gets; the processor, where the tokenizer came in one
        self._native = native
        self.library = f"tiktoken {tiktoken.__version__} {type(native).__name__}"
        self._special: dict[str, int] = {
            token: native.encode_single_token(token) for token in native.special_tokens_set
        }
        usual = {name: next((t for t in known if t in self._special), None) for name, known in _NAMES.items()}
        self._named = {name: self._special[token] for name, token in usual.items() if token is not None}
        self._known = cache(self._is_known)
        self._named |= named(names or {}, self._special.get)

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self._native.encode(text)
        return ids

    def encode_text(self, text: str) -> list[int]:
        ids: list[int] = self._native.encode_ordinary(text)
        return ids

    def encode_markup(self, text: str) -> list[int]:
        ids: list[int] = self._native.encode(text, allowed_special="all")
        return ids

    def decode(self, ids: Ids) -> str:
        return spelled(ids, self._known, self._native.decode)

    def token_to_id(self, token: str) -> int | None:
        try:
            return int(self._native.encode_single_token(token))
        except KeyError:
            return None

    def id_to_token(self, token_id: int) -> str:
        if not self._known(token_id):
            return nameless(token_id)
        token: bytes = self._native.decode_single_token_bytes(token_id)
        try:
            return token.decode()
        except UnicodeDecodeError:  # a part of a character
            return "".join(f"<0x{byte:02X}>" for byte in token)

    def _is_known(self, token_id: int) -> bool:
        try:
            self._native.decode_single_token_bytes(token_id)
        except (KeyError, OverflowError):
            return False
        return True

    def special_tokens(self) -> Mapping[str, int]:
        return self._special

    def named_ids(self) -> Mapping[str, int]:
        return self._named


def adapt(native: Any) -> Tokenizer:
    """The adapter of an Encoding."""
    return TiktokenTokenizer(native)


def load(spec: TokenizerSpec, folder: Path) -> Tokenizer:
    """Load a rank file: lines of a base64 token and its rank.

    Raises:
        ConfigError: it is none, or ``pattern`` is missing.
    """
    import tiktoken

    assert spec.source is not None
    path = spec.source.locate(folder)
    if spec.pattern is None:
        raise ConfigError("a rank file of tiktoken does not hold its regular expression: pattern is missing")
    try:
        lines = (line.split() for line in path.read_bytes().splitlines() if line)
        ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
        native = tiktoken.Encoding(path.stem, pat_str=spec.pattern, mergeable_ranks=ranks, special_tokens={})
    except (ValueError, binascii.Error, OSError) as error:
        raise ConfigError(f"{path.name} is no rank file of tiktoken: {error}") from error
    return finish(native, spec)


def finish(native: Any, spec: TokenizerSpec) -> Tokenizer:
    """The adapter, with the tokens and names that the spec adds.

    Raises:
        ConfigError: they do not fit.
    """
    return TiktokenTokenizer(extend(native, spec), spec.special_tokens)


def extend(native: Any, spec: TokenizerSpec) -> Any:
    """A new Encoding with the declared special tokens, at the ids given or behind the last one.

    Raises:
        ConfigError: an id is taken already.
    """
    import tiktoken

    given = spec.add_special_tokens
    specials: dict[str, int] = {token: native.encode_single_token(token) for token in native.special_tokens_set}
    taken = {token_id: token for token, token_id in specials.items()}
    free = native.max_token_value + 1
    for token in given:
        token_id = given[token] if isinstance(given, Mapping) else specials.get(token, free)
        if specials.get(token) == token_id:
            continue
        if token in specials:
            raise ConfigError(f"add_special_tokens: {token!r} is there already, with the id {specials[token]}")
        if token_id < 0:
            raise ConfigError(f"add_special_tokens: {token!r} cannot have the id {token_id}")
        if token_id in taken or (isinstance(given, Mapping) and token_id < len(native._mergeable_ranks)):
            raise ConfigError(f"add_special_tokens: the id {token_id} of {token!r} is taken by another token")
        specials[token] = token_id
        taken[token_id] = token
        free = max(free, token_id) + 1
    if not given:
        return native
    return tiktoken.Encoding(
        native.name, pat_str=native._pat_str, mergeable_ranks=native._mergeable_ranks, special_tokens=specials
    )
