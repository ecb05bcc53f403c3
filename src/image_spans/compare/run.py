"""Recording subjects in a world: a process there, started again without a subject that it did not survive."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from image_spans.compare.worlds import Tell, World
from image_spans.errors import Unavailable
from image_spans.findings import one_line
from image_spans.lock.record import Record

Verdicts: TypeAlias = "dict[str, dict[str, Any]]"
"""Check to ``is`` (passes, fails, known to fail, not judged) and ``causes``."""


@dataclass
class Outcome:
    """What a world says."""

    label: str
    records: dict[str, Record | str] = field(default_factory=dict)
    """Subject to its record, or why there is none."""
    verdicts: dict[str, Verdicts] = field(default_factory=dict)
    """Subject to what the checks say; empty where they were not asked."""
    versions: dict[str, str] = field(default_factory=dict)
    """Distribution to version."""
    trouble: str | None = None
    """Why the checks say nothing."""


def outcome(
    world: World, subjects: Path, names: Sequence[str], tell: Tell, *, checks: bool = True, profile: str | None = None
) -> Outcome:
    """What subjects do in a world.

    Raises:
        Unavailable: this package does not run there.
    """
    found = Outcome(world.label)
    lost: dict[str, Record | str] = {}
    while True:
        left = [name for name in names if name not in lost]
        tell(f"{world.label}: recording {len(left)} subjects{' and running their checks' if checks else ''}")
        said = _asked(world, subjects, left, checks, profile)
        found = _read(world.label, said.lines)
        if found.trouble is not None and said.words:
            found.trouble += f": {said.words}"
        if not said.died:
            break
        under_way = said.lines[-1].get("begin") if said.lines else None
        if under_way not in left:  # either nothing ran, or all is recorded and the checks were under way
            found.trouble = said.words
            break
        lost[under_way] = f"the process ended while it was recorded: {said.words}"
        if len(lost) == len(names):
            break
    if not found.records and not lost:
        raise Unavailable(f"{world.label}: {found.trouble or said.words}")
    known = {**found.records, **lost}
    found.records = {name: known[name] for name in names if name in known}
    return found


def _read(label: str, lines: Sequence[Mapping[str, Any]]) -> Outcome:
    found = Outcome(label)
    for line in lines:
        found.versions = line.get("versions", found.versions)
        found.verdicts = line.get("checks", found.verdicts)
        found.trouble = line.get("trouble", found.trouble)
        if "subject" in line:
            found.records[line["subject"]] = line["record"] if "record" in line else str(line["error"])
    return found


@dataclass(frozen=True)
class _Said:
    """What a process in a world has written."""

    lines: list[dict[str, Any]]
    died: bool
    words: str
    """Its last ones on stderr, or how it ended."""


def _asked(world: World, subjects: Path, names: Sequence[str], checks: bool, profile: str | None) -> _Said:
    """Have a process there write."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out.jsonl")
        command = [world.python, "-m", "image_spans", "_record", "--subjects", str(subjects), "--out", str(out)]
        command += [word for name in names for word in ("--only", name)]
        command += ["--checks"] * checks + (["--profile", profile] if profile else [])
        try:
            done = subprocess.run(
                command,
                env=world.environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                encoding="utf-8",
                errors="replace",
                check=False,
            )
        except OSError as error:
            raise Unavailable(f"{world.label}: its Python does not start: {error}") from error
        written = out.read_text(encoding="utf-8").splitlines(keepends=True) if out.is_file() else []
    lines = [json.loads(line) for line in written if line.endswith("\n")]
    # pytest tells of a fault of its own on stdout.
    words = [line for line in (done.stderr.strip() or done.stdout).splitlines() if line.strip()]
    last = one_line(words[-1]) if words else ""
    died = done.returncode not in (0, 2) or not lines
    return _Said(lines, died, last or (f"it ended with {done.returncode}" if died else ""))
