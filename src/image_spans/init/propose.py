"""From what was found out to an entry of the YAML."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from image_spans import tokenizers
from image_spans.foreign import Foreign
from image_spans.init import chat as chats
from image_spans.init.chat import Chat
from image_spans.init.entry import Proposal, Todo
from image_spans.init.markers import Markers, find
from image_spans.init.probe import Probe
from image_spans.init.rules import Rule, rule_of
from image_spans.init.settings import Settings, named
from image_spans.tokenizers import TokenizerSpec

REFERENCES = {"flat": "flat_slices", "nested": "nested_slices", "same_span": "same_span"}
_OWN_PIPELINE = "yours: module:function, called as encode(tokenizer, conversation)"
_MOST_SHOWN = 12
_SECONDS = 10.0
"""What rendering one chat may take: a template is a program of somebody else's."""
_ORDER = (
    "grammar",
    "open",
    "close",
    "placeholder",
    "slots",
    "options",
    "row_break",
    "number",
    "before",
    "after",
    "markers",
)


def propose(
    name: str,
    written: Mapping[str, Any],
    spec: TokenizerSpec,
    probe: Probe,
    settings: Settings,
    chat: Chat | None = None,
) -> Proposal:
    """The entry of one subject.

    Args:
        name: of the subject.
        written: the keys of ``tokenizer`` that stand in the YAML.
        spec: how the tokenizer was loaded; what it says of BOS was asked for.
        probe: what was found out.
        settings: the files beside it.
        chat: what its chat template writes; None: there is none.
    """
    proposal = Proposal(name, {"tokenizer": dict(written), "pipeline": {}, "contract": {}})
    by_id = {token_id: token for token, token_id in probe.tokens.items()}
    rule = rule_of(settings)
    markers = find(probe.tokens, named(settings, by_id), None if rule is None else rule.row)
    _tokenizer(proposal, probe, markers)
    contract = proposal.entry["contract"]
    if chat is not None and chat.roles != ("system", "user", "assistant"):
        contract["input"] = {"roles": list(chat.roles)}
        proposal.notes["contract", "input"] = "; ".join(chat.notes)
    contract["bos"], proposal.notes["contract", "bos"] = bos(probe, spec, chat)
    _slots(proposal, markers, rule, settings)
    contract["images"] = {key: markers.images[key] for key in _ORDER if key in markers.images}
    if "slices" in contract:
        contract["slices"] = contract.pop("slices")
    proposal.notes |= {("contract", *path): note for path, note in markers.notes.items()}
    _literals(proposal, probe, markers)
    _template(proposal, chat)
    _pipeline(proposal)
    _seen(proposal, probe, markers, chat)
    proposal.notes = {path: note for path, note in proposal.notes.items() if note}
    return proposal


def _tokenizer(proposal: Proposal, probe: Probe, markers: Markers) -> None:
    used = dict.fromkeys([*markers.used(), *(probe.token(name) or "" for name in ("bos", "eos", "pad", "unk"))])
    ids = {token: probe.tokenizer.token_to_id(token) for token in used if token}
    stated = {token: token_id for token, token_id in ids.items() if token_id is not None}
    if stated:
        proposal.entry["tokenizer"]["ids"] = stated
        proposal.notes["tokenizer", "ids"] = "as the vocabulary gives them today; contract.tokens compares"
    if proposal.entry["tokenizer"].get("backend") == "tiktoken" and "pattern" not in proposal.entry["tokenizer"]:
        proposal.entry["tokenizer"]["pattern"] = Todo("the regular expression, which a rank file does not hold")
        proposal.entry["tokenizer"]["add_special_tokens"] = Todo(
            "token to id, {<|image_pad|>: 151655}: a rank file does not hold its special tokens"
        )


def bos(probe: Probe, spec: TokenizerSpec, chat: Chat | None) -> tuple[str | Todo, str]:
    """The contract's ``bos``, and the evidence.

    What the plain call adds decides, and where it adds nothing the chat template. A BOS that only has a name may be for
    the pipeline to write, and no call tells that.
    """
    facts, named = probe.facts, probe.named.get("bos")
    token = "" if facts.bos is None else _shown(probe.tokenizer.id_to_token(facts.bos))
    if facts.prefix:
        first = _shown(probe.tokenizer.id_to_token(facts.prefix[0]))
        if named in facts.prefix:
            return "exactly_once", f"seen: encode('a') begins with {token} ({facts.bos}), which is named BOS"
        question = (
            f"exactly_once or none: the plain call begins with {first} ({facts.prefix[0]}), which is not named BOS"
        )
        return Todo(question), ""
    if spec.backend == "tiktoken" and not spec.add_special_tokens and not probe.tokens:
        return Todo("exactly_once or none: a rank file does not hold its special tokens, so BOS is not known"), ""
    if named is None:
        return "none", "seen: encode('a') begins with no extra id, and no token is named BOS"
    if chat is not None and chat.begins_with_bos is True:
        return "exactly_once", f"seen: the chat template begins with {token} ({named}); the plain call adds none"
    if chat is not None and chat.begins_with_bos is False:
        return "none", f"seen: neither the plain call nor the chat template writes {token} ({named})"
    refused = [key for key in ("add_bos_token", "add_bos", "bos") if spec.options.get(key) is False]
    if refused:
        return "none", f"seen: encode('a') begins with no extra id, as {refused[0]}: false asks for"
    return Todo(
        f"exactly_once or none: the plain call adds no {token} ({named}); does the pipeline put it in front?"
    ), ""


def _slots(proposal: Proposal, markers: Markers, rule: Rule | None, settings: Settings) -> None:
    """How many placeholders: by the rule that the files name, else by nobody."""
    images, contract = markers.images, proposal.entry["contract"]
    if rule is None:
        images["slots"] = Todo(_which_rule(markers, settings))
        if markers.slices is not None:
            contract["slices"] = markers.slices
        return
    row, where = rule.row, _where(settings)
    note = where + (f"; not stated there, so the rule's own: {', '.join(rule.missing)}" if rule.missing else "")
    images |= {key: text for key, text in zip(("before", "after"), row.around, strict=True) if text}
    sliced = row.slices is not None and not rule.options.get("never_split")
    if row.slices is not None and sliced and images.get("grammar", "paired") == "paired":
        _block(images, rule)
        contract["slices"] = {**(markers.slices or {}), **row.slices, "rule": row.rule}
        if row.slices["grammar"] == "flat" and markers.slices is None:
            contract["slices"] |= {side: Todo(f"the token that {side}s a slice") for side in ("open", "close")}
        if rule.options:
            contract["slices"]["options"] = dict(rule.options)
        markers.notes.pop(("slices", "grammar"), None)
        markers.notes["slices", "rule"] = note
        return
    if rule.alike:
        _block(images, rule)
        markers.notes["images", "slots"] = f"the same for each image: {where}"
        return
    images["slots"] = row.rule
    options = dict(rule.options)
    if row.slots is not None:
        options["slots"] = rule.slots if rule.slots is not None else Todo("how many placeholders each tile has")
    if options:
        images["options"] = options
    markers.notes["images", "slots"] = note


def _block(images: dict[str, Any], rule: Rule) -> None:
    images["slots"] = rule.slots if rule.slots is not None else Todo("how many placeholders one block has")


def _where(settings: Settings) -> str:
    if settings.image_processor is None:
        return f"model_type {_shown(str(settings.model_type))} in {settings.files['model']}"
    return f"{_shown(settings.image_processor)} in {settings.files['images']}"


def _which_rule(markers: Markers, settings: Settings) -> str:
    if markers.slices is not None:
        return "how many placeholders each block has"
    if settings.image_processor is not None:
        return f"a number, or a slice rule: none is known here for {settings.image_processor}"
    return "how many placeholders one image has: a number, or a slice rule (docs/slice-rules.md)"


def _literals(proposal: Proposal, probe: Probe, markers: Markers) -> None:
    """What markers mean that somebody typed: plain, unless the tokenizer knows no way to have them so."""
    used = markers.used()
    if not used:
        return
    facts = tokenizers.observe(probe.tokenizer, dict(zip(used, used, strict=True)))
    if not facts.protects_text:
        proposal.entry["contract"]["literals"] = "interpret"
        note = "seen: a marker that is spelled in text becomes its id, protected or not"
        proposal.notes["contract", "literals"] = note


def _template(proposal: Proposal, chat: Chat | None) -> None:
    contract = proposal.entry["contract"]
    if chat is not None and chat.template is not None:
        contract["template"] = chat.template
        proposal.notes["contract", "template"] = "seen: what the chat template writes round messages"
        return
    why = f" (the chat template: {chat.why})" if chat is not None else ""
    question = "the text before and behind a message, {user: [before, behind]}, {} for none; remove the key if unknown"
    contract["template"] = Todo(question + why)


def _pipeline(proposal: Proposal) -> None:
    """The reference pipeline that fits the grammar."""
    contract = proposal.entry["contract"]
    grammar = contract["images"].get("grammar", "paired")
    slices = contract.get("slices", {}).get("grammar", "flat")
    if isinstance(grammar, Todo):
        encode: str = Todo("module:function, called as encode(tokenizer, conversation)")
    elif grammar == "run":
        encode = "placeholder_run"
    elif grammar == "rows":
        encode = "rows"
    elif isinstance(slices, Todo):
        encode = Todo("flat_slices or nested_slices, as slices.grammar; or module:function")
    else:
        encode = REFERENCES[slices]
    pipeline = proposal.entry["pipeline"]
    pipeline["encode"] = encode
    if not isinstance(encode, Todo):
        pipeline["returns"] = ["image_bounds", "labels"]
        proposal.notes["pipeline", "encode"] = f"a reference pipeline; {_OWN_PIPELINE}"
        proposal.notes["pipeline", "returns"] = "what it returns besides ids; remove the line for a list of ids"


def chat_of(probe: Probe) -> Chat | None:
    """What the chat template of a tokenizer or processor writes; None where there is none."""
    native = probe.tokenizer.native
    if not getattr(native, "chat_template", None):
        return None
    token = None if probe.facts.bos is None else probe.tokenizer.id_to_token(probe.facts.bos)

    foreign = Foreign(_SECONDS)

    def render(messages: list[dict[str, Any]]) -> str:
        written = partial(native.apply_chat_template, messages, tokenize=False)
        return str(foreign.call(lambda: "the chat template", written))

    return chats.observe(render, token)


def _seen(proposal: Proposal, probe: Probe, markers: Markers, chat: Chat | None) -> None:
    """What a reader wants to know besides."""
    ends = [
        f"{name} {_shown(probe.token(name) or '')} ({probe.named[name]})"
        for name in ("eos", "pad")
        if name in probe.named
    ]
    absent = [name for name in ("eos", "pad") if name not in probe.named]
    proposal.seen.append(
        f"Probed with {probe.tokenizer.library}: {', '.join([*ends, *(f'no {name}' for name in absent)])}."
    )
    if probe.facts.suffix:
        behind = ", ".join(_shown(probe.tokenizer.id_to_token(one)) for one in probe.facts.suffix)
        proposal.seen.append(f"The plain call puts {behind} behind every text.")
    if probe.facts.dummy_prefix:
        proposal.seen.append("Text alone gets a blank in front.")
    if chat is not None and chat.image is not None:
        proposal.seen.append(f"The chat template writes {_shown(chat.image)} for an image.")
    if markers.unread:
        shown = ", ".join(map(_shown, markers.unread[:_MOST_SHOWN]))
        more = f" and {len(markers.unread) - _MOST_SHOWN} more" if len(markers.unread) > _MOST_SHOWN else ""
        proposal.seen.append(f"Named like markers of images, without a role here: {shown}{more}.")


def _shown(token: str) -> str:
    """A token in a comment: as it is, or as a Python literal where that would mislead."""
    return token if token.isprintable() and token.strip() == token and token else ascii(token)
