"""What is printed: the turns, the strip with its spans in brackets, and the verdicts. ASCII, coloured on terminals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from image_spans.exhibit import BLOCK, Exhibit, Group, Segment, Strip, layout_in_words, nested
from image_spans.findings import one_line, shown
from image_spans.show.judge import Verdict

_STYLES = {"image": "cyan", "slice": "green", "placeholder": "dim", "bos": "magenta", "eos": "magenta"} | {
    "special": "yellow",
    "text": "",
    "omitted": "dim",
}
_VERDICTS = {"ok": "green", "finding": "bold red", "blocked": "yellow", "not applicable": "dim", "not judged": "dim"}
_FAULT = "bold red"
_PLACE = 8
"""Columns of the position in front of a line of tokens."""


def lines(title: str, exhibit: Exhibit, verdicts: Sequence[Verdict], width: int) -> Iterator[Text]:
    """Everything, line by line.

    Args:
        title: the subject and its tokenizer.
        exhibit: the conversation.
        verdicts: of all checks.
        width: columns; tokens are wrapped there.
    """
    yield Text(one_line(title), "bold")
    yield Text("")
    yield from _turns(exhibit)
    yield Text("")
    if exhibit.strip is None:
        yield Text("  the pipeline returned no ids")
    else:
        yield from _strip(exhibit.strip, width)
    yield Text("")
    yield from _verdicts(verdicts)


def _turns(exhibit: Exhibit) -> Iterator[Text]:
    for turn in exhibit.turns:
        line = Text(f"  {one_line(turn.role)}: ", "bold")
        parts = []
        for part in turn.parts:
            if isinstance(part, str):
                parts.append(Text(shown(part, 200), ""))
            else:
                parts.append(Text(f"[image {exhibit.pictures[part].width}x{exhibit.pictures[part].height}]", "cyan"))
        yield line + Text(" ").join(parts)
    for number, picture in enumerate(exhibit.pictures):
        size = f"{picture.width}x{picture.height}"
        yield Text(f"  image {number}  {size}, {layout_in_words(picture)}", "dim")


# ---------------------------------------------------------------- the strip


def _strip(strip: Strip, width: int) -> Iterator[Text]:
    yield Text(
        f"  {strip.length:,} id{'s' * (strip.length != 1)}; a token's id stands behind it, spans are in brackets"
    )
    yield from _rows(nested(strip), strip, width, depth=0)
    if strip.at == strip.length:
        yield Text(" " * _PLACE + "  ^ the ids end here" + _expected(strip), _FAULT)


def _rows(nodes: Sequence[Segment | Group], strip: Strip, width: int, depth: int) -> Iterator[Text]:
    """The lines of the nodes of one depth: tokens that stand together share a line, each span has its own."""
    together: list[Segment] = []
    for node in nodes:
        if isinstance(node, Segment):
            together.append(node)
            continue
        yield from _tokens(together, strip, width, depth)
        together = []
        yield from _group(node, strip, width, depth)
    yield from _tokens(together, strip, width, depth)


def _group(group: Group, strip: Strip, width: int, depth: int) -> Iterator[Text]:
    span = group.span
    label = "image" if span.kind == BLOCK else one_line(span.kind)
    if span.image is not None and span.depth == 0:
        label += f" {span.image}"
    if not span.closed:
        label += ", not closed"
    leaf = [node for node in group.nodes if isinstance(node, Segment)]
    if len(leaf) == len(group.nodes):
        yield from _tokens(leaf, strip, width, depth, label, brackets=("[ ", " ]" if span.closed else " ..."))
        return
    yield _at(span.start, depth) + Text(f"{label} [")
    yield from _rows(group.nodes, strip, width, depth + 1)
    yield Text(" " * (_PLACE + 2 * depth + 2) + "]")


def _at(place: int, depth: int) -> Text:
    return Text(f"{place:>{_PLACE}}  ", "dim") + Text("  " * depth)


def _tokens(
    segments: Sequence[Segment],
    strip: Strip,
    width: int,
    depth: int,
    label: str = "",
    brackets: tuple[str, str] = ("", ""),
) -> Iterator[Text]:
    """Tokens, wrapped; below the line of the faulty one a line that points at it."""
    if not segments:
        return
    line = _at(segments[0].at, depth) + Text(f"{label} {brackets[0]}" if label else "")
    indent = len(line)
    caret: int | None = None
    for number, segment in enumerate(segments):
        token = _token(segment)
        end = brackets[1] if number == len(segments) - 1 else ""
        if len(line) > indent and len(line) + 1 + len(token) + len(end) > width:
            yield line
            yield from _caret(caret, strip)
            line, caret = Text(" " * indent), None
        if len(line) > indent:
            line.append(" ")
        if segment.fault:
            caret = len(line)
        line.append_text(token).append(end)
    yield line
    yield from _caret(caret, strip)


def _caret(column: int | None, strip: Strip) -> Iterator[Text]:
    if column is not None:
        yield Text(" " * column + "^" + (_expected(strip).removeprefix(",") or " here"), _FAULT)


def _expected(strip: Strip) -> str:
    return f", expected {one_line(strip.expected)}" if strip.expected else ""


def _token(segment: Segment) -> Text:
    if segment.id is None:
        return Text(f"... {segment.count:,} ids ...", "dim")
    name = ascii(segment.name)[1:-1].replace(" ", "_")
    style = _FAULT if segment.fault else _STYLES[segment.kind]
    return Text(name, style).append(f"({segment.id})", "dim").append(f"x{segment.count}" if segment.count > 1 else "")


# ---------------------------------------------------------------- the verdicts


def _verdicts(verdicts: Sequence[Verdict]) -> Iterator[Text]:
    """One line each, in the order in which they are judged; below a finding its cause."""
    width = max(len(verdict.check) for verdict in verdicts)
    for verdict in verdicts:
        yield Text(f"  {verdict.status:<15}", _VERDICTS[verdict.status]).append(
            f"{verdict.check:<{width}}  {one_line(verdict.told)}".rstrip()
        )
        if verdict.finding is not None:
            yield Text(f"  {'':<15}{one_line(verdict.finding.cause.sentence)}")
