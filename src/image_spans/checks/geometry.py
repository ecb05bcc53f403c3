"""Whether all who count the slots of an image come to the same number.

Up to five do: the prompt (its placeholders), the slice rule of the contract, the vision side (``features``), the array
of pixels (``pixels``), and a helper that predicts from the size alone (``predict``). The prompt is compared with
the rule by ``spans.slots``; here it is compared with the others, and the finding says what each of them counts.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from image_spans.case import Case
from image_spans.checks import NOT_JUDGED, Verdict, check
from image_spans.contract import Contract
from image_spans.errors import words
from image_spans.oracles import PLACEHOLDER


@dataclass(frozen=True)
class _Count:
    """What one of them counts."""

    by: str
    what: str
    """In the plural."""
    total: int
    per_image: Sequence[int] | None = None


def _nothing_to_compare(contract: Contract, abilities: frozenset[str]) -> str | None:
    if abilities & {"features", "pixels", "predict"}:
        return None
    return "neither features nor pixels are returned, nor is predict declared"


@check(
    "geometry.agrees",
    needs=["pipeline.encodes", "spans.matched", "spans.expected", "spans.slots", "spans.order"],
    inapplicable=_nothing_to_compare,
)
def agrees(case: Case) -> Verdict:
    """Per image the placeholders are as many as the features, the pixels and a size-only predictor say (I17)."""
    if found := _surplus(case):
        return found
    images, counts = case.conversation.images, _delivered(case)
    if not images:
        return None if counts else NOT_JUDGED  # a predictor says nothing of no image
    written: Counter[int] = Counter()
    for (role, length), owner in zip(case.expected.tokens, case.expected.owners, strict=True):
        if role == PLACEHOLDER and owner is not None:
            written[owner] += length
    if case.subject.predict is not None:
        try:
            predicted = [_slots(case.subject.predict(image.width, image.height)) for image in images]
        except Exception as error:  # the pipeline took these images
            return case.finding("geometry.agrees", f"the predictor raised {words(error)}", predictor=error)
        counts.append(_Count("predict", "predicted slots", sum(predicted), predicted))
    merged = len(written) < len(images)  # images that touch are one run: only their sum can be told
    for count in counts:
        for image, number in enumerate(() if merged else count.per_image or ()):
            if number != written[image]:
                return _differs(case, image, written[image], number, count, counts)
        if count.total != sum(written.values()):
            return _differs(case, None, sum(written.values()), count.total, count, counts)
    return None


def _slots(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError(f"it returned {value!r}, not a number of slots")
    return operator.index(value)


def _delivered(case: Case) -> list[_Count]:
    """What came back with the ids."""
    assert case.encoding is not None
    counts = []
    if case.encoding.features is not None:
        delivered: Counter[int] = Counter()
        for image, slots in case.encoding.features:
            delivered[image] += slots
        each = [delivered[image] for image in range(len(case.conversation.images))]
        counts.append(_Count("features", "features", sum(delivered.values()), each))
    if case.encoding.pixels is not None:
        counts.append(_Count("pixels", "slots in the pixel array", case.encoding.pixels))
    return counts


def _surplus(case: Case) -> Verdict:
    assert case.encoding is not None
    count = len(case.conversation.images)
    unknown = next((image for image, _ in case.encoding.features or () if not 0 <= image < count), None)
    if unknown is not None:
        message = f"features are delivered for image {unknown}, of {count}"
        return case.finding("geometry.agrees", message, features=True)
    if count == 0 and case.encoding.pixels:
        message = f"pixels are delivered for {case.encoding.pixels} slots, of no image"
        return case.finding("geometry.agrees", message, features=True)
    return None


def _differs(
    case: Case, image: int | None, written: int, counted: int, count: _Count, counts: Sequence[_Count]
) -> Verdict:
    """A finding: what differs, and what the others say of the same image, or of all."""
    first = image or 0
    at = next((s for s, owner in zip(case.found.starts, case.expected.owners, strict=True) if owner == first), 0)
    size = case.conversation.images[first]
    of_all = " of all images" if image is None else ""
    others = {
        other.what: number for other in counts if other is not count and (number := _said(other, image)) is not None
    }
    says = ", ".join(f"{number} {what}" for what, number in others.items())
    return case.finding(
        "geometry.agrees",
        f"image {first} ({size.width}x{size.height}) has {written} placeholders, but {counted} {count.what}{of_all}"
        + (says and f"; {says}"),
        at=at,
        expected=f"{counted} slots",
        counts=(written, counted),
        by=count.by,
        others=list(others.values()),
        image=image,
    )


def _said(count: _Count, image: int | None) -> int | None:
    if image is None:
        return count.total
    return None if count.per_image is None else count.per_image[image]
