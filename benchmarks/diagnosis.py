"""Which cause is told of each mutant and look-alike, and how often it is the right one.

``python benchmarks/diagnosis.py [--seed N]``
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "mutants")]

from accuracy import misses, told  # noqa: E402
from look_alikes import LOOK_ALIKES  # noqa: E402
from look_alikes import subject_of as look_alike_of  # noqa: E402
from test_mutants import BUDGET, MUTANTS, subject_of  # noqa: E402

from image_spans.engine import Engine  # noqa: E402
from support import ToyTokenizer  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    engine, tokenizer = Engine(BUDGET, parser.parse_args().seed), ToyTokenizer()
    table = Table("mutant", "declared", "told (times first / in all)", box=None)
    right = 0
    for mutant in MUTANTS:
        findings = list(told(subject_of(mutant, tokenizer, broken=True), engine))
        right += not misses(mutant.cause, findings)
        table.add_row(mutant.name, mutant.cause, _counts(findings))
    for one in LOOK_ALIKES:
        table.add_row(
            one.name, f"{one.cause}, not {', '.join(one.never)}", _counts(list(told(look_alike_of(one), engine)))
        )
    Console(width=200).print(table)
    print(f"{right} of {len(MUTANTS)} mutants right: {right / len(MUTANTS):.1%}")


def _counts(findings: list) -> str:
    every = Counter(one.finding.fingerprint for one in findings)
    first = Counter(one.finding.fingerprint for one in findings if one.first)
    return ", ".join(f"{name} {first[name]}/{number}" for name, number in every.items()) or "nothing"


if __name__ == "__main__":
    main()
