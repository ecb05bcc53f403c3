"""A folder with a YAML whose one subject is the toy of support.py, behind code of its own."""

from __future__ import annotations

from pathlib import Path

YAML = """\
version: 1
subjects:
  toy:
    tokenizer: {factory: "own_tokenizer:load"}
    pipeline: {encode: "own_tokenizer:encode"}
    contract:
      bos: none
      images: {open: <image>, close: </image>, placeholder: <pad>, slots: 4}
      template: {}
"""
OWN = """\
import sys
import time

sys.path.insert(0, TESTS)
from support import ToyTokenizer, contract
from image_spans.pipelines import reference

PROMISE = contract(slices=None)


def load():
    return ToyTokenizer()


def encode(tokenizer, conversation):
    if "wait for ever" in repr(conversation):
        print("waiting", file=sys.stderr, flush=True)
        time.sleep(60)
    return reference("flat_slices")(tokenizer, conversation, contract=PROMISE)["input_ids"]
"""
ROOT = Path(__file__).parents[1]


def toy_folder(folder: Path, monkeypatch) -> Path:
    """Write them into a folder, which becomes the working directory."""
    (folder / "tokenizers_under_test.yaml").write_text(YAML)
    (folder / "own_tokenizer.py").write_text(OWN.replace("TESTS", repr(str(ROOT / "tests"))))
    monkeypatch.chdir(folder)
    return folder
