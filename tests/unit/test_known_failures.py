"""The YAML of known failures: what it accepts, the one line about everything else, and what is printed to paste."""

from __future__ import annotations

import pytest
import yaml

from image_spans.config import read
from image_spans.conversation import Conversation, Image, Message, Text
from image_spans.errors import ConfigError
from image_spans.known_failures import TO_BE_WRITTEN, to_paste

FILE = "tokenizers_under_test.yaml"
SUBJECT = """\
version: 1
subjects:
  toy:
    tokenizer: {factory: "toy:load"}
    pipeline: flat_slices
    contract:
      bos: none
      input: {roles: [user, assistant], images: 0..2, empty_text: forbidden}
      images: {open: <image>, close: </image>, placeholder: <unk>, slots: 4}
"""
EXAMPLE = "Conversation([Message('user', [Image(1, 1), Text('a')])])"
KNOWN = f"""\
    known_failures:
      - check: spans.matched
        reason: 'see https://example.org/1'
        example: "{EXAMPLE}"
        fingerprint: spans.matched/first-id-removed
"""
PRECHECK = """\
      - check: contract.tokens
        reason: the vendor knows
        fingerprint: contract.tokens/unknown
"""
WHERE = "subjects.toy.known_failures"


@pytest.fixture
def known(tmp_path, monkeypatch):
    """Reads a YAML whose subject has these known failures."""
    monkeypatch.chdir(tmp_path)

    def make(text: str):
        (tmp_path / FILE).write_text(SUBJECT + text, encoding="utf-8")
        (spec,) = read(FILE)
        return spec

    return make


def test_what_is_read(known):
    spec = known(KNOWN + PRECHECK)
    first, second = spec.known_failures
    assert first.conversation == Conversation([Message("user", [Image(1, 1), Text("a")])])
    assert (first.check, first.reason) == ("spans.matched", "see https://example.org/1")
    assert (second.example, second.conversation) == (None, None)
    assert spec.known("contract.tokens/unknown") is second
    assert spec.known("contract.tokens/other") is None
    assert known("").known_failures == ()
    assert known("") == spec  # the subject is the same, and is loaded once


def test_an_example_is_never_evaluated(known, tmp_path):
    made = tmp_path / "made"
    with pytest.raises(ConfigError, match=r"example: cannot be read: column 1: .* is not a Conversation"):
        known(KNOWN.replace(EXAMPLE, f"open('{made}', 'w')"))
    assert not made.exists()


WRONG = {
    "unknown check": ("spans.matched\n", "spans.mached\n", "[0].check: unknown check 'spans.mached'; did you mean"),
    "a group": ("check: spans.matched\n", "check: spans\n", "[0].check: unknown check 'spans'"),
    "unknown key": ("reason:", "raeson:", "[0]: unknown key 'raeson'; did you mean 'reason'?"),
    "no reason": (
        "        reason: 'see https://example.org/1'\n",
        "",
        "[0]: the required key 'reason' is missing",
    ),
    "empty reason": ("'see https://example.org/1'", "' '", "[0].reason: expected why this failure is known, best"),
    "reason to be written": ("'see https://example.org/1'", '"TODO: why"', "[0].reason is still TODO: why"),
    "no example": (f'        example: "{EXAMPLE}"\n', "", "[0]: the required key 'example' is missing"),
    "no code": (EXAMPLE, "Conversation([Massage('user')])", "[0].example: cannot be read: column 15: "),
    "another role": (
        "Message('user'",
        "Message('usr'",
        "[0].example: lies outside of contract.input: 'usr' is not one of its roles; did you mean 'user'?",
    ),
    "a role without images": ("Message('user'", "Message('assistant'", "messages of 'assistant' hold no images"),
    "too many images": ("Image(1, 1)", "Image(1, 1), Image(1, 1), Image(1, 1)", "it has 3 images, and 0..2 are"),
    "empty text": ("Text('a')", "Text('')", "it has an empty text, and empty_text is forbidden"),
    "other images": ("])])", "])], images=[])", "its images are not those of its messages"),
    "no message": (EXAMPLE, "Conversation([])", "it has no message"),
    "fingerprint of another check": (
        "spans.matched/first",
        "spans.slots/first",
        "[0]: the fingerprint 'spans.slots/first-id-removed' is of another check; expected "
        "spans.matched/first-id-removed",
    ),
    "fingerprint of no check": ("spans.matched/", "spans.mtched/", "is of no check; expected spans.matched/first-id-"),
    "half a fingerprint": ("/first-id-removed", "", "[0]: expected a fingerprint of the form spans.matched/CAUSE"),
    "an example of a precheck": (
        "contract.tokens/unknown\n",
        "contract.tokens/unknown\n        example: 'Conversation([])'\n",
        "[1]: contract.tokens judges no conversation; remove the key 'example'",
    ),
    "no list": (KNOWN, "    known_failures: {check: spans.matched}\n", ": expected a list, found a mapping"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_in_one_line(known, case):
    before, after, said = WRONG[case]
    text = (KNOWN + PRECHECK).replace(before, after) if case != "no list" else after
    with pytest.raises(ConfigError) as caught:
        known(text)
    assert said in str(caught.value)
    assert WHERE in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_same_fingerprint_twice(known):
    with pytest.raises(ConfigError) as caught:
        known(KNOWN + KNOWN.partition("\n")[2])
    assert str(caught.value) == (
        f"{FILE}:18: {WHERE}[1].fingerprint: spans.matched/first-id-removed is known already, by known_failures[0]; "
        "remove one of them"
    )


# ---------------------------------------------------------------- the YAML to paste

FAILURES = [("spans.matched", "spans.matched/x", EXAMPLE), ("contract.tokens", "contract.tokens/\u00e4: #", None)]


@pytest.mark.parametrize("indent", [1, 2, 4])
@pytest.mark.parametrize(
    "known_before", ["", "known_failures:\n{0}{0}-   check: x", "known_failures:  # ours\n{0}- a: b"]
)
def test_what_is_printed_is_valid_yaml_where_it_is_pasted(indent, known_before):
    step = " " * indent
    head = f"version: 1\nsubjects:\n{step}toy:\n\n# a remark\n"
    entry = f"tokenizer:\n{step}a: 1\ncontract: {{bos: none}}"
    if known_before:
        entry += "\n" + known_before.format(step)
    body = "".join(f"{step}{step}{line}\n" for line in entry.splitlines())
    pasted = to_paste(FAILURES, (head + body + f"{step}other: 1\n").splitlines(), 3)
    text = head + body + "\n".join(pasted) + f"\n{step}other: 1\n"
    data = yaml.safe_load(text)
    assert set(data["subjects"]) == {"toy", "other"}
    assert set(data["subjects"]["toy"]) == {"tokenizer", "contract", "known_failures"}
    assert data["subjects"]["toy"]["known_failures"][-2:] == [
        {"check": "spans.matched", "reason": TO_BE_WRITTEN, "example": EXAMPLE, "fingerprint": "spans.matched/x"},
        {"check": "contract.tokens", "reason": TO_BE_WRITTEN, "fingerprint": "contract.tokens/\u00e4: #"},
    ]


def test_a_subject_on_one_line_gets_the_usual_indentation():
    lines = ["subjects:", "  toy: {tokenizer: x}"]
    assert to_paste(FAILURES[:1], lines, 2)[0] == "    known_failures:"
