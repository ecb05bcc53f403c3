"""A subject of a folder of its own: a toy whose pipeline ends the process for some texts, and data for it."""

from __future__ import annotations

import json
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
import ctypes
import os
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, TESTS)
from support import ToyTokenizer, contract
from image_spans.pipelines import reference

PROMISE = contract(slices=None)
HERE = Path(__file__).parent


def load():
    if (HERE / "ends").exists() and os.getppid() == int((HERE / "ends").read_text()):
        ctypes.CDLL(None).exit(3)
    return ToyTokenizer()


def encode(tokenizer, conversation):
    said = repr(conversation)
    if "end the process" in said:
        ctypes.CDLL(None).exit(0)
    if "be killed once" in said and not (HERE / "killed").exists():
        (HERE / "killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if "wait for ever" in said:
        print("waiting", file=sys.stderr, flush=True)
        time.sleep(60)
    if "add" in said:
        return [1000]
    return reference("flat_slices")(tokenizer, conversation, contract=PROMISE)["input_ids"]
"""
ROOT = Path(__file__).parents[1]


def write(folder: Path, *, more: str = "", encode: str = "encode") -> None:
    """The YAML and the module of the subject ``toy``.

    Args:
        folder: where.
        more: code behind that of the module.
        encode: which of its functions is the pipeline.
    """
    (folder / "tokenizers_under_test.yaml").write_text(YAML.replace("own_tokenizer:encode", f"own_tokenizer:{encode}"))
    (folder / "own_tokenizer.py").write_text(OWN.replace("TESTS", repr(str(ROOT / "tests"))) + more)


def sample(text):
    return {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": "y"}]}


def lines(name, texts):
    Path(name).write_text("".join(json.dumps(sample(text)) + "\n" for text in texts))
