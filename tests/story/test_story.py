"""The report that this suite was made for, and its whole family.

OpenBMB/MiniCPM-V#331: fine-tuning died with ``Sizes of tensors must match except in dimension 1``. The first id of
every message was removed "because it is BOS", but that tokenizer adds none: what went was ``<image>``. Their code
is imitated in assembly.py; the four kinds of tokenizer are made in conftest.py.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from assembly import SLOTS, bos_stripped_by_id, first_id_kept_for_the_user, first_id_stripped
from hypothesis import HealthCheck, find, settings

from image_spans import strategies
from image_spans.case import Bench
from image_spans.checks import checks, judge
from image_spans.config import load, read
from image_spans.contract import Contract
from image_spans.conversation import Conversation, Image, Message, Text
from image_spans.diagnosis import diagnosed
from image_spans.engine import FAMILIES, Engine, verify
from image_spans.findings import Finding
from image_spans.subject import Subject
from image_spans.tokenizers import observe

NO_BOS, BOS = "no BOS", "BOS"
EXTRA, MERGED = "extra first token", "extra first token, merged with the word"
ALL = (NO_BOS, BOS, EXTRA, MERGED)


DEFAULTS = Path(__file__).parents[2] / "tokenizers_under_test.yaml"


def contract(kind: str, placeholder: str = "<slot>") -> Contract:
    return Contract(
        input={"roles": ["user", "assistant"]},
        bos="exactly_once" if kind == BOS else "none",
        images={"open": "<image>", "close": "</image>", "placeholder": placeholder, "slots": SLOTS},
        slices={"open": "<slice>", "close": "</slice>", "rule": "minicpm"},
        literals="interpret",  # the markers go through text
        template={},
    )


def make(tokenizers, kind: str, assemble) -> Subject:
    tokenizer = tokenizers[kind]
    promise = contract(kind)
    facts = observe(tokenizer, promise.markers)
    bos = facts.bos if kind == BOS else None
    return Subject(kind, tokenizer, facts, promise, partial(assemble, tokenizer.native, bos=bos))


def smallest(subject: Subject, check: str, position: str, *, min_side: int = 1) -> Finding:
    """The smallest conversation with images at ``position`` on which the check fails."""
    bench = Bench(subject)

    def fails(conversation: Conversation) -> bool:
        return isinstance(judge(bench.case(conversation), check), Finding)

    drawn = strategies.conversations(
        position=position, profile=strategies.Profile.of(subject.contract), min_side=min_side
    )
    quiet = settings(
        max_examples=200, database=None, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    conversation = find(drawn, fails, settings=quiet)
    case = bench.case(conversation)
    return diagnosed(case, judge(case, check))


def failing_checks(subject: Subject) -> set[str]:
    """All checks that fail on ordinary conversations, over all positions; the profile of the budget is the default."""
    engine = Engine(60, 0)
    found = {name for name, one in checks().items() if one.family == "once" and engine.precheck(subject, name)}
    profile = strategies.Profile.of(subject.contract)
    for family in (name for name in FAMILIES if name != "hazard"):
        for position in strategies.POSITIONS:
            if strategies.applies(position, profile):
                tallies = engine.survey(subject, position, family).tallies
                found |= {name for name, tally in tallies.items() if tally.findings}
    return found


def test_the_four_kinds_are_what_they_are_called(tokenizers):
    observed = {kind: make(tokenizers, kind, bos_stripped_by_id).facts for kind in ALL}
    assert {kind: len(facts.prefix) for kind, facts in observed.items()} == {NO_BOS: 0, BOS: 1, EXTRA: 0, MERGED: 0}
    assert {kind: facts.dummy_prefix for kind, facts in observed.items()} == {
        NO_BOS: False,
        BOS: False,
        EXTRA: True,
        MERGED: True,
    }


# ---------------------------------------------------------------- removing the first id of every message


def test_small_image_first_loses_its_only_start(tokenizers):
    """Silent upstream: no start at all, so the picture is ignored."""
    finding = smallest(make(tokenizers, NO_BOS, first_id_stripped), "spans.matched", "start")
    assert finding.conversation == Conversation([Message("user", [Image(1, 1), Text("a")])])
    assert finding.message == "0 image opens, 1 close"
    assert finding.cause.name == "first-id-removed"
    assert (
        "the first id of message 0 was removed as if it were BOS, but this tokenizer adds none; it was <image>"
        in str(finding)
    )


def test_large_image_first_has_one_start_less_than_ends(tokenizers):
    """The crash upstream: N - 1 starts and N ends, counting image and slice spans together."""
    subject = make(tokenizers, NO_BOS, first_id_stripped)
    finding = smallest(subject, "spans.matched", "start", min_side=449)
    assert finding.conversation == Conversation([Message("user", [Image(449, 449), Text("a")])])
    assert finding.cause.name == "first-id-removed"
    found = Bench(subject).case(finding.conversation).found
    roles = [role for role, _ in found.tokens]
    starts = roles.count("image_open") + roles.count("slice_open")
    ends = roles.count("image_close") + roles.count("slice_close")
    assert (starts, ends) == (2, 3)


@pytest.mark.parametrize("kind", [NO_BOS, MERGED])
def test_image_last_keeps_its_span_and_loses_the_first_word(tokenizers, kind):
    """Counts right, picture right, text wrong: no count of markers can see it."""
    subject = make(tokenizers, kind, first_id_stripped)
    finding = smallest(subject, "text.survives", "end")
    assert finding.conversation is not None
    assert len(finding.conversation.messages) == 1
    assert finding.cause.name == "first-id-removed"
    case = Bench(subject).case(finding.conversation)
    assert judge(case, "spans.matched") is None
    assert judge(case, "spans.expected") is None


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (NO_BOS, {"spans.matched", "text.survives"}),
        (BOS, set()),
        (EXTRA, set()),
        (MERGED, {"text.survives"}),
    ],
)
def test_removing_the_first_id_of_every_message(tokenizers, kind, expected):
    """Right only where every message has something in front that may go: one kind reports it, another does not."""
    assert failing_checks(make(tokenizers, kind, first_id_stripped)) == expected


def test_the_real_vocabulary(tokenizers):
    """MiniCPM-o 4.5 itself: the first id that goes is 151669."""
    (spec,) = [spec for spec in read(DEFAULTS) if spec.name == "minicpm-o-4.5"]
    reason = spec.missing()
    if reason is not None:
        pytest.skip(reason)
    real = load(spec)
    tokenizer = real.tokenizer
    naive = partial(first_id_stripped, tokenizer.native, slot="<unk>")
    promise = contract(NO_BOS, placeholder="<unk>")
    subject = Subject("minicpm", tokenizer, observe(tokenizer, promise.markers), promise, naive)
    with pytest.raises(Finding, match=r"breaks spans\.matched: 0 image opens, 1 close") as finding:
        verify(subject, Conversation([Message("user", [Image(448, 448), Text("What is this?")])]))
    assert finding.value.cause.sentence.endswith("but this tokenizer adds none; it was <image> (151669)")


# ---------------------------------------------------------------- the refused repair


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (NO_BOS, {"text.survives"}),
        (BOS, {"bos.placement"}),
        (EXTRA, set()),
        (MERGED, {"text.survives"}),
    ],
)
def test_keeping_the_first_id_for_the_user_and_removing_it_for_the_assistant(tokenizers, kind, expected):
    """The proposed and refused repair: right on one kind, wrong on the others."""
    assert failing_checks(make(tokenizers, kind, first_id_kept_for_the_user)) == expected


def test_refused_repair_eats_the_answer_without_bos(tokenizers):
    finding = smallest(make(tokenizers, NO_BOS, first_id_kept_for_the_user), "text.survives", "start")
    assert finding.conversation is not None
    assert [message.role for message in finding.conversation.messages] == ["user", "assistant"]
    assert "the first id of message 1 was removed as if it were BOS" in finding.cause.sentence


def test_refused_repair_doubles_bos_in_the_second_turn(tokenizers):
    finding = smallest(make(tokenizers, BOS, first_id_kept_for_the_user), "bos.placement", "start")
    assert finding.cause.name == "bos-per-segment"


# ---------------------------------------------------------------- the right way


@pytest.mark.parametrize("kind", ALL)
def test_removing_bos_only_where_the_first_id_is_bos(tokenizers, kind):
    """By id, never by position: right everywhere."""
    assert failing_checks(make(tokenizers, kind, bos_stripped_by_id)) == set()


@pytest.mark.parametrize("kind", ALL)
def test_verify_is_silent_on_the_right_way(tokenizers, kind):
    conversation = Conversation(
        [Message("user", [Image(449, 449), Text("a"), Image(1, 1)]), Message("assistant", [Text("b")])]
    )
    verify(make(tokenizers, kind, bos_stripped_by_id), conversation)
