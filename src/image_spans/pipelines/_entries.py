"""What every reference pipeline can do besides encoding one conversation: a batch, and one message more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from image_spans.contract import Contract
from image_spans.conversation import Conversation, Message
from image_spans.pipelines._prompt import IGNORED, Assembly
from image_spans.subject import Tokenizer


def collate(
    encode: Callable[..., dict[str, Any]],
    tokenizer: Tokenizer,
    conversations: Sequence[Conversation],
    *,
    padding_side: Literal["left", "right"],
    contract: Contract,
    assembly: Assembly = "segments",
) -> dict[str, Any]:
    """A row for each conversation, all of one length: what speaks of ids moves with them.

    Raises:
        ValueError: there is no padding id.
    """
    pad = tokenizer.token_to_id(contract.pad) if contract.pad else tokenizer.named_ids().get("pad")
    if pad is None:
        raise ValueError(f"a batch needs a padding id, and there is none for {contract.pad!r}; name it under pad")
    rows = [encode(tokenizer, one, contract=contract, assembly=assembly) for one in conversations]
    longest = max((len(row["input_ids"]) for row in rows), default=0)
    batch: dict[str, Any] = {"input_ids": [], "attention_mask": [], "labels": [], "image_bounds": []}
    for row in rows:
        length = len(row["input_ids"])
        missing = longest - length
        before, behind = (missing, 0) if padding_side == "left" else (0, missing)
        batch["input_ids"].append([pad] * before + row["input_ids"] + [pad] * behind)
        batch["attention_mask"].append([0] * before + [1] * length + [0] * behind)
        batch["labels"].append([IGNORED] * before + row["labels"] + [IGNORED] * behind)
        batch["image_bounds"].append([(start + before, end + before) for start, end in row["image_bounds"]])
    return batch


def extend(
    encode: Callable[..., dict[str, Any]],
    tokenizer: Tokenizer,
    encoding: Mapping[str, Any],
    message: Message,
    *,
    contract: Contract,
    assembly: Assembly = "segments",
) -> dict[str, Any]:
    """The encoding with one message more. What stands in it stays as it is; only the message is written.

    Right where nothing is written behind the last message, and no token reaches across the edge of one.
    """
    return encode(tokenizer, Conversation([message]), contract=contract, assembly=assembly, earlier=encoding)
