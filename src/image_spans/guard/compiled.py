"""What a guard knows, as tables: it says of most samples at once that they are right, and of no wrong one.

An id becomes a code by look-up: text, the placeholder, BOS, or a marker. Where the sizes are known, the ids of each
image are compared with those of its layout, seen before or written here; where not, it is looked up which token
may follow which. Whatever is not settled by that is left to :mod:`image_spans.guard.judging`, which asks the checks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from image_spans import discovery
from image_spans.case import Bench
from image_spans.guard.given import Given, Ints, size_of
from image_spans.guard.padding import IGNORED
from image_spans.guard.shape import APART, FORBIDDEN, TOUCHING, Shape, State
from image_spans.oracles import PLACEHOLDER, Expected, imbalance

Codes: TypeAlias = npt.NDArray[np.uint8]

TEXT, SLOT, BOS, FIRST_MARKER = 0, 1, 2, 3
UNSEEN, NO_TOKEN = 254, 255
LARGEST_ID = 1 << 22
"""Of ids from here on there is no table: they are looked at one by one."""
MOST_SIZES = 1 << 16
NOWHERE = State("", -1)
MOST_FORMS = 1 << 13
"""Image sizes, and ways in which images were written, that are remembered; then all are forgotten."""


@dataclass
class Block:
    """The layout of one image, as codes."""

    count: int
    """Its structural ids."""
    slots: int
    forms: list[tuple[bytes, bytes]] = field(default_factory=list)
    """What is right: the codes of all its ids, and those of its ids that are text (row breaks, numbers)."""
    joins: bool = False
    """Whether it may touch another image and be one run with it, and fixed text could have been lost there."""


class Compiled:
    """The tables of one subject.

    Args:
        bench: its bench.
        shape: the forms that its images may have.
        expect: from an image's size or slots, the number of images and its own number to what must stand there.
    """

    def __init__(self, bench: Bench, shape: Shape | None, expect: Callable[[Key], Expected]) -> None:
        subject, contract = bench.subject, bench.subject.contract
        self._tokenizer = subject.tokenizer
        self._shape = shape
        self._expect = expect
        self._bench = bench
        self._bos_policy = contract.bos
        self._bos = subject.facts.bos
        self._types = contract.token_types
        self._shift = contract.labels.shift
        self._codes = {role: FIRST_MARKER + number for number, role in enumerate(contract.markers)}
        self._codes[PLACEHOLDER] = SLOT
        self._roles = {code: role for role, code in self._codes.items()}
        self.works = len(self._codes) + FIRST_MARKER < UNSEEN
        """Whether there are codes enough for all markers."""
        self._numbered = contract.images.number is not None or discovery.is_reference(contract.images.grammar)
        self._by_features = contract.images.slots == "from_features"
        self._runs = contract.images.grammar == "run"
        self._sizes: dict[Key, Block] = {}
        self._blocks: dict[Any, Block] = {}
        self._forms = 0
        self._special = {token_id: self._codes[role] for token_id, role in bench.roles.items()}
        if self._bos is not None:
            self._special.setdefault(self._bos, BOS)
        self._table = self._made(max((*self._special, 0)) + 1)
        self._pairs = [(self._codes[pair.open], self._codes[pair.close]) for pair in bench.oracle.pairs]
        if shape is not None:
            self._states = np.zeros(256 << len(self._pairs), np.uint8)  # code and open pairs to state; 0: there is none
            for index, state in enumerate(shape.alphabet):
                self._states[(self._codes[state.role] if state.role else TEXT) + 256 * state.open] = index + 1
            self._follows = np.array(
                [
                    [FORBIDDEN, *(shape.follows(one, other) for other in shape.alphabet)]
                    for one in (NOWHERE, *shape.alphabet)
                ],
                np.uint8,
            )

    # ------------------------------------------------------------ codes

    def _made(self, size: int) -> Codes:
        """A table of so many ids; behind them as many that no token has, where negative ids lead to."""
        table = np.full(2 * size, NO_TOKEN, np.uint8)
        table[:size] = UNSEEN
        for token_id, code in self._special.items():
            table[token_id] = code
        return table

    def codes(self, ids: Ints) -> Codes | None:
        """The codes of ids; None where one of them is no token."""
        try:
            codes = self._table.take(ids)
        except IndexError:
            codes = np.full(1, NO_TOKEN, np.uint8)
        if codes.size and codes.max() >= UNSEEN:
            return self._learned(ids)
        return codes

    def _learned(self, ids: Ints) -> Codes | None:
        """The same, the tokenizer being asked for ids that were not seen before."""
        largest = int(ids.max())
        if ids.min() < 0 or largest >= LARGEST_ID:
            return None
        table = self._table
        if largest >= len(table) // 2:
            grown = self._made(max(largest + 1, min(len(table), LARGEST_ID)))
            grown[: len(table) // 2] = table[: len(table) // 2]
            table = grown
        unseen = np.unique(ids[table[ids] == UNSEEN])
        outside = {token_id for token_id in unseen.tolist() if self._bench.first_outside([token_id]) is not None}
        table[unseen] = [NO_TOKEN if token_id in outside else TEXT for token_id in unseen.tolist()]
        self._table = table
        codes: Codes = table[ids]
        return None if codes.max() >= UNSEEN else codes

    # ------------------------------------------------------------ a sample

    def passes(self, given: Given, images: Sequence[Any] | None, features: Sequence[int] | None) -> bool:
        """Whether a sample without padding is right beyond doubt.

        Args:
            given: the sample.
            images: sizes of its images.
            features: the slots of each image, where they and not its size tell what must stand there.
        """
        if not self.works or not len(given.ids):
            return False
        codes = self.codes(given.ids)
        if codes is None:
            return False
        at: npt.NDArray[np.intp] = np.flatnonzero(codes)
        inner = self._without_bos(codes, at)
        if inner is None:
            return False
        if features is None and (images is None or self._by_features):
            right = self._shape_holds(codes, inner) and (images is None or self._counts(codes, inner, len(images)))
        else:
            right = self._images_hold(given, codes, inner, features if features is not None else images or ())
        return right and self._bounds_hold(given, codes, inner) and self._arrays_hold(given, codes)

    def _without_bos(self, codes: Codes, at: npt.NDArray[np.intp]) -> npt.NDArray[np.intp] | None:
        """The places of structural ids, once BOS is where it should be; others of it come to light there."""
        if self._bos_policy == "none" or self._bos is None:
            return at
        if not len(at):
            return None
        if self._bos_policy == "after_images" and len(at) > 1:
            home = at[-1] == at[-2] + 1 and codes[at[-1]] == BOS
            return at[:-1] if home else None
        return at[1:] if at[0] == 0 and codes[0] == BOS else None

    # ------------------------------------------------------------ sizes that are known

    def _images_hold(
        self,
        given: Given,
        codes: Codes,
        at: npt.NDArray[np.intp],
        images: Sequence[Any],
    ) -> bool:
        count = len(images)
        first = previous = 0
        written = []
        for number in range(count):
            block = self.block(images[number], count, number)
            last = first + block.count
            if last > len(at) or not block.count:
                return False
            start, end = int(at[first]), int(at[last - 1]) + 1
            if block.joins and number and start == previous and codes[start - 1] == SLOT:
                return False
            here = codes[start:end]
            text = given.ids[start:end][here == TEXT].tobytes() if end - start > block.count else b""
            if (here.tobytes(), text) not in block.forms:
                return False
            written.append(block.slots)
            first, previous = last, end
        return first == len(at) and _delivers(given, written)

    def block(self, size: Any, count: int, number: int) -> Block:
        """The block of an image, by its size (or its slots), the number of images and its own number."""
        where = number if self._numbered else 0
        if isinstance(size, int):
            return self._known((size, 0, count, where))
        try:
            width, height = size
            block = self._sizes.get((width, height, count, where))
        except (TypeError, ValueError):
            block = None
        if block is not None:
            return block
        return self._known((*size_of(size, f"images[{number}]"), count, where))

    def _known(self, key: Key) -> Block:
        block = self._sizes.get(key)
        if block is None:
            expected = self._expect(key)
            tokens = tuple(expected.tokens)
            gaps = tuple("".join(piece.text for piece in gap) for gap in expected.gaps[1:-1])
            if len(self._sizes) >= MOST_SIZES:
                self._sizes.clear()
            block = self._sizes[key] = self._blocks.setdefault((tokens, gaps), self._written(tokens, gaps))
        return block

    def _written(self, tokens: Sequence[tuple[str, int]], gaps: Sequence[str]) -> Block:
        """The block of these tokens; its one right form is known where no text stands in it."""
        codes = b"".join(bytes([self._codes[role]]) * count for role, count in tokens)
        slots = sum(count for role, count in tokens if role == PLACEHOLDER)
        # A grammar of one's own may write text in front of a run, which would have kept it from the one before.
        block = Block(len(codes), slots, joins=not self._runs and codes[:1] == bytes([SLOT]))
        if not any(gaps) and all(count for _, count in tokens):
            block.forms.append((codes, b""))
        return block

    def remember(self, given: Given, images: Sequence[Any] | None, features: Sequence[int] | None) -> None:
        """What stands for the images of a sample that the checks have found right."""
        codes = self.codes(given.ids) if self.works and len(given.ids) else None
        at = None if codes is None else self._without_bos(codes, np.flatnonzero(codes))
        known = features if features is not None or self._by_features else images
        if codes is None or at is None or known is None:
            return
        first = 0
        for number, size in enumerate(known):
            block = self.block(size, len(known), number)
            if first + block.count > len(at):
                return
            start, end = int(at[first]), int(at[first + block.count - 1]) + 1
            here = codes[start:end]
            form = here.tobytes(), given.ids[start:end][here == TEXT].tobytes()
            if form not in block.forms:
                self._forms += 1
                block.forms.append(form)
            first += block.count
        if self._forms > MOST_FORMS:
            self._forms = 0
            self._sizes.clear()
            self._blocks.clear()

    # ------------------------------------------------------------ sizes that are not

    def _tokens(self, codes: Codes, at: npt.NDArray[np.intp]) -> tuple[Any, Any, Any]:
        """Codes, starts and ends of structural tokens: runs of placeholders are one."""
        code = codes[at]
        begins = np.ones(len(at), bool)
        begins[1:] = (code[1:] != SLOT) | (code[:-1] != SLOT) | (at[1:] != at[:-1] + 1)
        first = np.flatnonzero(begins)
        last = np.append(first[1:], len(at)) - 1 if len(at) else first
        return code[first], at[first], at[last] + 1

    def _shape_holds(self, codes: Codes, at: npt.NDArray[np.intp]) -> bool:
        code, starts, ends = self._tokens(codes, at)
        if (code == BOS).any():
            return False
        if self._shape is None:
            tokens = [(self._roles[number], 1) for number in code.tolist()]
            return imbalance(tokens, self._bench.oracle.pairs) is None
        state = code.astype(np.int64)
        for bit, (opens, closes) in enumerate(self._pairs):
            depth = np.cumsum((code == opens).astype(np.int64) - (code == closes))
            if len(depth) and (depth.min() < 0 or depth.max() > 1 or depth[-1] != 0):
                return False
            state += depth << (8 + bit)
        edge = [1]
        whole = np.concatenate((edge, self._states[state], edge))
        how = self._follows[whole[:-1], whole[1:]]
        touching = np.ones(len(how), bool)
        touching[1:-1] = starts[1:] == ends[:-1]
        if not ((how == APART) | ((how == TOUCHING) & touching)).all():
            return False
        slots = self._shape.slots
        if slots is None:
            return True
        runs = (ends - starts)[code == SLOT]
        return bool((runs % slots == 0).all() if self._shape.merges else (runs == slots).all())

    def _counts(self, codes: Codes, at: npt.NDArray[np.intp], images: int) -> bool:
        """Whether there are as many images as there should be, of whatever slots; no where that is not told easily."""
        if self._numbered or self._shape is None or len(self._shape.begins) != 1:
            return False
        (first,) = self._shape.begins
        code, _, _ = self._tokens(codes, at)
        if first.role != PLACEHOLDER:
            return int((code == self._codes[first.role]).sum()) == images
        return self._runs and len(code) == images

    # ------------------------------------------------------------ what stands beside the ids

    def _bounds_hold(self, given: Given, codes: Codes, at: npt.NDArray[np.intp]) -> bool:
        if given.bounds is None:
            return True
        code, starts, ends = self._tokens(codes, at)
        runs = code == SLOT
        return given.bounds == list(zip(starts[runs].tolist(), ends[runs].tolist(), strict=True))

    def _arrays_hold(self, given: Given, codes: Codes) -> bool:
        arrays, ids = given.arrays, given.ids
        mask, labels = arrays.get("attention_mask"), arrays.get("labels")
        types, positions = arrays.get("token_type_ids"), arrays.get("position_ids")
        if mask is not None and not (mask == 1).all():
            return False
        if types is not None and not (types == np.where(codes == SLOT, self._types, 0)).all():
            return False
        if positions is not None and not (positions == np.arange(positions[0], positions[0] + len(positions))).all():
            return False
        if labels is None:
            return True
        if self._shift:
            labels, ids, codes = labels[: -self._shift], ids[self._shift :], codes[self._shift :]
        learned = labels != IGNORED
        right = (labels == ids) & (codes == TEXT)
        return bool(learned.any() and (right | ~learned).all())


Key: TypeAlias = tuple[int, int, int, int]
"""Width and height (or slots and 0), the number of images, and the image's own number where it is written."""


def _delivers(given: Given, written: Sequence[int]) -> bool:
    """Whether the features of each image are as many as its placeholders."""
    if given.features is None:
        return True
    delivered = [0] * len(written)
    for image, slots in given.features:
        if not 0 <= image < len(written):
            return False
        delivered[image] += slots
    return delivered == list(written)
