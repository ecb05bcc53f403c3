"""Whether a conversation inside the contract encodes at all."""

from __future__ import annotations

from image_spans.case import Case
from image_spans.checks import Verdict, check
from image_spans.conversation import Text
from image_spans.subject import BadEncoding


@check("pipeline.encodes")
def encodes(case: Case) -> Verdict:
    """A conversation inside the contract encodes without an error.

    Under ``literals: reject`` a refusal of typed marker text is no error; ``literals.policy`` judges it.
    """
    error = case.error
    if error is None:
        unknown = next((index for index, token_id in enumerate(case.ids) if token_id < 0), None)
        if unknown is None:
            return None
        return case.finding(
            "pipeline.encodes", f"the id at {unknown} is {case.ids[unknown]}; ids are not negative", at=unknown
        )
    if isinstance(error, BadEncoding):
        return case.finding("pipeline.encodes", str(error), error=error)
    if isinstance(error, case.subject.refusals) and spelled(case, "reject"):
        return None
    return case.finding("pipeline.encodes", f"raised {type(error).__name__}: {error}", error=error)


def spelled(case: Case, policy: str) -> list[str]:
    """The markers (and the data tag) under a literal policy that the conversation's texts spell."""
    literals = case.subject.contract.literals
    tokens = [*case.subject.contract.markers.values(), *([literals.tag] if literals.tag else ())]
    parts = [part for message in case.conversation.messages for part in message.parts]
    typed = [part.text for part in parts if isinstance(part, Text)]
    return [
        token
        for token in dict.fromkeys(tokens)
        if literals.policy_for(token) == policy and any(token in t for t in typed)
    ]
