"""One conversation, encoded once, with everything that the checks look at."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

from image_spans.conversation import Conversation, Message, copied
from image_spans.findings import Finding
from image_spans.foreign import ChangedItsInput, Foreign, TookTooLong
from image_spans.oracles import PLACEHOLDER, Apart, Expected, Found, Oracle, scan
from image_spans.subject import Encoding, Subject, as_encoding, as_rows, nameless
from image_spans.texts import Texts

T = TypeVar("T")


class Bench:
    """A subject on the bench: its oracle, its text judge, and the cases made so far.

    Keeps the last few cases, so that checks which encode a variant of a conversation share it.

    Args:
        subject: what is judged.
        foreign: how its code is called; by default without a limit of time.
    """

    def __init__(self, subject: Subject, foreign: Foreign | None = None) -> None:
        self.subject = subject
        self.foreign = foreign or Foreign()
        self.stuck: tuple[TookTooLong, Conversation] | None = None
        """Set once the pipeline did not end: it is not called again, since each call might last as long."""
        self.unjudgeable: Finding | None = None
        """Set once judging did not end, for the same reason."""
        self.oracle = Oracle(subject.contract)
        self.texts = Texts(subject)
        self.roles: Mapping[int, str] = {token_id: role for role, token_id in subject.marker_ids.items()}
        self._inside: set[int] = set()
        self._cases: OrderedDict[Conversation, Case] = OrderedDict()

    def case(self, conversation: Conversation) -> Case:
        """The case of a conversation; the pipeline runs only if it was not among the last ones."""
        case = self._cases.get(conversation)
        if case is None:
            case = self._cases[conversation] = Case(self, conversation)
            if len(self._cases) > 256:
                self._cases.popitem(last=False)
        return case

    def first_outside(self, ids: Sequence[int]) -> int | None:
        """The position of the first id that no token has."""
        fresh = set(ids) - self._inside
        outside = {token_id for token_id in fresh if self.subject.tokenizer.id_to_token(token_id) == nameless(token_id)}
        self._inside |= fresh - outside
        return next((at for at, token_id in enumerate(ids) if token_id in outside), None) if outside else None

    def run(
        self, entry: Callable[[Conversation], T], conversation: Conversation, given: Conversation | None = None
    ) -> T:
        """Call the pipeline, or another of its entries, with a conversation of its own (``given``, or a copy).

        Raises:
            TookTooLong, LeftTheProcess, PrintedTooMuch, ChangedItsInput: what a pipeline must not do.
            Exception: whatever it raised.
        """
        if self.stuck is not None:
            raise self.stuck[0]
        own = copied(conversation) if given is None else given

        def enter() -> T:
            result = entry(own)
            # What the pipeline left in it may be foreign too.
            if (own.messages, own.images) != (conversation.messages, conversation.images):
                raise ChangedItsInput("changed the conversation that it was given")
            return result

        try:
            return self.foreign.call(lambda: f"{self.subject.name} on {conversation!r}", enter)
        except TookTooLong as error:
            self.stuck = error, conversation
            raise

    def run_batch(self, conversations: Sequence[Conversation], padding_side: str) -> list[Encoding]:
        """The rows that the pipeline's batch entry makes of conversations, each a copy of its own.

        Raises:
            BadEncoding: what came back is not a mapping of rows.
            Exception: as :meth:`run`.
        """
        collate = self.subject.batch
        assert collate is not None
        given = [copied(conversation) for conversation in conversations]
        rows = self.run(lambda _: collate(list(given), padding_side=padding_side), conversations[0])
        for ours, theirs in zip(conversations, given, strict=True):
            if (ours.messages, ours.images) != (theirs.messages, theirs.images):
                raise ChangedItsInput("changed a conversation of the batch that it was given")
        return as_rows(rows, self.subject.returns)

    def run_extend(self, shorter: Conversation, message: Message) -> Encoding:
        """What the pipeline's continue entry makes of its own encoding of a conversation, and one message more.

        Raises:
            BadEncoding: what came back is no encoding.
            Exception: as :meth:`run`.
        """
        extend = self.subject.extend
        assert extend is not None
        # What it returned itself, with all that it keeps there for its own use; never the case's lists.
        earlier = self.run(self.subject.pipeline, shorter)
        longer = self.run(lambda given: extend(earlier, given.messages[0]), Conversation([message]))
        return as_encoding(longer, self.subject.returns)


class Case:
    """A conversation, what the pipeline made of it, and what it should have made of it.

    Args:
        encoding: what is judged, instead of what the pipeline makes of the conversation now.
    """

    alone = False
    """Whether the pipeline cannot be asked for related conversations."""

    def __init__(self, bench: Bench, conversation: Conversation, encoding: Encoding | None = None) -> None:
        self.bench = bench
        self.subject = bench.subject
        self.conversation = conversation
        self.encoding = encoding
        self.error: Exception | None = None
        try:
            if encoding is None:
                self.encoding = bench.run(bench.subject.encode, conversation)
        except Exception as error:  # whatever the code under test raises is judged, not propagated
            self.error = error
        self.verdicts: dict[str, Any] = {}
        """What each check said of this case; filled by the engine, read through ``needs``."""

    @property
    def ids(self) -> list[int]:
        """The ids; only for checks that need ``pipeline.encodes``."""
        assert self.encoding is not None
        return self.encoding.ids

    @cached_property
    def expected(self) -> Expected:
        features = self.encoding.features if self.encoding else None
        oracle = self.bench.oracle
        wanted = oracle.expected(self.conversation, features)
        if self.encoding is not None and self.subject.facts.dummy_prefix and oracle.interprets(PLACEHOLDER):
            # Typed placeholders that touch are one run, or the blank in front of the second text parts them.
            parted: tuple[Apart, ...] = ("messages", "texts")
            for other in (oracle.expected(self.conversation, features, apart=apart) for apart in parted):
                if other.tokens == self.found.tokens:
                    return other
        return wanted

    @cached_property
    def found(self) -> Found:
        return scan(self.ids, self.bench.roles, self.subject.facts.bos)

    @cached_property
    def structure_holds(self) -> bool:
        """Whether tokens and run lengths are exactly the expected ones."""
        return self.found.tokens == self.expected.tokens

    @cached_property
    def damaged_gaps(self) -> list[int]:
        """The gaps whose text is not what it should be; only where the structure holds."""
        expected, found, texts = self.expected, self.found, self.bench.texts
        damaged = []
        for index, pieces in enumerate(expected.gaps):
            ids = found.gap(index)
            if not ids and not pieces:
                continue
            judge = texts.is_exactly if expected.inside_block(index) else texts.survives
            if not judge(ids, pieces):
                damaged.append(index)
        return damaged

    @cached_property
    def damaged_inside(self) -> list[int]:
        """The damaged gaps between tokens of one image: numbers and row breaks."""
        return [gap for gap in self.damaged_gaps if self.expected.inside_block(gap)]

    def is_explained_by(self, expected: Expected) -> bool:
        """Whether the tokens found, and the text inside blocks, are those of another expectation."""
        if expected.tokens != self.found.tokens:
            return False
        inside = (gap for gap in range(1, len(expected.tokens)) if expected.inside_block(gap))
        return all(self.bench.texts.is_exactly(self.found.gap(gap), expected.gaps[gap]) for gap in inside)

    def again(self, conversation: Conversation) -> Case:
        """The case of another conversation of the same subject."""
        return self.bench.case(conversation)

    def finding(self, check: str, message: str, *, at: int | None = None, expected: str = "", **facts: Any) -> Finding:
        """A finding on this case; the diagnosis adds the cause when it is reported."""
        return Finding(check, message, self.subject.name, self.conversation, at=at, expected=expected, facts=facts)

    def token_name(self, role: str) -> str:
        """The token of a role, with its id: ``<image> (151669)``."""
        token = self.subject.contract.markers[role]
        return f"{token} ({self.subject.marker_ids.get(role, 'no id')})"

    def id_name(self, token_id: int) -> str:
        """What an id is called in a report."""
        return self.subject.tokenizer.id_to_token(token_id)
