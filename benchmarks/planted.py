"""Whether a scan finds exactly what is planted in large files, and says the same in one process, in several and on Ray.

    python benchmarks/planted.py [--rows 200000] [--workers 2] [--forms minicpm llava sharegpt parts]

Each format of data, each in another kind of file, holds 37 faults of 12 causes; rows and causes of all findings are
compared with what was planted, and the JSON of the three ways with each other. Ends with 1 where anything differs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from scan import measured

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import planted_samples

FILES = {"minicpm": "rows.json", "llava": "rows.jsonl", "sharegpt": "rows.parquet", "parts": "rows.jsonl.zst"}


def found(report: dict[str, object]) -> dict[int, frozenset[str]]:
    """Row to its causes, those of checks without what the diagnosis adds."""
    told: dict[int, set[str]] = {}
    for finding in report["findings"]:
        told.setdefault(finding["row"], set()).add(finding["cause"].partition("/")[0])
    return {row: frozenset(causes) for row, causes in told.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--forms", nargs="+", choices=FILES, default=list(FILES))
    chosen = parser.parse_args()
    workers = ("--workers", str(chosen.workers))
    ways = {"one process": (), f"{chosen.workers} workers": workers, "Ray": ("--ray", "local", *workers)}
    wrong = False
    print("| format | file | rows | way | seconds | rows/s | MiB | findings |\n|---|---|--:|---|--:|--:|--:|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        planted_samples.pictures(folder)
        (folder / "tokenizers_under_test.yaml").write_text(planted_samples.CONTRACT.replace("PIPELINE", "flat_slices"))
        for form in chosen.forms:
            causes = planted_samples.COLUMN_CAUSES if form == "sharegpt" else planted_samples.CAUSES
            path = folder / FILES[form]
            wanted = planted_samples.write(path, planted_samples.corpus(form, chosen.rows, causes))
            texts = set()
            for way, options in ways.items():
                took, most, text = measured(folder, "my-model", path.name, "--limit-findings", "0", *options)
                texts.add(text)
                right = found(json.loads(text)) == wanted and len(texts) == 1
                wrong |= not right
                told = f"the {len(wanted)} planted, of {len(causes)} causes" if right else "DIFFERENT"
                speed = f"{took:.0f} | {chosen.rows / took:,.0f} | {most:.0f}"
                print(f"| {form} | {path.name} | {chosen.rows:,} | {way} | {speed} | {told} |", flush=True)
            path.unlink()
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
