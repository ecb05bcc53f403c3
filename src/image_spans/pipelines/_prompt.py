"""What the reference pipelines share: collecting a prompt and turning it into ids.

Two rules make them right. Image tokens and the template's special tokens go in as ids, so text that
spells a marker stays text. And nothing is ever removed from what the tokenizer returned: BOS is put
in once, at the end, instead of being stripped from every piece.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal, TypeAlias

from image_spans.conversation import Conversation
from image_spans.subject import Tokenizer

Assembly: TypeAlias = Literal["segments", "whole_text"]
IGNORED = -100  # the label that PyTorch's cross entropy leaves out


def refuse_wrong_number(conversation: Conversation) -> None:
    """Never guess which image belongs where.

    Raises:
        ValueError: other images are given than stand in the messages.
    """
    wanted = sum(len(message.images) for message in conversation.messages)
    if len(conversation.images) != wanted:
        raise ValueError(f"{len(conversation.images)} images are given, but the messages hold {wanted}")


@lru_cache(maxsize=16)
def _any_of(tokens: frozenset[str]) -> re.Pattern[str]:
    """What finds any of these tokens, the longest first; kept, since a vocabulary may have a thousand of them."""
    return re.compile("|".join(map(re.escape, sorted(tokens, key=len, reverse=True))) or r"(?!)")


class Prompt:
    """Collects ids, the bounds of placeholder runs, and labels.

    Args:
        tokenizer: the adapter.
        template: per role the text before and after a message, special tokens in it meant as such; ``begin`` and
            ``end`` stand once round all messages, both texts of each.
        assembly: ``segments`` encodes each piece of text on its own, ``whole_text`` all the text between two
            structural tokens at once, so that the tokenizer may merge across pieces.
    """

    def __init__(
        self, tokenizer: Tokenizer, template: Mapping[str, tuple[str, str]] | None, assembly: Assembly
    ) -> None:
        self._tokenizer = tokenizer
        self._template = template or {}
        self._whole = assembly == "whole_text"
        self._pending = ""
        self._role = ""
        self._trained = False
        self._ids: list[int] = []
        self._labels: list[int] = []
        self._bounds: list[tuple[int, int]] = []
        self._behind_images = 0
        self._special_ids = tokenizer.special_tokens()
        self._specials = _any_of(frozenset(self._special_ids))
        self._fixed("".join(self._template.get("begin", ())))

    def begin(self, role: str) -> None:
        """Begin a message."""
        self._role = role
        self._fixed(self._template.get(role, ("", ""))[0])
        self._train(role == "assistant")

    def end(self) -> None:
        """End the message; what closes an answer is learned with it."""
        self._fixed(self._template.get(self._role, ("", ""))[1])
        self._train(False)

    def text(self, text: str) -> None:
        """Text that somebody typed: never read for special tokens."""
        self._pending += text
        if not self._whole:
            self._flush()

    def fixed(self, text: str) -> None:
        """Plain text that the format demands round an image."""
        self.text(text)

    def token(self, token: str) -> None:
        """One marker."""
        token_id = self._tokenizer.token_to_id(token)
        if token_id is None:
            raise ValueError(f"the vocabulary has no token {token!r}")
        self._put([token_id], label=False)
        self._behind_images = len(self._ids)

    def slots(self, placeholder: str, count: int) -> None:
        """A run of placeholders."""
        token_id = self._tokenizer.token_to_id(placeholder)
        if token_id is None:
            raise ValueError(f"the vocabulary has no token {placeholder!r}")
        self._flush()
        self._bounds.append((len(self._ids), len(self._ids) + count))
        self._put([token_id] * count, label=False)
        self._behind_images = len(self._ids)

    def result(self, bos: str) -> dict[str, Any]:
        """The finished encoding; ``bos`` is the contract's: none, exactly_once or after_images."""
        self._fixed("".join(self._template.get("end", ())))
        self._flush()
        bos_id = self._tokenizer.named_ids()["bos"] if bos != "none" else None
        if bos_id is not None and bos_id not in self._ids:  # a template may spell it; typed text never does
            at = self._behind_images if bos == "after_images" else 0
            self._ids.insert(at, bos_id)
            self._labels.insert(at, IGNORED)
            self._bounds = [(start + (start >= at), end + (start >= at)) for start, end in self._bounds]
        return {"input_ids": self._ids, "image_bounds": self._bounds, "labels": self._labels}

    def _fixed(self, text: str) -> None:
        """Template text: its special tokens become ids, the rest is text."""
        at = 0
        for match in self._specials.finditer(text):
            self.text(text[at : match.start()])
            self._put([self._special_ids[match.group()]], label=self._trained)
            at = match.end()
        self.text(text[at:])

    def _train(self, trained: bool) -> None:
        if trained != self._trained:
            self._flush()  # a token must not straddle what is learned and what is not
            self._trained = trained

    def _flush(self) -> None:
        if self._pending:
            ids = self._tokenizer.encode_text(self._pending)
            self._pending = ""
            self._put(ids, label=self._trained)

    def _put(self, ids: list[int], *, label: bool) -> None:
        self._flush()
        self._ids += ids
        self._labels += ids if label else [IGNORED] * len(ids)
