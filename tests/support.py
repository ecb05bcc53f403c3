"""What several test modules share: a toy tokenizer whose every behaviour is chosen, and subjects on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from image_spans.contract import Contract
from image_spans.conversation import Conversation
from image_spans.pipelines import reference
from image_spans.subject import Facts, Subject

MARKERS = ("<image>", "</image>", "<slice>", "</slice>", "<image_id>", "</image_id>", "<pad>")
ROWS = {
    "grammar": "rows",
    "row_break": "<slice>",
    "close": "</image>",
    "placeholder": "<pad>",
    "slots": "pixtral",
    "options": {"size": 64},
}
"""Pixtral's shape; the toy has no other tokens, so these serve."""


class ToyTokenizer:
    """One id per character, from 1000 on; special tokens from 1 on; 0 is BOS.

    Args:
        bos: whether the native call adds BOS.
        dummy: whether a blank is put in front of every text that is encoded.
        specials: the special tokens.
    """

    library = "toy 1"

    def __init__(self, *, bos: bool = False, dummy: bool = False, specials: tuple[str, ...] = MARKERS) -> None:
        self.native = self
        self.bos, self.dummy = bos, dummy
        self._specials = {"<s>": 0, **{token: index + 1 for index, token in enumerate(specials)}, "</s>": 900}
        self._names = {token_id: token for token, token_id in self._specials.items()}

    def encode(self, text: str) -> list[int]:
        return [0, *self.encode_markup(text)] if self.bos else self.encode_markup(text)

    def encode_text(self, text: str) -> list[int]:
        if not text:
            return []
        return [1000 + ord(character) for character in (" " if self.dummy else "") + text]

    def encode_markup(self, text: str) -> list[int]:
        ids: list[int] = []
        while text:
            hits = [(text.find(token), -len(token), token) for token in self._specials if token in text]
            if not hits:
                break
            at, _, token = min(hits)
            ids += [*self.encode_text(text[:at]), self._specials[token]]
            text = text[at + len(token) :]
        return ids + self.encode_text(text)

    def decode(self, ids: Any) -> str:
        return "".join(self.id_to_token(token_id) for token_id in ids)

    def token_to_id(self, token: str) -> int | None:
        if len(token) == 1:
            return 1000 + ord(token)
        return self._specials.get(token)

    def id_to_token(self, token_id: int) -> str:
        return self._names.get(token_id) or (chr(token_id - 1000) if token_id >= 1000 else f"<id {token_id}>")

    def special_tokens(self) -> Mapping[str, int]:
        return self._specials

    def named_ids(self) -> Mapping[str, int]:
        return {"bos": 0, "eos": 900}


def contract(**changes: Any) -> Contract:
    """MiniCPM-shaped: flat slices of 4 slots, no BOS, nothing written but the messages."""
    given: dict[str, Any] = {
        "bos": "none",
        "images": {"open": "<image>", "close": "</image>", "placeholder": "<pad>", "slots": 4},
        "slices": {"open": "<slice>", "close": "</slice>", "rule": "minicpm"},
        "template": {},
    }
    return Contract(**{**given, **changes})


def facts(tokenizer: ToyTokenizer) -> Facts:
    return Facts(
        prefix=(0,) if tokenizer.bos else (),
        suffix=(),
        bos=0,
        dummy_prefix=tokenizer.dummy,
        normalises=False,
        reads_markers={},
        protects_text=True,
        anchor=(),
        anchor_text="",
    )


def subject(
    pipeline: Callable[..., Any] | str = "flat_slices",
    *,
    tokenizer: ToyTokenizer | None = None,
    returns: tuple[str, ...] = (),
    paths: Mapping[str, Callable[[Conversation], Any]] | None = None,
    promised: Contract | None = None,
    **changes: Any,
) -> Subject:
    """A subject on a toy tokenizer; ``pipeline`` is a reference pipeline or takes (tokenizer, conversation)."""
    tokenizer = tokenizer or ToyTokenizer()
    promise = promised or contract(**changes)
    if isinstance(pipeline, str):
        run = partial(reference(pipeline), tokenizer, contract=promise)
        returns = ("image_bounds", "labels")
    else:
        run = partial(pipeline, tokenizer)
    return Subject("toy", tokenizer, facts(tokenizer), promise, run, frozenset(returns), dict(paths or {}))
