"""One row: from its data to what is wrong with it, by the checks that judge generated conversations."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from image_spans import checks
from image_spans.case import Bench, Case
from image_spans.conversation import Conversation, Text, forget_blanks
from image_spans.diagnosis import diagnosed
from image_spans.engine import Engine, spellings
from image_spans.errors import words
from image_spans.findings import Finding, one_line
from image_spans.foreign import MISBEHAVIOUR, Foreign
from image_spans.scan import convert, formats
from image_spans.scan.causes import REMEDIES, Fault
from image_spans.scan.pictures import Pictures
from image_spans.scan.rows import Row, parsed
from image_spans.subject import Subject

IGNORED = -100
ROWS_OF_A_BENCH = 256
"""A bench remembers every text that it has looked up; where all are new, that only fills the memory."""
LONGEST_REPRODUCTION = 1_000
"""Characters of a conversation that one would paste."""


@dataclass(frozen=True)
class Options:
    """How rows are read and judged."""

    tag: str | None = None
    """What stands for an image in text; None: the contract's tag, or ``<image>``."""
    data_format: str | None = None
    images: Path | None = None
    """The folder of the images; None: that of the data file, then the working directory."""
    roles: tuple[tuple[str, str], ...] = ()
    """Roles of the data and those of the contract that they are."""
    max_length: int | None = None
    checks: tuple[str, ...] = ()
    """Names of checks; none: those of the family ``single``, and of ``hazard`` where a text spells markers."""
    timeout: float = 60.0
    """Seconds that one call of the pipeline may take; 0: any time."""
    subjects: Path | None = None
    """The file of the subject, for the line that repeats a finding; None: the default."""


@dataclass(frozen=True)
class Problem:
    """Something that is wrong with a sample, with all that the report says; plain data."""

    cause: str
    """The name of a cause of rows, or the fingerprint of a finding: check and cause."""
    message: str
    remedy: str
    file: str = ""
    row: int | None = None
    """Counted from 0."""
    line: int | None = None
    """Of JSON lines, from 1."""
    place: str = ""
    turn: int | None = None
    """Counted from 0."""
    sentence: str = ""
    """What the diagnosis says of a finding."""
    strip: tuple[str, str] | None = None
    """The ids around the fault, and a line that points at it."""
    python: str = ""
    """A line that repeats it; only where the conversation is short."""


@dataclass(frozen=True)
class Shape:
    """An image of a sample: its size in pixels, its tiles (0: not sliced) and its placeholders."""

    width: int
    height: int
    tiles: int | None
    slots: int | None


@dataclass(frozen=True)
class Judged:
    """What became of one row; plain data."""

    problems: tuple[Problem, ...]
    format: str | None = None
    judged: bool = False
    """Whether the checks saw it."""
    literals: bool = False
    """Whether a text spells a marker."""
    length: int | None = None
    """Ids."""
    images: tuple[Shape, ...] = ()


class Judge:
    """Judges rows of data for one subject.

    Args:
        subject: whose contract and pipeline judge.
        options: how.
    """

    def __init__(self, subject: Subject, options: Options) -> None:
        self.subject = subject
        self._options = options
        self._foreign = Foreign(options.timeout)
        self._engine = Engine(1, 0, foreign=self._foreign)
        self._bench = Bench(subject, self._foreign)
        self._seen = 0
        """Rows that the bench has seen."""
        self._spellings = spellings(subject)
        self._pictures: dict[str, Pictures] = {}
        self._tag = options.tag or convert.tag_of(subject.contract)
        self._roles = dict(options.roles)
        self._made = 0
        """Pixels of the images that were judged, since blank pictures were forgotten."""
        registered = checks.checks().values()
        usual = [one.name for one in registered if one.family in ("single", "hazard")]
        chosen = [name for pattern in options.checks for name in checks.find(pattern)] or usual
        self._names = tuple(name for name in _with_needs(chosen) if self._applies(name))
        self._of_hazard = {name: one.family == "hazard" for name, one in checks.checks().items()}

    def _applies(self, name: str) -> bool:
        one = checks.checks()[name]
        return one.family != "once" and one.inapplicable(self.subject.contract, self.subject.abilities) is None

    def subject_itself(self) -> list[Problem]:
        """What is wrong with the subject before any row is read; then no row can be judged by its pipeline."""
        found = self._engine.failed_prechecks(self.subject)
        return [self._told(one) for one in found]

    def row(self, row: Row, *, with_checks: bool = True) -> Judged:
        """What is wrong with a row.

        Args:
            row: as a container gave it.
            with_checks: False: look at the data alone.
        """
        value, faults = parsed(row)
        if value is None:
            return Judged(tuple(of_fault(fault, row) for fault in faults))
        name, sample = formats.read(value, self._tag, self._options.data_format)
        for turn in sample.turns:
            turn.role = self._roles.get(turn.role, turn.role)
        look = self._pictures_of(row.file).look
        conversation, found = convert.convert(sample, self.subject.contract, self._tag, look)
        faults += found
        if conversation is None:
            return Judged(tuple(of_fault(fault, row) for fault in faults), name)
        literals = list(self._literals(conversation))
        faults += [fault for fault in literals if fault is not None]
        faults += self._untrained(conversation)
        problems = [of_fault(fault, row) for fault in faults]
        if not with_checks:
            return Judged(tuple(problems), name, literals=bool(literals))
        return replace(self._judged(row, conversation, problems, bool(literals)), format=name)

    def _pictures_of(self, file: str) -> Pictures:
        folder = str(Path(file).parent)
        if folder not in self._pictures:
            given = self._options.images
            self._pictures[folder] = Pictures([given] if given is not None else [Path(folder), Path()])
        return self._pictures[folder]

    def _literals(self, conversation: Conversation) -> Iterator[Fault | None]:
        """For each marker that a turn spells None, or a fault where the contract does not call it plain."""
        policy_for = self.subject.contract.literals.policy_for
        for number, message in enumerate(conversation.messages):
            text = "\n".join(message.texts)
            for token in self._spellings:
                if token in text:
                    policy = policy_for(token)
                    told = f"the text spells {token}, which the contract means to {policy}"
                    fault = None if policy == "plain" else Fault("literal-marker", told, number)
                    yield fault

    def _untrained(self, conversation: Conversation) -> list[Fault]:
        roles = self.subject.contract.labels.roles
        for message in conversation.messages:
            if message.role in roles and any(isinstance(p, Text) and p.text.strip() for p in message.parts):
                return []
        return [Fault("nothing-trained", f"no turn of {' or '.join(roles)} has text, so nothing is learned")]

    def _judged(self, row: Row, conversation: Conversation, problems: list[Problem], literals: bool) -> Judged:
        """The row with what the checks say of it."""
        if self._seen == ROWS_OF_A_BENCH:
            self._bench, self._seen = Bench(self.subject, self._foreign), 0
        self._seen += 1
        case = Case(self._bench, conversation)
        try:
            found = [self._told(one, row, case) for one in self._findings(case, literals)]
            told = {problem.cause for problem in problems}
            lengths = [one for one in self._lengths(case) if one.cause not in told]
            shapes = self._shapes(case)
        finally:
            self._bench.stuck = None  # that it did not end on this row says nothing of the next
            self._made += sum(image.width * image.height for image in conversation.images)
            if self._made > _MOST_PIXELS:
                forget_blanks()
                self._made = 0
        length = len(case.ids) if case.encoding is not None else None
        problems = [*problems, *found, *(of_fault(fault, row) for fault in lengths)]
        return Judged(tuple(problems), judged=True, literals=literals, length=length, images=shapes)

    def _findings(self, case: Case, literals: bool) -> Iterator[Finding]:
        # Text that spells markers is judged as where it is generated: by the checks that know of it.
        open_ = [name for name in self._names if name == "pipeline.encodes" or self._of_hazard[name] == literals]
        while open_:
            for where, verdict in self._verdicts(case, open_):
                if isinstance(verdict, Finding):
                    yield diagnosed(where, verdict)

    def _verdicts(self, case: Case, open_: list[str]) -> list[tuple[Case, checks.Verdict]]:
        """What checks say, in one call; those that were asked are taken off. That one has no end is a finding too."""
        said: list[tuple[Case, checks.Verdict]] = []

        def ask() -> None:
            while open_:
                where, verdict = case, checks.judge(case, open_[0])
                if isinstance(verdict, checks.NotJudged) and verdict.because_of and verdict.on is not None:
                    where = case if verdict.on == case.conversation else case.again(verdict.on)
                    verdict = verdict if where is case else checks.judge(where, verdict.because_of)
                said.append((where, verdict))
                del open_[0]

        try:
            self._foreign.call(lambda: f"{open_[0]} on {case.conversation!r}", ask)
        except MISBEHAVIOUR as error:
            said.append((case, case.finding(open_.pop(0), f"judging {error}", raised=error)))
        return said

    def _told(self, finding: Finding, row: Row | None = None, case: Case | None = None) -> Problem:
        """A finding of a check as plain data."""
        message, python, remedy = one_line(finding.message), "", _REPAIR
        if finding.conversation is not None:
            file = "" if self._options.subjects is None else f", {str(self._options.subjects)!r}"
            load = f"load_subject({self.subject.name!r}{file})"
            code = f"from image_spans import *; verify({load}, {finding.conversation!r}, {finding.check!r})"
            python = one_line(code) if len(code) <= LONGEST_REPRODUCTION else ""
            if case is not None and finding.conversation != case.conversation:
                message += " (on the sample with its markers replaced)"
        if checks.checks()[finding.check].family == "hazard":
            remedy = _RESPELL
        problem = Problem(
            finding.fingerprint,
            message,
            remedy,
            turn=None if case is None else _turn(finding, case),
            sentence=one_line(finding.cause.sentence),
            strip=finding.strip,
            python=python,
        )
        if row is None:
            return problem
        return replace(problem, file=row.file, row=row.index, line=row.line, place=row.place)

    def _lengths(self, case: Case) -> list[Fault]:
        """Whether the ids fit into ``max_length``, and what of them is learned."""
        faults: list[Fault] = []
        if case.encoding is None:
            return faults
        most = self._options.max_length
        labels = case.encoding.arrays.get("labels") if "labels" in self.subject.abilities else None
        first = next((at for at, label in enumerate(labels or ()) if label != IGNORED), None)
        if labels is not None and first is None:
            faults.append(Fault("nothing-trained", f"all {len(case.ids)} labels are {IGNORED}"))
        if most is not None and len(case.ids) > most:
            behind = sum(end > most for _, end in case.found.runs)
            images = (
                f"; {behind} of {len(case.found.runs)} runs of placeholders end behind it" if case.found.runs else ""
            )
            faults.append(Fault("too-long", f"{len(case.ids)} ids, max_length is {most}{images}"))
            if first is not None and first >= most:
                faults.append(Fault("nothing-trained", f"the first label is at {first}, max_length is {most}"))
        return faults

    def _shapes(self, case: Case) -> tuple[Shape, ...]:
        """What the images of a sample become."""
        images = case.conversation.images
        if self.subject.contract.images.slots == "from_features":
            features = case.encoding.features if case.encoding is not None else None
            slots = [None if features is None else sum(n for k, n in features if k == i) for i in range(len(images))]
            return tuple(Shape(image.width, image.height, None, n) for image, n in zip(images, slots, strict=True))
        shapes = []
        for number, image in enumerate(images):
            try:
                layout = self._bench.oracle.layout(case.conversation, number)
                shapes.append(Shape(image.width, image.height, sum(map(len, layout.grid)), layout.slots))
            except Exception:  # a rule of the user's; the checks say so
                shapes.append(Shape(image.width, image.height, None, None))
        return tuple(shapes)


def judged(judge: Judge, row: Row, *, with_checks: bool) -> Judged:
    """What is wrong with a row; whatever judging it raises is a problem of this row."""
    try:
        return judge.row(row, with_checks=with_checks)
    except Exception as error:
        fault = Fault("row-not-judged", f"judging it raised {words(error)}")
        return Judged((of_fault(fault, row),))


_REPAIR = "the sample is right, the pipeline is not: repair it, or declare what it means to do in the contract"
_RESPELL = "spell the marker otherwise in the sample, or have the pipeline keep to contract.literals"
_MESSAGE = re.compile(r"\bmessage (\d{1,9})\b")
_MOST_PIXELS = 1 << 26
"""Pixels of blank pictures that may be held."""


def _with_needs(names: Sequence[str]) -> list[str]:
    """These checks and all that they need, in the order in which they are judged."""
    registered = checks.checks()
    wanted: set[str] = set()
    open_ = list(names)
    while open_:
        name = open_.pop()
        if name not in wanted:
            wanted.add(name)
            open_ += registered[name].needs
    return [name for name in registered if name in wanted]


def of_fault(fault: Fault, row: Row) -> Problem:
    """A fault of a row as plain data."""
    return Problem(
        fault.cause,
        one_line(fault.message),
        REMEDIES[fault.cause],
        row.file,
        row.index,
        row.line,
        row.place,
        fault.turn,
    )


def _turn(finding: Finding, case: Case) -> int | None:
    """The message in which a finding shows; None: that cannot be told."""
    told = finding.facts.get("turn")
    if isinstance(told, int):
        return told
    if len(case.conversation.messages) == 1:
        return 0
    # The diagnosis has looked closer than the check, and says it in words.
    named = set(_MESSAGE.findall(f"{finding.cause.sentence} {finding.message}"))
    if len(named) == 1:
        number = int(named.pop())
        return number if number < len(case.conversation.messages) else None
    if finding.at is None or case.encoding is None or finding.conversation != case.conversation:
        return None
    if not case.structure_holds or not case.found.starts:
        return None
    token = max(bisect_right(case.found.starts, finding.at) - 1, 0)
    # Between two tokens of different messages either may be meant.
    around = case.expected.messages[token : token + 2]
    return around[0] if len(set(around)) == 1 and 0 < token < len(case.found.starts) - 1 else None
