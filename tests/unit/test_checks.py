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
        ([*SPAN, -5], "pipeline.encodes", "the id at 6 is -5; ids are not negative"),
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
