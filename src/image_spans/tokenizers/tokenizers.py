"""The tokenizers library itself, without transformers: what a ``tokenizer.json`` says, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from image_spans.errors import ConfigError
from image_spans.subject import Ids, Tokenizer, nameless
from image_spans.tokenizers._ids import named, spelled

if TYPE_CHECKING:
    from image_spans.tokenizers import TokenizerSpec

DISTRIBUTION = "tokenizers"
NATIVE = {"tokenizers.Tokenizer"}
KEYS = {"added_tokens"}


def _inside(native: Any, spec: TokenizerSpec) -> Any:
    return native.backend_tokenizer


TAKES = dict.fromkeys(("transformers.PreTrainedTokenizerFast", "transformers.TokenizersBackend"), _inside)


class RawTokenizer:
    """A ``tokenizers.Tokenizer``. Its plain call pads and truncates where the file says so; the others never do.

    The library names no tokens: only the spec says which one is BOS.
    """

    def __init__(self, native: Any, names: Mapping[str, str] | None = None) -> None:
        import tokenizers

        self.native = native  # what the pipeline gets; the processor, where the tokenizer came in one
        self._native = native
        self.library = f"tokenizers {tokenizers.__version__} {type(native).__name__}"
        self._decode = partial(native.decode, skip_special_tokens=False)
        self._known = cache(lambda token_id: self._name(token_id) is not None)
        unk = _unk(native)
        self._named = {} if unk is None else {"unk": unk}
        self._named |= named(names or {}, self.token_to_id)
        self._special: dict[str, int] | None = None

    def encode(self, text: str) -> list[int]:
        return list(self._native.encode(text).ids)

    def encode_text(self, text: str) -> list[int]:
        with _set(self._native, protected=True):
            return list(self._native.encode(text, add_special_tokens=False).ids)

    def encode_markup(self, text: str) -> list[int]:
        with _set(self._native, protected=False):
            return list(self._native.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Ids) -> str:
        return spelled(ids, self._known, self._decode)

    def token_to_id(self, token: str) -> int | None:
        found: int | None = self._native.token_to_id(token)
        return found

    def id_to_token(self, token_id: int) -> str:
        token = self._name(token_id)
        return nameless(token_id) if token is None else token

    def _name(self, token_id: int) -> str | None:
        try:
            token: str | None = self._native.id_to_token(token_id)
        except OverflowError:  # it is negative, or far too large
            return None
        return token

    def special_tokens(self) -> Mapping[str, int]:
        if self._special is None:
            added = self._native.get_added_tokens_decoder()
            unk = self._named.get("unk")
            self._special = {
                str(token.content): int(token_id)
                for token_id, token in added.items()
                if token.special and token_id != unk
            }
        return self._special

    def named_ids(self) -> Mapping[str, int]:
        return self._named


@contextmanager
def _set(native: Any, *, protected: bool) -> Iterator[None]:
    """For one call: whether special tokens are plain text, and the text whole; the pipeline's settings come back."""
    before, truncation, padding = native.encode_special_tokens, native.truncation, native.padding
    native.encode_special_tokens = protected
    if truncation is not None:
        native.no_truncation()
    if padding is not None:
        native.no_padding()
    try:
        yield
    finally:
        native.encode_special_tokens = before
        if truncation is not None:
            native.enable_truncation(**truncation)
        if padding is not None:
            native.enable_padding(**padding)


def _unk(native: Any) -> int | None:
    """The id that the model gives to what it does not know; Unigram tells it in its JSON only."""
    model = native.model
    if type(model).__name__ == "Unigram":
        unk: int | None = json.loads(native.to_str())["model"].get("unk_id")
        return unk
    token = getattr(model, "unk_token", None)
    return None if token is None else native.token_to_id(token)


def adapt(native: Any) -> Tokenizer:
    """The adapter of a raw Tokenizer."""
    return RawTokenizer(native)


def load(spec: TokenizerSpec, folder: Path) -> Tokenizer:
    """Load a ``tokenizer.json``.

    Raises:
        ConfigError: it is none.
    """
    from tokenizers import Tokenizer as Raw

    assert spec.source is not None
    path = spec.source.locate(folder)
    try:
        if spec.added_tokens is not None:
            native = completed(path, spec.source.neighbour(folder, spec.added_tokens))
        else:
            native = Raw.from_str(path.read_text(encoding="utf-8"))
    except ConfigError:
        raise
    except Exception as error:  # the library raises plain Exception
        raise ConfigError(f"tokenizers cannot load {path.name}: {error}") from error
    return finish(native, spec)


def completed(path: Path, added: Path) -> Any:
    """A ``tokenizer.json`` that was shipped without its added tokens, with them put back at their ids.

    Raises:
        ConfigError: the file of added tokens is none, or does not fit.
    """
    from tokenizers import Tokenizer as Raw

    vocabulary = json.loads(path.read_text(encoding="utf-8"))
    plain = {"normalized": False, "lstrip": False, "rstrip": False, "single_word": False}
    try:
        tokens = json.loads(added.read_text(encoding="utf-8"))["added_tokens"]
        vocabulary["added_tokens"] = [
            {"id": token["id"], "content": token["content"], "special": token["special"], **plain}
            for token in sorted(tokens, key=lambda token: token["id"])
        ]
    except (ValueError, KeyError, TypeError) as error:
        text = f"{added.name} does not list added_tokens with id, content and special: {type(error).__name__}: {error}"
        raise ConfigError(text) from error
    native = Raw.from_str(json.dumps(vocabulary))
    for token in tokens:
        if native.token_to_id(token["content"]) != token["id"]:
            raise ConfigError(f"{added.name}: {token['content']!r} does not get its id {token['id']} in {path.name}")
    return native


def finish(native: Any, spec: TokenizerSpec) -> Tokenizer:
    """The adapter, with the tokens and names that the spec adds.

    Raises:
        ConfigError: they do not fit.
    """
    return RawTokenizer(extend(native, spec), spec.special_tokens)


def extend(native: Any, spec: TokenizerSpec) -> Any:
    """Add the declared special tokens.

    Raises:
        ConfigError: ids are asked for, which this library gives out itself.
    """
    if isinstance(spec.add_special_tokens, Mapping):
        raise ConfigError("add_special_tokens: tokenizers gives out the ids itself; list the tokens without ids")
    missing = [token for token in spec.add_special_tokens if native.token_to_id(token) is None]
    if missing:
        from tokenizers import AddedToken

        # Not normalised: else they are looked for in changed text, and not found when glued to a word.
        native.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in missing])
    return native
