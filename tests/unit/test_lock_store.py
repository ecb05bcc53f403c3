"""The lock file: read with one clear error, written whole or not at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import image_spans
from image_spans.errors import ConfigError
from image_spans.lock import store

RECORD = {"made of": {"class": "X"}, "texts": {"a\ud800\u2028": {"ids": "1", "tokens": "\u2581a"}}}


def test_it_stands_beside_the_yaml():
    assert store.lock_file(Path("x", "tokenizers_under_test.yaml")) == Path("x", "tokenizers_under_test.lock.json")


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "a.lock.json"
    assert store.read(path) == {}
    store.write(path, {"one": RECORD})
    first = path.read_bytes()
    again = store.read(path)
    assert again["one"]["made of"] == {"class": "X"}
    store.write(path, again)
    assert path.read_bytes() == first
    assert b"\r" not in first
    assert [one.name for one in tmp_path.iterdir()] == ["a.lock.json"]


def test_records_are_sorted_one_value_a_line():
    text = store.text_of({"b": {"made of": {"class": "X"}}, "a": {"made of": {"class": "X"}}})
    assert text == store.text_of({"a": {"made of": {"class": "X"}}, "b": {"made of": {"class": "X"}}})
    assert [line.strip() for line in text.splitlines()[3:6]] == ['"a": {', '"made of": {', '"class": "X"']


CONFLICT = '{\n<<<<<<< mine\n "schema": 1\n=======\n "schema": 1,\n>>>>>>> theirs\n}'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "x.lock.json:1: is damaged: not JSON; take it from version control"),
        ('{"schema": 1, "subjects"', "x.lock.json:1: is damaged"),
        (CONFLICT, "x.lock.json:2: has an unresolved merge conflict; take it"),
        ("[]", "x.lock.json: is no lock of image-spans (expected the keys schema and subjects)"),
        ('{"version": 3, "packages": {}}', "x.lock.json: is no lock of image-spans"),
        ('{"schema": 2, "subjects": {}}', "has the schema 2, this version writes 1; upgrade pytest-image-spans"),
        ('{"schema": "0", "subjects": {}}', "has the schema '0', this version writes 1; record anew"),
        ('{"schema": 1, "subjects": {"a": []}}', "x.lock.json: the record of 'a' is damaged"),
        ('{"schema": 1, "subjects": {"a": {"made of": {}}}}', "the record of 'a' is damaged"),
        ("[" * 10**5, "x.lock.json: is damaged"),
    ],
)
def test_what_is_no_lock_is_refused_with_the_way_out(tmp_path, text, said):
    path = tmp_path / "x.lock.json"
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        store.read(path)
    assert str(refused.value).startswith("x.lock.json")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match="folder: cannot be read"):
        store.read(tmp_path / "folder")
    (tmp_path / "latin").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="latin: cannot be read \\(not UTF-8\\)"):
        store.read(tmp_path / "latin")


WRITER = """
import sys
from pathlib import Path
from image_spans.lock import store

records = [{"s": {"made of": {"class": name}, "texts": {str(i): name * 20 for i in range(4000)}}} for name in "ab"]
print("begun", flush=True)
while True:
    for one in records:
        store.write(Path(sys.argv[1]), one)
"""


@pytest.mark.parametrize("wait", [0.0, 0.003, 0.01, 0.017, 0.031, 0.05])
def test_a_process_that_is_killed_leaves_the_old_or_the_new_file(tmp_path, wait):
    path = tmp_path / "x.lock.json"
    store.write(path, {"s": {"made of": {"class": "old"}}})
    environment = os.environ | {"PYTHONPATH": str(Path(image_spans.__file__).parents[1])}
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, env=environment)
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"begun\n"
    time.sleep(wait)
    writer.kill()
    writer.communicate()
    left = json.loads(path.read_text(encoding="utf-8"))["subjects"]["s"]
    name = left["made of"]["class"]
    assert name == "old" or left["texts"] == {str(number): name * 20 for number in range(4000)}
    store.write(path, {})
    assert [one.name for one in tmp_path.iterdir()] == ["x.lock.json"]
