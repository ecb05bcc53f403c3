"""mistral-common: Tekkenizer (tekken JSON) and SentencePieceTokenizer; neither reads special tokens from text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from image_spans.errors import ConfigError, Unavailable, nearest
from image_spans.subject import Ids, Tokenizer, nameless
from image_spans.tokenizers._ids import beside_names, named, spelled

if TYPE_CHECKING:
    from image_spans.tokenizers import TokenizerSpec

DISTRIBUTION = "mistral-common"
NATIVE = {
    "mistral_common.Tekkenizer",
    "mistral_common.SentencePieceTokenizer",
    "mistral_common.MistralTokenizer",
    # transformers holds a MistralTokenizer in these, and says itself what the plain call adds.
    "transformers.MistralCommonBackend",
    "transformers.MistralCommonTokenizer",
}
KEYS = {"options"}
_ENDS = ("bos", "eos")


class _MistralTokenizer:
    """What both kinds share. The library's call must be told of BOS and EOS; ``ends`` is what it is told."""

    def __init__(self, native: Any, names: Mapping[str, str] | None = None, ends: Mapping[str, bool] | None = None):
        self.native = native  # what the pipeline gets: a MistralTokenizer, where the tokenizer came in one
        self._native = _unwrapped(native)
        self.library = f"mistral_common {_version()} {type(self._native).__name__}"
        if native.__class__.__module__.startswith("transformers."):
            self._call: Callable[[str], Any] = native.encode
        else:
            self._call = partial(self._native.encode, **{"bos": False, "eos": False, **(ends or {})})
        self._known = range(int(self._native.n_words)).__contains__
        self._special = self._specials()
        found = {name: int(getattr(self._native, f"{name}_id")) for name in ("bos", "eos", "unk", "pad")}
        self._named = {name: token_id for name, token_id in found.items() if token_id >= 0}
        self._named |= named(names or {}, self.token_to_id)

    def encode(self, text: str) -> list[int]:
        return list(self._call(text))

    def encode_text(self, text: str) -> list[int]:
        return list(self._native.encode(text, bos=False, eos=False))

    encode_markup = encode_text  # special tokens are never read from text

    def decode(self, ids: Ids) -> str:
        return spelled(ids, self._known, self._decode)

    def token_to_id(self, token: str) -> int | None:
        raise NotImplementedError

    def id_to_token(self, token_id: int) -> str:
        # The library itself would take -1 for the last special token.
        return self._name(token_id) if self._known(token_id) else nameless(token_id)

    def special_tokens(self) -> Mapping[str, int]:
        return self._special

    def named_ids(self) -> Mapping[str, int]:
        return self._named

    def _specials(self) -> dict[str, int]:
        """By their names, unk not among them."""
        native = self._native
        unk = native.unk_id
        return {native.id_to_piece(token_id): int(token_id) for token_id in sorted(native.special_ids - {unk})}

    def _name(self, token_id: int) -> str:
        raise NotImplementedError

    def _decode(self, ids: list[int]) -> str:
        raise NotImplementedError


class TekkenTokenizer(_MistralTokenizer):
    """A ``Tekkenizer``: ranks behind a block of special ids, most of them unused (``<SPECIAL_20>``)."""

    def token_to_id(self, token: str) -> int | None:
        return self._ids.get(token)

    @cached_property
    def _ids(self) -> dict[str, int]:
        native = self._native
        # Parts of characters have no name in text. Special ids come first, and keep their name.
        pieces = list(enumerate(native.vocab()))
        ids = {piece: token_id for token_id, piece in reversed(pieces) if "\ufffd" not in piece}
        return ids | {native.id_to_piece(token_id): token_id for token_id in native.special_ids}

    def _name(self, token_id: int) -> str:
        if self._native.is_special(token_id):
            return str(self._native.id_to_piece(token_id))
        token: bytes = self._native.id_to_byte_piece(token_id)
        try:
            return token.decode()
        except UnicodeDecodeError:  # a part of a character
            return "".join(f"<0x{byte:02X}>" for byte in token)

    def _decode(self, ids: list[int]) -> str:
        from mistral_common.tokens.tokenizers.base import SpecialTokenPolicy

        return str(self._native.decode(ids, special_token_policy=SpecialTokenPolicy.KEEP))


class PieceTokenizer(_MistralTokenizer):
    """mistral-common's ``SentencePieceTokenizer``."""

    def token_to_id(self, token: str) -> int | None:
        token_id = int(self._native.get_special_token(token))  # whatever the piece; unk for what is none
        return token_id if self._name(token_id) == token else None

    def _name(self, token_id: int) -> str:
        return str(self._native.id_to_piece(token_id))

    @cached_property
    def _special_names(self) -> dict[int, str]:
        return {token_id: token for token, token_id in self._special.items()}

    @cached_property
    def _lead(self) -> list[int]:
        return self.encode_text("x")[-1:]

    def _decode(self, ids: list[int]) -> str:
        # Asked to keep special tokens, the library returns all others as pieces too ("▁hello").
        return beside_names(ids, self._special_names.get, self._native.decode, self._lead)


def _version() -> str:
    import mistral_common

    return str(mistral_common.__version__)


def _unwrapped(native: Any) -> Any:
    for inside in ("tokenizer", "instruct_tokenizer", "tokenizer"):
        native = getattr(native, inside, native)
    return native


def _adapter(
    native: Any, names: Mapping[str, str] | None = None, ends: Mapping[str, bool] | None = None
) -> _MistralTokenizer:
    from mistral_common.tokens.tokenizers.tekken import Tekkenizer

    kind = TekkenTokenizer if isinstance(_unwrapped(native), Tekkenizer) else PieceTokenizer
    return kind(native, names, ends)


def adapt(native: Any) -> Tokenizer:
    """The adapter of a Tekkenizer, a SentencePieceTokenizer, or what holds one of them."""
    return _adapter(native)


def load(spec: TokenizerSpec, folder: Path) -> Tokenizer:
    """Load a tekken ``.json`` or a SentencePiece ``.model.v1``, ``.model.v7m1`` and so on.

    Raises:
        ConfigError: it is none.
        Unavailable: it is one for sentencepiece, which this library needs for such files only.
    """
    from mistral_common.tokens.tokenizers.sentencepiece import SentencePieceTokenizer
    from mistral_common.tokens.tokenizers.tekken import Tekkenizer

    assert spec.source is not None
    path = spec.source.locate(folder)
    try:
        native = Tekkenizer.from_file(path) if path.suffix == ".json" else SentencePieceTokenizer(path)
    except ImportError as error:
        raise Unavailable(f"mistral-common needs sentencepiece for {path.name} (pip install sentencepiece)") from error
    except Exception as error:  # whatever the library does with a file that it does not understand
        raise ConfigError(f"mistral-common cannot load {path.name}: {type(error).__name__}: {error}") from error
    return finish(native, spec)


def finish(native: Any, spec: TokenizerSpec) -> Tokenizer:
    """The adapter, with the names of the spec, and BOS and EOS in the plain call as ``options`` say.

    Raises:
        ConfigError: they do not fit, or tokens are to be added.
    """
    for name, value in spec.options.items():
        if name not in _ENDS:
            raise ConfigError(f"options: the plain call of mistral-common has no {name!r}{nearest(name, _ENDS)}")
        if not isinstance(value, bool):
            raise ConfigError(f"options: {name} is {value!r}; expected true or false")
    tokenizer = within(native, spec, spec.options)
    for name in _ENDS:
        if spec.options.get(name) and name not in tokenizer.named_ids():
            raise ConfigError(f"options: {name}, but the vocabulary has none")
    return tokenizer


def within(native: Any, spec: TokenizerSpec, ends: Mapping[str, bool] | None = None) -> Tokenizer:
    """The adapter with the names of the spec; transformers asks for it too, whose options are its own.

    Raises:
        ConfigError: tokens are to be added, or a name does not fit.
    """
    if spec.add_special_tokens:
        raise ConfigError("add_special_tokens: mistral-common has the special tokens of its file and takes no others")
    return _adapter(native, spec.special_tokens, ends)
