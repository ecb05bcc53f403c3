"""sentencepiece itself, without transformers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from image_spans.errors import ConfigError
from image_spans.subject import Ids, Tokenizer, nameless
from image_spans.tokenizers._ids import named, spelled

if TYPE_CHECKING:
    from image_spans.tokenizers import TokenizerSpec

DISTRIBUTION = "sentencepiece"
NATIVE = {"sentencepiece.SentencePieceProcessor"}
KEYS = {"options"}


class SentencePieceTokenizer:
    """A ``SentencePieceProcessor``.

    Control pieces are never read from text and decode to nothing; user-defined pieces are always read.
    """

    def __init__(self, native: Any, names: Mapping[str, str] | None = None) -> None:
        import sentencepiece

        self.native = native  # what the pipeline gets; the processor, where the tokenizer came in one
        self._native = native
        self.library = f"sentencepiece {sentencepiece.__version__} {type(native).__name__}"
        self._size = native.get_piece_size()
        self._unk = native.unk_id()
        self._named = named(names or {}, self.token_to_id)
        self._special: dict[str, int] | None = None

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self._native.encode(text)
        return ids

    def encode_text(self, text: str) -> list[int]:
        ids: list[int] = self._native.encode(text, add_bos=False, add_eos=False)
        return ids

    encode_markup = encode_text  # what is read from text is fixed in the model

    def decode(self, ids: Ids) -> str:
        return spelled(ids, range(self._size).__contains__, self._native.decode)

    def token_to_id(self, token: str) -> int | None:
        token_id = int(self._native.piece_to_id(token))
        return token_id if self._native.id_to_piece(token_id) == token else None

    def id_to_token(self, token_id: int) -> str:
        return str(self._native.id_to_piece(token_id)) if 0 <= token_id < self._size else nameless(token_id)

    def special_tokens(self) -> Mapping[str, int]:
        if self._special is None:
            self._special = special_pieces(self._native)
        return self._special

    def named_ids(self) -> Mapping[str, int]:
        native = self._native
        found = {"bos": native.bos_id(), "eos": native.eos_id(), "unk": self._unk, "pad": native.pad_id()}
        return {name: int(token_id) for name, token_id in found.items() if token_id >= 0} | self._named


def special_pieces(native: Any) -> dict[str, int]:
    """The control and user-defined pieces of a SentencePieceProcessor."""
    pieces = _model(native.serialized_model_proto()).pieces
    return {
        piece.piece: index for index, piece in enumerate(pieces) if piece.type in (piece.CONTROL, piece.USER_DEFINED)
    }


def _model(proto: bytes) -> Any:
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(proto)
    return model


def adapt(native: Any) -> Tokenizer:
    """The adapter of a SentencePieceProcessor."""
    return SentencePieceTokenizer(native)


def load(spec: TokenizerSpec, folder: Path) -> Tokenizer:
    """Load a ``.model`` file.

    Raises:
        ConfigError: it is none, or an option does not fit the processor.
    """
    import sentencepiece

    assert spec.source is not None
    path = spec.source.locate(folder)
    keywords = {key: value for key, value in spec.options.items() if key != "user_defined"}
    try:
        proto = path.read_bytes()
        if not proto:  # which the library takes for "no model yet"
            raise RuntimeError("the file is empty")
        native = sentencepiece.SentencePieceProcessor(model_proto=proto, **keywords)
    except (RuntimeError, TypeError, OSError) as error:
        raise ConfigError(f"sentencepiece cannot load {path.name}: {error}") from error
    return finish(native, spec)


def finish(native: Any, spec: TokenizerSpec) -> Tokenizer:
    """The adapter, with the tokens and names that the spec adds.

    Raises:
        ConfigError: they do not fit.
    """
    return SentencePieceTokenizer(extend(native, spec), spec.special_tokens)


def extend(native: Any, spec: TokenizerSpec) -> Any:
    """Append the declared tokens as control pieces, or as user-defined ones under ``options: user_defined: true``.

    Raises:
        ConfigError: ids are asked for, which follow the last piece here.
    """
    if isinstance(spec.add_special_tokens, Mapping):
        raise ConfigError("add_special_tokens: sentencepiece appends pieces in order; list the tokens without ids")
    model = _model(native.serialized_model_proto())
    have = {piece.piece for piece in model.pieces}
    missing = [token for token in spec.add_special_tokens if token not in have]
    if not missing:
        return native
    kind = model.SentencePiece.USER_DEFINED if spec.options.get("user_defined") else model.SentencePiece.CONTROL
    for token in missing:
        model.pieces.add(piece=token, score=0.0, type=kind)
    native.LoadFromSerializedProto(model.SerializeToString())  # in place: it keeps its options, such as add_bos
    return native
