"""What a scan found, gathered row by row in memory that does not grow with the rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from image_spans.scan.judge import Judged, Problem, Shape


@dataclass
class Tally:
    """The result of a scan.

    Args:
        limit: how many problems of a cause are told; 0: all.
        keeps: whether those are held for the end of the scan.
    """

    limit: int = 20
    keeps: bool = True
    rows: int = 0
    rows_with_problems: int = 0
    judged: int = 0
    """Rows that the checks saw."""
    literals: int = 0
    """Rows whose text spells markers."""
    formats: Counter[str] = field(default_factory=Counter)
    samples: Counter[str] = field(default_factory=Counter)
    """Cause to the number of rows that have it."""
    problems: list[Problem] = field(default_factory=list)
    """Those that are kept, in the order of the rows."""
    first: dict[str, str] = field(default_factory=dict)
    """Cause to the first place that has it."""
    unread: list[tuple[str, str]] = field(default_factory=list)
    """File and why it was not read, or not to its end."""
    lengths: Counter[int] = field(default_factory=Counter)
    """Ids to the number of samples."""
    tiles: Counter[int] = field(default_factory=Counter)
    """Tiles to the number of images; 0: not sliced."""
    slots: Counter[int] = field(default_factory=Counter)
    """Placeholders to the number of images."""
    images: int = 0
    smallest: tuple[int, int] | None = None
    """By pixels: width and height."""
    largest: tuple[int, int] | None = None
    ended: list[str] = field(default_factory=list)
    """How processes ended that judged rows; their rows were judged again."""
    stopped: str | None = None
    """Why the scan ended before its end."""
    _kept: Counter[str] = field(default_factory=Counter)

    def add(self, judged: Judged) -> list[Problem]:
        """Count a row; those of its problems that are within the limit."""
        self.rows += 1
        self.rows_with_problems += bool(judged.problems)
        self.judged += judged.judged
        self.literals += judged.literals
        if judged.format is not None:
            self.formats[judged.format] += 1
        if judged.length is not None:
            self.lengths[judged.length] += 1
        for shape in judged.images:
            self._add_image(shape)
        return self.add_problems(judged.problems)

    def add_problems(self, problems: Iterable[Problem]) -> list[Problem]:
        """Count problems of one row, or of the subject itself; those within the limit."""
        kept = []
        for cause in dict.fromkeys(problem.cause for problem in problems):
            self.samples[cause] += 1
        for problem in problems:
            self.first.setdefault(problem.cause, problem.place)
            if not self.limit or self._kept[problem.cause] < self.limit:
                self._kept[problem.cause] += 1
                kept.append(problem)
        if self.keeps:
            self.problems += kept
        return kept

    def _add_image(self, shape: Shape) -> None:
        self.images += 1
        size = (shape.width, shape.height)
        if self.smallest is None or _pixels(size) < _pixels(self.smallest):
            self.smallest = size
        if self.largest is None or _pixels(size) > _pixels(self.largest):
            self.largest = size
        if shape.tiles is not None:
            self.tiles[shape.tiles] += 1
        if shape.slots is not None:
            self.slots[shape.slots] += 1

    def plain(self, max_length: int | None) -> dict[str, Any]:
        """The summary as plain data."""
        causes = sorted(self.samples.items(), key=lambda item: (-item[1], item[0]))
        return {
            "rows": self.rows,
            "rows_with_problems": self.rows_with_problems,
            "judged_by_the_pipeline": self.judged,
            "formats": dict(sorted(self.formats.items())),
            "causes": {cause: {"rows": count, "first": self.first[cause]} for cause, count in causes},
            "rows_with_literal_markers": self.literals,
            "lengths": {
                **_spread(self.lengths),
                "max_length": max_length,
                "longer": None if max_length is None else sum(n for x, n in self.lengths.items() if x > max_length),
            },
            "images": {
                "number": self.images,
                "smallest": self.smallest,
                "largest": self.largest,
                "sliced": sum(count for tiles, count in self.tiles.items() if tiles),
                "tiles": {str(tiles): count for tiles, count in sorted(self.tiles.items())},
                "tokens": _spread(self.slots),
            },
            "unread": [{"file": file, "why": why} for file, why in self.unread],
            "workers_ended": self.ended,
            "stopped": self.stopped,
        }


def _pixels(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def _spread(counts: Mapping[int, int]) -> dict[str, int | None]:
    """Number, smallest, median, that of 95 %, and largest of what was counted."""
    total = sum(counts.values())
    return {
        "number": total,
        "shortest": min(counts, default=None),
        "median": _quantile(counts, total, 0.5),
        "percentile_95": _quantile(counts, total, 0.95),
        "longest": max(counts, default=None),
    }


def _quantile(counts: Mapping[int, int], total: int, share: float) -> int | None:
    """The smallest value that at least this share of the values does not exceed."""
    seen = 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= share * total:
            return value
    return None
