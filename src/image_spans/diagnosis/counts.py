"""Prompt against vision side, and what becomes of a wrong number of images (F9, F14)."""

from __future__ import annotations

from image_spans.case import Case
from image_spans.conversation import Conversation
from image_spans.diagnosis.errors import accident
from image_spans.diagnosis.layouts import LAYOUT_FAULTS
from image_spans.findings import Cause, Finding


def counts(case: Case, finding: Finding) -> Cause | None:
    """Prompt against features, or against what a predictor says."""
    if finding.facts.get("features"):
        return Cause("features-surplus", "the vision side delivers an image that the prompt does not hold")
    if "predictor" in finding.facts:
        error = type(finding.facts["predictor"]).__name__
        return Cause(f"prediction-raised-{error}", "the predictor does not take an image that the pipeline takes")
    written, counted = finding.facts["counts"]
    by = finding.facts["by"]
    if counted == 0 and by == "features":
        return Cause("features-missing", "the vision side delivers nothing for an image that the prompt holds")
    more = "more" if counted > written else "fewer"
    name, other = _OTHERS[by]
    return Cause(
        f"{name}-{more}",
        f"prompt and {other} count by different rules: one of them uses another size"
        + _alone(finding, other)
        + _as_of(case, finding),
    )


_OTHERS = {
    "features": ("counts-differ", "vision side"),
    "pixels": ("pixels-differ", "array of pixels"),
    "predict": ("prediction-differs", "predictor"),
}


def _alone(finding: Finding, other: str) -> str:
    """Who is alone with its number, where more than two count."""
    (written, counted), others = finding.facts["counts"], finding.facts["others"]
    if others and all(number == written for number in others):
        return f"; the {other} is alone with {counted}"
    if others and all(number == counted for number in others):
        return f"; the prompt is alone with {written}"
    return ""


def _as_of(case: Case, finding: Finding) -> str:
    """Which known fault would count so, where one does."""
    image, (_, counted), contract = finding.facts.get("image"), finding.facts["counts"], case.subject.contract
    if image is None or contract.images.slots == "from_features":
        return ""
    given = case.conversation.images
    try:
        right = case.bench.oracle.layout(case.conversation, image)
        turned = contract.layout(given[image].height, given[image].width, len(given))
        wrong = [(name, fault(right, contract)) for name, fault, _ in LAYOUT_FAULTS]
    except Exception:  # a rule, perhaps the user's, that has no layout for what is tried
        return ""
    if turned.slots == counted:
        return "; width and height swapped give as many"
    name = next((name for name, layout in wrong if layout is not None and layout.slots == counted), None)
    return f"; {name.replace('-', ' ')} gives as many" if name else ""


def fault(case: Case, finding: Finding) -> Cause | None:
    """What a pipeline makes of a wrong number of images."""
    where, what = ("batch-", "in one sample of a batch ") if finding.facts.get("batch") else ("", "")
    if where and "swallowed" in finding.facts:
        if _counts_all(case, finding.facts["faulty"]):
            return Cause(
                "batch-mismatch-swallowed", "images are counted for a batch as a whole: a sample gets images of another"
            )
        return Cause("batch-mismatch-ignored", "the images of a batch are not compared with the messages")
    if "swallowed" in finding.facts:
        if finding.facts["swallowed"]:
            return Cause("mismatch-ignored", "the list of images is not compared with the messages")
        return Cause("mismatch-swallowed", "a wrong number of images is turned into other ids without a word")
    if "crashed" in finding.facts:
        return Cause(
            f"{where}mismatch-crashes-{type(finding.facts['crashed']).__name__}",
            f"a wrong number of images {what}ends in an accident",
        )
    if "bad" in finding.facts:
        return accident(case, finding, f"{where}mismatch")
    return Cause(
        f"{where}refusal-unclear",
        f"a wrong number of images {what}is refused, but the error names neither number nor marker",
    )


def _counts_all(case: Case, faulty: Conversation) -> bool:
    """Whether a batch of which the number of all images is wrong is refused."""
    try:
        case.bench.run_batch((faulty, case.conversation), "right")
    except case.subject.refusals:
        return True
    except Exception:  # an accident counts nothing
        return False
    return False
