"""Where several causes fit one conversation, others decide.

A cause is a prediction: it says what the same pipeline does on any conversation. On a small one two faults often give
the same ids (a lost row break, and swapped sides, of an image of two rows). So the pipeline is asked for related
conversations, which depend on the one at hand alone, and a cause that predicts them wrongly is out. What is left
undecided then is said as such.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from image_spans.case import Case
from image_spans.conversation import Conversation, Image, Message, Text, resized
from image_spans.findings import UNKNOWN, Cause, Finding

Probes: TypeAlias = Callable[[Case], Iterator[Conversation]]
LETTERS = "abcdef"
"""No two alike, no blanks: what is lost of it can be told."""
MOST = 10
"""How many related conversations are tried at most."""


@dataclass(frozen=True)
class Fit:
    """A cause that explains what was found on one conversation."""

    cause: Cause
    holds: Callable[[Case], bool]
    """Whether the same fault gives what is found on another conversation."""
    rank: int = 0
    """Of those that hold the lowest are said: 0 names a fault, 1 only describes it, or has nothing to show for it here,
    2 is a doubt, so that a single fault is tried on other conversations too."""


Tries: TypeAlias = Callable[[Case, Finding], Iterator[Fit]]


def among(tries: Sequence[Tries], probes: Probes) -> Callable[[Case, Finding], Cause | None]:
    """The explanation that tries several faults and decides between those that fit."""

    def explain(case: Case, finding: Finding) -> Cause | None:
        return decide(case, [fit for one in tries for fit in one(case, finding)], probes)

    return explain


def decide(case: Case, fits: list[Fit], probes: Probes) -> Cause | None:
    """The cause that also holds on related conversations; "one of two" where they do not tell."""
    tried = probes(case)
    told = False  # whether one of them told anything
    for _ in range(MOST):
        named = {fit.cause.name for fit in fits if fit.rank < 2}
        if len(named) < 2 and (told or len(named) == len({fit.cause.name for fit in fits})):
            break  # one is left, and nobody doubts it, or not any more
        probe = next(tried, None)
        if probe is None:
            break
        other = encoded(case, probe)
        if other is not None:
            holding = _holding(fits, other)
            told = told or bool(holding)
            fits = holding or fits
    if not fits:
        return None
    if case.alone:  # a sample: nobody can be asked
        fits = _holding(fits, case) or fits
    best = min(fit.rank for fit in fits)
    causes = list({fit.cause.name: fit.cause for fit in reversed(fits) if fit.rank == best}.values())[::-1]
    if len(causes) == 1:
        return causes[0]
    if len(causes) > 3:
        return Cause(
            UNKNOWN.name, f"cause unknown: {len(causes)} faults explain these ids, among them: {causes[0].sentence}"
        )
    number = {2: "two", 3: "three"}[len(causes)]
    sentences = "; or ".join(cause.sentence for cause in causes)
    return Cause("-or-".join(cause.name for cause in causes), f"one of {number}: {sentences}")


def _holding(fits: list[Fit], other: Case) -> list[Fit]:
    """The fits that hold on another conversation; none where it tells nothing, as when the fault is not seen there."""
    try:
        return [fit for fit in fits if fit.holds(other)]
    except Exception:  # a rule, an order or a tokenizer, perhaps the user's, that refuses this conversation
        return []


def encoded(case: Case, conversation: Conversation) -> Case | None:
    """What the pipeline makes of a related conversation; None where it is the same one, or outside of the contract."""
    limits = case.subject.contract.input
    inside = limits.images.least <= len(conversation.images) <= limits.images.most
    if conversation == case.conversation or not inside or case.bench.stuck is not None or case.alone:
        return None
    other = case.again(conversation)
    return other if other.encoding is not None else None


# ---------------------------------------------------------------- related conversations


def text_in_front(case: Case) -> Iterator[Conversation]:
    """Every message begins with text, which a fault at its beginning meets instead of an image."""
    yield Conversation([Message(m.role, [Text(LETTERS), *m.parts]) for m in case.conversation.messages])


def text_behind(case: Case) -> Iterator[Conversation]:
    """The last message goes on."""
    for last in case.conversation.messages[-1:]:
        front = case.conversation.messages[:-1]
        yield Conversation([*front, Message(last.role, [*last.parts, Text(LETTERS)])])


def other_sizes(case: Case) -> Iterator[Conversation]:
    """The images turned, and in reverse; larger and smaller, upright and lying, all alike and one after the other."""
    given = case.conversation.images
    turned = [Image(image.height, image.width) for image in given]
    yield from (resized(case.conversation, images) for images in (turned, given[::-1]) if list(images) != list(given))
    sides = max((max(image.width, image.height) for image in given), default=1)
    base = min(sides, 1024)
    shapes = [(2 * base, base), (base, 2 * base), (2 * base, 2 * base), (3 * base, 2 * base), (base, base), (1, 1)]
    sizes = [Image(width, height) for width, height in shapes if _has_layout(case, width, height, len(given))]
    for first in range(len(sizes) if given else 0):
        yield resized(case.conversation, [sizes[(first + k) % len(sizes)] for k in range(len(given))])


def _has_layout(case: Case, width: int, height: int, count: int) -> bool:
    if not case.subject.contract.input.takes(width, height):
        return False
    try:
        case.subject.contract.layout(width, height, count)
    except Exception:  # a rule that has none for this size
        return False
    return True


def plain_texts(case: Case) -> Iterator[Conversation]:
    """Every text is some letters, without blanks; then those in front of every message too."""
    yield Conversation(
        [
            Message(m.role, [Text(LETTERS) if isinstance(part, Text) and part.text else part for part in m.parts])
            for m in case.conversation.messages
        ]
    )
    yield from text_in_front(case)


def structures(case: Case) -> Iterator[Conversation]:
    """What tells faults of markers and layouts apart."""
    yield from text_in_front(case)
    yield from text_behind(case)
    yield from other_sizes(case)


def speakers(case: Case) -> Iterator[str]:
    """The roles that take turns, from the first one on."""
    roles = case.subject.contract.input.roles
    yield from [role for role in roles if role != "system"] or roles


def filled(case: Case) -> Conversation:
    """No message is empty, and none is alike another: its text is letters of its own."""
    return Conversation(
        [
            Message(m.role, [*(part for part in m.parts if isinstance(part, Image)), Text(_letters(number))])
            for number, m in enumerate(case.conversation.messages)
        ]
    )


def _letters(number: int) -> str:
    first = ord("a") + 6 * number % 20
    return "".join(chr(first + k) for k in range(6))


def filled_and_longer(case: Case) -> Iterator[Conversation]:
    """The same filled, then with one more round of all speakers behind the system's message."""
    same = filled(case)
    yield same
    front = [message for message in same.messages[:1] if message.role == "system"]
    added = [Message(role, [Text(_letters(7 + k))]) for k, role in enumerate(speakers(case))]
    yield Conversation([*front, *added, *same.messages[len(front) :]])
