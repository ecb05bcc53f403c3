"""Tokenizers of transformers that are written in Python round a ``SentencePieceProcessor``.

``SentencePieceBackend`` and its subclasses since 5.0, before it the slow classes that hold an ``sp_model``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from image_spans.errors import ConfigError
from image_spans.subject import Ids, nameless
from image_spans.tokenizers._ids import beside_names, spelled
from image_spans.tokenizers.sentencepiece import special_pieces

if TYPE_CHECKING:
    from image_spans.tokenizers import TokenizerSpec

_NAMES = ("bos", "eos", "unk", "pad")


class TransformersPieceTokenizer:
    """A tokenizer with ``sp_model``. Only what was added or has a name is read from text, not what is control there."""

    def __init__(self, native: Any, version: str) -> None:
        self.native = native  # what the pipeline gets; the processor, where the tokenizer came in one
        self._native = native
        self.library = f"transformers {version} {type(native).__name__}"
        self._unk = native.unk_token_id
        self._token = cache(self._look_up)
        self._special: dict[str, int] | None = None
        self._names: dict[int, str] = {}
        self._lead = self._native.sp_model.encode("x")[-1:]

    def encode(self, text: str) -> list[int]:
        return list(self._native.encode(text))

    def encode_text(self, text: str) -> list[int]:
        return list(self._native.encode(text, add_special_tokens=False, split_special_tokens=True))

    def encode_markup(self, text: str) -> list[int]:
        return list(self._native.encode(text, add_special_tokens=False))

    def decode(self, ids: Ids) -> str:
        return spelled(ids, lambda token_id: self._token(token_id) is not None, self._decode)

    def _decode(self, ids: list[int]) -> str:
        # The class's own decode strips blanks, and prints the pieces of bytes as "<0x0A>".
        self.special_tokens()
        return beside_names(ids, self._names.get, self._plain, self._lead)

    def _plain(self, ids: list[int]) -> str:
        # Through pieces: the ids of some classes are not those of the model.
        return str(self._native.sp_model.decode([self._token(token_id) for token_id in ids]))

    def token_to_id(self, token: str) -> int | None:
        found = self._native.convert_tokens_to_ids(token)  # unk for what it does not know
        return None if found is None or self._token(found) != token else int(found)

    def id_to_token(self, token_id: int) -> str:
        token = self._token(token_id)
        return nameless(token_id) if token is None else token

    def _look_up(self, token_id: int) -> str | None:
        if token_id < 0:
            return None
        try:
            token = self._native.convert_ids_to_tokens(int(token_id))
        except (IndexError, KeyError, TypeError, OverflowError):  # the model has no such piece
            return None
        return None if token is None else str(token)

    def special_tokens(self) -> Mapping[str, int]:
        if self._special is None:
            added = self._native.added_tokens_decoder
            found = {token: self.token_to_id(token) for token in special_pieces(self._native.sp_model)}
            found |= {str(token.content): int(token_id) for token_id, token in added.items() if token.special}
            self._special = {t: i for t, i in found.items() if i is not None and i != self._unk}
            self._names = {token_id: token for token, token_id in self._special.items()}
            self._names |= {int(token_id): str(token.content) for token_id, token in added.items()}
        return self._special

    def named_ids(self) -> Mapping[str, int]:
        found = {name: getattr(self._native, f"{name}_token_id") for name in _NAMES}
        return {name: int(token_id) for name, token_id in found.items() if token_id is not None}


def backend(transformers: Any, options: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The class ``SentencePieceBackend``, and its keywords, in the releases that have it and those that do not."""
    cls = getattr(transformers, "SentencePieceBackend", None)
    if cls is not None:
        return cls, dict(options)
    # Before 5.0 the slow LlamaTokenizer is the same code. Its defaults are not: it names tokens and adds BOS of
    # itself, and without legacy it writes the prefix that it took from the model.
    pattern = options.get("special_tokens_pattern") or ""
    keywords: dict[str, Any] = {"bos_token": None, "eos_token": None, "unk_token": None, "legacy": True, **options}
    keywords.pop("special_tokens_pattern", None)
    keywords = {"add_bos_token": "bos" in pattern, "add_eos_token": "eos" in pattern, **keywords}
    return transformers.LlamaTokenizer, {"add_prefix_space": keywords["legacy"], **keywords}


def check(native: Any, spec: TokenizerSpec) -> None:
    """Refuse what this class would ignore, or stumble over later.

    Raises:
        ConfigError: an option without effect, or a name that is needed.
    """
    if getattr(native, "legacy", None) is False and native.unk_token is None:
        raise ConfigError("options: legacy: false works through unk, which no token is named; special_tokens gives it")
    ids = native.encode("a")
    for name, at in (("bos", 0), ("eos", -1)):
        if spec.options.get(f"add_{name}_token") and ids[at] != getattr(native, f"{name}_token_id"):
            raise ConfigError(
                f"options: {type(native).__name__} of this release ignores add_{name}_token; "
                "special_tokens_pattern is 'bos', 'eos' or 'bos_eos'"
            )


def extend(native: Any, spec: TokenizerSpec) -> None:
    """Add the declared special tokens; a control piece of the model keeps its id, and is read from text then."""
    known = native.added_tokens_encoder
    missing = [token for token in spec.add_special_tokens if token not in known]
    if missing:
        from tokenizers import AddedToken

        native.add_tokens([AddedToken(token, normalized=False, special=True) for token in missing], special_tokens=True)
