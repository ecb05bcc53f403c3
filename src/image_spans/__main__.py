"""``python -m image_spans``: what is done outside of pytest."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from image_spans import yaml_check
from image_spans.compare import command
from image_spans.init import command as init
from image_spans.scan import command as scan
from image_spans.schemas import command as schemas
from image_spans.show import command as show


def parser() -> argparse.ArgumentParser:
    """All commands; what is parsed has the function ``run``, which takes it."""
    whole = argparse.ArgumentParser(prog="python -m image_spans", description=__doc__)
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    fetch = commands.add_parser("fetch", help="fetch the tokenizers that a run of pytest does not fetch itself")
    fetch.add_argument("--subjects", type=Path, default=Path("tokenizers_under_test.yaml"), metavar="FILE")
    fetch.set_defaults(run=_fetch)
    command.add_parsers(commands)
    scan.add_parsers(commands)
    init.add_parsers(commands)
    show.add_parsers(commands)
    yaml_check.add_parsers(commands)
    schemas.add_parsers(commands)
    return whole


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code."""
    chosen = parser().parse_args(arguments)
    code: int = chosen.run(chosen)
    return code


def _fetch(chosen: argparse.Namespace) -> int:
    """0: all is there; 2: something could not be had."""
    from image_spans import config
    from image_spans.errors import ConfigError, Unavailable

    failed = False
    try:
        specs = config.read(chosen.subjects)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    for spec in specs:
        try:
            fetched = spec.fetch()
        except (ConfigError, Unavailable) as error:
            print(f"{spec.name}: failed: {error}", file=sys.stderr)
            failed = True
            continue
        reason = spec.missing()
        print(f"{spec.name}: {'fetched' if fetched else reason or 'there'}")
    return 2 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
