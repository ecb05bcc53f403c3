"""Entries that must give the same ids."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from image_spans.case import Case
from image_spans.checks import Verdict, check
from image_spans.conversation import Conversation
from image_spans.errors import words
from image_spans.findings import first_difference
from image_spans.subject import as_encoding


@check("paths.agree", family="variants", needs=["pipeline.encodes"])
def agree(case: Case) -> Verdict:
    """A second call and every declared path give the same ids (I14)."""
    if case.error is not None:
        return None
    again: tuple[str | None, Callable[[Conversation], Any]] = (None, case.subject.pipeline)
    for path, entry in (again, *case.subject.paths.items()):
        name = "a second call" if path is None else f"the path {path}"
        try:
            other = as_encoding(case.bench.run(entry, case.conversation)).ids
        except Exception as error:
            return case.finding("paths.agree", f"{name} raised {words(error)}", path=path, crashed=error)
        if other != case.ids:
            at = first_difference(case.ids, other)
            got = case.id_name(other[at]) if at < len(other) else "nothing"
            return case.finding(
                "paths.agree",
                f"{name} gives {len(other)} ids instead of {len(case.ids)}, other from position {at}",
                at=at,
                expected=f"{got} ({name})",
                path=path,
            )
    return None
