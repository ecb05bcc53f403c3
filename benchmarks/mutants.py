"""How many conversations each mutant survives: the median over ten seeds; ``--write`` records it for the test.

``python benchmarks/mutants.py [--write]``
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "mutants")]

from effort import BUDGET, RECORD, over_seeds  # noqa: E402
from table import ROWS  # noqa: E402

from image_spans.engine import Engine  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--seeds", type=int, default=10)
    chosen = parser.parse_args()
    engines = [Engine(BUDGET, seed) for seed in range(chosen.seeds)]
    numbers = {row.name: over_seeds(row.make(), row.kills, engines) for row in ROWS}
    found = {name: {"median": median(row), "worst": max(row)} for name, row in numbers.items()}
    table = Table("mutant", "examples to failure", "in the worst seed", box=None)
    for name, row in sorted(found.items(), key=lambda item: -item[1]["median"]):
        table.add_row(name, f"{row['median']:g}", f"{row['worst']:g}")
    Console().print(table)
    medians = [row["median"] for row in found.values()]
    print(f"median {median(medians):g}, worst {max(medians):g} over {len(found)} mutants")
    if chosen.write:
        RECORD.write_text(json.dumps(dict(sorted(found.items())), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
