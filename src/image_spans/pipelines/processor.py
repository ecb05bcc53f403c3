"""A real processor of transformers: text and pictures in one call, as its users make it.

For ``tokenizer: {factory: ...}`` that returns a processor. The conversation becomes one text in which ``marker`` stands
for each image, and blank pictures of the images' sizes. ``features`` come from what the image processor returned inside
the call: many processors drop it before they return. A ValueError refuses; whatever else is raised is a finding.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

from image_spans import discovery
from image_spans.contract import Contract
from image_spans.conversation import Conversation, Text
from image_spans.errors import nearest
from image_spans.pipelines import _counts
from image_spans.subject import Tokenizer

Nesting = Literal["nested", "flat"]


def encode(
    tokenizer: Tokenizer,
    conversation: Conversation,
    *,
    contract: Contract,
    marker: str,
    counts: str | Mapping[str, Any] | None = None,
    images: Nesting = "nested",
    types: str | None = None,
    call: Mapping[str, Any] | None = None,
    max_length: int | None = None,
    chat_template: bool = False,
) -> dict[str, Any]:
    """The one sample of a call.

    Args:
        tokenizer: the adapter; its ``native`` is the processor.
        conversation: what is asked.
        contract: its template writes the text round messages, unless ``chat_template``.
        marker: what stands for an image in a prompt, with what a chat template writes round it.
        counts: the rule for ``features`` (see ``_counts``), a name or ``{rule: name, ...options}``.
        images: whether the call gets a list of pictures for each sample, or one list of all.
        types: the key of the output that becomes ``token_type_ids``.
        call: further keywords of the call.
        max_length: given to the call with ``truncation=True``.
        chat_template: whether the processor's own chat template writes the prompt.
    """
    limit = {} if max_length is None else {"max_length": max_length, "truncation": True}
    keywords = {**(call or {}), **limit}
    columns = _call(tokenizer.native, [conversation], contract, marker, counts, images, types, keywords, chat_template)
    return {key: column[0] for key, column in columns.items()}


def batch(
    tokenizer: Tokenizer,
    conversations: Sequence[Conversation],
    *,
    padding_side: Literal["left", "right"],
    contract: Contract,
    marker: str,
    counts: str | Mapping[str, Any] | None = None,
    images: Nesting = "nested",
    types: str | None = None,
    call: Mapping[str, Any] | None = None,
    chat_template: bool = False,
) -> dict[str, Any]:
    """Several samples in one call, padded."""
    keywords = {**(call or {}), "padding": True, "padding_side": padding_side}
    return _call(tokenizer.native, conversations, contract, marker, counts, images, types, keywords, chat_template)


def _call(
    processor: Any,
    conversations: Sequence[Conversation],
    contract: Contract,
    marker: str,
    counts: str | Mapping[str, Any] | None,
    nesting: Nesting,
    types: str | None,
    keywords: Mapping[str, Any],
    chat_template: bool,
) -> dict[str, list[Any]]:
    rule, options = _rule(counts, contract.folder)
    pictures = [one.pil_images() for one in conversations]
    given: dict[str, Any] = {
        "text": [
            _own_prompt(processor, one) if chat_template else _prompt(one, contract, marker) for one in conversations
        ],
        "return_tensors": "np",
        **keywords,
    }
    if any(pictures):
        given["images"] = pictures if nesting == "nested" else [one for row in pictures for one in row]
    if types == "mm_token_type_ids":
        given["return_mm_token_type_ids"] = True
    if not hasattr(processor, "image_processor"):
        raise TypeError(f"the factory returned a {type(processor).__name__}, not a processor with an image_processor")
    outputs = _recorder(processor.image_processor)
    outputs.clear()
    result = processor(**given)
    columns: dict[str, list[Any]] = {"input_ids": list(result["input_ids"])}
    if "attention_mask" in result:
        columns["attention_mask"] = list(result["attention_mask"])
    if types is not None and types in result:
        columns["token_type_ids"] = list(result[types])
    if rule is not None:
        sizes = [picture.size for row in pictures for picture in row]
        numbers = [n for output in outputs for n in rule(output, processor.image_processor, sizes, **options)]
        columns["features"] = _by_sample(numbers, [len(row) for row in pictures])
    return columns


def problems(options: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the options, as far as it can be told without the processor."""
    try:
        _rule(options.get("counts"))
    except ValueError as error:
        yield str(error)
    nesting = options.get("images", "nested")
    if nesting not in ("nested", "flat"):
        yield f"images is {nesting!r}; expected nested or flat"
    for key in ("marker", "types"):
        if not isinstance(options.get(key, ""), str):
            yield f"{key} is {options[key]!r}; expected text"


def _by_sample(numbers: list[int], images: Sequence[int]) -> list[list[tuple[int, int]]]:
    """The numbers as features of each sample; what is over belongs to the last, as an image that it does not have."""
    rows, start = [], 0
    for index, count in enumerate(images):
        end = start + count if index < len(images) - 1 else len(numbers)
        rows.append(list(enumerate(numbers[start:end])))
        start = end
    return rows


def _prompt(conversation: Conversation, contract: Contract, marker: str) -> str:
    """The text that the processor is given. Of ``begin`` and ``end`` the second text is what it writes itself."""
    template = contract.template or {}
    written = [template.get("begin", ("", ""))[0]]
    for message in conversation.messages:
        before, behind = template.get(message.role, ("", ""))
        written += [before, *(part.text if isinstance(part, Text) else marker for part in message.parts), behind]
    return "".join([*written, template.get("end", ("", ""))[0]])


def _own_prompt(processor: Any, conversation: Conversation) -> str:
    return cast("str", processor.apply_chat_template(conversation.to_messages("parts"), tokenize=False))


def _rule(counts: Any, folder: Path | None = None) -> tuple[_counts.Rule | None, dict[str, Any]]:
    """The rule of that name and its options; one of somebody's own only where the folder is known.

    Raises:
        ValueError: there is none, or it takes other options.
    """
    if counts is None:
        return None, {}
    options = dict(counts) if isinstance(counts, Mapping) else {"rule": counts}
    name = str(options.pop("rule", ""))
    if discovery.is_reference(name):
        return (cast("_counts.Rule", discovery.resolve(name, folder)) if folder else None), options
    if name not in _counts.RULES:
        raise ValueError(f"counts: unknown rule {name!r}{nearest(name, _counts.RULES)}")
    needed, taken = _counts.options(_counts.RULES[name])
    if not ({*needed} <= {*options} and (taken is None or {*options} <= {*taken})):
        own = ", ".join(taken or needed) or "no options"
        raise ValueError(f"counts: {name} takes {own}; given: {', '.join(options) or 'none'}")
    return _counts.RULES[name], options


def _recorder(image_processor: Any) -> list[dict[str, Any]]:
    """The outputs of an image processor, from now on; it stays what it is, and gets a subclass of its own class.

    The list hangs on that class, so that saving the image processor, or making a dictionary of it, does not meet it.
    """
    known = getattr(type(image_processor), "_image_spans_outputs", None)
    if known is not None:
        return cast("list[dict[str, Any]]", known)
    outputs: list[dict[str, Any]] = []
    cls = type(image_processor)

    @functools.wraps(cls.__call__)
    def call(self: Any, *arguments: Any, **keywords: Any) -> Any:
        output = cls.__call__(self, *arguments, **keywords)
        outputs.append(dict(output))
        return output

    own = {"__call__": call, "__module__": cls.__module__, "_image_spans_outputs": outputs}
    image_processor.__class__ = type(cls.__name__, (cls,), own)
    return outputs
