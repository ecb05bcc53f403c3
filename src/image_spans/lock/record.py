"""What is recorded of a subject: how its tokenizer and its pipeline behave, as plain data that people can read.

Nothing depends on a path, on time, or on anything random. All of it is found out by calling; no flag is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from typing import Any, TypeAlias

from image_spans import discovery, strategies, tokenizers
from image_spans.case import Bench
from image_spans.config import SubjectSpec
from image_spans.contract import Contract
from image_spans.conversation import Conversation
from image_spans.errors import words
from image_spans.findings import one_line
from image_spans.lock import written
from image_spans.lock.probes import CONTEXTS, CONVERSATIONS, TEXTS
from image_spans.subject import Subject, Tokenizer, nameless

Record: TypeAlias = "dict[str, Any]"
"""JSON. Under :data:`MADE_OF` what may change without consequence (versions, digests); all else is behaviour."""

MADE_OF = "made of"
LIBRARIES = ("transformers", "tokenizers", "sentencepiece", "tiktoken", "mistral-common", "huggingface-hub")
_UNNAMED = 4096
"""So many ids without a name, one after the other, are the end of a vocabulary."""


def record(spec: SubjectSpec, bench: Bench, before: Record | None = None) -> Record:
    """How a subject behaves.

    Args:
        spec: its entry of the YAML.
        bench: the same, loaded.
        before: what was recorded of it earlier; spares what is costly where it is made of the same things.
    """
    subject, tokenizer = bench.subject, bench.subject.tokenizer
    made_of = _made_of(spec, subject)
    found = {
        MADE_OF: made_of,
        "named ids": _asked(lambda: {key: _one(tokenizer, i) for key, i in sorted(tokenizer.named_ids().items())}),
        "special tokens": _asked(lambda: written.families(tokenizer.special_tokens())),
        "markers": {role: _marker(tokenizer, token) for role, token in subject.contract.markers.items()},
        "plain call": _plain_call(subject),
        "texts": {text: _asked(lambda text=text: _text(tokenizer, text)) for text in TEXTS},  # type: ignore[misc]
        "decoded": _decoded(subject),
        "returned": _returned(tokenizers.native_of(tokenizer)),
        **_of_library(tokenizer),
        "conversations": _conversations(bench),
    }
    # These follow from files and libraries alone and take long to ask: not asked again while those are as they were.
    known = before if before and before[MADE_OF] == made_of and "sha256" in made_of else {}
    costly = {"vocabulary": lambda: _vocabulary(tokenizer), "saved and loaded again": lambda: _reloaded(tokenizer)}
    for key, ask in costly.items():
        found[key] = known[key] if key in known else _asked(ask)
    return {key: value for key, value in found.items() if value is not None}


def _asked(ask: Callable[[], Any]) -> Any:
    """An answer, or how it was refused: that is behaviour too."""
    try:
        return ask()
    except Exception as error:  # the tokenizer may be anybody's
        return f"raises {type(error).__name__}"


def entry_digest(spec: SubjectSpec) -> str:
    """A digest of what the YAML says of the tokenizer."""
    return hashlib.sha256(spec.tokenizer.model_dump_json(exclude_defaults=True).encode()).hexdigest()


def _made_of(spec: SubjectSpec, subject: Subject) -> Record:
    """The entry of the YAML, the source, versions and class."""
    source = spec.tokenizer.source
    found = {
        "class": subject.tokenizer.library.split(" ")[-1],
        "entry": entry_digest(spec),
        "libraries": {name: version for name in LIBRARIES if (version := discovery.installed(name)) is not None},
    }
    if source is not None:
        revision, digest = source.revision_shown(), source.digest(spec.folder)
        found |= {"source": source.shown()} | ({"revision": revision} if revision else {})
        found |= {"sha256": digest} if digest else {}
    return found


# ---------------------------------------------------------------- the tokenizer


def _line(tokenizer: Tokenizer, ids: Sequence[int]) -> Record:
    return {"ids": written.ids(ids), "tokens": written.tokens(ids, tokenizer.id_to_token)}


def _one(tokenizer: Tokenizer, token_id: int) -> str:
    return f"{token_id} {written.name(tokenizer.id_to_token(token_id))}"


def _vocabulary(tokenizer: Tokenizer) -> Record:
    """How many ids have a name, and a digest of all names."""
    digest, size, unnamed = hashlib.sha256(), 0, 0
    least = max((0, *tokenizer.special_tokens().values()))
    for token_id in count():
        token = tokenizer.id_to_token(token_id)
        if token == nameless(token_id):
            unnamed += 1
            if unnamed > _UNNAMED and token_id > least:
                break
            continue
        unnamed, size = 0, size + 1
        digest.update(f"{token_id} {token}\n".encode("utf-8", "backslashreplace"))
    return {"size": size, "sha256": digest.hexdigest()}


def _marker(tokenizer: Tokenizer, token: str) -> Record:
    """A marker's id, what kind of token it is, and where its spelling is read as that token."""
    token_id = tokenizer.token_to_id(token)
    found: Record = {"token": written.printable(token), "id": token_id}
    if token_id is None:
        kind = "no token"
    elif token_id == tokenizer.named_ids().get("unk"):
        kind = "unk"
    else:
        kind = "special token" if token_id in tokenizer.special_tokens().values() else "ordinary token"
    found["kind"] = kind
    found["spelled in markup"] = _spelled(tokenizer, token, token_id, tokenizer.encode_markup)
    found["spelled in text"] = _spelled(tokenizer, token, token_id, tokenizer.encode_text)
    return found


def _spelled(tokenizer: Tokenizer, token: str, token_id: int | None, encode: Callable[[str], list[int]]) -> Any:
    """Whether the spelling is that one id between what the texts beside it are alone; else what it is, by context."""
    said: Record = {}
    for context, (before, behind) in {**CONTEXTS, "two": ("", token)}.items():
        said[context] = _asked(lambda a=before, b=behind: _in_context(tokenizer, token, token_id, encode, a, b))  # type: ignore[misc]
    same = all(isinstance(one, str) for one in said.values()) and len(set(said.values())) == 1
    return said["two"] if same else said


def _in_context(
    tokenizer: Tokenizer, token: str, token_id: int | None, encode: Callable[[str], list[int]], before: str, behind: str
) -> Any:
    ids = encode(before + token + behind)
    if token_id is None or token_id not in ids:
        return "text"
    if ids == [*encode(before), token_id, *encode(behind)]:
        return "its id"
    return _line(tokenizer, ids)


def _plain_call(subject: Subject) -> Record:
    """What the library's plain call adds to any text, and what it makes of none."""
    tokenizer, facts = subject.tokenizer, subject.facts
    return {
        "adds in front": [_one(tokenizer, token_id) for token_id in facts.prefix],
        "adds behind": [_one(tokenizer, token_id) for token_id in facts.suffix],
        "of an empty text": _asked(lambda: _line(tokenizer, tokenizer.encode(""))),
        "blank in front of text": facts.dummy_prefix,
        "protects text that spells markers": facts.protects_text,
        "normalises": facts.normalises,
    }


def _text(tokenizer: Tokenizer, text: str) -> Record:
    ids = tokenizer.encode_text(text)
    found = _line(tokenizer, ids)
    back = tokenizer.decode(ids)
    return found if back == text else {**found, "comes back as": written.printable(back)}


def _decoded(subject: Subject) -> Record:
    """A span between words: by our call, which keeps special tokens, and by the library's own, which may drop them."""
    tokenizer, native = subject.tokenizer, tokenizers.native_of(subject.tokenizer)
    ids = [
        *subject.facts.prefix,
        *tokenizer.encode_text("hello"),
        *subject.marker_ids.values(),
        *tokenizer.encode_text("world"),
    ]
    found: Record = {"with special tokens": _asked(lambda: written.printable(tokenizer.decode(ids)))}
    if hasattr(native, "decode"):
        found["by the library's plain call"] = _asked(lambda: written.printable(str(native.decode(ids))))
    return found


def _returned(native: Any) -> Record:
    """The form of what the library's own calls return."""
    calls = {
        "call": lambda: native("hello"),
        "encode": lambda: native.encode("hello"),
        "tokenize": lambda: native.tokenize("hello"),
        "decode": lambda: native.decode([1, 2]),
    }
    found: Record = {}
    for name, call in calls.items():
        if callable(native) if name == "call" else hasattr(native, name):
            found[name] = _asked(lambda call=call: form(call()))  # type: ignore[misc]
    return found


def form(value: Any) -> str:
    """The type of a value, with the types of what is in it: ``list of int``."""
    kind = type(value).__name__
    if hasattr(value, "keys"):
        return f"{kind} of {', '.join(f'{key}: {form(value[key])}' for key in sorted(value.keys()))}"
    if isinstance(value, (list, tuple)):
        inside = sorted({form(one) for one in value})
        return f"{kind} of {' or '.join(inside)}" if inside else f"{kind}, empty"
    return kind


def _of_library(tokenizer: Tokenizer) -> Record:
    """What the adapter of the library knows to ask besides."""
    module = tokenizers.adapter_of(tokenizer)
    ask = getattr(module, "behaviour", None)
    questions = {} if ask is None else ask(tokenizers.native_of(tokenizer))
    return {key: _asked(question) for key, question in questions.items()}


def _reloaded(tokenizer: Tokenizer) -> Any:
    """Whether the library's own saving and loading keeps what texts and markers are."""
    again = getattr(tokenizers.adapter_of(tokenizer), "reloaded", None)
    if again is None:
        return None
    other = tokenizers.adapt(again(tokenizers.native_of(tokenizer)))
    different = [repr(text) for text in TEXTS if other.encode_text(text) != tokenizer.encode_text(text)]
    different += [repr(text) for text in TEXTS if other.encode(text) != tokenizer.encode(text)]
    special, others = tokenizer.special_tokens(), other.special_tokens()
    different += [written.name(one) for one in sorted({*special, *others}) if special.get(one) != others.get(one)]
    return f"different: {', '.join(dict.fromkeys(different))}" if different else "the same"


# ---------------------------------------------------------------- the pipeline


def _conversations(bench: Bench) -> Record:
    return {
        name: _conversation(bench, conversation)
        for name, conversation in CONVERSATIONS.items()
        if _inside(bench.subject.contract, conversation)
    }


def _inside(contract: Contract, conversation: Conversation) -> bool:
    if not replace(strategies.Profile.limits(contract), any_size=True).holds(conversation):
        return False
    if contract.images.slots == "from_features":
        return True
    try:
        for image in conversation.images:
            contract.layout(image.width, image.height, len(conversation.images))
    except ValueError:  # a size that the rule does not take
        return False
    return True


def _conversation(bench: Bench, conversation: Conversation) -> Any:
    subject = bench.subject
    try:
        encoding = bench.run(subject.encode, conversation)
    except Exception as error:
        return f"refused with {type(error).__name__}" if isinstance(error, subject.refusals) else one_line(words(error))
    found = _line(subject.tokenizer, encoding.ids)
    if encoding.image_bounds is not None:
        found["bounds"] = " ".join(f"{start}:{end}" for start, end in encoding.image_bounds)
    if encoding.features is not None:
        found["features"] = " ".join(f"{image}:{number}" for image, number in encoding.features)
    for key, values in encoding.arrays.items():
        found[key] = written.ids(values)
    return found
