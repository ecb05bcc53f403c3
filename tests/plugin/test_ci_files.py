"""The action, the hook and the examples for continuous integration: read, and their lines of shell run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from consumer_repository import FILE, ROOT

from image_spans.__main__ import main

ACTION = ROOT / "action.yml"
HOOKS = ROOT / ".pre-commit-hooks.yaml"
GITHUB = ROOT / "examples" / "ci" / "github.yml"
GITLAB = ROOT / "examples" / "ci" / "gitlab.yml"


def read(path: Path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def step(name: str) -> dict:
    return next(one for one in read(ACTION)["runs"]["steps"] if one.get("name") == name)


def environment(folder: Path, **inputs: str) -> dict[str, str]:
    """What the runner gives a step: variables of its own, and the inputs as the action passes them on."""
    (folder / "python").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    (folder / "python").chmod(0o755)
    given = {name: one["default"] for name, one in read(ACTION)["inputs"].items()} | inputs
    passed = {
        key: given[re.fullmatch(r"\$\{\{ inputs\.([\w-]+) \}\}", value)[1]]
        for key, value in step("Test the subjects")["env"].items()
    }
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith(("GITHUB_", "PYTEST_"))},
        **passed,
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "PYTEST_PLUGINS": "image_spans.plugin",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "RUNNER_TEMP": str(folder),
        "GITHUB_ACTIONS": "true",
        "GITHUB_OUTPUT": str(folder / "output"),
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
    }


def bash(script: str, folder: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """As GitHub runs a step with ``shell: bash``."""
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for python is a shell script")
def test_the_action_tests_the_subjects(consumer, tmp_path_factory):
    repository = consumer("naive")
    temp = tmp_path_factory.mktemp("runner")
    arguments = "-k 'middle and spans.matched' -q"
    done = bash(step("Test the subjects")["run"], repository.path, environment(temp, args=arguments))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed" in done.stdout
    assert f"\n::error file={FILE},line=3,title=mine%3A spans.matched/first-id-removed::" in done.stdout
    assert (temp / "output").read_text() == f"report={temp}/image-spans.html\n"
    for name in ("image-spans.html", "image-spans.xml", "summary.md"):
        assert "first-id-removed" in (temp / name).read_text(encoding="utf-8")


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for python is a shell script")
def test_inputs_of_the_action_are_no_code(tmp_path):
    show = tmp_path / "shown"
    variables = environment(
        tmp_path, subjects="$(touch a) b.yaml", args="'a b' $(touch c) `touch d` \"\"; touch e", fetch="true"
    )
    script = step("Test the subjects")["run"].replace("python -m pytest", f"printf '%s\\n' > {show}")
    done = bash(script, tmp_path, variables)
    assert done.returncode == 0, done.stderr
    told = show.read_text().splitlines()
    assert told[0] == "$(touch a) b.yaml"
    assert "--spans-fetch" in told
    assert told[-8:] == ["a b", "$(touch", "c)", "`touch", "d`", ";", "touch", "e"]
    assert not {"a", "c", "d", "e"} & {one.name for one in tmp_path.iterdir()}
    done = bash(script, tmp_path, variables | {"ARGS": "-k 'a"})
    assert done.returncode == 1  # not a run without them
    assert "No closing quotation" in done.stderr


def test_the_action_is_whole():
    action = read(ACTION)
    assert {"name", "description", "inputs", "outputs", "runs"} == set(action)
    assert action["runs"]["using"] == "composite"
    assert set(action["inputs"]) == {"subjects", "args", "python-version", "extras", "fetch"}
    for name, one in action["inputs"].items():
        assert set(one) == {"description", "default"}, name
        assert isinstance(one["default"], str), name
        assert f"inputs.{name}" in ACTION.read_text(encoding="utf-8")
    for one in action["runs"]["steps"]:
        assert ("run" in one) == ("shell" in one)
        assert "${{" not in one.get("run", "")  # what is put into a script could be code
    install = step("Install pytest-image-spans")["run"].replace("python -m pip install", "printf '%s\\n'")
    for extras, wanted in (("html,scan", "/action[html,scan]"), ("", "/action")):
        given = {"GITHUB_ACTION_PATH": "/action", "EXTRAS": extras, "PATH": os.environ["PATH"]}
        assert bash(install, ROOT, given).stdout.splitlines() == [wanted, "pytest-xdist"]


def test_the_examples_use_what_there_is(pytestconfig):
    (job,) = read(GITHUB)["jobs"].values()
    used = job["steps"][-1]
    assert used["uses"].startswith("OWNER/pytest-image-spans@v")
    assert set(used["with"]) <= set(read(ACTION)["inputs"])
    job = read(GITLAB)["image-spans"]
    lines = [*map(shlex.split, job["script"]), ["pytest", *shlex.split(used["with"]["args"])]]
    options = [word.partition("=")[0] for words in lines for word in words if word.startswith("--")]
    known = {name for one in pytestconfig._parser.optparser._actions for name in one.option_strings}
    assert set(options) <= known
    written = {word.partition("=")[2] for words in lines for word in words if "=image-spans." in word}
    assert written == {*job["artifacts"]["paths"], job["artifacts"]["reports"]["junit"]}


def test_the_hook_is_valid_and_quick(consumer, monkeypatch, capsys):
    done = subprocess.run(
        [sys.executable, "-m", "pre_commit", "validate-manifest", HOOKS], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout
    (hook,) = read(HOOKS)
    for name in (FILE, f"sub/{FILE}", "tokenizers_under_test.yml", "tokenizers_under_test.lock.json"):
        assert re.search(hook["files"], name)
    assert not re.search(hook["files"], "my_tokenizers_under_test.yaml")
    repository = consumer("right")
    monkeypatch.chdir(repository.path)
    arguments = shlex.split(hook["entry"])
    assert arguments[:3] == ["python", "-m", "image_spans"]
    assert main([*arguments[3:], FILE]) == 0
    Path(FILE).write_text(Path(FILE).read_text().replace("bos: none", "bos: non"))
    assert main([*arguments[3:], FILE]) == 1
    assert "did you mean 'none'?" in capsys.readouterr().out
