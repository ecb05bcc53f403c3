"""What the mutants brought to light: prechecks and causes that were missing, and accusations that were false."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer

from image_spans.case import Bench
from image_spans.checks import judge
from image_spans.checks.contract import bos
from image_spans.checks.text import LONG
from image_spans.conversation import Conversation, Image, Message, Text
from image_spans.diagnosis import diagnosed
from image_spans.findings import Finding
from image_spans.subject import Subject
from image_spans.tokenizers import adapt, observe
from image_spans.training.byte_bpe import backend
from support import contract, subject

MARKERS = ["<image>", "</image>", "<slice>", "</slice>", "<pad>"]


def on(native: Tokenizer) -> Subject:
    tokenizer, promise = adapt(native), contract()
    return Subject("raw", tokenizer, observe(tokenizer, promise.markers), promise, lambda conversation: [])


@pytest.mark.parametrize("length", [512, 2048, 8192])
def test_truncation_that_was_saved_with_a_file_is_found(length):
    native = backend(600, MARKERS)
    native.enable_truncation(length)
    finding = bos(on(Tokenizer.from_str(native.to_str())))
    assert isinstance(finding, Finding)
    assert finding.cause.name == "call-truncates"
    assert finding.message.endswith(f"the native call gives {length}")


def test_without_truncation_the_precheck_is_silent():
    assert bos(on(backend(600, MARKERS))) is None


def cause_of(pipeline, check: str, *parts, **promised) -> str:
    one = subject(pipeline, **promised)
    case = Bench(one).case(Conversation([Message("user", list(parts))]))
    verdict = judge(case, check)
    assert isinstance(verdict, Finding)
    return diagnosed(case, verdict).cause.name


SPAN = "<image>" + "<pad>" * 4 + "</image>"


def test_missing_bounds_are_not_explained_by_sizes():
    """The ids are right; once this was said to be width and height swapped, where turned images have one layout."""

    def pipeline(tokenizer, conversation):
        ids = tokenizer.encode_markup(SPAN + "a" + SPAN)
        return {"input_ids": ids, "image_bounds": [(1, 5)]}

    one = subject(pipeline, returns=("image_bounds",))
    case = Bench(one).case(Conversation([Message("user", [Image(1, 2), Text("a"), Image(2, 1)])]))
    verdict = judge(case, "spans.bounds")
    assert isinstance(verdict, Finding)
    assert diagnosed(case, verdict).cause.name == "bounds-missing"


def test_an_empty_span_has_a_cause():
    made = cause_of(lambda t, c: t.encode_markup("<image></image>a"), "spans.slots", Image(1, 1), Text("a"))
    assert made == "span-empty"


def test_images_that_stand_twice_have_a_cause():
    def pipeline(tokenizer, conversation):
        return tokenizer.encode_markup(SPAN * 4)

    assert cause_of(pipeline, "spans.expected", Image(1, 1), Image(1, 1)) == "image-doubled"


def test_an_end_of_text_that_a_call_left_in_has_a_cause():
    def pipeline(tokenizer, conversation):
        return [*tokenizer.encode_text("a"), 900, *tokenizer.encode_text("b"), 900]

    assert cause_of(pipeline, "text.survives", Text("a"), Text("b")) == "special-added"


def test_a_default_limit_shows_on_a_long_text():
    """A prompt limit that nobody set, as in trl PR#5023; what is drawn is shorter than any."""

    def pipeline(tokenizer, conversation):
        return tokenizer.encode_text(conversation.messages[0].parts[0].text)[:512]

    case = Bench(subject(pipeline)).case(LONG)
    verdict = judge(case, "text.survives")
    assert isinstance(verdict, Finding)
    assert diagnosed(case, verdict).cause.name == "text-end-lost"
