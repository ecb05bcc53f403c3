"""What a finding prints repeats it: the command in a shell, and the line of Python as it is pasted."""

from __future__ import annotations

import json
import os
import pickle
import shlex
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from consumer_repository import ASSEMBLY, YAML

from image_spans.conversation import parse_conversation
from image_spans.engine import verify
from image_spans.findings import Finding

PIPELINES = """

def encode(text, tokenizer):
    return tokenizer.encode(text, allowed_special="all")


def without(token, tokenizer, conversation):
    gone = tokenizer.encode_single_token(token)
    return [i for i in right(tokenizer, conversation) if i != gone]


def loses_close(tokenizer, conversation):
    return without("</image>", tokenizer, conversation)


def loses_slots(tokenizer, conversation):
    return without("<slot>", tokenizer, conversation)


def text_only(tokenizer, conversation):
    parts = [part.text for m in conversation.messages for part in m.parts if isinstance(part, Text)]
    return encode("".join(parts), tokenizer)


def reversed_images(tokenizer, conversation):
    images = iter(conversation.images[::-1])
    parts = [p if isinstance(p, Text) else next(images) for m in conversation.messages for p in m.parts]
    return encode("".join(map(written, parts)), tokenizer)


def strips(tokenizer, conversation):
    return encode("".join(written(p).strip() for m in conversation.messages for p in m.parts), tokenizer)


def raises(tokenizer, conversation):
    if conversation.images:
        raise KeyError("image_bound \\u56fe\\n")
    return right(tokenizer, conversation)


def does_not_end(tokenizer, conversation):
    while conversation.images:
        pass
    return right(tokenizer, conversation)


def remembers(tokenizer, conversation):
    remembers.calls = getattr(remembers, "calls", {})
    remembers.calls[conversation] = remembers.calls.get(conversation, 0) + 1
    return right(tokenizer, conversation) + encode("a", tokenizer) * (remembers.calls[conversation] > 1)


def only_first_turn(tokenizer, conversation):
    ids = encoded(tokenizer, conversation)
    return sum(ids[:1] + [part[1:] for part in ids[1:]], [])


def ignores_the_list(tokenizer, conversation):
    return right(tokenizer, conversation)


def typed(tokenizer, conversation):
    return right(tokenizer, conversation)
"""

BROKEN = {  # subject to what is changed in its YAML, and a check that it breaks
    "naive": ((), "spans.matched"),
    "loses_close": ((), "spans.matched"),
    "loses_slots": ((), "spans.slots"),
    "text_only": ((), "spans.expected"),
    "reversed_images": ((), "spans.order"),
    "strips": ((), "text.survives"),
    "raises": ((), "pipeline.encodes"),
    "does_not_end": ((), "pipeline.encodes"),
    "remembers": ((), "paths.agree"),
    "only_first_turn": ((), "text.survives"),
    "typed": (("literals: interpret", "literals: plain"), "literals.policy"),
    "ignores_the_list": (
        ("pipeline: assembly:PIPELINE", "pipeline: {encode: 'assembly:PIPELINE', accepts: [images]}"),
        "failures.loud",
    ),
    "right": (("placeholder: <slot>", "placeholder: <slots>"), "contract.tokens"),
}
OPTIONS = ("--spans-timeout=1", "--spans-findings=f", "-k", "test_subject or start or every_message")

RUN = """
import json
import pytest

fingerprints = []
code = pytest.main({arguments!r})
"""
PASTED = """
from image_spans import Finding

try:
    exec({line!r})
except Finding as finding:
    print("REPEATED", finding.fingerprint)
"""


@pytest.fixture
def broken(consumer):
    """Makes a repository with one subject per broken pipeline; returns the pytester."""

    def make(file: str = "tokenizers_under_test.yaml"):
        head, _, entry = YAML.partition("  mine:\n")
        text = head
        for name, (change, _) in BROKEN.items():
            one = entry.replace(*change) if change else entry
            text += f"  {name.replace('_', '-')}:\n" + one.replace("PIPELINE", name)
        repository = consumer(yaml=text)
        (repository.path / "assembly.py").write_text(ASSEMBLY + PIPELINES, encoding="utf-8")
        (repository.path / "tokenizers_under_test.yaml").rename(repository.path / file)
        return repository

    return make


def findings(folder: Path) -> dict[tuple[str, str], dict]:
    lines = (folder / "f").read_text(encoding="utf-8").splitlines()
    return {(one["subject"], one["fingerprint"]): one for one in map(json.loads, lines)}


def test_command_and_snippet_repeat_exactly_this_finding(broken, run):
    repository = broken("other subjects.yaml")
    result = run("--spans-subjects=other subjects.yaml", *OPTIONS)
    assert result.ret == 1
    found = findings(repository.path)
    for name, (_, check) in BROKEN.items():
        assert any(one["check"] == check for (subject, _), one in found.items() if subject == name.replace("_", "-")), (
            name,
            [fingerprint for subject, fingerprint in found if subject == name.replace("_", "-")],
        )
    bin_folder = repository.path / "bin"
    bin_folder.mkdir()
    command = bin_folder / "pytest"  # the command as it is printed, with the plugin as if it were installed
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m pytest -p image_spans.plugin "$@"\n')
    command.chmod(0o755)
    environment = {**os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"}
    script = "".join(f"{one['reproduce']['pytest']} --spans-findings=f{n}\n" for n, one in enumerate(found.values()))
    subprocess.run(["sh", "-c", script], cwd=repository.path, env=environment, capture_output=True, check=False)
    for number, one in enumerate(found.values()):
        (repository.path / f"f{number}").rename(repository.path / "f")
        again = findings(repository.path)
        assert list(again) == [(one["subject"], one["fingerprint"])]
        for key in ("conversation", "message", "cause", "ids", "at", "expected"):
            assert next(iter(again.values()))[key] == one[key], (key, one)
    snippets = [PASTED.format(line=one["reproduce"]["python"]) for one in found.values()]
    pasted = subprocess.run(
        [sys.executable, "-c", "\n".join(snippets)], cwd=repository.path, capture_output=True, text=True, check=True
    )
    repeated = [line.split()[1] for line in pasted.stdout.splitlines() if line.startswith("REPEATED")]
    assert repeated == [one["fingerprint"] for one in found.values()], pasted.stderr


def test_fingerprints_are_the_same_for_every_seed(broken, run):
    repository = broken()
    (repository.path / "conftest.py").write_text(
        "from hypothesis import settings\n\nsettings.register_profile('s', max_examples=40, database=None)\n"
        "settings.load_profile('s')\n"
    )
    seen = []
    for seed in (1, 2, 3):
        run(f"--hypothesis-seed={seed}", "--spans-checks=contract,pipeline,spans,failures,paths", *OPTIONS)
        seen.append(set(findings(repository.path)))
    assert seen[0] == seen[1] == seen[2]


def test_it_survives_workers_junit_and_a_terminal_without_unicode(broken, run, monkeypatch):
    pytest.importorskip("xdist")
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    repository = broken()
    result = run("-n", "2", "--junitxml=report.xml", *OPTIONS)
    assert result.ret == 1
    output = result.stdout.str()
    assert output.isascii()
    assert "INTERNALERROR" not in output
    told = "".join(failure.text or "" for failure in ElementTree.parse(repository.path / "report.xml").iter("failure"))
    for one in findings(repository.path).values():
        for text in (told, output):
            assert f"{one['subject']} breaks {one['check']}: " in text
            assert one["reproduce"]["pytest"] in text
            assert one["cause"]["sentence"] in text


def test_it_survives_pickling():
    from support import subject

    loud = parse_conversation("Conversation([Message('user', [Image(1, 1), Text('a')])])")
    with pytest.raises(Finding) as raised:
        verify(subject(lambda tokenizer, conversation: [1, 1097]), loud)
    copy = pickle.loads(pickle.dumps(raised.value))
    assert isinstance(copy, AssertionError)
    assert (str(copy), copy.fingerprint) == (str(raised.value), raised.value.fingerprint)
    assert (copy.check, copy.cause, copy.subject, copy.conversation) == (
        raised.value.check,
        raised.value.cause,
        "toy",
        loud,
    )
