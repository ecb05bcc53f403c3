"""A processor, called with one picture: what it takes for an image, and what it makes of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from image_spans.contract import Contract
from image_spans.conversation import Conversation, Image, Message, Text
from image_spans.errors import words
from image_spans.init.entry import Proposal, Todo, leaves
from image_spans.init.probe import Probe
from image_spans.init.rules import Rule
from image_spans.pipelines import processor as pipeline
from image_spans.subject import Tokenizer

FACTORY = "image_spans.processors:load"
SIZE = (300, 200)
"""Of the picture in pixels: neither square nor a tile of any model."""
SHOWN = f"{SIZE[0]}x{SIZE[1]}"
_USUAL = ("<image>", "<|image|>")


@dataclass(frozen=True)
class Call:
    """A call that gave placeholders."""

    marker: str
    images: str
    """``nested`` or ``flat``: how the processor takes its pictures."""
    before: str
    """Text between the text in front of the image and the image's first token."""
    after: str
    placeholders: int


def tried(
    tokenizer: Tokenizer, spellings: Iterable[str], images: Mapping[str, Any], tokens: Sequence[str]
) -> Call | str:
    """The first spelling of an image that the processor takes; else why none is.

    Args:
        tokenizer: the adapter, whose ``native`` is the processor.
        spellings: what may stand for an image in a prompt.
        images: the contract's tokens, as far as they are known.
        tokens: all that may stand in an image's block.
    """
    wanted = [images[key] for key in ("open", "close") if key in images]
    placeholder = images["placeholder"]
    if isinstance(placeholder, Todo):
        return "its placeholder is not known"
    contract = Contract.model_validate(
        {"bos": "none", "images": {"grammar": "run", "placeholder": placeholder, "slots": "from_features"}}
    )
    asked = Conversation([Message("user", [Text("x"), Image(*SIZE), Text("y")])])
    why = "nothing is known that stands for an image"
    for spelling in dict.fromkeys(spellings):
        for given in ("nested", "flat"):
            try:
                found = pipeline.encode(tokenizer, asked, contract=contract, marker=spelling, images=given)
            except Exception as error:  # it is foreign code
                why = f"the processor raised {words(error)}"
                continue
            names = [tokenizer.id_to_token(int(one)) for one in found["input_ids"]]
            if placeholder in names and all(names.count(token) == 1 for token in wanted):
                places = [index for index, name in enumerate(names) if name in tokens]
                ids = [int(one) for one in found["input_ids"]]
                before = tokenizer.decode(ids[: places[0]]).rpartition("x")[2]
                after = tokenizer.decode(ids[places[-1] + 1 :]).partition("y")[0]
                return Call(spelling, given, before, after, names.count(placeholder))
            why = f"an image of {SHOWN} gives no {placeholder} within {' and '.join(wanted) or 'the ids'}"
    return why


def spellings(images: Mapping[str, Any], tokenizer: Tokenizer, written: str | None) -> list[str]:
    """What may stand for an image in a prompt, the likeliest first.

    Args:
        images: the contract's tokens.
        tokenizer: the adapter, whose ``native`` is the processor.
        written: what its chat template writes for an image.
    """
    known = [images.get(key) for key in ("open", "placeholder", "close")]
    tokens = [one for one in known if isinstance(one, str) and not isinstance(one, Todo)]
    own = [getattr(tokenizer.native, name, None) for name in ("image_token", "boi_token")]
    usual = [name for name in _USUAL if tokenizer.token_to_id(name) is not None]
    found = [written, *own, *tokens[:2], "".join(tokens), *usual]
    return [one for one in found if isinstance(one, str) and one]


def describe(proposal: Proposal, probe: Probe, rule: Rule | None, written: str | None) -> None:
    """Make the proposal one of the pipeline ``processor``, with what one call shows."""
    contract, tokenizer = proposal.entry["contract"], probe.tokenizer
    images = contract["images"]
    tokens = [value for _, value in proposal.leaves() if isinstance(value, str) and value in probe.tokens]
    call = tried(tokenizer, spellings(images, tokenizer, written), images, tokens)
    options: dict[str, Any] = {"marker": Todo(f"what stands for an image in a prompt ({call})")}
    entry: dict[str, Any] = {"encode": "processor", "batch": "processor", "options": options}
    returns = ["attention_mask"]
    if isinstance(call, Call):
        options["marker"] = call.marker
        note = f"seen: gives {call.placeholders} placeholders for an image of {SHOWN}"
        proposal.notes["pipeline", "options", "marker"] = note
        if call.images == "flat":
            options["images"] = "flat"
        _texts(proposal, probe, call)
        _literals(proposal, call.marker)
        _agreeing(proposal, call)
    if rule is not None and rule.counts is not None:
        options["counts"] = dict(rule.counts) if len(rule.counts) > 1 else rule.counts["rule"]
        returns.insert(0, "features")
    entry |= {"returns": returns, "accepts": ["images"]}
    proposal.entry["pipeline"] = entry
    for key in ("encode", "returns"):
        proposal.notes.pop(("pipeline", key), None)
    contract["template"] = contract.pop("template")  # behind the literals, which came last
    proposal.notes["pipeline", "encode"] = "calls what the factory returns, with text and blank pictures"


def _texts(proposal: Proposal, probe: Probe, call: Call) -> None:
    """The text round an image; where it is BOS, that is where the processor writes it."""
    contract = proposal.entry["contract"]
    images, bos = contract["images"], probe.token("bos")
    if bos is not None and call.after == bos:
        contract["bos"] = "after_images"
        proposal.notes["contract", "bos"] = f"seen in a call: {bos} stands behind the image"
    if isinstance(images.get("grammar"), Todo):
        return  # what stands round the blocks is for that grammar to write
    for key, text in (("before", call.before), ("after", call.after)):
        images.pop(key, None)
        if text and not any(token in text for token in probe.tokens):
            images[key] = text
            proposal.notes["contract", "images", key] = "seen in a call"


def _literals(proposal: Proposal, marker: str) -> None:
    """A processor reads markers from its text, and counts those that stand for images."""
    contract = proposal.entry["contract"]
    tokens = [one for one in (marker, contract["images"]["placeholder"]) if isinstance(one, str)]
    placeholder = contract["images"]["placeholder"]
    counted = marker if marker == placeholder or placeholder not in marker else placeholder
    contract["literals"] = {
        "policy": "interpret",
        "per": dict.fromkeys(dict.fromkeys([counted, *tokens[1:]]), "reject"),
    }
    proposal.notes["contract", "literals"] = (
        "as processors do: markers are read from text, one image too many is refused"
    )


def _agreeing(proposal: Proposal, call: Call) -> None:
    """Compare the rule that the files name with what came; where they differ, it is for the user to say."""
    contract = proposal.entry["contract"]
    images, slices = contract["images"], contract.get("slices")
    counted = {key: images[key] for key in ("placeholder", "slots", "options") if key in images}
    if any(isinstance(value, Todo) for _, value in leaves({"images": counted, "slices": slices or {}})):
        return
    form = {"grammar": "run"} if slices is None else {"open": "(", "close": ")"}
    stated = {"bos": "none", "images": {**counted, **form}, **({} if slices is None else {"slices": slices})}
    slots = Contract.model_validate(stated).layout(*SIZE, 1).slots
    where = ("contract", "images", "slots") if slices is None else ("contract", "slices", "rule")
    if slots == call.placeholders:
        proposal.notes[where] = f"{proposal.notes[where]}; seen: {slots} for {SHOWN}"
        return
    told = f"{images['slots']} by the files, which is {slots} for {SHOWN}"
    images["slots"] = Todo(f"{told}; but {call.placeholders} came")
    images.pop("options", None)
