"""Three ways to turn a conversation into ids, as fine-tuning code has them: two naive ones and the right one.

Each writes an image as text (``<image>``, placeholders, ``</image>``, then its slices) and encodes every
message with the tokenizer's plain call, which on some tokenizers puts something in front.
"""

from __future__ import annotations

from image_spans.conversation import Conversation, Message, Text
from image_spans.slicing.minicpm import layout

SLOTS = 4


def as_text(message: Message, slot: str = "<slot>") -> str:
    """A message with each image written out."""
    written = []
    for part in message.parts:
        if isinstance(part, Text):
            written.append(part.text)
            continue
        rows = layout(part.width, part.height, 1, slots=SLOTS).grid
        span = slot * SLOTS
        written.append(f"<image>{span}</image>" + "\n".join(f"<slice>{span}</slice>" * len(row) for row in rows))
    return "".join(written)


def first_id_stripped(tokenizer, conversation: Conversation, bos: int | None = None, slot: str = "<slot>") -> list[int]:
    """The code of the report: the first id of every message is removed "because it is BOS"."""
    ids = [] if bos is None else [bos]
    for message in conversation.messages:
        ids += tokenizer.encode(as_text(message, slot))[1:]
    return ids


def first_id_kept_for_the_user(tokenizer, conversation: Conversation, bos: int | None = None) -> list[int]:
    """The repair that was proposed and refused: keep the first id for the user, remove it for the others."""
    ids = []
    for message in conversation.messages:
        encoded = tokenizer.encode(as_text(message))
        ids += encoded if message.role == "user" else encoded[1:]
    return ids


def bos_stripped_by_id(tokenizer, conversation: Conversation, bos: int | None = None) -> list[int]:
    """The right way: remove the first id only where it is BOS, and put BOS in once."""
    ids = [] if bos is None else [bos]
    for message in conversation.messages:
        encoded = tokenizer.encode(as_text(message))
        ids += encoded[1:] if bos is not None and encoded[:1] == [bos] else encoded
    return ids
