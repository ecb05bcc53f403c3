import pickle

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
        "              python y",
    ]
    assert str(FINDING).isascii()
    assert FINDING.fingerprint == "spans.matched/first-id-removed"


def test_survives_pickling():
    copy = pickle.loads(pickle.dumps(FINDING))
    assert str(copy) == str(FINDING)
    assert (copy.fingerprint, copy.conversation, copy.at) == (FINDING.fingerprint, FINDING.conversation, FINDING.at)


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


def test_outline_and_shortened_text():
    assert outline(Conversation([])) == "(no messages)"
    assert len(shown("a" * 500)) < 70


def test_first_difference():
    assert first_difference([1, 2], [1, 3]) == 1
    assert first_difference([1], [1, 3]) == 1
    assert first_difference([], []) == 0
