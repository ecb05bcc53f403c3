"""The tokens of another layout: another size, grid, overview or rounding (F9)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Literal, TypeAlias

from image_spans.case import Case
from image_spans.checks.spans import permuted
from image_spans.contract import Contract
from image_spans.conversation import Image, resized
from image_spans.diagnosis.rivals import Fit
from image_spans.findings import Cause, Finding
from image_spans.oracles import PLACEHOLDER, Expected, Oracle, Token
from image_spans.slicing import Block, Layout

LayoutFault: TypeAlias = Callable[[Layout, Contract], "Layout | None"]
Prediction: TypeAlias = "Callable[[Case], Expected | None]"
"""What would stand in the ids of a conversation; None where the fault has no form there."""


def layouts(case: Case, finding: Finding) -> Iterator[Fit]:
    """The tokens are those of a layout that differs from the right one by a known fault, in all images or in one."""
    if case.subject.contract.images.slots == "from_features":
        return
    yield from sizes(case, finding)
    several = len(case.conversation.images) > 1
    fitting = False
    for name, prediction, sentence in (*_other_contracts(case.subject.contract), *_faults_of_all(several)):
        for fit in _fit(case, name, prediction, sentence):
            fitting = True
            yield fit
    yield from _by_tokens(case)
    if several and not fitting:
        for name, fault, sentence in LAYOUT_FAULTS:
            for number in range(len(case.conversation.images)):
                where = sentence.format(where=f"of image {number}")
                yield from _fit(case, name, partial(_with_fault, fault, number), where)


def sizes(case: Case, finding: Finding) -> Iterator[Fit]:
    """The tokens are those of images of other sizes."""
    if case.subject.contract.images.slots == "from_features":
        return
    for name, take, sentence in _OTHER_SIZES:
        other = resized(case.conversation, take(case.conversation.images))
        if other != case.conversation:
            yield from _fit(case, name, partial(_with_sizes, take), sentence)
    if len(case.conversation.images) > 1:
        yield from _fit(
            case, "largest-image-for-all", _largest_for_all, "every image has the layout of the largest one"
        )


def order(case: Case, finding: Finding) -> Iterator[Fit]:
    """The tokens are those of the images in another order."""
    found = finding.facts.get("order")
    if found is None:
        return
    wrong = next(index for index, image in enumerate(found) if image != case.expected.order[index])
    sentence = f"where image {case.expected.order[wrong]} belongs stands image {found[wrong]}"
    yield Fit(Cause("images-reordered", sentence), _is_permuted)


def _is_permuted(case: Case) -> bool:
    """Whether images stand in another order; images of one size give several orders, so any will do."""
    alike = len(set(case.conversation.images)) < 2
    return _is_right(case) if alike else permuted(case) is not None


def inside_block(case: Case, finding: Finding) -> Iterator[Fit]:
    """All tokens are right; a number or a row break between them is not."""
    gap = finding.facts.get("gap")
    if gap is None:
        return
    owner = case.expected.owners[gap]
    number = case.expected.tokens[gap - 1][0] == "number_open"
    name = "number-differs" if number else "row-break-differs"
    sentence = f"what stands between the rows of image {owner}'s slices is not the declared row break"
    if number:
        sentence = f"image {owner} has another number than its place in the conversation gives it"
    holds = partial(_damaged, number)
    yield Fit(Cause(name, sentence), holds, rank=0 if holds(case) else 1)


def _damaged(number: bool, case: Case) -> bool:
    """Whether numbers are damaged and no more; or every row break, where there is one, and nothing besides."""
    tokens, gaps = case.expected.tokens, case.expected.gaps
    inside = [gap for gap in range(len(gaps)) if case.expected.inside_block(gap) and any(p.text for p in gaps[gap])]
    numbers = {gap for gap in inside if tokens[gap - 1][0] == "number_open"}
    damaged = {*case.damaged_inside} if case.structure_holds else {-1}
    return damaged <= numbers if number else damaged == {*inside} - numbers


# ---------------------------------------------------------------- predictions


def _fit(case: Case, name: str, prediction: Prediction, sentence: str) -> Iterator[Fit]:
    expected = prediction(case)
    if expected is not None and case.is_explained_by(expected) and not _is_right(case):
        yield Fit(Cause(name, sentence + _per_image(case, expected)), partial(_predicts, prediction))


def _is_right(case: Case) -> bool:
    return case.structure_holds and not case.damaged_inside


def _predicts(prediction: Prediction, case: Case) -> bool:
    expected = prediction(case)
    return expected is not None and case.is_explained_by(expected)


def _per_image(case: Case, expected: Expected) -> str:
    """Of the images that are concerned, how many slots there are, and how many there should be."""
    found, wanted = _slots_of(expected), _slots_of(case.expected)
    images = [image for image in range(len(case.conversation.images)) if found[image] != wanted[image]]
    if not images:
        return ""
    shown = ", ".join(f"image {image} has {found[image]} slots, expected {wanted[image]}" for image in images[:3])
    return f" ({shown}{', and so on' if len(images) > 3 else ''})"


def _slots_of(expected: Expected) -> Counter[int | None]:
    slots: Counter[int | None] = Counter()
    for (role, repeats), owner in zip(expected.tokens, expected.owners, strict=True):
        slots[owner] += repeats * (role == PLACEHOLDER)
    return slots


def _expected(expectation: Callable[[], Expected]) -> Expected | None:
    try:
        return expectation()
    except Exception:  # a rule or a grammar, perhaps the user's, that has no form for what is tried
        return None


def _with_sizes(take: Callable[[Sequence[Image]], Sequence[Image]], case: Case) -> Expected | None:
    return _expected(lambda: case.bench.oracle.expected(resized(case.conversation, take(case.conversation.images))))


def _largest_for_all(case: Case) -> Expected | None:
    def expectation() -> Expected:
        oracle, numbers = case.bench.oracle, range(len(case.conversation.images))
        largest = max((oracle.layout(case.conversation, number) for number in numbers), key=lambda layout: layout.slots)
        return oracle.expected(case.conversation, layouts=dict.fromkeys(numbers, largest))

    return _expected(expectation)


def _with_fault(fault: LayoutFault, only: int | None, case: Case) -> Expected | None:
    """What stands there if the layout of one image has a fault, or that of each has."""

    def expectation() -> Expected:
        oracle, contract = case.bench.oracle, case.subject.contract
        chosen = range(len(case.conversation.images)) if only is None else (only,)
        right = {number: oracle.layout(case.conversation, number) for number in chosen}
        wrong = {number: fault(layout, contract) or layout for number, layout in right.items()}
        return oracle.expected(case.conversation, layouts=wrong)

    return _expected(expectation)


def _under(contract: Contract, case: Case) -> Expected | None:
    return _expected(lambda: Oracle(contract).expected(case.conversation))


def _faults_of_all(several: bool) -> Iterator[tuple[str, Prediction, str]]:
    where = "of each image" if several else "of the image"
    for name, fault, sentence in LAYOUT_FAULTS:
        yield name, partial(_with_fault, fault, None), sentence.format(where=where)


_OTHER_SIZES: tuple[tuple[str, Callable[[Sequence[Image]], list[Image]], str], ...] = (
    (
        "width-height-swapped",
        lambda images: [Image(image.height, image.width) for image in images],
        "the counts are those of the images with width and height swapped",
    ),
    (
        "sides-sorted",
        lambda images: [Image(*sorted((image.width, image.height))) for image in images],
        "the counts are those of the images upright: the shorter side is always taken for the width",
    ),
    (
        "sides-sorted",
        lambda images: [Image(*sorted((image.width, image.height), reverse=True)) for image in images],
        "the counts are those of the images lying: the longer side is always taken for the width",
    ),
    (
        "first-image-for-all",
        lambda images: [*images[:1]] * len(images),
        "every image has the layout of the first one",
    ),
    (
        "last-image-for-all",
        lambda images: [*images[-1:]] * len(images),
        "every image has the layout of the last one",
    ),
)


def _by_tokens(case: Case) -> Iterator[Fit]:
    """What the role of the tokens tells, also where the rule knows no layout without slices or overview."""
    for name, take, sentence in (
        ("slices-missing", _overviews, "only the overview of each image is written; its slices are missing"),
        ("overview-missing", _slices, "only the slices of each image are written; its overview is missing"),
    ):
        if case.found.tokens and not case.structure_holds and case.found.tokens == take(case.expected.tokens):
            yield Fit(Cause(name, sentence), partial(_is_part, take))


def _is_part(take: Callable[[list[Token]], list[Token]], case: Case) -> bool:
    return case.found.tokens == take(case.expected.tokens)


def _overviews(tokens: list[Token]) -> list[Token]:
    return [token for token, inside in zip(tokens, _in_slices(tokens), strict=True) if not inside]


def _slices(tokens: list[Token]) -> list[Token]:
    marked = zip(tokens, _in_slices(tokens), strict=True)
    return [token for token, inside in marked if inside or token[0].startswith("number")]


def _in_slices(tokens: list[Token]) -> list[bool]:
    """Per token whether it belongs to the slices of an image."""
    marks, inside = [], False
    for role, _ in tokens:
        inside = inside or role == "slice_open"
        marks.append(inside)
        inside = inside and role != "slice_close"
    return marks


def _other_contracts(contract: Contract) -> Iterator[tuple[str, Prediction, str]]:
    """Contracts of which a pipeline may have kept one key instead, with the cause that they show."""
    images, slices = contract.images, contract.slices
    if slices is not None and slices.grammar != "same_span":
        schema: Literal["flat", "nested"] = "nested" if slices.grammar == "flat" else "flat"
        sentence = f"slices are written {schema}, as other versions of the model want them; declared: {slices.grammar}"
        other = slices.model_copy(update={"grammar": schema})
        yield "slice-schema-differs", partial(_under, contract.model_copy(update={"slices": other})), sentence
    if slices is not None and slices.grammar == "same_span":
        other = slices.model_copy(update={"overview": "first" if slices.overview == "last" else "last"})
        place = "in front of" if other.overview == "first" else "behind"
        sentence = f"the overview stands {place} the tiles; it belongs {slices.overview}"
        yield "overview-misplaced", partial(_under, contract.model_copy(update={"slices": other})), sentence
    if images.slots == "pixtral":
        rounding = "nearest" if images.options.get("rounding") == "down" else "down"
        changed = images.model_copy(update={"options": {**images.options, "rounding": rounding}})
        sentence = (
            f"the sides of a shrunk image are rounded {'down' if rounding == 'down' else 'to the nearest pixel'}, "
            f"the rule rounds them {'to the nearest pixel' if rounding == 'down' else 'down'}"
        )
        yield "rounding-differs", partial(_under, contract.model_copy(update={"images": changed})), sentence


def _grid(layout: Layout, contract: Contract, rows: int, columns: int) -> Layout | None:
    """The layout with more or fewer rows or columns of tiles, or of patches where there are no tiles."""
    if layout.grid:
        grid = [row + row[-1:] * columns if columns >= 0 else row[:columns] for row in layout.grid]
        grid = grid + grid[-1:] * rows if rows >= 0 else grid[:rows]
        return Layout(layout.overview, tuple(grid)) if grid and grid[0] else None
    block = layout.overview
    if block is None or not (block.rows > 1 or contract.images.grammar == "rows"):
        return None  # one run of slots has no rows
    changed = Block(block.rows + rows, block.columns + columns)
    return Layout(changed) if changed.slots else None


def _tiles(layout: Layout, contract: Contract, surplus: int) -> Layout | None:
    """The layout with one tile more or less in its last row."""
    if not layout.grid:
        return None
    *rows, last = layout.grid
    last = last + last[-1:] if surplus > 0 else last[:-1]
    return Layout(layout.overview, (*rows, last) if last else tuple(rows))


def _overview(layout: Layout, contract: Contract, times: int) -> Layout | None:
    """The layout with its overview left out, or as large as several; only where there are tiles besides."""
    if not layout.grid or layout.overview is None:
        return None
    block = layout.overview
    return Layout(Block(block.rows, block.columns * times) if times else None, layout.grid)


def _tile_and_overview(layout: Layout, contract: Contract) -> Layout | None:
    """An image of one tile with an overview besides; as one run that is another count of slots."""
    one_span = contract.slices is not None and contract.slices.grammar == "same_span"
    if layout.grid or layout.overview is None or not one_span:
        return None
    return Layout(layout.overview, ((layout.overview,),))


LAYOUT_FAULTS: tuple[tuple[str, LayoutFault, str], ...] = (
    ("slices-missing", lambda layout, _: Layout(layout.overview), "only the overview {where} is written, no slices"),
    ("overview-missing", partial(_overview, times=0), "only the slices {where} are written, no overview"),
    ("overview-doubled", partial(_overview, times=2), "the overview {where} has twice its slots"),
    ("overview-surplus", _tile_and_overview, "an overview {where} is written, though one tile is all of it"),
    ("row-missing", partial(_grid, rows=-1, columns=0), "the grid {where} has one row less than the rule gives"),
    ("row-surplus", partial(_grid, rows=1, columns=0), "the grid {where} has one row more than the rule gives"),
    ("column-missing", partial(_grid, rows=0, columns=-1), "the grid {where} has one column less than the rule gives"),
    ("column-surplus", partial(_grid, rows=0, columns=1), "the grid {where} has one column more than the rule gives"),
    ("tile-missing", partial(_tiles, surplus=-1), "the last tile {where} is missing"),
    ("tile-surplus", partial(_tiles, surplus=1), "there is one tile {where} too many"),
)
