"""The report of a scan: text, Markdown, JSON, or JSON lines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from image_spans.findings import one_line
from image_spans.scan.judge import Problem
from image_spans.scan.tally import Tally

FORMATS = ("text", "md", "json", "jsonl")


def report(tally: Tally, subject: str, max_length: int | None, form: str) -> str:
    """The whole report; under ``jsonl`` only its last line, since problems are written as they are found."""
    summary = {"subject": subject, **tally.plain(max_length)}
    if form == "json":
        findings = [plain(problem) for problem in tally.problems]
        return json.dumps({"findings": findings, "summary": summary}, indent=1) + "\n"
    if form == "jsonl":
        return json.dumps({"summary": summary}) + "\n"
    return (_markdown if form == "md" else _text)(tally.problems, summary)


def line(problem: Problem) -> str:
    """A problem as a line of JSON."""
    return json.dumps(plain(problem)) + "\n"


def plain(problem: Problem) -> dict[str, Any]:
    """A problem as plain data, without what is empty."""
    return {key: value for key, value in asdict(problem).items() if value not in (None, "")}


def _where(problem: Problem) -> str:
    turn = "" if problem.turn is None else f"  turn {problem.turn}"
    return f"{one_line(problem.place) or 'the subject itself'}{turn}  {one_line(problem.cause)}"


def _text(problems: Sequence[Problem], summary: Mapping[str, Any]) -> str:
    lines = []
    for problem in problems:
        lines += [_where(problem), f"  {problem.message}"]
        if problem.sentence:
            lines.append(f"  Cause    {problem.sentence}")
        if problem.strip is not None:
            lines += [f"  Ids      {problem.strip[0]}", f"           {problem.strip[1]}"]
        lines.append(f"  Remedy   {problem.remedy}")
        if problem.python:
            lines.append(f"  Python   {problem.python}")
        lines.append("")
    width = max((len(cause) for cause in summary["causes"]), default=0)
    lines += [_headline(summary)]
    for cause, found in summary["causes"].items():
        first = one_line(found["first"])
        lines.append(f"  {one_line(cause):<{width}}  {found['rows']:>7,}" + (f"  first {first}" if first else ""))
    lines += [f"{name:<8} {told}" for name, told in _facts(summary)]
    return "\n".join(lines) + "\n"


def _markdown(problems: Sequence[Problem], summary: Mapping[str, Any]) -> str:
    lines = [f"**{_cell(_headline(summary))}**", ""]
    if summary["causes"]:
        lines += ["| cause | rows | first |", "|---|--:|---|"]
        for cause, found in summary["causes"].items():
            lines.append(f"| `{_cell(cause)}` | {found['rows']:,} | {_cell(found['first'])} |")
        lines.append("")
    lines += [f"- {name}: {_cell(told)}" for name, told in _facts(summary)]
    if problems:
        lines += ["", "| where | turn | cause | what | remedy |", "|---|--:|---|---|---|"]
    for problem in problems:
        turn = "" if problem.turn is None else str(problem.turn)
        what = f"{problem.message}; {problem.sentence}" if problem.sentence else problem.message
        cells = (problem.place or "the subject itself", turn, f"`{problem.cause}`", what, problem.remedy)
        lines.append(f"| {' | '.join(map(_cell, cells))} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return one_line(text).replace("|", "\\|").replace("<", "&lt;")


def _headline(summary: Mapping[str, Any]) -> str:
    bad, rows = summary["rows_with_problems"], summary["rows"]
    told = f"{bad:,} of {rows:,} rows have findings" if bad else f"no findings in {rows:,} rows"
    return one_line(f"{summary['subject']}: {told}")


def _facts(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the summary says besides causes: a name and a sentence each."""
    lengths, images = summary["lengths"], summary["images"]
    facts = []
    formats = ", ".join(f"{name} {count:,}" for name, count in summary["formats"].items())
    facts.append(
        ("rows", f"{formats or 'none understood'}; {summary['judged_by_the_pipeline']:,} judged by the pipeline")
    )
    if lengths["number"]:
        told = f"{_spread(lengths)} ids"
        if lengths["max_length"] is not None:
            told += f"; {lengths['longer']:,} over max_length {lengths['max_length']:,}"
        facts.append(("lengths", told))
    if images["number"]:
        sizes = [f"{width}x{height}" for width, height in (images["smallest"], images["largest"])]
        facts.append(("images", f"{images['number']:,}, {' to '.join(dict.fromkeys(sizes))}"))
    if images["tiles"]:
        tiles = ", ".join(f"{count:,} into {tiles}" for tiles, count in images["tiles"].items() if tiles != "0")
        facts.append(("slices", f"{images['sliced']:,} of the images" + (f": {tiles} tiles" if tiles else "")))
    if images["tokens"]["number"]:
        facts.append(("tokens", f"{_spread(images['tokens'])} placeholders per image"))
    if summary["rows_with_literal_markers"]:
        facts.append(("literals", f"rows whose text spells markers: {summary['rows_with_literal_markers']:,}"))
    facts += [("UNREAD", one_line(f"{one['file']}: {one['why']}")) for one in summary["unread"]]
    if summary["workers_ended"]:
        ended = ", ".join(summary["workers_ended"])
        facts.append(
            ("ENDED", f"{len(summary['workers_ended'])} processes, which {ended}; their rows were judged again")
        )
    if summary["stopped"] is not None:
        facts.append(("STOPPED", f"by {summary['stopped']}; the rows behind are not judged"))
    return facts


def _spread(counted: Mapping[str, Any]) -> str:
    least, most = counted["shortest"], counted["longest"]
    if least == most:
        return f"{least:,}"
    return f"{least:,} to {most:,}, median {counted['median']:,}, 95 % within {counted['percentile_95']:,}"
