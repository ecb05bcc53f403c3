"""A tokenizer, loaded and asked: every fact is found out by calling it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from image_spans import tokenizers
from image_spans.errors import ConfigError, Unavailable, words
from image_spans.init.source import Origin, Way
from image_spans.subject import Facts, Tokenizer

_LONGEST_TOKEN = 200
"""Characters; what is longer is no marker that anybody types."""


@dataclass(frozen=True)
class Probe:
    """What was found out."""

    tokenizer: Tokenizer
    facts: Facts
    named: Mapping[str, int]
    """bos, eos, unk and pad, where the library names them."""
    tokens: Mapping[str, int]
    """All that are no ordinary text: control pieces, added tokens, unk."""

    def token(self, name: str) -> str | None:
        """The token that the library calls ``bos``, ``eos``, ..."""
        return None if name not in self.named else self.tokenizer.id_to_token(self.named[name])


@dataclass(frozen=True)
class Loaded:
    """A tokenizer, and how it was loaded."""

    way: Way
    tokenizer: Tokenizer
    instead: str | None
    """Why a likelier way does not load it."""


def load(origin: Origin) -> Loaded:
    """The tokenizer, by the first way that loads it; fetched, where it lies on the hub.

    Raises:
        ConfigError: none does; says why the likeliest does not.
        Unavailable: it could not be fetched, or a library is missing.
    """
    if origin.hub is not None:
        origin.hub.fetch()
    errors: list[ConfigError | Unavailable] = []
    for way in origin.ways():
        try:
            return Loaded(way, tokenizers.load(way.spec, origin.folder), str(errors[0]) if errors else None)
        except (ConfigError, Unavailable) as error:
            errors.append(error)
    raise errors[0] if errors else ConfigError(f"{origin.settings()} holds no tokenizer")


def probe(tokenizer: Tokenizer) -> Probe:
    """Ask a tokenizer.

    Raises:
        ConfigError: it cannot answer.
    """
    try:
        named = dict(tokenizer.named_ids())
        tokens = {token: int(token_id) for token, token_id in tokenizer.special_tokens().items()}
        tokens |= _added(tokens, tokenizers.native_of(tokenizer))
        if "unk" in named:
            tokens.setdefault(tokenizer.id_to_token(named["unk"]), named["unk"])
        tokens = {token: token_id for token, token_id in tokens.items() if _can_be_written(token)}
        facts = tokenizers.observe(tokenizer, {})
    except Exception as error:  # the tokenizer may be the user's
        raise ConfigError(f"observing {tokenizer.library} raised {words(error)}") from error
    return Probe(tokenizer, facts, named, tokens)


def _added(known: Mapping[str, int], native: Any) -> dict[str, int]:
    """Tokens that were added to a vocabulary without being called special, as some checkpoints have their markers."""
    table = getattr(native, "added_tokens_decoder", None)
    if table is None and hasattr(native, "get_added_tokens_decoder"):
        table = native.get_added_tokens_decoder()
    found = {str(getattr(token, "content", token)): int(token_id) for token_id, token in dict(table or {}).items()}
    return {token: token_id for token, token_id in found.items() if token not in known}


def _can_be_written(token: str) -> bool:
    """Whether it can be a value in the YAML: no half of a character, and not what reads like an open question."""
    halves = any("\ud800" <= character <= "\udfff" for character in token)
    return 0 < len(token) <= _LONGEST_TOKEN and not halves and not token.lstrip().startswith("TODO")
