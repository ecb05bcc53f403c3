"""How many rows a second a scan judges, and how much memory it takes: by workers, containers and length of the file.

    python benchmarks/scan.py [--rows 20000] [--workers 1 2 4]

Samples are those of MiniCPM-V's fine-tuning format with one picture each; the subject is a reference pipeline on a
tokenizer that is trained on the spot. Memory is the largest resident size of any one process of the scan.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

import PIL.Image

YAML = """\
version: 1
subjects:
  minicpm:
    tokenizer:
      backend: transformers
      source: {trained: byte_bpe}
      add_special_tokens: [<image>, </image>, <slice>, </slice>, <unk>, <|im_end|>]
    pipeline: {encode: flat_slices, returns: [labels]}
    contract:
      bos: none
      images: {open: <image>, close: </image>, placeholder: <unk>, slots: 64}
      slices: {open: <slice>, close: </slice>, rule: minicpm}
      literals: plain
      template: {assistant: ["", <|im_end|>]}
"""
WORDS = tuple(
    f"{syllable}{ending}" for syllable in ("cat", "pic", "tree", "red") for ending in ("", "s", "ture", "ing")
)
MEASURE = """\
import resource, sys
from image_spans.__main__ import main
code = main(sys.argv[1:])
most = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print(most, file=sys.stderr)
"""


def corpus(folder: Path, rows: int) -> None:
    """Pictures of many sizes, and the same rows as a list and as lines; one row in a hundred has a fault."""
    random = Random(0)
    names = []
    for number in range(200):
        size = (random.randint(50, 2000), random.randint(50, 2000))
        names.append(f"{number}.png")
        PIL.Image.new("1", size).save(folder / names[-1])

    def text(words: int) -> str:
        return " ".join(random.choices(WORDS, k=words))

    with (folder / "rows.json").open("w") as listed, (folder / "rows.jsonl").open("w") as lines:
        for number in range(rows):
            turns = [
                {"role": "user", "content": f"<image>\n{text(30)}"},
                {"role": "assistant", "content": text(120)},
            ]
            image = "missing.png" if number % 100 == 0 else random.choice(names)
            row = json.dumps({"id": str(number), "image": image, "conversations": turns})
            listed.write(("[\n" if not number else ",\n") + row)
            lines.write(row + "\n")
        listed.write("\n]\n")


def measured(folder: Path, subject: str, *arguments: str) -> tuple[float, float, str]:
    """Seconds, MiB and the JSON of one scan."""
    command = [sys.executable, "-c", MEASURE, "scan", *arguments, "--subject", subject, "--format", "json"]
    begun = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    took = time.perf_counter() - begun
    return took, int(done.stderr.split()[-1]) / 1024, done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    chosen = parser.parse_args()
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}\n")
    print("| rows | file | workers | seconds | rows/s | MiB |")
    print("|--:|---|--:|--:|--:|--:|")
    summaries = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tokenizers_under_test.yaml").write_text(YAML)
        for rows in (chosen.rows // 10, chosen.rows):
            corpus(folder, rows)
            for file in ("rows.jsonl", "rows.json"):
                for workers in chosen.workers if rows == chosen.rows else [1]:
                    took, most, text = measured(folder, "minicpm", file, "--workers", str(workers))
                    summary = json.loads(text)["summary"]
                    assert summary["rows"] == rows, summary
                    summaries.setdefault((rows, file), summary)
                    assert summary == summaries[rows, file], "the number of workers changed the report"
                    print(
                        f"| {rows:,} | {file} | {workers} | {took:.1f} | {rows / took:,.0f} | {most:.0f} |", flush=True
                    )


if __name__ == "__main__":
    main()
