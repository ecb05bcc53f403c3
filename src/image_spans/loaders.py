"""How the loaders of one file differ: what each subject makes of the same few texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from image_spans.subject import Subject

_PROBES = ("hello", " hello", "a  b", "\n", "e\u0301", "<s>")
"""A word, and what loaders are known to disagree on: blanks, a newline, a combining mark, BOS spelled as text."""


def observed(subject: Subject) -> dict[str, str]:
    """What a subject's tokenizer does, as column to cell; ids stand for themselves."""
    facts, tokenizer = subject.facts, subject.tokenizer
    added = [tokenizer.id_to_token(token_id) for token_id in (*facts.prefix, *facts.suffix)]
    cells = {
        "the call adds": " ".join(added) or "nothing",
        "blank in front": "yes" if facts.dummy_prefix else "no",
    }
    cells |= {ascii(text): _ids(tokenizer.encode_markup(text)) for text in _PROBES}
    text = f"x{subject.contract.images.placeholder}y"
    return cells | {ascii(text): _ids(tokenizer.encode_markup(text))}


def _ids(ids: Sequence[int]) -> str:
    return " ".join(map(str, ids)) or "nothing"


def differing(rows: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The columns in which rows are not all alike, in their order."""
    columns = dict.fromkeys(column for row in rows.values() for column in row)
    return [column for column in columns if len({row.get(column, "-") for row in rows.values()}) > 1]
