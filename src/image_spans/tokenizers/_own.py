"""A tokenizer of the user's own, checked at each call: it may be wrong, and the error must say where."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from image_spans.subject import Ids


class BadTokenizer(TypeError):
    """A method of the user's tokenizer returned what it must not; the text says which, for what, and what came."""


class OwnTokenizer:
    """An object that has the methods of :class:`image_spans.Tokenizer`, and what they return made of plain ints."""

    def __init__(self, made: Any) -> None:
        self.native = made.native  # what the pipeline gets
        self.library = str(made.library)
        self._made = made
        self._checked: dict[str, tuple[Any, dict[str, int]]] = {}

    def encode(self, text: str) -> list[int]:
        return self._ids("encode", text)

    def encode_text(self, text: str) -> list[int]:
        return self._ids("encode_text", text)

    def encode_markup(self, text: str) -> list[int]:
        return self._ids("encode_markup", text)

    def decode(self, ids: Ids) -> str:
        return self._text("decode", list(ids))

    def token_to_id(self, token: str) -> int | None:
        found, refuse = self._call("token_to_id", token, "an id or None")
        return None if found is None else _id(found, refuse)

    def id_to_token(self, token_id: int) -> str:
        return self._text("id_to_token", token_id)

    def special_tokens(self) -> Mapping[str, int]:
        return self._names("special_tokens")

    def named_ids(self) -> Mapping[str, int]:
        return self._names("named_ids")

    def _call(self, method: str, argument: Any, expected: str) -> tuple[Any, Callable[[str], BadTokenizer]]:
        """What a method returns, and the error to raise about it."""
        arguments = () if argument is None else (argument,)

        def refuse(came: str) -> BadTokenizer:
            shown = ", ".join(map(repr, arguments))
            call = f"{type(self._made).__name__}.{method}({shown if len(shown) <= 80 else shown[:77] + '...'})"
            return BadTokenizer(f"{call} returned {came}, expected {expected}")

        return getattr(self._made, method)(*arguments), refuse

    def _ids(self, method: str, text: str) -> list[int]:
        came, refuse = self._call(method, text, "a list of ids")
        found = came
        if hasattr(found, "tolist"):  # numpy arrays and torch tensors, without importing either
            if getattr(found, "ndim", 1) != 1:
                raise refuse(f"{_a(found)} of {found.ndim} dimensions")
            found = found.tolist()
        if isinstance(found, (str, bytes, bytearray)) or not isinstance(found, Sequence):
            raise refuse(_a(found))
        ids = list(found)
        if set(map(type, ids)) <= {int} and (not ids or min(ids) >= 0):  # nearly always
            return ids
        return [_id(item, lambda what: refuse(f"{_a(came)} with {what}")) for item in ids]

    def _text(self, method: str, argument: Any) -> str:
        found, refuse = self._call(method, argument, "a str")
        if not isinstance(found, str):
            raise refuse(_a(found))
        return found

    def _names(self, method: str) -> Mapping[str, int]:
        found, refuse = self._call(method, None, "a mapping of tokens to ids")
        if not isinstance(found, Mapping):
            raise refuse(_a(found))
        before, names = self._checked.get(method, (None, {}))
        if before is found and len(names) == len(found):  # they are asked for very often
            return names
        names = {}
        for name, token_id in found.items():
            if not isinstance(name, str):
                raise refuse(f"the key {name!r}")
            names[name] = _id(token_id, lambda came, name=name: refuse(f"{came} for {name!r}"))  # type: ignore[misc]
        self._checked[method] = found, names
        return names


def _id(value: Any, refuse: Callable[[str], BadTokenizer]) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        found = operator.index(value)
    except TypeError:
        raise refuse(f"{_a(value)} ({value!r})" if value is not None else "None") from None
    if found < 0:
        raise refuse(f"the negative id {found}")
    return found


def _a(value: Any) -> str:
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
