"""docs/checks.md, from the registry of checks, the mutants and the known failures: ``python docs/site/checks_page.py``.

The picture of a check is what it says of a mutant, run here on the toy tokenizer; nothing of it is written by hand.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections import defaultdict
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT / folder) for folder in ("tests", "tests/mutants")]

from table import ROWS, Row  # noqa: E402
from test_mutants import has_reference, subject_of  # noqa: E402

from image_spans import Conversation, Finding, Image, Message, Text  # noqa: E402
from image_spans.checks import Check, checks  # noqa: E402
from image_spans.engine import Engine  # noqa: E402
from image_spans.findings import first_difference, one_line, outline, strip_of  # noqa: E402
from image_spans.subject import Subject, as_encoding  # noqa: E402
from mutants import MUTANTS  # noqa: E402
from support import ToyTokenizer  # noqa: E402

PAGE = ROOT / "docs" / "checks.md"
WIDTH = 132
FAMILIES = {
    "once": "once for the subject, before anything is drawn",
    "single": "each conversation that is drawn",
    "hazard": "conversations whose text spells markers",
    "variants": "conversations that are encoded again with a change",
    "faults": "conversations outside of the contract: a wrong number of images",
    "limits": "conversations at several lengths",
    "batch": "several conversations together",
}
INTRODUCTION = """\
# The checks

Each check is a rule about the ids (and what is returned beside them) of one conversation. Below stands, of each, what
must hold, how it looks where it does not, and which real bugs it is there for. This page is written by
`python docs/site/checks_page.py` from the registry of the checks, the [mutants](evidence.md) that prove that each can
fail, and the [findings](findings/README.md); a test compares it with them.

The pictures are made by running the check on a mutant: a pipeline that is right but for that bug, on a toy tokenizer
with one id for each character. `[ <image> <pad>x4 </image> ]` are ids by name, `<pad>x4` a run of four; `^` stands
under the fault.
"""


def asked(*messages: tuple[str, list[Image | str]]) -> Conversation:
    """A conversation; text as it is."""
    parts = [(role, [Text(part) if isinstance(part, str) else part for part in given]) for role, given in messages]
    return Conversation([Message(role, given) for role, given in parts])


SMALL, LARGE, WIDE = Image(300, 200), Image(640, 480), Image(900, 300)
ANSWER = ("assistant", ["A cat."])
TRIED = (
    asked(("user", [SMALL, "Look!"])),
    asked(("user", ["Look: ", SMALL])),
    asked(("user", ["At ", SMALL, "\nwhat?"])),
    asked(("user", [LARGE, "What?"])),
    asked(("user", [WIDE, "What?"])),
    asked(("user", ["Is ", SMALL, " like ", LARGE, "?"])),
    asked(("user", ["Is ", SMALL, " like ", LARGE, " or ", WIDE, "?"])),
    asked(("user", [SMALL, "Who?"]), ANSWER),
    asked(("user", [LARGE, "Who?"]), ANSWER, ("user", ["And ", SMALL, "?"])),
    asked(("system", ["Be brief."]), ("user", [SMALL, "Who?"]), ANSWER),
    asked(("user", ["No image."])),
    asked(("user", ["What is <image>? ", SMALL])),
    asked(("user", [SMALL, "Write <pad>."])),
    asked(("user", [SMALL, "Write </image>."])),
)
"""What a mutant is tried on, the plainest first; where none shows the fault, the engine draws and shrinks."""


def shown_on(subject: Subject, check: Check, engine: Engine) -> Finding | None:
    """The finding of a check on the plainest conversation that shows it."""
    if check.family == "once":
        return engine.precheck(subject, check.name)
    for conversation in TRIED:
        verdict = engine.replay(subject, conversation, check.name)
        if isinstance(verdict, Finding) and verdict.check == check.name:
            return verdict
    return None


def example(check: Check, engine: Engine) -> tuple[Row, Subject, Finding]:
    """The first mutant of a check that a plain conversation shows, as a subject, and what the check says of it."""
    for row in ROWS:
        if check.name in row.kills:
            subject = row.make()
            if (found := shown_on(subject, check, engine)) is not None:
                return row, subject, found
    raise LookupError(f"no mutant shows {check.name} on a plain conversation; add one to TRIED")


def right_ids(row: Row, conversation: Conversation) -> list[int]:
    """What the reference pipeline makes of a conversation under the mutant's contract; nothing where there is none."""
    mutant = next((one for one in MUTANTS if one.name == row.name), None)
    if mutant is None or not has_reference(mutant):
        return []
    return as_encoding(subject_of(mutant, ToyTokenizer(), broken=False).pipeline(conversation)).ids


def picture(row: Row, subject: Subject, found: Finding, engine: Engine) -> list[str]:
    """Conversation, ids, and what is said of them."""
    lines = []
    if found.conversation is not None:
        lines.append(f"given  {outline(found.conversation)}")
        case = engine.bench(subject).case(found.conversation)
        right = right_ids(row, found.conversation)
        if case.error is None and right and list(case.ids) != right:
            at = first_difference(case.ids, right)
            lines.append(f"right  {strip_of(right, at, subject.tokenizer.id_to_token, '')[0]}")
    if found.strip is not None:
        lines += [f"wrong  {found.strip[0]}", f"       {found.strip[1]}"]
    for label, text in (("says", found.message), ("cause", found.cause.sentence)):
        lines += textwrap.wrap(one_line(text), 92, initial_indent=f"{label:<7}", subsequent_indent=" " * 7)
    return lines


def folded(text: str, indent: str = "") -> str:
    """Prose in lines of the page's width."""
    return textwrap.fill(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def escaped(text: str) -> str:
    """Prose of a docstring as Markdown: names of tokens are no HTML, and no character stands for emphasis or a link."""
    parts = re.split(r"(`[^`]*`)", text.replace("``", "`"))
    special = re.compile(r"[<>*\[\]]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
    return "".join(part if part.startswith("`") else special.sub(r"\\\g<0>", part) for part in parts)


def reports(name: str) -> list[str]:
    """The real bugs that a check catches, as the mutants name them: the report, and what was wrong."""
    documents = (" ".join(row.document.split()) for row in ROWS if name in row.kills)
    return sorted({re.sub(r"^F\d+(?:(?:, | and )F\d+)*, ", "", document) for document in documents}, key=str.casefold)


def pages() -> dict[str, list[str]]:
    """Check to the stems of the findings for which the subjects in tests/ have a known failure of it."""
    found: dict[str, set[str]] = defaultdict(set)
    for file in sorted((ROOT / "tests" / "subjects").glob("*.yaml")):
        for subject in yaml.safe_load(file.read_text(encoding="utf-8"))["subjects"].values():
            for known in subject.get("known_failures", ()):
                found[known["check"]] |= set(re.findall(r"docs/findings/(\w+)\.md", known["reason"]))
    return {name: sorted(stems) for name, stems in found.items()}


def section(check: Check, engine: Engine, findings: list[str]) -> str:
    """What stands on the page about one check."""
    _, _, rest = (check.judge.__doc__ or "").strip().partition("\n")
    row, subject, found = example(check, engine)
    silent = check.inapplicable(subject.contract, frozenset())
    facts = [f"Judged on {FAMILIES[check.family]}"]
    if check.family == "once":
        facts = [f"Judged {FAMILIES[check.family]}"]
    if check.needs:
        facts.append("needs " + ", ".join(f"[`{need}`](#{anchor(need)})" for need in check.needs))
    if silent:
        facts.append(f"does not apply where {escaped(silent)}")
    number = f" Invariant {check.invariants}." if check.invariants else ""
    told = [f"- {escaped(report)}" for report in reports(check.name)]
    told += [f"- A processor of transformers today: [{stem}](findings/{stem}.md)." for stem in findings]
    more = [folded(escaped(" ".join(rest.split())))] if rest.strip() else []
    return "\n\n".join(
        [
            f"## `{check.name}`",
            folded(f"**{escaped(check.rule)}**"),
            *more,
            folded("; ".join(facts) + "." + number),
            "<!-- generated -->\n```text\n" + "\n".join(picture(row, subject, found, engine)) + "\n```",
            "Real bugs that it catches:\n\n" + "\n".join(folded(line, "  ") for line in told),
        ]
    )


def anchor(name: str) -> str:
    """The address of a check on the page, the same on the site and on GitHub."""
    return name.replace(".", "")


def page() -> str:
    engine, findings = Engine(60, 0), pages()
    parts = [section(one, engine, findings.get(name, [])) for name, one in checks().items()]
    return "\n\n".join([INTRODUCTION.rstrip(), *parts]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
