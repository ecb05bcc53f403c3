"""Hypothesis profiles, under names of our own: they never replace a consumer's."""

from __future__ import annotations


def register() -> None:
    """Register the profiles; Hypothesis calls this when it is imported (entry point ``hypothesis``)."""
    from hypothesis import settings

    settings.register_profile("spans-dev", max_examples=30)
    settings.register_profile("spans-ci", max_examples=100, derandomize=True, database=None)
    settings.register_profile("spans-nightly", max_examples=2000)
