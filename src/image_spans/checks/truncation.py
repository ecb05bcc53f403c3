"""Limits of length: what is cut off, and that nothing is cut in two."""

from __future__ import annotations

import re
import zlib
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations, pairwise
from typing import Any, TypeAlias

from image_spans.case import Case
from image_spans.checks import NOT_JUDGED, Verdict, blocking, check
from image_spans.checks.relations import NEEDS
from image_spans.checks.spans import tile
from image_spans.contract import Contract
from image_spans.conversation import Conversation, Image, Message, Text
from image_spans.errors import words
from image_spans.findings import Finding, first_difference
from image_spans.foreign import MISBEHAVIOUR, TookTooLong
from image_spans.oracles import PLACEHOLDER, Expected, scan
from image_spans.subject import BadEncoding, Encoding

NAME = "truncation.policy"
LENGTHS = 12
"""Lengths tried on a conversation that was drawn."""
SHORT = 24
"""Up to so many ids, every length is tried."""
SHORT_EXAMPLE = 320
"""The same on the examples: on most models, one image and a few words."""

Range: TypeAlias = tuple[int, int]
"""``[start, end)`` in the ids of the whole conversation."""

EXAMPLES = (
    Conversation([Message("user", [Image(1, 1), Text("a b")]), Message("assistant", [Text("c d")])]),
    Conversation([Message("user", [Text("a"), Image(449, 449), Text("b")])]),
    Conversation(
        [
            Message("user", [Image(64, 64), Image(1, 1)]),
            Message("assistant", [Text("a")]),
            Message("user", [Text("b"), Image(1, 1)]),
        ]
    ),
    Conversation([Message("user", [Text("a b c")]), Message("assistant", [Text("d e f")])]),
)


def _no_limit(contract: Contract, abilities: frozenset[str]) -> str | None:
    if "max_length" not in abilities:
        return "the pipeline does not declare that it accepts max_length"
    return "the contract declares no truncation" if contract.truncation.policy == "unsupported" else None


@check(NAME, family="limits", needs=NEEDS, inapplicable=_no_limit, examples=EXAMPLES)
def policy(case: Case) -> Verdict:
    """At every max_length no span is cut in two, and bounds, labels, features are cut alike; or it is refused (I10)."""
    if case.error is not None or not case.ids:
        return NOT_JUDGED
    if "image_bounds" in case.subject.returns and (blocked := blocking(case, ["spans.bounds"])):
        return blocked
    whole = _whole(case)
    for limit in _lengths(case, whole):
        found = _judge(case, whole, limit)
        if found is not None:
            return found
    return None


# ---------------------------------------------------------------- the whole encoding, and where it may be cut


@dataclass(frozen=True)
class _Whole:
    """What may be cut off the whole encoding of a conversation, and what may not."""

    length: int
    left: bool
    """Whether the left side is cut off."""
    head: int
    """How many ids in front stay there all the same: 1 where BOS does."""
    units: list[Range]
    """What is never cut in two: from an open to its close, a row to its end, a run of placeholders."""
    blocks: list[Range]
    """Per image its structural tokens."""
    regions: list[Range]
    """Per image the same with the fixed text round it: a cut in there may as well leave out all of it."""

    def places(self, length: int) -> list[int]:
        """The places that stay where so many ids stay."""
        if not self.left:
            return list(range(length))
        return [*range(min(self.head, length)), *range(self.length - max(0, length - self.head), self.length)]

    def edge(self, length: int) -> int:
        """Where the cut falls if so many ids stay."""
        return self.length - max(0, length - self.head) if self.left else length

    def unit_at(self, edge: int) -> Range | None:
        """What a cut there would go through."""
        return next(((start, end) for start, end in self.units if start < edge < end), None)

    def reach(self, edge: int) -> int:
        """How far from there a cut may lie: as far as the image's block reaches in which it falls."""
        inside = [region for region in self.regions if region[0] < edge < region[1]]
        if self.left:
            return max((end for _, end in inside), default=edge)
        return min((start for start, _ in inside), default=edge)

    def needed(self, unit: Range) -> int:
        """The limit that holds a unit."""
        return self.length - unit[0] + self.head if self.left else unit[1]


def _whole(case: Case) -> _Whole:
    truncation = case.subject.contract.truncation
    bos_in_front = bool(case.found.bos) and case.found.bos[0] == 0
    blocks = _blocks(case)
    return _Whole(
        length=len(case.ids),
        left=truncation.side == "left",
        head=int(truncation.side == "left" and truncation.keep_bos and bos_in_front),
        units=_units(case, blocks),
        blocks=blocks,
        regions=_regions(case, blocks),
    )


def _units(case: Case, blocks: Sequence[Range]) -> list[Range]:
    found, owners = case.found, case.expected.owners
    pairs = case.bench.oracle.pairs
    opens, closes = {pair.open for pair in pairs}, {pair.close for pair in pairs}
    row_ends = {"row_break", "image_close"} if case.subject.contract.images.grammar == "rows" else set()
    borders = {end for _, end in blocks}  # of images that touch and are one run
    units: list[Range] = []
    depth = 0
    for index, (role, _) in enumerate(found.tokens):
        if owners[index] is None:
            continue  # somebody typed it
        start, end = found.starts[index], found.ends[index]
        goes_on = units and units[-1][1] == start and (re.search(r"_[0-9]+$", role) or role in row_ends)
        if depth or goes_on:
            units[-1] = units[-1][0], end
        elif role == PLACEHOLDER:
            cuts = [start, *sorted(border for border in borders if start < border < end), end]
            units += pairwise(cuts)
        else:
            units.append((start, end))
        depth += (role in opens) - (role in closes)
    return units


def _blocks(case: Case) -> list[Range]:
    """Per image where its tokens stand; images that touch and are one run are told apart by their slots."""
    count = len(case.conversation.images)
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for owner, start, end in zip(case.expected.owners, case.found.starts, case.found.ends, strict=True):
        if owner is not None:
            first.setdefault(owner, start)
            last[owner] = end
    for before, image in pairwise(case.expected.order):
        if image in first or before not in first:
            continue
        first[image], last[image] = first[before] + _slots(case, before), last[before]
        last[before] = first[image]
    return [(first.get(image, 0), last.get(image, 0)) for image in range(count)]


def _slots(case: Case, image: int) -> int:
    contract, images = case.subject.contract, case.conversation.images
    if contract.images.slots == "from_features":
        assert case.encoding is not None
        return sum(slots for owner, slots in case.encoding.features or () if owner == image)
    return contract.layout(images[image].width, images[image].height, len(images)).slots


def _regions(case: Case, blocks: Sequence[Range]) -> list[Range]:
    """The blocks with the text that the format writes in front of them and behind them."""
    owners, gaps = case.expected.owners, case.expected.gaps

    def fixed(gap: int, behind: bool) -> int:
        """The ids of the format's own text at an edge of a gap, at most."""
        texts = []
        for piece in gaps[gap] if behind else reversed(gaps[gap]):
            if piece.message is not None:
                break
            texts.append(piece.text)
        return sum(len(case.bench.texts.alone(text)[0]) + 1 for text in texts)

    regions = []
    for image, (start, end) in enumerate(blocks):
        mine = [index for index, owner in enumerate(owners) if owner == image]
        if mine:
            start, end = start - fixed(mine[0], behind=False), end + fixed(mine[-1] + 1, behind=True)
        regions.append((start, end))
    return regions


def _lengths(case: Case, whole: _Whole) -> Iterator[int]:
    """The limits that are tried, longest first."""
    length = whole.length
    edges = {length // 2, length // 3, length // 5}
    for start, end in (*whole.units, *whole.blocks):
        places = (start, start + 1, (start + end) // 2, end - 1, end, end + 1)
        edges |= {length - at + whole.head if whole.left else at for at in places}
    always = (length + 1, length, length - 1, 1)
    others = sorted({edge for edge in edges if 1 <= edge <= length} - {*always})
    is_example = case.conversation in EXAMPLES
    if length <= (SHORT_EXAMPLE if is_example else SHORT):
        others = list(range(2, length - 1))
    else:
        budget = 5 * LENGTHS if is_example else LENGTHS - len(always)
        if len(others) > budget:
            shift = zlib.crc32(repr(case.conversation).encode()) % len(others)
            step = len(others) / budget
            others = sorted({others[(round(number * step) + shift) % len(others)] for number in range(budget)})
    yield from sorted({limit for limit in (*always, *others) if limit >= 1}, reverse=True)


# ---------------------------------------------------------------- judging


def _judge(case: Case, whole: _Whole, limit: int) -> Finding | None:
    policy = case.subject.contract.truncation.policy
    try:
        cut = case.bench.run(partial(case.subject.encode, max_length=limit), case.conversation)
    except TookTooLong:
        raise
    except case.subject.refusals as error:
        return _refused(case, whole, limit, error)
    except (BadEncoding, *MISBEHAVIOUR) as error:
        how = "returned: " if isinstance(error, BadEncoding) else ""
        uncut = isinstance(error, BadEncoding) and "entries for" in str(error)
        return _finding(case, limit, f"the pipeline {how}{error}", bad=error, uncut=uncut)
    except Exception as error:
        return _finding(case, limit, f"the pipeline raised {words(error)}", crashed=error)
    full = case.encoding
    assert full is not None
    if limit >= whole.length:
        if cut.ids != full.ids:
            message = f"{whole.length} ids fit, but {len(cut.ids)} came back, or others"
            return _finding(case, limit, message, at=first_difference(cut.ids, full.ids), needless=True)
        return _judge_sides(case, whole, limit, cut, list(range(whole.length)))
    if len(cut.ids) > limit:
        message = f"{len(cut.ids)} ids came back; of {whole.length} no more than {limit} may stay"
        ignored = cut.ids == full.ids and _ignores(case)
        return _finding(case, limit, message, at=limit, ignored=ignored, came=len(cut.ids), whole=whole.length)
    if policy == "reject":
        message = (
            f"{len(cut.ids)} of {whole.length} ids came back; it would have to be {whole.length}, and is not refused"
        )
        return _finding(case, limit, message, at=len(cut.ids), accepted=True, whole=whole.length)
    if policy == "keep_images" and (image := _cut_image(case, whole, limit)) is not None:
        message = f"{len(cut.ids)} of {whole.length} ids came back without all placeholders of image {image}"
        return _finding(case, limit, f"{message}, and it is not refused", lost=image, whole=whole.length)
    if case.subject.contract.bos == "after_images" and _cuts_bos(case, whole, limit):
        return None
    return _judge_drop(case, whole, limit, cut) if policy == "drop_images" else _judge_cut(case, whole, limit, cut)


def _ignores(case: Case) -> bool:
    """Whether not even the shortest limit has an effect."""
    try:
        shortest = case.bench.run(partial(case.subject.encode, max_length=1), case.conversation)
    except Exception:
        return False
    return shortest.ids == case.ids


def _cuts_bos(case: Case, whole: _Whole, limit: int) -> bool:
    """Whether BOS goes behind images that may not all be there: where it belongs then, no contract says."""
    edge = whole.edge(limit)
    return any(at < edge if whole.left else at >= whole.reach(edge) for at in case.found.bos)


def _cut_image(case: Case, whole: _Whole, limit: int) -> int | str | None:
    """The first image of which a cut at the limit takes placeholders; None where it takes text alone, or brackets."""
    edge = whole.edge(limit)
    cut = next((run for run in case.found.runs if (run[0] < edge if whole.left else run[1] > edge)), None)
    if cut is None:
        return None
    return next((image for image, (start, end) in enumerate(whole.blocks) if start <= cut[0] < end), "?")


def _refused(case: Case, whole: _Whole, limit: int, error: Exception) -> Finding | None:
    clear = bool({str(limit), str(whole.length)}.intersection(re.findall(r"\d+", str(error))))
    policy = case.subject.contract.truncation.policy
    if limit >= whole.length:
        return _finding(case, limit, f"{whole.length} ids fit, but it is refused: {words(error)}", refused="fits")
    if policy == "keep_images":
        if _cut_image(case, whole, limit) is None and whole.unit_at(whole.edge(limit)) is None:
            message = f"no image is cut at {limit}, but it is refused; {whole.length} would hold all"
            return _finding(case, limit, f"{message}: {words(error)}", refused=policy)
        clear = clear or "max_length" in str(error)
    elif policy != "reject" and whole.reach(whole.edge(limit)) not in (0, whole.length):
        message = f"{policy} is declared, but it is refused; {whole.length} would hold all: {words(error)}"
        return _finding(case, limit, message, refused=policy)
    if clear:
        return None
    message = f"refused, but the error names neither {limit} nor the {whole.length} that it would have to be"
    return _finding(case, limit, f"{message}: {words(error)}", refused="unclear")


def _judge_cut(case: Case, whole: _Whole, limit: int, cut: Encoding) -> Finding | None:
    """never_split: the whole encoding, cut on the declared side, in front of what it would go through."""
    ids, length = case.ids, len(cut.ids)
    places = whole.places(length)
    if cut.ids != [ids[at] for at in places]:
        return _no_cut(case, whole, limit, cut)
    edge, wanted = whole.edge(length), whole.edge(limit)
    unit = whole.unit_at(edge)
    if unit is not None:
        image = _image_at(whole, edge)
        message = (
            f"the cut at {edge} goes through a span of image {image}, [{unit[0]}, {unit[1]}); "
            f"it would have to be {whole.needed(unit)} for this span, {whole.length} for all"
        )
        return _finding(case, limit, message, at=edge, split=unit, needed=whole.needed(unit), whole=whole.length)
    low, high = sorted((whole.reach(wanted), wanted))
    if not low <= edge <= high:
        message = f"the cut is at {edge}, and {length} ids stay; it belongs at {wanted}, where no span is cut"
        if low != high:
            message = f"the cut is at {edge}, and {length} ids stay; it belongs in [{low}, {high}]"
        return _finding(case, limit, message, at=edge, beside=True)
    return _judge_sides(case, whole, limit, cut, places)


def _no_cut(case: Case, whole: _Whole, limit: int, cut: Encoding) -> Finding:
    """The ids are not those of the whole conversation, cut on the declared side."""
    ids, length = case.ids, len(cut.ids)
    side = "left" if whole.left else "right"
    at = first_difference(cut.ids, [ids[place] for place in whole.places(length)])
    ends_alike = cut.ids == ids[len(ids) - length :]
    if whole.head and ends_alike:
        return _finding(case, limit, "BOS is cut off, and should stay in front", at=0, lost_bos=True)
    if cut.ids == ids[:length] if whole.left else ends_alike:
        other = "right" if whole.left else "left"
        return _finding(case, limit, f"the {other} side is cut off, declared is the {side}", at=at, wrong_side=other)
    message = f"the ids are not those of the whole conversation ({whole.length}) with the {side} side cut off"
    return _finding(case, limit, message, at=at, changed=True)


def _image_at(whole: _Whole, edge: int) -> int | str:
    return next((image for image, (start, end) in enumerate(whole.blocks) if start < edge < end), "?")


# ---------------------------------------------------------------- what speaks of ids must be cut with them


def _judge_sides(case: Case, whole: _Whole, limit: int, cut: Encoding, places: list[int]) -> Finding | None:
    """Bounds, arrays and features where ids[places] stay."""
    full = case.encoding
    assert full is not None
    if full.image_bounds is not None and cut.image_bounds is not None:
        moved = [(bisect_left(places, start), bisect_left(places, end)) for start, end in full.image_bounds]
        wanted = [(start, end) for start, end in moved if start < end]
        if cut.image_bounds != wanted:
            index = first_difference(cut.image_bounds, wanted)
            got, there = _entry(cut.image_bounds, index), _entry(wanted, index)
            message = f"{len(places)} of {whole.length} ids stay; bounds {index} are {got}, expected {there}"
            return _finding(case, limit, message, bounds=True, uncut=cut.image_bounds == full.image_bounds)
    for key, values in full.arrays.items():
        given = cut.arrays.get(key)
        if given is None:
            continue
        right = [values[at] for at in places]
        at = _first_wrong(case, key, given, right)
        if at is not None:
            message = f"{len(places)} of {whole.length} ids stay; {key} is {given[at]} at {at}, expected {right[at]}"
            return _finding(case, limit, message, at=places[at], array=key)
    slots = [_placeholders(case, block, places) for block in whole.blocks]
    return _judge_features(case, whole, limit, cut, slots)


def _first_wrong(case: Case, key: str, given: list[int], right: list[int]) -> int | None:
    """Where an array is not the whole one, cut alike."""
    if given == right:
        return None
    at = first_difference(given, right)
    if key == "position_ids" and given == list(range(given[0], given[0] + len(given))):
        return None  # counted anew
    if key == "labels" and case.subject.contract.labels.shift:
        # The id that a label stands for is the next one, which may have been cut off.
        beside = {len(right) - 1, 0}
        return next((k for k in range(len(right)) if given[k] != right[k] and k not in beside), None)
    return at


def _placeholders(case: Case, block: Range, places: Sequence[int]) -> int:
    token_id = case.subject.marker_ids[PLACEHOLDER]
    kept = places[bisect_left(places, block[0]) : bisect_left(places, block[1])]
    return sum(case.ids[at] == token_id for at in kept)


def _judge_features(case: Case, whole: _Whole, limit: int, cut: Encoding, slots: Sequence[int]) -> Finding | None:
    """Per image as many features as placeholders; those of an image that is cut off go with it."""
    if cut.features is None:
        return None
    delivered: dict[int, int] = {}
    for image, count in cut.features:
        delivered[image] = delivered.get(image, 0) + count
    found = [count for _, count in sorted(delivered.items()) if count]
    wanted = [count for count in slots if count]
    merged = len(wanted) < len(found)  # images that touch may be one run: only their sum can be told
    if found == wanted or (merged and sum(found) == sum(wanted)):
        return None
    message = (
        f"{len(cut.ids)} of {whole.length} ids stay, with {sum(wanted)} placeholders of {len(wanted)} images, "
        f"but {sum(found)} features of {len(found)}"
    )
    return _finding(case, limit, message, features=sum(found) - sum(wanted))


# ---------------------------------------------------------------- drop_images


def _judge_drop(case: Case, whole: _Whole, limit: int, cut: Encoding) -> Finding | None:
    """drop_images: images go whole, the text stays in order, and is cut only where that does not suffice."""
    found = scan(cut.ids, case.bench.roles, case.subject.facts.bos)
    count = len(whole.blocks)
    first: Finding | None = None
    verdict: Finding | None
    for kept in _choices(count):
        gone = [whole.blocks[image] for image in range(count) if image not in kept]
        places = [at for at in range(whole.length) if not any(start <= at < end for start, end in gone)]
        rest = [case.ids[at] for at in places]
        stay = _cut_of(whole, len(cut.ids), len(rest))
        if [rest[at] for at in stay] == cut.ids and _is_whole(kept, [places[at] for at in stay], whole):
            spare = limit - len(cut.ids)
            largest = max((end - start for start, end in gone), default=-1)
            if len(cut.ids) < len(rest) and spare > largest + 1:
                message = f"text is cut off, though {spare} more ids fit; {whole.length} would hold all"
                verdict = _finding(case, limit, message, at=len(cut.ids), beside=True)
            else:
                verdict = _judge_sides(case, whole, limit, cut, [places[at] for at in stay])
            if verdict is None:
                return None
            first = first or verdict  # another choice of images may give the same ids
    if first is not None and "beside" not in first.facts:
        return first
    # The prompt may have been written anew without the images that are gone: other numbers, other merges.
    for kept in _choices(count):
        expected = case.bench.oracle.expected(_without(case.conversation, kept))
        if expected.tokens == found.tokens:
            verdict = _judge_anew(case, whole, limit, cut, expected, whole_text=first is not None)
            if verdict is None:
                return None
            if first is None or "changed" in first.facts:  # the text fits other images better
                first = verdict
    at = len(cut.ids) if not found.tokens else found.starts[-1]
    message = f"the structure that is left is not that of whole images; {whole.length} would hold all"
    return first or _finding(case, limit, message, at=at, split=(at, at), whole=whole.length)


def _judge_anew(
    case: Case, whole: _Whole, limit: int, cut: Encoding, expected: Expected, *, whole_text: bool
) -> Finding | None:
    """Whether what came back is what a conversation without some images gives, cut on the declared side.

    ``whole_text``: its text must be there from end to end, since taken for a cut it was cut too short.
    """
    found, texts = scan(cut.ids, case.bench.roles, case.subject.facts.bos), case.bench.texts
    outer = [gap for gap in range(len(expected.gaps)) if not expected.inside_block(gap)]
    got = "".join("".join(texts.decode(found.gap(gap)) for gap in outer if found.gap(gap)).split()).strip("\ufffd")
    given = "".join(piece.text for gap in outer for piece in expected.gaps[gap])
    forms = {"".join(form.split()) for form in (given, texts.alone(given)[1])}
    is_cut = any(form.endswith(got) if whole.left else form.startswith(got) for form in forms)
    if got not in forms if whole_text else not is_cut:
        return _finding(case, limit, "text is lost or stands in another order", changed=True)
    if cut.image_bounds is not None and not tile(cut.image_bounds, found.runs):
        message = f"the bounds are {cut.image_bounds}, the placeholders stand at {found.runs}"
        return _finding(case, limit, message, bounds=True, uncut=False)
    slots: dict[int, int] = {}
    for (role, repeats), owner in zip(expected.tokens, expected.owners, strict=True):
        if role == PLACEHOLDER and owner is not None:
            slots[owner] = slots.get(owner, 0) + repeats
    return _judge_features(case, whole, limit, cut, [slots[image] for image in sorted(slots)])


def _cut_of(whole: _Whole, length: int, rest: int) -> list[int]:
    """The first or last of what is left, as the contract says, BOS in front all the same."""
    if length >= rest or not whole.left:
        return list(range(min(length, rest)))
    head = min(whole.head, length)
    return [*range(head), *range(rest - length + head, rest)]


def _is_whole(kept: frozenset[int], places: list[int], whole: _Whole) -> bool:
    """Whether all that is kept of an image is kept whole."""
    there = {*places}
    return all({*range(*whole.blocks[image])} <= there for image in kept)


def _choices(count: int) -> Iterator[frozenset[int]]:
    """Which images may have been kept; of very many only the first or last ones."""
    if count > 6:
        yield from (frozenset(range(kept)) for kept in range(count, -1, -1))
        yield from (frozenset(range(count - kept, count)) for kept in range(count - 1, 0, -1))
        return
    for kept in range(count, -1, -1):
        yield from (frozenset(images) for images in combinations(range(count), kept))


def _without(conversation: Conversation, kept: frozenset[int]) -> Conversation:
    number = -1
    messages = []
    for message in conversation.messages:
        parts = []
        for part in message.parts:
            number += isinstance(part, Image)
            if not isinstance(part, Image) or number in kept:
                parts.append(part)
        messages.append(Message(message.role, parts))
    return Conversation(messages)


def _entry(pairs: Sequence[Range], index: int) -> str:
    return str(pairs[index]) if index < len(pairs) else "none"


def _finding(case: Case, limit: int, message: str, *, at: int | None = None, **facts: Any) -> Finding:
    return case.finding(NAME, f"max_length={limit}: {message}", at=at, limit=limit, **facts)
