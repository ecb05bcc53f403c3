"""The README's example is run as it stands, and its output is the real one."""

from __future__ import annotations

import sys
from functools import partial

import pytest

import pages

README = pages.ROOT / "README.md"
block = partial(pages.block, README)


@pytest.fixture
def example(pytester, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(README.parent / "src"))  # a clone that is not installed
    for name in ("my_data.py", "tokenizers_under_test.yaml"):
        pytester.path.joinpath(name).write_text(block(f"file: {name}"), encoding="utf-8")
    return pytester


def repair(example):
    module = example.path / "my_data.py"
    naive = "ids += tokenizer.encode(text)[1:]  # remove bos"
    assert naive in module.read_text()
    module.write_text(module.read_text().replace(naive, "ids += tokenizer.encode(text, add_special_tokens=False)"))


def test_naive_code_fails_as_shown(example):
    result = example.runpytest_subprocess("-p", "image_spans.plugin", "-k", "start-spans.matched", "--spans-accept")
    assert result.ret == 1
    assert block("output").rstrip() in result.stdout.str()
    assert block("accepted") in result.stdout.str()


def test_repaired_code_is_green(example):
    repair(example)
    result = example.runpytest_subprocess("-p", "image_spans.plugin")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["my-model*ok 2*ok 7*"])


def test_a_change_of_the_lock_is_told_as_shown(example, monkeypatch):
    monkeypatch.delenv("CI", raising=False)  # where the lock is not recorded
    yaml = example.path / "tokenizers_under_test.yaml"
    repair(example)
    assert example.runpytest_subprocess("-p", "image_spans.plugin", "-k", "locked", "--spans-lock=update").ret == 0
    order = "[<image>, </image>, <slice>,"
    assert order in yaml.read_text()
    yaml.write_text(yaml.read_text().replace(order, "[<slice>, <image>, </image>,"))
    result = example.runpytest_subprocess("-p", "image_spans.plugin")
    assert result.ret == 1
    assert block("lock output").rstrip() in result.stdout.str()
    (line,) = [line for line in result.outlines if line.startswith("image-spans: lock: ")]
    assert line.endswith("; and every check still holds")


def test_the_guard_stops_a_sample_as_shown(example):
    repair(example)
    result = example.run(sys.executable, "-c", block("guard"))
    assert result.ret == 0
    assert result.outlines == block("guard output").splitlines()


def test_every_check_is_in_the_readme():
    from image_spans.checks import checks

    for name in checks():
        assert f"| `{name}` |" in README.read_text(encoding="utf-8")


def test_there_are_two_commands():
    assert block("suite").count("\n") == block("tests").count("\n") == 1
