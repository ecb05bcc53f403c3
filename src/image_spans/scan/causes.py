"""What can be wrong with a row before any check is asked: its cause by name, and the remedy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Fault:
    """Something that is wrong with a row.

    ``turn`` counts the messages of the row from 0, as a conversation does; None: it is of no one message.
    """

    cause: str
    message: str
    turn: int | None = None


class Unread(Exception):
    """A file, or the rest of one, cannot be read; the text says why in one line."""


REMEDIES: Final[Mapping[str, str]] = {
    "row-not-utf8": "save the file as UTF-8",
    "row-not-json": "write the row anew with a JSON library",
    "row-too-deep": "remove what is nested in the row; training needs none of it",
    "row-too-large": "keep pictures in files of their own, and their paths in the row",
    "row-not-object": "a row is an object with a list of turns",
    "row-duplicate-key": "keep one of the keys: readers take the first, the last, or refuse the row",
    "row-unknown-format": "name the format with --data-format, or rename the keys",
    "row-no-turns": "remove the row, or give it turns",
    "row-not-judged": "tell the maintainers: this is a fault of the suite, or of a tokenizer",
    "row-ended-process": "give the pipeline this row alone under a debugger: native code ended the process",
    "turn-not-object": "a turn is an object with a role and a text",
    "turn-no-role": "give the turn a role",
    "turn-not-text": "write the content of the turn as text",
    "turn-unknown-part": "leave the part out, or write it as text or image",
    "turn-lone-surrogate": "repair the text: it was cut inside a character, or decoded wrongly",
    "image-missing": "put the file there, or name its folder with --images",
    "image-unreadable": "give the file permissions, or point to a regular file",
    "image-empty": "fetch the file again: the download was cut off at once",
    "image-broken": "fetch or convert the file again: its header cannot be read",
    "image-no-pixels": "remove the image: it has no width or no height",
    "image-too-large": "scale the image down: Pillow refuses to decode it",
    "image-not-base64": "encode the picture anew: the text is not base64",
    "image-remote": "download the image: a scan reads no URL, and training should not depend on one",
    "image-no-source": "give a path, bytes, or base64",
    "image-count": "write one tag for each image, where it belongs",
    "image-order": "list the images in the order in which their tags stand",
    "literal-tag": "spell the tag otherwise where it is no image: loaders count it",
    "literal-marker": "spell the marker otherwise, or declare literals: plain and escape it in the pipeline",
    "outside-role": "add the role to contract.input.roles, or map it with --role",
    "outside-image-role": "move the image to another turn, or add the role to contract.input.images_in",
    "outside-images": "take images out, or widen contract.input.images",
    "outside-size": "scale the image, or widen contract.input.sides or aspect",
    "outside-empty-text": "remove the empty text, or allow it in contract.input.empty_text",
    "nothing-trained": "remove the sample, or give it an answer: its loss is 0 or not a number",
    "too-long": "shorten the sample, scale its images, or raise max_length",
}
"""Every cause to what can be done about it."""
