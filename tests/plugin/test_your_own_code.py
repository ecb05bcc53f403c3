"""docs/testing-your-own-code.md: its files are those of the examples, which are run, and its output is the real one."""

from __future__ import annotations

import re
import shutil
from functools import partial
from pathlib import Path

import pytest
from consumer_repository import FILE, ROOT, SMALL_PROFILE

from pages import changed, named

PAGE = ROOT / "docs" / "testing-your-own-code.md"
EXAMPLES = ROOT / "examples" / "your_own_code"
SHAPES = sorted(path.name for path in EXAMPLES.iterdir() if (path / FILE).exists())
JUDGED = {
    "minicpm-v-2": ["end-spans.matched", "end-spans.bounds", "start-truncation.policy", "start-failures.loud"],
    "minicpm-v-2.6": ["end-spans.matched", "end-spans.bounds", "start-truncation.policy", "start-failures.loud"],
    "llava": ["start-batch.agrees", "start-labels.cover_answers", "start-failures.loud"],
    "gemma3": ["middle-arrays.mark", "middle-labels.cover_answers", "middle-spans.slots"],
    "qwen3-vl": ["middle-geometry.agrees", "middle-labels.cover_answers", "middle-spans.bounds"],
    "pixtral-12b": ["end-spans.order", "end-spans.slots", "end-geometry.agrees"],
    "pixtral-large": ["end-spans.order", "end-spans.slots", "end-geometry.agrees"],
}
"""Items that must pass, not only not fail: what the page says is declared."""


blocks = partial(named, PAGE)


@pytest.fixture
def copied(repository):
    """Copies what is in a folder of the examples, or all of them, into the repository."""

    def copy(folder: Path):
        skipped = shutil.ignore_patterns("__pycache__", ".*")
        shutil.copytree(folder, repository.path, dirs_exist_ok=True, ignore=skipped)
        (repository.path / "conftest.py").write_text(SMALL_PROFILE)

    return copy


def test_the_page_shows_the_files():
    shown = blocks("file")
    assert set(shown) == {f"{shape}/{name}" for shape in SHAPES for name in ("under_test.py", FILE)}
    for name, text in shown.items():
        assert text == (EXAMPLES / name).read_text(encoding="utf-8"), name


def test_the_page_links_every_other_file():
    others = {path.relative_to(ROOT).as_posix() for path in EXAMPLES.glob("*/*.py")}
    others -= {f"examples/your_own_code/{name}" for name in blocks("file")}
    linked = set(re.findall(r"\]\(\.\./(examples/your_own_code/\w+/[\w.]+)\)", PAGE.read_text(encoding="utf-8")))
    assert linked == others


def test_every_example_is_green(copied, run):
    pytest.importorskip("mistral_common")
    copied(EXAMPLES)
    result = run(*(f"{shape}/{FILE}" for shape in SHAPES), "--spans-require-all", "-v")
    assert result.ret == 0
    assert not {"failed", "errors"} & set(result.parseoutcomes())
    passed = {line.split(" PASSED")[0].rpartition("[")[2] for line in result.outlines if " PASSED" in line}
    assert not {f"{subject}-{item}]" for subject, items in JUDGED.items() for item in items} - passed


@pytest.mark.parametrize("name", blocks("output"))
def test_a_mistake_gives_what_is_shown(copied, run, repository, name):
    shape, expression = name.split()
    pytest.importorskip("mistral_common")
    copied(EXAMPLES / shape)
    (mistake,) = (path for path in blocks("mistake") if path.startswith(f"{shape}/"))
    file = repository.path / Path(mistake).name
    file.write_text(changed(file.read_text(encoding="utf-8"), blocks("mistake")[mistake]), encoding="utf-8")
    result = run("-k", expression)
    assert result.ret == 1
    assert result.parseoutcomes()["failed"] == 1
    assert blocks("output")[name].rstrip() in result.stdout.str()


def test_each_mistake_has_its_output():
    assert len(blocks("output")) >= 2
    assert sorted(name.split()[0] for name in blocks("output")) == sorted(
        Path(name).parts[0] for name in blocks("mistake")
    )
