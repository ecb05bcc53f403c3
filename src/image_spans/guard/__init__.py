"""The guard: what judges generated conversations judges a real sample too, in a collator, a map or a server.

    guard = load_guard("my-model")                      # of tokenizers_under_test.yaml; or Guard(contract, tokenizer)
    guard.verify_ids(ids, images=[(640, 480)], labels=labels)
    guard.verify_batch(batch, images=[[(640, 480)], []])

It returns nothing, or raises the :class:`image_spans.Finding` that the suite would raise. It sees ids, not text: what
was eaten of a text leaves no trace in them. Without the images' sizes the structure alone is judged.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from image_spans.case import Bench
from image_spans.checks.contract import tokens
from image_spans.config import DEFAULT_FILE, load_subject
from image_spans.contract import Contract
from image_spans.conversation import Conversation, Image, Message, Text
from image_spans.findings import Finding
from image_spans.guard.compiled import Compiled, Key
from image_spans.guard.given import Given, rows_of, sample_of, size_of, sizes_of
from image_spans.guard.judging import Judge, no_pipeline
from image_spans.guard.padding import Padding, Wrong, cut, divide
from image_spans.guard.sample import UNKNOWN_SIZE, as_written
from image_spans.guard.shape import shape_of
from image_spans.oracles import Expected
from image_spans.slicing import Block, Layout
from image_spans.subject import Subject, Tokenizer
from image_spans.tokenizers import adapt, observe

__all__ = ["Guard", "load_guard", "verify_batch", "verify_ids"]


class Guard:
    """Judges samples of one subject; made once, used for many, in any process.

    Args:
        contract: what the samples must be; or a whole subject, of which no more is needed.
        tokenizer: the object of a supported library, or one with the methods of :class:`image_spans.Tokenizer`.
        name: what findings call the subject.

    Raises:
        TypeError: a contract without a tokenizer, or neither contract nor subject.
        ConfigError: no such tokenizer.
        Finding: of ``contract.tokens``, where a marker is not one id.
    """

    def __init__(self, contract: Contract | Subject, tokenizer: Any = None, name: str = "this contract") -> None:
        self._made_by: tuple[Callable[..., Guard], tuple[Any, ...]] = Guard, (contract, tokenizer, name)
        self.subject = contract if isinstance(contract, Subject) else _subject(contract, tokenizer, name)
        finding = tokens(replace(self.subject, markers_as_text=False))
        if isinstance(finding, Finding):
            raise finding
        declared = self.subject.contract
        facts = self.subject.facts
        if declared.bos == "none" and facts.bos is not None and _spells(declared, self.subject.tokenizer, facts.bos):
            facts = replace(facts, bos=None)  # how often it must stand there depends on the messages
        # What a predictor says is no matter of a sample.
        written = replace(self.subject, contract=as_written(declared), facts=facts, predict=None)
        bench = Bench(written)
        self._by_features = declared.images.slots == "from_features"
        self._padding = Padding.of(declared, self.subject.tokenizer, facts)
        shape = shape_of(written.contract, bench.oracle)
        self._oracle = bench.oracle
        self._compiled = Compiled(bench, shape, self._expected)
        self._judge = Judge(self.subject, written, shape)

    def __reduce__(self) -> tuple[Any, ...]:
        return self._made_by  # made anew where it is unpickled: adapters of tokenizers cannot be pickled

    def verify_ids(self, ids: Any, images: Any = None, *, sample: int | None = None, **side_arrays: Any) -> None:
        """Judge one sample, padded or not.

        Args:
            ids: a list, array or tensor of one axis.
            images: ``(width, height)`` in pixels of each image, in the order in which they stand in the ids; None: not
                known, so the structure alone is judged. Under ``slots: from_features`` the number of images counts.
            sample: the number that the finding gives it.
            side_arrays: ``labels``, ``attention_mask``, ``token_type_ids``, ``position_ids`` (as many entries as ids),
                ``image_bounds`` (pairs of start and end) and ``features`` (pairs of image and slots).

        Raises:
            Finding: the first thing that is wrong, with its cause.
            TypeError: something of another type; says what was expected.
            ValueError: an array of another length or shape, or a size that no image has.
        """
        found = self._found(sample_of(ids, side_arrays), images)
        if found is not None:
            raise found if sample is None else found.having(sample=sample)

    def verify_batch(self, batch: Any, images: Any = None) -> None:
        """Judge all samples of a batch, padded on either side or ragged.

        Args:
            batch: a mapping with ``input_ids`` and any of the side arrays, each with a row for every sample, other keys
                are ignored; or the rows of ids alone.
            images: for each row the sizes of its images, as :meth:`verify_ids` takes them.

        Raises:
            Finding: of the first wrong row; ``sample`` tells which.
            TypeError, ValueError: as :meth:`verify_ids`.
        """
        ids, side = rows_of(batch)
        sizes = None if images is None else sizes_of(images, "images of the batch")
        if sizes is not None and len(sizes) != len(ids):
            raise self._judge.of_rows(len(ids), len(sizes))
        for row, row_ids in enumerate(ids):
            given = sample_of(row_ids, {key: column[row] for key, column in side.items()}, "input_ids")
            found = self._found(given, None if sizes is None else sizes[row])
            if found is not None:
                raise found.having(sample=row)

    def _found(self, given: Given, images: Any) -> Finding | None:
        sizes = None if images is None else sizes_of(images)
        if given.features is not None and sizes is None and not self._by_features:
            raise ValueError("features are compared image by image; give images=[(width, height), ...] too")
        where = divide(given, self._padding)
        if isinstance(where, Wrong):
            return self._judge.of_padding(given, where)
        own = cut(given, *where)
        slots = _slots(own.features, sizes) if self._by_features and own.features is not None else None
        if self._compiled.passes(own, sizes, slots):
            return None
        known = None
        if sizes is not None:
            known = [Image(*size_of(size, f"images[{index}]")) for index, size in enumerate(sizes)]
        elif slots is not None:
            known = [UNKNOWN_SIZE] * len(slots)
        finding = self._judge.judge(own, known)
        if finding is None:
            self._compiled.remember(own, sizes, slots)
        elif where[0] and finding.at is not None:
            message = f"{finding.message} (counted behind {where[0]} ids of padding)"
            return finding.having(message=message, at=finding.at + where[0])
        return finding

    def _expected(self, key: Key) -> Expected:
        """What must stand for one image."""
        width, height, count, number = key
        image = UNKNOWN_SIZE if self._by_features else Image(width, height)
        layout = Layout(Block(1, width)) if self._by_features else self._layout(width, height, count)
        apart = [part for _ in range(number + 1) for part in (image, Text("a"))]
        whole = self._oracle.expected(
            Conversation([Message("user", apart)]), None, dict.fromkeys(range(number + 1), layout)
        )
        mine = [index for index, owner in enumerate(whole.owners) if owner == number]
        first, last = (mine[0], mine[-1]) if mine else (0, -1)
        return Expected(whole.tokens[first : last + 1], whole.gaps[first : last + 2], [], [], [])

    def _layout(self, width: int, height: int, count: int) -> Layout:
        try:
            return self.subject.contract.layout(width, height, count)
        except ValueError as error:
            raise ValueError(
                f"the slice rule of {self.subject.name} refuses an image of {width}x{height}: {error}"
            ) from error


def _slots(features: Sequence[tuple[int, int]], sizes: Sequence[Any] | None) -> list[int]:
    """The slots of each image, as the vision side delivers them."""
    count = len(sizes) if sizes is not None else max((image for image, _ in features), default=-1) + 1
    slots = [0] * count
    for image, number in features:
        if 0 <= image < count:
            slots[image] += number
    return slots


def _spells(contract: Contract, tokenizer: Tokenizer, token_id: int) -> bool:
    """Whether the template writes a token."""
    name = tokenizer.id_to_token(token_id)
    return any(name in text for pair in (contract.template or {}).values() for text in pair)


def _subject(contract: Any, tokenizer: Any, name: str) -> Subject:
    if not isinstance(contract, Contract):
        raise TypeError(f"a guard takes a Contract with a tokenizer, or a Subject; found {type(contract).__name__}")
    if tokenizer is None:
        raise TypeError("a Contract names tokens, not ids; give the tokenizer too: Guard(contract, tokenizer)")
    adapted = adapt(tokenizer)
    return Subject(name, adapted, observe(adapted, contract.markers), contract, no_pipeline)


def load_guard(name: str, file: str | os.PathLike[str] = DEFAULT_FILE) -> Guard:
    """The guard of a subject of a YAML file; loaded once per process, as long as its entry says the same.

    Raises:
        ConfigError: the file is wrong, or has no such subject.
        Unavailable: the subject needs what is not installed here.
        Finding: of ``contract.tokens``, where a marker is not one id.
    """
    guard = _guard_of(load_subject(name, file))
    guard._made_by = load_guard, (name, os.path.abspath(file))
    return guard


_made: list[tuple[Any, Any, Guard]] = []
_MOST_MADE = 16


def _guard_of(contract: Any, tokenizer: Any = None) -> Guard:
    """The guard of a contract and a tokenizer, or of a subject; those made last are kept."""
    for one, other, guard in _made:
        if one is contract and other is tokenizer:
            return guard
    guard = Guard(contract, tokenizer)
    _made[:] = [*_made[-_MOST_MADE + 1 :], (contract, tokenizer, guard)]
    return guard


def _guard(contract: Any, tokenizer: Any, file: str | os.PathLike[str]) -> Guard:
    if isinstance(contract, Guard):
        return contract
    if isinstance(contract, str):
        key = contract, os.fspath(file)
        if key not in _named:
            _named[key] = load_guard(contract, file)
        return _named[key]
    return _guard_of(contract, tokenizer)


_named: dict[tuple[str, str], Guard] = {}


def verify_ids(
    ids: Any,
    contract: str | Guard | Subject | Contract,
    images: Any = None,
    *,
    tokenizer: Any = None,
    file: str | os.PathLike[str] = DEFAULT_FILE,
    sample: int | None = None,
    **side_arrays: Any,
) -> None:
    """Judge one sample: :meth:`Guard.verify_ids` of the guard that ``contract`` names.

    Args:
        contract: a subject's name in ``file``, which is read once per process; a guard; a subject; or a contract, with
            ``tokenizer``.
    """
    _guard(contract, tokenizer, file).verify_ids(ids, images, sample=sample, **side_arrays)


def verify_batch(
    batch: Any,
    contract: str | Guard | Subject | Contract,
    images: Any = None,
    *,
    tokenizer: Any = None,
    file: str | os.PathLike[str] = DEFAULT_FILE,
) -> None:
    """Judge all samples of a batch: :meth:`Guard.verify_batch` of the guard that ``contract`` names."""
    _guard(contract, tokenizer, file).verify_batch(batch, images)
