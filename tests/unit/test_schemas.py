"""The schemas: of the YAML as its models say, true of every file that there is, and version 1 stays readable."""

from __future__ import annotations

import copy
import json
import re
import sys
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator
from mutated_yaml import DOCUMENTS

from image_spans import config, schemas
from image_spans.__main__ import main
from image_spans.ci.summary import Told, markdown
from image_spans.errors import ConfigError
from image_spans.lock import store
from image_spans.lock.changes import diff
from image_spans.schemas import subjects
from image_spans.yaml_nodes import read_document

ROOT = Path(__file__).parents[2]
V1 = ROOT / "tests" / "data" / "v1"
YAMLS = [
    ROOT / "tokenizers_under_test.yaml",
    V1 / "tokenizers_under_test.yaml",
    *sorted((ROOT / "tests" / "subjects").glob("*.yaml")),
    *sorted((ROOT / "examples" / "your_own_code").rglob("*.yaml")),
]


def validator(name: str) -> Draft202012Validator:
    schema = json.loads(schemas.text(name))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def wrong(data, name: str = "subjects") -> list[str]:
    return [f"{error.json_path}: {error.message[:300]}" for error in validator(name).iter_errors(data)]


def test_the_schema_of_the_yaml_is_what_its_models_say():
    assert schemas.text("subjects") == subjects.text(), "run: python -m image_spans.schemas.subjects"


def test_every_key_of_the_yaml_is_described():
    schema = json.loads(schemas.text("subjects"))
    models = [schema, *schema["$defs"].values()]
    models += [arm for one in models for arm in one.get("anyOf", ())]
    keys = [(key, value) for one in models for key, value in one.get("properties", {}).items()]
    assert len(keys) > 80
    assert [key for key, value in keys if not value.get("description")] == []


@pytest.mark.parametrize("path", YAMLS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_files_of_the_repository_are_valid(path):
    document = read_document(path, path.name)  # as a run reads it: a date is text
    assert not document.problems
    assert wrong(document.data) == []


def test_the_yaml_of_the_readme_is_valid():
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    whole = [data for block in blocks if "subjects" in (data := yaml.safe_load(block))]
    assert whole
    for data in whole:
        assert wrong(data) == []


def documents():
    return {name: yaml.safe_load(text.replace("SHA256", "a" * 64)) for name, text in DOCUMENTS.items()}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_documents_that_use_every_key_are_valid(name):
    assert wrong(documents()[name]) == []


# Document, path and value (... removes it) of files that are wrong.
TOLD = {
    "an unknown key": ("run", "contract.acme", 1),
    "a misspelt key": ("run", "tokeniser", {}),
    "a key that is missing": ("run", "pipeline", ...),
    "a value of another type": ("run", "contract.images.placeholder", 5),
    "a list for a mapping": ("run", "contract", []),
    "a misspelt choice": ("run", "contract.bos", "nonee"),
    "an unknown backend": ("run", "tokenizer.backend", "transfomers"),
    "an unknown pipeline": ("run", "pipeline", "flat_slcies"),
    "an unknown grammar": ("run", "contract.images.grammar", "runs"),
    "an unknown rule": ("run", "contract.images.slots", "fixd"),
    "an unknown rule of slices": ("slices", "contract.slices.rule", "minicmp"),
    "an unknown check": ("processor", "known_failures.0.check", "spans.mached"),
    "an unknown recipe": ("run", "tokenizer.source.trained", "bytes"),
    "an unknown order": ("run", "contract.images.order", "as_givn"),
    "no reason": ("processor", "known_failures.0.reason", "TODO: why"),
    "a number out of its limits": ("run", "contract.images.slots", 0),
    "a range that is none": ("run", "contract.input.images", "many"),
    "neither backend nor factory": ("run", "tokenizer.backend", ...),
    "a source of no kind": ("run", "tokenizer.source", {"from": "x"}),
    "two sources": ("run", "tokenizer.source.path", "x"),
    "a hash that is none": ("sources", "tokenizer.source.sha256", "abc"),
    "a key that the grammar needs": ("slices", "contract.images.close", ...),
    "something that cannot be returned": ("slices", "pipeline.returns", ["images"]),
}
NOT_TOLD = {
    "an empty range": ("run", "contract.input.images", "4..0"),
    "a role that is nobody's": ("run", "contract.input.images_in", ["admin"]),
    "a key that the grammar does not have": ("run", "contract.images.row_break", "x"),
    "an option that the pipeline does not have": ("run", "pipeline.options", {"acme": 1}),
    "two markers of one spelling": ("slices", "contract.images.close", "<image>"),
    "an entry that the pipeline does not have": ("slices", "pipeline.predict", "flat_slices"),
    "a fingerprint of another check": ("processor", "known_failures.0.fingerprint", "spans.matched/x"),
    "an example that cannot be read": ("processor", "known_failures.0.example", "Conversation("),
    "a requirement that is none": ("run", "tokenizer.requires", ["a b c"]),
    "a whole number with a point": ("run", "contract.token_types", 1.0),
}
"""What only reading tells: values that depend on each other, and text in a language of its own."""


def spoilt(name: str, path: str, value):
    data = copy.deepcopy(documents()[name])
    subject = next(iter(data["subjects"].values()))
    if name == "sources" and "sha256" in path:
        subject = data["subjects"]["package"]
    at, *keys = [subject], *path.split(".")
    place = at[0]
    for key in keys[:-1]:
        place = place[int(key)] if isinstance(place, list) else place.setdefault(key, {})
    if value is ...:
        del place[keys[-1]]
    else:
        place[keys[-1]] = value
    return data


def read(data, folder: Path) -> None:
    (folder / "f.yaml").write_text(yaml.safe_dump(data))
    config.read(folder / "f.yaml")


@pytest.mark.parametrize("kind", [*TOLD, *NOT_TOLD])
def test_what_a_schema_can_tell_and_what_only_reading_tells(kind, tmp_path):
    data = spoilt(*(TOLD | NOT_TOLD)[kind])
    with pytest.raises(ConfigError):
        read(data, tmp_path)
    assert bool(wrong(data)) == (kind in TOLD)


@pytest.mark.parametrize(
    "change", [{}, {"version": 2}, {"version": "1"}, {"subjects": {}}, {"subjects": {"a b": {}}}], ids=repr
)
def test_the_frame_of_the_file(change):
    data = documents()["run"] | change
    assert bool(wrong(data)) == bool(change)


# ---------------------------------------------------------------- the lock and findings


def test_the_lock_of_the_repository_follows_its_schema():
    lock = json.loads((ROOT / "tokenizers_under_test.lock.json").read_text(encoding="utf-8"))
    assert wrong(lock, "lock") == []
    record = next(iter(lock["subjects"].values()))
    for broken in ({**lock, "schema": 2}, {"schema": 1}, {**lock, "subjects": {"a": {**record, "made of": {}}}}):
        assert wrong(broken, "lock")


def test_the_page_shows_the_schema_of_findings():
    page = (ROOT / "docs" / "findings-schema.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert shown == schemas.text("findings")


# ---------------------------------------------------------------- version 1 stays readable


def test_the_recorded_yaml_is_read():
    specs = config.read(V1 / "tokenizers_under_test.yaml")
    assert [spec.name for spec in specs] == ["minicpm", "declared"]
    assert specs[1].known_failures[0].fingerprint == "text.survives/blanks-eaten"
    assert specs[0].contract.slices.rule == "minicpm"


def test_the_recorded_lock_is_read_and_compared():
    path = V1 / "tokenizers_under_test.lock.json"
    records = store.read(path)
    assert list(records) == ["declared", "minicpm"]
    assert wrong(json.loads(path.read_text(encoding="utf-8")), "lock") == []
    for record in records.values():
        assert not diff(record, record).changes
        other = copy.deepcopy(record)
        other["plain call"]["normalises"] = not record["plain call"]["normalises"]
        assert diff(record, other).changes


def test_the_recorded_findings_are_read():
    lines = (V1 / "findings.jsonl").read_text(encoding="utf-8").splitlines()
    findings = [json.loads(line) for line in lines]
    assert {one["status"] for one in findings} == {"new", "known"}
    for one in findings:
        assert wrong(one, "findings") == []
        assert wrong({**one, "status": "old"}, "findings")
    text = markdown(Told(True, 1, [], {}, [], [(one["subject"], one) for one in findings]))
    for one in findings:
        assert one["fingerprint"] in text


def test_the_recorded_pieces_fit_together():
    assert main(["check", str(V1 / "tokenizers_under_test.yaml")]) == 0


# ---------------------------------------------------------------- the commands


@pytest.mark.parametrize("name", schemas.FILES)
def test_a_schema_is_printed(name, capsys):
    assert main(["schema", *([] if name == "subjects" else [name])]) == 0
    assert capsys.readouterr().out == schemas.text(name)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("tokenizers_under_test.yaml", "tokenizers_under_test.lock.json"):
        (tmp_path / name).write_bytes((V1 / name).read_bytes())
    return tmp_path


def test_what_is_right_is_quiet(folder, capsys):
    assert main(["check"]) == 0
    assert main(["check", "tokenizers_under_test.lock.json", "tokenizers_under_test.yaml"]) == 0
    (folder / "tokenizers_under_test.lock.json").unlink()
    assert main(["check"]) == 0
    assert capsys.readouterr() == ("", "")


EVIL = """\
version: 1
subjects:
  a:
    tokenizer: {factory: "evil:f"}
    pipeline: {encode: "evil:f", batch: "evil:f", continue: "evil:f", predict: "evil:f", paths: {x: "evil:f"}}
    contract:
      bos: none
      images: {open: <i>, close: </i>, placeholder: <p>, slots: 4, order: "evil:f"}
      slices: {open: <s>, close: </s>, rule: "evil:f"}
  b:
    tokenizer: {factory: "evil:f"}
    pipeline: evil:f
    contract: {bos: none, images: {grammar: "evil:f", placeholder: <p>, slots: "evil:f"}}
"""


def test_reading_a_yaml_runs_nothing_that_it_names(folder):
    """SECURITY.md says so: a hook of pre-commit reads the YAML of a branch that nobody has looked at."""
    (folder / "evil.py").write_text("raise SystemExit('was imported')\n")
    (folder / "tokenizers_under_test.yaml").write_text(EVIL)
    (folder / "tokenizers_under_test.lock.json").unlink()
    assert main(["check"]) == 0
    assert "evil" not in sys.modules


CHANGES = {
    "a wrong value": ("bos: none", "bos: nonee", "subjects.minicpm.contract.bos: expected one of"),
    "what is to be decided": ("bos: none", "bos: 'TODO: which'", "subjects.minicpm.contract.bos is still TODO: which"),
    "another tokenizer": ("vocab: 300", "vocab: 301", "the tokenizer of declared is another one than in"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_what_is_wrong_is_told(folder, capsys, kind):
    old, new, said = CHANGES[kind]
    file = folder / "tokenizers_under_test.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    assert main(["check"]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert re.match(rf"tokenizers_under_test\.yaml:\d+: {re.escape(said)}", line), line


def test_a_lock_of_other_subjects_is_told(folder, capsys):
    file = folder / "tokenizers_under_test.yaml"
    file.write_text(file.read_text().replace("  declared:\n", "  renamed:\n"))
    assert main(["check", "tokenizers_under_test.lock.json"]) == 1
    gone, fresh = capsys.readouterr().out.splitlines()
    assert gone == (
        "tokenizers_under_test.lock.json: declared is recorded, and is not in tokenizers_under_test.yaml; "
        "pytest --spans-lock=update"
    )
    assert re.fullmatch(
        r"tokenizers_under_test\.yaml:\d+: renamed is not recorded in tokenizers_under_test\.lock\.json; "
        r"pytest --spans-lock=update",
        fresh,
    )
    text = file.read_text().replace("  renamed:\n    tokenizer:\n", "  declared:\n    tokenizer:\n")
    absent = text.partition("  declared:\n")[2].replace(
        "      backend", "      requires: [no-such-package]\n      backend"
    )
    file.write_text(f"{text}  absent:\n{absent}")
    assert main(["check"]) == 0
    assert "absent is not recorded" in (said := capsys.readouterr().out)
    assert "it cannot be had here" in said


def test_a_damaged_lock_and_a_file_that_is_not_there(folder, capsys):
    (folder / "tokenizers_under_test.lock.json").write_text("{")
    assert main(["check"]) == 1
    assert "is damaged: not JSON" in capsys.readouterr().out
    assert main(["check", "other.yaml"]) == 2
    assert capsys.readouterr() == ("", "other.yaml: there is no such file\n")
