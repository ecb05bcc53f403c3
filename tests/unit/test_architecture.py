"""docs/ARCHITECTURE.md says who may import whom; this reads it and the code."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src" / "image_spans"
LIBRARIES = {
    *("transformers", "tokenizers", "sentencepiece", "tiktoken", "mistral_common"),
    *("torch", "numpy", "huggingface_hub"),
}
WORDS = {
    "heavy": {"hypothesis", "pydantic", "pydantic_core", *LIBRARIES},
    "hypothesis": {"hypothesis"},
    "tokenizers": LIBRARIES,
    "pytest": {"pytest", "_pytest"},
    "torch": {"torch"},
}


def table() -> dict[str, tuple[set[str], set[str]]]:
    """Module to the modules of the package that it may import, and the libraries that it never does."""
    rows: dict[str, tuple[set[str], set[str]]] = {}
    for line in (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[0].startswith("`"):
            allowed = set(re.findall(r"\w+", re.sub(r"\(.*?\)", "", cells[2]))) - {"nothing"}
            never = set().union(*(WORDS[word] for word in re.findall(r"\w+", cells[3])))
            for name in re.findall(r"`(\w+)`", cells[0]):
                rows[name] = (allowed, never)
    return rows


def imports(path: Path) -> set[str]:
    """What a file imports, as dotted names."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path.name}: imports are absolute"
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


FILES = [path for path in SOURCES.rglob("*.py") if path.name != "__init__.py" or path.parent != SOURCES]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCES)))
def test_imports_are_those_of_the_table(path):
    relative = path.relative_to(SOURCES)
    module = relative.parts[0].removesuffix(".py")
    allowed, never = table()[module]
    for name in imports(path):
        first, _, rest = name.partition(".")
        assert first not in never, f"{relative} imports {name}"
        if first == "image_spans":
            assert rest.partition(".")[0] in allowed | {module}, f"{relative} imports {name}"


def test_every_module_is_in_the_table_and_every_row_is_a_module():
    modules = {path.relative_to(SOURCES).parts[0].removesuffix(".py") for path in FILES}
    assert set(table()) == modules
    assert {name for allowed, _ in table().values() for name in allowed} <= modules


def test_the_page_says_what_each_module_is_for():
    for line in (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            assert line.split("|")[2].strip(), line


@pytest.mark.parametrize("module", ["oracles", "checks", "diagnosis", "findings", "case", "texts"])
def test_the_judging_side_knows_no_tokenizer_library_and_no_pytest(module):
    never = table()[module][1]
    assert never >= LIBRARIES | WORDS["pytest"] | {"hypothesis"}


def test_the_package_and_the_plugin_load_their_parts_on_first_use():
    for name in ("__init__", "plugin"):
        top = ast.parse((SOURCES / f"{name}.py").read_text(encoding="utf-8")).body
        for node in top:
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            for module in modules:
                assert module == "pytest" or module.partition(".")[0] in sys.stdlib_module_names, f"{name}: {module}"


def loaded_by(module):
    """The packages that a fresh process has loaded once it has imported a module."""
    code = f"import sys, {module}; print(sorted({{n.partition('.')[0] for n in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(SOURCES.parent), "PATH": ""},
    )
    return set(ast.literal_eval(done.stdout))


def test_the_guard_loads_no_tokenizer_library_and_not_hypothesis():
    assert not loaded_by("image_spans.guard") & (WORDS["heavy"] | WORDS["pytest"]) - {
        *("pydantic", "pydantic_core", "numpy")
    }


def test_loading_the_plugin_is_cheap():
    loaded = loaded_by("image_spans.plugin")
    assert not loaded & WORDS["heavy"]
    assert "yaml" not in loaded
