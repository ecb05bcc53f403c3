import dataclasses
import pickle
import re

import pytest

from image_spans.conversation import Conversation, Image, Message, Text
from image_spans.findings import Cause, Finding, first_difference, outline, shown, strip_of

FINDING = Finding(
    "spans.matched",
    "0 image opens, 1 close",
    "minicpm",
    Conversation([Message("user", [Image(1, 1), Text('ä "b"')])]),
    Cause("first-id-removed", "the first id went"),
    at=0,
    expected="<image>",
    strip=("[ <unk>x64 </image> ]", "  ^ expected <image>"),
    reproduce=("pytest x", "python y"),
)


def test_report():
    assert str(FINDING).splitlines() == [
        "minicpm breaks spans.matched: 0 image opens, 1 close",
        "",
        "  Cause       the first id went",
        '  Smallest    user: [image 1x1] "\\xe4 \\"b\\""',
        "  Ids         [ <unk>x64 </image> ]",
        "                ^ expected <image>",
        "  Reproduce   pytest x",
        "  In Python   python y",
    ]
    assert str(FINDING).isascii()
    assert FINDING.fingerprint == "spans.matched/first-id-removed"


def test_survives_pickling():
    copy = pickle.loads(pickle.dumps(FINDING))
    assert str(copy) == str(FINDING)
    assert (copy.fingerprint, copy.conversation, copy.at) == (FINDING.fingerprint, FINDING.conversation, FINDING.at)


def test_every_field_but_the_facts_survives_pickling():
    for one in (FINDING, FINDING.having(conversation=None, strip=None, at=None, facts={"error": ValueError()})):
        copy = pickle.loads(pickle.dumps(one))
        for field in dataclasses.fields(Finding):
            if field.name != "facts":
                assert getattr(copy, field.name) == getattr(one, field.name), field.name
        assert copy.facts == {}


def test_report_without_the_optional_lines():
    assert str(Finding("text.survives", "m", "s")) == (
        "s breaks text.survives: m\n\n  Cause       cause unknown: no known fault explains these ids"
    )
    assert Finding("text.survives", "m", "s").fingerprint == "text.survives/unknown"


def test_report_is_ascii_and_keeps_its_lines():
    """An error of the code under test may say anything."""
    foreign = Finding(
        "pipeline.encodes",
        "raised ValueError: d\u00e9j\u00e0\r\nvu",
        "s\u00fcbject",
        Conversation([Message("r\u00f4le\n", [Text("\u4f60\n")])]),
        Cause("x", "\u4f60\nb"),
        reproduce=("load('\u4f60')",),
    )
    assert str(foreign).splitlines() == [
        r"s\xfcbject breaks pipeline.encodes: raised ValueError: d\xe9j\xe0\r\nvu",
        "",
        r"  Cause       \u4f60\nb",
        r'  Smallest    r\xf4le\n: "\u4f60\n"',
        r"  Reproduce   load('\u4f60')",
    ]
    assert foreign.headline == str(foreign).splitlines()[0]


def test_having_changes_a_copy():
    changed = FINDING.having(message="other")
    assert (changed.message, FINDING.message) == ("other", "0 image opens, 1 close")
    assert changed.facts is FINDING.facts
    assert isinstance(changed, AssertionError)
    assert changed != FINDING.having(message="other")


def test_unknown_is_said():
    assert "cause unknown" in str(Finding("text.survives", "m", "s"))


def test_strip_points_at_the_token():
    ids = [1, 2, 2, 2, 3, 4]
    for at, name in ((0, "n1"), (1, "n2x3"), (4, "n3"), (5, "n4")):
        text, pointer = strip_of(ids, at, lambda i: f"n{i}", "here")
        assert text[pointer.index("^") :].startswith(name)
    text, pointer = strip_of(ids, 6, lambda i: f"n{i}", "here")
    assert text[pointer.index("^") :] == "]"
    assert strip_of([], 0, str, "here")[0] == "[ ]"
    assert strip_of(list(range(30)), 15, str, "here", reach=1)[0] == "[ ... 14 15 16 ... ]"
    assert strip_of([1], 0, lambda _: "a b\n\u2581", "here")[0] == "[ a_b\\n\\u2581 ]"


IDS = [token_id for token_id in range(20) for _ in range(1 + token_id % 3)]


@pytest.mark.parametrize("reach", [0, 1, 5])
@pytest.mark.parametrize("at", range(len(IDS) + 1))
def test_strip_points_at_the_token_wherever_it_is(at, reach):
    text, pointer = strip_of(IDS, at, lambda i: f"n{i}", "expected x", reach=reach)
    column = pointer.index("^")
    assert pointer[:column].isspace()
    assert pointer[column:] == "^ expected x"
    here = IDS[at] if at < len(IDS) else 20
    count = IDS.count(here)
    wanted = (f"n{here}" + (f"x{count}" if count > 1 else "")) if at < len(IDS) else "]"
    assert text[column:].split()[0] == wanted
    assert text.startswith("[ ...") is (here > reach)
    assert re.findall(r"n(\d+)", text) == [str(i) for i in range(max(0, here - reach), min(20, here + reach + 1))]
    if at < len(IDS):
        assert text.endswith(" ... ]") is (here + reach < 19)


def test_strip_of_runs():
    assert strip_of([7] * 64 + [2], 64, {7: "<unk>", 2: "</image>"}.get, "expected <image> (1)") == (
        "[ <unk>x64 </image> ]",
        "           ^ expected <image> (1)",
    )
    assert strip_of([1, 1, 2, 1], 1, str, "here") == ("[ 1x2 2 1 ]", "  ^ here")
    assert strip_of([], 0, str, "here") == ("[ ]", "  ^ here")


def test_outline_and_shortened_text():
    assert outline(Conversation([])) == "(no messages)"
    two = Conversation(
        [Message("user", [Image(449, 1), Text("a")]), Message("assistant", [Text("")]), Message("tool", [])]
    )
    assert outline(two) == 'user: [image 449x1] "a" | assistant: "" | tool:'
    assert shown("a" * 60) == f'"{"a" * 60}"'
    assert shown("a" * 30 + "b" * 31) == f'"{"a" * 30}...{"b" * 30}"'
    assert shown('"\u00e9') == '"\\"\\xe9"'


def test_first_difference():
    assert first_difference([1, 2], [1, 3]) == 1
    assert first_difference([1], [1, 3]) == 1
    assert first_difference([], []) == 0
