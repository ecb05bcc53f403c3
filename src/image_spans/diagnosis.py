"""From a finding to one sentence that names its cause.

An explanation is a function that tries one known fault (families F1 to F15 of the real reports) against the ids: it
returns the cause when that fault alone gives exactly what was found, else None. The first that fits is
said; where none fits, the cause is unknown and that is said instead of a guess.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator
from typing import TypeAlias

from image_spans.case import Case
from image_spans.conversation import Image, Text, resized
from image_spans.findings import UNKNOWN, Cause, Finding
from image_spans.foreign import ChangedItsInput, LeftTheProcess, PrintedTooMuch, TookTooLong
from image_spans.oracles import PLACEHOLDER, Piece, Token
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


def _one_token(case: Case, finding: Finding) -> Cause | None:
    """One marker too few or too many, or two swapped."""
    found, tokens = case.found.tokens, case.expected.tokens
    for index, (role, _) in enumerate(tokens):
        if role != PLACEHOLDER and found == tokens[:index] + tokens[index + 1 :]:
            owner = case.expected.owners[index]
            return Cause(
                "marker-lost",
                f"{_ascii(case.token_name(role))} of image {owner} is missing; all other tokens are there",
            )
    for index, (role, _) in enumerate(found):
        if role != PLACEHOLDER and found[:index] + found[index + 1 :] == tokens:
            return Cause(
                "marker-surplus",
                f"there is one {_ascii(case.token_name(role))} too many, at {case.found.starts[index]}",
            )
    mirrored = [(_mirror(role), count) for role, count in found]
    if mirrored == tokens:
        return Cause("markers-swapped", "open and close markers are swapped")
    return None


def _mirror(role: str) -> str:
    return role.replace("open", "\0").replace("close", "open").replace("\0", "close")


def _every_close(case: Case, finding: Finding) -> Cause | None:
    """All markers of one role are missing, or are doubled."""
    roles = dict.fromkeys(role for role, _ in case.expected.tokens if role != PLACEHOLDER)
    for role in roles:
        if case.found.tokens == [token for token in case.expected.tokens if token[0] != role]:
            return Cause(
                "marker-never-written", f"{_ascii(case.token_name(role))} is never written; all other tokens are there"
            )
        doubled = [t for token in case.expected.tokens for t in ([token, token] if token[0] == role else [token])]
        if case.found.tokens == doubled:
            return Cause(
                "marker-doubled",
                f"every {_ascii(case.token_name(role))} is written twice, as when two places wrap an image",
            )
    return None


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
    for sizes, name, sentence in _other_sizes(case.conversation.images):
        other = resized(case.conversation, sizes)
        if other != case.conversation and case.is_explained_by(case.bench.oracle.expected(other)):
            return Cause(name, sentence)
    return None


def _in_slices(tokens: list[Token]) -> list[bool]:
    """Per token whether it belongs to the slices of an image."""
    marks, inside = [], False
    for role, _ in tokens:
        inside = inside or role == "slice_open"
        marks.append(inside)
        inside = inside and role != "slice_close"
    return marks


def _other_sizes(images: tuple[Image, ...]) -> Iterator[tuple[list[Image], str, str]]:
    """Sizes that a wrong geometry would have taken, with the cause that they show."""
    yield (
        [Image(image.height, image.width) for image in images],
        "width-height-swapped",
        "the counts are those of the images with width and height swapped",
    )
    for taken, which in ((images[:1], "first"), (images[-1:], "last")):
        name, sentence = f"{which}-image-for-all", f"every image has the layout of the {which} one"
        yield [*taken] * len(images), name, sentence


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
        _whole_images,
        _one_token,
        _every_close,
        _unk,
        _as_text,
        _slot_count,
    ),
    "literals.": (_refusal, _typed, _text),
    "text.": (_first_text_id_removed, _text),
    "paths.": (_path,),
    "relations.": (_relation,),
}
