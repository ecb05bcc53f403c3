"""A subject: a tokenizer, the pipeline under test, and the contract that it promises."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, TypeAlias

from image_spans.contract import Contract
from image_spans.conversation import Conversation

Ids: TypeAlias = Sequence[int]


def nameless(token_id: int) -> str:
    """How an id is shown that no token has."""
    return f"<id {token_id}>"


class Tokenizer(Protocol):
    """A native tokenizer behind one interface; every adapter has exactly this.

    Ids are plain ``int``. No method may depend on a flag of the native object: what a call adds is
    found out by calling it (:func:`image_spans.tokenizers.observe`).
    """

    native: Any
    """The library's own object; this is what a pipeline under test receives."""

    library: str
    """Distribution and version of the library, and the class, e.g. ``"tiktoken 0.14.0 Encoding"``."""

    def encode(self, text: str) -> list[int]:
        """The library's plain call, with the BOS, EOS or extra first token that it adds of itself."""
        ...

    def encode_text(self, text: str) -> list[int]:
        """Without BOS and EOS; a special token spelled in ``text`` is ordinary text, where the library can."""
        ...

    def encode_markup(self, text: str) -> list[int]:
        """Without BOS and EOS; a special token spelled in ``text`` is read as that token, where the library can."""
        ...

    def decode(self, ids: Ids) -> str:
        """The text of ``ids``, special tokens kept where the library can spell them."""
        ...

    def token_to_id(self, token: str) -> int | None:
        """The id of a token by look-up; None (never the id of unk) when there is no such token."""
        ...

    def id_to_token(self, token_id: int) -> str:
        """The token's name in the vocabulary; for an id outside of it ``"<id 123>"``."""
        ...

    def special_tokens(self) -> Mapping[str, int]:
        """Tokens that are not ordinary text: control pieces, added special tokens; unk is not among them."""
        ...

    def named_ids(self) -> Mapping[str, int]:
        """The ids that the library names ``bos``, ``eos``, ``unk``, ``pad``, where it names them. 0 is an id."""
        ...


@dataclass(frozen=True)
class Facts:
    """What was observed of a tokenizer by encoding; no flag was read."""

    prefix: tuple[int, ...]
    """Ids that the native call puts before any text (BOS), the same for every text."""

    suffix: tuple[int, ...]
    """Ids that the native call puts after any text (EOS)."""

    bos: int | None
    """The BOS id: that of ``prefix``, or else the one that the library names; None: there is none."""

    dummy_prefix: bool
    """Whether text alone gets a blank in front that it does not have (SentencePiece's ``▁``)."""

    normalises: bool
    """Whether decoding gives back another text than was encoded, for some text of ordinary characters."""

    reads_markers: Mapping[str, bool]
    """Per declared marker: whether its text alone encodes (as markup) to exactly its id."""

    protects_text: bool
    """Whether ``encode_text`` keeps every declared marker that is spelled in text from becoming its id."""

    anchor: tuple[int, ...]
    """Ids to put in front before decoding a stretch, so that a leading blank is not stripped from it."""

    anchor_text: str
    """What ``anchor`` decodes to."""


@dataclass(frozen=True)
class Encoding:
    """What a pipeline returned for one conversation, checked for form and made of plain lists."""

    ids: list[int]
    image_bounds: list[tuple[int, int]] | None = None
    features: list[tuple[int, int]] | None = None
    arrays: Mapping[str, list[int]] = field(default_factory=dict)
    """Per-token arrays: labels, attention_mask, token_type_ids, position_ids."""
    pixels: int | None = None
    """The slots that the pixel array has room for, of all images together."""


class BadEncoding(Exception):
    """A pipeline returned something that is not an encoding; the text says what and where."""


class Pipeline(Protocol):
    """The code under test; a function will do."""

    def __call__(self, tokenizer: Any, conversation: Conversation, **options: Any) -> Any: ...


@dataclass(frozen=True, eq=False)
class Subject:
    """Everything that the checks need to know of one entry of the YAML, loaded and ready."""

    name: str
    tokenizer: Tokenizer
    facts: Facts
    contract: Contract
    pipeline: Callable[..., Any]
    """The pipeline with tokenizer and options bound; what it returns is not yet an :class:`Encoding`."""
    returns: frozenset[str] = frozenset()
    paths: Mapping[str, Callable[[Conversation], Any]] = field(default_factory=dict)
    refusals: tuple[type[Exception], ...] = (ValueError,)
    known_ids: Mapping[str, int] = field(default_factory=dict)
    markers_as_text: bool = False
    """Whether the pipeline puts markers in as text (else: as ids)."""
    abilities: frozenset[str] = frozenset()
    """All that is declared: ``returns``, the keywords that the pipeline accepts, and which other entries it has."""
    batch: Callable[..., Any] | None = None
    """From conversations and ``padding_side`` to a mapping of rows."""
    extend: Callable[..., Any] | None = None
    """From an encoding and one message more to the longer encoding."""
    predict: Callable[[int, int], Any] | None = None
    """From width and height in pixels to the slots of an image, if the subject declares such a predictor."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "abilities", self.abilities | self.returns)

    def encode(self, conversation: Conversation, **keywords: Any) -> Encoding:
        """Run the pipeline; ``keywords`` are those that it declares to accept.

        Raises:
            BadEncoding: what came back is not an encoding.
            Exception: whatever the pipeline raised.
        """
        return as_encoding(self.pipeline(conversation, **keywords), self.returns)

    @cached_property
    def marker_ids(self) -> Mapping[str, int]:
        """Role to id, for the declared markers that the vocabulary has."""
        found = {role: self.tokenizer.token_to_id(token) for role, token in self.contract.markers.items()}
        return {role: token_id for role, token_id in found.items() if token_id is not None}


_ARRAYS = ("labels", "attention_mask", "token_type_ids", "position_ids")
RETURNS = ("image_bounds", "features", "pixels", *_ARRAYS)
"""The keys that a pipeline may return besides ``input_ids``."""


def as_encoding(result: Any, declared: frozenset[str] = frozenset()) -> Encoding:
    """The :class:`Encoding` in what a pipeline returned: ids, or a mapping with ``input_ids``.

    Raises:
        BadEncoding: wrong type or shape, a declared key is missing, an array is not as long as the ids.
    """
    if isinstance(result, Mapping):
        if "input_ids" not in result:
            raise BadEncoding(f"the mapping has no 'input_ids'; its keys are {sorted(map(str, result))}")
        missing = sorted(key for key in declared if result.get(key) is None)
        if missing:
            raise BadEncoding(f"declared under 'returns' but not returned: {', '.join(missing)}")
        ids = _ints(result["input_ids"], "input_ids")
        arrays = {key: _ints(result[key], key) for key in _ARRAYS if result.get(key) is not None}
        for key, values in arrays.items():
            if len(values) != len(ids):
                raise BadEncoding(f"{key} has {len(values)} entries for {len(ids)} ids")
        pixels = None if result.get("pixels") is None else _ints([result["pixels"]], "pixels")[0]
        return Encoding(ids, _pairs(result, "image_bounds"), _pairs(result, "features"), arrays, pixels)
    if declared:
        raise BadEncoding(f"declared under 'returns' but only ids came back: {', '.join(sorted(declared))}")
    return Encoding(_ints(result, "the result"))


def as_rows(result: Any, declared: frozenset[str] = frozenset()) -> list[Encoding]:
    """The rows of a batch, padding and all: a mapping of keys to one entry per conversation.

    Raises:
        BadEncoding: not such a mapping, keys with other numbers of rows, or a row that is no encoding.
    """
    declared -= {"pixels"}  # one array holds the pixels of all rows
    if not isinstance(result, Mapping) or "input_ids" not in result:
        raise BadEncoding("a batch is a mapping with 'input_ids' and a row for each conversation")
    missing = sorted(key for key in declared if result.get(key) is None)
    if missing:
        raise BadEncoding(f"declared under 'returns' but not in the batch: {', '.join(missing)}")
    columns: dict[str, Sequence[Any]] = {}
    for key in ("input_ids", *RETURNS):
        column = result.get(key)
        if column is None:
            continue
        if isinstance(column, (str, bytes)) or not hasattr(column, "__len__") or not hasattr(column, "__getitem__"):
            raise BadEncoding(f"{key} of the batch is a {type(column).__name__}, not a list of rows")
        columns[key] = column
        if len(column) != len(columns["input_ids"]):
            raise BadEncoding(f"{key} of the batch has {len(column)} rows for {len(columns['input_ids'])} of input_ids")
    rows = []
    for index in range(len(columns["input_ids"])):
        try:
            rows.append(as_encoding({key: column[index] for key, column in columns.items()}, declared))
        except BadEncoding as error:
            raise BadEncoding(f"row {index} of the batch: {error}") from None
    return rows


def _ints(value: Any, what: str) -> list[int]:
    if hasattr(value, "tolist"):  # numpy arrays and torch tensors, without importing either
        value = value.tolist()
    if isinstance(value, (str, bytes, bytearray)) or not isinstance(value, Sequence):
        raise BadEncoding(f"{what} is a {type(value).__name__}, not a list of ids")
    found = list(value)
    if set(map(type, found)) <= {int}:
        return found
    for index, item in enumerate(found):
        if type(item) is int:
            continue
        if isinstance(item, Sequence) and not isinstance(item, (str, bytes)):
            raise BadEncoding(f"{what} is nested: entry {index} is a {type(item).__name__}; expected one flat list")
        try:
            if isinstance(item, bool):
                raise TypeError
            found[index] = operator.index(item)  # a float tensor has __index__ too, and raises
        except TypeError:
            raise BadEncoding(f"{what} holds {item!r} ({type(item).__name__}) at {index}; expected ints") from None
    return found


def _pairs(result: Mapping[str, Any], key: str) -> list[tuple[int, int]] | None:
    value = result.get(key)
    if value is None:
        return None
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise BadEncoding(f"{key} is a {type(value).__name__}, not a list of pairs")
    found = []
    for index, item in enumerate(value):
        pair = _ints(item, f"{key}[{index}]")
        if len(pair) != 2:
            raise BadEncoding(f"{key}[{index}] has {len(pair)} entries, not 2")
        found.append((pair[0], pair[1]))
    return found
