"""``-k``: which subjects, by words in their names."""

from __future__ import annotations

import re
from collections.abc import Iterable

from image_spans.errors import ConfigError


def chosen(names: Iterable[str], expression: str | None) -> list[str]:
    """The names that an expression of words, ``and``, ``or``, ``not`` and brackets fits, as pytest's ``-k`` does.

    Raises:
        ConfigError: it cannot be read, or fits none.
    """
    names = list(names)
    if expression is None:
        return names
    found = [name for name in names if _Reader(expression, name.lower()).fits()]
    if not found:
        raise ConfigError(f"-k {expression!r} fits none of the subjects {', '.join(names)}")
    return found


class _Reader:
    def __init__(self, expression: str, name: str) -> None:
        self._expression, self._name = expression, name
        self._words = re.findall(r"[()]|[^\s()]+", expression)

    def fits(self) -> bool:
        value = self._any()
        if self._words:
            raise self._unreadable()
        return value

    def _any(self) -> bool:
        value = self._all()
        while self._next("or"):
            value = self._all() or value
        return value

    def _all(self) -> bool:
        value = self._one()
        while self._next("and"):
            value = self._one() and value
        return value

    def _one(self) -> bool:
        if self._next("not"):
            return not self._one()
        if self._next("("):
            value = self._any()
            if not self._next(")"):
                raise self._unreadable()
            return value
        if not self._words or self._words[0] in ("and", "or", ")"):
            raise self._unreadable()
        return self._words.pop(0).lower() in self._name

    def _next(self, word: str) -> bool:
        if self._words and self._words[0] == word:
            self._words.pop(0)
            return True
        return False

    def _unreadable(self) -> ConfigError:
        return ConfigError(f"-k {self._expression!r} cannot be read; expected words with and, or, not and brackets")
