"""Turn by turn: what is expanded once stays as it is when a message is added."""

from __future__ import annotations

from image_spans.case import Case
from image_spans.checks import NOT_JUDGED, Verdict, blocking, check
from image_spans.checks.relations import NEEDS
from image_spans.contract import Contract
from image_spans.conversation import Conversation
from image_spans.errors import words
from image_spans.findings import first_difference
from image_spans.foreign import MISBEHAVIOUR, TookTooLong
from image_spans.oracles import PLACEHOLDER, scan
from image_spans.subject import BadEncoding

NAME = "expansion.once"


def _no_continue(contract: Contract, abilities: frozenset[str]) -> str | None:
    return None if "continue" in abilities else "the pipeline has no continue entry"


@check(NAME, family="variants", needs=NEEDS, inapplicable=_no_continue)
def once(case: Case) -> Verdict:
    """All messages but the last encoded, and that one added, give what the whole gives: nothing is expanded twice."""
    messages = case.conversation.messages
    if case.error is not None or len(messages) < 2:
        return NOT_JUDGED
    other = case.again(Conversation(messages[:-1]))
    if other.error is not None or len(other.conversation.images) < case.subject.contract.input.images.least:
        return NOT_JUDGED  # the shorter one may be outside of the contract
    if blocked := blocking(other, NEEDS):
        return blocked
    if case.expected.tokens[: len(other.expected.tokens)] != other.expected.tokens:
        return NOT_JUDGED  # earlier blocks depend on the images that are added
    try:
        longer = case.bench.run_extend(other.conversation, messages[-1])
    except TookTooLong:
        raise
    except (BadEncoding, *MISBEHAVIOUR) as error:
        how = "returned no encoding: " if isinstance(error, BadEncoding) else ""
        return case.finding(NAME, f"the continue entry {how}{error}", bad=error)
    except Exception as error:
        return case.finding(NAME, f"the continue entry raised {words(error)}", crashed=error)
    whole = case.encoding
    assert whole is not None
    if longer.ids != whole.ids:
        return _ids_differ(case, other, longer.ids)
    for what, got, wanted in (
        ("image_bounds", longer.image_bounds, whole.image_bounds),
        ("features", longer.features, whole.features),
        *((key, longer.arrays.get(key), values) for key, values in whole.arrays.items()),
    ):
        if got is not None and wanted is not None and list(got) != list(wanted):
            index = first_difference(got, wanted)
            message = f"the ids are those of the whole conversation, but {what} are other ones from {index} on"
            return case.finding(NAME, message, side=what)
    return None


def _ids_differ(case: Case, shorter: Case, ids: list[int]) -> Verdict:
    at = first_difference(ids, case.ids)
    found = scan(ids, case.bench.roles, case.subject.facts.bos)
    if found.tokens != case.found.tokens:
        index = first_difference(found.tokens, case.found.tokens)
        wanted = case.expected.owners[index] if index < len(case.expected.owners) else None
        slots = [sum(n for role, n in tokens if role == PLACEHOLDER) for tokens in (found.tokens, case.found.tokens)]
        old = index < len(shorter.found.tokens)
        message = f"with the last message added there are {slots[0]} placeholders, in the whole {slots[1]}"
        if old:
            message += f"; the block of image {wanted}, which stood there, was changed"
        got, there = (tokens[index] if index < len(tokens) else ("", 0) for tokens in (found.tokens, case.found.tokens))
        again = got[0] == there[0] == PLACEHOLDER and got[1] > there[1]
        return case.finding(NAME, message, at=at, again=again, old=old, structure=True)
    bos = (len(found.bos), len(case.found.bos))
    message = (
        f"with the last message added there are {len(ids)} ids, in the whole {len(case.ids)}; other ones from {at} on"
    )
    return case.finding(NAME, message, at=at, bos=bos, cut=at < len(shorter.ids))
