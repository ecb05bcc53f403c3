"""``python -m image_spans init``: what the arguments mean."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from image_spans.init.entry import Proposal

_EXAMPLES = """\
SOURCE is one of
  ./checkpoint                     a folder with a tokenizer, and the configurations beside it
  ./tokenizer.json                 a file: tokenizer.json, tekken.json, *.model or *.tiktoken
  ORG/NAME@COMMIT                  a repository on the hub at a full commit; its tokenizer files are fetched
  package:NAME, package:NAME/FILE  the tokenizer file that an installed package ships, or one of several

What cannot be decided is a value TODO in the YAML; no run accepts it before it is answered.
exit code: 0 written or printed, 2 the source cannot be had, or the file is there already (it is never touched)
"""


def add_parsers(commands: Any) -> None:
    """Add our command to those of ``python -m image_spans``."""
    parser = commands.add_parser(
        "init",
        help="probe a tokenizer and write a YAML for it, what was found out as comments",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("source", metavar="SOURCE", help="where the tokenizer is, see below")
    add("--processor", metavar="MODULE:CLASS", help="test a processor with it, such as transformers:Qwen2VLProcessor")
    add("--name", metavar="SUBJECT", help="what the subject is called (default: from SOURCE)")
    add("--output", type=Path, metavar="FILE", help="the file to write (default: tokenizers_under_test.yaml)")
    add("--print", dest="prints", action="store_true", help="print the YAML instead of writing it")
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """The exit code."""
    from image_spans.errors import ConfigError, Unavailable

    try:
        return _init(chosen)
    except (ConfigError, Unavailable) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
    except OSError as error:  # a file or folder of the source that cannot be read
        what = "standard output cannot be written" if error.filename is None else f"{error.filename!r} cannot be read"
        print(f"{what}: {error.strerror}", file=sys.stderr)
    return 2


def _init(chosen: argparse.Namespace) -> int:
    from image_spans.config import DEFAULT_FILE
    from image_spans.init import make, render, write

    output = chosen.output or Path(DEFAULT_FILE)
    if not chosen.prints:
        write.refuse_existing(output)
    proposal = make.proposal(chosen.source, output.absolute().parent, chosen.processor, chosen.name)
    text = render.document(proposal)
    write.check(text)
    if chosen.prints:
        write.show(text)
        return 0
    write.create(output, text)
    write.show(_next(output, proposal, chosen.output is not None))
    return 0


def _next(output: Path, proposal: Proposal, is_named: bool) -> str:
    """What to do next, in two lines."""
    todos = len(proposal.todos())
    open_ = f"answer its {todos} TODO" if todos > 1 else "answer its TODO" if todos else "read what is proposed"
    own = (
        ""
        if proposal.entry["pipeline"]["encode"] == "processor"
        else ", and put your own module:function under pipeline"
    )
    return (
        f"Wrote {output}: {open_}{own}.\nThen run: {f'pytest {shlex.quote(str(output))}' if is_named else 'pytest'}\n"
    )
