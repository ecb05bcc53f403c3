"""Each check on encodings made by hand: what must fail fails by name, what is right is silent."""

import pytest

from image_spans import checks
from image_spans.case import Bench
from image_spans.conversation import Conversation, Image, Message, Text
from image_spans.engine import diagnosed, verify
from image_spans.errors import ConfigError
from image_spans.findings import Finding
from support import ToyTokenizer, contract, subject

TOY = ToyTokenizer()
O, C, S, SC, P = (TOY.token_to_id(token) for token in ("<image>", "</image>", "<slice>", "</slice>", "<pad>"))
A, B, BOS = 1000 + ord("a"), 1000 + ord("b"), 0
ONE = Conversation([Message("user", [Image(1, 1), Text("a")])])
SPAN = [O, P, P, P, P, C]
TWO = Conversation([Message("user", [Image(1, 1), Text("a"), Image(449, 449), Text("b")])])
SLICES = [*SPAN, S, P, P, P, P, SC, 1010, S, P, P, P, P, SC]
RIGHT_TWO = [*SPAN, A, *SLICES, B]


def failing(ids, conversation=ONE, **promised):
    """Check to message, of the checks that fail on these ids."""
    one = subject(lambda tokenizer, given: ids, returns=("image_bounds",) if isinstance(ids, dict) else (), **promised)
    case = Bench(one).case(conversation)
    found = {}
    for name, check in checks.checks().items():
        if check.family == "single" and check.inapplicable(one.contract, one.returns) is None:
            verdict = checks.judge(case, name)
            if isinstance(verdict, Finding):
                found[name] = diagnosed(case, verdict)
    return {name: finding.message for name, finding in found.items()}


@pytest.mark.parametrize(
    ("ids", "conversation"),
    [([*SPAN, A], ONE), (RIGHT_TWO, TWO), ({"input_ids": [*SPAN, A], "image_bounds": [[1, 5]]}, ONE)],
)
def test_right_ids_are_silent(ids, conversation):
    assert failing(ids, conversation) == {}


@pytest.mark.parametrize(
    ("ids", "check", "message"),
    [
        ([P, P, P, P, C, A], "spans.matched", "0 image opens, 1 close"),
        ([O, P, P, P, P, A], "spans.matched", "1 image open, 0 closes"),
        ([C, P, P, P, P, O, A], "spans.matched", "an image close has no open"),
        ([O, O, P, P, P, P, C, C, A], "spans.matched", "an image opens inside an image span"),
        ([O, S, P, P, P, P, C, SC, A], "spans.matched", "a slice opens inside an image span"),
        ([A], "spans.expected", "1 image and no span at all"),
        ([*SPAN, *SPAN, A], "spans.expected", "2 image spans, expected 1; 2 placeholder runs, expected 1"),
        ([*SLICES, A], "spans.expected", "3 placeholder runs, expected 1; 2 slice spans, expected 0"),
        ([*SPAN[:3], 1010, *SPAN[3:], A], "spans.slots", "a span of image 0 has 2 slots, expected 4"),
        ([O, C, A], "spans.slots", "a span of image 0 is empty, expected 4 slots"),
        ([O, P, P, P, C, A], "spans.slots", "a span of image 0 has 3 slots, expected 4"),
        ([*SPAN, A, P], "spans.slots", "1 placeholder outside any span"),
        ([A, *SPAN], "spans.order", "an image stands at another place in the text than declared"),
        ([*SPAN], "text.survives", "the text of message 0 is '', expected 'a'"),
        ([*SPAN, B], "text.survives", "the text of message 0 is 'b', expected 'a'"),
        ([*SPAN, A, 1032], "text.survives", "the text of message 0 is 'a ', expected 'a'"),
        ([*SPAN, A, 900], "text.survives", "the text of message 0 is 'a</s>', expected 'a'"),
        ([BOS, *SPAN, A], "bos.placement", "1 BOS at 0, declared none"),
        ([*SPAN, -5], "pipeline.encodes", "the id at 6 is -5, which no token has"),
        (None, "pipeline.encodes", "the result is a NoneType, not a list of ids"),
        (
            {"input_ids": [*SPAN, A], "image_bounds": [[0, 5]]},
            "spans.bounds",
            "bounds 0 are (0, 5), the placeholders stand at (1, 5)",
        ),
        (
            {"input_ids": [*SPAN, A], "image_bounds": []},
            "spans.bounds",
            "bounds 0 are missing, the placeholders stand at (1, 5)",
        ),
        (
            {"input_ids": [*SPAN, A], "image_bounds": [[1, 1], [1, 5]]},
            "spans.bounds",
            "bounds 0 are (1, 1), the placeholders stand at (1, 5)",
        ),
    ],
)
def test_one_cause_gives_one_finding(ids, check, message):
    assert failing(ids) == {check: message}


def test_adjacent_runs_may_have_a_bound_each():
    run = {"images": {"grammar": "run", "placeholder": "<pad>", "slots": 4}, "slices": None}
    both = Conversation([Message("user", [Image(1, 1), Image(1, 1)])])
    assert failing({"input_ids": [P] * 8, "image_bounds": [[0, 4], [4, 8]]}, both, **run) == {}
    assert set(failing({"input_ids": [P] * 8, "image_bounds": [[0, 4]]}, both, **run)) == {"spans.bounds"}


def test_images_in_another_order():
    assert failing([*SLICES, A, *SPAN, B], TWO) == {
        "spans.order": "the images stand in the order [1, 0], expected [0, 1]"
    }


def test_row_break_and_nothing_else():
    ids = [token_id for token_id in RIGHT_TWO if token_id != 1010]
    assert failing(ids, TWO) == {"spans.expected": "inside image 1 stands '' instead of '\\n'"}


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([*SPAN, A], "no BOS, declared one at the start"),
        ([BOS, BOS, *SPAN, A], "2 BOS at 0, 1, declared one at the start"),
        ([*SPAN, BOS, A], "1 BOS at 6, declared one at the start"),
        ([BOS, *SPAN, BOS, A], "2 BOS at 0, 7, declared one at the start"),
    ],
)
def test_bos_exactly_once(ids, message):
    assert failing([BOS, *SPAN, A], bos="exactly_once") == {}
    assert failing(ids, bos="exactly_once") == {"bos.placement": message}


def test_bos_that_the_template_spells():
    """Where BOS is also what opens a message, the template accounts for it."""
    promised = {"template": {"user": ["<s>", ""]}}
    assert failing([BOS, *SPAN, A], **promised) == {}
    assert failing([*SPAN, A], **promised) == {"bos.placement": "0 BOS, declared none"}
    assert failing([BOS, BOS, *SPAN, A], **promised) == {"bos.placement": "2 BOS at 0, 1, declared none"}


def test_bos_behind_the_images():
    assert failing([*SPAN, BOS, A], bos="after_images") == {}
    assert failing([BOS, *SPAN, A], bos="after_images") == {
        "bos.placement": "1 BOS at 0, declared one behind the last image"
    }
    text_only = Conversation([Message("user", [Text("a")])])
    assert failing([BOS, A], text_only, bos="after_images") == {}


def test_refusals():
    def refuse(tokenizer, conversation):
        raise ValueError("<image> is not allowed in text")

    typed = Conversation([Message("user", [Text("<image>")])])
    case = Bench(subject(refuse, literals="reject")).case(typed)
    assert checks.judge(case, "pipeline.encodes") is None
    assert checks.judge(case, "literals.policy") is None
    assert isinstance(checks.judge(Bench(subject(refuse)).case(ONE), "pipeline.encodes"), Finding)

    def mumble(tokenizer, conversation):
        raise ValueError("bad input")

    verdict = checks.judge(Bench(subject(mumble, literals="reject")).case(typed), "literals.policy")
    assert "the refusal does not name the marker <image>" in verdict.message


def test_a_path_that_raises():
    def broken(conversation):
        raise KeyError("x")

    one = subject(paths={"cached": broken})
    verdict = checks.judge(Bench(one).case(ONE), "paths.agree")
    assert verdict.message == "the path cached raised KeyError: 'x'"
    other = subject(paths={"cached": lambda conversation: [*SPAN, A, A]})
    verdict = checks.judge(Bench(other).case(ONE), "paths.agree")
    assert verdict.message == "the path cached gives 8 ids instead of 7, other from position 7"
    assert diagnosed(Bench(other).case(ONE), verdict).cause.name == "paths-differ"


def test_typed_bos_text():
    def reads_bos(tokenizer, conversation):
        return tokenizer.encode_markup(conversation.messages[0].parts[0].text)

    typed = Conversation([Message("user", [Text("x<s>")])])
    verdict = checks.judge(Bench(subject(reads_bos)).case(typed), "literals.policy")
    assert verdict.message == "BOS text that was typed became BOS"


# ---------------------------------------------------------------- one fault, its name


def verdict_of(check, pipeline, conversation=ONE, *, returns=(), paths=None, tokenizer=None, **promised):
    """What one check says; ``pipeline`` gives ids by hand for a conversation."""
    one = subject(lambda _, given: pipeline(given), returns=returns, paths=paths or {}, tokenizer=tokenizer, **promised)
    case = Bench(one).case(conversation)
    verdict = checks.judge(case, check)
    assert verdict is None or isinstance(verdict, (Finding, checks.NotJudged))
    return diagnosed(case, verdict) if isinstance(verdict, Finding) else verdict


@pytest.mark.parametrize(
    ("ids", "check", "message"),
    [
        # starts and ends collapsed to one id
        ([O, P, P, P, P, O, A], "spans.matched", "2 image opens, 0 closes"),
        ([C, P, P, P, P, C, A], "spans.matched", "0 image opens, 2 closes"),
        # counts are equal, order is not
        ([C, O, P, P, P, P, A], "spans.matched", "an image close has no open"),
        ([*SPAN, C, O, A], "spans.matched", "an image close has no open"),
        # misnested
        ([O, S, C, SC, A], "spans.matched", "a slice opens inside an image span"),
        ([O, P, P, P, P, SC, S, C, A], "spans.matched", "a slice close stands where an image span is open"),
        ([S, *SPAN, SC, A], "spans.matched", "an image opens inside a slice span"),
        # closed by the other kind
        ([O, P, P, P, P, SC, A], "spans.matched", "1 image open, 0 closes; 0 slice opens, 1 close"),
        # another kind of span
        ([S, P, P, P, P, SC, A], "spans.expected", "0 image spans, expected 1; 1 slice span, expected 0"),
        # no span, only its slots
        ([P, P, P, P, A], "spans.expected", "0 image spans, expected 1"),
        # empty and with a neighbour's slots
        ([O, C, P, P, P, P, A], "spans.slots", "a span of image 0 is empty, expected 4 slots"),
        ([P, P, P, P, O, C, A], "spans.slots", "4 placeholders outside any span"),
        ([O, P, P, P, P, P, C, A], "spans.slots", "a span of image 0 has 5 slots, expected 4"),
    ],
)
def test_broken_spans(ids, check, message):
    assert failing(ids) == {check: message}


@pytest.mark.parametrize(
    ("ids", "check", "message"),
    [
        ([A, B], "spans.expected", "2 images and no span at all"),
        ([*SPAN, A, *SPAN, B], "spans.expected", "2 placeholder runs, expected 4; 0 slice spans, expected 2"),
        (
            [*SPAN, A, B],
            "spans.expected",
            "1 image span, expected 2; 1 placeholder run, expected 4; 0 slice spans, expected 2",
        ),
        ([*SPAN, A, *SLICES[:12], B], "spans.expected", "3 placeholder runs, expected 4; 1 slice span, expected 2"),
        ([O, C, A, *SLICES, B], "spans.slots", "a span of image 0 is empty, expected 4 slots"),
        ([*SPAN, *SLICES, A, B], "spans.order", "an image stands at another place in the text than declared"),
        ([*SPAN, B, *SLICES, A], "text.survives", "the text of message 0 is 'b', expected 'a'"),
        ([*SPAN, A, *SLICES, B, B], "text.survives", "the text of message 0 is 'bb', expected 'b'"),
        ([*SPAN, A, 1032, *SLICES, B], "text.survives", "the text of message 0 is 'a ', expected 'a'"),
    ],
)
def test_broken_spans_of_two_images(ids, check, message):
    assert failing(ids, TWO) == {check: message}


def test_slices_in_place_of_the_overview():
    large = Conversation([Message("user", [Image(449, 449)])])
    overview_only = failing(SPAN, large)
    assert overview_only == {"spans.expected": "1 placeholder run, expected 3; 0 slice spans, expected 2"}
    swapped_pairs = [{O: S, C: SC, S: O, SC: C}.get(token_id, token_id) for token_id in SLICES]
    assert set(failing(swapped_pairs, large)) == {"spans.expected"}
    another_sequence = [*SLICES[6:], *SLICES[:6]]
    assert failing(another_sequence, large) == {
        "spans.expected": "1 spans for 1 images, in another sequence than expected"
    }


NUMBERED = {
    "images": {
        "open": "<image>", "close": "</image>", "placeholder": "<pad>", "slots": 4,
        "number": {"open": "<image_id>", "close": "</image_id>"},
    }
}  # fmt: skip


@pytest.mark.parametrize(
    ("ids", "found"),
    [
        ([5, 1048, 6, *SPAN, A], {}),
        ([5, 1049, 6, *SPAN, A], {"spans.expected": "inside image 0 stands '1' instead of '0'"}),
        ([5, 6, *SPAN, A], {"spans.expected": "inside image 0 stands '' instead of '0'"}),
        ([5, 1048, 6, 1032, *SPAN, A], {"spans.expected": "inside image 0 stands ' ' instead of ''"}),
        ([*SPAN, A], {"spans.expected": "0 image numbers, expected 1"}),
        ([5, 1048, *SPAN, A], {"spans.matched": "1 number open, 0 closes"}),
        ([5, 1048, *SPAN, 6, A], {"spans.matched": "an image opens inside a number span"}),
    ],
)
def test_numbers(ids, found):
    assert failing(ids, **NUMBERED) == found


def test_inside_a_block_nothing_is_forgiven_without_a_template():
    found = failing([5, 1048, 1049, 6, *SPAN, A], **NUMBERED, template=None)
    assert found == {"spans.expected": "inside image 0 stands '01' instead of '0'"}


RUN = {"images": {"grammar": "run", "placeholder": "<pad>", "slots": 4}, "slices": None}


@pytest.mark.parametrize(
    ("ids", "found"),
    [
        ([P, P, P, P, A], {}),
        ([P, P, P, A], {"spans.slots": "a span of image 0 has 3 slots, expected 4"}),
        ([A], {"spans.expected": "1 image and no span at all"}),
        ([P, P, A, P, P], {"spans.expected": "2 placeholder runs, expected 1"}),
        ([A, P, P, P, P], {"spans.order": "an image stands at another place in the text than declared"}),
    ],
)
def test_runs_have_nothing_to_match(ids, found):
    assert failing(ids, **RUN) == found
    with_run = subject(lambda tokenizer, given: ids, **RUN)
    assert checks.checks()["spans.matched"].inapplicable(with_run.contract, frozenset()) == (
        "the grammar run has no open marker"
    )


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ([[1, 5]], None),
        ([[1, 3], [3, 5]], None),
        ([[2, 5]], "bounds 0 are (2, 5), the placeholders stand at (1, 5)"),
        ([[1, 4]], "bounds 0 are (1, 4), the placeholders stand at (1, 5)"),
        ([[1, 6]], "bounds 0 are (1, 6), the placeholders stand at (1, 5)"),
        ([[0, 6]], "bounds 0 are (0, 6), the placeholders stand at (1, 5)"),
        ([[-1, 5]], "bounds 0 are (-1, 5), the placeholders stand at (1, 5)"),
        ([[1, 5], [1, 5]], "bounds 1 are (1, 5), the placeholders stand at none"),
        ([[1, 5], [90, 95]], "bounds 1 are (90, 95), the placeholders stand at none"),
        ([[1, 3], [4, 5]], "bounds 0 are (1, 3), the placeholders stand at (1, 5)"),
        ([[3, 5], [1, 3]], "bounds 0 are (3, 5), the placeholders stand at (1, 5)"),
        ([[5, 1]], "bounds 0 are (5, 1), the placeholders stand at (1, 5)"),
    ],
)
def test_bounds(bounds, message):
    found = failing({"input_ids": [*SPAN, A], "image_bounds": bounds})
    assert found == ({} if message is None else {"spans.bounds": message})


def test_swapped_sizes_are_not_seen_where_layouts_are_equal():
    same = Conversation([Message("user", [Image(1, 1), Text("a"), Image(2, 2)])])
    assert failing([*SPAN, A, *SPAN], same) == {}
    many = Conversation([Message("user", [Image(1, 1)] * 5 + [Image(449, 449)])])
    assert set(failing([*SLICES, *SPAN * 5], many)) == {"spans.expected"}  # too many to try every order


def test_text_of_two_messages_names_none():
    two = Conversation([Message("user", [Text("a")]), Message("user", [Text("b")])])
    assert failing([A, A], two) == {"text.survives": "the text is 'aa', expected 'ab'"}
    long = Conversation([Message("user", [Text("a" * 60 + "b" + "a" * 60)])])
    assert failing([A] * 121, long) == {
        "text.survives": f"the text of message 0 is ...'{'a' * 48}'..., expected ...'{'a' * 24}b{'a' * 23}'..."
    }


def test_where_text_differs_is_pointed_at():
    found = verdict_of(
        "text.survives", lambda given: [*SPAN, A, A, A], Conversation([Message("user", [Image(1, 1), Text("aba")])])
    )
    assert (found.at, found.expected) == (7, "'ba'")
    found = verdict_of("text.survives", lambda given: [*SPAN, A])
    assert found is None
    found = verdict_of("text.survives", lambda given: [*SPAN, A, A])
    assert (found.at, found.expected) == (7, "nothing more")
    found = verdict_of("text.survives", lambda given: SPAN)
    assert (found.at, found.expected) == (6, "'a'")


@pytest.mark.parametrize(
    ("check", "ids", "blocker"),
    [
        ("bos.placement", None, "pipeline.encodes"),
        ("spans.matched", None, "pipeline.encodes"),
        ("text.survives", None, "pipeline.encodes"),
        ("spans.expected", [O, A], "spans.matched"),
        ("spans.slots", [A], "spans.expected"),
        ("spans.order", [O, C, A], "spans.slots"),
        ("spans.order", [O, A], "spans.matched"),
        ("text.survives", [BOS, *SPAN], "bos.placement"),
        ("text.survives", [A, *SPAN], "spans.order"),
        ("text.survives", [O, A], "spans.matched"),
        ("relations.prefix", [O, C, A], "spans.slots"),
        ("paths.agree", None, "pipeline.encodes"),
        ("literals.policy", None, "pipeline.encodes"),
    ],
)
def test_what_cannot_be_judged_says_because_of_what(check, ids, blocker):
    assert verdict_of(check, lambda given: ids) == checks.NotJudged(blocker)


def test_a_verdict_is_asked_once(monkeypatch):
    asked = []
    monkeypatch.setitem(
        checks._REGISTRY,
        "my.rule",
        checks.Check("my.rule", "single", lambda case: asked.append(case), (), checks._always, None),
    )
    case = Bench(subject()).case(ONE)
    assert checks.judge(case, "my.rule") is None
    assert checks.judge(case, "my.rule") is None
    assert asked == [case]


def test_not_judged_blocks_nothing_unless_it_was_blocked_itself(monkeypatch):
    for name, verdict in (("my.quiet", checks.NOT_JUDGED), ("my.blocked", checks.NotJudged("my.other"))):
        monkeypatch.setitem(
            checks._REGISTRY,
            name,
            checks.Check(name, "single", lambda case, v=verdict: v, (), checks._always, None),
        )
    case = Bench(subject()).case(ONE)
    assert checks.blocking(case, ["my.quiet", "pipeline.encodes"]) is None
    assert checks.blocking(case, ["my.quiet", "my.blocked"]) == checks.NotJudged("my.other")


# ---------------------------------------------------------------- typed markers

TYPED = Conversation([Message("user", [Image(1, 1), Text("a<pad>")])])
SPELLED = [1000 + ord(character) for character in "<pad>"]


def by_hand(table, otherwise=()):
    """A pipeline that gives literal ids for the text of a conversation."""

    def pipeline(given):
        text = "".join(part.text for message in given.messages for part in message.parts if isinstance(part, Text))
        return table.get(text, list(otherwise) or [*SPAN, *(1000 + ord(character) for character in text)])

    return pipeline


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([*SPAN, A, *SPELLED], None),
        ([*SPAN, A, P], "text that spells markers gives 1 structural token too many"),
        ([*SPAN, A, P, O, C], "text that spells markers gives 3 structural tokens too many"),
        ([A, *SPELLED], "text that spells markers gives 3 structural tokens too few"),
        ([O, P, P, P, C, A, *SPELLED], "text that spells markers gives shifted spans"),
        ([*SPAN, A], "the text of message 0 is 'a', expected 'a<pad>'"),
        ([*SPAN, A, *SPELLED[1:]], "the text of message 0 is 'apad>', expected 'a<pad>'"),
        ([*SPAN, A, 900, *SPELLED], "the text of message 0 is 'a</s><pad>', expected 'a<pad>'"),
    ],
)
def test_typed_markers_are_plain(ids, message):
    verdict = verdict_of("literals.policy", by_hand({"a<pad>": ids}), TYPED)
    assert (verdict.message if verdict else None) == message


def test_typed_markers_that_are_not_to_blame():
    """The same damage shows without them, so another check has the word."""
    broken = by_hand({}, otherwise=[O, P, P, P, P, A, *SPELLED])
    assert verdict_of("literals.policy", broken, TYPED) == checks.NotJudged("spans.matched")
    lost = by_hand({"a<pad>": [*SPAN, A], "aapada": [*SPAN, A]})
    assert verdict_of("literals.policy", lost, TYPED) == checks.NotJudged("text.survives")


def test_interpreted_markers_are_tokens_and_nothing_else():
    for ids, message in (
        ([*SPAN, A, P], None),
        ([*SPAN, A, *SPELLED], "text that spells markers gives 1 structural token too few"),
        ([*SPAN, P, A], "the text of message 0 is '', expected 'a'"),
    ):
        verdict = verdict_of("literals.policy", by_hand({"a<pad>": ids}), TYPED, literals="interpret")
        assert (verdict.message if verdict else None) == message


def test_typed_bos():
    typed = Conversation([Message("user", [Image(1, 1), Text("<s>")])])
    spelled = [1000 + ord(character) for character in "<s>"]
    for literals, ids, message in (
        ("plain", [*SPAN, *spelled], None),
        ("plain", [*SPAN, BOS], "BOS text that was typed became BOS"),
        ("plain", [*SPAN, *spelled, BOS], "BOS text that was typed became BOS"),
        ("interpret", [*SPAN, BOS], None),
        ("interpret", [*SPAN, *spelled], "BOS text that was typed became BOS"),
    ):
        verdict = verdict_of("literals.policy", by_hand({"<s>": ids}), typed, literals=literals)
        assert (verdict.message if verdict else None) == message, (literals, ids)


def test_typed_bos_beside_a_real_one():
    typed = Conversation([Message("user", [Image(1, 1), Text("<s>")])])
    spelled = [1000 + ord(character) for character in "<s>"]
    for literals, ids, message in (
        ("plain", [BOS, *SPAN, *spelled], None),
        ("plain", [BOS, *SPAN, BOS], "BOS text that was typed became BOS"),
        ("interpret", [BOS, *SPAN, BOS], None),
    ):
        tame = by_hand({"<s>": ids}, otherwise=[BOS, *SPAN, A, 1000 + ord("s"), A])
        verdict = verdict_of("literals.policy", tame, typed, literals=literals, bos="exactly_once")
        assert (verdict.message if verdict else None) == message, (literals, ids)


def test_a_tokenizer_without_bos_has_none_to_judge():
    from dataclasses import replace

    one = subject(lambda tokenizer, given: [*SPAN, A, *SPELLED])
    one = replace(one, facts=replace(one.facts, bos=None))
    assert checks.judge(Bench(one).case(TYPED), "literals.policy") is None
    assert checks.judge(Bench(one).case(TYPED), "bos.placement") is None


def refusing(words, error=ValueError):
    def pipeline(given):
        raise error(words)

    return pipeline


@pytest.mark.parametrize(
    ("pipeline", "literals", "message"),
    [
        (refusing("no <pad> in text"), "reject", None),
        (refusing("no"), "reject", "the refusal does not name the marker <pad>: ValueError: no"),
        (refusing("2 images in the text, 1 given"), "reject", None),
        (refusing("1 given"), "reject", "the refusal does not name the marker <pad>: ValueError: 1 given"),
        (by_hand({}), "reject", "typed <pad> was accepted, declared: reject"),
        (refusing("no <pad>"), {"policy": "plain", "per": {"<pad>": "reject"}}, None),
        (by_hand({}), {"policy": "reject", "per": {"<pad>": "plain"}}, None),
        (
            by_hand({}),
            {"policy": "plain", "tag": "a<", "per": {"a<": "reject"}},
            "typed a< was accepted, declared: reject",
        ),
    ],
)
def test_typed_markers_that_are_to_be_refused(pipeline, literals, message):
    verdict = verdict_of("literals.policy", pipeline, TYPED, literals=literals)
    assert (verdict.message if verdict else None) == message
    if message is None:
        assert verdict_of("pipeline.encodes", pipeline, TYPED, literals=literals) is None


def test_other_errors_are_no_refusals():
    assert verdict_of("literals.policy", refusing("<pad>", KeyError), TYPED, literals="reject") == checks.NotJudged(
        "pipeline.encodes"
    )
    found = verdict_of("pipeline.encodes", refusing("x", KeyError), TYPED, literals="reject")
    assert found.message == "raised KeyError: 'x'"
    assert verdict_of("pipeline.encodes", refusing("x"), ONE, literals="reject").message == "raised ValueError: x"


def test_what_was_refused_as_declared_leaves_nothing_to_judge():
    for name, check in checks.checks().items():
        if check.family == "single" and name != "pipeline.encodes":
            assert verdict_of(name, refusing("no <pad>"), TYPED, literals="reject") == checks.NOT_JUDGED
    for name in ("relations.prefix", "relations.swap", "relations.append"):
        assert verdict_of(name, refusing("no <pad>"), TYPED, literals="reject") == checks.NOT_JUDGED
    assert verdict_of("paths.agree", refusing("no <pad>"), TYPED, literals="reject") is None


# ---------------------------------------------------------------- relations and paths


TILE = [S, P, P, P, P, SC]
BLOCKS = {449: SLICES, 900: [*SPAN, *TILE, *TILE, 1010, *TILE, *TILE]}


def block_of(image):
    return BLOCKS.get(image.width, SPAN)


def assembled(given, before=(), size_of=lambda image, number, given: image):
    """Right ids by hand, but for what is put in front and for the sizes that are taken."""
    ids, number = list(before), 0
    for message in given.messages:
        for part in message.parts:
            if isinstance(part, Text):
                ids += [1000 + ord(character) for character in part.text]
            else:
                ids += block_of(size_of(part, number, given))
                number += 1
    return ids


AFTER_TEXT = Conversation([Message("user", [Text("a"), Image(1, 1)])])
FREE = {"template": None}


def test_prefix():
    assert verdict_of("relations.prefix", assembled, AFTER_TEXT) is None

    def by_size(given):
        return assembled(given, before=[B] if given.images[0] == Image(1, 1) else [])

    found = verdict_of("relations.prefix", by_size, AFTER_TEXT, **FREE)
    assert found.message == "with other image sizes the ids before the first image change at position 0"
    assert (found.at, found.expected, found.cause.name) == (0, "a", "prefix-depends-on-images")

    def longer(given):
        return assembled(given, before=[] if given.images[0] == Image(1, 1) else [A])

    found = verdict_of("relations.prefix", longer, AFTER_TEXT, **FREE)
    assert (found.at, found.expected) == (1, "a")

    def shorter(given):
        return [A, *assembled(given)[1:]] if given.images[0] != Image(1, 1) else [A, A, *assembled(given)[1:]]

    found = verdict_of("relations.prefix", shorter, AFTER_TEXT, **FREE)
    assert (found.at, found.expected) == (1, "the first image")


def test_prefix_is_not_judged():
    text_only = Conversation([Message("user", [Text("a")])])
    assert verdict_of("relations.prefix", assembled, text_only) == checks.NOT_JUDGED
    first = {"images": {**NUMBERED["images"], "number": None, "order": "first_in_conversation"}}
    assert verdict_of("relations.prefix", assembled, ONE, **first) == checks.NOT_JUDGED

    wrong_number = Conversation([Message("user", [Text("a")])], images=[Image(1, 1)])
    assert verdict_of("relations.prefix", assembled, wrong_number) == checks.NOT_JUDGED

    def only_small(given):
        return assembled(given) if given.images[0] == Image(1, 1) else [O, A]

    assert verdict_of("relations.prefix", only_small, ONE) == checks.NotJudged("spans.matched")


def test_prefix_tries_small_images_for_large_ones():
    large = Conversation([Message("user", [Text("a"), Image(900, 900)])])
    seen = []

    def watched(given):
        seen.append(given.images)
        return assembled(given)

    assert verdict_of("relations.prefix", watched, large) is None
    assert seen == [(Image(900, 900),), (Image(64, 64),)]
    seen.clear()
    edge = Conversation([Message("user", [Text("a"), Image(448, 448)])])
    assert verdict_of("relations.prefix", watched, edge) is None
    assert seen == [(Image(448, 448),), (Image(900, 900),)]


FEATURES = {
    "images": {"grammar": "run", "placeholder": "<pad>", "slots": "from_features"},
    "slices": None,
    "returns": ("features",),
}


def delivering(slots_of):
    """A pipeline whose slots are those that its vision side delivers: only relations can show that they are wrong."""

    def pipeline(given):
        ids, features = [], []
        for message in given.messages:
            for part in message.parts:
                if isinstance(part, Text):
                    ids += [1000 + ord(character) for character in part.text]
                else:
                    number = len(features)
                    features.append((number, slots_of(given, number)))
                    ids += [P] * features[-1][1]
        return {"input_ids": ids, "features": features}

    return pipeline


APART = Conversation([Message("user", [Image(1, 1), Text("a"), Image(2, 2), Text("b"), Image(2, 2)])])


def test_swap():
    own = delivering(lambda given, number: given.images[number].width)
    assert verdict_of("relations.swap", own, APART, **FEATURES) is None
    first = delivering(lambda given, number: given.images[0].width)
    found = verdict_of("relations.swap", first, APART, **FEATURES)
    assert found.message == "after swapping images 0 and 1, image 1 does not have the span that its size had before"
    assert found.cause.name == "spans-bound-to-position"
    third = delivering(lambda given, number: given.images[0].width if number == 2 else given.images[number].width)
    found = verdict_of("relations.swap", third, APART, **FEATURES)
    assert found.message == "after swapping images 0 and 1, image 2 does not have the span that its size had before"
    assert found.at == [i for i, token in enumerate(third(APART)["input_ids"]) if token == P][3]


def test_swap_of_slots_that_go_by_position():
    found = verdict_of("relations.swap", delivering(lambda given, number: number + 1), APART, **FEATURES)
    assert found.message == "after swapping images 0 and 1, image 1 does not have the span that its size had before"


def test_prefix_of_equal_length():
    def one_or_other(given):
        return assembled(given, before=[B] if given.images[0] == Image(1, 1) else [A])

    found = verdict_of("relations.prefix", one_or_other, AFTER_TEXT, **FREE)
    assert (found.at, found.expected) == (0, "a")


def test_swap_beside_typed_markers():
    """Interpreted marker text is nobody's span."""
    marker = Conversation([Message("user", [Image(1, 1), Text("a"), Image(449, 449), Text("b<pad>")])])

    def reads_pad(given):
        return [*assembled(given)[: -len("<pad>")], P]

    assert verdict_of("relations.swap", reads_pad, marker, literals="interpret") is None


def test_swap_is_not_judged():
    own = delivering(lambda given, number: given.images[number].width)
    same = Conversation([Message("user", [Image(1, 1), Text("a"), Image(1, 1)])])
    assert verdict_of("relations.swap", own, same, **FEATURES) == checks.NOT_JUDGED
    assert verdict_of("relations.swap", own, ONE, **FEATURES) == checks.NOT_JUDGED
    touching = Conversation([Message("user", [Image(1, 1), Image(2, 2)])])
    assert verdict_of("relations.swap", own, touching, **FEATURES) == checks.NOT_JUDGED

    def picky(given):
        return own(given) if given.images[0] == Image(1, 1) else {"input_ids": [A], "features": []}

    assert verdict_of("relations.swap", picky, APART, **FEATURES) == checks.NotJudged("spans.expected")
    inapplicable = checks.checks()["relations.swap"].inapplicable
    assert inapplicable(contract(slices=None), frozenset()) == "every image has the same 4 slots"
    assert inapplicable(contract(), frozenset()) is None
    assert inapplicable(contract(images=FEATURES["images"], slices=None), frozenset()) is None


def test_append():
    own = delivering(lambda given, number: given.images[number].width)
    assert verdict_of("relations.append", own, APART, **FEATURES) is None
    shrinking = delivering(lambda given, number: 9 - len(given.messages) if number == 1 else 3)
    found = verdict_of("relations.append", shrinking, APART, **FEATURES)
    assert found.message == "appending a turn without images changes an earlier span"
    assert (found.at, found.cause.name) == (4, "earlier-span-changed")


def test_append_is_not_judged():
    own = delivering(lambda given, number: given.images[number].width)
    text_only = Conversation([Message("user", [Text("a")])])
    assert verdict_of("relations.append", own, text_only, **FEATURES) == checks.NOT_JUDGED
    lonely = {**FEATURES, "input": {"roles": ["system"], "images_in": ["system"]}}
    system = Conversation([Message("system", [Image(1, 1), Text("a")])])
    assert verdict_of("relations.append", own, system, **lonely) == checks.NOT_JUDGED

    def picky(given):
        return own(given) if given == ONE else {"input_ids": [P, BOS], "features": [(0, 1)]}

    assert verdict_of("relations.append", picky, ONE, **FEATURES) == checks.NotJudged("bos.placement")


@pytest.mark.parametrize(
    ("roles", "last", "added"),
    [
        (["system", "user", "assistant"], "user", "assistant"),
        (["system", "user", "assistant"], "assistant", "user"),
        (["user"], "user", "user"),
        (["system", "user"], "system", "user"),
    ],
)
def test_append_adds_a_turn_of_plain_text(roles, last, added):
    seen = []

    def watched(given):
        seen.append(given)
        return assembled(given)

    given = Conversation([Message(last, [Image(1, 1)])])
    assert verdict_of("relations.append", watched, given, input={"roles": roles, "images_in": [last]}) is None
    assert seen == [given, Conversation([*given.messages, Message(added, [Text("a")])])]


def test_paths():
    assert verdict_of("paths.agree", assembled, paths={"cached": assembled}) is None
    calls = iter([[*SPAN, A], [*SPAN, B]])
    found = verdict_of("paths.agree", lambda given: next(calls))
    assert found.message == "a second call gives 7 ids instead of 7, other from position 6"
    assert (found.at, found.expected, found.cause.name) == (6, "b (a second call)", "keeps-state")
    shorter = verdict_of("paths.agree", assembled, paths={"cached": lambda given: SPAN})
    assert (shorter.at, shorter.expected) == (6, "nothing (the path cached)")
    bad = verdict_of("paths.agree", assembled, paths={"cached": lambda given: None})
    assert bad.message == "the path cached raised BadEncoding: the result is a NoneType, not a list of ids"
    mapping = verdict_of("paths.agree", assembled, paths={"cached": lambda given: {"input_ids": [*SPAN, A]}})
    assert mapping is None


# ---------------------------------------------------------------- prechecks


class Odd(ToyTokenizer):
    """A toy with chosen answers."""

    def __init__(self, **answers):
        super().__init__()
        self.answers = answers

    def token_to_id(self, token):
        return self.answers.get("ids", {}).get(token, super().token_to_id(token))

    def named_ids(self):
        return {**super().named_ids(), **self.answers.get("named", {})}

    def encode(self, text):
        return self.answers["encode"](text) if "encode" in self.answers else super().encode(text)

    def decode(self, ids):
        return "" if self.answers.get("mute") else super().decode(ids)

    def encode_text(self, text):
        return [] if self.answers.get("empty") else super().encode_text(text)


@pytest.mark.parametrize(
    ("answers", "said", "cause"),
    [
        ({"ids": {"<image>": None}}, "image_open '<image>' is not in the vocabulary; its text", "marker-missing"),
        ({"ids": {"<image>": 77}, "named": {"unk": 77}}, "it gives the id of unk (77)", "marker-missing"),
        ({"ids": {"<image>": 5}}, "image_open '<image>' has the id 5, but that id is '<image_id>'", "marker-renamed"),
        ({"named": {"pad": 7}}, "placeholder '<pad>' has the id of pad (7)", "marker-is-special"),
        ({"empty": True}, "ordinary text 'hello' encodes to nothing", "tokenizer-empty"),
        ({"mute": True}, "ordinary text 'hello' encodes to 5 ids that decode to no letter", "tokenizer-empty"),
    ],
)
def test_contract_tokens(answers, said, cause):
    with pytest.raises(Finding) as finding:
        verify(subject(tokenizer=Odd(**answers)), ONE, "contract.tokens")
    assert said in finding.value.message
    assert finding.value.cause.name == cause


def test_two_roles_with_one_id():
    class Same(Odd):
        def id_to_token(self, token_id):
            return {1: "<image>"}.get(token_id, super().id_to_token(token_id))

    tokenizer = Same(ids={"</image>": 1})
    tokenizer.id_to_token = lambda token_id: "</image>" if getattr(tokenizer, "asked", 0) else tokenizer.first(token_id)
    tokenizer.first = lambda token_id: (setattr(tokenizer, "asked", 1), "<image>")[1]
    with pytest.raises(Finding, match="image_close and image_open are both the id 1"):
        verify(subject(tokenizer=tokenizer), ONE, "contract.tokens")


def test_unk_may_be_the_placeholder_by_declaration():
    verify(subject(tokenizer=Odd(named={"unk": 7})), ONE, "contract.tokens")


def test_known_ids_and_contexts():
    from dataclasses import replace

    one = subject()
    verify(replace(one, known_ids={"<image>": 1, "</image>": 2}), ONE, "contract.tokens")
    with pytest.raises(Finding, match="'<image>' has the id 1, known is 5"):
        verify(replace(one, known_ids={"<image>": 5}), ONE, "contract.tokens")
    verify(replace(one, markers_as_text=True), ONE, "contract.tokens")

    class Glued(ToyTokenizer):
        def encode_markup(self, text):
            return self.encode_text(text) if text.startswith("word") else super().encode_markup(text)

    with pytest.raises(Finding, match="image_open '<image>' is not one id glued to a word"):
        verify(replace(subject(tokenizer=Glued()), markers_as_text=True), ONE, "contract.tokens")


def test_contract_bos():
    from dataclasses import replace

    verify(subject(tokenizer=ToyTokenizer(bos=True), bos="exactly_once"), ONE, "contract")
    varies = Odd(encode=lambda text: [0, *TOY.encode_markup(text)] if text else [])
    with pytest.raises(Finding, match="for 'a' the native call gives <s> a, expected a"):
        verify(subject(tokenizer=varies), ONE, "contract.bos")
    one = subject(bos="exactly_once")
    with pytest.raises(Finding, match="bos: exactly_once is declared, but this tokenizer has no BOS"):
        verify(replace(one, facts=replace(one.facts, bos=None)), ONE, "contract.bos")


# ---------------------------------------------------------------- the registry


def test_own_checks(monkeypatch):
    monkeypatch.setattr(checks, "_REGISTRY", dict(checks._REGISTRY))

    @checks.check("mine.first", family="variants", needs=["spans.order"], positions=["start"])
    def first(case):
        """What it is about.

        More of it.
        """

    one = checks.checks()["mine.first"]
    assert (one.summary, one.group, one.family) == ("What it is about.", "mine", "variants")
    assert (one.needs, one.positions) == (("spans.order",), ("start",))
    assert one.inapplicable(contract(), frozenset()) is None
    assert checks.check("mine.first")(first) is first  # a module that is loaded twice registers the same
    assert checks.find("mine") == ["mine.first"]
    bare = checks.check("mine.bare")(lambda case: None)
    assert (checks.checks()["mine.bare"].judge, checks.checks()["mine.bare"].summary) == (bare, "")
    assert checks.checks()["mine.bare"].positions is None
    for name in ("nogroup", "my.ru-le", ""):
        with pytest.raises(ConfigError, match=r"a check's name has the form group\.rule, without dashes"):
            checks.check(name)(lambda case: None)


def test_registry():
    names = checks.checks()
    assert names["spans.matched"].group == "spans"
    assert names["spans.matched"].summary.startswith("As many closes as opens")
    assert repr(checks.NOT_JUDGED) == "NotJudged(because_of=None)"
    assert checks.find("spans.matched") == ["spans.matched"]
    assert set(checks.find("contract")) == {"contract.tokens", "contract.bos"}
    with pytest.raises(ConfigError, match=r"unknown check .spans\.mached.; did you mean .spans\.matched."):
        checks.find("spans.mached")
    with pytest.raises(ConfigError, match=r"there is already a check 'spans\.matched'"):
        checks.check("spans.matched")(lambda case: None)
    with pytest.raises(ConfigError, match=r"has the form group\.rule"):
        checks.check("my-check")(lambda case: None)


def test_every_need_is_a_check_judged_before():
    order = list(checks.checks())
    for name, check in checks.checks().items():
        assert check.summary, name
        assert all(order.index(need) < order.index(name) for need in check.needs)


def test_verify():
    verify(subject(), ONE)
    with pytest.raises(Finding, match=r"breaks spans\.matched"):
        verify(subject(lambda tokenizer, conversation: [C, A]), ONE)
    with pytest.raises(ConfigError, match="unknown check"):
        verify(subject(), ONE, "nothing")
    promise = contract(images={"grammar": "run", "placeholder": "<pad>", "slots": 4}, slices=None)
    verify(subject("placeholder_run", promised=promise), ONE, "spans.matched")


def test_typed_placeholders_that_touch_under_a_dummy_prefix():
    """The blank in front of the second text parts two typed placeholders, or is not there where both came at once."""
    typed = Conversation([Message("user", [Text("a"), Text("<pad>"), Text("<pad>")])])
    turns = Conversation([Message("user", [Text("<pad>")]), Message("assistant", [Text("<pad><pad>"), Text("<pad>")])])
    blank = 1032

    def failing_on(ids, typed=typed):
        one = subject(lambda tokenizer, given: ids, tokenizer=ToyTokenizer(dummy=True), literals="interpret")
        case = Bench(one).case(typed)
        single = [check for check in checks.checks().values() if check.family == "single"]
        names = [check.name for check in single if check.inapplicable(one.contract, one.returns) is None]
        return [name for name in names if isinstance(checks.judge(case, name), Finding)]

    assert failing_on([blank, A, blank, P, blank, P]) == []
    assert failing_on([blank, A, P, P]) == []
    assert failing_on([blank, A, P]) == ["spans.slots"]
    assert failing_on([blank, A, blank, P, B, P]) != []
    # Two of one text always touch; the second text of a message may be encoded with the first.
    for ids in ([P] * 4, [blank, P, blank, *[P] * 3], [blank, P, blank, P, P, blank, P]):
        assert failing_on(ids, turns) == []
    assert failing_on([blank, P, blank, P, blank, P, P], turns) == ["spans.slots"]


def test_typed_placeholders_need_no_bounds():
    typed = Conversation([Message("user", [Text("<pad>"), Image(1, 1), Text("a")])])
    ids = [P, *SPAN, A]
    for bounds in ([[2, 6]], [[0, 1], [2, 6]]):
        assert failing({"input_ids": ids, "image_bounds": bounds}, typed, literals="interpret") == {}
    wrong = failing({"input_ids": ids, "image_bounds": [[0, 1]]}, typed, literals="interpret")
    assert set(wrong) == {"spans.bounds"}
