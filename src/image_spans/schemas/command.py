"""``python -m image_spans schema``: what the arguments mean."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from image_spans.commands import exit_code
from image_spans.schemas import FILES, text

_EXAMPLES = """\
An editor with the YAML language server completes and checks a YAML with a comment at its top that names the schema:
  python -m image_spans schema > subjects-1.json
  # yaml-language-server: $schema=subjects-1.json
"""


def add_parsers(commands: Any) -> None:
    """Add our command to those of ``python -m image_spans``."""
    parser = commands.add_parser(
        "schema",
        help="print the JSON Schema of the YAML, of the lock, or of a line of --spans-findings",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", choices=list(FILES), default="subjects", help="default: subjects")
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """The exit code."""
    return exit_code(_schema, chosen)


def _schema(chosen: argparse.Namespace) -> int:
    sys.stdout.write(text(chosen.name))
    sys.stdout.flush()
    return 0
