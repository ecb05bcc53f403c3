"""Where the time of a run goes, per subject: ``python benchmarks/suite.py [--subjects FILE] [--draws N]``.

CPU seconds of the property run, split into drawing (Hypothesis), encoding (the pipeline) and judging (oracles and
checks). Draws are shared between subjects with equal profiles, so the first of them pays. Compare within one run only.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from image_spans import checks, config, strategies
from image_spans.case import Case
from image_spans.engine import FAMILIES, Engine
from image_spans.errors import Unavailable


class Clock:
    """Adds up CPU seconds by name; time spent in an inner clock is taken off the outer one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inner = 0.0

    def measure(self, name, function, *arguments):
        outer, self._inner = self._inner, 0.0
        start = time.process_time()
        try:
            return function(*arguments)
        finally:
            spent = time.process_time() - start
            self.seconds[name] = self.seconds.get(name, 0.0) + spent - self._inner
            self._inner = outer + spent


def run(subject, engine: Engine, clock: Clock) -> int:
    """All passes of a subject; how many conversations were encoded."""
    profile = strategies.Profile.of(subject.contract)
    count = 0
    bench = engine.bench(subject)
    for family in FAMILIES.values():
        names = [
            check.name
            for check in checks.checks().values()
            if check.family == family.name and check.inapplicable(subject.contract, subject.abilities) is None
        ]
        for position in strategies.POSITIONS:
            if not strategies.applies(position, profile):
                continue
            for conversation in clock.measure("draw", engine.conversations, subject, position, family):
                case: Case = clock.measure("judge", bench.case, conversation)
                for name in names:
                    clock.measure(name, checks.judge, case, name)
                count += 1
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=Path, default=Path("tokenizers_under_test.yaml"))
    parser.add_argument("--draws", type=int, default=100, help="Hypothesis's max_examples")
    chosen = parser.parse_args()
    table = Table(
        "subject",
        "load s",
        "conversations",
        "draw s",
        "encode s",
        "judge s",
        "judge / encode",
        "conv. / s",
        "dearest check",
        box=None,
    )
    engine = Engine(chosen.draws, 0)
    for spec in config.read(chosen.subjects):
        start = time.process_time()
        try:
            subject = config.load(spec)
        except Unavailable as error:
            table.add_row(spec.name, f"skipped: {error}")
            continue
        load = time.process_time() - start
        clock = Clock()
        pipeline = subject.pipeline
        object.__setattr__(subject, "pipeline", lambda c, p=pipeline, k=clock: k.measure("encode", p, c))
        count = run(subject, engine, clock)
        draw, encode = clock.seconds.pop("draw"), clock.seconds.pop("encode")
        judge = sum(clock.seconds.values())  # what checks share (scanning, expecting) counts for the first that asks
        dearest = max(clock.seconds, key=clock.seconds.__getitem__)
        table.add_row(
            spec.name,
            f"{load:.2f}",
            str(count),
            f"{draw:.2f}",
            f"{encode:.2f}",
            f"{judge:.2f}",
            f"{judge / encode:.2f}",
            f"{count / (draw + encode + judge):.0f}",
            f"{dearest} {clock.seconds[dearest] / (draw + encode + judge):.0%}",
        )
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
