"""``python -m image_spans check``: is the YAML right, and its lock of these subjects? Nothing is loaded or fetched."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from image_spans.commands import exit_code

_EXAMPLES = """\
A lock among the files stands for the YAML beside it.
exit code: 0 all is right, 1 something is wrong, 2 a file is not there
"""


def add_parsers(commands: Any) -> None:
    """Add our command to those of ``python -m image_spans``."""
    parser = commands.add_parser(
        "check",
        help="read the YAML as a run does, and tell whether its lock is of the same subjects; loads no tokenizer",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    default = [Path("tokenizers_under_test.yaml")]
    parser.add_argument("files", nargs="*", type=Path, default=default, metavar="FILE", help=f"default: {default[0]}")
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """The exit code."""
    return exit_code(_check, chosen)


def _check(chosen: argparse.Namespace) -> int:
    wrong = False
    for file in dict.fromkeys(map(_yaml_of, chosen.files)):
        if not file.is_file():
            print(f"{file}: there is no such file", file=sys.stderr)
            return 2
        problems, remarks = judged(file)
        for line in problems:
            print(line)
        for line in remarks:
            print(line)
        wrong = wrong or bool(problems)
    return int(wrong)


def _yaml_of(file: Path) -> Path:
    """The YAML of a lock, so that a hook may be given either."""
    if not file.name.endswith(".lock.json"):
        return file
    stem = file.name.removesuffix(".lock.json")
    found = [file.with_name(stem + suffix) for suffix in (".yaml", ".yml")]
    return next((one for one in found if one.is_file()), found[0])


def judged(file: Path) -> tuple[list[str], list[str]]:
    """What is wrong with a YAML or its lock, and what is worth a remark; lines that begin with the file."""
    from image_spans import config
    from image_spans.errors import ConfigError

    try:
        specs = config.read(file)
        lines = list(_lock(file, specs))
    except ConfigError as error:  # what is TODO has a line each
        return str(error).splitlines(), []
    return [line for wrong, line in lines if wrong], [line for wrong, line in lines if not wrong]


def _lock(file: Path, specs: Sequence[Any]) -> Iterator[tuple[bool, str]]:
    """Whether something is wrong, and a line, of each subject that the lock does not fit."""
    from image_spans.findings import one_line
    from image_spans.lock import store
    from image_spans.lock.record import MADE_OF, entry_digest

    path = store.lock_file(file)
    records = store.read(path, str(path))
    if not records:
        return
    remedy = "pytest --spans-lock=update"
    names = [spec.name for spec in specs]
    for name in records:
        if name not in names:
            yield True, one_line(f"{path}: {name} is recorded, and is not in {file.name}; {remedy}")
    for spec in specs:
        record = records.get(spec.name)
        if record is None:
            reason = spec.missing()  # it may be recorded where it can be had, or nowhere
            why = f" (it cannot be had here: {reason})" if reason else f"; {remedy}"
            yield reason is None, one_line(f"{spec.label}:{spec.line}: {spec.name} is not recorded in {path.name}{why}")
        elif record[MADE_OF].get("entry") != entry_digest(spec):
            what = f"the tokenizer of {spec.name} is another one than in {path.name}"
            yield True, one_line(f"{spec.label}:{spec.line}: {what}; {remedy}")
