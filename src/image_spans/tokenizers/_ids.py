"""From ids to text and from names to ids, where libraries are silent about what is not in the vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import groupby

from image_spans.errors import ConfigError
from image_spans.subject import Ids, nameless


def spelled(ids: Ids, known: Callable[[int], bool], decode: Callable[[list[int]], str]) -> str:
    """The text of ids; those outside of the vocabulary, which libraries drop or refuse, as ``<id 123>``.

    A pipeline under test may return such ids, and a finding must be able to show them.
    """
    if all(map(known, ids)):
        return decode(list(ids))
    return "".join(
        decode(list(stretch)) if inside else "".join(map(nameless, stretch)) for inside, stretch in groupby(ids, known)
    )


def beside_names(
    ids: Ids, name: Callable[[int], str | None], decode: Callable[[list[int]], str], lead: list[int]
) -> str:
    """The text of SentencePiece ids in which those with a name are spelled, and all others decoded as text.

    SentencePiece strips the blank of the very first piece, so a later stretch is decoded behind ``lead``.
    """
    lead_text = decode(lead)
    text, begun = "", False
    for special, group in groupby(ids, lambda token_id: name(token_id) is not None):
        stretch = list(group)
        if special:
            text += "".join(name(token_id) or "" for token_id in stretch)
            continue
        text += decode([*lead, *stretch])[len(lead_text) :] if begun else decode(stretch)
        begun = True
    return text


def named(names: Mapping[str, str], token_to_id: Callable[[str], int | None]) -> dict[str, int]:
    """The ids of the tokens to which a spec gives names.

    Raises:
        ConfigError: there is no such token.
    """
    found = {}
    for name, token in names.items():
        token_id = token_to_id(token)
        if token_id is None:
            raise ConfigError(f"special_tokens: {name} is {token!r}, which is not in the vocabulary")
        found[name] = token_id
    return found
