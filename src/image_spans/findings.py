"""A finding: what broke, why, the smallest conversation that shows it, and how to repeat it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from image_spans.conversation import Conversation, Image


@dataclass(frozen=True)
class Cause:
    """Why a check failed: a stable name and one sentence. ``unknown`` is said when it is."""

    name: str
    sentence: str


UNKNOWN = Cause("unknown", "cause unknown: no known fault explains these ids")


@dataclass(eq=False)  # not frozen: Python attaches tracebacks to exceptions
class Finding(AssertionError):
    """A check failed. Raised by :func:`image_spans.verify` and by the suite's tests."""

    check: str
    message: str
    subject: str = ""
    conversation: Conversation | None = None
    cause: Cause = UNKNOWN
    at: int | None = None
    """The position in the ids at which the fault shows, where there is one."""
    expected: str = ""
    """What should stand there."""
    strip: tuple[str, str] | None = None
    """The ids around the fault as text, and a line that points at it."""
    reproduce: tuple[str, ...] = ()
    """A command for the shell and a line of Python, each of which repeats it."""
    sample: int | None = None
    """Which of several samples it is, where ids were verified: the row of a batch, or what the caller named it."""
    as_read: bool = False
    """Whether the conversation is what ids tell of, and not what a pipeline was given."""
    facts: dict[str, Any] = field(default_factory=dict, compare=False)
    """What the check knows beyond the message; the diagnosis reads it."""

    @property
    def fingerprint(self) -> str:
        """Check and cause: stable over seeds and over the conversation that happened to be drawn."""
        return f"{self.check}/{self.cause.name}"

    @property
    def headline(self) -> str:
        """The first line of the report."""
        which = "" if self.sample is None else f" (sample {self.sample})"
        return one_line(f"{self.subject}{which} breaks {self.check}: {self.message}")

    def having(self, **changes: Any) -> Finding:
        """A copy with some fields changed."""
        return replace(self, **changes)

    def __str__(self) -> str:
        lines = [self.headline, "", f"  Cause       {one_line(self.cause.sentence)}"]
        if self.conversation is not None:
            label = "Smallest" if not self.as_read else "Read as"
            lines.append(f"  {label:<11} {outline(self.conversation)}")
        if self.strip is not None:
            lines.append(f"  Ids         {self.strip[0]}")
            lines.append(f"              {self.strip[1]}")
        for label, line in zip(("Reproduce", "In Python"), self.reproduce, strict=False):
            lines.append(f"  {label:<11} {one_line(line)}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[Any, ...]:
        fields = (self.check, self.message, self.subject, self.conversation, self.cause, self.at, self.expected)
        return type(self), (*fields, self.strip, self.reproduce, self.sample, self.as_read)


def one_line(text: str) -> str:
    """Foreign text (names, an error's words) for any terminal; a literal that it spells stays the same literal."""
    return text.replace("\r", "\\r").replace("\n", "\\n").encode("ascii", "backslashreplace").decode("ascii")


def first_difference(one: Sequence[Any], other: Sequence[Any]) -> int:
    """The first index at which two sequences differ; the length of the shorter where one begins the other."""
    common = min(len(one), len(other))
    return next((index for index in range(common) if one[index] != other[index]), common)


def outline(conversation: Conversation) -> str:
    """A conversation in one line: ``user: [image 449x449] "a" | assistant: "b"``."""
    messages = []
    for message in conversation.messages:
        parts = [
            f"[image {part.width}x{part.height}]" if isinstance(part, Image) else shown(part.text)
            for part in message.parts
        ]
        messages.append(f"{one_line(message.role)}: {' '.join(parts)}".rstrip())
    return " | ".join(messages) or "(no messages)"


def shown(text: str, limit: int = 60) -> str:
    """Text in quotes, ASCII only, shortened in the middle."""
    quoted = ascii(text)[1:-1].replace('"', '\\"')
    if len(quoted) > limit:
        quoted = quoted[: limit // 2] + "..." + quoted[-limit // 2 :]
    return f'"{quoted}"'


def strip_of(
    ids: Sequence[int], at: int, name_of: Callable[[int], str], note: str, *, reach: int = 5
) -> tuple[str, str]:
    """The ids around position ``at`` and a line below that points at it.

    Runs of one id are written ``<unk>x64``. ``reach`` is how many runs are shown on each side.
    """
    runs: list[tuple[int, int]] = []  # (start, end)
    start = 0
    for index in range(1, len(ids) + 1):
        if index == len(ids) or ids[index] != ids[start]:
            runs.append((start, index))
            start = index
    here = next((number for number, (_, end) in enumerate(runs) if at < end), len(runs))
    first, last = max(0, here - reach), min(len(runs), here + reach + 1)
    text = "[ ..." if first else "["
    column = len(text) + 1
    for number in range(first, last):
        start, end = runs[number]
        if number == here:
            column = len(text) + 1
        name = ascii(name_of(ids[start]))[1:-1].replace(" ", "_")
        text += f" {name}" + (f"x{end - start}" if end - start > 1 else "")
    if here >= last:
        column = len(text) + 1
    text += " ... ]" if last < len(runs) else " ]"
    return text, " " * column + "^ " + note
