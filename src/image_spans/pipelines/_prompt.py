"""What the reference pipelines share: collecting a prompt and turning it into ids.

Two rules make them right. Image tokens and the template's special tokens go in as ids, so text that
spells a marker stays text. And nothing is ever removed from what the tokenizer returned: BOS is put
in once, at the end, instead of being stripped from every piece. A limit is applied last, to the finished ids, where it
is known what belongs to which image.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal, TypeAlias

from image_spans.contract import Contract
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
        contract: its template is, per role, the text before and after a message, special tokens in it meant as such;
            ``begin`` and ``end`` stand once round all messages, both texts of each.
        assembly: ``segments`` encodes each piece of text on its own, ``whole_text`` all the text between two
            structural tokens at once, so that the tokenizer may merge across pieces.
        earlier: what came out for the messages before these; it is taken over as it is.
    """

    def __init__(
        self, tokenizer: Tokenizer, contract: Contract, assembly: Assembly, earlier: Mapping[str, Any] | None = None
    ) -> None:
        self._tokenizer = tokenizer
        self._contract = contract
        self._template = contract.template or {}
        self._whole = assembly == "whole_text"
        self._pending = ""
        self._role = ""
        self._trained = False
        self._special_ids = tokenizer.special_tokens()
        self._specials = _any_of(frozenset(self._special_ids))
        self._ids: list[int] = []
        self._labels: list[int] = []
        self._bounds: list[tuple[int, int]] = []
        self._blocks: list[tuple[int, int]] = []
        """Per image all its structural tokens, ``[start, end)``."""
        if earlier is None:
            self._fixed("".join(self._template.get("begin", ())))
        else:
            self._ids, self._labels = [*earlier["input_ids"]], [*earlier["labels"]]
            self._bounds, self._blocks = [*earlier["image_bounds"]], [*earlier["image_blocks"]]
        self.earlier_images = len(self._blocks)

    def image(self) -> None:
        """Begin an image: the tokens and slots that follow are its own."""
        self._blocks.append((len(self._ids), len(self._ids)))

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
        self._structure([token_id])

    def slots(self, placeholder: str, count: int) -> None:
        """A run of placeholders."""
        token_id = self._tokenizer.token_to_id(placeholder)
        if token_id is None:
            raise ValueError(f"the vocabulary has no token {placeholder!r}")
        self._flush()
        self._bounds.append((len(self._ids), len(self._ids) + count))
        self._structure([token_id] * count)

    def result(self, max_length: int | None = None) -> dict[str, Any]:
        """The finished encoding, with BOS where the contract wants it, and no longer than ``max_length``.

        Raises:
            ValueError: it is longer, and the contract says ``reject``.
        """
        bos = self._contract.bos
        self._fixed("".join(self._template.get("end", ())))
        self._flush()
        bos_id = self._tokenizer.named_ids()["bos"] if bos != "none" else None
        if bos_id is not None and bos_id not in self._ids:  # a template may spell it; typed text never does
            at = self._blocks[-1][1] if bos == "after_images" and self._blocks else 0
            self._ids.insert(at, bos_id)
            self._labels.insert(at, IGNORED)
            self._bounds = [(start + (start >= at), end + (start >= at)) for start, end in self._bounds]
            self._blocks = [(start + (start >= at), end + (start >= at)) for start, end in self._blocks]
        if max_length is not None and len(self._ids) > max_length:
            self._keep(self._kept(max_length, bos_id))
        return {
            "input_ids": self._ids,
            "image_bounds": self._bounds,
            "labels": self._labels,
            "image_blocks": self._blocks,
        }

    def _kept(self, limit: int, bos_id: int | None) -> list[int]:
        """The places that stay: no image is cut in two, its overview and its slices go together."""
        truncation, length = self._contract.truncation, len(self._ids)
        if truncation.policy not in ("never_split", "drop_images"):
            raise ValueError(f"{length} ids are more than max_length={limit}; raise it to {length} or shorten the text")
        left = truncation.side == "left"
        places = list(range(length))
        if truncation.policy == "drop_images":
            for start, end in self._blocks if left else self._blocks[::-1]:
                if len(places) > limit:
                    places = [at for at in places if not start <= at < end]
        if len(places) <= limit:
            return places
        if not left:
            cut = places[limit]
            return [at for at in places if at < min([cut, *(s for s, e in self._blocks if s < cut < e)])]
        head = [0] if truncation.keep_bos and self._ids[0] == bos_id else []
        cut = [*places, length][len(places) - limit + len(head)]
        cut = max([cut, *(end for start, end in self._blocks if start < cut < end)])
        return [*head, *(at for at in places if at >= cut)]

    def _keep(self, places: list[int]) -> None:
        """Leave out all other places; everything that speaks of ids moves with them."""
        self._ids = [self._ids[at] for at in places]
        self._labels = [self._labels[at] for at in places]
        kept = set(places)
        self._bounds, self._blocks = (
            [(bisect_left(places, start), bisect_left(places, end)) for start, end in pairs if start in kept]
            for pairs in (self._bounds, self._blocks)
        )

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

    def _structure(self, ids: list[int]) -> None:
        """Ids of the image that was begun last."""
        self._flush()
        start, end = self._blocks[-1]
        start = start if end > start else len(self._ids)
        self._put(ids, label=False)
        self._blocks[-1] = start, len(self._ids)

    def _put(self, ids: list[int], *, label: bool) -> None:
        self._flush()
        self._ids += ids
        self._labels += ids if label else [IGNORED] * len(ids)
