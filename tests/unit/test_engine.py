"""Passes: what is drawn, how often the pipeline runs, and what is kept."""

from __future__ import annotations

import importlib
from dataclasses import replace

import pytest
from hypothesis.database import InMemoryExampleDatabase

from image_spans import checks, strategies
from image_spans.case import Bench
from image_spans.conversation import Conversation, Image, Message, Text, parse_conversation
from image_spans.diagnosis import diagnosed
from image_spans.engine import FAMILIES, Engine, profile_of, spellings, verify
from image_spans.errors import ConfigError
from image_spans.findings import Finding
from image_spans.pipelines import reference
from support import ToyTokenizer, contract, subject

BUDGET = 20
ONE = Conversation([Message("user", [Image(1, 1), Text("a")])])
RIGHT = [1, 7, 7, 7, 7, 2, 1097]
PROMISE = contract()


def right(tokenizer, conversation):
    return reference("flat_slices")(tokenizer, conversation, contract=PROMISE)


class Counting:
    """A pipeline that counts its calls and may break what it returns."""

    def __init__(self, broken=lambda ids, conversation: ids):
        self.calls = []
        self.broken = broken

    def __call__(self, tokenizer, conversation):
        self.calls.append(conversation)
        return self.broken(right(tokenizer, conversation)["input_ids"], conversation)


def swapped(ids, conversation):
    """Open and close take each other's places: one fault, one fingerprint, on every conversation with images."""
    return [{1: 2, 2: 1, 3: 4, 4: 3}.get(token_id, token_id) for token_id in ids]


def named(name, pipeline, **promised):
    return replace(subject(pipeline, **promised), name=name)


def only_finding(engine, one, position="start", family="single", check="spans.matched"):
    (found,) = engine.survey(one, position, family).tallies[check].findings.values()
    return found


# ---------------------------------------------------------------- a pass


def test_each_conversation_is_drawn_and_encoded_once():
    pipeline, engine = Counting(), Engine(BUDGET, 0)
    one = subject(pipeline)
    done = engine.survey(one, "start", "single")
    assert engine.survey(one, "start", "single") is done
    assert pipeline.calls == list(done.conversations)
    assert len(set(done.conversations)) == len(done.conversations)
    assert 5 <= len(done.conversations) <= BUDGET + 1  # and the long one
    applying = {
        check.name
        for check in checks.checks().values()
        if check.family == "single" and check.inapplicable(one.contract, one.returns) is None
    }
    assert set(done.tallies) == applying
    assert "spans.bounds" not in applying  # this pipeline returns none
    for name, tally in done.tallies.items():
        assert (tally.judged, tally.findings, dict(tally.blocked_by)) == (len(done.conversations), {}, {}), name


def test_variants_share_what_is_encoded():
    """Only a second call and what related conversations need is encoded on top, and that only once."""
    pipeline, engine = Counting(), Engine(BUDGET, 0)
    done = engine.survey(subject(pipeline), "start", "variants")
    for conversation in done.conversations:
        assert pipeline.calls.count(conversation) == 2  # paths.agree makes the second call
    for conversation in set(pipeline.calls) - set(done.conversations):
        assert pipeline.calls.count(conversation) == 1


def test_every_conversation_has_its_images_where_the_pass_says():
    engine, one = Engine(BUDGET, 0), subject(Counting())
    profile = profile_of(one, FAMILIES["single"])
    for position in strategies.POSITIONS:
        for conversation in engine.survey(one, position, "single").conversations:
            assert position in strategies.positions_of(conversation, profile)


def test_families_have_budgets():
    engine, one = Engine(50, 0), subject(Counting())
    for name, most in (("single", 50), ("hazard", 25), ("variants", 10)):
        assert 5 <= len(engine.survey(one, "start", name).conversations) <= most
    assert len(Engine(3, 0).survey(one, "start", "variants").conversations) <= 3
    assert [(family.name, family.share, family.hazard) for family in FAMILIES.values()] == [
        ("single", 1.0, False),
        ("hazard", 0.5, True),
        ("variants", 0.2, False),
        ("faults", 0.1, False),
        ("limits", 0.05, False),
        ("batch", 0.05, False),
    ]


def test_equal_profiles_share_their_draws(monkeypatch):
    drawn = []
    original = strategies.conversations
    monkeypatch.setattr(strategies, "conversations", lambda **given: drawn.append(given) or original(**given))
    engine = Engine(BUDGET, 0)
    family = FAMILIES["single"]
    one, other = named("one", Counting()), named("other", Counting(swapped), bos="exactly_once")
    assert profile_of(one, family) == profile_of(other, family)
    assert engine.survey(one, "start", "single").conversations == engine.survey(other, "start", "single").conversations
    assert len(drawn) == 1
    narrow = named("narrow", Counting(), input={"images": "0..1"})
    assert profile_of(narrow, family) != profile_of(one, family)
    assert all(len(c.images) <= 1 for c in engine.survey(narrow, "start", "single").conversations)
    assert len(drawn) == 2


def test_draws_follow_the_seed():
    def drawn(seed, position="start", family="single"):
        return Engine(BUDGET, seed).survey(subject(Counting()), position, family).conversations

    assert drawn(7) == drawn(7)
    assert drawn(7) != drawn(8)
    assert drawn(7)[:3] != drawn(7, "end")[:3]


def test_hazards_spell_what_the_subject_declares():
    one = subject(Counting(), literals={"policy": "plain", "tag": "<tag>"}, template={"user": ["<image_id>", ""]})
    assert set(spellings(one)) == {
        "<image>", "</image>", "<slice>", "</slice>", "<pad>", "<s>", "</s>", "<tag>", "<image_id>"
    }  # fmt: skip
    assert "<image_id>" not in spellings(subject(Counting()))
    assert profile_of(one, FAMILIES["hazard"]).spellings == spellings(one)
    assert profile_of(one, FAMILIES["single"]).spellings == ()
    hazards = Engine(BUDGET, 0).survey(one, "start", "hazard").conversations
    assert any(spelled in repr(conversation) for conversation in hazards for spelled in spellings(one))


# ---------------------------------------------------------------- findings


def test_one_cause_is_one_finding_and_blocks_the_rest():
    done = Engine(BUDGET, 0).survey(subject(Counting(swapped)), "start", "single")
    tally = done.tallies["spans.matched"]
    assert set(tally.findings) == {"spans.matched/markers-swapped"}
    assert tally.findings["spans.matched/markers-swapped"].conversation == done.conversations[0]
    for name in ("spans.expected", "spans.slots", "spans.order", "text.survives"):
        assert dict(done.tallies[name].blocked_by) == {"spans.matched": len(done.conversations)}
        assert done.tallies[name].judged == 0
        assert not done.tallies[name].findings
    assert done.tallies["bos.placement"].judged == len(done.conversations)


def test_each_fingerprint_keeps_its_first_conversation():
    def two_faults(ids, conversation):
        return swapped(ids, conversation) if len(conversation.images) > 1 else ids[1:]

    engine, one = Engine(40, 0), subject(Counting(two_faults))
    done = engine.survey(one, "start", "single")
    found = done.tallies["spans.matched"].findings
    assert set(found) == {"spans.matched/markers-swapped", "spans.matched/first-id-removed"}
    for name, many in (("markers-swapped", True), ("first-id-removed", False)):
        first = next(c for c in done.conversations if (len(c.images) > 1) is many)
        assert found[f"spans.matched/{name}"].conversation == first
        smallest = engine.shrink(one, "start", found[f"spans.matched/{name}"])
        assert smallest.fingerprint == f"spans.matched/{name}"
        assert len(smallest.conversation.images) == 1 + many


def test_shrinking_gives_the_smallest_of_that_fingerprint():
    engine = Engine(BUDGET, 0)
    one = subject(Counting(swapped))
    found = only_finding(engine, one)
    smallest = engine.shrink(one, "start", found)
    (message,) = smallest.conversation.messages
    assert smallest.conversation.images == (Image(1, 1),)
    assert len(message.parts[1].text) == 1
    assert (smallest.check, smallest.fingerprint) == (found.check, found.fingerprint)
    assert smallest.strip is not None
    assert smallest.message == "an image close has no open"
    again = Engine(BUDGET, 0)
    assert again.shrink(one, "start", only_finding(again, one)).conversation == smallest.conversation


def test_shrinking_keeps_what_the_fault_needs():
    """Only large images fail: the minimum is on the boundary of the rule."""

    def large_only(ids, conversation):
        return ids[:-1] if 3 in ids else ids

    engine = Engine(40, 0)
    one = subject(Counting(large_only))
    tallies = engine.survey(one, "end", "single").tallies
    found = next(finding for tally in tallies.values() for finding in tally.findings.values())
    images = engine.shrink(one, "end", found).conversation.images
    assert len(images) == 1
    assert images[0].width * images[0].height > 448 * 448


@pytest.mark.parametrize("budget", [1, 5])
def test_shrinking_that_does_not_reach_the_finding_reports_it_as_it_was(budget):
    recorded = Finding("spans.matched", "m", "toy", ONE)
    assert Engine(budget, 0).shrink(subject(Counting()), "start", recorded) is recorded


def test_a_pipeline_that_never_answers_the_same_is_still_reported():
    count = iter(range(10**6))

    def erratic(ids, conversation):
        return ids[1:] if next(count) % 2 else ids

    engine = Engine(BUDGET, 0)
    one = subject(Counting(erratic))
    tallies = engine.survey(one, "start", "single").tallies
    found = next(finding for tally in tallies.values() for finding in tally.findings.values())
    told = engine.shrink(one, "start", found)
    assert told.fingerprint == found.fingerprint
    assert told.conversation is not None
    again = engine.survey(one, "start", "variants").tallies["paths.agree"]
    assert set(again.findings) == {"paths.agree/keeps-state"}
    assert engine.shrink(one, "start", again.findings["paths.agree/keeps-state"]).check == "paths.agree"


def test_a_finding_without_a_conversation_is_not_shrunk():
    pipeline = Counting()
    recorded = Finding("spans.matched", "m", "toy")
    assert Engine(BUDGET, 0).shrink(subject(pipeline), "start", recorded) is recorded
    assert pipeline.calls == []


def test_one_conversation_alone():
    pipeline = Counting(swapped)
    engine = Engine(BUDGET, 0, only=ONE, database=InMemoryExampleDatabase())
    one = subject(pipeline)
    done = engine.survey(one, "middle", "single")
    assert (done.conversations, pipeline.calls[0]) == ((ONE,), ONE)  # the others are what the diagnosis asks for
    found = only_finding(engine, one, "middle")
    assert engine.shrink(one, "middle", found) is found
    assert engine.database.data == {}


def test_diagnosed_says_where_and_only_once():
    case = Bench(subject(Counting(swapped))).case(ONE)
    found = diagnosed(case, checks.judge(case, "spans.matched"))
    assert found.cause.name == "markers-swapped"
    assert found.strip == ("[ </image> <pad>x4 <image> a ]", "  ^ expected <image> (1)")
    assert diagnosed(case, found) is found
    here = diagnosed(case, case.finding("spans.matched", "m", at=0))
    assert here.strip[1].endswith("^ here")
    assert diagnosed(case, case.finding("spans.matched", "m")).strip is None


# ---------------------------------------------------------------- the database


def test_a_failing_conversation_is_kept_replayed_and_forgotten():
    database = InMemoryExampleDatabase()
    pipeline = Counting(swapped)
    one = subject(pipeline)
    engine = Engine(BUDGET, 0, database=database)
    smallest = engine.shrink(one, "start", only_finding(engine, one)).conversation
    ((key, kept),) = database.data.items()
    assert kept == {repr(smallest).encode()}

    for seed in (1, 2):  # replayed first, whatever is drawn
        again = Engine(BUDGET, seed, database=database)
        assert again.survey(one, "start", "single").conversations[0] == smallest
        again.forget_repaired(one, "start", "single")
        assert database.data[key] == kept  # not while it fails
        assert smallest not in Engine(BUDGET, seed, database=database).survey(one, "end", "single").conversations

    pipeline.broken = lambda ids, conversation: ids
    repaired = Engine(BUDGET, 3, database=database)
    assert repaired.survey(one, "start", "single").conversations[0] == smallest
    repaired.forget_repaired(one, "start", "single")
    assert not database.data[key]


def test_what_no_longer_parses_is_dropped():
    database = InMemoryExampleDatabase()
    one = subject(Counting(swapped))
    engine = Engine(BUDGET, 0, database=database)
    smallest = engine.shrink(one, "start", only_finding(engine, one)).conversation
    (key,) = database.data
    for junk in (b"Conversation([Message(", b"\xff", b"", b"Image(1, 1)"):
        database.save(key, junk)
    again = Engine(BUDGET, 0, database=database).survey(one, "start", "single").conversations
    assert again[0] == smallest
    assert all(isinstance(conversation, Conversation) for conversation in again)
    (kept,) = database.data[key]
    assert parse_conversation(kept.decode()) == smallest


def test_what_was_kept_under_another_contract_is_not_replayed():
    """It may be outside the limits that the contract has now."""
    database = InMemoryExampleDatabase()
    wide = named("toy", Counting(lambda ids, c: ids[1:] if len(c.images) > 2 else ids))
    engine = Engine(60, 0, database=database)
    tallies = engine.survey(wide, "every_message", "single").tallies
    found = next(finding for tally in tallies.values() for finding in tally.findings.values())
    assert len(engine.shrink(wide, "every_message", found).conversation.images) > 2
    narrow = named("toy", Counting(), input={"images": "0..2"})
    for conversation in Engine(BUDGET, 0, database=database).survey(narrow, "every_message", "single").conversations:
        assert len(conversation.images) <= 2


def test_without_a_database_nothing_is_kept():
    one, engine = subject(Counting(swapped)), Engine(BUDGET, 0)
    engine.shrink(one, "start", only_finding(engine, one))
    engine.forget_repaired(one, "start", "single")
    assert only_finding(engine, one).check == "spans.matched"


# ---------------------------------------------------------------- prechecks and verify


def test_prechecks_are_asked_once():
    class Counts(ToyTokenizer):
        calls = 0

        def named_ids(self):
            Counts.calls += 1
            return super().named_ids()

    engine, one = Engine(BUDGET, 0), subject(tokenizer=Counts())
    assert engine.failed_prechecks(one) == []
    before = Counts.calls
    assert engine.failed_prechecks(one) == []
    assert Counts.calls == before


def test_a_tokenizer_that_raises_fails_its_precheck():
    class Raises(ToyTokenizer):
        def encode(self, text):
            raise KeyError(text)

    (found,) = Engine(BUDGET, 0).failed_prechecks(subject(tokenizer=Raises()))
    assert found.headline == "toy breaks contract.bos: the tokenizer raised KeyError: ''"


def test_verify_passes_what_is_right():
    pipeline = Counting()
    verify(subject(pipeline), ONE)
    assert pipeline.calls == [ONE]
    verify(subject(pipeline), ONE, "spans", "text.survives", "literals", "relations", "paths")


def test_verify_raises_with_cause_and_ids():
    with pytest.raises(Finding) as raised:
        verify(subject(Counting(swapped)), ONE)
    assert raised.value.fingerprint == "spans.matched/markers-swapped"
    assert raised.value.strip is not None
    assert raised.value.conversation == ONE
    with pytest.raises(AssertionError, match=r"toy breaks spans\.matched"):
        verify(subject(Counting(swapped)), ONE, "spans")


def test_verify_judges_the_named_checks_only():
    verify(subject(Counting(lambda ids, c: ids[:-1])), ONE, "spans", "bos")
    with pytest.raises(Finding, match=r"toy breaks text\.survives"):
        verify(subject(Counting(lambda ids, c: ids[:-1])), ONE, "text")


def test_verify_is_not_silent_about_what_could_not_be_judged():
    broken = subject(Counting(swapped))
    for name in ("spans.slots", "text.survives", "relations.prefix"):
        with pytest.raises(Finding) as raised:
            verify(broken, ONE, name)
        assert raised.value.fingerprint == "spans.matched/markers-swapped"

    def right_for_one(ids, conversation):
        return ids if conversation == ONE else swapped(ids, conversation)

    with pytest.raises(Finding) as raised:
        verify(subject(Counting(right_for_one)), ONE, "relations.prefix")
    assert raised.value.fingerprint == "spans.matched/markers-swapped"
    assert raised.value.conversation not in (None, ONE)  # it fails on a related conversation


def test_verify_of_a_declared_refusal():
    def refuse(tokenizer, conversation):
        raise ValueError("<image> is not allowed in text")

    typed = Conversation([Message("user", [Text("<image>")])])
    verify(subject(refuse, literals="reject"), typed)
    verify(subject(refuse, literals="reject"), typed, "literals", "relations", "paths")
    with pytest.raises(Finding, match=r"breaks pipeline\.encodes: raised ValueError"):
        verify(subject(refuse, literals="plain"), typed)


def test_verify_knows_no_other_checks():
    with pytest.raises(ConfigError, match=r"unknown check 'spans\.slot'; did you mean 'spans\.slots'\?"):
        verify(subject(), ONE, "spans.slot")


# ---------------------------------------------------------------- cases


def test_a_bench_keeps_the_last_cases_only():
    pipeline = Counting()
    bench = Bench(subject(pipeline))
    others = [Conversation([Message("user", [Text(str(number))])]) for number in range(256)]
    for conversation in [ONE, *others]:
        bench.case(conversation)
    assert bench.case(others[-1]) is bench.case(others[-1])
    assert len(pipeline.calls) == 257
    bench.case(ONE)
    assert len(pipeline.calls) == 258


def test_ids_are_those_of_the_pipeline():
    assert Bench(subject(Counting())).case(ONE).ids == RIGHT


# ---------------------------------------------------------------- recorded examples


def test_a_recorded_example_is_judged_first_and_by_its_own_check_alone():
    """All checks fail on it; the others must not be disturbed by what was recorded for one."""
    recorded = Conversation([Message("user", [Image(123, 457), Text("recorded")])])

    def wrong_for_it(ids, conversation):
        return ids[1:-1] if conversation == recorded else ids

    pipeline, engine = Counting(wrong_for_it), Engine(BUDGET, 0)
    one = subject(pipeline)
    done = engine.survey(one, "start", "single", {"spans.matched": [recorded]})
    assert recorded not in done.conversations
    assert pipeline.calls[0] == recorded
    assert pipeline.calls.count(recorded) == 1
    (found,) = done.tallies["spans.matched"].findings.values()
    assert found.conversation == recorded
    assert engine.replay(one, recorded, "spans.matched") is found
    for name, tally in done.tallies.items():
        if name != "spans.matched":
            assert (tally.findings, dict(tally.blocked_by)) == ({}, {}), name


def test_what_a_check_is_blocked_on_is_remembered():
    def right_for_small(ids, conversation):
        return ids if all(image.width < 449 for image in conversation.images) else swapped(ids, conversation)

    done = Engine(BUDGET, 0).survey(subject(Counting(right_for_small)), "start", "variants")
    (blocked,) = (done.tallies["relations.prefix"].blocked_on,)
    assert set(blocked) == {"spans.matched"}
    assert all(any(image.width >= 449 for image in conversation.images) for conversation in blocked["spans.matched"])
    assert any(conversation not in done.conversations for conversation in blocked["spans.matched"])


def test_what_else_is_loaded_changes_no_draw(tmp_path, monkeypatch):
    def drawn():
        return Engine(200, 0).conversations(subject(Counting()), "start", FAMILIES["single"])

    before = drawn()
    (tmp_path / "full_of_numbers.py").write_text(f"NUMBERS = {list(range(101, 301))}\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("full_of_numbers")
    assert drawn() == before
