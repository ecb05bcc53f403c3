"""What went wrong before there were ids to compare: in the pipeline, in one of its entries, or in what judges."""

from __future__ import annotations

import os
import traceback

from image_spans.case import Case
from image_spans.findings import Cause, Finding
from image_spans.foreign import ChangedItsInput, LeftTheProcess, PrintedTooMuch, TookTooLong
from image_spans.subject import BadEncoding

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


def judging_raised(error: BaseException) -> Cause:
    """Not the pipeline failed but what judges it: the tokenizer, a rule, a grammar or an order; or this package."""
    frames = traceback.extract_tb(error.__traceback__)
    last = next((f for f in reversed(frames) if f"{os.sep}image_spans{os.sep}" not in f.filename), frames[-1])
    where = f"{os.path.basename(last.filename)}, line {last.lineno}, in {last.name}"
    return Cause(
        f"judging-raised-{type(error).__name__}",
        f"the ids could not be judged: what the contract names, or the tokenizer itself, fails ({where})",
    )


def raised(case: Case, finding: Finding) -> Cause | None:
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


def accident(case: Case, finding: Finding, what: str) -> Cause | None:
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
