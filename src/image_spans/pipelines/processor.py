"""A real processor of transformers: text and pictures in one call, as its users make it.

For ``tokenizer: {factory: ...}`` that returns a processor. The conversation becomes one text in which ``marker`` stands
for each image, and blank pictures of the images' sizes. ``features`` come from what the image processor returned inside
the call: many processors drop it before they return. A ValueError refuses; whatever else is raised is a finding.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

from image_spans import discovery
from image_spans.contract import Contract
from image_spans.conversation import Conversation, Image, Text
from image_spans.errors import nearest
from image_spans.pipelines import _counts
from image_spans.subject import Tokenizer

Counts: TypeAlias = str | Mapping[str, Any] | None
"""A rule by its name, or ``{rule: name, ...options}``."""


@dataclass(frozen=True)
class How:
    """How a processor is called and what it returns is read: the options of all entries."""

    marker: str
    """What stands for an image in a prompt, with what a chat template writes round it."""
    counts: Counts = None
    """The rule for ``features``; see ``_counts``."""
    pixels: Counts = None
    """The rule for ``pixels``: one that looks at the array of pixels alone."""
    images: Literal["nested", "flat"] = "nested"
    """Whether the call gets a list of pictures for each sample, or one list of all."""
    types: str | None = None
    """The key of the output that becomes ``token_type_ids``."""
    call: Mapping[str, Any] = field(default_factory=dict)
    """Further keywords of the call."""
    chat_template: bool = False
    """Whether the processor's own chat template writes the prompt, not the contract's."""
    helper: Mapping[str, Any] = field(default_factory=dict)
    """``{key: ..., per: ..., plus: ...}``: what of the count helper's answer are the slots; see :func:`predict`."""


def encode(
    tokenizer: Tokenizer,
    conversation: Conversation,
    *,
    contract: Contract,
    max_length: int | None = None,
    **options: Any,
) -> dict[str, Any]:
    """The one sample of a call.

    Args:
        tokenizer: the adapter; its ``native`` is the processor.
        conversation: what is asked.
        contract: its template writes the text round messages.
        max_length: given to the call with ``truncation=True``.
        options: those of :class:`How`.
    """
    how = How(**options)
    limit = {} if max_length is None else {"max_length": max_length, "truncation": True}
    columns, outputs = _call(tokenizer.native, [conversation], contract, how, limit)
    encoding = {key: column[0] for key, column in columns.items()}
    if how.pixels is not None:
        encoding["pixels"] = sum(_numbers(how.pixels, contract, tokenizer.native, outputs, conversation.images))
    return encoding


def batch(
    tokenizer: Tokenizer,
    conversations: Sequence[Conversation],
    *,
    padding_side: Literal["left", "right"],
    contract: Contract,
    **options: Any,
) -> dict[str, Any]:
    """Several samples in one call, padded; without ``pixels``, which are in one array for all."""
    padded = {"padding": True, "padding_side": padding_side}
    return _call(tokenizer.native, conversations, contract, How(**options), padded)[0]


def predict(tokenizer: Tokenizer, width: int, height: int, *, contract: Contract, **options: Any) -> int:
    """The slots of one image, as the processor's own helper tells them from its size: what vLLM plans with.

    It says ``num_image_tokens``; some classes include brackets by intention ("add 2 for BOI and EOI tokens"), so
    another key may be taken (``num_image_patches``), times ``per``, and ``plus``.
    """
    how = How(**options)
    given = dict(how.call)
    told = {**given.pop("images_kwargs", {}), **given}
    said = tokenizer.native._get_num_multimodal_tokens(image_sizes=[(height, width)], **told)
    return _slots(said, **how.helper)


def _slots(said: Mapping[str, Any], key: str = "num_image_tokens", per: int = 1, plus: int = 0) -> int:
    number = said[key][0]
    return per * int(number[0] if isinstance(number, (list, tuple)) else number) + plus


def _call(
    processor: Any,
    conversations: Sequence[Conversation],
    contract: Contract,
    how: How,
    keywords: Mapping[str, Any],
) -> tuple[dict[str, list[Any]], list[dict[str, Any]]]:
    """A column for each key, and what the image processor returned within."""
    pictures = [one.pil_images() for one in conversations]
    given: dict[str, Any] = {
        "text": [
            _own_prompt(processor, one) if how.chat_template else _prompt(one, contract, how.marker)
            for one in conversations
        ],
        "return_tensors": "np",
        **how.call,
        **keywords,
    }
    if any(pictures):
        given["images"] = pictures if how.images == "nested" else [one for row in pictures for one in row]
    if how.types == "mm_token_type_ids":
        given["return_mm_token_type_ids"] = True
    if not hasattr(processor, "image_processor"):
        raise TypeError(f"the factory returned a {type(processor).__name__}, not a processor with an image_processor")
    outputs = _recorder(processor.image_processor)
    outputs.clear()
    result = processor(**given)
    columns: dict[str, list[Any]] = {"input_ids": list(result["input_ids"])}
    if "attention_mask" in result:
        columns["attention_mask"] = list(result["attention_mask"])
    if how.types is not None and how.types in result:
        columns["token_type_ids"] = list(result[how.types])
    if how.counts is not None:
        given_images = [image for one in conversations for image in one.images]
        numbers = _numbers(how.counts, contract, processor, outputs, given_images)
        columns["features"] = _by_sample(numbers, [len(row) for row in pictures])
    return columns, outputs


def _numbers(
    counts: Counts, contract: Contract, processor: Any, outputs: Sequence[Mapping[str, Any]], images: Sequence[Image]
) -> list[int]:
    """What a rule makes of all that the image processor returned."""
    rule, options = _rule(counts, contract.folder)
    assert rule is not None
    sizes = [(image.width, image.height) for image in images]
    return [number for output in outputs for number in rule(output, processor.image_processor, sizes, **options)]


def problems(options: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the options, as far as it can be told without the processor."""
    known = [one.name for one in fields(How)]
    for name in options:
        if name not in known:
            yield f"the processor pipeline has no option {name!r}{nearest(str(name), known)}"
    if "marker" not in options:
        yield "the processor pipeline needs the option marker: what stands for an image in a prompt"
    for key in ("counts", "pixels"):
        try:
            _rule(options.get(key), key=key)
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


def _rule(
    counts: Counts, folder: Path | None = None, key: str = "counts"
) -> tuple[_counts.Rule | None, dict[str, Any]]:
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
        raise ValueError(f"{key}: unknown rule {name!r}{nearest(name, _counts.RULES)}")
    needed, taken = _counts.options(_counts.RULES[name])
    if not ({*needed} <= {*options} and (taken is None or {*options} <= {*taken})):
        own = ", ".join(taken or needed) or "no options"
        raise ValueError(f"{key}: {name} takes {own}; given: {', '.join(options) or 'none'}")
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
