"""``python -m image_spans show``: what the arguments mean."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from image_spans.commands import exit_code

if TYPE_CHECKING:
    from rich.console import Console

_EXAMPLES = """\
examples:
  show my-model 'user: <image 449x449> What is this?'
  show my-model 'user: <image 640x480>' 'assistant: A cat.' 'user: And this? <image 32x32>'
  show my-model "Conversation([Message('user', [Image(1, 1), Text('a')])])"      as a failure prints it
  head -1 train.jsonl | python -m image_spans show my-model - --images data/images

exit code: 0 every check that judges holds, 1 a finding, 2 something could not be read
"""
_WIDTH = 110
"""Columns where the output is no terminal."""


def add_parsers(commands: Any) -> None:
    """Add our command to those of ``python -m image_spans``."""
    parser = commands.add_parser(
        "show",
        help="show one conversation: its ids as a strip, and what each check says of it",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("subject", metavar="SUBJECT", help="whose pipeline and contract")
    add(
        "turns",
        nargs="+",
        metavar="TURN",
        help="'role: text', where <image WIDTHxHEIGHT> is an image; or one Conversation([...]), or one row of "
        "training data as JSON; - reads standard input",
    )
    add("--subjects", type=Path, default=Path("tokenizers_under_test.yaml"), metavar="FILE")
    add("--images", type=Path, metavar="FOLDER", help="where the image paths of a row begin (default: here)")
    add("--timeout", type=float, default=60.0, metavar="SECONDS", help="what one call of the pipeline may take")
    add("--html", nargs="?", const="", metavar="FILE", help="also write one page of HTML (default: SUBJECT.html)")
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """The exit code."""
    return exit_code(_show, chosen)


def _show(chosen: argparse.Namespace) -> int:
    from image_spans.config import load_subject
    from image_spans.engine import Engine
    from image_spans.errors import ConfigError
    from image_spans.exhibit import exhibit
    from image_spans.foreign import Foreign
    from image_spans.show import parse, render
    from image_spans.show.judge import verdicts

    if not chosen.timeout >= 0:
        raise ConfigError(f"--timeout takes a number from 0, not {chosen.timeout}")
    if chosen.images is not None and not chosen.images.is_dir():
        raise ConfigError(f"--images: there is no folder {chosen.images}")
    file = _html_file(chosen)
    subject = load_subject(chosen.subject, chosen.subjects)
    given = chosen.turns
    if given == ["-"]:
        text = sys.stdin.buffer.read().decode("utf-8-sig", "surrogateescape").replace("\r\n", "\n")
        given = parse.turns(text, subject.contract)
        if not given:
            raise ConfigError("standard input is empty; expected a conversation")
    conversation, notes = parse.conversation(given, subject.contract, chosen.images)
    engine = Engine(1, 0, foreign=Foreign(chosen.timeout))
    case = engine.bench(subject).case(conversation)
    said = verdicts(engine, subject, case)
    fault = next((one.finding for one in said if one.finding and one.finding.conversation == conversation), None)
    at, expected = (fault.at, fault.expected) if fault is not None else (None, "")
    drawn = engine.foreign.call(lambda: f"drawing {conversation!r}", exhibit, case, at, expected)
    console = _console()
    title = f"{subject.name}, {subject.tokenizer.library}"
    for line in render.lines(title, drawn, said, console.width if console.is_terminal else _WIDTH):
        console.print(line)
    for note in notes:
        console.print(f"  note            {note}", markup=False)
    if file is not None:
        _write(file, title, conversation, drawn, said)
        console.print(f"  written         {file}", markup=False)
    return int(any(one.status == "finding" for one in said))


def _console() -> Console:
    """The terminal; where nobody reads on, that is told as by every other command: rich ends with 1, a finding."""
    from rich import console

    class Terminal(console.Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    return Terminal(highlight=False, soft_wrap=True)


def _html_file(chosen: argparse.Namespace) -> Path | None:
    """The file of ``--html``, which can be written."""
    if chosen.html is None:
        return None
    from image_spans.html import GENERATOR, require
    from image_spans.ledger import file_to_write, refuse_to_replace

    require("--html")
    name = chosen.html or f"{chosen.subject}.html"
    path = file_to_write("--html", name, Path())
    refuse_to_replace("--html", path, GENERATOR)
    return Path(name)


def _write(file: Path, title: str, conversation: Any, drawn: Any, said: Any) -> None:
    from image_spans import discovery
    from image_spans.errors import ConfigError
    from image_spans.files import write_whole
    from image_spans.html.render import document

    text = document(
        "conversation.html",
        name=title,
        exhibit=drawn,
        verdicts=said,
        code=ascii(conversation),
        versions=discovery.versions(),
    )
    try:
        write_whole(file, text)
    except OSError as error:
        raise ConfigError(f"--html {file}: cannot be written: {error.strerror}") from None
