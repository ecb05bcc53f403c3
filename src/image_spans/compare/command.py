"""``python -m image_spans compare``: what the arguments mean."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    from image_spans.compare.differences import Comparison
    from image_spans.compare.walk import Walk
    from image_spans.compare.worlds import Tell, World
    from image_spans.config import SubjectSpec

_EXAMPLES = """\
examples:
  compare --with transformers==4.57.6                 what is installed here against another version
  compare --with transformers --against transformers==5.0.0    the newest release against that one
  compare --walk transformers==5.0.0..5.23.0          when did each behaviour change, and change back?
  compare qwen-old qwen-new                           two subjects of the file, in this environment
  compare --subjects new.yaml --against-subjects old.yaml      two files, in this environment
  compare --locks old.json new.json --format md       two lock files, for a pull request

exit code: 0 the same, 1 different, 2 could not be compared
"""


FORMATS = ("text", "md", "json")


def add_parsers(commands: Any) -> None:
    """Add our commands to those of ``python -m image_spans``."""
    from image_spans.compare import recorder

    parser = commands.add_parser(
        "compare",
        help="what behaves differently in two environments, files, subjects or releases",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("pair", nargs="*", metavar="SUBJECT", help="two subjects to compare with each other, before and after")
    add("--with", dest="with_", action="append", default=[], metavar="REQ", help="a requirement of the world after")
    add("--against", action="append", default=[], metavar="REQ", help="of the world before; default: as installed here")
    add("--walk", metavar="NAME==A..B", help="record every release from A to B (or NAME==A,B,C)")
    add("--every", type=int, metavar="N", help="a walk tries up to N releases all, of more it bisects (default: 16)")
    add("--locks", nargs=2, type=Path, metavar=("OLD", "NEW"), help="compare two lock files")
    add("--subjects", type=Path, default=Path("tokenizers_under_test.yaml"), metavar="FILE")
    add("--against-subjects", type=Path, metavar="FILE", help="the file before, with subjects of the same names")
    add("-k", dest="expression", metavar="EXPR", help="only subjects whose names fit, such as 'mistral and not bos'")
    add(
        "--require",
        action="append",
        default=[],
        metavar="REQ",
        help="what else to install, such as what pipelines need",
    )
    add("--path", action="append", default=[], metavar="FOLDER", help="a folder to import from, with code of your own")
    add("--no-checks", action="store_true", help="compare the records alone; much faster")
    add("--profile", metavar="NAME", help="Hypothesis profile of the checks (default: spans-ci)")
    add("--fresh", action="store_true", help="build the environments anew")
    add("--format", choices=FORMATS, default="text")
    parser.set_defaults(run=run)
    hidden = commands.add_parser("_record", description=recorder.DESCRIPTION)
    recorder.add_arguments(hidden)


def run(chosen: argparse.Namespace) -> int:
    """The exit code."""
    from image_spans.compare import render
    from image_spans.errors import ConfigError, Unavailable

    try:
        _refuse_contradictions(chosen)
        with _progress() as tell:
            if chosen.walk is not None:
                walked = _walk(chosen, tell)
                text, code = render.walk(walked, chosen.format), walked.exit_code
            else:
                compared = _compare(chosen, tell)
                text, code = render.comparison(compared, chosen.format), compared.exit_code
    except (ConfigError, Unavailable) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; environments that were built are kept", file=sys.stderr)
        return 130
    sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
    sys.stdout.flush()
    return code


def _refuse_contradictions(chosen: argparse.Namespace) -> None:
    from image_spans.errors import ConfigError

    ways = {
        "--walk": chosen.walk is not None,
        "--locks": chosen.locks is not None,
        "two subjects": bool(chosen.pair),
        "--against": bool(chosen.against),
        "--against-subjects": chosen.against_subjects is not None,
    }
    given = [way for way, is_given in ways.items() if is_given]
    if len(given) > 1:
        raise ConfigError(f"{' and '.join(given)} cannot be combined")
    if chosen.with_ and given and given[0] not in ("--walk", "--against"):
        raise ConfigError(f"--with and {given[0]} cannot be combined")
    if not given and not chosen.with_:
        raise ConfigError(
            "nothing to compare: give --with, --against, --walk, --locks, --against-subjects or two subjects"
        )
    if chosen.pair and len(chosen.pair) != 2:
        raise ConfigError(f"expected two subjects, found {len(chosen.pair)}")
    if chosen.pair and chosen.expression is not None:
        raise ConfigError("-k and two subjects cannot be combined")
    if chosen.every is not None and (chosen.walk is None or chosen.every < 2):
        raise ConfigError("--every takes a number from 2, and goes with --walk")


@contextmanager
def _progress() -> Iterator[Tell]:
    """Says on stderr what is done: in one line that changes on a terminal, else line by line."""
    if not sys.stderr.isatty():
        yield lambda text: print(text, file=sys.stderr, flush=True)
        return
    from rich.console import Console
    from rich.markup import escape

    with Console(stderr=True).status("") as status:
        yield lambda text: status.update(escape(text))


def _compare(chosen: argparse.Namespace, tell: Tell) -> Comparison:
    from dataclasses import replace

    from image_spans.compare import locks, own, worlds
    from image_spans.compare.differences import compared
    from image_spans.compare.run import outcome

    if chosen.locks is not None:
        return locks.comparison(*chosen.locks)
    options: Any = {"checks": not chosen.no_checks, "profile": chosen.profile}
    path = [str(Path(folder).resolve()) for folder in chosen.path]
    here = worlds.here((str(own.folder()), *path))
    if chosen.pair:
        specs = _specs(chosen.subjects, None)
        one, other = (_named(name, specs) for name in chosen.pair)
        found = outcome(here, chosen.subjects, list(dict.fromkeys((one, other))), tell, **options)
        left, right = replace(found, label=one), replace(found, label=other)
        return compared(left, right, [(one, other)])
    if chosen.against_subjects is not None:
        before, after = (
            outcome(replace(here, label=str(file)), file, _names(_specs(file, chosen.expression)), tell, **options)
            for file in (chosen.against_subjects, chosen.subjects)
        )
        return compared(before, after)
    specs = _specs(chosen.subjects, chosen.expression)
    overrides = [_pinned(texts) for texts in (chosen.against, chosen.with_)]
    _fetch(specs, tell)
    worlds_ = [_world(chosen, one, tell) for one in overrides]  # both, before the slow part begins
    before, after = (outcome(world, chosen.subjects, _names(specs), tell, **options) for world in worlds_)
    return compared(before, after)


def _walk(chosen: argparse.Namespace, tell: Tell) -> Walk:
    from image_spans.compare import walk, worlds
    from image_spans.compare.run import Outcome, outcome
    from image_spans.errors import Unavailable

    options: Any = {"checks": not chosen.no_checks, "profile": chosen.profile}
    specs = _specs(chosen.subjects, chosen.expression)
    name, releases = walk.wanted(chosen.walk, worlds.releases)
    fixed = _pinned(chosen.with_)
    _fetch(specs, tell)

    def ask(release: str) -> Outcome | str:
        try:
            world = _world(chosen, [worlds.requirement(f"{name}=={release}"), *fixed], tell)
            return outcome(world, chosen.subjects, _names(specs), tell, **options)
        except Unavailable as error:
            return str(error)

    # Releases that were named one by one are all wanted.
    return walk.walk(name, releases, ask, chosen.every or (walk.EVERY if ".." in chosen.walk else len(releases)))


def _specs(file: Path, expression: str | None) -> list[SubjectSpec]:
    from image_spans import config
    from image_spans.compare.selection import chosen

    specs = config.read(file)
    names = chosen([spec.name for spec in specs], expression)
    return [spec for spec in specs if spec.name in names]


def _names(specs: Sequence[SubjectSpec]) -> list[str]:
    return [spec.name for spec in specs]


def _named(name: str, specs: Sequence[SubjectSpec]) -> str:
    from image_spans.errors import ConfigError, nearest

    known = _names(specs)
    if name not in known:
        raise ConfigError(f"there is no subject {name!r}{nearest(name, known)}")
    return name


def _pinned(texts: Sequence[str]) -> list[Requirement]:
    from image_spans.compare import worlds

    return [worlds.pinned(worlds.requirement(text), worlds.releases) for text in texts]


def _fetch(specs: Sequence[SubjectSpec], tell: Tell) -> None:
    """Fetch what is not in the cache; a subject whose source cannot be had says so itself, in each world."""
    from image_spans.errors import ConfigError, Unavailable

    for spec in specs:
        try:
            if spec.fetch():
                tell(f"{spec.name}: fetched")
        except (ConfigError, Unavailable) as error:
            tell(f"{spec.name}: {error}")


def _world(chosen: argparse.Namespace, overrides: Sequence[Requirement], tell: Tell) -> World:
    from image_spans.compare import worlds

    # For all subjects of the file, so that -k finds the same environment again.
    specs = _specs(chosen.subjects, None)
    further = [worlds.requirement(text) for text in chosen.require]
    path = [str(Path(folder).resolve()) for folder in chosen.path]
    label = worlds.named(overrides) or "as installed here"
    return worlds.build(label, worlds.needed(specs, overrides, further), path, tell, fresh=chosen.fresh)
