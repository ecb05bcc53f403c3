"""``samples`` of the YAML: rows of data that a run of the suite judges besides what it draws."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from image_spans.config import Samples, SubjectSpec
from image_spans.conversation import Conversation
from image_spans.errors import ConfigError
from image_spans.scan import formats
from image_spans.scan.convert import convert, tag_of
from image_spans.scan.loop import parts, rows, sampled
from image_spans.scan.pictures import Pictures
from image_spans.scan.rows import Row, parsed
from image_spans.scan.tally import Tally


@dataclass(frozen=True)
class Replay:
    """What became of the rows."""

    conversations: tuple[Conversation, ...] = ()
    rows: int = 0
    left_out: tuple[tuple[str, int], ...] = ()
    """Cause to the number of rows that are no conversation for it, or outside of the contract."""


def replayed(spec: SubjectSpec) -> Replay:
    """The conversations of a subject's samples; none where it has none.

    Raises:
        ConfigError: a file cannot be read, or nothing in it is a conversation.
    """
    samples = spec.samples
    if samples is None:
        return Replay()
    if samples.data_format is not None:
        formats.module(samples.data_format)
    paths = [spec.folder / name for name in samples.data]
    tag = samples.tag or tag_of(spec.contract)
    names = samples.roles
    conversations: dict[Conversation, None] = {}
    left_out: Counter[str] = Counter()
    number = 0
    for row in _rows(samples, paths):
        number += 1
        value, faults = parsed(row)
        if value is None:
            left_out[faults[0].cause] += 1
            continue
        _, sample = formats.read(value, tag, samples.data_format)
        for turn in sample.turns:
            turn.role = names.get(turn.role, turn.role)
        folder = Path(row.file).parent
        pictures = Pictures([spec.folder / samples.images] if samples.images is not None else [folder, Path()])
        conversation, found = convert(sample, spec.contract, tag, pictures.look)
        if conversation is None:
            left_out[found[0].cause] += 1
        else:
            conversations[conversation] = None
    if not conversations:
        why = ", ".join(f"{cause} {count}" for cause, count in left_out.most_common()) or "there is none"
        raise ConfigError(f"none of its rows is a conversation ({why})")
    return Replay(tuple(conversations), number, tuple(left_out.most_common()))


def _rows(samples: Samples, paths: Sequence[Path]) -> Iterator[Row]:
    """The rows that are asked for: the first ones, or with a seed some at random."""
    tally = Tally()
    files = parts(paths, tally)
    if not tally.unread:
        if samples.seed is None:
            yield from islice(rows(files, tally), samples.number)
        else:
            yield from rows(files, tally, sampled(files, samples.number, samples.seed))
    for file, why in tally.unread:
        raise ConfigError(f"{file}: {why}")
