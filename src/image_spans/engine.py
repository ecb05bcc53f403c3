"""One pass, many checks.

A pass draws the conversations of one (subject, position, family), encodes each once and lets every
check of the family judge it. It is kept; each test reads the verdict of its check from it. Only on a finding is
anything drawn again: to shrink it, with the same strategy, seed and draws.
"""

from __future__ import annotations

import gc
import sys
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, find, given, seed, settings
from hypothesis.errors import FlakyFailure, NoSuchExample

from image_spans import checks, strategies
from image_spans.case import Bench, Case
from image_spans.conversation import Conversation, parse_conversation
from image_spans.diagnosis import diagnosed
from image_spans.errors import words
from image_spans.findings import Cause, Finding
from image_spans.foreign import MISBEHAVIOUR, Foreign
from image_spans.subject import Subject


@dataclass(frozen=True)
class Family:
    """What a family of checks draws."""

    name: str
    share: float
    """Its draws as a part of the profile's ``max_examples``."""
    hazard: bool = False
    """Whether texts spell markers."""


FAMILIES = {
    family.name: family
    for family in (
        Family("single", 1.0),
        Family("hazard", 0.5, hazard=True),
        Family("variants", 0.2),
        Family("faults", 0.1),
        Family("limits", 0.05),
        Family("batch", 0.05),
    )
}


@dataclass
class Tally:
    """What a pass found out about one check."""

    judged: int = 0
    findings: dict[str, Finding] = field(default_factory=dict)
    """Fingerprint to the first finding."""
    blocked_by: Counter[str] = field(default_factory=Counter)
    """Needed checks that failed, with the number of conversations."""
    blocked_on: dict[str, dict[Conversation, None]] = field(default_factory=dict)
    """Needed check to the conversations on which it failed: those of the pass, or related ones."""


@dataclass
class Pass:
    """The conversations of one pass and the tallies of its checks."""

    conversations: tuple[Conversation, ...]
    tallies: dict[str, Tally]


class Engine:
    """Makes passes and keeps them.

    Args:
        budget: conversations per pass of the family ``single`` (Hypothesis's ``max_examples``).
        base_seed: from which the seeds of all passes are derived.
        only: judge this conversation alone, instead of drawing.
        database: a Hypothesis example database in which failing conversations are kept, or None.
        foreign: how the code under test is called; by default without a limit of time.
        samples: subject to conversations of somebody's data, which are judged besides those that are drawn.
    """

    def __init__(
        self,
        budget: int,
        base_seed: int,
        *,
        only: Conversation | None = None,
        database: Any = None,
        foreign: Foreign | None = None,
        samples: Mapping[str, Sequence[Conversation]] | None = None,
    ) -> None:
        self.budget = budget
        self.foreign = foreign or Foreign()
        self.base_seed = base_seed
        self.only = only
        self.database = database
        self._samples = samples or {}
        self.passes: dict[tuple[str, str, str], Pass] = {}
        self._benches: dict[int, Bench] = {}
        self._drawn: dict[tuple[strategies.Profile, str, str], tuple[Conversation, ...]] = {}
        self._prechecks: dict[tuple[int, str], Finding | None] = {}
        self._replayed: dict[tuple[int, str, Conversation], checks.Verdict] = {}

    def bench(self, subject: Subject) -> Bench:
        """The bench of a subject, whose tokenizer is asked for its special tokens here."""
        if id(subject) not in self._benches:
            spellings(subject)
            self._benches[id(subject)] = Bench(subject, self.foreign)
        return self._benches[id(subject)]

    def ask_rule(self, subject: Subject) -> None:
        """Look for the telling sizes of a subject's slice rule, which is asked for thousands of them once."""
        profile_of(subject, FAMILIES["single"])

    def precheck(self, subject: Subject, name: str) -> Finding | None:
        """The verdict of a check of the family ``once``."""
        key = (id(subject), name)
        if key not in self._prechecks:
            check = checks.checks()[name]
            try:
                verdict = self.foreign.call(lambda: f"{name} of {subject.name}", check.judge, subject)
            except Exception as error:  # the tokenizer is foreign code
                did = str(error) if isinstance(error, MISBEHAVIOUR) else f"raised {words(error)}"
                cause = Cause(f"tokenizer-{type(error).__name__}", "the tokenizer itself fails on an ordinary text")
                verdict = Finding(name, f"the tokenizer {did}", subject.name, cause=cause)
            self._prechecks[key] = verdict if isinstance(verdict, Finding) else None
        return self._prechecks[key]

    def failed_prechecks(self, subject: Subject) -> list[Finding]:
        """The findings of all prechecks that apply."""
        found = [self.precheck(subject, check.name) for check in checks.checks().values() if check.family == "once"]
        return [finding for finding in found if finding is not None]

    def survey(
        self,
        subject: Subject,
        position: str,
        family: str,
        examples: Mapping[str, Sequence[Conversation]] | None = None,
    ) -> Pass:
        """The pass of a subject, position and family; made once.

        ``examples`` are judged first, each by its own check alone: the others must not be disturbed by what was
        recorded for one.
        """
        key = (subject.name, position, family)
        if key not in self.passes:
            with _vocabularies_left_alone():
                self.passes[key] = self._make_pass(subject, position, FAMILIES[family], examples or {})
        return self.passes[key]

    def replay(self, subject: Subject, conversation: Conversation, name: str) -> checks.Verdict:
        """What a check says of a recorded conversation, with the cause; asked once."""
        key = (id(subject), name, conversation)
        if key not in self._replayed:
            bench = self.bench(subject)
            before = bench.stuck
            case = bench.case(conversation)
            self.verdict(case, "pipeline.encodes")
            try:
                verdict = self.foreign.call(lambda: f"{name} on {conversation!r}", checks.judge, case, name)
            except MISBEHAVIOUR as error:
                verdict = case.finding(name, f"judging {error}", raised=error)
            if isinstance(verdict, Finding):
                elsewhere = verdict.conversation != conversation  # it is stuck since then, and was not called
                verdict = checks.NotJudged(name, verdict.conversation) if elsewhere else diagnosed(case, verdict)
            if before is None:
                bench.stuck = None  # that it does not end on this one is known: the search for others goes on
            self._replayed[key] = verdict
        return self._replayed[key]

    def _make_pass(
        self, subject: Subject, position: str, family: Family, examples: Mapping[str, Sequence[Conversation]]
    ) -> Pass:
        names = [
            check.name
            for check in checks.checks().values()
            if check.family == family.name and check.inapplicable(subject.contract, subject.abilities) is None
        ]
        conversations = self.conversations(subject, position, family)
        tallies = {name: Tally() for name in names}
        bench = self.bench(subject)
        for name, recorded in examples.items():
            for conversation in recorded if name in tallies else ():
                _count(self.replay(subject, conversation, name), tallies[name], conversation)
        for conversation in conversations:
            case = bench.case(conversation)
            self._judge_all(case, names, position)
            for name in names:
                self._tally(case, name, tallies[name])
        return Pass(conversations, tallies)

    def _judge_all(self, case: Case, names: Sequence[str], position: str) -> None:
        """Have every check judge a case; what judges may be foreign too: the tokenizer, a rule, a grammar, an order."""
        if case.bench.unjudgeable is not None:
            return
        name = ""

        def judge() -> None:
            nonlocal name
            for name in names:
                checks.judge(case, name)

        try:
            self.foreign.call(lambda: f"judging {case.subject.name} on {case.conversation!r}", judge)
        except MISBEHAVIOUR as error:
            case.bench.unjudgeable = case.finding(name, f"judging {error}", raised=error, position=position)

    def verdict(self, case: Case, name: str) -> checks.Verdict:
        """What a check says of a case that need not be one of a pass."""
        if case.bench.unjudgeable is not None:
            return checks.NotJudged(case.bench.unjudgeable.check)
        try:
            return self.foreign.call(lambda: f"{name} on {case.conversation!r}", checks.judge, case, name)
        except MISBEHAVIOUR:
            return checks.NOT_JUDGED

    def _tally(self, case: Case, name: str, tally: Tally) -> None:
        stuck = case.bench.unjudgeable
        verdict: checks.Verdict
        if stuck is None:
            verdict = checks.judge(case, name)
        else:
            verdict = stuck if stuck.check == name else checks.NotJudged(stuck.check)
        _count(diagnosed(case, verdict) if isinstance(verdict, Finding) else verdict, tally, case.conversation)

    def conversations(self, subject: Subject, position: str, family: Family) -> tuple[Conversation, ...]:
        """The conversations of a pass: kept failures, samples, what a check wants to see, draws, and what is long."""
        if self.only is not None:
            return (self.only,)
        profile = profile_of(subject, family)
        drawn = self._draw(profile, position, family)
        fixed = [
            example
            for check in checks.checks().values()
            if check.family == family.name
            for example in check.examples
            if position == ("start" if example.images else "none") and profile.holds(example)
        ]
        fixed = [*self._samples_of(subject, profile, position, family), *fixed]
        # A long one comes last: what else shows on it is then told on what was drawn.
        short, long = ([one for one in fixed if (len(repr(one)) > _READABLE) == wanted] for wanted in (False, True))
        return tuple(dict.fromkeys([*self._kept(subject, position, family.name), *short, *drawn, *long]))

    def _samples_of(
        self, subject: Subject, profile: strategies.Profile, position: str, family: Family
    ) -> Iterator[Conversation]:
        """The samples whose home this pass is: the first position at which their images stand, by what they spell."""
        samples = self._samples.get(subject.name, ()) if family.name in ("single", "hazard") else ()
        tokens = spellings(subject) if samples else ()
        positions = [one for one in strategies.POSITIONS if strategies.applies(one, profile)]
        for sample in samples:
            stands = strategies.positions_of(sample, profile)
            home = next((one for one in positions if one in stands), positions[0])
            if home == position and spells(sample, tokens) == family.hazard:
                yield sample

    def _draw(self, profile: strategies.Profile, position: str, family: Family) -> tuple[Conversation, ...]:
        """Draws depend on the profile alone, so subjects with equal profiles share them."""
        key = (profile, position, family.name)
        if key not in self._drawn:
            drawn: list[Conversation] = []

            @seed(Random(self._seed(position, family)).getrandbits(64))
            @settings(self._settings(family), phases=[Phase.generate])
            @given(_strategy(profile, position, family))
            def collect(conversation: Conversation) -> None:
                drawn.append(conversation)

            with _the_seed_alone_decides():
                collect()
            self._drawn[key] = tuple(drawn)
        return self._drawn[key]

    def shrink(self, subject: Subject, position: str, finding: Finding) -> Finding:
        """The same finding on the smallest conversation; the recorded one where shrinking does not reach it."""
        family = FAMILIES[checks.checks()[finding.check].family]
        conversation = finding.conversation
        if self.only is not None or conversation is None:
            return finding
        bench = self.bench(subject)
        if bench.stuck is not None or bench.unjudgeable is not None:
            return finding  # each try might take as long again
        seen: dict[Conversation, Finding | None] = {}

        def shows(conversation: Conversation) -> bool:
            if conversation not in seen:  # a pipeline with a memory must not give two answers
                case = Case(bench, conversation)
                verdict = self.verdict(case, finding.check)
                found = diagnosed(case, verdict) if isinstance(verdict, Finding) else None
                seen[conversation] = found if found is not None and found.fingerprint == finding.fingerprint else None
            return seen[conversation] is not None

        result = finding
        strategy = _strategy(profile_of(subject, family), position, family)
        # Shrinking deletes, but moves nothing from one message to another: look for a small one to begin with.
        usual = self._settings(family)
        for most_messages, most_images in _SMALL:
            tries = usual.max_examples * (1 if most_messages == float("inf") else _PATIENCE)
            if len(conversation.messages) <= most_messages and len(conversation.images) <= most_images:
                most_messages, most_images = _ANY  # it is as small already

            def is_wanted(
                candidate: Conversation, messages: float = most_messages, images: float = most_images
            ) -> bool:
                return len(candidate.messages) <= messages and len(candidate.images) <= images and shows(candidate)

            try:
                with _the_seed_alone_decides():
                    smallest = find(
                        strategy,
                        is_wanted,
                        settings=settings(usual, phases=[Phase.generate, Phase.shrink], max_examples=tries),
                        random=Random(self._seed(position, family)),
                    )
            except (NoSuchExample, FlakyFailure):
                continue
            result = seen[smallest] or finding
            break
        self._keep(subject, position, family.name, result)
        return result

    def _settings(self, family: Family) -> settings:
        # No explain phase: it costs more than the shrinking and speaks of arguments, not of tokens.
        return settings(
            max_examples=max(min(10, self.budget), round(self.budget * family.share)),
            database=None,
            deadline=None,
            derandomize=False,
            verbosity=Verbosity.quiet,
            suppress_health_check=list(HealthCheck),
        )

    def _seed(self, position: str, family: Family) -> int:
        return self.base_seed + zlib.crc32(f"{position} {family.name}".encode())

    def _key(self, subject: Subject, position: str, family: str) -> bytes:
        # The profile too: under another contract a kept conversation may be outside its limits.
        profile = zlib.crc32(repr(profile_of(subject, FAMILIES[family])).encode())
        return f"image-spans {subject.name} {position} {family} {profile:08x}".encode()

    def _kept(self, subject: Subject, position: str, family: str) -> list[Conversation]:
        """Conversations that failed in an earlier run; those that no longer parse are dropped."""
        if self.database is None:
            return []
        kept = []
        key = self._key(subject, position, family)
        for value in sorted(self.database.fetch(key)):
            try:
                kept.append(parse_conversation(value.decode()))
            except ValueError:
                self.database.delete(key, value)
        return kept

    def _keep(self, subject: Subject, position: str, family: str, finding: Finding) -> None:
        if self.database is not None and finding.conversation is not None:
            self.database.save(self._key(subject, position, family), repr(finding.conversation).encode())

    def forget_repaired(self, subject: Subject, position: str, family: str) -> None:
        """Drop kept conversations once a pass over them found nothing."""
        done = self.survey(subject, position, family)
        if self.database is None or self.only is not None or any(tally.findings for tally in done.tallies.values()):
            return
        key = self._key(subject, position, family)
        for value in list(self.database.fetch(key)):
            self.database.delete(key, value)


@contextmanager
def _vocabularies_left_alone() -> Iterator[None]:
    """Without the garbage collector going through all that was there before: vocabularies of millions of entries.

    A pass makes many small objects, so it collects often; this saves a fifth of a run.
    """
    if not hasattr(gc, "freeze") or gc.get_freeze_count():  # somebody else has frozen what is theirs
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def _the_seed_alone_decides() -> Iterator[None]:
    """Without the constants that Hypothesis reads from the modules that happen to be loaded, and now and then draws.

    They would make the draws of a seed depend on what else a process has imported: on ``-k``, on the worker of xdist.
    Hypothesis has no switch for it (6.131 and later; PR #4356); where the method is gone or new, nothing is changed.
    """
    providers = sys.modules.get("hypothesis.internal.conjecture.providers")
    provider, name = getattr(providers, "HypothesisProvider", None), "_maybe_draw_constant"
    original = getattr(provider, name, None)
    if original is None:
        yield
        return
    setattr(provider, name, lambda *_arguments, **_options: None)
    try:
        yield
    finally:
        setattr(provider, name, original)


def _count(verdict: checks.Verdict, tally: Tally, conversation: Conversation) -> None:
    if verdict is None:
        tally.judged += 1
    elif isinstance(verdict, Finding):
        tally.judged += 1
        tally.findings.setdefault(verdict.fingerprint, verdict)
    elif verdict.because_of is not None:
        tally.blocked_by[verdict.because_of] += 1
        tally.blocked_on.setdefault(verdict.because_of, {})[verdict.on or conversation] = None


_READABLE = 600
"""Characters of a conversation that one reads through."""
_ANY = (float("inf"), float("inf"))
_SMALL = ((2, 1), (2, 2), _ANY)
"""Messages and images at most, in the order in which a small conversation is looked for."""
_PATIENCE = 3
"""How many times the draws of a pass are spent on a small one: drawing is cheap, and reading a large one is not."""


def profile_of(subject: Subject, family: Family) -> strategies.Profile:
    """What the draws of a family depend on, for a subject."""
    return strategies.Profile.of(subject.contract, spellings=spellings(subject) if family.hazard else ())


def _strategy(profile: strategies.Profile, position: str, family: Family) -> Any:
    return strategies.conversations(position=position, profile=profile, hazard=family.hazard)


def spellings(subject: Subject) -> tuple[str, ...]:
    """The texts from which hazards are built: markers, the data tag, BOS, EOS and the template's special tokens."""
    special = subject.tokenizer.special_tokens()
    template = "".join(text for pair in (subject.contract.template or {}).values() for text in pair)
    named = [
        subject.tokenizer.id_to_token(i) for name, i in subject.tokenizer.named_ids().items() if name in ("bos", "eos")
    ]
    found = [*subject.contract.markers.values(), *named, *(token for token in special if token in template)]
    if subject.contract.literals.tag:
        found.append(subject.contract.literals.tag)
    return tuple(sorted(set(found)))


def spells(conversation: Conversation, tokens: Sequence[str]) -> bool:
    """Whether a text of a conversation spells one of these tokens."""
    return any(token in text for token in tokens for text in conversation.texts)


def verify(subject: Subject, conversation: Conversation, *names: str, timeout: float = 0.0) -> None:
    """Judge one conversation with the named checks (default: all that need no hazards or variants).

    Args:
        subject: what is judged.
        conversation: what it is given.
        names: checks or groups of checks.
        timeout: seconds that a call of the pipeline may take; 0: any time.

    Raises:
        Finding: the first check that fails, with its cause.
        ConfigError: no such check.
    """
    chosen = [one for name in names for one in checks.find(name)] or [
        check.name for check in checks.checks().values() if check.family in ("once", "single")
    ]
    engine = Engine(1, 0, foreign=Foreign(timeout))
    case: Case | None = None
    for name in chosen:
        check = checks.checks()[name]
        if check.inapplicable(subject.contract, subject.abilities) is not None:
            continue
        if check.family == "once":
            found = engine.precheck(subject, name)
        else:
            case = case or engine.bench(subject).case(conversation)
            found = _found(case, name)
        if found is not None:
            raise found


def _found(case: Case, name: str) -> Finding | None:
    """The finding of a check on a case, or of the check that kept it from being judged."""
    verdict = checks.judge(case, name)
    if isinstance(verdict, checks.NotJudged) and verdict.because_of is not None:
        other = case.again(verdict.on or case.conversation)
        blocker = checks.judge(other, verdict.because_of)
        if isinstance(blocker, Finding):
            return diagnosed(other, blocker)
        # It has just failed: a pipeline with a memory.
        return case.finding(name, f"{verdict.because_of} failed, so {name} cannot be judged on this conversation")
    return diagnosed(case, verdict) if isinstance(verdict, Finding) else None
