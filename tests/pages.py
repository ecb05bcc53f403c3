"""Pages of the documentation: their code blocks, each with the comment in front of it that says what it is.

========================  ==============================================================================
``file: NAME``            a file of the page's folder
``append: NAME``          what is put behind a file that is there
``edit: NAME``            a diff of a file that is there; its lines stand there once
``run`` or ``run: CODE``  a command, typed in the folder; it ends with CODE (0)
``install``               a command that installs the project, typed where an environment of its own is made for that
``output``                stands in what the last command prints
``subjects``              a YAML whose subjects are loaded and green
``read``, ``entry``       a YAML, or keys of a subject, that names files of the reader's: it is read, and no more
``commands``              commands whose arguments are read
``generated``             written by a script, and compared with what it writes
``recorded``              what somebody saw on one day
``compared: TEST``        compared by that test
``not run: REASON``       read by people alone
========================  ==============================================================================
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"(?:^<!-- ([^\n]+?) -->\n)?^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SECONDS = 60


@dataclass(frozen=True)
class Block:
    """A fenced block; ``kind`` is the first part of its comment, ``about`` what stands behind it."""

    kind: str
    about: str
    language: str
    text: str

    @property
    def ran(self) -> bool:
        """Whether it holds commands that are typed."""
        return self.kind in ("run", "install")


def read(page: Path) -> list[Block]:
    """The blocks of a page in order; without a comment the kind is empty."""
    found = []
    for comment, language, text in FENCE.findall(page.read_text(encoding="utf-8")):
        kind, _, about = comment.partition(": ")
        found.append(Block(kind, about, language, text))
    return found


def named(page: Path, kind: str) -> dict[str, str]:
    """The blocks of one kind by what they are about."""
    found = [(block.about, block.text) for block in read(page) if block.kind == kind]
    assert len(dict(found)) == len(found), "two blocks of one name"
    return dict(found)


def block(page: Path, comment: str) -> str:
    """The text of the block with this comment."""
    found = [one.text for one in read(page) if comment == (f"{one.kind}: {one.about}" if one.about else one.kind)]
    assert found, f"{page.name} has no block {comment!r}"
    return found[0]


def changed(text: str, diff: str) -> str:
    """The text with the lines of a diff changed; they stand there once."""
    lines = diff.splitlines(keepends=True)
    before = "".join(line[1:] for line in lines if line[0] in " -")
    after = "".join(line[1:] for line in lines if line[0] in " +")
    assert text.count(before) == 1
    return text.replace(before, after)


def typed(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as somebody would in the folder, with the plugin as if it were installed, and few draws."""
    words = shlex.split(command)
    if words[0] == "pytest":
        words = ["python", "-m", *words]
    assert words[0] == "python", f"only python and pytest are run, not {words[0]}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_", "CI"))}
    environment = {
        **kept,
        "PYTHONPATH": os.pathsep.join([str(folder / "src"), str(ROOT / "src")]),
        "PYTEST_ADDOPTS": " ".join(
            ["-p image_spans.plugin -p no:cacheprovider", "--hypothesis-profile=spans-dev --hypothesis-seed=0"]
        ),
        "PYTHONUTF8": "1",
        "COLUMNS": "120",
        "HF_HUB_OFFLINE": "1",
    }
    return subprocess.run(
        [sys.executable, *words[1:]],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=SECONDS,
    )


Typed = Callable[[str, Path], "subprocess.CompletedProcess[str]"]
"""A command and the folder, to how it ended."""


@dataclass(frozen=True)
class Step:
    """What following a page did: a file was written or changed, or a command was typed."""

    block: Block
    command: str = ""
    ran: subprocess.CompletedProcess[str] | None = None

    @property
    def printed(self) -> str:
        return "" if self.ran is None else self.ran.stdout + self.ran.stderr


def steps(page: Path, folder: Path, typed: Typed = typed, *, install: bool = False) -> Iterator[Step]:
    """Do in a folder what a page says, from top to bottom.

    Args:
        page: what is followed.
        folder: where.
        typed: how a command is typed.
        install: whether the page's own commands that install the project are typed too.

    Raises:
        AssertionError: a command ends otherwise, or does not print what the page shows.
    """
    printed = ""
    for one in read(page):
        file = folder / one.about
        if one.kind in ("file", "append", "edit"):
            file.parent.mkdir(parents=True, exist_ok=True)
            before = "" if one.kind == "file" else file.read_text(encoding="utf-8")
            file.write_text(changed(before, one.text) if one.kind == "edit" else before + one.text, encoding="utf-8")
            yield Step(one)
        elif one.ran and (install or one.kind != "install"):
            for command in one.text.splitlines():
                step = Step(one, command, typed(command, folder))
                printed = step.printed
                assert step.ran is not None
                assert step.ran.returncode == int(one.about or 0), (
                    f"{command} ends with {step.ran.returncode}:\n{printed}"
                )
                yield step
        elif one.kind == "output":
            assert one.text.rstrip() in printed, f"the page shows\n{one.text}\nand what is printed is\n{printed}"


def follow(page: Path, folder: Path, typed: Typed = typed) -> int:
    """Do in a folder what a page says; returns how many commands were typed. Raises as :func:`steps`."""
    return sum(step.ran is not None for step in steps(page, folder, typed))
