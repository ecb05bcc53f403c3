"""How many rows a second a scan judges, beside encoding them alone and beside one worker, and how much memory it takes.

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
from pathlib import Path
from random import Random

import PIL.Image
import yaml

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
BARE = """\
import sys, time
from pathlib import Path
from image_spans.scan import containers, convert, formats
from image_spans.scan.judge import Options
from image_spans.scan.rows import parsed
from image_spans.scan.pictures import Pictures
from image_spans.scan.workers import Recipe
judge = Recipe(sys.argv[2], Path("tokenizers_under_test.yaml"), Options()).judge()
contract = judge.subject.contract
tag = convert.tag_of(contract)
look = Pictures([Path()]).look
begun = time.perf_counter()
for row in containers.rows(Path(sys.argv[1]), sys.argv[1]):
    _, sample = formats.read(parsed(row)[0], tag, None)
    conversation, _ = convert.convert(sample, contract, tag, look)
    if conversation is not None:
        judge.subject.encode(conversation)
print(time.perf_counter() - begun)
"""
MEASURE = """\
import resource, sys, time
from image_spans.__main__ import main
from image_spans.scan import loop
scan = loop.scan
def timed(*given):
    global took
    begun = time.perf_counter()
    scan(*given)
    took = time.perf_counter() - begun
loop.scan = timed
code = main(sys.argv[1:])
most = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print(took, most, file=sys.stderr)
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
    """Seconds without loading the subject here, MiB of the largest process, and the JSON of one scan."""
    command = [sys.executable, "-c", MEASURE, "scan", *arguments, "--subject", subject, "--format", "json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    took, most = done.stderr.split()[-2:]
    return float(took), int(most) / 1024, done.stdout


def bare(folder: Path, file: str, subject: str) -> float:
    """Seconds in which one process reads the same rows and has the same pipeline encode them, and judges nothing."""
    command = [sys.executable, "-c", BARE, file, subject]
    return float(subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout)


LARGE = "qwen3.6-tiktoken"
"""Of the default subjects, the one with the largest vocabulary: 248,000 tokens."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    chosen = parser.parse_args()
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, {chosen.rows:,} rows\n")
    print("| subject | file | workers | rows/s | of encoding alone | of one worker | MiB |")
    print("|---|---|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        corpus(folder, chosen.rows)
        large = yaml.safe_load((Path(__file__).parents[1] / "tokenizers_under_test.yaml").read_text())["subjects"][
            LARGE
        ]
        subjects = {**yaml.safe_load(YAML)["subjects"], LARGE: large}
        (folder / "tokenizers_under_test.yaml").write_text(yaml.safe_dump({"version": 1, "subjects": subjects}))
        for subject, file in (("minicpm", "rows.jsonl"), ("minicpm", "rows.json"), (LARGE, "rows.jsonl")):
            alone, summaries, first = bare(folder, file, subject), [], 0.0
            for workers in chosen.workers:
                took, most, text = measured(folder, subject, file, "--workers", str(workers))
                summaries.append(json.loads(text)["summary"])
                assert summaries[-1] == summaries[0], "the number of workers changed the report"
                assert summaries[-1]["rows"] == chosen.rows
                first = first or took
                ratios = f"{alone / took:.2f} | {first / took:.2f}"
                print(
                    f"| {subject} | {file} | {workers} | {chosen.rows / took:,.0f} | {ratios} | {most:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
