"""The pages of findings: their addresses, and which cells of the matrix link to them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from image_spans.exhibit import Exhibit
from image_spans.html.matrix import Row
from image_spans.html.statuses import BLOCKED, FAILED, KNOWN

_BLOCKER = re.compile(r"blocked by ([A-Za-z0-9_.]+)")


@dataclass(frozen=True)
class Page:
    """A finding."""

    row: Row
    found: Mapping[str, Any]
    """As docs/findings-schema.md describes it."""
    exhibit: Exhibit | None
    slug: str
    """Its address in the file, behind ``#``."""

    @property
    def status(self) -> str:
        """How the items end that show it."""
        return KNOWN if self.found["status"] == "known" else FAILED


@dataclass
class Slugs:
    """Addresses of letters, digits, dots and dashes; no two are equal."""

    taken: set[str] = field(default_factory=set)

    def __call__(self, *parts: str) -> str:
        """An address for what these texts name."""
        wanted = re.sub(r"[^A-Za-z0-9._]+", "-", "-".join(parts))[:120].strip("-") or "x"
        slug, number = wanted, 1
        while slug.lower() in self.taken:
            number += 1
            slug = f"{wanted}-{number}"
        self.taken.add(slug.lower())
        return slug


Drawn = tuple[Row, Mapping[str, Any], Exhibit | None]


def pages(rows: Sequence[Row], drawn: Iterable[Drawn]) -> list[Page]:
    """The pages of findings, those that fail the run first; rows and cells learn where they are."""
    slugs = Slugs({"overview", "findings", "notes"})
    for row in rows:
        row.slug = slugs("subject", row.label)
    ordered = sorted(drawn, key=lambda one: one[1]["status"] == "known")
    made = [
        Page(row, found, exhibit, slugs(row.label, found["check"], found["cause"]["name"]))
        for row, found, exhibit in ordered
    ]
    by_check: dict[tuple[str, str], list[Page]] = {}
    for page in made:
        by_check.setdefault((page.row.slug, page.found["check"]), []).append(page)
        cause = page.found["cause"]["name"]
        if cause not in page.row.causes:
            page.row.causes.append(cause)
    for row in rows:
        for cell in row.cells:
            checks = [cell.check]
            if cell.status == BLOCKED:
                checks = [name for reason in cell.reasons for name in _BLOCKER.findall(reason)]
            cell.links = [
                (page.slug, f"{page.found['check']}: {page.found['cause']['name']}")
                for check in dict.fromkeys(checks)
                for page in by_check.get((row.slug, check), ())
            ]
    return made
