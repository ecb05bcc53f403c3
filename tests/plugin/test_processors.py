"""The real processors under test, as anybody runs them: green, with known failures only.

A few conversations for each: `pytest tests/subjects/processors.yaml` tries as many as the profile says.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.version import Version

from image_spans.config import read

ROOT = Path(__file__).parents[2]
FILE = ROOT / "tests" / "subjects" / "processors.yaml"
FEW = """from hypothesis import settings
settings.register_profile("few", max_examples=3, derandomize=True, database=None)
"""


def judged(folder: Path, file: Path, *options: str) -> tuple[subprocess.CompletedProcess[str], list[dict]]:
    """What a run of a few conversations ends with, and its findings."""
    (folder / "few.py").write_text(FEW)
    paths = [str(folder), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    found = folder / "findings.jsonl"
    profile = ["-p", "few", "--hypothesis-profile=few", "-p", "no:cacheprovider", "--spans-findings", str(found)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-r", "", *profile, *options, str(file)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        timeout=600,
    )
    told = [json.loads(line) for line in found.read_text().splitlines()] if found.is_file() else []
    fresh = sorted(
        f"{one['subject']}: {one['fingerprint']}: {one['message']}" for one in told if one["status"] != "known"
    )
    assert not fresh
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done, told


@pytest.mark.skipif(Version(version("transformers")) < Version("5.23"), reason="the processors are those of 5.23")
def test_the_processors_do_what_is_known_of_them(tmp_path):
    done, told = judged(tmp_path, FILE)
    untested = set(re.findall(r"^image-spans: NOT TESTED: (\w+)", done.stdout, re.MULTILINE))
    assert untested <= {"smolvlm", "smolvlm_split"}, done.stdout[-3000:]  # it needs num2words
    known = {one["subject"] for one in told}
    assert known >= {"aria_split", "idefics2", "idefics2_split", "idefics3", "mllama"}
    assert re.search(r"[0-9]{4} passed, .*[0-9]{3} xfailed", done.stdout), done.stdout[-300:]


@pytest.mark.skipif(Version(version("transformers")) < Version("5.23"), reason="the processors are those of 5.23")
@pytest.mark.parametrize("name", ["processors.yaml", "processors_torch.yaml"])
def test_the_processors_on_torchvision_do_what_is_known_of_them(tmp_path, name):
    pytest.importorskip("torchvision")
    done, told = judged(tmp_path, FILE.with_name(name), "--spans-image-backend=torchvision")
    untested = set(re.findall(r"^image-spans: NOT TESTED: (\w+)", done.stdout, re.MULTILINE))
    assert untested <= {"emu3", "smolvlm", "smolvlm_split"}, done.stdout[-3000:]  # the first has no such backend
    assert {one["subject"] for one in told} >= ({"llama4"} if "torch" in name else {"idefics2_split", "mllama"})
    assert re.search(r"[0-9]{3} passed, .*[0-9]{2} xfailed", done.stdout), done.stdout[-300:]


def test_all_that_needs_torch_says_so():
    specs = read(FILE.with_name("processors_torch.yaml"))
    assert {spec.name for spec in specs} >= {"pixtral", "llama4"}
    for spec in specs:
        assert "torchvision" in spec.tokenizer.requires, spec.name
        assert not spec.takes_image_backend or "backends" in spec.pipeline.paths, spec.name
