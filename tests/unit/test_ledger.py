"""Whether a known failure is stale: only what was judged, and held, in a complete run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from image_spans.known_failures import KnownFailure
from image_spans.ledger import BLOCKED, HELD, SHOWN, SILENT, Ledger

EXAMPLE = "Conversation([Message('user', [Image(1, 1), Text('a')])])"
FIRST, SECOND = (
    KnownFailure(check="spans.matched", reason="r", fingerprint=f"spans.matched/{cause}", example=EXAMPLE)
    for cause in ("a", "b")
)
PATH = Path("/x.yaml")
ITEMS = {("start", "spans.matched"), ("end", "spans.matched"), ("", "contract.tokens")}


@pytest.fixture
def spec():
    known = {one.fingerprint: one for one in (FIRST, SECOND)}
    return SimpleNamespace(path=PATH, name="mine", known=known.get)  # all that is asked of a subject


def ledger(does: str | None, *, ran=ITEMS, shown=(), findings=()) -> Ledger:
    made = Ledger()
    for position, check in sorted(ran):
        home = (position, check) == ("start", "spans.matched")
        made.add(
            {
                "path": str(PATH),
                "name": "mine",
                "position": position,
                "check": check,
                "ran": True,
                "status": "passed",
                "reason": "",
                "exhibits": {},
                "findings": list(findings) if home else [],
                "shown": list(shown) if home else [],
                "examples": {FIRST.fingerprint: does} if home and does else {},
            }
        )
    return made


@pytest.mark.parametrize(
    ("does", "verdict"),
    [
        (HELD, (True, "no longer fails")),
        (SILENT, (True, "no longer fails")),
        (SECOND.fingerprint, (True, "no longer fails; its example now shows spans.matched/b, which is known too")),
        ("spans.matched/new", None),  # its item fails, and says that it has changed
        (f"{BLOCKED}pipeline.encodes", (False, "on its example, the check is blocked by pipeline.encodes")),
        (None, (False, "its check could not judge anything")),
    ],
)
def test_a_complete_run(spec, does, verdict):
    assert ledger(does).verdict(spec, FIRST, ITEMS) == verdict


def test_what_was_seen_is_never_stale(spec):
    for does in (SHOWN, HELD, None):  # the example may hold, and a draw show it
        assert ledger(does, shown=[FIRST.fingerprint]).verdict(spec, FIRST, ITEMS) is None


def test_a_partial_run(spec):
    part = (False, "this run tests a part of its subject only")
    for missing in ITEMS:
        assert ledger(HELD, ran=ITEMS - {missing}).verdict(spec, FIRST, ITEMS) in (part,)
    assert ledger(HELD).verdict(spec, FIRST, set()) == part
    assert Ledger().verdict(spec, FIRST, ITEMS) == (False, "unselected: nothing of its subject was judged")
    gone = {("", "contract.tokens")}
    assert ledger(None, ran=gone).verdict(spec, FIRST, gone)[0]  # the check does not apply any more


def test_a_finding_stands_once_on_its_smallest_conversation():
    found = [{"fingerprint": "x/y", "conversation": code, "position": "start"} for code in ("bb", "a", "ccc")]
    assert ledger(None, findings=found).findings == [found[1]]


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "f"
    path.write_text("old")
    made = ledger(
        None, findings=[{"fingerprint": "x/\u2028", "conversation": None, "position": None, "m": "\U0001f600"}]
    )
    made.write(path)
    assert path.read_bytes().isascii()  # no line end but ours, whatever a reader takes for one
    assert len(path.read_text().splitlines()) == 1
    assert list(tmp_path.iterdir()) == [path]
