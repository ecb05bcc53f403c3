"""Reports made for the tests: a run whose parts are chosen, without running anything."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from image_spans.case import Bench, Case
from image_spans.conversation import Conversation, Image, Message, Text
from image_spans.exhibit import Exhibit, exhibit
from image_spans.findings import Cause, Finding
from image_spans.html import statuses
from image_spans.html.matrix import Cell, Matrix, Row, of_checks
from image_spans.html.render import document
from image_spans.html.run import overview
from image_spans.show.judge import Verdict
from image_spans.subject import Encoding
from support import ToyTokenizer, subject

SCRIPT = "<script>alert(1)</script>"
IMG = '"><img src=x onerror=alert(1)>'
BIDI = "\u202eabc\u2066\u200b\ufeff\u00ad"
O, C, SO, SC, N, NC, P = range(1, 8)
ORDER = [*statuses.WORST_FIRST]


class Hostile(ToyTokenizer):
    """A vocabulary whose tokens are code."""

    NAMES = {2000: SCRIPT, 2001: IMG, 2002: BIDI, 2003: "\u0645\u0631\u062d\u0628\u0627", 2004: "a b"}

    def id_to_token(self, token_id):
        return self.NAMES.get(token_id) or super().id_to_token(token_id)

    def decode(self, ids):
        return "".join(self.NAMES.get(token_id) or super(Hostile, self).id_to_token(token_id) for token_id in ids)


def drawn(at: int | None = 3, *extra: int, text: str = "What is this?") -> Exhibit:
    """A sliced image, a small one, and an answer; the ids lack a close."""
    conversation = Conversation(
        [
            Message("user", [Image(1000, 800), Text(text), Image(1, 1)]),
            Message("assistant", [Text("A cat.")]),
        ]
    )
    ids = [0, O, *[P] * 4, C, SO, *[P] * 4, SC, SO, *[P] * 3, *extra, *(1000 + ord(c) for c in "What is"), O, P, C, 900]
    return exhibit(Case(Bench(subject(tokenizer=Hostile())), conversation, Encoding(ids)), at, "</slice> (4)")


def found(row: Row, check: str, cause: str, **changes) -> dict:
    """A finding as the findings file has it."""
    code = "Conversation([Message('user', [Image(1, 1), Text('a')])])"
    return {
        "schema": 1,
        "subject": row.name,
        "file": "tokenizers_under_test.yaml",
        "check": check,
        "cause": {"name": cause, "sentence": "the first id of message 0 was removed as if it were BOS"},
        "fingerprint": f"{check}/{cause}",
        "message": "0 image opens, 1 close",
        "status": "new",
        "reason": None,
        "before": None,
        "conversation": code,
        "position": "start",
        "at": 17,
        "expected": "</slice> (4)",
        "ids": ["[ a ]", "  ^ here"],
        "reproduce": {
            "pytest": f'pytest "tokenizers_under_test.yaml::test_conversation[{row.name}-start-{check}]" '
            f'--spans-conversation "{code}"',
            "python": f"from image_spans import *; verify(load_subject({row.name!r}), {code}, {check!r})",
        },
        "versions": {"python": "3.11.9", "pytest": "9.2.0", "hypothesis": None, "tokenizer": "toy 1"},
        **changes,
    }


def a_matrix(subjects: int) -> Matrix:
    """Subjects of which some fail, some are known to, and one is not there."""
    columns = tuple(of_checks())
    rows = []
    for number in range(subjects):
        cells = []
        for index, column in enumerate(columns):
            status = statuses.PASSED if (number * 7 + index) % 5 else ORDER[(number + index) % len(ORDER)]
            alone = status in (statuses.INAPPLICABLE, statuses.NOT_RUN)
            counts = Counter({status: 1}) if alone else Counter({status: 2, statuses.PASSED: 5})
            why = f"{statuses.WORDS[status]}: for a reason (start, end)"
            if status == statuses.BLOCKED:
                why = f"blocked: blocked by {columns[0].name} of x"
            cells.append(Cell(column.name, counts, () if status == statuses.PASSED else (why,)))
        name = f"family-{number // 10}-model-{number:03}"
        rows.append(Row(Path("/x.yaml"), name, name, cells))
    return Matrix(columns, tuple(rows))


def a_run(subjects: int = 12, findings: int = 20) -> str:
    """A report with every status and hostile text."""
    table = a_matrix(subjects)
    failing = [
        (row, cell) for row in table.rows for cell in row.cells if cell.status in (statuses.FAILED, statuses.KNOWN)
    ]
    exhibits = [drawn(17), drawn(None, 2000, 2001, 2002, 2003, 2004, text=SCRIPT + IMG + BIDI), drawn(99), None]
    causes = ["first-id-removed", "unknown", "row-break-lost", "layout-of-another-size"]
    told = []
    for number in range(findings):
        row, cell = failing[number % len(failing)]
        known = {"status": "known", "reason": "upstream bug 42"} if cell.status == statuses.KNOWN else {}
        if number % 5 == 4:
            known = {"status": "changed", "before": "spans.matched/unknown"}
        hostile = {"message": SCRIPT + IMG + BIDI} if number % 4 == 1 else {}
        told.append((row, found(row, cell.check, causes[number % 4], **known, **hostile), exhibits[number % 4]))
    for row, _, _ in told[:1]:
        row.lock = (f"{row.label} behaves differently from what is locked", "  * </image> is 602, was 601")
    return overview(table, told, [(True, "a warning"), (False, SCRIPT)], "2026-01-01 00:00 UTC")


def a_conversation() -> str:
    """The page of one conversation, with a finding and every verdict."""
    fault = Finding("spans.matched", SCRIPT + BIDI, cause=Cause("marker-lost", f"the close was lost {IMG}"))
    said = [
        Verdict("pipeline.encodes", "ok"),
        Verdict("spans.matched", "finding", fault.message, fault),
        Verdict("spans.slots", "blocked", "by spans.matched"),
        Verdict("spans.bounds", "not applicable", "the pipeline does not return image_bounds"),
        Verdict("spans.order", "not judged", "this conversation cannot tell"),
    ]
    code = "Conversation([Message('user', [Image(1, 1)])])"
    shown = {"name": f"toy {SCRIPT}", "exhibit": drawn(17), "verdicts": said, "code": code, "versions": {"python": "3"}}
    return document("conversation.html", **shown)
