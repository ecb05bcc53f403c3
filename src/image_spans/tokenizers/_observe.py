"""Observing a tokenizer: every fact is found out by encoding, none is read from a flag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from image_spans.subject import Facts, Tokenizer

_PROBES = ("hello", "a", "Hello, world!", "\u4f60\u597d", "0", "x\ny")
_CHANGED_BY_NORMAL_FORMS = ("e\u0301", "\ufb01", "A", "a  b", " a ", "a\u00a0b", "\u00bd")


def observe(tokenizer: Tokenizer, markers: Mapping[str, str]) -> Facts:
    """What a tokenizer does.

    Args:
        tokenizer: any adapter.
        markers: role to token, as the contract declares them.
    """
    prefix, suffix = _added(tokenizer)
    anchor, anchor_text = _anchor(tokenizer)

    def decoded(ids: Sequence[int]) -> str:
        whole = tokenizer.decode([*anchor, *ids])
        return whole[len(anchor_text) :] if whole.startswith(anchor_text) else tokenizer.decode(ids)

    ids = {token: tokenizer.token_to_id(token) for token in markers.values()}
    unk = tokenizer.named_ids().get("unk")
    spelled = {token: i for token, i in ids.items() if i is not None and i != unk}
    return Facts(
        prefix=prefix,
        suffix=suffix,
        bos=_bos(tokenizer, prefix),
        dummy_prefix=decoded(tokenizer.encode_text("hello")) == " hello",
        normalises=any(
            decoded(tokenizer.encode_text(text)) not in (text, " " + text) for text in _CHANGED_BY_NORMAL_FORMS
        ),
        reads_markers={token: tokenizer.encode_markup(token) == [i] for token, i in ids.items()},
        protects_text=not any(i in tokenizer.encode_text(f"a{token}b") for token, i in spelled.items()),
        anchor=anchor,
        anchor_text=anchor_text,
    )


def _added(tokenizer: Tokenizer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What the native call puts before and after all probe texts; where they differ, what is common."""
    before: list[tuple[int, ...]] = []
    after: list[tuple[int, ...]] = []
    for text in _PROBES:
        whole, bare = tokenizer.encode(text), tokenizer.encode_markup(text)
        at = next((k for k in range(len(whole) - len(bare) + 1) if whole[k : k + len(bare)] == bare), None)
        if at is None:
            return (), ()
        before.append(tuple(whole[:at]))
        after.append(tuple(whole[at + len(bare) :]))
    return (
        before[0] if len(set(before)) == 1 else (),
        after[0] if len(set(after)) == 1 else (),
    )


def _bos(tokenizer: Tokenizer, prefix: tuple[int, ...]) -> int | None:
    """The id that counts as BOS: the named one, or what stands first in front of every text."""
    named = tokenizer.named_ids().get("bos")
    if named is not None and (not prefix or named in prefix):
        return named
    return prefix[0] if prefix else named


def _anchor(tokenizer: Tokenizer) -> tuple[tuple[int, ...], str]:
    """Ids that keep what follows them from losing a blank in front.

    SentencePiece strips the blank of a first piece when it decodes, so "hello" and " hello" look alike.
    """
    for text in ("x", "a", "0", "."):
        ids = tuple(tokenizer.encode_text(text)[-1:])
        if not ids:
            continue
        lead = tokenizer.decode(ids)
        follow = tokenizer.encode_text("hello")
        if lead and tokenizer.decode([*ids, *follow]) in (lead + "hello", lead + " hello"):
            return ids, lead
    return (), ""
