"""Damage to ordinary text is not blamed on the markers that stand in the same text."""

from __future__ import annotations

import unicodedata

import pytest

from image_spans.case import Bench
from image_spans.checks import NotJudged, judge
from image_spans.checks.literals import without_hazards
from image_spans.conversation import Conversation, Image, Message, Text
from image_spans.findings import Finding
from image_spans.subject import Subject
from support import subject


def typing(change) -> Subject:
    """A toy subject that changes what is typed before it encodes it."""

    def pipeline(tokenizer, conversation):
        ids = []
        for message in conversation.messages:
            for part in message.parts:
                if isinstance(part, Text):
                    ids += tokenizer.encode_text(change(part.text))
                else:
                    ids += tokenizer.encode_markup("<image>" + "<pad>" * 4 + "</image>")
        return ids

    return subject(pipeline, slices=None)


CHANGES = {
    "escaped": lambda text: text.replace("&", "&amp;"),
    "zero width": lambda text: text.replace("\u200b", ""),
    "quotes": lambda text: text.replace("\u201c", '"'),
    "composed": lambda text: unicodedata.normalize("NFC", text),
    "composed under an accent": lambda text: unicodedata.normalize("NFC", text),
    "full width": lambda text: unicodedata.normalize("NFKC", text),
}
TEXTS = {
    "escaped": "a & <image>",
    "zero width": "<image>\u200b",
    "quotes": "\u201c<image>",
    "composed": "<image>e\u0301",
    "composed under an accent": "<\u0338image>",
    "full width": "\uff21<image>",
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_happens_to_text_anyway_is_said_by_text_survives(name):
    bench = Bench(typing(CHANGES[name]))
    conversation = Conversation([Message("user", [Image(1, 1), Text(TEXTS[name])])])
    verdict = judge(bench.case(conversation), "literals.policy")
    assert isinstance(verdict, NotJudged)
    assert verdict.because_of == "text.survives"
    assert isinstance(judge(bench.case(verdict.on), "text.survives"), Finding)


@pytest.mark.parametrize("change", [lambda text: text.replace("<", "&lt;"), lambda text: text.replace("<image>", "")])
def test_what_happens_to_markers_alone_is_said_by_literals_policy(change):
    bench = Bench(typing(change))
    conversation = Conversation([Message("user", [Image(1, 1), Text("a & <image>\u200b")])])
    assert isinstance(judge(bench.case(conversation), "literals.policy"), Finding)


def test_without_hazards_keeps_letters_and_blanks():
    conversation = Conversation([Message("user", [Text("a <image_id> & 1"), Image(1, 1)])])
    assert without_hazards(conversation).messages[0].parts[0] == Text("a aimageaida a 1")
