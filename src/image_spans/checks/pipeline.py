"""Whether a conversation inside the contract encodes at all."""

from __future__ import annotations

from image_spans.case import Case
from image_spans.checks import Verdict, check
from image_spans.errors import words
from image_spans.foreign import MISBEHAVIOUR, TookTooLong
from image_spans.subject import BadEncoding


@check("pipeline.encodes")
def encodes(case: Case) -> Verdict:
    """A conversation inside the contract encodes without an error.

    Under ``literals: reject`` a refusal of typed marker text is no error; ``literals.policy`` judges it.
    """
    error = case.error
    if error is None:
        at = case.bench.first_outside(case.ids)
        if at is None:
            return None
        return case.finding("pipeline.encodes", f"the id at {at} is {case.ids[at]}, which no token has", at=at)
    if isinstance(error, TookTooLong):
        assert case.bench.stuck is not None
        # Not this conversation, if it was found out before: the pipeline is not called again.
        return case.finding("pipeline.encodes", str(error), error=error).having(conversation=case.bench.stuck[1])
    if isinstance(error, (BadEncoding, *MISBEHAVIOUR)):
        return case.finding("pipeline.encodes", str(error), error=error)
    if isinstance(error, case.subject.refusals) and spelled(case, "reject"):
        return None
    return case.finding("pipeline.encodes", f"raised {words(error)}", error=error)


def spelled(case: Case, policy: str) -> list[str]:
    """The markers (and the data tag) under a literal policy that the conversation's texts spell."""
    literals = case.subject.contract.literals
    tokens = [*case.subject.contract.markers.values(), *([literals.tag] if literals.tag else ())]
    typed = case.conversation.texts
    return [
        token
        for token in dict.fromkeys(tokens)
        if literals.policy_for(token) == policy and any(token in t for t in typed)
    ]
