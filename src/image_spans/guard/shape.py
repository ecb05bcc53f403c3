"""Which structural tokens may follow each other, where the sizes of the images are not known.

Nothing is stated here: the grammar is asked to write small layouts, and what follows what in them may follow
in any sample. A grammar of one's own may write more than that, so of it only the pairs are judged.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from image_spans import discovery
from image_spans.contract import Contract
from image_spans.conversation import Conversation, Image, Message, Text
from image_spans.grammars import Pair
from image_spans.oracles import PLACEHOLDER, Expected, Found, Oracle, Token
from image_spans.slicing import Block, Layout

FORBIDDEN, TOUCHING, APART = 0, 1, 2
"""Whether a token may stand behind another: never, only right behind it, or with text between them too."""


class State(NamedTuple):
    """A role, and what is open where it stands: of each pair a bit."""

    role: str
    open: int


EDGE = State("", 0)
"""What stands in front of the first token and behind the last one."""


@dataclass(frozen=True)
class Shape:
    """The forms that an image may have, whatever its size."""

    within: dict[tuple[State, State], int] = field(default_factory=dict)
    """What may follow what in one image: :data:`TOUCHING` or :data:`APART`."""
    begins: frozenset[State] = frozenset()
    ends: frozenset[State] = frozenset()
    """What an image may begin and end with."""
    pairs: tuple[Pair, ...] = ()
    slots: int | None = None
    """The placeholders of every block, where all have as many."""
    merges: bool = False
    """Whether blocks may touch and be one run."""

    def states(self, tokens: Iterable[Token]) -> Iterator[State]:
        """The states of tokens one after the other."""
        depths = [0] * len(self.pairs)
        for role, _ in tokens:
            for index, pair in enumerate(self.pairs):
                depths[index] += (role == pair.open) - (role == pair.close)
            yield State(role, sum((depth > 0) << index for index, depth in enumerate(depths)))

    def follows(self, before: State, after: State) -> int:
        """Whether a token may stand behind another one, of the same image or not."""
        how = self.within.get((before, after), FORBIDDEN)
        between = (before == EDGE or before in self.ends) and (after == EDGE or after in self.begins)
        return APART if between else how

    def takes(self, count: int) -> bool:
        """Whether a run may have so many placeholders."""
        return self.slots is None or count == self.slots or (self.merges and count % self.slots == 0)

    @cached_property
    def alphabet(self) -> tuple[State, ...]:
        """All states, the edge first."""
        return (EDGE, *dict.fromkeys([state for pair in self.within for state in pair] + sorted(self.begins)))

    @cached_property
    def joined(self) -> dict[tuple[str, str], int]:
        """:attr:`within` by role alone."""
        joined: dict[tuple[str, str], int] = {}
        for (one, other), how in self.within.items():
            joined[one.role, other.role] = max(how, joined.get((one.role, other.role), FORBIDDEN))
        return joined

    def between(self, before: State, after: State) -> list[State] | None:
        """The fewest states that lead from one to another: what is missing between them."""
        ways: deque[tuple[State, list[State]]] = deque([(before, [])])
        seen = {before}
        while ways:
            last, way = ways.popleft()
            for state in (state for state in self.alphabet if self.follows(last, state)):
                if state == after:
                    return way
                if state not in seen and state != EDGE:
                    seen.add(state)
                    ways.append((state, [*way, state]))
        return None


def shape_of(contract: Contract, oracle: Oracle) -> Shape | None:
    """The shape that a contract's grammar writes; None for a grammar of one's own.

    Raises:
        ValueError: the slice rule refuses its options.
    """
    if discovery.is_reference(contract.images.grammar):
        return None
    shape = Shape(pairs=tuple(oracle.pairs))
    blocks = [_written(oracle, layout) for layout in _layouts(contract)]
    within: dict[tuple[State, State], int] = {}
    begins, ends = set(), set()
    for block in blocks:
        states = list(shape.states(block.tokens))
        begins.add(states[0])
        ends.add(states[-1])
        for index in range(1, len(states)):
            pair = states[index - 1], states[index]
            how = APART if any(piece.text for piece in block.gaps[index]) else TOUCHING
            within[pair] = max(within.get(pair, FORBIDDEN), how)
    counts = {count for block in blocks for role, count in block.tokens if role == PLACEHOLDER}
    merges = contract.images.grammar == "run" or not counts <= {_SLOTS}
    return Shape(within, frozenset(begins), frozenset(ends), shape.pairs, _slots(contract), merges)


_SLOTS = 2
"""Of every block that is written to see what follows what."""


def _layouts(contract: Contract) -> Iterator[Layout]:
    """An overview, none, and grids up to three rows and columns; of rows, up to three."""
    one = Block(1, _SLOTS)
    yield Layout(one)
    if contract.images.grammar == "rows":
        yield from (Layout(Block(rows, _SLOTS)) for rows in (2, 3))
    if contract.slices is None:
        return
    no_overview = _may_lack_overview(contract)
    for rows in (1, 2, 3):
        for columns in (1, 2, 3):
            yield Layout(one, ((one,) * columns,) * rows)
            if no_overview:
                yield Layout(None, ((one,) * columns,) * rows)


def _written(oracle: Oracle, layout: Layout) -> Expected:
    return oracle.expected(Conversation([Message("user", [Text("a"), Image(1, 1), Text("a")])]), None, {0: layout})


_SIZES = [(width, height) for width in (1, 64, 300, 449, 900, 1345, 2500) for height in (1, 64, 448, 700, 1800, 4000)]


def _by_rule(contract: Contract) -> Iterator[Layout]:
    """The layouts of many sizes."""
    return (contract.layout(width, height, 1) for width, height in _SIZES)


def _is_own_rule(contract: Contract) -> bool:
    """Whether somebody's own rule slices, of which some sizes tell too little."""
    return contract.slices is not None and discovery.is_reference(contract.slices.rule)


def _may_lack_overview(contract: Contract) -> bool:
    return _is_own_rule(contract) or any(layout.overview is None for layout in _by_rule(contract))


def _slots(contract: Contract) -> int | None:
    """The placeholders of every block, where they do not depend on the image."""
    slots = contract.images.slots
    if isinstance(slots, str) or _is_own_rule(contract):
        return None
    counts = {block.slots for layout in _by_rule(contract) for row in layout.grid for block in row}
    counts |= {layout.overview.slots for layout in _by_rule(contract) if layout.overview}
    return slots if counts == {slots} else None


# ---------------------------------------------------------------- the nearest right structure


class Mended(NamedTuple):
    """A token of the nearest right structure."""

    token: Token
    found: int | None
    """Which of the tokens found it is; None: it is missing there."""
    image: int
    touches: bool
    """Whether no text may stand in front of it."""


def mended(found: Found, shape: Shape | None) -> list[Mended]:
    """The right structure that is nearest to the one found; tokens that belong to no image are left out of it."""
    if shape is None:
        return [Mended(token, index, 0, False) for index, token in enumerate(found.tokens)]
    kept = [index for index in range(len(found.tokens)) if not _alone(found, shape, index)]
    states = list(shape.states(found.tokens[index] for index in kept))
    result: list[Mended] = []
    last, image = EDGE, -1
    for index, state in [*zip(kept, states, strict=True), (None, EDGE)]:
        missing = [] if shape.follows(last, state) else shape.between(last, state)
        for new in [*(missing or ()), *([state] if missing is not None and index is not None else [])]:
            is_found = new is state
            how = shape.within.get((last, new), FORBIDDEN)
            if how == TOUCHING and shape.follows(last, new) == APART and not (is_found and _touches(found, index)):
                how = FORBIDDEN  # another image
            image += how == FORBIDDEN
            count = found.tokens[index][1] if is_found and index is not None else 1
            if new.role == PLACEHOLDER and not (is_found and shape.takes(count)):
                count = shape.slots or count
            result.append(Mended((new.role, count), index if is_found else None, image, how == TOUCHING))
            last = new
    return result


def _touches(found: Found, index: int | None) -> bool:
    """Whether a token stands right behind the one before it."""
    return index is not None and index > 0 and found.ends[index - 1] == found.starts[index]


def _alone(found: Found, shape: Shape, index: int) -> bool:
    """Whether a token is part of no image, as its neighbours tell."""
    role = found.tokens[index][0]
    if any(state.role == role and state in shape.ends for state in shape.begins):
        return False
    if found.ends[index] == len(found.ids) and any(state.role == role for state in shape.begins):
        return False  # an image begins where the ids are cut off
    return not (_linked(found, shape, index - 1) or _linked(found, shape, index))


def _linked(found: Found, shape: Shape, index: int) -> bool:
    """Whether a token and the one behind it may be of one image."""
    if index < 0 or index + 1 >= len(found.tokens):
        return False
    how = shape.joined.get((found.tokens[index][0], found.tokens[index + 1][0]), FORBIDDEN)
    return how == APART or (how == TOUCHING and found.ends[index] == found.starts[index + 1])
