"""docs/transcript.md: what a new user types and sees, with the seconds it took: ``python docs/site/transcript.py``.

Follows docs/start.md in an empty folder with nothing but Python and pip, on the wheel that is built of this clone.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT / folder) for folder in ("tests", "tests/plugin")]

from environments import Terminal, build  # noqa: E402
from newcomer import START  # noqa: E402

from pages import Step, steps  # noqa: E402

PAGE = ROOT / "docs" / "transcript.md"
KEPT = 40
"""Lines of an output that are shown; of more, the first and the last."""
INTRODUCTION = """\
# Five minutes, recorded

[Start in five minutes](start.md), as somebody followed it in an empty folder with nothing but Python {python} and pip
({where}): {total:.0f} seconds of waiting, {install:.0f} of them for pip. `python docs/site/transcript.py` does it again
and writes this page; the tests follow the same page in an empty environment. Of pip the last lines are shown, and of
an output of more than {kept} lines the first and the last.
"""


def recorded(terminal: Terminal) -> Iterator[tuple[Step, float]]:
    """Each step, and the seconds that it took."""
    for step in steps(START, terminal.folder, terminal, install=True):
        yield step, 0.0 if step.ran is None else terminal.seconds[-1]


def shown(step: Step, folder: Path) -> str:
    """What stands in the terminal below a command."""
    text = step.printed.replace(str(folder), "~/new").replace(str(folder.resolve()), "~/new")
    lines = [line for line in text.splitlines() if not line.startswith("WARNING: ")]
    if step.block.kind == "install":
        lines = [line if len(line) < 120 else f"{line[:100]} ..." for line in lines[-2:]]
    if len(lines) > KEPT:
        left_out = f"... {len(lines) - KEPT} lines ..."
        lines = [*lines[: KEPT // 2], left_out, *lines[-KEPT // 2 :]]
    return "\n".join(line.rstrip() for line in lines)


def told(step: Step, took: float, folder: Path) -> str:
    """A step as a block of the page."""
    about, language = step.block.about, step.block.language
    if step.ran is None:
        does = {"file": "is written", "append": "gets more lines", "edit": "is edited"}[step.block.kind]
        return f"`{about}` {does}:\n\n<!-- recorded -->\n```{language}\n{step.block.text}```"
    ended = f", exit code {step.ran.returncode}" if step.ran.returncode else ""
    body = f"$ {step.command}\n{shown(step, folder)}".rstrip()
    return f"{took:.1f} s{ended}\n\n<!-- recorded -->\n```text\n{body}\n```"


def page() -> str:
    """Follow the page and write down what happens."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "new"
        folder.mkdir()
        wheels = Path(scratch) / "wheels"
        build(wheels, "--wheel")
        terminal = Terminal(folder, wheels)
        done = list(recorded(terminal))
        install = sum(took for step, took in done if step.block.kind == "install")
        head = INTRODUCTION.format(
            python=platform.python_version(),
            where=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
            total=sum(terminal.seconds),
            install=install,
            kept=KEPT,
        )
        blocks = [told(step, took, folder) for step, took in done]
    return "\n\n".join([head.rstrip(), *blocks]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
