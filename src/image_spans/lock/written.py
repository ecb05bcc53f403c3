"""How ids and tokens stand in the lock: as text with runs shortened, so that a diff of the file can be read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby


def ids(given: Sequence[int]) -> str:
    """``1 128244*64 2``."""
    runs = [(token_id, len(list(run))) for token_id, run in groupby(given)]
    return " ".join(f"{token_id}*{length}" if length > 1 else str(token_id) for token_id, length in runs)


def read_ids(text: str) -> list[int]:
    """The ids of what :func:`ids` wrote."""
    runs = [word.partition("*") for word in text.split()]
    return [int(token_id) for token_id, _, length in runs for _ in range(int(length or 1))]


def tokens(given: Sequence[int], name_of: Callable[[int], str]) -> str:
    """The names of the same runs, ``<image> <unk>*64 </image>``; blanks inside a name are shown."""
    runs = [(token_id, len(list(run))) for token_id, run in groupby(given)]
    return " ".join(f"{name(name_of(i))}*{length}" if length > 1 else name(name_of(i)) for i, length in runs)


def name(token: str) -> str:
    """A token's name without blanks and without characters that cannot be seen or written."""
    return printable(token).replace(" ", "\u2423")


def printable(text: str) -> str:
    """Text whose invisible characters and halves of characters are escaped; the others stand for themselves."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


_NUMBER = re.compile(r"\d+")


def families(tokens: Mapping[str, int]) -> dict[str, str]:
    """Token to id, with ``<reserved_0>`` to ``<reserved_999>`` in one entry where their ids follow each other too."""
    found: dict[str, str] = {}
    run: list[tuple[str, int]] = []
    for token, token_id in [*sorted(tokens.items(), key=lambda pair: (pair[1], pair[0])), ("", -1)]:
        if run and not _follows(run[-1], (token, token_id)):
            (first, low), (last, high) = run[0], run[-1]
            if len(run) > 2:
                found[f"{printable(first)} .. {printable(last)}"] = f"{low} .. {high}"
            else:
                found |= {printable(one): str(number) for one, number in run}
            run = []
        run.append((token, token_id))
    return found


def members(written: Mapping[str, str]) -> dict[str, int]:
    """Token to id again, of what :func:`families` wrote."""
    found: dict[str, int] = {}
    for tokens, ids in written.items():
        low, _, high = ids.partition(" .. ")
        if not high:
            found[tokens] = int(low)
            continue
        first = tokens.split(" .. ")[0]
        start = int(_NUMBER.findall(first)[0])
        for step in range(int(high) - int(low) + 1):
            found[_NUMBER.sub(str(start + step), first)] = int(low) + step
    return found


def _follows(one: tuple[str, int], other: tuple[str, int]) -> bool:
    """Whether ``<x_8> 108`` comes right behind ``<x_7> 107``."""
    numbers, others = _NUMBER.findall(one[0]), _NUMBER.findall(other[0])
    return (
        other[1] == one[1] + 1
        and len(numbers) == len(others) == 1
        and others[0] == str(int(numbers[0]) + 1)  # not <x_009> behind <x_008>, which could not be told from <x_9>
        and _NUMBER.sub("", one[0]) == _NUMBER.sub("", other[0])
    )
