"""Labels: what is learned is the answers, whole, and nothing else."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import groupby, product
from typing import TypeAlias

from image_spans.case import Case
from image_spans.checks import Verdict, check
from image_spans.checks.text import NEEDS
from image_spans.contract import Contract
from image_spans.findings import Finding, shown
from image_spans.oracles import Piece

IGNORED = -100
"""The label that PyTorch's cross entropy leaves out."""
MOST_PLACES = 8
"""By how many places labels may be shifted to be called so."""

Run: TypeAlias = tuple[int, int]
"""``[start, end)`` in the ids."""
Places: TypeAlias = Sequence[int]
"""Positions in the ids, in order."""
_MANY = [IGNORED] * 32


def _no_labels(contract: Contract, abilities: frozenset[str]) -> str | None:
    return None if "labels" in abilities else "the pipeline does not return labels"


@check("labels.cover_answers", needs=[*NEEDS, "text.survives"], inapplicable=_no_labels)
def cover_answers(case: Case) -> Verdict:
    """Labelled positions are the answers, turn by turn; no image token, BOS or padding is labelled (I12)."""
    if found := misplaced(case):
        return found
    runs = _runs(case, list(_learned(_at_their_ids(case))))
    for gap, pieces in enumerate(case.expected.gaps):
        if pieces or gap in runs:
            found = _judge_gap(case, gap, runs.get(gap, ()), anything=bool(runs))
            if found is not None:
                return found
    return None


def misplaced(case: Case) -> Finding | None:
    """A label that is another id than the one it stands for, or that stands on an image token or BOS."""
    labels, ids = _at_their_ids(case), case.ids
    for start, end in _learned(labels):
        if labels[start:end] != ids[start:end]:
            return _wrong(case, labels, next(at for at in range(start, end) if labels[at] != ids[at]))
    labelled_tokens: list[int] = []
    for start, end in zip(case.found.starts, case.found.ends, strict=True):
        if labels[start:end] != [IGNORED] * (end - start):  # slices compare fast, and runs of placeholders are long
            labelled_tokens += [at for at in range(start, end) if labels[at] != IGNORED]
    for what, positions in (("BOS", case.found.bos), ("an image token", labelled_tokens)):
        for at in positions:
            if labels[at] != IGNORED and not _typed_by_a_trained_role(case, at):
                return case.finding(
                    "labels.cover_answers", f"{what} is labelled, at {at}", at=at, expected="no label", structural=what
                )
    return None


def nothing_learned(case: Case) -> Finding | None:
    """Labels that are all ignored; where the texts are known, :func:`cover_answers` knows whether that is right."""
    if any(label != IGNORED for label in _at_their_ids(case)):
        return None
    message = f"none of {len(case.ids)} labels is learned"
    return case.finding("labels.cover_answers", message, at=0, expected="a label", nothing=True, turn=None)


def _at_their_ids(case: Case) -> list[int]:
    """Per id the label that stands for it: shifted labels are one place ahead."""
    assert case.encoding is not None
    labels = case.encoding.arrays["labels"]
    shift = case.subject.contract.labels.shift
    return [IGNORED] * shift + labels[: len(labels) - shift] if shift else labels


def _wrong(case: Case, labels: Sequence[int], at: int) -> Finding:
    """A label that is another id than the one it stands for."""
    learned = [place for place, label in enumerate(labels) if label != IGNORED]
    moves = [
        by
        for by in sorted(range(-MOST_PLACES, MOST_PLACES + 1), key=abs)
        if by and all(0 <= at + by < len(case.ids) and case.ids[at + by] == labels[at] for at in learned)
    ]
    return case.finding(
        "labels.cover_answers",
        f"the label at {at} is {labels[at]}, but the id that it stands for is {case.ids[at]}",
        at=at,
        expected=f"label {case.ids[at]}",
        moved=next(iter(moves), None),
        moves=moves,
    )


def _typed_by_a_trained_role(case: Case, position: int) -> bool:
    """Whether the structural token there was typed in an answer, where the contract reads typed markers."""
    token = bisect_right(case.found.starts, position) - 1
    if token < 0 or position >= case.found.ends[token]:
        return False
    return case.expected.owners[token] is None and _trained(case, case.expected.messages[token])


def _trained(case: Case, message: int | None) -> bool:
    return message is not None and case.conversation.messages[message].role in case.subject.contract.labels.roles


def _judge_gap(case: Case, gap: int, runs: Sequence[Places], *, anything: bool) -> Finding | None:
    """Compare the labelled runs between two structural tokens with the answers that stand there."""
    texts = case.bench.texts
    wanted = list(_answers(case, case.expected.gaps[gap]))
    number = 0
    for place, answer in enumerate(wanted):
        run: Places = runs[number] if number < len(runs) else ()
        if run and _is_run_of(case, run, answer):
            number += 1
        elif not _has_ids(case, answer):
            continue  # an empty answer, and what ends it is no token that must be learned
        elif len(runs) - number > len(wanted) - place and any(_is_run_of(case, r, answer) for r in runs[number + 1 :]):
            break  # what is labelled first is no answer
        elif len(runs) - number < len(wanted) - place and not (run and _is_part_of(case, run, wanted[place:])):
            at = run[0] if run else max(case.found.places(gap), default=len(case.ids) - 1) + 1
            return _differs(case, answer, "", at, nothing=not anything, unlabelled=True)
        else:
            return _differs(case, answer, texts.decode(_ids(case, run)), run[0])
    if number < len(runs):
        extra = runs[number]
        text = texts.decode(_ids(case, extra))
        return case.finding(
            "labels.cover_answers",
            f"{shown(text)} is labelled, which is no answer",
            at=extra[0],
            expected="no label",
            surplus=True,
        )
    return None


def _is_run_of(case: Case, run: Places, answer: Answer) -> bool:
    """Whether the labelled ids are an answer, with what ends it as the contract says."""
    texts = case.bench.texts
    ids = _ids(case, run)
    if case.subject.contract.template is None:
        return texts.survives(ids, answer)  # what ends it is unknown
    if any(texts.is_exactly(ids, form) for form in _forms(case, answer)):
        return True
    return _has_ids(case, answer) and _straddles(case, ids, answer, (run[0], run[-1] + 1))


def _is_part_of(case: Case, run: Places, answers: Sequence[Answer]) -> bool:
    """Whether the labelled ids are a part of the first answer, its beginning or its end, and not all of a later one."""
    if any(_is_run_of(case, run, answer) for answer in answers[1:]):
        return False
    got = case.bench.texts.decode(_ids(case, run))
    forms = ("".join(piece.text for piece in form) for form in _forms(case, answers[0]))
    return any(form.startswith(got) or form.endswith(got) for form in forms)


def _learned(labels: Sequence[int]) -> Iterator[Run]:
    """The stretches of labels that are not ignored."""
    at, length = 0, len(labels)
    while at < length:
        while labels[at : at + len(_MANY)] == _MANY:  # slices compare much faster than stepping
            at += len(_MANY)
        while at < length and labels[at] == IGNORED:
            at += 1
        if at < length:
            start = at
            try:
                at = labels.index(IGNORED, at)
            except ValueError:
                at = length
            yield start, at


def _runs(case: Case, learned: Sequence[Run]) -> dict[int, list[Places]]:
    """By gap what of the learned stretches stands there; structural tokens part them, BOS does not."""
    runs: dict[int, list[Places]] = {}
    for first, last in learned:
        gap = bisect_right(case.found.starts, first)
        while gap < len(case.expected.gaps):
            start, end = case.found.span(gap)
            if start >= last:
                break
            if first < end:
                runs.setdefault(gap, []).append(range(max(start, first), min(end, last)))
            gap += 1
    if case.found.bos:
        for gap, inside in runs.items():
            groups = groupby(case.found.places(gap), lambda at, inside=inside: any(at in one for one in inside))  # type: ignore[misc]
            runs[gap] = [list(group) for is_learned, group in groups if is_learned]
    return {gap: inside for gap, inside in runs.items() if inside}


def _ids(case: Case, run: Places) -> tuple[int, ...]:
    return tuple(case.ids[run.start : run.stop] if isinstance(run, range) else map(case.ids.__getitem__, run))


Answer: TypeAlias = list[Piece]


def _answers(case: Case, pieces: Sequence[Piece]) -> Iterator[Answer]:
    """The pieces of a gap that are learned, those that touch in one."""
    answer: Answer = []
    for piece in pieces:
        if not piece.text:
            continue
        ends = piece.message is None and _trained(case, piece.ends)
        if _trained(case, piece.message) or ends:
            answer.append(piece)
        elif answer and case.bench.texts.alone(piece.text)[0]:
            yield answer
            answer = []
    if answer:
        yield answer


def _has_ids(case: Case, answer: Answer) -> bool:
    """Whether something has to be learned: a text of its own, or the token that ends it."""
    included = case.subject.contract.labels.end_token == "included"
    learned = [piece.text for piece in answer if piece.message is not None]
    learned += [
        piece.text
        for piece in answer
        if piece.message is None and included and case.bench.texts.through_special(piece.text)
    ]
    return bool(case.bench.texts.alone("".join(learned))[0])


def _forms(case: Case, answer: Answer) -> Iterator[Answer]:
    """The answer with what ends it as the contract says: to its first special token, or all of it."""
    choices: list[list[str]] = []
    for piece in answer:
        if piece.message is not None:
            choices.append([piece.text])
        elif case.subject.contract.labels.end_token == "excluded":
            choices.append([""])
        else:
            special = case.bench.texts.through_special(piece.text)
            choices.append([piece.text, special] if special else [piece.text, ""])
    for texts in product(*choices):
        yield [Piece(text, piece.message, piece.ends) for text, piece in zip(texts, answer, strict=True) if text]


def _straddles(case: Case, ids: tuple[int, ...], answer: Answer, run: Run) -> bool:
    """Whether the run is right but for tokens at its edges that hold text of both sides, which may go either way."""
    texts = case.bench.texts
    wanted = ["".join(piece.text for piece in form) for form in _forms(case, answer)]
    before = texts.decode((case.ids[run[0] - 1],)) if run[0] else ""
    behind = texts.decode((case.ids[run[1]],)) if run[1] < len(case.ids) else ""
    first, last = texts.decode(ids[:1]), texts.decode(ids[-1:])
    found = texts.decode(ids)
    for text in wanted:
        for left in range(-len(before) + 1, len(first)):  # characters too many in front; negative: missing
            cut = found[left:] if left >= 0 else before[left:] + found
            if text.startswith(cut[: len(text)]) and _ends(cut, text, last, behind):
                return True
    return False


def _ends(found: str, wanted: str, last: str, behind: str) -> bool:
    """Whether found, which begins like wanted, ends like it but for a part of one token."""
    if len(found) >= len(wanted):
        return found.startswith(wanted) and len(found) - len(wanted) < max(1, len(last))
    missing = wanted[len(found) :]
    return wanted.startswith(found) and behind.startswith(missing) and len(behind) > len(missing)


def _differs(case: Case, answer: Answer, got: str, at: int, **facts: bool) -> Finding:
    forms = ["".join(piece.text for piece in form) for form in _forms(case, answer)] or [""]
    # The form that comes nearest: what ends an answer may be learned in part.
    near = (w for w in forms if got and (w.startswith(got) or w.endswith(got) or got.startswith(w) or got.endswith(w)))
    wanted = next(near, forms[-1])
    message = next((piece.message for piece in answer if piece.message is not None), answer[0].ends)
    if facts.get("nothing"):
        text = f"nothing is labelled, but message {message} is an answer"
    elif facts.get("unlabelled"):
        text = f"the answer {shown(wanted)} of message {message} is not labelled"
    else:
        text = f"of message {message} {shown(got)} is labelled, expected {shown(wanted)}"
    at = min(at, len(case.ids))
    return case.finding(
        "labels.cover_answers",
        text,
        at=at,
        expected=f"labels of {shown(wanted)}",
        answer=(got, wanted),
        turn=message,
        **facts,
    )
