"""What a conversation tries, in words: the events of the strategies and the statistics of the suite."""

from __future__ import annotations

from image_spans.conversation import Conversation, Image, Message, Text
from image_spans.strategies.hazards import hazards_in
from image_spans.strategies.profile import POSITIONS, Profile

_LARGE = 448 * 448
_EXTREME = 10


def describe(conversation: Conversation, profile: Profile) -> list[str]:
    """Labels of a conversation: images, turns, positions, sizes, texts and hazards."""
    messages = conversation.messages
    texts = [text for message in messages for text in _texts(message)]
    turns = sum(message.role == profile.lead for message in messages)
    labels = [f"{len(conversation.images)} images", f"{turns} turns"]
    labels += [f"position: {position}" for position in positions_of(conversation, profile)]
    labels += [f"message of {role}" for role in dict.fromkeys(message.role for message in messages)]
    if messages:
        labels.append(f"{messages[-1].role} last")
    if any(len(message.parts) > 2 for message in messages):
        labels.append("message of several parts")
    if not all(texts):
        labels.append("empty text")
    if any(text[:1].isspace() for text in texts):
        labels.append("blank or newline first in a text")
    if any(text[-1:].isspace() for text in texts):
        labels.append("blank or newline last in a text")
    labels += _sizes(conversation.images, profile)
    if profile.spellings:
        labels += _hazards(messages, profile.spellings)
    return labels


def positions_of(conversation: Conversation, profile: Profile) -> list[str]:
    """The positions in which the images of a conversation stand; one conversation may show several."""
    messages = conversation.messages
    if not any(message.images for message in messages):
        return ["none"]
    found = {position for message in messages for position in _positions(message)}
    if all(message.images for message in messages if message.role in profile.images_in):
        found.add("every_message")
    return [position for position in POSITIONS if position in found]


def _positions(message: Message) -> set[str]:
    """The positions of the images inside one message."""
    found = set()
    parts = message.parts
    filled = [index for index, part in enumerate(parts) if isinstance(part, Text) and part.text]
    for index, part in enumerate(parts):
        if not isinstance(part, Image):
            continue
        before = bool(filled) and filled[0] < index
        after = bool(filled) and filled[-1] > index
        if index == 0 and after:
            found.add("start")
        if before and after:
            found.add("middle")
        if before and index == len(parts) - 1:
            found.add("end")
        if len(parts) == 1:
            found.add("alone")
        if index and isinstance(parts[index - 1], Image):
            found.add("adjacent")
    return found


def _sizes(images: tuple[Image, ...], profile: Profile) -> list[str]:
    labels = []
    areas = [image.width * image.height for image in images]
    if any(area <= _LARGE for area in areas):
        labels.append("small image")
    if any(area > _LARGE for area in areas):
        labels.append("large image")
    if any((image.width, image.height) in profile.boundary_sizes for image in images):
        labels.append("image at a boundary")
    if any(max(image.width, image.height) >= _EXTREME * min(image.width, image.height) for image in images):
        labels.append("extreme aspect ratio")
    return labels


def _hazards(messages: tuple[Message, ...], spellings: tuple[str, ...]) -> list[str]:
    """Each kind of hazard, and each role that typed one."""
    kinds: set[str] = set()
    roles: dict[str, None] = {}
    for message in messages:
        for text in _texts(message):
            found = hazards_in(text, spellings)
            if found:
                kinds |= found
                roles[message.role] = None
    return [f"hazard: {kind}" for kind in sorted(kinds)] + [f"hazard typed by {role}" for role in roles]


def _texts(message: Message) -> list[str]:
    return [part.text for part in message.parts if isinstance(part, Text)]
