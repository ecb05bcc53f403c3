"""Whether what cannot be right is refused, loudly."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from image_spans.case import Case
from image_spans.checks import NOT_JUDGED, Verdict, check
from image_spans.contract import Contract
from image_spans.conversation import Conversation, Image, Watched
from image_spans.errors import words
from image_spans.findings import Finding
from image_spans.foreign import MISBEHAVIOUR, TookTooLong
from image_spans.subject import BadEncoding


def _nothing_to_mismatch(contract: Contract, abilities: frozenset[str]) -> str | None:
    return None if abilities & {"images", "features"} else "neither accepts: [images] nor features are declared"


@check(
    "failures.loud",
    family="faults",
    needs=["pipeline.encodes"],
    inapplicable=_nothing_to_mismatch,
    positions=("start", "none"),
)
def loud(case: Case) -> Verdict:
    """A wrong number of images is refused, and the error says so; never swallowed, never another sample (I16).

    Of a pipeline that declares to accept the list of images, or that delivers features and looks at the list: one that
    reads the messages alone cannot know. Of a batch entry too, where one sample has an image too many and another one
    too few: as many in all, so that a sample gets an image of another.
    """
    if case.error is not None or not case.conversation.messages:
        return NOT_JUDGED
    if "images" not in case.subject.abilities and not _looks_at_the_images(case):
        return NOT_JUDGED
    one_more = _one_more(case.subject.contract)
    for faulty, wrong in _faults(case.conversation, one_more):
        verdict = _judge(case, (faulty,), wrong)
        if verdict is not None:
            return verdict
    if "batch" not in case.subject.abilities:
        return None
    for both, wrong in _batch_faults(case.conversation, one_more):
        verdict = _judge(case, both, wrong, batch=True)
        if verdict is not None:
            return verdict
    return None


def _looks_at_the_images(case: Case) -> bool:
    """Whether the pipeline asks for the list of images, or for pictures."""

    def encode(given: Conversation) -> bool:
        assert isinstance(given, Watched)
        case.subject.encode(given)
        looked: bool = given.looked
        return looked

    try:
        return case.bench.run(encode, case.conversation, given=Watched(case.conversation))
    except Exception:  # a pipeline with a memory; other checks say so
        return False


def _one_more(contract: Contract) -> Image:
    """An image that nobody asked for, inside the limits of the contract."""
    least, most = contract.input.sides.least, contract.input.sides.most
    side = min(max(64, least), most)
    return Image(side, side)


def _faults(conversation: Conversation, one_more: Image) -> Iterator[tuple[Conversation, str]]:
    """The conversation with too few and too many images, and what is wrong with it."""
    images, messages = conversation.images, conversation.messages
    for given in ([images[:-1]] if images else []) + [(*images, one_more)]:
        yield Conversation(messages, given), f"{len(given)} images are given for {len(images)} in the messages"


def _batch_faults(
    conversation: Conversation, one_more: Image
) -> Iterator[tuple[tuple[Conversation, Conversation], str]]:
    """The conversation twice, with an image too many and one too few, in both orders; and what is wrong with it."""
    images, messages = conversation.images, conversation.messages
    if not images:
        return
    more, fewer = (*images, one_more), images[:-1]
    for given in ((more, fewer), (fewer, more)):
        one, other = (Conversation(messages, own) for own in given)
        numbers = f"one is given {len(one.images)} and the other {len(other.images)}"
        yield (one, other), f"of two samples of a batch that hold {len(images)} images each, {numbers}"


def _judge(case: Case, faulty: Sequence[Conversation], wrong: str, *, batch: bool = False) -> Verdict:
    """What the pipeline, or its batch entry, makes of conversations with wrong numbers of images."""
    # A finding is on the conversation that was judged, not on the faulty one: who repeats it gives the former.
    what = "batch entry" if batch else "pipeline"

    def finding(text: str, **facts: Any) -> Finding:
        return case.finding("failures.loud", wrong + text, batch=batch, **facts)

    try:
        rows = case.bench.run_batch(faulty, "right") if batch else [case.bench.run(case.subject.encode, faulty[0])]
    except TookTooLong:
        raise
    except case.subject.refusals as error:
        if _says_so(case, faulty, error):
            return None
        return finding(f"; the refusal does not say so: {words(error)}")
    except (BadEncoding, *MISBEHAVIOUR) as error:
        return finding(f"; the {what} {'gave: ' if isinstance(error, BadEncoding) else ''}{error}", bad=error)
    except Exception as error:
        return finding(f"; instead of refusing it, the {what} raised {words(error)}", crashed=error)
    if batch:
        return finding(f"; {len(rows)} rows came back", swallowed=False, faulty=faulty[0])
    same = rows[0].ids == case.ids
    how = "and the ids are those of the right number" if same else f"and {len(rows[0].ids)} ids came back"
    return finding(f", {how}", swallowed=same)


def _says_so(case: Case, faulty: Sequence[Conversation], error: Exception) -> bool:
    """Whether an error names one of the numbers, or a marker; or says that images are missing, where all are."""
    text = str(error)
    tag = case.subject.contract.literals.tag
    tokens = [*case.subject.contract.markers.values(), *([tag] if tag else ())]
    numbers = {str(len(one.images)) for one in (*faulty, case.conversation)}
    if not all(one.images for one in faulty) and re.search(r"\bimages?\b", text):
        return True
    return bool(numbers.intersection(re.findall(r"\d+", text))) or any(token in text for token in tokens)
