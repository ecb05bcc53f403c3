"""How pytest-xdist spreads the items; imported only when it runs."""

from __future__ import annotations

from typing import Any

from xdist.scheduler import LoadScopeScheduling

from image_spans.session import subject_of


class SubjectScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist is untyped
    """Items of one subject go to one worker; every other test is a scope of its own."""

    def _split_scope(self, nodeid: str) -> str:
        found: Any = subject_of(nodeid)
        return found or nodeid
