"""The checks of the suite on a sample, and the cause of what they find."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from image_spans import checks
from image_spans.case import Bench, Case
from image_spans.checks.batch import NAME as BATCH
from image_spans.checks.labels import misplaced, nothing_learned
from image_spans.conversation import Conversation, Image
from image_spans.diagnosis import diagnose, diagnosed, strip_at
from image_spans.errors import words
from image_spans.findings import UNKNOWN, Cause, Finding
from image_spans.foreign import Foreign
from image_spans.guard.causes import STRUCTURE, cause_of
from image_spans.guard.given import Given
from image_spans.guard.padding import Wrong
from image_spans.guard.sample import SampleCase, read, read_shape
from image_spans.guard.shape import Shape
from image_spans.oracles import PLACEHOLDER, Token, scan
from image_spans.subject import Encoding, Subject

T = TypeVar("T")

NAMES = (
    "pipeline.encodes",
    "bos.placement",
    "spans.matched",
    "spans.expected",
    "spans.slots",
    "spans.order",
    "spans.bounds",
    "geometry.agrees",
    "arrays.mark",
    "labels.cover_answers",
)
"""What ids can tell without the text; in this order."""


class Judge:
    """Judges the samples of one subject.

    Args:
        subject: as it is declared.
        written: the same under :func:`image_spans.guard.sample.as_written`.
        shape: the forms of its images, for samples whose sizes are not known.
    """

    def __init__(self, subject: Subject, written: Subject, shape: Shape | None) -> None:
        self._subject = subject
        self._written = written
        self._shape = shape
        self._bench = Bench(written)

    def judge(self, given: Given, images: Sequence[Image] | None) -> Finding | None:
        """What is wrong with a sample without padding.

        Args:
            given: the sample.
            images: its images in the order in which they stand in the ids; None: not known.
        """
        case = self._case(self._bench, given, images, spelled=False)
        name, found = next(((name, one) for name in NAMES if (one := _finding(case, name)) is not None), ("", None))
        if found is None:
            return None
        try:  # this decodes, and asks the tokenizer, the rule and the grammar again
            # Once more with the texts, which are decoded only now, and remembered no longer than this.
            case = self._case(Bench(self._written), given, images, spelled=True)
            finding = (images is not None and self._by_pipeline(case, name)) or self._told(case, name)
        except Exception as error:
            sentence = f"cause unknown: looking for it raised {words(error)}"
            finding = found.having(cause=Cause(UNKNOWN.name, sentence), conversation=None)
        return finding.having(as_read=True) if images is not None else finding.having(conversation=None)

    def of_padding(self, given: Given, wrong: Wrong) -> Finding:
        """The finding on the padding of a row."""
        return self._of_batch(given.ids.tolist(), wrong.message, at=wrong.at, **wrong.facts)

    def of_rows(self, rows: int, samples: int) -> Finding:
        """The finding on a batch with more or fewer rows than samples."""
        return self._of_batch([], f"there are {rows} rows, and images for {samples}", lost=rows - samples)

    def _of_batch(self, ids: list[int], message: str, **facts: Any) -> Finding:
        case = Case(Bench(self._written), Conversation([]), Encoding(ids))
        finding = case.finding(BATCH, message, **facts)
        return finding.having(cause=diagnose(case, finding), strip=strip_at(case, finding), conversation=None)

    def _case(self, bench: Bench, given: Given, images: Sequence[Image] | None, *, spelled: bool) -> SampleCase:
        ids = given.ids.tolist()
        found = scan(ids, bench.roles, bench.subject.facts.bos)
        slots = None
        if bench.subject.contract.images.slots == "from_features":
            slots = given.features
            if slots is None and images is not None:
                slots = _slots_as_found(found.tokens, len(images))
        arrays = {key: values.tolist() for key, values in given.arrays.items()}
        encoding = Encoding(ids, given.bounds, given.features, arrays)
        declared = self._subject.contract
        if images is None:
            reading, mended, open_gaps = read_shape(found, self._shape)
            conversation = reading.conversation(bench, declared, spelled=spelled)
            return SampleCase(bench, conversation, encoding, reading, mended=mended, open_gaps=open_gaps)
        reading = read(found, bench.oracle, images, slots)
        conversation = reading.conversation(bench, declared, spelled=spelled)
        return SampleCase(bench, conversation, encoding, reading, slots=slots)

    def _told(self, case: SampleCase, name: str) -> Finding:
        """The finding of a check with its cause and the ids around it."""
        finding = _finding(case, name)
        assert finding is not None
        return finding.having(cause=cause_of(case, finding, self._subject.contract), strip=strip_at(case, finding))

    def _by_pipeline(self, case: SampleCase, name: str) -> Finding | None:
        """The finding of the suite, where the subject's own pipeline makes the same ids of what was read from them.

        Then related conversations can be asked for, so it says more.
        """
        if self._subject.pipeline is no_pipeline or name not in STRUCTURE:
            return None
        own = Bench(self._subject, _InThisProcess()).case(case.conversation)
        if own.encoding is None or own.ids != case.ids:
            return None
        verdicts = (checks.judge(own, one) for one in ("literals.policy", *STRUCTURE))
        found = next((verdict for verdict in verdicts if isinstance(verdict, Finding)), None)
        return None if found is None else diagnosed(own, found)


class _InThisProcess(Foreign):
    """Calls the pipeline as any other code of the process that it belongs to: nothing is redirected or put in place."""

    def call(
        self, what: Callable[[], str], function: Callable[..., T], *arguments: Any, limit: float | None = None
    ) -> T:
        return function(*arguments)


def no_pipeline(conversation: Conversation) -> None:
    """What a subject has for a pipeline that is made of a contract and a tokenizer alone."""
    raise LookupError("this subject has no pipeline")


def _slots_as_found(tokens: Sequence[Token], images: int) -> list[tuple[int, int]]:
    """Features as if the vision side delivered what stands in the ids; of images that touch, one slot each but one."""
    counts = [count for role, count in tokens if role == PLACEHOLDER][:images]
    touching = images - len(counts)
    if counts and touching and counts[0] > touching:
        counts[:1] = [*[1] * touching, counts[0] - touching]
    counts += [1] * (images - len(counts))
    return list(enumerate(counts))


def _finding(case: Case, name: str) -> Finding | None:
    """What a check has against a case."""
    encoding = case.encoding
    assert encoding is not None
    if name == "labels.cover_answers":
        return None if "labels" not in encoding.arrays else misplaced(case) or nothing_learned(case)
    beside = {"image_bounds": encoding.image_bounds, "features": encoding.features}
    abilities = frozenset([*encoding.arrays, *(key for key, value in beside.items() if value is not None)])
    if checks.checks()[name].inapplicable(case.subject.contract, abilities) is not None:
        return None
    verdict = checks.judge(case, name)
    return verdict if isinstance(verdict, Finding) else None
