"""Each check on encodings made by hand: what must fail fails by name, what is right is silent."""

from dataclasses import replace

import pytest

from image_spans import checks
from image_spans.case import Bench
from image_spans.checks.contract import LONG
from image_spans.conversation import Conversation, Image, Message, Text
from image_spans.diagnosis import diagnosed
from image_spans.engine import verify
from image_spans.errors import ConfigError
from image_spans.findings import Finding
from support import MARKERS, ToyTokenizer, contract, subject

TOY = ToyTokenizer()
O, C, S, SC, P = (TOY.token_to_id(token) for token in ("<image>", "</image>", "<slice>", "</slice>", "<pad>"))
A, B, BOS = 1000 + ord("a"), 1000 + ord("b"), 0
ONE = Conversation([Message("user", [Image(1, 1), Text("a")])])
SPAN = [O, P, P, P, P, C]
TWO = Conversation([Message("user", [Image(1, 1), Text("a"), Image(449, 449), Text("b")])])
SLICES = [*SPAN, S, P, P, P, P, SC, 1010, S, P, P, P, P, SC]
RIGHT_TWO = [*SPAN, A, *SLICES, B]


def findings(ids, conversation=ONE, **promised):
    """Check to finding, of the checks that fail on these ids."""
    one = subject(lambda tokenizer, given: ids, returns=("image_bounds",) if isinstance(ids, dict) else (), **promised)
    case = Bench(one).case(conversation)
    found = {}
    for name, check in checks.checks().items():
        if check.family == "single" and check.inapplicable(one.contract, one.returns) is None:
            verdict = checks.judge(case, name)
            if isinstance(verdict, Finding):
                assert verdict.check == name
                found[name] = diagnosed(case, verdict)
    return found


def failing(ids, conversation=ONE, **promised):
    """Check to message, of the checks that fail on these ids."""
    return {name: finding.message for name, finding in findings(ids, conversation, **promised).items()}


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
        ([*SPAN, A, P, P], "spans.slots", "2 placeholders outside any span"),
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


def test_runs_in_another_order():
    """Nothing but their lengths tells them apart."""
    run = {"images": {**RUN["images"], "slots": "minicpm", "options": {"slots": 4}}, "slices": None}
    assert failing([P] * 4 + [A] + [P] * 12 + [B], TWO, **run) == {}
    assert failing([P] * 12 + [A] + [P] * 4 + [B], TWO, **run) == {
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
    assert diagnosed(Bench(one).case(ONE), verdict).cause.name == "path-cached-raised-KeyError"
    other = subject(paths={"cached": lambda conversation: [*SPAN, A, A]})
    verdict = checks.judge(Bench(other).case(ONE), "paths.agree")
    assert verdict.message == "the path cached gives 8 ids instead of 7, other from position 7"
    assert diagnosed(Bench(other).case(ONE), verdict).cause.name == "path-cached-differs"


def test_what_is_known_of_one_path_does_not_hide_another():
    names = set()
    for path in ("in one go", "in two"):
        case = Bench(subject(paths={path: lambda conversation: [*SPAN, A, A]})).case(ONE)
        names.add(diagnosed(case, checks.judge(case, "paths.agree")).fingerprint)
    assert names == {"paths.agree/path-in-one-go-differs", "paths.agree/path-in-two-differs"}


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
    assert verdict is None or isinstance(verdict, checks.NotJudged) or verdict.check == check
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
    blocked = verdict_of(check, lambda given: ids)
    assert (blocked, blocked.on) == (checks.NotJudged(blocker), ONE)


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


# ---------------------------------------------------------------- where, and what belongs there

NUMBER, OVER = TOY.token_to_id("<image_id>"), TOY.token_to_id("</image_id>")
WIDE = Image(450, 447)  # two slices side by side: those of 449 x 449 stand one below the other
WIDE_SLICES = [token_id for token_id in SLICES if token_id != 1010]
BOTH = Conversation([Message("user", [Image(449, 449), Text("a"), WIDE, Text("b")])])
GRID = {
    "images": {
        "grammar": "rows", "row_break": "<slice>", "close": "</image>", "placeholder": "<pad>",
        "slots": "pixtral", "options": {"size": 64},
    },
    "slices": None,
}  # fmt: skip
SIX = Conversation([Message("user", [Image(48, 32), Text("a")])])
LAST = Conversation([Message("user", [Text("a"), Image(1, 1)])])


@pytest.mark.parametrize(
    ("ids", "conversation", "promised", "check", "at", "expected", "cause"),
    [
        ([P, P, P, P, C, A], ONE, {}, "spans.matched", 0, "<image> (1)", "marker-lost"),
        ([O, P, P, P, P, A], ONE, {}, "spans.matched", 6, "</image> (2)", "marker-lost"),
        ([*SPAN, C, O, A], ONE, {}, "spans.matched", 6, "", "marker-surplus"),
        ([*SPAN, O, A], ONE, {}, "spans.matched", 8, "", "marker-surplus"),
        ([A], ONE, {}, "spans.expected", 1, "<image> (1)", "images-dropped"),
        ([*SPAN, *SPAN, A], ONE, {}, "spans.expected", 6, "no marker", "image-doubled"),
        ([*SLICES, A], ONE, {}, "spans.expected", 6, "no marker", "unknown"),
        ([*SPAN, A, *SLICES[:12], B], TWO, {}, "spans.expected", 20, "<slice> (3)", "tile-missing"),
        ([P, P, A, P, P], ONE, RUN, "spans.expected", 3, "no marker", "unknown"),
        ([A], ONE, RUN, "spans.expected", 1, "<pad> (7)", "images-dropped"),
        ([NUMBER, 1049, OVER, *SPAN, A], ONE, NUMBERED, "spans.expected", 1, "'0'", "number-differs"),
        ([*SPAN, A, *WIDE_SLICES, B], TWO, {}, "spans.expected", 19, r"'\n'", "row-break-differs"),
        ([P, P, P, C, P, P, P, S, A], SIX, GRID, "spans.expected", 3, "<slice> (3)", "markers-swapped"),
        ([O, P, P, P, C, A], ONE, {}, "spans.slots", 1, "4 slots", "slots-off-by-one"),
        ([*SPAN, A, P], ONE, {}, "spans.slots", 7, "no placeholder", "stray-placeholder"),
        ([P, P, P, P, O, C, A], ONE, {}, "spans.slots", 0, "no placeholder", "marker-misplaced"),
        ([O, C, A], ONE, {}, "spans.slots", 1, "4 slots", "span-empty"),
        ([*SLICES, A, *SPAN, B], TWO, {}, "spans.order", 6, "image 1", "images-reordered"),
        ([*WIDE_SLICES, A, *SLICES, B], BOTH, {}, "spans.order", 12, "image 0", "images-reordered"),
        ([A, *SPAN], ONE, {}, "spans.order", 1, "", "image-moved"),
        ([*SPAN, A], LAST, {}, "spans.order", 0, "", "image-moved"),
        ([BOS, *SPAN, A], ONE, {}, "bos.placement", 0, "no BOS", "bos-undeclared"),
        ([*SPAN, BOS, A], ONE, {}, "bos.placement", 6, "no BOS", "bos-undeclared"),
        ([*SPAN, A], ONE, {"template": {"user": ["<s>", ""]}}, "bos.placement", 0, "no BOS", "bos-missing"),
        ([*SPAN, A], ONE, {"bos": "exactly_once"}, "bos.placement", 0, "<s> (0)", "bos-missing"),
        ([*SPAN, A], ONE, {"bos": "after_images"}, "bos.placement", 6, "<s> (0)", "bos-missing"),
        ([*SPAN, BOS, A], ONE, {"bos": "exactly_once"}, "bos.placement", 6, "no BOS", "bos-misplaced"),
        ([BOS, *SPAN, BOS, A], ONE, {"bos": "exactly_once"}, "bos.placement", 7, "no BOS", "bos-per-segment"),
        ([BOS, *SPAN, BOS, A], ONE, {"bos": "after_images"}, "bos.placement", 0, "no BOS", "bos-per-segment"),
        ([*SPAN, -5], ONE, {}, "pipeline.encodes", 6, "", "id-outside"),
        (None, ONE, {}, "pipeline.encodes", None, "", "bad-return"),
    ],
)  # fmt: skip
def test_where_and_what_belongs_there(ids, conversation, promised, check, at, expected, cause):
    found = findings(ids, conversation, **promised)
    assert list(found) == [check]
    assert (found[check].at, found[check].expected, found[check].cause.name) == (at, expected, cause)


@pytest.mark.parametrize(
    ("bounds", "at", "expected"),
    [
        ([[2, 5]], 1, "bounds (1, 5)"),
        ([], 1, "bounds (1, 5)"),
        ([[1, 5], [1, 5]], 1, "bounds None"),
        ([[1, 5], [3, 5]], 3, "bounds None"),
        ([[1, 5], [90, 95]], 7, "bounds None"),
        ([[1, 5], [-2, 5]], 0, "bounds None"),
        ([[1, 5], [0, 1]], 0, "bounds None"),
    ],
)
def test_where_bounds_are_wrong(bounds, at, expected):
    found = findings({"input_ids": [*SPAN, A], "image_bounds": bounds})["spans.bounds"]
    assert (found.at, found.expected) == (at, expected)
    assert found.facts == {"bounds": ([tuple(pair) for pair in bounds], [(1, 5)])}


def test_bounds_that_are_not_there():
    found = verdict_of("spans.bounds", lambda given: [*SPAN, A])
    assert found.message == "bounds 0 are missing, the placeholders stand at (1, 5)"
    inapplicable = checks.checks()["spans.bounds"].inapplicable
    assert inapplicable(contract(), frozenset()) == "the pipeline does not return image_bounds"


def test_what_is_said_of_images_in_another_sequence():
    rows = [P, P, P, C, P, P, P, S, A]
    assert failing(rows, SIX, **GRID) == {"spans.expected": "2 spans for 1 images, in another sequence than expected"}
    three = failing([P, P, P, S, P, P, P, S, P, P, P, C, A], SIX, **GRID)
    assert three == {"spans.expected": "3 placeholder runs, expected 2; 2 row breaks, expected 1"}
    typed = Conversation([Message("user", [Text("<image>")])])
    plain = failing([1000 + ord(character) for character in "<image>"], typed, literals="interpret")
    assert plain == {"spans.expected": "0 image spans, expected 1"}


def test_five_images_are_tried_in_every_order():
    many = Conversation([Message("user", [Image(1, 1)] * 4 + [Image(449, 449)])])
    assert failing([*SLICES, *SPAN * 4], many) == {
        "spans.order": "the images stand in the order [4, 0, 1, 2, 3], expected [0, 1, 2, 3, 4]"
    }


def test_images_that_moved_beside_others_that_did_not():
    """[....]a[....]b of a[....]b[....]: the first place where text differs, though blanks came on top."""
    given = Conversation([Message("user", [Text("a"), Image(1, 1), Text("b"), Image(1, 1)])])
    said = {"spans.order": "an image stands at another place in the text than declared"}
    assert failing([*SPAN, A, *SPAN, B], given) == said
    assert failing([*SPAN, A, 1032, *SPAN, 1032, B], given) == said
    assert failing([A, B, *SPAN, *SPAN], given) == said
    assert failing([A, *SPAN, 1032, B, *SPAN], given) == {
        "text.survives": "the text of message 0 is ' b', expected 'b'"
    }
    apart = Conversation([Message("user", [Text("a b"), Image(1, 1), Text("c")])])
    assert failing([1032, A, 1032, B, 1000 + ord("c"), *SPAN], apart) == said
    blank = Conversation([Message("user", [Text("a "), Image(1, 1), Text("b")])])
    assert failing([A, *SPAN, 1032, B], blank) == said
    blank = Conversation([Message("user", [Text("a"), Image(1, 1), Text(" b")])])
    assert failing([A, 1032, *SPAN, B], blank) == said


def test_text_that_became_a_token_of_its_spelling_moved_no_image():
    typed = Conversation([Message("user", [Image(1, 1), Text("</s>")])])
    assert failing([*SPAN, 900], typed) == {"text.survives": "the text of message 0 is '</s>', expected '</s>'"}


def test_text_of_the_template():
    chat = {"template": {"user": ["U:", "\n"]}}
    two = Conversation([Message("user", [Text("a")]), Message("user", [Text("")])])
    u, colon, newline = 1000 + ord("U"), 1000 + ord(":"), 1010
    assert failing([u, colon, A, newline, u, colon, newline], two, **chat) == {}
    lost = findings([u, colon, newline, u, colon, newline], two, **chat)["text.survives"]
    assert lost.message == r"the text of message 0 is 'U:\nU:\n', expected 'U:a\nU:\n'"
    assert (lost.at, lost.expected) == (2, r"'a\nU:\n'")
    bare = findings([u, *SPAN, newline], Conversation([Message("user", [Image(1, 1)])]), **chat)["text.survives"]
    assert (bare.message, bare.at, bare.expected) == ("the text is 'U', expected 'U:'", 1, "':'")
    long = Conversation([Message("user", [Text("a" + "b" * 20)])])
    assert findings([A], long)["text.survives"].expected == f"'{'b' * 12}'"
    first = findings([B, *SPAN], Conversation([Message("user", [Text("a"), Image(1, 1)])]))["text.survives"]
    assert (first.at, first.expected, first.cause.name) == (0, "'a'", "unknown")


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (4, "4 BOS at 0, 1, 2, 3, declared none"),
        (5, "5 BOS at 0, 1, 2, 3, ..., declared none"),
        (6, "6 BOS at 0, 1, 2, 3, ..., declared none"),
    ],
)
def test_many_bos(count, message):
    assert failing([BOS] * count + [*SPAN, A]) == {"bos.placement": message}


def test_bos_that_the_template_spells_elsewhere():
    for template in ({"begin": ["<s>", ""]}, {"end": ["", "<s>"]}, {"begin": ["<s", ">"]}):
        ids = [*SPAN, A, BOS] if "end" in template else [BOS, *SPAN, A]
        assert failing(ids, template={"user": ["", ""], **template}) == {}


def test_bos_behind_images_that_are_not_all_there():
    declared = {"bos": "after_images"}
    assert failing([A], **declared)["bos.placement"] == "no BOS, declared one at the start"
    assert failing([O, C, A], **declared)["bos.placement"] == "no BOS, declared one at the start"
    assert failing([BOS, O, C, A], **declared) == {"spans.slots": "a span of image 0 is empty, expected 4 slots"}
    typed = Conversation([Message("user", [Image(1, 1), Text("a<pad>")])])
    assert failing([*SPAN, BOS, A, P], typed, literals="interpret", **declared) == {}
    wrong = failing([*SPAN, A, P, BOS], typed, literals="interpret", **declared)
    assert wrong == {"bos.placement": "1 BOS at 8, declared one behind the last image"}


def test_bos_that_there_is_none_of():
    def of(**promised):
        one = subject(lambda tokenizer, given: [*SPAN, A], **promised)
        return checks.judge(Bench(replace(one, facts=replace(one.facts, bos=None))).case(ONE), "bos.placement")

    assert of(template={"user": ["", ""], "begin": ["", ""]}) is None
    found = of(bos="exactly_once")
    assert (found.message, found.expected) == ("no BOS, declared one at the start", "BOS")


def test_what_judges_may_fail(monkeypatch):
    def fails(case):
        raise KeyError("x")

    monkeypatch.setitem(checks._REGISTRY, "my.rule", checks.Check("my.rule", "single", fails, (), checks._always, None))
    found = verdict_of("my.rule", lambda given: [*SPAN, A])
    assert (found.message, found.cause.name) == ("judging raised KeyError: 'x'", "judging-raised-KeyError")


def test_a_pipeline_that_does_not_end():
    """Also where it was found out on another conversation, which is then the one to show."""
    from image_spans.foreign import TookTooLong

    one = subject(lambda tokenizer, given: [*SPAN, A])
    bench = Bench(one)
    bench.stuck = TookTooLong("did not end within 1 s"), TWO
    found = checks.judge(bench.case(ONE), "pipeline.encodes")
    assert (found.check, found.message, found.conversation) == ("pipeline.encodes", "did not end within 1 s", TWO)
    assert diagnosed(bench.case(ONE), found).cause.name == "does-not-end"


@pytest.mark.parametrize(
    ("error", "message", "cause"),
    [
        (KeyError("x"), "raised KeyError: 'x'", "raised-KeyError"),
        (ValueError("x"), "raised ValueError: x", "refused"),
    ],
)
def test_what_a_pipeline_raises(error, message, cause):
    def pipeline(given):
        raise error

    found = verdict_of("pipeline.encodes", pipeline)
    assert (found.message, found.cause.name) == (message, cause)


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
        ([*SPAN, A, O, C], "text that spells markers gives 2 structural tokens too many"),
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


WORDS_BEFORE_LARGE_IMAGES = """
from image_spans.grammars import Fixed, Marker, Slots
def write(layout, contract, number):
    words = [Fixed("a")] if layout.sliced else []
    return [*words, Marker("image_open"), Slots(layout.slots), Marker("image_close")]
"""


def test_prefix_is_not_judged(tmp_path):
    text_only = Conversation([Message("user", [Text("a")])])
    assert verdict_of("relations.prefix", assembled, text_only) == checks.NOT_JUDGED
    first = {"images": {**NUMBERED["images"], "number": None, "order": "first_in_conversation"}}
    assert verdict_of("relations.prefix", assembled, ONE, **first) == checks.NOT_JUDGED

    wrong_number = Conversation([Message("user", [Text("a")])], images=[Image(1, 1)])
    assert verdict_of("relations.prefix", assembled, wrong_number) == checks.NOT_JUDGED

    (tmp_path / "words_before_large_images_of_this_test.py").write_text(WORDS_BEFORE_LARGE_IMAGES)
    images = {**NUMBERED["images"], "number": None, "grammar": "words_before_large_images_of_this_test:write"}
    images = {key: value for key, value in images.items() if value is not None} | {"slots": "internvl"}
    worded = contract(**{**FREE, "images": {**images, "options": {"slots": 4}}, "slices": None}).locate(tmp_path)

    def with_words(given):
        slots = worded.layout(given.images[0].width, given.images[0].height, 1).slots
        return [*([A] if slots > 4 else []), O, *[P] * slots, C, A]

    case = Bench(subject(lambda tokenizer, given: with_words(given), promised=worded)).case(ONE)
    assert checks.judge(case, "text.survives") is None
    assert checks.judge(case, "relations.prefix") == checks.NOT_JUDGED

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
    calls = iter([[*SPAN, A], None])
    found = verdict_of("paths.agree", lambda given: next(calls))
    assert found.message == "a second call raised BadEncoding: the result is a NoneType, not a list of ids"
    assert found.cause.name == "keeps-state"
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
    verify(subject(tokenizer=ToyTokenizer(bos=True), bos="exactly_once"), ONE, "contract")
    varies = Odd(encode=lambda text: [0, *TOY.encode_markup(text)] if text else [])
    with pytest.raises(Finding, match="for 'a' the native call gives <s> a, expected a"):
        verify(subject(tokenizer=varies), ONE, "contract.bos")
    one = subject(bos="exactly_once")
    with pytest.raises(Finding, match="bos: exactly_once is declared, but this tokenizer has no BOS"):
        verify(replace(one, facts=replace(one.facts, bos=None)), ONE, "contract.bos")


UNREADABLE = "look-up by text and by id disagree: an added token was not renamed or re-indexed"


class Glued(ToyTokenizer):
    """Reads markers in some contexts alone: ``spoils`` takes the text."""

    def __init__(self, spoils):
        super().__init__()
        self.spoils = spoils

    def encode_markup(self, text):
        return self.encode_text(text) if self.spoils(text) else super().encode_markup(text)


class Twice(ToyTokenizer):
    def encode_markup(self, text):
        return [token_id for one in super().encode_markup(text) for token_id in [one] * (2 if one == 1 else 1)]


class Silent(Odd):
    def encode_markup(self, text):
        return []


def atomic(why, said):
    return f"image_open '<image>' is not one id {why}: {said}", "marker-not-atomic"


@pytest.mark.parametrize(
    ("tokenizer", "changes", "message", "cause", "sentence"),
    [
        (
            Odd(ids={"<image>": None}),
            {},
            "image_open '<image>' is not in the vocabulary; its text encodes to <image>",
            "marker-missing",
            "the vocabulary has no token '<image>': every image_open would be lost or become unk",
        ),
        (
            ToyTokenizer(specials=MARKERS[1:]),
            {},
            "image_open '<image>' is not in the vocabulary; its text encodes to < i m a g e >",
            "marker-missing",
            None,
        ),
        (
            Silent(ids={"<pad>": None}),
            {},
            "placeholder '<pad>' is not in the vocabulary; its text encodes to nothing",
            "marker-missing",
            None,
        ),
        (
            Odd(ids={"<image>": 77}, named={"unk": 77}),
            {},
            "image_open '<image>' is not in the vocabulary, it gives the id of unk (77); its text encodes to <image>",
            "marker-missing",
            None,
        ),
        (
            Odd(ids={"<image>": 5}),
            {},
            "image_open '<image>' has the id 5, but that id is '<image_id>'",
            "marker-renamed",
            UNREADABLE,
        ),
        (
            Odd(ids={"</slice>": 1}),
            {},
            "slice_close '</slice>' has the id 1, but that id is '<image>'",
            "marker-renamed",
            None,
        ),
        *(
            (
                Odd(named={name: 7}),
                {},
                f"placeholder '<pad>' has the id of {name} (7)",
                "marker-is-special",
                f"placeholder is {name}: padding, BOS or EOS and image tokens cannot be told apart",
            )
            for name in ("bos", "eos", "pad")
        ),
        *(
            (
                ToyTokenizer(),
                {"known_ids": {"<image>": 1, "</image>": known}},
                f"'</image>' has the id 2, known is {known}",
                "id-changed",
                "this is not the vocabulary that the subject names, or its added tokens moved",
            )
            for known in (1, 3)
        ),
        (
            Odd(empty=True),
            {},
            "ordinary text 'hello' encodes to nothing",
            "tokenizer-empty",
            "the tokenizer loaded empty, or without its decoder",
        ),
        (
            Odd(mute=True),
            {},
            "ordinary text 'hello' encodes to 5 ids that decode to no letter",
            "tokenizer-empty",
            None,
        ),
        (
            Glued(lambda text: text == "word<image>word"),
            {"markers_as_text": True},
            *atomic("glued to a word", "w o r d < i m a g e > w"),
            "the tokenizer does not read '<image>' from text glued to a word; "
            "if the pipeline inserts ids, declare markers: ids",
        ),
        (
            Glued(lambda text: text == "\n<image>" or text == "<image>\na"),
            {"markers_as_text": True},
            *atomic("before a newline", r"< i m a g e > \n a"),
            None,
        ),
        (
            Glued(lambda text: text.startswith("</image><image>")),
            {"markers_as_text": True},
            *atomic("beside another marker", "< / i m a g e > < i m a"),
            None,
        ),
        *(
            (
                Glued(lambda text, read=read: text == read),
                {"markers_as_text": True},
                *atomic(where, said),
                None,
            )
            for read, where, said in (
                ("a\n<image>", "after a newline", r"a \n < i m a g e >"),
                ("a <image>", "after a blank", "a   < i m a g e >"),
                ("(<image>)", "after a bracket", "( < i m a g e > )"),
            )
        ),
        (
            Odd(ids={"<image>": 2}),
            {},
            "image_open '<image>' has the id 2, but that id is '</image>'",
            "marker-renamed",
            None,
        ),
        (Twice(), {"markers_as_text": True}, *atomic("alone", "<image> <image>"), None),
        (Glued(lambda text: "<image>" in text), {}, None, None, None),  # the pipeline inserts ids
        (ToyTokenizer(), {"markers_as_text": True}, None, None, None),
    ],
)  # fmt: skip
def test_what_is_said_of_the_vocabulary(tokenizer, changes, message, cause, sentence):
    found = checks.checks()["contract.tokens"].judge(replace(subject(tokenizer=tokenizer), **changes))
    assert (found and found.message, found and found.cause.name) == (message, cause)
    if found is not None:
        assert (found.check, found.subject) == ("contract.tokens", "toy")
    if sentence is not None:
        assert found.cause.sentence == sentence


def test_a_role_that_shares_its_id(monkeypatch):
    """Both look-ups by id give what was asked for: only the roles tell."""
    tokenizer = Odd(ids={"</image>": 1})
    names = iter(["<image>", "</image>"])
    monkeypatch.setattr(tokenizer, "id_to_token", lambda token_id: next(names))
    found = checks.checks()["contract.tokens"].judge(subject(tokenizer=tokenizer))
    assert (found.message, found.cause.name) == ("image_close and image_open are both the id 1", "marker-shared")
    assert found.cause.sentence == "two roles share one id, so spans cannot be told apart"


def asked(monkeypatch, method, check, **changes):
    """What a precheck gives to the tokenizer."""
    texts = []
    tokenizer = ToyTokenizer()
    own = getattr(tokenizer, method)

    def watched(text):
        texts.append(text)
        return own(text)

    one = replace(subject(tokenizer=tokenizer, **changes.pop("promised", {})), **changes)
    monkeypatch.setattr(tokenizer, method, watched)
    assert checks.checks()[check].judge(one) is None
    return texts


def test_what_is_tried_on_the_tokenizer(monkeypatch):
    assert asked(monkeypatch, "encode", "contract.bos") == [
        "", "a", "hello", " hello", "hello ", "\n", " ", "Hello, world!", "a\n\nb", "\u4f60\u597d", "\U0001f600", "0",
        "def f(x):\n    return x", "\u2581", "e\u0301", LONG,
    ]  # fmt: skip
    texts = asked(monkeypatch, "encode_text", "contract.tokens")
    assert texts == ["hello", "Hello, world!", "the picture shows 42 cats", "a\nb", "x  y"]
    texts = asked(monkeypatch, "encode_markup", "contract.tokens", markers_as_text=True)
    assert texts[:14] == [
        "<image>", "word<image>word", "a\n<image>", "<image>\na", "a <image>", "(<image>)", "</image><image></image>",
        "</image>", "word</image>word", "a\n</image>", "</image>\na", "a </image>", "(</image>)",
        "<image></image><image>",
    ]  # fmt: skip
    assert asked(monkeypatch, "encode_markup", "contract.tokens", markers_as_text=True, promised=RUN) == [
        "<pad>", "word<pad>word", "a\n<pad>", "<pad>\na", "a <pad>", "(<pad>)", "<pad><pad><pad>",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("encode", "message"),
    [
        (lambda text: [0, *TOY.encode_markup(text)] if text else [], "for 'a' the native call gives <s> a, expected a"),
        (lambda text: [], "for 'a' the native call gives nothing, expected a"),
        (
            lambda text: [*TOY.encode_markup(text), *[900] * (text == "")],
            "for '' the native call gives </s>, expected nothing",
        ),
        (
            lambda text: [*TOY.encode_markup(text), *[900] * (text == "Hello, world!")],
            "for 'Hello, world!' the native call gives H e l l o ,   w, expected H e l l o ,   w",
        ),
        (
            lambda text: TOY.encode_markup(text.replace("\u4f60", "a\n")),
            r"for '\u4f60\u597d' the native call gives a \n \u597d, expected \u4f60 \u597d",
        ),
    ],
)  # fmt: skip
def test_what_is_said_of_the_native_call(encode, message):
    found = checks.checks()["contract.bos"].judge(subject(tokenizer=Odd(encode=encode)))
    assert (found.check, found.message, found.cause.name) == ("contract.bos", message, "bos-varies")
    assert found.cause.sentence == ("what the native call adds depends on the text, so nothing can be stripped by rule")


def test_a_contract_that_wants_bos_where_there_is_none():
    def of(**promised):
        one = subject(**promised)
        return checks.checks()["contract.bos"].judge(replace(one, facts=replace(one.facts, bos=None)))

    assert of() is None
    for bos in ("exactly_once", "after_images"):
        found = of(bos=bos)
        assert (found.check, found.cause.name) == ("contract.bos", "bos-undefined")
        assert found.message == f"bos: {bos} is declared, but this tokenizer has no BOS"
        assert found.cause.sentence == "neither does the native call add a BOS nor does the library name one"


# ---------------------------------------------------------------- related conversations


def sizes_seen(given, **promised):
    """The sizes that a right pipeline is given by ``relations.prefix``, besides those of the conversation."""
    seen = []

    def watched(conversation):
        seen.append(tuple((image.width, image.height) for image in conversation.images))
        return assembled(conversation)

    returned = promised.pop("by", watched)

    def pipeline(conversation):
        watched(conversation)
        return returned(conversation)

    said = verdict_of("relations.prefix", pipeline, given, **promised)
    return said, seen[1:]


@pytest.mark.parametrize(
    ("size", "other"),
    [
        ((1, 1), (900, 900)),
        ((448, 448), (900, 900)),
        ((449, 448), (64, 64)),
        ((448, 449), (64, 64)),
        ((1000, 201), (64, 64)),
    ],
)
def test_other_sizes_where_the_vision_side_counts(size, other):
    """As many pixels as MiniCPM-V leaves whole are few; of many, few are made, and of few many."""
    own = delivering(lambda given, number: given.images[number].width)
    given = Conversation([Message("user", [Text("a"), Image(*size)])])
    said, seen = sizes_seen(given, by=own, **FEATURES)
    assert (said, seen) == (None, [(other,)])


def test_other_sizes_have_another_layout(tmp_path):
    near = Conversation([Message("user", [Text("a"), Image(901, 901)])])
    assert sizes_seen(near, by=lambda given: assembled(given, size_of=small_or_900)) == (None, [((64, 64),)])
    fixed = {"slices": None}
    for size, other in ((900, 64), (64, 900)):
        given = Conversation([Message("user", [Text("a"), Image(size, size)])])
        assert sizes_seen(given, by=lambda _: [A, *SPAN], **fixed) == (None, [((other, other),)])


def small_or_900(image, number, given):
    return Image(900, 900) if image.width >= 900 else image


OWN_RULE = """
from image_spans.slicing import Block, Layout
def picky(width, height, number_of_images):
    if width != 5:
        raise ValueError("five pixels")
    return Layout(Block(1, 4 * number_of_images))
def most(width, height, number_of_images):
    if width == 900:
        raise ValueError("not 900")
    return Layout(Block(1, 4 * number_of_images))
"""


def test_other_sizes_that_a_rule_refuses(tmp_path):
    (tmp_path / "rules_of_the_relations_of_this_test.py").write_text(OWN_RULE)
    given = Conversation([Message("user", [Text("a"), Image(5, 5)])])
    for rule, said, seen in (("picky", checks.NOT_JUDGED, []), ("most", None, [((64, 64),)])):
        images = {**RUN["images"], "slots": f"rules_of_the_relations_of_this_test:{rule}"}
        promised = contract(images=images, slices=None).locate(tmp_path)
        assert sizes_seen(given, by=lambda _: [A, P, P, P, P], promised=promised) == (said, seen)


def test_what_is_refused_has_no_relations():
    typed = Conversation([Message("user", [Image(1, 1), Text("a<pad>"), Image(2, 2)])])
    for name in ("relations.prefix", "relations.swap", "relations.append"):
        assert verdict_of(name, refusing("no <pad>"), typed, literals="reject") == checks.NOT_JUDGED


def test_swap_is_blocked_by_what_is_wrong_in_the_swapped():
    def closes_not(given):
        made = delivering(lambda given, number: given.images[number].width)(given)
        return {**made, "input_ids": made["input_ids"][:-1]} if given.images[0] == Image(2, 2) else made

    assert verdict_of("relations.swap", closes_not, APART, **FEATURES) == checks.NotJudged("spans.slots")


def test_swap_says_what_belongs_there():
    growing = delivering(lambda given, number: given.images[0].width if number == 1 else given.images[number].width)
    shrinking = delivering(lambda given, number: 3 - given.images[number].width if number == 0 else 2)
    for pipeline, wrong in ((growing, 1), (shrinking, 0)):
        found = verdict_of("relations.swap", pipeline, APART, **FEATURES)
        said = f"after swapping images 0 and 1, image {wrong} does not have the span that its size had before"
        assert (found.message, found.expected) == (said, "another span")


def test_append_says_what_belongs_there():
    for slots in (lambda given, number: len(given.messages), lambda given, number: 9 - len(given.messages)):
        found = verdict_of("relations.append", delivering(slots), APART, **FEATURES)
        assert (found.at, found.expected) == (0, "the same span")


# ---------------------------------------------------------------- typed markers, to the last word


@pytest.mark.parametrize(
    ("ids", "at", "expected", "cause"),
    [
        ([*SPAN, A, P], 7, "text", "literal-became-structure"),
        ([A, *SPELLED], 6, "<image> (1)", None),
        ([O, P, P, P, C, A, *SPELLED], 1, "<pad> (7)", None),
        ([*SPAN, A, 900, *SPELLED], 7, "'pad>'", None),
    ],
)
def test_where_typed_markers_shift_spans(ids, at, expected, cause):
    found = verdict_of("literals.policy", by_hand({"a<pad>": ids}), TYPED)
    assert (found.at, found.expected) == (at, expected)
    assert cause is None or found.cause.name == cause


def test_where_typed_bos_is_told():
    typed = Conversation([Message("user", [Image(1, 1), Text("<s>")])])
    spelled = [1000 + ord(character) for character in "<s>"]
    for literals, ids, at in (("plain", [*SPAN, BOS], 6), ("interpret", [*SPAN, *spelled], 0)):
        found = verdict_of("literals.policy", by_hand({"<s>": ids}), typed, literals=literals)
        assert (found.at, found.expected, found.facts) == (at, "text", {"typed": True})


def test_a_tokenizer_without_bos_has_none_to_interpret():
    one = subject(lambda tokenizer, given: [*SPAN, A, P], literals="interpret")
    one = replace(one, facts=replace(one.facts, bos=None))
    assert checks.judge(Bench(one).case(TYPED), "literals.policy") is None


def test_one_of_several_markers_in_a_refusal_will_do():
    typed = Conversation([Message("user", [Text("<pad>"), Text("<image>")])])
    assert verdict_of("literals.policy", refusing("no <pad>"), typed, literals="reject") is None
    accepted = verdict_of("literals.policy", by_hand({}), typed, literals="reject")
    assert (accepted.message, accepted.at) == ("typed <image> was accepted, declared: reject", 0)
    assert accepted.facts == {"spelled": ["<image>", "<pad>"]}
    unclear = verdict_of("literals.policy", refusing("no"), typed, literals="reject")
    assert unclear.facts == {"spelled": ["<image>", "<pad>"]}


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
    assert checks.checks()["mine.bare"].examples == ()
    checks.check("mine.two.dots", examples=[ONE])(lambda case: None)
    dotted = checks.checks()["mine.two.dots"]
    assert (dotted.group, dotted.examples) == ("mine", (ONE,))
    for name in ("nogroup", "my.ru-le", ""):
        with pytest.raises(ConfigError, match=r"a check's name has the form group\.rule, without dashes"):
            checks.check(name)(lambda case: None)


ENCODES = ("pipeline.encodes",)
SPANS = (*ENCODES, "spans.matched", "spans.expected", "spans.slots")
ORDERED = ("pipeline.encodes", "bos.placement", "spans.matched", "spans.expected", "spans.slots", "spans.order")
IMAGES = ("start", "middle", "end", "alone", "adjacent", "every_message")
DESIGN = {
    "contract.tokens": ("once", (), None),
    "contract.bos": ("once", (), None),
    "pipeline.encodes": ("single", (), None),
    "bos.placement": ("single", ENCODES, None),
    "spans.matched": ("single", ENCODES, None),
    "spans.expected": ("single", SPANS[:2], None),
    "spans.slots": ("single", SPANS[:3], None),
    "spans.order": ("single", SPANS, None),
    "spans.bounds": ("single", SPANS, None),
    "text.survives": ("single", ORDERED, None),
    "arrays.mark": ("single", SPANS, None),
    "geometry.agrees": ("single", (*SPANS, "spans.order"), None),
    "labels.cover_answers": ("single", (*ORDERED, "text.survives"), None),
    "literals.policy": ("hazard", ENCODES, None),
    "failures.loud": ("faults", ENCODES, ("start", "none")),
    "paths.agree": ("variants", ENCODES, None),
    "relations.prefix": ("variants", ORDERED, IMAGES),
    "relations.append": ("variants", ORDERED, IMAGES),
    "relations.swap": ("variants", ORDERED, ("start", "every_message")),
    "expansion.once": ("variants", ORDERED, None),
    "truncation.policy": ("limits", ORDERED, None),
    "batch.agrees": ("batch", ORDERED, ("start", "middle", "end", "adjacent")),
}


def test_all_checks_are_there_as_designed():
    """A check that is gone, is judged on other draws, or no longer waits for another, would not fail by itself."""
    registered = checks.checks()
    assert {name: (check.family, check.needs, check.positions) for name, check in registered.items()} == DESIGN
    assert [name for name, check in registered.items() if check.examples] == ["text.survives", "truncation.policy"]


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
        assert check.rule.endswith((".", ":")), name
        assert " (I" not in check.rule, name
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
