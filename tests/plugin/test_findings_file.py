"""--spans-findings and --spans-accept: what is written, what is printed, and what is refused before anything runs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from consumer_repository import FILE, SECOND, YAML

from image_spans.conversation import parse_conversation

SCHEMA = Path(__file__).parents[2] / "docs" / "findings-schema.md"
TWO = YAML.replace("subjects:\n", "subjects:\n" + SECOND)


def schema() -> dict:
    match = re.search(r"```json\n(.*?)```", SCHEMA.read_text(encoding="utf-8"), re.DOTALL)
    assert match
    return json.loads(match[1])


def follows(value, rule: dict) -> bool:
    """As much of JSON Schema as the page uses; no validator is a dependency."""
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "null": type(None)}
    types = rule.get("type", [])
    types = [types] if isinstance(types, str) else types
    assert set(rule) <= {
        *("$schema", "type", "required", "additionalProperties", "properties", "const", "enum", "description"),
        *("pattern", "minLength", "minimum", "items", "minItems", "maxItems"),
    }
    if types and not any(type(value) is kinds[kind] for kind in types):
        return False
    if ("const" in rule and value != rule["const"]) or ("enum" in rule and value not in rule["enum"]):
        return False
    if isinstance(value, str):
        return len(value) >= rule.get("minLength", 0) and re.search(rule.get("pattern", ""), value) is not None
    if isinstance(value, list):
        fits = rule["minItems"] <= len(value) <= rule["maxItems"]
        return fits and all(follows(item, rule["items"]) for item in value)
    if isinstance(value, dict):
        more = rule.get("additionalProperties", True)
        return set(rule["required"]) <= set(value) and all(
            follows(item, rule["properties"][key])
            if key in rule.get("properties", {})
            else more is True or (isinstance(more, dict) and follows(item, more))
            for key, item in value.items()
        )
    return not isinstance(value, int) or value >= rule.get("minimum", value)


def read(path: Path) -> list[dict]:
    raw = path.read_bytes()
    assert b"\r" not in raw
    return [json.loads(line) for line in raw.decode("utf-8").splitlines()]


def test_every_line_follows_the_schema(consumer, run):
    repository = consumer("naive", TWO)
    result = run("--spans-findings", "findings.jsonl")
    assert result.ret == 1
    found = read(repository.path / "findings.jsonl")
    assert [one["fingerprint"] for one in found] == ["spans.matched/first-id-removed", "text.survives/first-id-removed"]
    for one in found:
        assert follows(one, schema()), one
        assert not follows({**one, "status": "old"}, schema())
        assert parse_conversation(one["conversation"])
        assert one["reproduce"]["pytest"] in result.stdout.str()
        assert one["reproduce"]["python"] in result.stdout.str()
        assert one["ids"][1].endswith(f"^ expected {one['expected']}")
    assert found[0]["message"] == "0 image opens, 1 close"
    assert (found[0]["status"], found[0]["position"], found[0]["at"]) == ("new", "start", 0)
    assert found[0]["versions"]["tokenizer"].startswith("tiktoken ")
    assert list(repository.path.glob(".findings*")) == []


def test_two_workers_write_the_same(consumer, run):
    pytest.importorskip("xdist")
    repository = consumer("naive", TWO)
    for name, arguments in (("one", ()), ("two", ("-n", "2"))):
        run("--spans-findings", f"{name}.jsonl", *arguments)
    assert (repository.path / "one.jsonl").read_bytes() == (repository.path / "two.jsonl").read_bytes() != b""


def test_findings_of_other_kinds_follow_the_schema(consumer, run):
    repository = consumer("right", YAML.replace("placeholder: <slot>", "placeholder: <slots>"))
    for arguments in ((), ("-k", "start-spans.matched")):  # the second selects a blocked item only
        run("--spans-findings=f", *arguments)
        (found,) = read(repository.path / "f")
        assert follows(found, schema())
        assert (found["fingerprint"], found["conversation"]) == ("contract.tokens/marker-missing", None)
    consumer("wright")
    run("--spans-findings=f")
    (found,) = read(repository.path / "f")
    assert follows(found, schema())
    assert found["fingerprint"] == "contract.tokens/does-not-load"
    assert "did you mean 'right'?" in found["message"]


def test_a_run_without_findings_writes_an_empty_file(consumer, run):
    repository = consumer("right")
    (repository.path / "f").write_text('{"at": 0}')
    assert run("--spans-findings=f", "--collect-only", "-q").ret == 0
    assert (repository.path / "f").read_text() == '{"at": 0}'
    assert run("--spans-findings=f", "-k", "start").ret == 0
    assert (repository.path / "f").read_bytes() == b""


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("no/such/f", ": there is no folder "),
        (".", ": is a folder; expected a file"),
        ("/dev/null", ": is not an ordinary file"),
        ("x" * 300, ": cannot be written: File name too long"),
    ],
    ids=["no folder", "a folder", "a device", "too long"],
)
def test_a_file_that_cannot_be_written_is_refused(consumer, refused, file, said):
    consumer("naive")
    assert said in refused("--spans-findings", file)


def test_a_file_of_somebody_else_is_not_replaced(consumer, refused, run):
    """Least of all the YAML, which is one word away."""
    repository = consumer("naive")
    before = (repository.path / FILE).read_bytes()
    for name in (FILE, "assembly.py"):
        message = refused("--spans-findings", name)
        assert "is there already, and is no report of this option; name another file" in message
    assert (repository.path / FILE).read_bytes() == before
    for _ in range(2):  # the second run replaces what the first has written
        assert run("--spans-findings=f", "-k", "start-spans.matched").ret == 1
        assert len(read(repository.path / "f")) == 1


@pytest.mark.parametrize("option", ["--spans-findings", "--spans-html", "--spans-md"])
def test_a_folder_that_goes_away_fails_the_run(consumer, run, option):
    repository = consumer("right")
    (repository.path / "gone").mkdir()
    with (repository.path / "conftest.py").open("a") as file:
        file.write("\n\ndef pytest_collection_finish(session):\n    import os\n\n    os.rmdir('gone')\n")
    result = run(f"{option}=gone/f", "-k", "start-spans.matched")
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"image-spans: ERROR: {option}: cannot be written: No such file or directory"])


def test_options_without_a_yaml_are_refused(repository, refused):
    assert f"--spans-findings: there is no {FILE}" in refused("--spans-findings=f")
    assert f"--spans-html: there is no {FILE}" in refused("--spans-html=f")
    assert f"--spans-accept: there is no {FILE}" in refused("--spans-accept")


# ---------------------------------------------------------------- accept


def accepted(result) -> str:
    """The YAML between the headlines, as it is printed."""
    lines = result.outlines
    begin = next(i for i, line in enumerate(lines) if "known failures to paste" in line)
    end = next(i for i in range(begin + 1, len(lines)) if lines[i].startswith("==="))
    return "".join(f"{line}\n" for line in lines[begin + 1 : end])


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["plain", "xdist"])
def test_what_is_printed_makes_the_run_green(consumer, run, arguments):
    repository = consumer("naive")
    file = repository.path / FILE
    before = file.read_bytes()
    result = run("--spans-accept", *arguments)
    assert result.ret == 1
    assert file.read_bytes() == before
    pasted = accepted(result)
    assert pasted.startswith(f"# {FILE}, under subjects.mine\n")
    file.write_text(file.read_text() + pasted)
    assert len(yaml.safe_load(file.read_text())["subjects"]["mine"]["known_failures"]) == 2
    refusal = run()
    assert refusal.ret == pytest.ExitCode.USAGE_ERROR
    assert ".known_failures[0].reason is still TODO: why" in refusal.stderr.str()
    file.write_text(file.read_text().replace('"TODO: why"', "we know"))
    again = run("--spans-accept", "--spans-findings=f", *arguments)
    assert again.ret == 0, again.stdout.str()
    again.stdout.fnmatch_lines(["*image-spans: no new finding*"])
    found = read(repository.path / "f")
    assert [(one["status"], one["reason"]) for one in found] == [("known", "we know")] * 2
    for one, known in zip(found, yaml.safe_load(file.read_text())["subjects"]["mine"]["known_failures"], strict=True):
        assert follows(one, schema())
        assert (one["conversation"], one["fingerprint"]) == (known["example"], known["fingerprint"])
    file.write_text(file.read_text().replace("assembly:naive", "assembly:right"))
    assert run(*arguments).ret == 1  # stale
