"""Entries that must give the same ids."""

from __future__ import annotations

from image_spans.case import Case
from image_spans.checks import Verdict, check
from image_spans.errors import words
from image_spans.findings import first_difference
from image_spans.subject import as_encoding


@check("paths.agree", family="variants", needs=["pipeline.encodes"])
def agree(case: Case) -> Verdict:
    """A second call and every declared path give the same ids (I14)."""
    if case.error is not None:
        return None
    entries = {"a second call": case.subject.pipeline, **{f"the path {n}": p for n, p in case.subject.paths.items()}}
    for name, entry in entries.items():
        try:
            other = as_encoding(case.bench.run(entry, case.conversation)).ids
        except Exception as error:
            return case.finding("paths.agree", f"{name} raised {words(error)}", path=name)
        if other != case.ids:
            at = first_difference(case.ids, other)
            got = case.id_name(other[at]) if at < len(other) else "nothing"
            return case.finding(
                "paths.agree",
                f"{name} gives {len(other)} ids instead of {len(case.ids)}, other from position {at}",
                at=at,
                expected=f"{got} ({name})",
                path=name,
            )
    return None
