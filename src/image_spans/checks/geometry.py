"""Whether the prompt, the vision side and a predictor that sees sizes alone count the same slots."""

from __future__ import annotations

from collections import Counter

from image_spans.case import Case
from image_spans.checks import NOT_JUDGED, Verdict, check
from image_spans.contract import Contract
from image_spans.oracles import PLACEHOLDER


def _nothing_to_compare(contract: Contract, abilities: frozenset[str]) -> str | None:
    return None if abilities & {"features", "predict"} else "neither features are returned nor predict is declared"


@check(
    "geometry.agrees",
    needs=["pipeline.encodes", "spans.matched", "spans.expected", "spans.slots", "spans.order"],
    inapplicable=_nothing_to_compare,
)
def agrees(case: Case) -> Verdict:
    """Per image the placeholders are as many as the features delivered, and as a size-only predictor says (I17)."""
    assert case.encoding is not None
    images = case.conversation.images
    if not images:
        return _surplus(case, 0) or NOT_JUDGED
    written: Counter[int] = Counter()
    for (role, count), owner in zip(case.expected.tokens, case.expected.owners, strict=True):
        if role == PLACEHOLDER and owner is not None:
            written[owner] += count
    merged = len(written) < len(images)  # images that touch are one run: only their sum can be told
    if case.encoding.features is not None:
        delivered: Counter[int] = Counter()
        for image, slots in case.encoding.features:
            delivered[image] += slots
        if found := _surplus(case, len(images)):
            return found
        for image in range(len(images)):
            if not merged and delivered[image] != written[image]:
                return _differs(case, image, written[image], delivered[image], "features")
        if sum(delivered.values()) != sum(written.values()):
            return _differs(case, 0, sum(written.values()), sum(delivered.values()), "features of all images")
    if case.subject.predict is not None:
        predicted = [case.subject.predict(image.width, image.height) for image in images]
        for image, slots in enumerate(predicted):
            if not merged and slots != written[image]:
                return _differs(case, image, written[image], slots, "predicted slots")
        if sum(predicted) != sum(written.values()):
            return _differs(case, 0, sum(written.values()), sum(predicted), "predicted slots of all images")
    return None


def _surplus(case: Case, count: int) -> Verdict:
    assert case.encoding is not None
    unknown = next((image for image, _ in case.encoding.features or () if not 0 <= image < count), None)
    if unknown is None:
        return None
    return case.finding("geometry.agrees", f"features are delivered for image {unknown}, of {count}", features=True)


def _differs(case: Case, image: int, written: int, counted: int, what: str) -> Verdict:
    at = next((s for s, owner in zip(case.found.starts, case.expected.owners, strict=True) if owner == image), 0)
    size = case.conversation.images[image]
    return case.finding(
        "geometry.agrees",
        f"image {image} ({size.width}x{size.height}) has {written} placeholders, but {counted} {what}",
        at=at,
        expected=f"{counted} slots",
        counts=(written, counted),
        image=None if what.endswith("of all images") else image,
    )
