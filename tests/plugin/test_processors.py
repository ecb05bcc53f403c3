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

ROOT = Path(__file__).parents[2]
FILE = ROOT / "tests" / "subjects" / "processors.yaml"
FEW = """from hypothesis import settings
settings.register_profile("few", max_examples=3, derandomize=True, database=None)
"""


@pytest.mark.skipif(Version(version("transformers")) < Version("5.23"), reason="the processors are those of 5.23")
def test_the_processors_do_what_is_known_of_them(tmp_path):
    (tmp_path / "few.py").write_text(FEW)
    paths = [str(tmp_path), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    found = tmp_path / "findings.jsonl"
    options = ["-p", "few", "--hypothesis-profile=few", "-p", "no:cacheprovider", "--spans-findings", str(found)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-r", "", *options, str(FILE)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
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
    untested = set(re.findall(r"^image-spans: NOT TESTED: (\w+)", done.stdout, re.MULTILINE))
    assert untested <= {"smolvlm", "smolvlm_split"}, done.stdout[-3000:]  # it needs num2words
    known = {one["subject"] for one in told}
    assert known >= {"aria_split", "idefics2", "idefics2_split", "idefics3", "mllama"}
    assert re.search(r"[0-9]{4} passed, .*[0-9]{3} xfailed", done.stdout), done.stdout[-300:]
