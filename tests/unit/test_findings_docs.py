"""docs/findings against the libraries: each page shows what its script prints.

Every script runs with whatever is installed. A difference fails where the page speaks of the installed versions, or
where the project pins them; with a release that no page tells of it is an expected failure, unless the run is strict.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.version import Version

ROOT = Path(__file__).parents[2]
FINDINGS = ROOT / "docs" / "findings"
PAGES = sorted(page for page in FINDINGS.glob("*.md") if page.name != "README.md")
STRICT = bool(os.environ.get("IMAGE_SPANS_FINDINGS_STRICT"))
SECONDS = 120


@dataclass(frozen=True)
class Page:
    """What a page says."""

    versions: dict[str, list[str]]
    shown: str
    repaired: tuple[str, str] | None = None
    """Library and version that no longer do it."""
    shown_since: str = ""

    def expects(self, installed: dict[str, str]) -> tuple[str, int]:
        """What the script prints with these versions, and its exit code."""
        if self.repaired is not None:
            name, version = self.repaired
            if Version(installed[name]) >= Version(version):
                return self.shown_since, 1
        return self.shown, 0

    def untold(self, installed: dict[str, str], pinned: dict[str, set[str]]) -> list[str]:
        """The installed libraries in a version that is somebody else's choice, and not one that the page tells of."""
        return [
            f"{name} {installed[name]} (the page: {', '.join(told)})"
            for name, told in self.versions.items()
            if installed[name] not in {*told, *pinned.get(name, ())}
        ]


def read(page: str) -> Page:
    versions = re.search(r"^Versions: (.+)$", page, re.MULTILINE)
    assert versions is not None, "a page names the versions"
    told = dict(entry.split(" ", 1) for entry in versions[1].split(", "))
    repaired = re.search(r"^Repaired: (\S+) (\S+)$", page, re.MULTILINE)
    shown = re.findall(r"^```text\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert len(shown) == (1 if repaired is None else 2), "what is shown, and what is shown since it was repaired"
    return Page(
        {name: listed.split(" and ") for name, listed in told.items()},
        shown[0],
        None if repaired is None else (repaired[1], repaired[2]),
        "".join(shown[1:]),
    )


def difference(expected: tuple[str, int], printed: str, code: int, errors: str) -> str | None:
    """The first thing that a script does otherwise than its page says, in one line."""
    if (printed, code) == expected:
        return None
    for wanted, line in zip(expected[0].splitlines(), printed.splitlines(), strict=False):
        if line != wanted:
            return f"prints {line!r}, the page shows {wanted!r}"
    if printed != expected[0]:
        last = (errors.strip().splitlines() or ["nothing"])[-1]
        return f"prints {len(printed.splitlines())} lines of {len(expected[0].splitlines())}; on stderr: {last}"
    return f"prints what the page shows, and ends with {code} instead of {expected[1]}"


def judge(differs: str | None, untold: list[str], strict: bool) -> None:
    """End a test: a release that a page does not tell of is a reason only where the run is not strict."""
    if differs is None:
        return
    if untold and not strict:
        pytest.xfail(f"{'; '.join(untold)}: {differs}")
    pytest.fail(f"{differs} {untold}" if untold else differs, pytrace=False)


def pins() -> dict[str, set[str]]:
    """What the project itself pins: its pages change with the pins."""
    pinned: dict[str, set[str]] = {}
    for name, version in re.findall(r'"([\w-]+)==([\w.]+)', (ROOT / "pyproject.toml").read_text(encoding="utf-8")):
        pinned.setdefault(name, set()).add(version)
    return pinned


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_shows_what_its_script_prints(path, tmp_path):
    page = read(path.read_text(encoding="utf-8"))
    installed = {}
    for name in page.versions:
        try:
            installed[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            assert not STRICT, f"{name} is not installed"
            pytest.skip(f"{name} is not installed")
    try:
        ran = subprocess.run(
            [sys.executable, path.with_suffix(".py")],
            capture_output=True,
            text=True,
            encoding="utf-8",
            cwd=tmp_path,
            env={**os.environ, "PYTHONUTF8": "1", "HF_HUB_OFFLINE": "1"},
            timeout=SECONDS,
        )
        differs = difference(page.expects(installed), ran.stdout, ran.returncode, ran.stderr)
    except subprocess.TimeoutExpired:
        differs = f"does not end within {SECONDS} seconds"
    judge(differs, page.untold(installed, pins()), STRICT)


def test_each_finding_is_a_page_a_script_and_a_line_of_the_index():
    assert len(PAGES) >= 10
    index = (FINDINGS / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^- \[(\w+)\]\((\w+)\.md\): (.+)$", index, re.MULTILINE)
    assert sorted(line[:2] for line in listed) == [(page.stem, page.stem) for page in PAGES]
    assert sorted(FINDINGS.glob("*.py")) == [page.with_suffix(".py") for page in PAGES]
    said = {stem for stem, _, text in listed if text.endswith("(repaired)")}
    assert said == {page.stem for page in PAGES if read(page.read_text(encoding="utf-8")).repaired is not None}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_script_runs_without_this_project(path):
    script = path.with_suffix(".py").read_text(encoding="utf-8")
    assert "image_spans" not in script
    assert len(script.splitlines()) <= 30


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_tells_of_each_version_that_is_pinned(path):
    told = read(path.read_text(encoding="utf-8")).versions
    for name, versions in pins().items():
        assert name not in told or versions <= set(told[name])


# ---------------------------------------------------------------- the judgement itself

TEXT = """\
# x

Versions: transformers 5.23.0 and 5.24.0, mistral-common 1.13.1
Repaired: transformers 5.24.0

```text
wrong
```

```text
right
```
"""


def test_reading_a_page():
    page = read(TEXT)
    assert page == Page(
        {"transformers": ["5.23.0", "5.24.0"], "mistral-common": ["1.13.1"]},
        "wrong\n",
        ("transformers", "5.24.0"),
        "right\n",
    )
    with pytest.raises(AssertionError, match="since it was repaired"):
        read(TEXT.replace("Repaired: ", "Repair: "))
    assert pins()["mistral-common"] == {"1.13.1", "1.12.0"}


@pytest.mark.parametrize(
    ("version", "expected"),
    [("5.9.0", ("wrong\n", 0)), ("5.24.0", ("right\n", 1)), ("5.24.1", ("right\n", 1)), ("5.100.0", ("right\n", 1))],
)
def test_what_is_repaired_stays_so(version, expected):
    assert read(TEXT).expects({"transformers": version}) == expected


def test_versions_that_a_page_does_not_tell_of():
    page = read(TEXT)
    installed = {"transformers": "5.24.0", "mistral-common": "1.13.1"}
    assert page.untold(installed, {}) == []
    assert page.untold(installed | {"transformers": "5.25.0"}, {}) == ["transformers 5.25.0 (the page: 5.23.0, 5.24.0)"]
    other = installed | {"mistral-common": "2.0"}
    assert page.untold(other, {"mistral-common": {"2.0"}}) == []
    assert page.untold(other, {"mistral-common": {"1.13.1"}}) == ["mistral-common 2.0 (the page: 1.13.1)"]


@pytest.mark.parametrize(
    ("printed", "code", "errors", "told"),
    [
        ("a\nb\n", 0, "a warning", None),
        ("a\nc\n", 0, "", "prints 'c', the page shows 'b'"),
        ("a\n", 1, "Traceback\nImportError: no x\n", "prints 1 lines of 2; on stderr: ImportError: no x"),
        ("a\nb\nc\n", 0, "", "prints 3 lines of 2; on stderr: nothing"),
        ("a\nb\n", 1, "", "prints what the page shows, and ends with 1 instead of 0"),
    ],
)
def test_how_a_script_differs(printed, code, errors, told):
    assert difference(("a\nb\n", 0), printed, code, errors) == told


@pytest.mark.parametrize(
    ("untold", "strict", "ends"),
    [([], False, "failed"), ([], True, "failed"), (["x 2"], True, "failed"), (["x 2"], False, "known")],
)
def test_a_difference_is_forgiven_to_new_versions_alone(untold, strict, ends):
    judge(None, untold, strict)
    expected = pytest.fail.Exception if ends == "failed" else pytest.xfail.Exception
    with pytest.raises(expected, match="prints"):
        judge("prints 'c'", untold, strict)
