"""Whatever is done to a YAML file: one line that says what is wrong, or tests that were run and judged something."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import select
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from consumer_repository import ASSEMBLY, FILE, ROOT
from hypothesis import HealthCheck, given, settings
from mutated_yaml import DOCUMENTS, MARKERS, mutated, schema
from pydantic import BaseModel

from image_spans import config
from image_spans.training import byte_bpe

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the runs are forks of one warm process")

OWN = """

def load():
    from image_spans.training.byte_bpe import train

    return train(vocab=300, special_tokens=MARKERS)


def sign(layout, contract, number):
    from image_spans.grammars import Marker, Slots

    return [Marker("sign"), Slots(layout.slots)]


def signed(tokenizer, conversation):
    ids, features = [], []
    for message in conversation.messages:
        for part in message.parts:
            if isinstance(part, Text):
                ids += tokenizer.encode(part.text)
            else:
                ids += [tokenizer.piece_to_id("<sign>"), *[tokenizer.piece_to_id("<slot>")] * 4]
                features.append((len(features), 4))
    return {"input_ids": ids, "features": features}


def in_order(conversation):
    return conversation


def counted(width, height):
    return 4
"""
PROFILE = """\
from hypothesis import settings

settings.register_profile("tiny", max_examples=3, derandomize=True, database=None)
settings.load_profile("tiny")
"""
ARGUMENTS = (
    *("-p", "_hypothesis_pytestplugin", "-p", "image_spans.plugin", "-p", "no:cacheprovider"),
    *("--spans-checks=contract,spans.matched", "-k", "start or test_subject", "--spans-timeout=2"),
    *("-W", "ignore:Module already imported"),
)
RANKS = b"".join(base64.b64encode(bytes([byte])) + f" {byte}\n".encode() for byte in range(256))


class Repository:
    """Somebody's repository, in which one YAML after another is tested by a process that stays warm."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "repository"
        self.site = folder / "site"
        self.environment = {
            **{key: os.environ[key] for key in ("PATH", "HOME", "LANG", "SYSTEMROOT") if key in os.environ},
            "PYTHONPATH": os.pathsep.join(map(str, (ROOT / "src", self.site))),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # what else is installed here costs time
            "IMAGE_SPANS_CACHE": str(folder / "cache"),
            "TMPDIR": str(self.folder),
            "HF_HUB_OFFLINE": "1",
        }
        self._write_site()
        self._write_files()
        self.given = self.files()
        # Its words go to a file: a pipe that nobody reads would fill.
        self._log = (folder / "server.log").open("w")
        server = [sys.executable, str(Path(__file__).with_name("fork_server.py"))]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self._log}
        self._server = subprocess.Popen(server, cwd=self.folder, env=self.environment, **pipes)
        assert self._answer() == "ready"

    def _write_site(self) -> None:
        """An installed package that ships a vocabulary."""
        info = self.site / "vocabulary_of_the_tests-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vocabulary-of-the-tests\nVersion: 1.0\n")
        (info / "RECORD").write_text("vocabulary/bytes.tiktoken,,\n")
        (self.site / "vocabulary").mkdir()
        (self.site / "vocabulary" / "bytes.tiktoken").write_bytes(RANKS)

    def _write_files(self) -> None:
        self.folder.mkdir()
        (self.folder / "assembly.py").write_text(f"MARKERS = {MARKERS!r}\n" + ASSEMBLY + OWN)
        (self.folder / "conftest.py").write_text(PROFILE)
        made = byte_bpe.backend(300, ("<s>",))
        size = made.get_vocab_size()
        made.save(str(self.folder / "tokenizer.json"))
        added = [{"id": 0, "content": "<s>", "special": True}]
        added += [{"id": size + index, "content": token, "special": True} for index, token in enumerate(MARKERS[1:])]
        (self.folder / "added.json").write_text(json.dumps({"added_tokens": added}))
        row = {"messages": [{"role": "human", "content": "hello"}, {"role": "assistant", "content": "hi"}]}
        (self.folder / "train.jsonl").write_text(json.dumps(row) + "\n")
        (self.folder / FILE).touch()

    def _answer(self) -> Any:
        assert self._server.stdout is not None
        ready, _, _ = select.select([self._server.stdout], [], [], 120)
        assert ready, "the warm process does not answer"
        return json.loads(self._server.stdout.readline())

    def run(self, content: bytes) -> dict[str, Any]:
        """The exit code, stdout and stderr of pytest on a YAML."""
        (self.folder / FILE).write_bytes(content)
        request = {"folder": str(self.folder), "arguments": ARGUMENTS}
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(request).encode() + b"\n")
        self._server.stdin.flush()
        result: dict[str, Any] = self._answer()
        result["left"] = self._take_away()
        return result

    def _take_away(self) -> list[str]:
        """What a run left behind, which is gone then: the next one must not be blamed for it."""
        left = sorted(self.files() - self.given)
        for name in reversed(left):
            path = self.folder / name
            path.rmdir() if path.is_dir() else path.unlink()
        return left

    def run_cold(self, content: bytes) -> dict[str, Any]:
        """The same from the very beginning."""
        (self.folder / FILE).write_bytes(content)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *ARGUMENTS],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            check=False,
        )
        out, err = done.stdout.decode(), done.stderr.decode()
        return {"code": done.returncode, "out": out, "err": err, "left": self._take_away()}

    def files(self) -> set[str]:
        """What there is, but for Hypothesis's own folder."""
        return {
            str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if ".hypothesis" not in path.parts
        }

    def close(self) -> None:
        self._server.stdin.close()  # type: ignore[union-attr]
        self._server.wait(60)
        self._server.stdout.close()  # type: ignore[union-attr]
        self._log.close()


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    made = Repository(tmp_path_factory.mktemp("mutated"))
    yield made
    made.close()


def documents() -> dict[str, Any]:
    digest = hashlib.sha256(RANKS).hexdigest()
    return {name: yaml.safe_load(text.replace("SHA256", digest)) for name, text in DOCUMENTS.items()}


FOREIGN = re.compile(
    r"Traceback|INTERNALERROR|type=|input_value|errors\.pydantic\.dev|tripwire|Error: an error occurred"
)
SUMMARY = re.compile(r"(\d+) (passed|failed|error|errors|skipped|xfailed|deselected|warnings?)")


def judge(result: dict[str, Any]) -> str:
    """What became of a run: refused, passed or failed; an AssertionError where it is none of them."""
    code, out, err = result["code"], result["out"], result["err"]
    assert not result["left"]
    assert not FOREIGN.search(err), err
    assert not FOREIGN.search(out), out
    assert not re.search(r"^E  ", out, re.MULTILINE), out  # pytest's own way to show a traceback
    if code == pytest.ExitCode.USAGE_ERROR:
        lines = [line for line in err.splitlines() if line.strip()]
        assert len(lines) == 1, err
        line = lines[0].removeprefix("ERROR: ")
        assert re.match(rf"{re.escape(FILE)}(:\d+)?: ", line), line
        assert line.isprintable(), line
        assert len(line) <= 500, line  # the names of all checks are the longest
        return "refused"
    counts = Counter({word: int(number) for number, word in SUMMARY.findall(out.splitlines()[-1] if out else "")})
    assert not err.strip(), err
    assert not counts["error"] + counts["errors"], out
    if code == 0:
        assert counts["passed"], out
        assert not counts["failed"], out
        assert "image-spans: ERROR" not in out
        return "passed"
    assert code == 1, (code, out, err)
    assert counts["failed"] or "image-spans: ERROR: nothing was tested" in out, out
    assert all(line.isprintable() or "\t" in line for line in out.splitlines()), out
    return "failed"


def test_the_documents_use_every_key_of_the_schema():
    unused = schema()

    def visit(value):
        if isinstance(value, BaseModel):
            fields = type(value).model_fields
            unused[type(value).__name__] -= {fields[name].alias or name for name in value.model_fields_set}
            value = [getattr(value, name) for name in fields]
        for one in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ():
            visit(one)

    for document in documents().values():
        visit(config._File.model_validate(document))
    assert not {model: keys for model, keys in unused.items() if keys}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_documents_are_right(repository, name):
    result = repository.run(yaml.safe_dump(documents()[name]).encode())
    assert judge(result) == "passed", result["out"]


def test_every_mutated_file_is_refused_in_one_line_or_tested(repository):
    ends = Counter()

    @settings(max_examples=300, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(mutated(list(documents().values())))
    def run(content):
        result = repository.run(content)
        ends[judge(result)] += 1

    run()
    # Else the changes are too harmless, or so wild that nothing gets past the reading.
    assert ends["refused"] >= 100, ends
    assert ends["passed"] >= 20, ends
    assert ends["failed"] >= 5, ends


def test_a_warm_run_says_what_a_cold_one_says(repository):
    """A sample of the files from the very beginning: ``python -m pytest`` in a process of its own."""
    text = yaml.safe_dump(documents()["slices"])
    ends = []
    changes = {
        "vocab: 300": "vocab: 300",
        "flat_slices": "flat_slcies",
        "<slot>: 400": "<slot>: 401",
        "bos:": "bos :::",
    }
    for old, new in changes.items():
        assert old in text
        content = text.replace(old, new, 1).encode()
        warm, cold = repository.run(content), repository.run_cold(content)
        ends.append(judge(cold))
        assert judge(warm) == ends[-1]
        assert (warm["code"], warm["err"]) == (cold["code"], cold["err"])
        kept = [[line for line in run["out"].splitlines() if " in " not in line] for run in (warm, cold)]
        assert kept[0] == kept[1]
    assert ends == ["passed", "refused", "failed", "refused"], ends
