"""Recipes for small tokenizers, trained in milliseconds when a subject asks for one.

A recipe is a module here with a function ``train(**options)`` that returns the library's own object.
"""

from __future__ import annotations

from functools import cache
from importlib import resources


@cache
def corpus() -> tuple[str, ...]:
    """The lines that recipes are trained on; many scripts, each line repeated so that merges form."""
    text = resources.files(__name__).joinpath("corpus.txt").read_text(encoding="utf-8")
    return tuple(line for line in text.splitlines() if line) * 20
