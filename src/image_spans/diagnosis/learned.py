"""Labels and the arrays beside the ids (F11, F13)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from image_spans.case import Case
from image_spans.checks import judge
from image_spans.conversation import Text
from image_spans.diagnosis.rivals import Fit, among, filled_and_longer
from image_spans.findings import Cause, Finding


def _labels(case: Case, finding: Finding) -> Iterator[Fit]:
    for rank, cause in _fitting(case, finding.facts):
        yield Fit(cause, partial(_shows, cause.name, finding.check), rank)


def _shows(name: str, check: str, case: Case) -> bool:
    """Whether the labels of another conversation may have the same fault."""
    verdict = judge(case, check)
    return isinstance(verdict, Finding) and name in {cause.name for _, cause in _fitting(case, verdict.facts)}


def _fitting(case: Case, facts: Mapping[str, Any]) -> Iterator[tuple[int, Cause]]:
    """The faults that the facts leave open: of an answer that is one id, none can be told."""
    got, wanted = facts.get("answer", ("", ""))
    if "moved" in facts:
        yield from _moved(facts["moves"])
    elif facts.get("structural"):
        yield 0, Cause("structure-labelled", f"the loss would be computed on {facts['structural']}")
    elif facts.get("surplus"):
        yield 0, Cause("question-labelled", "text that is no answer is labelled: the mask reaches into another turn")
    elif facts.get("unlabelled") or facts.get("nothing"):
        message, nothing = facts["turn"], bool(facts.get("nothing"))
        if nothing:
            yield 0, Cause("all-ignored", "every label is ignored, so nothing would be learned from this sample")
        if not nothing or _answers(case) == 1:  # of a single answer it cannot be told whether others would be
            yield (
                int(nothing),
                Cause(
                    "answer-unlabelled",
                    f"the answer of message {message} is left out of the labels, and others are not",
                ),
            )
        if not got and len(_ids_learned(case, message, wanted)) <= 1:
            yield 1, Cause("labels-end-early", "the end of an answer, or the token that ends it, is not labelled")
            yield 1, Cause("labels-begin-late", "the beginning of an answer is not labelled")
    elif got.startswith(wanted) or got.endswith(wanted):
        if got.startswith(wanted):
            yield 0, Cause("labels-reach-on", f"the labels of an answer reach into {_what_follows(case, facts)}")
        if got.endswith(wanted):
            yield 0, Cause("labels-begin-early", "the labels of an answer begin before it, in the template's text")
    else:
        if wanted.startswith(got):
            yield 0, Cause("labels-end-early", "the end of an answer, or the token that ends it, is not labelled")
        if wanted.endswith(got):
            yield 0, Cause("labels-begin-late", "the beginning of an answer is not labelled")


def _moved(moves: list[int]) -> Iterator[tuple[int, Cause]]:
    if not moves:
        yield 0, Cause("label-is-another-id", "a label is neither the ignored value nor the id that it stands for")
    for by in moves:
        places = f"{abs(by)} place{'s' * (abs(by) != 1)} {'ahead of' if by > 0 else 'behind'}"
        yield 0, Cause(f"labels-shifted-{abs(by)}", f"all labels stand {places} their ids, against the contract")


def _answers(case: Case) -> int:
    return sum(message.role in case.subject.contract.labels.roles for message in case.conversation.messages)


def _ids_learned(case: Case, message: int | None, wanted: str) -> tuple[int, ...]:
    """The ids of an answer, or of what ends it where it is empty."""
    own = (
        ""
        if message is None
        else "".join(part.text for part in case.conversation.messages[message].parts if isinstance(part, Text))
    )
    return case.bench.texts.alone(own)[0] if own else case.bench.texts.alone(wanted)[0][:1]


def _what_follows(case: Case, facts: Mapping[str, Any]) -> str:
    """The first later message whose text the labels reach; else the text behind the answer."""
    got, wanted = facts["answer"]
    extra, turn = got[len(wanted) :], facts["turn"]
    for number, message in enumerate(case.conversation.messages):
        text = next((part.text for part in message.parts if isinstance(part, Text) and part.text), "")
        if turn is not None and number > turn and text and text[:3] in extra:
            return f"message {number}, which is the {message.role}'s"
    return "what follows it"


labels = among([_labels], filled_and_longer)


def arrays(case: Case, finding: Finding) -> Cause | None:
    """An array that does not say of the ids what it should."""
    key = finding.facts["array"]
    return {
        "attention_mask": Cause("mask-hides-tokens", "attention_mask hides tokens of a sample that has no padding"),
        "token_type_ids": Cause("types-misplaced", "token_type_ids do not mark exactly the placeholders"),
        "position_ids": Cause("positions-jump", "position_ids do not count one by one"),
    }[key]
