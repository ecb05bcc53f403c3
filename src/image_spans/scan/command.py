"""``python -m image_spans scan``: what the arguments mean."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from image_spans.commands import exit_code

if TYPE_CHECKING:
    from image_spans.scan.judge import Judge, Judged, Options, Problem
    from image_spans.scan.loop import Part, Wanted
    from image_spans.scan.tally import Tally
    from image_spans.scan.workers import Recipe

_EXAMPLES = """\
examples:
  scan train.json --subject minicpm-v                    every row, by the subject's pipeline and checks
  scan a.jsonl.gz b.parquet --subject qwen --images /data/images --max-length 4096
  scan train.json --subject qwen --sample 1000 --seed 1 --format md
  scan train.json --subject qwen --fail-on image --fail-on spans.matched    only these end with 1

exit code: 0 clean, 1 findings, 2 something could not be read; 130 and 143 stopped by Ctrl-C and SIGTERM
"""

Progress = Callable[[int, int], None]
"""Is told bytes and rows that are done."""


def add_parsers(commands: Any) -> None:
    """Add our command to those of ``python -m image_spans``."""
    parser = commands.add_parser(
        "scan",
        help="judge training data before training: every row of files, by a subject's pipeline and checks",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("data", nargs="+", type=Path, metavar="DATA", help="JSON, JSON lines, Parquet, or a folder saved by datasets")
    add("--subject", required=True, metavar="NAME", help="whose contract and pipeline judge")
    add("--subjects", type=Path, default=Path("tokenizers_under_test.yaml"), metavar="FILE")
    add("--data-format", metavar="NAME", help="what rows mean, instead of finding it out row by row")
    add("--tag", help="what stands for an image in text (default: the contract's literals.tag, or <image>)")
    add("--role", action="append", default=[], metavar="DATA=CONTRACT", help="a role of the data under another name")
    add("--images", type=Path, metavar="FOLDER", help="where image paths begin (default: the data file's folder)")
    add("--max-length", type=int, metavar="N", help="tell which samples have more ids")
    add("--checks", action="append", default=[], metavar="NAME", help="checks or groups, instead of all for one sample")
    add("--timeout", type=float, default=60.0, metavar="SECONDS", help="what one call of the pipeline may take")
    add("--sample", type=int, metavar="N", help="only N rows, chosen at random")
    add("--seed", type=int, default=0, metavar="S", help="chooses other rows (default: 0)")
    add("--workers", type=int, metavar="N", help="judge in N processes (default: 1); the report is the same")
    add(
        "--ray",
        metavar="ADDRESS",
        help="judge on a cluster of Ray, with as many judges as it has CPUs; local: start one",
    )
    add("--fail-on", action="append", default=[], metavar="CAUSE", help="exit with 1 for these alone")
    add("--limit-findings", type=int, default=20, metavar="N", help="tell N per cause in full; 0: all (default: 20)")
    add("--format", choices=("text", "md", "json", "jsonl"), default="text")
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """The exit code."""
    return exit_code(_scan, chosen)


def _scan(chosen: argparse.Namespace) -> int:
    from image_spans.scan import loop, render
    from image_spans.scan.tally import Tally
    from image_spans.scan.workers import Recipe

    options = _options(chosen)
    for cause in chosen.fail_on:
        _refuse_unknown(cause)
    recipe = Recipe(chosen.subject, chosen.subjects, options)
    judge = recipe.judge()
    streams = chosen.format == "jsonl"
    tally = Tally(chosen.limit_findings, keeps=not streams)
    stop = loop.Stop()
    write = _writer()

    def found(problems: Sequence[Problem]) -> None:
        if streams:
            write("".join(render.line(problem) for problem in problems))

    with stop.listening():
        files = loop.parts(chosen.data, tally)
        try:
            with stop.judging():
                wanted = None if chosen.sample is None else loop.sampled(files, chosen.sample, chosen.seed)
            broken = judge.subject_itself()  # then the data alone is looked at
            if broken:
                found(tally.add_problems(broken))
            with _progress(files) as tell:
                judging = _judging(chosen, recipe, judge, with_checks=not broken)
                with closing(judging(files, tally, wanted, lambda done: tell(done, tally.rows))) as verdicts:
                    loop.scan(verdicts, tally, stop, found)
        except KeyboardInterrupt:
            if stop.by is None:
                raise
            tally.stopped = stop.by.name
    write(render.report(tally, judge.subject.name, chosen.max_length, chosen.format))
    if not tally.rows and not tally.unread and tally.stopped is None:
        print("no row was read, so nothing was judged", file=sys.stderr)
        return 2
    if stop.by is not None:
        return 128 + stop.by
    if tally.unread:
        return 2
    return int(any(not chosen.fail_on or _is_of(cause, chosen.fail_on) for cause in tally.samples))


def _options(chosen: argparse.Namespace) -> Options:
    from image_spans.config import DEFAULT_FILE
    from image_spans.errors import ConfigError
    from image_spans.scan import formats
    from image_spans.scan.judge import Options

    if chosen.data_format is not None:
        formats.module(chosen.data_format)
    roles = []
    for text in chosen.role:
        data, sign, own = text.partition("=")
        if not (data and sign and own):
            raise ConfigError(f"--role {text!r} is not of the form DATA=CONTRACT, such as human=user")
        roles.append((data, own))
    for option, value, least in (
        ("--max-length", chosen.max_length, 1),
        ("--sample", chosen.sample, 1),
        ("--workers", chosen.workers, 1),
        ("--limit-findings", chosen.limit_findings, 0),
        ("--timeout", chosen.timeout, 0),
    ):
        if value is not None and not value >= least:
            raise ConfigError(f"{option} takes a number from {least}, not {value}")
    if chosen.tag == "":
        raise ConfigError("--tag is empty")
    if chosen.images is not None and not chosen.images.is_dir():
        raise ConfigError(f"--images: there is no folder {chosen.images}")
    return Options(
        tag=chosen.tag,
        data_format=chosen.data_format,
        images=chosen.images,
        roles=tuple(roles),
        max_length=chosen.max_length,
        checks=tuple(chosen.checks),
        timeout=chosen.timeout,
        subjects=None if str(chosen.subjects) == DEFAULT_FILE else chosen.subjects,
    )


Judging = Callable[
    [Sequence["Part"], "Tally", "Wanted | None", Callable[[int], None]],
    "Generator[Judged, None, None]",
]
"""From files, the tally of the scan, the rows that are wanted and who is told of bytes, to verdicts."""


def _judging(chosen: argparse.Namespace, recipe: Recipe, judge: Judge, *, with_checks: bool) -> Judging:
    """Who judges the rows of files: this process, others of this machine, or a cluster."""
    from image_spans.scan import loop
    from image_spans.scan.judge import judged
    from image_spans.scan.workers import Pool

    def here(files: Sequence[Part], tally: Tally, *which: Any) -> Generator[Judged, None, None]:
        rows = loop.rows(files, tally, *which)
        if chosen.workers in (None, 1):
            yield from (judged(judge, row, with_checks=with_checks) for row in rows)
            return
        with Pool(chosen.workers, recipe, with_checks=with_checks, ended=tally.ended.append) as pool:
            yield from pool.judge(rows)

    if chosen.ray is None:
        return here
    from image_spans.scan.cluster import Cluster

    return Cluster(chosen.ray, recipe, chosen.workers, with_checks).judge


def _refuse_unknown(cause: str) -> None:
    from image_spans import checks
    from image_spans.errors import ConfigError, nearest
    from image_spans.scan.causes import REMEDIES

    known = [*REMEDIES, *checks.checks(), *{one.group for one in checks.checks().values()}]
    if not any(_is_of(one, [cause]) for one in known) and cause.partition("/")[0] not in known:
        raise ConfigError(f"--fail-on: unknown cause {cause!r}{nearest(cause, known)}")


def _is_of(cause: str, patterns: Sequence[str]) -> bool:
    """Whether a cause is one of these, or of a group: ``image``, ``spans``, ``spans.matched``."""
    return any(cause == pattern or cause.startswith(tuple(pattern + sign for sign in "-./")) for pattern in patterns)


def _writer() -> Callable[[str], None]:
    """Writes to what stdout is now: what libraries print later is kept out of a report that others parse."""
    stream = sys.stdout

    def write(text: str) -> None:
        stream.buffer.write(text.encode("utf-8", "backslashreplace"))
        stream.flush()

    return write


@contextmanager
def _progress(files: Sequence[Part]) -> Iterator[Progress]:
    """On a terminal a bar over the bytes, with rows and their rate; else nothing."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[told]}"), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=sum(part.size for part in files) or None, told="")

        def tell(done: int, rows: int) -> None:
            elapsed = bar.tasks[0].elapsed or 0.0
            rate = f", {rows / elapsed:,.0f} rows/s" if elapsed else ""
            bar.update(task, completed=done, told=f"{rows:,} rows{rate}")

        yield tell
