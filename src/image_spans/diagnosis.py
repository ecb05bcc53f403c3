"""From a finding to one sentence that names its cause.

An explanation is a function that tries one known fault (families F1 to F15 of the real reports) against the ids: it
returns the cause when that fault alone gives exactly what was found, else None. The first that fits is
said; where none fits, the cause is unknown and that is said instead of a guess.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TypeAlias

from image_spans.case import Case
from image_spans.contract import Contract
from image_spans.conversation import Image, Text, resized
from image_spans.findings import UNKNOWN, Cause, Finding
from image_spans.foreign import ChangedItsInput, LeftTheProcess, PrintedTooMuch, TookTooLong
from image_spans.oracles import PLACEHOLDER, Expected, Oracle, Piece, Token
from image_spans.slicing import Block, Layout
from image_spans.subject import BadEncoding

Explanation: TypeAlias = Callable[[Case, Finding], "Cause | None"]


_MISBEHAVIOUR: tuple[tuple[type[Exception], str, str], ...] = (
    (TookTooLong, "does-not-end", "the pipeline does not end; it was interrupted, and is not called again in this run"),
    (LeftTheProcess, "leaves-the-process", "the pipeline tries to end the program, or the test, instead of raising"),
    (PrintedTooMuch, "prints-a-lot", "the pipeline prints: a debugging print was left in, or a progress bar"),
    (
        ChangedItsInput,
        "input-changed",
        "the pipeline changes the conversation in place; the next caller finds it changed",
    ),
)


def diagnose(case: Case, finding: Finding) -> Cause:
    """The cause of a finding on a case."""
    if "raised" in finding.facts:
        return _judging_raised(finding.facts["raised"])
    for group, explanations in _EXPLANATIONS.items():
        if finding.check.startswith(group):
            for explain in explanations:
                cause = explain(case, finding)
                if cause is not None:
                    return cause
    return UNKNOWN


# ---------------------------------------------------------------- errors


def _judging_raised(error: BaseException) -> Cause:
    """Not the pipeline failed but what judges it: the tokenizer, a rule, a grammar or an order; or this package."""
    frames = traceback.extract_tb(error.__traceback__)
    last = next((f for f in reversed(frames) if f"{os.sep}image_spans{os.sep}" not in f.filename), frames[-1])
    where = f"{os.path.basename(last.filename)}, line {last.lineno}, in {last.name}"
    return Cause(
        f"judging-raised-{type(error).__name__}",
        f"the ids could not be judged: what the contract names, or the tokenizer itself, fails ({where})",
    )


def _raised(case: Case, finding: Finding) -> Cause | None:
    error = finding.facts.get("error")
    if isinstance(error, BadEncoding):
        return Cause("bad-return", "what the pipeline returned is not an encoding")
    for kind, name, sentence in _MISBEHAVIOUR:
        if isinstance(error, kind):
            return Cause(name, sentence)
    if error is None and finding.at is not None:
        return Cause("id-outside", "an id is not in the vocabulary: negative, too large, or of another tokenizer")
    if isinstance(error, case.subject.refusals):
        return Cause("refused", "the pipeline refuses a conversation that is inside its contract")
    if error is not None:
        return Cause(
            f"raised-{type(error).__name__}", f"the pipeline fails with {type(error).__name__} inside its contract"
        )
    return None


# ---------------------------------------------------------------- BOS (F1)


def _bos(case: Case, finding: Finding) -> Cause | None:
    bos = case.found.bos
    declared = case.subject.contract.bos
    if not bos:
        return Cause("bos-missing", "no BOS was added, or the only one was stripped and not put back")
    if len(bos) > 1:
        if bos == list(range(bos[0], bos[0] + len(bos))):
            return Cause(
                "bos-doubled", "BOS is added twice, as when a template spells it and the tokenizer adds its own"
            )
        return Cause("bos-per-segment", "pieces were encoded one by one and each kept the BOS that the tokenizer adds")
    if declared == "none":
        return Cause("bos-undeclared", "the tokenizer's own BOS was left in, but the contract declares none")
    return Cause(
        "bos-misplaced", "BOS was put on the wrong side of other tokens, as when a block is inserted in front of it"
    )


# ---------------------------------------------------------------- the first id of a piece (F1)


def _inside_block(case: Case, finding: Finding) -> Cause | None:
    """All tokens are right; a number or a row break between them is not."""
    gap = finding.facts.get("gap")
    if gap is None:
        return None
    owner = case.expected.owners[gap]
    if case.expected.tokens[gap - 1][0] == "number_open":
        return Cause("number-differs", f"image {owner} has another number than its place in the conversation gives it")
    return Cause(
        "row-break-differs", f"what stands between the rows of image {owner}'s slices is not the declared row break"
    )


def _first_token_removed(case: Case, finding: Finding) -> Cause | None:
    """The found tokens are the expected ones without those that begin a message."""
    removed: list[tuple[int, str]] = []
    found = list(case.found.tokens)
    expected = case.expected
    index = 0
    for number, token in enumerate(expected.tokens):
        begins = _begins_message(case, number)
        if begins and token[0] == PLACEHOLDER and index < len(found) and found[index] == (PLACEHOLDER, token[1] - 1):
            removed.append((expected.messages[number], PLACEHOLDER))
            index += 1
        elif begins and not _rest_fits(found[index:], expected.tokens[number:]):
            removed.append((expected.messages[number], token[0]))
        elif index < len(found) and found[index] == token:
            index += 1
        else:
            return None
    if index != len(found) or not removed:
        return None
    message, role = removed[0]
    return _removed(case, message, case.token_name(role))


def _rest_fits(found: list[Token], wanted: list[Token]) -> bool:
    """Whether the first wanted token is there: enough of what follows agrees."""
    return found[:2] == wanted[:2]


def _begins_message(case: Case, number: int) -> bool:
    """Whether a token is the first thing in its message."""
    expected = case.expected
    owner = expected.owners[number]
    message = expected.messages[number]
    parts = case.conversation.messages[message].parts
    first = next((part for part in parts if not (isinstance(part, Text) and not part.text)), None)
    if not isinstance(first, Image) or owner is None or case.subject.contract.images.before:
        return False
    before = sum(len(m.images) for m in case.conversation.messages[:message])
    return owner == before and (number == 0 or expected.owners[number - 1] != owner)


def _first_text_id_removed(case: Case, finding: Finding) -> Cause | None:
    """The gap is right but for the first id of the text that begins a message."""
    gap = finding.facts.get("gap")
    if gap is None:
        return None
    pieces = case.expected.gaps[gap]
    ids = case.found.gap(gap)
    cuts = {
        index: cut
        for index, piece in enumerate(pieces)
        if (cut := _without_first_id(case, piece, pieces[:index])) is not None
    }
    # One message of the gap, or every one of them.
    for chosen in (*({index} for index in cuts), set(cuts)):
        shortened = [Piece(cuts[i][0], p.message) if i in chosen else p for i, p in enumerate(pieces)]
        if chosen and case.bench.texts.survives(ids, shortened):
            first = min(chosen)
            return _removed(case, pieces[first].message, cuts[first][1])
    return None


def _without_first_id(case: Case, piece: Piece, before: list[Piece]) -> tuple[str, str] | None:
    """The piece as it reads without its first id, and that id, if the piece begins a message."""
    if piece.message is None or not piece.text or any(p.message == piece.message and p.text for p in before):
        return None
    parts = case.conversation.messages[piece.message].parts
    first = next((part for part in parts if not (isinstance(part, Text) and not part.text)), None)
    if not isinstance(first, Text) or first.text != piece.text:
        return None
    ids = case.bench.texts.alone(piece.text)[0]
    if not ids:
        return None
    return case.bench.texts.decode(ids[1:]) if len(ids) > 1 else "", f"{case.id_name(ids[0])} ({ids[0]})"


def _removed(case: Case, message: int | None, token: str) -> Cause:
    facts = case.subject.facts
    if case.subject.facts.bos is None or facts.bos not in facts.prefix:
        why = "but this tokenizer adds none"
    else:
        why = "but that one was not BOS"
    if facts.dummy_prefix and facts.bos not in facts.prefix:
        why += " (its first token is an extra one, made of the blank that it puts in front)"
    return Cause(
        "first-id-removed",
        f"the first id of message {message} was removed as if it were BOS, {why}; it was {_ascii(token)}",
    )


# ---------------------------------------------------------------- markers (F2, F5, F7, F8, F10)


def _typed(case: Case, finding: Finding) -> Cause | None:
    if not finding.facts.get("typed"):
        return None
    tokens = {token: role for role, token in case.subject.contract.markers.items()}
    surplus = [role for role, _ in case.found.tokens]
    for role, _ in case.expected.tokens:
        if role in surplus:
            surplus.remove(role)
    for number, message in enumerate(case.conversation.messages):
        for token, role in tokens.items():
            if role in surplus and any(isinstance(part, Text) and token in part.text for part in message.parts):
                return Cause(
                    "literal-became-structure",
                    f"{_ascii(token)}, typed by the {message.role} in message {number}, was read as the token itself",
                )
    return Cause("literal-became-structure", "text that spells a marker, BOS or EOS was read as a special token")


def _refusal(case: Case, finding: Finding) -> Cause | None:
    if "spelled" not in finding.facts:
        return None
    if case.error is None:
        return Cause("literal-accepted", "typed marker text is not looked for")
    return Cause("refusal-unclear", "typed marker text is refused, but the error does not say which marker")


def _unk(case: Case, finding: Finding) -> Cause | None:
    unk = case.subject.tokenizer.named_ids().get("unk")
    if unk is None:
        return None
    missing = [role for role in _missing(case) if role != PLACEHOLDER]
    unks = case.ids.count(unk)
    if case.bench.roles.get(unk) == PLACEHOLDER:
        unks -= sum(count for role, count in case.expected.tokens if role == PLACEHOLDER)
    if missing and unks >= len(missing):
        return Cause("marker-became-unk", f"{_ascii(case.token_name(missing[0]))} came out as unk ({unk})")
    return None


def _as_text(case: Case, finding: Finding) -> Cause | None:
    gaps = "".join(case.bench.texts.decode(case.found.gap(index)) for index in range(len(case.found.tokens) + 1))
    tag = case.subject.contract.literals.tag
    for role in _missing(case):
        token = case.subject.contract.markers[role]
        if token in gaps:
            pieces = case.subject.tokenizer.encode_text(token)
            return Cause(
                "marker-as-text",
                f"{_ascii(token)} was encoded as text, in {len(pieces)} ids, "
                f"instead of as the one id {case.subject.marker_ids.get(role)}",
            )
    if tag and tag in gaps and _missing(case):
        return Cause(
            "tag-left-in-text", f"the data tag {_ascii(tag)} was never replaced by an image and stayed in the text"
        )
    return None


def _missing(case: Case) -> list[str]:
    """Roles of expected tokens that were not found, once for each."""
    found = [role for role, _ in case.found.tokens]
    missing = []
    for role, _ in case.expected.tokens:
        if role in found:
            found.remove(role)
        else:
            missing.append(role)
    return missing


def _whole_images(case: Case, finding: Finding) -> Cause | None:
    """Blocks that are missing or stand twice."""
    tokens, owners = case.expected.tokens, case.expected.owners
    for image in dict.fromkeys(owner for owner in owners if owner is not None):
        block = [index for index, owner in enumerate(owners) if owner == image]
        if case.found.tokens == [token for index, token in enumerate(tokens) if index not in block]:
            return Cause("image-dropped", f"image {image} is not in the ids at all, as if it had not been given")
        again = tokens[: block[-1] + 1] + tokens[block[0] : block[-1] + 1] + tokens[block[-1] + 1 :]
        if case.found.tokens == again:
            return Cause("image-doubled", f"image {image} stands twice, as when two places insert it")
    if tokens and not case.found.tokens:
        return Cause("images-dropped", "no image is in the ids at all, as if none had been given")
    return None


def _one_role(case: Case, finding: Finding) -> Cause | None:
    """Markers of one role, or of one pair, are missing, or there are too many; all other tokens are right.

    Whether all or some of them are is one cause: on a single image that cannot be told.
    """
    found, tokens = case.found.tokens, case.expected.tokens
    for roles in _roles_and_pairs(case, tokens):
        missing = _left_out(tokens, found, roles)
        if missing:
            every = len(missing) == sum(role in roles for role, _ in tokens)
            names = " and ".join(_ascii(case.token_name(role)) for role in roles)
            many = len(roles) > 1
            where = "never written" if every else f"missing at image {case.expected.owners[missing[0]]}"
            return Cause("marker-lost", f"{names} {'are' if many else 'is'} {where}; all other tokens are there")
    for roles in _roles_and_pairs(case, found):
        surplus = _left_out(found, tokens, roles)
        if surplus:
            names = " and ".join(_ascii(case.token_name(role)) for role in roles)
            if 2 * len(surplus) == sum(role in roles for role, _ in found):
                sentence = f"every {names} is written twice, as when two places wrap an image"
            else:
                sentence = f"there {_count(len(surplus), names)} too many, at {case.found.starts[surplus[0]]}"
            return Cause("marker-surplus", sentence)
    return None


def _count(number: int, name: str) -> str:
    return f"is one {name}" if number == 1 else f"are {number} {name}"


def _roles_and_pairs(case: Case, tokens: list[Token]) -> Iterator[tuple[str, ...]]:
    """The roles of markers in tokens one by one, then the open and close of each kind together."""
    roles = dict.fromkeys(role for role, _ in tokens if role != PLACEHOLDER)
    yield from ((role,) for role in roles)
    yield from ((pair.open, pair.close) for pair in case.bench.oracle.pairs if {pair.open, pair.close} <= {*roles})


def _left_out(longer: list[Token], shorter: list[Token], roles: tuple[str, ...]) -> list[int] | None:
    """The tokens of these roles without which ``longer`` is ``shorter``; runs that then touch are one run there."""
    gone: list[int] = []
    at = rest = 0  # rest: how much of a run of ``shorter`` is still to come
    for index, (role, count) in enumerate(longer):
        if rest:
            if role == PLACEHOLDER and count <= rest:
                rest -= count
                at += rest == 0
            elif role in roles:
                gone.append(index)
            else:
                return None
        elif at < len(shorter) and shorter[at] == (role, count):
            at += 1
        elif at < len(shorter) and role == shorter[at][0] == PLACEHOLDER and count < shorter[at][1]:
            rest = shorter[at][1] - count
        elif role in roles:
            gone.append(index)
        else:
            return None
    return gone if at == len(shorter) and not rest else None


def _other_role(case: Case, finding: Finding) -> Cause | None:
    """Markers stand where others belong."""
    found, tokens = case.found.tokens, case.expected.tokens
    if [(_mirror(role), count) for role, count in found] == tokens:
        return Cause("markers-swapped", "open and close markers are swapped")
    if len(found) != len(tokens):
        return None
    taken = {(wanted[0], got[0]) for wanted, got in zip(tokens, found, strict=True) if wanted != got}
    if not taken or any(PLACEHOLDER in pair for pair in taken):
        return None
    (wanted, got), *others = sorted(taken)
    names = _ascii(case.token_name(wanted)), _ascii(case.token_name(got))
    if not others:
        return Cause("marker-mistaken", f"{names[1]} stands where {names[0]} belongs; all other tokens are right")
    if others == [(got, wanted)]:
        return Cause("markers-swapped", f"{names[0]} and {names[1]} are swapped")
    return None


def _mirror(role: str) -> str:
    return role.replace("open", "\0").replace("close", "open").replace("\0", "close")


# ---------------------------------------------------------------- geometry (F9)


def _geometry(case: Case, finding: Finding) -> Cause | None:
    if case.subject.contract.images.slots == "from_features":
        return None
    tokens = case.expected.tokens
    in_slices = list(zip(tokens, _in_slices(tokens), strict=True))
    if not case.structure_holds and case.found.tokens:
        if case.found.tokens == [token for token, sliced in in_slices if not sliced]:
            return Cause("slices-missing", "only the overview of each image is written; its slices are missing")
        if case.found.tokens == [token for token, sliced in in_slices if sliced or token[0].startswith("number")]:
            return Cause("overview-missing", "only the slices of each image are written; its overview is missing")
    if _sizes_explain(case, [Image(image.height, image.width) for image in case.conversation.images]):
        sentence = "the counts are those of the images with width and height swapped"
        return Cause("width-height-swapped", sentence)
    return None


def _in_slices(tokens: list[Token]) -> list[bool]:
    """Per token whether it belongs to the slices of an image."""
    marks, inside = [], False
    for role, _ in tokens:
        inside = inside or role == "slice_open"
        marks.append(inside)
        inside = inside and role != "slice_close"
    return marks


def _one_size_for_all(images: tuple[Image, ...]) -> Iterator[tuple[list[Image], str, str]]:
    for taken, which in ((images[:1], "first"), (images[-1:], "last")):
        name, sentence = f"{which}-image-for-all", f"every image has the layout of the {which} one"
        yield [*taken] * len(images), name, sentence


def _layout(case: Case, finding: Finding) -> Cause | None:
    """The tokens are those of a layout that differs from the right one by a known fault, in all images or in one."""
    contract = case.subject.contract
    if contract.images.slots == "from_features":
        return None
    for other, name, sentence in _other_contracts(contract):
        if _is(case, partial(Oracle(other).expected, case.conversation)):
            return Cause(name, sentence)
    images = range(len(case.conversation.images))
    right = {number: case.bench.oracle.layout(case.conversation, number) for number in images}
    for name, fault, sentence in _LAYOUT_FAULTS:
        wrong = {number: fault(layout, contract) or layout for number, layout in right.items()}
        if wrong != right and _explains(case, wrong):
            return Cause(name, sentence.format(where="of each image" if len(images) > 1 else "of the image"))
    for sizes, name, sentence in _one_size_for_all(case.conversation.images):
        if _sizes_explain(case, sizes):
            return Cause(name, sentence)
    for name, fault, sentence in _LAYOUT_FAULTS:
        for number, layout in right.items():
            if len(images) > 1 and _explains(case, {**right, number: fault(layout, contract) or layout}):
                return Cause(name, sentence.format(where=f"of image {number}"))
    return None


def _explains(case: Case, layouts: Mapping[int, Layout]) -> bool:
    return _is(case, lambda: case.bench.oracle.expected(case.conversation, layouts=layouts))


def _sizes_explain(case: Case, sizes: list[Image]) -> bool:
    other = resized(case.conversation, sizes)
    return other != case.conversation and _is(case, lambda: case.bench.oracle.expected(other))


def _is(case: Case, expectation: Callable[[], Expected]) -> bool:
    try:
        expected = expectation()
    except Exception:  # a rule or a grammar, perhaps the user's, that has no form for what is tried
        return False
    return case.is_explained_by(expected)


def _other_contracts(contract: Contract) -> Iterator[tuple[Contract, str, str]]:
    """Contracts of which a pipeline may have kept one key instead, with the cause that they show."""
    images, slices = contract.images, contract.slices
    if slices is not None and slices.grammar == "same_span":
        other = slices.model_copy(update={"overview": "first" if slices.overview == "last" else "last"})
        place = "in front of" if other.overview == "first" else "behind"
        sentence = f"the overview stands {place} the tiles; it belongs {slices.overview}"
        yield contract.model_copy(update={"slices": other}), "overview-misplaced", sentence
    if images.slots == "pixtral":
        rounding = "nearest" if images.options.get("rounding") == "down" else "down"
        changed = images.model_copy(update={"options": {**images.options, "rounding": rounding}})
        sentence = (
            f"the sides of a shrunk image are rounded {'down' if rounding == 'down' else 'to the nearest pixel'}, "
            f"the rule rounds them {'to the nearest pixel' if rounding == 'down' else 'down'}"
        )
        yield contract.model_copy(update={"images": changed}), "rounding-differs", sentence


LayoutFault: TypeAlias = Callable[[Layout, Contract], "Layout | None"]


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


_LAYOUT_FAULTS: tuple[tuple[str, LayoutFault, str], ...] = (
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


def _slot_count(case: Case, finding: Finding) -> Cause | None:
    counts = finding.facts.get("slots")
    if finding.facts.get("stray"):
        return Cause("stray-placeholder", "a placeholder stands where no image is, as when a model generated it")
    if not counts:
        return None
    found, wanted = counts
    if abs(found - wanted) == 1:
        return Cause("slots-off-by-one", f"one slot {'less' if found < wanted else 'more'} than the image needs")
    if found % wanted == 0:
        return Cause(
            "expanded-twice", f"the placeholders were expanded again: {found // wanted} times what the image needs"
        )
    return Cause("slots-differ", f"the number of slots comes from another rule: {found} instead of {wanted}")


# ---------------------------------------------------------------- order, bounds


def _order(case: Case, finding: Finding) -> Cause | None:
    if finding.facts.get("moved"):
        return Cause(
            "image-moved",
            f"images were moved within the text, but the declared order is {case.subject.contract.images.order}",
        )
    order = finding.facts.get("order")
    if order is None:
        return None
    wrong = next(index for index, image in enumerate(order) if image != case.expected.order[index])
    return Cause("images-reordered", f"where image {case.expected.order[wrong]} belongs stands image {order[wrong]}")


def _bounds(case: Case, finding: Finding) -> Cause | None:
    given, runs = finding.facts["bounds"]
    if not given:
        return Cause("bounds-empty", "the pipeline returns no bounds although there are placeholders")
    if len(given) == len(runs):
        shifts = {(a - c, b - d) for (a, b), (c, d) in zip(given, runs, strict=True)}
        if len(shifts) == 1:
            start, end = shifts.pop()
            if start == end:
                return Cause(
                    "bounds-shifted",
                    f"all bounds are {abs(start)} ids too {'high' if start > 0 else 'low'}, "
                    "as when ids are put in or taken out after the bounds were taken",
                )
            if (start, end) == (0, -1):
                return Cause(
                    "bounds-inclusive", "the end of each bound is its last placeholder; it should be one behind"
                )
            if (start, end) in ((-1, 1), (-1, 0), (0, 1)):
                return Cause("bounds-with-markers", "the bounds take in the open or close markers")
    if sorted(given) == sorted(runs):
        return Cause("bounds-unordered", "the bounds are right but not in the order of the ids")
    return None


# ---------------------------------------------------------------- text (F3, F4, F7)


def _text(case: Case, finding: Finding) -> Cause | None:
    gap = finding.facts.get("gap")
    if gap is None:
        return None
    ids, pieces, texts = case.found.gap(gap), case.expected.gaps[gap], case.bench.texts
    got, wanted = texts.decode(ids) if ids else "", "".join(piece.text for piece in pieces)
    where = _beside(case, gap)
    unk = case.subject.tokenizer.named_ids().get("unk")
    if unk is not None and unk in ids and unk not in texts.alone(wanted)[0]:
        return Cause("text-became-unk", f"text {where} came out as unk, which it is not on its own")
    if not got and wanted.strip():
        return Cause("text-lost", f"all the text {where} is missing")
    if got.strip() == wanted.strip():
        kind = "newlines" if "\n" in wanted.replace(got.strip(), "", 1) + got.replace(got.strip(), "", 1) else "blanks"
        verb = "added to" if len(got) > len(wanted) else "eaten from"
        return Cause(f"{kind}-{verb.split()[0]}", f"{kind} were {verb} the edge of the text {where}")
    if got and wanted.startswith(got):
        return Cause("text-end-lost", f"the text {where} breaks off before its end")
    if got and wanted.endswith(got):
        return Cause("text-begin-lost", f"the beginning of the text {where} is missing")
    if "".join(got.split()) == "".join(wanted.split()):
        return Cause("blanks-changed", f"blanks or newlines inside the text {where} were changed")
    if wanted and wanted in got:
        return Cause("text-added", f"something was added to the text {where}")
    return None


def _beside(case: Case, gap: int) -> str:
    tokens, owners = case.expected.tokens, case.expected.owners
    before = owners[gap - 1] if gap else None
    after = owners[gap] if gap < len(tokens) else None
    if before is not None and after is not None:
        return f"between images {before} and {after}"
    if before is not None:
        return f"after image {before}"
    if after is not None:
        return f"before image {after}"
    return "of the conversation"


# ---------------------------------------------------------------- paths and relations (F14 and others)


def _path(case: Case, finding: Finding) -> Cause | None:
    if finding.facts.get("path") == "a second call":
        return Cause("keeps-state", "the pipeline remembers something from the call before")
    return Cause("paths-differ", f"{finding.facts.get('path')} assembles the prompt in another way")


def _relation(case: Case, finding: Finding) -> Cause | None:
    return {
        "relations.prefix": Cause(
            "prefix-depends-on-images", "what stands before the images is chosen by looking at the images"
        ),
        "relations.swap": Cause(
            "spans-bound-to-position",
            "the spans do not follow the images: sizes are taken from elsewhere, as from a cache",
        ),
        "relations.append": Cause("earlier-span-changed", "an earlier image is written anew when a turn is added"),
    }.get(finding.check)


# ---------------------------------------------------------------- labels, arrays, counts, faults (F12, F13, F15)


def _labels(case: Case, finding: Finding) -> Cause | None:
    facts = finding.facts
    if "moved" in facts:
        by = facts["moved"]
        if by is None:
            return Cause("label-is-another-id", "a label is neither the ignored value nor the id that it stands for")
        way = "ahead of" if by > 0 else "behind"
        return Cause(
            f"labels-shifted-{abs(by)}", f"all labels stand {abs(by)} place {way} their ids, against the contract"
        )
    if facts.get("structural"):
        return Cause("structure-labelled", f"the loss would be computed on {facts['structural']}")
    if facts.get("nothing"):
        return Cause("all-ignored", "every label is ignored, so nothing would be learned from this sample")
    if facts.get("unlabelled"):
        return Cause("answer-unlabelled", "one answer is left out of the labels, and others are not")
    if facts.get("surplus"):
        return Cause("question-labelled", "text that is no answer is labelled: the mask reaches into another turn")
    got, wanted = facts.get("answer", ("", ""))
    if got.startswith(wanted):
        return Cause("labels-reach-on", "the labels of an answer reach into what follows it")
    if got.endswith(wanted):
        return Cause("labels-begin-early", "the labels of an answer begin before it, in the template's text")
    if wanted.startswith(got):
        return Cause("labels-end-early", "the end of an answer, or the token that ends it, is not labelled")
    if wanted.endswith(got):
        return Cause("labels-begin-late", "the beginning of an answer is not labelled")
    return None


def _arrays(case: Case, finding: Finding) -> Cause | None:
    key = finding.facts["array"]
    return {
        "attention_mask": Cause("mask-hides-tokens", "attention_mask hides tokens of a sample that has no padding"),
        "token_type_ids": Cause("types-misplaced", "token_type_ids do not mark exactly the placeholders"),
        "position_ids": Cause("positions-jump", "position_ids do not count one by one"),
    }[key]


def _counts(case: Case, finding: Finding) -> Cause | None:
    if finding.facts.get("features"):
        return Cause("features-surplus", "the vision side delivers an image that the prompt does not hold")
    written, counted = finding.facts["counts"]
    if counted == 0:
        return Cause("features-missing", "the vision side delivers nothing for an image that the prompt holds")
    more = "more" if counted > written else "fewer"
    return Cause(
        f"counts-differ-{more}", "prompt and vision side count by different rules: one of them uses another size"
    )


def _fault(case: Case, finding: Finding) -> Cause | None:
    if "swallowed" in finding.facts:
        if finding.facts["swallowed"]:
            return Cause("mismatch-ignored", "the list of images is not compared with the messages")
        return Cause("mismatch-swallowed", "a wrong number of images is turned into other ids without a word")
    if "crashed" in finding.facts:
        return Cause(
            f"mismatch-crashes-{type(finding.facts['crashed']).__name__}",
            "a wrong number of images ends in an accident",
        )
    if "bad" in finding.facts:
        return _accident(case, finding, "mismatch")
    return Cause(
        "refusal-unclear", "a wrong number of images is refused, but the error names neither number nor marker"
    )


# ---------------------------------------------------------------- limits, batches, turns (F8, F11, F12)


def _accident(case: Case, finding: Finding, what: str) -> Cause | None:
    """What the entry itself did wrong, before there were any ids to compare."""
    error = finding.facts.get("bad")
    if isinstance(error, BadEncoding):
        return Cause(f"{what}-bad-return", "what came back is no encoding, or its parts are not of one length")
    for kind, name, sentence in _MISBEHAVIOUR:
        if isinstance(error, kind):
            return Cause(name, sentence)
    if "crashed" in finding.facts:
        error = finding.facts["crashed"]
        if isinstance(error, case.subject.refusals):
            return Cause(f"{what}-refused", f"{what} is refused for conversations inside the contract")
        return Cause(f"{what}-raised-{type(error).__name__}", f"{what} ends in an accident")
    return None


_LIMIT_REFUSED = {
    "fits": (
        "limit-refused-needlessly",
        "a conversation that fits is refused: the limit is compared as if it were less",
    ),
    "unclear": ("limit-refusal-unclear", "what is too long is refused, but the error names neither limit nor length"),
}


def _limit(case: Case, finding: Finding) -> Cause | None:
    facts = finding.facts
    if facts.get("uncut"):
        if "bounds" in facts:
            return Cause(
                "bounds-not-cut", "the bounds are those of the whole conversation: ids were cut after they were taken"
            )
        return Cause("arrays-not-cut", "ids and side arrays were not cut at the same place")
    if "refused" in facts:
        why = facts["refused"]
        return Cause(
            *_LIMIT_REFUSED.get(why, ("limit-refused", f"too long a conversation is refused, declared is {why}"))
        )
    if "ignored" in facts:
        if facts["ignored"]:
            return Cause("limit-ignored", "max_length has no effect")
        return Cause("limit-exceeded", "the limit is applied to another length, as to that before images are expanded")
    if "split" in facts:
        return Cause("cut-inside-span", "ids are cut off without looking whether the cut goes through an image")
    flags = {
        "needless": ("cut-needlessly", "ids are cut off or changed although all of them fit"),
        "accepted": ("cut-instead-of-refusal", "what is too long is cut without a word; the contract says reject"),
        "beside": ("cut-beside", "the cut lies at another place than the limit and the images ask for"),
        "lost_bos": ("bos-cut-off", "the left side was cut off with the BOS that stands in front"),
        "wrong_side": ("cut-on-wrong-side", f"the {facts.get('wrong_side')} side is cut off instead of the other"),
        "changed": ("cut-changes-ids", "what is left was not part of the whole: ids were changed, not only cut off"),
        "bounds": (
            "bounds-cut-elsewhere",
            "bounds of images that are gone are left, or those left were not moved along",
        ),
    }
    for fact, (name, sentence) in flags.items():
        if facts.get(fact):
            return Cause(name, sentence)
    if "features" in facts:
        if facts["features"] > 0:
            return Cause(
                "features-kept", "features are still delivered for images, or parts of them, that were cut off"
            )
        return Cause("features-cut", "features are missing for images that are still there")
    if "array" in facts:
        return Cause(f"{facts['array']}-not-cut", f"{facts['array']} were cut at another place than the ids")
    return _accident(case, finding, "limit")


def _batch(case: Case, finding: Finding) -> Cause | None:
    facts = finding.facts
    if "lost" in facts:
        more = facts["lost"] > 0
        return Cause("rows-surplus" if more else "rows-lost", f"{'more' if more else 'fewer'} rows come out than go in")
    if "pad" in facts:
        return Cause("pad-id-wrong", "the padding is another token than the one that is declared for it")
    if "bounds" in facts:
        if facts["bounds"]:
            return Cause("bounds-not-moved", "the bounds are those of the row without padding, which stands in front")
        return Cause("bounds-differ", "the bounds of a row are not those of its conversation, moved by the padding")
    key = facts.get("filled") or facts.get("array")
    if key == "attention_mask":
        return Cause("mask-wrong", "attention_mask is not 0 exactly on the padding")
    if facts.get("filled") == "labels":
        return Cause("labels-on-padding", "the padding is labelled, so it would be learned")
    if key:
        where = "on the padding" if "filled" in facts else "beside it"
        return Cause(f"{key}-misplaced", f"{key} were not padded like the ids: they are wrong {where}")
    flags = {
        "no_pad": ("pad-unknown", "the contract names a padding token that the tokenizer does not have"),
        "ragged": ("rows-ragged", "the rows were not padded to one length"),
        "shorter": ("rows-cut", "rows are cut: padding is counted before images are expanded, or a limit is built in"),
        "reordered": ("rows-reordered", "the rows do not come out in the order in which they go in"),
        "wrong_side": ("padding-on-wrong-side", "padding_side is not heeded: a setting of the tokenizer's is used"),
        "differs": ("row-differs", "in a batch a conversation is assembled in another way than alone"),
        "features": (
            "row-features-differ",
            "the features of a row are not those of its conversation: rows were mixed up",
        ),
    }
    for fact, (name, sentence) in flags.items():
        if facts.get(fact):
            return Cause(name, sentence)
    return _accident(case, finding, "batch")


def _turns(case: Case, finding: Finding) -> Cause | None:
    facts = finding.facts
    if "structure" in facts:
        if facts["again"] and facts["old"]:
            return Cause(
                "expanded-again", "a block that was expanded already is expanded once more when a turn is added"
            )
        if facts["old"]:
            return Cause("old-block-changed", "a block of an earlier turn is written anew when a turn is added")
        return Cause(
            "new-block-differs", "the images of the turn that is added are not written as in the whole conversation"
        )
    if "side" in facts:
        return Cause(f"{facts['side']}-not-continued", f"{facts['side']} are not carried on when a turn is added")
    if "bos" in facts:
        got, wanted = facts["bos"]
        if got > wanted:
            return Cause("bos-per-turn", "each turn that is added brings a BOS of its own")
        if facts["cut"]:
            return Cause("old-ids-changed", "ids of earlier turns are changed when a turn is added")
        return Cause(
            "new-turn-differs", "the turn that is added is encoded in another way than in the whole conversation"
        )
    return _accident(case, finding, "continue")


def _ascii(text: str) -> str:
    return ascii(text)[1:-1]


_EXPLANATIONS: dict[str, tuple[Explanation, ...]] = {
    "pipeline.": (_raised,),
    "bos.": (_bos,),
    "spans.order": (_order,),
    "spans.bounds": (_bounds,),
    "spans.": (
        _geometry,
        _inside_block,
        _first_token_removed,
        _layout,
        _whole_images,
        _unk,
        _as_text,
        _one_role,
        _other_role,
        _slot_count,
    ),
    "literals.": (_refusal, _typed, _text),
    "text.": (_first_text_id_removed, _text),
    "paths.": (_path,),
    "relations.": (_relation,),
    "labels.": (_labels,),
    "arrays.": (_arrays,),
    "geometry.": (_counts,),
    "failures.": (_fault,),
    "truncation.": (_limit,),
    "batch.": (_batch,),
    "expansion.": (_turns,),
}
