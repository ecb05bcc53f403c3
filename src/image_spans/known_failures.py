"""Known failures: what the YAML says of them, and the YAML to paste for a new one.

A known failure is named by its fingerprint. The recorded example is plain text that is parsed, never evaluated, and is
judged again in every run: a failure that is known is seen without luck, and so is its repair.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Annotated, Any

from pydantic import BeforeValidator, StrictStr, field_validator, model_validator
from pydantic_core import PydanticCustomError

from image_spans import checks, discovery
from image_spans.contract import Input, Model, Requirements
from image_spans.conversation import Conversation, Text, parse_conversation
from image_spans.errors import nearest
from image_spans.image_backends import NAMES, ImageBackend

TO_BE_WRITTEN = "TODO: why"
"""The reason in the YAML to paste; it is refused until somebody has written one."""


def _check(name: Any) -> Any:
    if isinstance(name, str) and name not in checks.checks():
        raise PydanticCustomError(
            "check", "unknown check {name}{hint}", {"name": repr(name), "hint": nearest(name, checks.checks())}
        )
    return name


def _image_backend(name: Any) -> Any:
    if name not in NAMES:
        raise PydanticCustomError(
            "image_backend",
            "unknown image backend {name}{hint}",
            {"name": repr(name), "hint": nearest(str(name), NAMES)},
        )
    return name


class KnownFailure(Model):
    """One entry of ``known_failures``."""

    check: Annotated[StrictStr, BeforeValidator(_check)]
    """The check that fails."""
    reason: StrictStr
    """Why this is known, best with a link."""
    fingerprint: StrictStr
    """Check and cause, as the failure says them."""
    example: StrictStr | None = None
    """The code of a conversation that shows it; none for a check that judges no conversation."""
    requires: Requirements = ()
    """What must be installed for it to show, such as ``torchvision``; else it does not count."""
    image_backend: Annotated[ImageBackend, BeforeValidator(_image_backend)] | None = None
    """The image backend on which it shows; on the other one it does not count."""

    @field_validator("reason")
    @classmethod
    def _reason(cls, reason: str) -> str:
        if not reason.strip() or reason.strip().upper().startswith("TODO"):
            raise PydanticCustomError(
                "reason",
                "expected why this failure is known, best with a link, found {reason}",
                {"reason": repr(reason.strip()) if reason.strip() else "an empty text"},
            )
        return reason.strip()

    @field_validator("example")
    @classmethod
    def _example(cls, example: str | None) -> str | None:
        if example is not None:
            try:
                parse_conversation(example)
            except ValueError as error:
                raise PydanticCustomError("example", "cannot be read: {error}", {"error": str(error)}) from None
        return example

    @model_validator(mode="after")
    def _fits(self) -> KnownFailure:
        group, slash, cause = self.fingerprint.partition("/")
        if not slash or not cause.strip():
            raise _at(
                "fingerprint", f"expected a fingerprint of the form {self.check}/CAUSE, found {self.fingerprint!r}"
            )
        if group != self.check:
            whose = "another check" if group in checks.checks() else "no check"
            raise _at(
                "fingerprint", f"the fingerprint {self.fingerprint!r} is of {whose}; expected {self.check}/{cause}"
            )
        judges_none = checks.checks()[self.check].family == "once"
        if judges_none and self.example is not None:
            raise _at("example", f"{self.check} judges no conversation; remove the key 'example'")
        if not judges_none and self.example is None:
            raise _at("check", "the required key 'example' is missing: the conversation that shows the failure")
        return self

    def idle(self, image_backend: str | None) -> str | None:
        """Why it does not count in this run; None: it does.

        Args:
            image_backend: the one under test; None where a subject is none of ours to build.
        """
        if self.image_backend not in (None, image_backend):
            return f"it is one of the image backend {self.image_backend}"
        return discovery.unmet(self.requires)

    @cached_property
    def conversation(self) -> Conversation | None:
        """The recorded example."""
        return None if self.example is None else parse_conversation(self.example)


def _at(key: str, text: str) -> PydanticCustomError:
    return PydanticCustomError("known_failure", "{text}", {"text": text, "where": key})


def problems(
    known: Sequence[KnownFailure], limits: Input, image_backend: str | None = None
) -> Iterator[tuple[int, str, str]]:
    """What is wrong with entries that are right by themselves: index, key, and the words."""
    firsts: dict[str, int] = {}
    for index, one in enumerate(known):
        if one.image_backend is not None and image_backend is None:
            yield (
                index,
                "image_backend",
                "the subject is not built by image_spans.processors:build, so it has none to name",
            )
        if one.fingerprint in firsts:
            where = f"known_failures[{firsts[one.fingerprint]}]"
            yield index, "fingerprint", f"{one.fingerprint} is known already, by {where}; remove one of them"
        firsts.setdefault(one.fingerprint, index)
        outside = None if one.conversation is None else _outside(one.conversation, limits)
        if outside is not None:
            yield index, "example", f"lies outside of contract.input: {outside}"


def _outside(conversation: Conversation, limits: Input) -> str | None:
    """Why no draw could be this conversation; None where one could."""
    least, most, images = limits.images.least, limits.images.most, len(conversation.images)
    if not conversation.messages:
        return "it has no message"
    if conversation.images != tuple(image for message in conversation.messages for image in message.images):
        return "its images are not those of its messages"
    if not least <= images <= most:
        return f"it has {images} images, and {least}..{most} are allowed"
    for message in conversation.messages:
        if message.role not in limits.roles:
            return f"{message.role!r} is not one of its roles{nearest(message.role, limits.roles)}"
        if message.images and message.role not in limits.images_in:
            return f"messages of {message.role!r} hold no images{nearest(message.role, limits.images_in)}"
        if limits.empty_text == "forbidden" and any(isinstance(part, Text) and not part.text for part in message.parts):
            return "it has an empty text, and empty_text is forbidden"
    return None


# ---------------------------------------------------------------- the YAML to paste


def to_paste(failures: Sequence[tuple[str, str, str | None]], lines: Sequence[str], line: int) -> list[str]:
    """The lines of YAML that make failures known, indented as the entry of their subject is.

    Args:
        failures: check, fingerprint and example of each.
        lines: those of the YAML.
        line: that of the subject's name, from 1.
    """
    entry, items = _indentation(lines, line)
    pasted = [] if items is not None else [f"{entry}known_failures:"]
    items = f"{entry}  " if items is None else items
    for check, fingerprint, example in failures:
        pasted.append(f"{items}- check: {check}")
        pasted.append(f"{items}  reason: {json.dumps(TO_BE_WRITTEN)}")
        if example is not None:
            pasted.append(f"{items}  example: {json.dumps(example)}")
        pasted.append(f"{items}  fingerprint: {json.dumps(fingerprint)}")
    return pasted


def _indentation(lines: Sequence[str], line: int) -> tuple[str, str | None]:
    """What stands before the keys of a subject, and before the entries of its known failures if it has any."""
    name = _blanks(lines[line - 1])
    entry: str | None = None
    listed = False
    for text in lines[line:]:
        blanks = _blanks(text)
        if not text.strip() or text.lstrip().startswith("#"):
            continue
        if listed and text.lstrip().startswith("- ") and len(blanks) >= len(entry or ""):
            return entry or "", blanks
        if len(blanks) <= len(name):
            break
        entry = blanks if entry is None else entry
        listed = re.match(rf"{entry}known_failures\s*:\s*(#.*)?$", text) is not None
    return f"{name}  " if entry is None else entry, None


def _blanks(text: str) -> str:
    return text[: len(text) - len(text.lstrip())]
