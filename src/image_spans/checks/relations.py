"""What no contract can state: how the ids of two related conversations relate."""

from __future__ import annotations

from image_spans.case import Case
from image_spans.checks import NOT_JUDGED, Verdict, blocking, check
from image_spans.contract import Contract
from image_spans.conversation import Conversation, Image, Message, Text, resized
from image_spans.findings import first_difference
from image_spans.oracles import Token
from image_spans.slicing import Layout

NEEDS = ["pipeline.encodes", "bos.placement", "spans.matched", "spans.expected", "spans.slots", "spans.order"]
WITH_IMAGES = ("start", "middle", "end", "alone", "adjacent", "every_message")


@check("relations.prefix", family="variants", needs=NEEDS, positions=WITH_IMAGES)
def prefix(case: Case) -> Verdict:
    """The ids before the first image do not depend on the images."""
    images = case.conversation.images
    if case.error is not None or case.subject.contract.images.order == "first_in_conversation":
        return NOT_JUDGED
    resizing = resized(case.conversation, [_another(case, image) for image in images])
    if resizing == case.conversation:
        return NOT_JUDGED
    other = case.again(resizing)
    if blocked := blocking(other, NEEDS):
        return blocked
    if not case.found.starts or not other.found.starts or case.expected.gaps[0] != other.expected.gaps[0]:
        return NOT_JUDGED  # nothing to compare, or the contract itself writes other text in front of other images
    here, there = case.ids[: case.found.starts[0]], other.ids[: other.found.starts[0]]
    if list(here) == list(there):
        return None
    at = first_difference(here, there)
    return case.finding(
        "relations.prefix",
        f"with other image sizes the ids before the first image change at position {at}",
        at=at,
        expected=case.id_name(there[at]) if at < len(there) else "the first image",
    )


_OTHER_SIZES = (Image(900, 900), Image(64, 64), Image(448, 448), Image(1, 1), Image(1920, 1080))


def _another(case: Case, image: Image) -> Image:
    """An image of another layout, or else of another size; the image itself where the rule refuses all others."""
    takes = case.subject.contract.input.takes
    sizes = [other for other in _OTHER_SIZES if takes(other.width, other.height)]
    if case.subject.contract.images.slots == "from_features":
        larger, smaller = sizes[0] if sizes else image, sizes[1] if len(sizes) > 1 else image
        return larger if image.width * image.height <= 448 * 448 else smaller
    layout = _layout(case, image)
    layouts = {other: found for other in sizes if other != image and (found := _layout(case, other)) is not None}
    return next((other for other, found in layouts.items() if found != layout), next(iter(layouts), image))


def _layout(case: Case, image: Image) -> Layout | None:
    """The layout among as many images as the conversation has; None where the rule refuses the size."""
    try:
        return case.subject.contract.layout(image.width, image.height, len(case.conversation.images))
    except ValueError:
        return None


def _one_layout(contract: Contract, abilities: frozenset[str]) -> str | None:
    slots = contract.images.slots
    if isinstance(slots, int) and contract.slices is None:
        return f"every image has the same {slots} slots"
    return None


# Not adjacent: under the grammar run two images that touch are one run, which tells nothing of either.
SEVERAL = ("start", "every_message")


@check("relations.swap", family="variants", needs=NEEDS, inapplicable=_one_layout, positions=SEVERAL)
def swap(case: Case) -> Verdict:
    """Swapping the sizes of two images swaps their spans."""
    images = case.conversation.images
    if case.error is not None:
        return NOT_JUDGED
    spans = _spans(case)
    pair = next(((a, b) for a in range(len(images)) for b in range(a) if images[a] != images[b]), None)
    if pair is None or spans is None:
        return NOT_JUDGED
    order = list(range(len(images)))
    order[pair[0]], order[pair[1]] = order[pair[1]], order[pair[0]]
    other = case.again(resized(case.conversation, [images[index] for index in order]))
    if blocked := blocking(other, NEEDS):
        return blocked
    swapped = _spans(other)
    if swapped is None or swapped == [spans[index] for index in order]:
        return None
    wrong = next(index for index in order if swapped[index] != spans[order[index]])
    return case.finding(
        "relations.swap",
        f"after swapping images {pair[1]} and {pair[0]}, image {wrong} does not have the span that its size had before",
        at=case.found.starts[next(i for i, owner in enumerate(case.expected.owners) if owner == wrong)],
        expected="another span",
    )


def _spans(case: Case) -> list[list[Token]] | None:
    """Per image the tokens of its block as found; None where the blocks cannot be told apart."""
    spans: list[list[Token]] = [[] for _ in case.conversation.images]
    for token, owner in zip(case.found.tokens, case.expected.owners, strict=True):
        if owner is not None:
            spans[owner].append(token)
    return spans if all(spans) else None


@check("relations.append", family="variants", needs=NEEDS, positions=WITH_IMAGES)
def append(case: Case) -> Verdict:
    """Appending a turn leaves the earlier spans alone."""
    longer = with_a_turn(case)
    if case.error is not None or longer is None or not case.found.tokens:
        return NOT_JUDGED
    other = case.again(longer)
    if blocked := blocking(other, NEEDS):
        return blocked
    if other.found.tokens[: len(case.found.tokens)] == case.found.tokens:
        return None
    at = first_difference(case.found.tokens, other.found.tokens)
    return case.finding(
        "relations.append",
        "appending a turn without images changes an earlier span",
        at=case.found.starts[at],
        expected="the same span",
    )


def with_a_turn(case: Case, text: str = "a") -> Conversation | None:
    """The conversation with one more turn of plain text, in the roles that it has already."""
    roles = [role for role in case.subject.contract.input.roles if role != "system"]
    if not roles:
        return None
    last = case.conversation.messages[-1].role
    following = next((role for role in roles if role != last), last)
    return Conversation([*case.conversation.messages, Message(following, [Text(text)])])
