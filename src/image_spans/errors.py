"""The errors that this package raises on purpose; each is one sentence that says what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class ConfigError(Exception):
    """Something that the user wrote (YAML, option, path, hash) is wrong.

    The text is one line: where, what, what was expected. The plugin turns it into a pytest usage
    error (exit code 4), the command line into exit code 2; neither shows a traceback.
    """


class Undecided(ConfigError):
    """Values of the YAML are still TODO; the text has a line for each of them."""

    def __init__(self, text: str, others: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.others = tuple(others)
        """What else is wrong in the file, which may follow from what is not decided."""


class Unavailable(Exception):
    """A tokenizer cannot be had here and now: a package, an optional library or a wheel is missing.

    Not a fault: the subject is skipped with this reason, or refused under ``--spans-require-all``.
    """


LONGEST_WORDS = 500
"""Characters of somebody else's message that are shown: it may hold a whole prompt, or a tensor."""


def words(error: BaseException) -> str:
    """An exception of somebody else in words: its class and text, even where the text cannot be had."""
    try:
        text = str(error)
    except (Exception, SystemExit):  # its __str__ is foreign code too
        text = ""
    if len(text) > LONGEST_WORDS:
        text = f"{text[:LONGEST_WORDS]}... ({len(text)} characters)"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def nearest(word: str, known: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` for the closest known spelling, else a list of all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(word[:200], names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    listed = [name if name.isprintable() else repr(name)[1:-1] for name in names]
    return f"; known: {', '.join(listed)}" if names else ""
