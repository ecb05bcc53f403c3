"""A sample as a case for the checks: the conversation that its ids tell of, and what should stand in them.

Of the text nothing is known but the ids themselves, so it is taken as it stands there. What can be wrong is the
structure: which of the tokens found belong to which image, and which to none, is decided by the best match.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property
from itertools import accumulate, pairwise

from image_spans.case import Bench, Case
from image_spans.contract import Contract, Template
from image_spans.conversation import Conversation, Image, Message, Part, Text
from image_spans.guard.shape import Shape, mended
from image_spans.oracles import PLACEHOLDER, Expected, Found, Oracle, Piece, Token
from image_spans.subject import Encoding

UNKNOWN_SIZE = Image(1, 1)
"""Stands for an image whose size is not known."""


def as_written(contract: Contract) -> Contract:
    """A contract under which the text of a conversation is all that stands between the images.

    Images are given in the order in which they stand in the ids, and whatever looks like a marker there is one.
    """
    images = contract.images.model_copy(update={"order": "as_given", "before": "", "after": ""})
    return contract.model_copy(
        update={
            "images": images,
            "template": {},
            "trim": "none",
            "literals": contract.literals.model_copy(update={"policy": "plain", "per": {}}),
        }
    )


@dataclass(frozen=True)
class Reading:
    """Which tokens belong to which image."""

    found: Found
    sizes: Sequence[Image]
    owners: list[int | None]
    """Per token found: its image; None for one that belongs to none."""
    wanted: list[Token]
    """The tokens of the images, one image after the other; also where those of two would be one run."""

    def conversation(self, bench: Bench, contract: Contract, *, spelled: bool) -> Conversation:
        """The conversation that the ids tell of.

        Args:
            bench: what decodes.
            contract: the contract as it is declared, with its template.
            spelled: whether its texts are those of the ids; else any, which is enough where only the structure is
                judged, and decodes nothing.
        """
        pieces = [*self._pieces(bench, spelled)]
        if not spelled:
            return Conversation([Message("user", _parts(pieces))])
        return _in_messages(pieces, contract)

    def _pieces(self, bench: Bench, spelled: bool) -> Iterator[str | Image]:
        """Text and images as they stand one after the other; an image without tokens stands where its tag does."""
        regions = self._regions()
        at, number = 0, 0
        for region in (*regions, (len(self.found.ids), len(self.found.ids), len(self.sizes))):
            start, end, image = region
            text = text_of(bench, self.found, at, start, spelled)
            missing = [self.sizes[index] for index in range(number, image)]
            yield from _with_missing(text, missing, bench.subject.contract)
            if image < len(self.sizes):
                yield self.sizes[image]
            at, number = end, image + 1

    def _regions(self) -> list[tuple[int, int, int]]:
        """Start and end of what belongs to each image that has tokens, in order."""
        regions: dict[int, tuple[int, int]] = {}
        for owner, start, end in zip(self.owners, self.found.starts, self.found.ends, strict=True):
            if owner is not None:
                regions[owner] = regions.get(owner, (start, end))[0], end
        return [(start, end, image) for image, (start, end) in sorted(regions.items())]


class SampleCase(Case):
    """The case of a sample.

    Args:
        bench: a bench of the subject :func:`as_written`.
        conversation: what the ids tell of.
        encoding: the sample.
        reading: which tokens belong to which image.
        slots: features, given or as found, where they alone tell what should stand in the ids.
        mended: what should stand in the ids, where nothing is known of the images.
        open_gaps: its gaps in which any text may stand.
    """

    alone = True

    def __init__(
        self,
        bench: Bench,
        conversation: Conversation,
        encoding: Encoding,
        reading: Reading,
        *,
        slots: Sequence[tuple[int, int]] | None = None,
        mended: Expected | None = None,
        open_gaps: frozenset[int] = frozenset(),
    ) -> None:
        super().__init__(bench, conversation, encoding)
        self.reading = reading
        self.mended = mended
        self._slots = slots
        self._open_gaps = open_gaps

    @cached_property
    def expected(self) -> Expected:
        """What should stand in the ids."""
        return self.mended or self.bench.oracle.expected(self.conversation, self._slots)

    @cached_property
    def damaged_gaps(self) -> list[int]:
        """Those inside of images: of the others nobody knows what should stand there."""
        judged = set(range(1, len(self.expected.tokens))) - self._open_gaps
        inside = (gap for gap in sorted(judged) if self.expected.inside_block(gap))
        is_right = self.bench.texts.is_exactly
        return [gap for gap in inside if not is_right(self.found.gap(gap), self.expected.gaps[gap])]


def _parts(pieces: Sequence[str | Image]) -> list[Part]:
    return [Text(piece) if isinstance(piece, str) else piece for piece in pieces if piece != ""]


def text_of(bench: Bench, found: Found, start: int, end: int, spelled: bool = True) -> str:
    """The text of a stretch of ids; markers and special tokens in it by their names."""
    if not spelled:
        return "a" if end > start else ""
    facts, texts, tokenizer = bench.subject.facts, bench.texts, bench.subject.tokenizer
    named = {*bench.roles, *texts.specials}
    result, stretch = "", list[int]()
    for token_id in (*found.ids[start:end], None):
        if token_id is not None and token_id not in named and token_id != facts.bos:
            stretch.append(token_id)
            continue
        if stretch:
            text = texts.decode(tuple(stretch))
            result += text[1:] if facts.dummy_prefix and text.startswith(" ") else text
            stretch = []
        if token_id is not None and token_id != facts.bos:
            result += tokenizer.id_to_token(token_id)
    return result


def _with_missing(text: str, missing: Sequence[Image], contract: Contract) -> Iterator[str | Image]:
    """Text, and images that left no token in it: each where it is spelled, the others in front."""
    tags = [contract.literals.tag, *contract.images.open[:1], contract.images.placeholder]
    tag = next((tag for tag in tags if tag and tag in text), None)
    parts = text.split(tag, len(missing)) if tag and missing else [text]
    yield from missing[: len(missing) - len(parts) + 1]
    for part, image in zip(parts, [*missing[len(missing) - len(parts) + 1 :], None], strict=True):
        yield part
        if image is not None:
            yield image


# ---------------------------------------------------------------- who owns which token


def read(found: Found, oracle: Oracle, sizes: Sequence[Image], slots: Sequence[tuple[int, int]] | None) -> Reading:
    """Match the tokens found with those of images that are known.

    Args:
        slots: features, where they and not the sizes tell what should stand there.
    """
    apart = [part for image in sizes for part in (image, Text("a"))]
    expected = oracle.expected(Conversation([Message("user", apart)]), slots)
    wanted = expected.tokens
    found = _unmerged(found, wanted)
    owners: list[int | None] = [None] * len(found.tokens)
    for _, at, w_end, f_start, f_end in SequenceMatcher(None, wanted, found.tokens, autojunk=False).get_opcodes():
        for index in range(f_start, f_end):
            # Where the number of slots differs, the role still tells the token.
            same = next((w for w in range(at, w_end) if wanted[w][0] == found.tokens[index][0]), None)
            if same is not None:
                owners[index], at = expected.owners[same], same + 1
    return Reading(found, sizes, owners, list(wanted))


def _unmerged(found: Found, wanted: Sequence[Token]) -> Found:
    """The tokens found, runs cut in two where they are exactly those of images that touch."""
    if not any(one[0] == other[0] == PLACEHOLDER for one, other in pairwise(wanted)):
        return found
    tokens: list[Token] = []
    starts: list[int] = []
    at = 0
    for (role, count), start in zip(found.tokens, found.starts, strict=True):
        sums = list(accumulate(number for _, number in wanted[at:]))
        several = sums.index(count) + 1 if role == PLACEHOLDER and count in sums else 1
        for number in [number for _, number in wanted[at : at + several]] if several > 1 else [count]:
            tokens.append((role, number))
            starts.append(start)
            start += number
        at += several
    ends = [start + count for start, (_, count) in zip(starts, tokens, strict=True)]
    return Found(found.ids, tokens, starts, ends, found.bos)


def read_shape(found: Found, shape: Shape | None) -> tuple[Reading, Expected, frozenset[int]]:
    """The same where nothing is known of the images; what should stand there, and where any text may."""
    right = mended(found, shape)
    owners: list[int | None] = [None] * len(found.tokens)
    gaps: list[list[Piece]] = [[]]
    open_gaps = set()
    for index, one in enumerate(right):
        if one.found is not None:
            owners[one.found] = one.image
        if not one.touches:
            open_gaps.add(index)
        gaps.append([])
    count = max((one.image for one in right), default=-1) + 1
    images = [one.image for one in right]
    expected = Expected([one.token for one in right], gaps, [*images], [0] * len(right), [*range(count)])
    return Reading(found, [UNKNOWN_SIZE] * count, owners, expected.tokens), expected, frozenset(open_gaps)


# ---------------------------------------------------------------- messages


def _role(contract: Contract) -> str:
    return next(iter(contract.input.images_in), contract.input.roles[0])


def _in_messages(pieces: Sequence[str | Image], contract: Contract) -> Conversation:
    """The pieces in messages, as the template's texts divide them; in one where they do not.

    Who wrote what matters for the words of a report alone.
    """
    images = [piece for piece in pieces if isinstance(piece, Image)]
    text = "".join(piece if isinstance(piece, str) else _IMAGE for piece in pieces)
    template = contract.template or {}
    messages = None
    if any(any(pair) for pair in template.values()) and text.count(_IMAGE) == len(images):
        messages = _divided(text, template, contract.input.roles)
    if messages is None:
        return Conversation([Message(_role(contract), _parts(pieces))])
    given = iter(images)
    return Conversation(
        [
            Message(
                role, _parts([next(given) if part == _IMAGE else part for part in re.split(f"({_IMAGE})", content)])
            )
            for role, content in messages
        ]
    )


_IMAGE = "\0image\0"


def _divided(text: str, template: Template, roles: Sequence[str]) -> list[tuple[str, str]] | None:
    """Role and content of each message; None where the text is not what the template writes."""
    for key, strip in (("begin", str.removeprefix), ("end", str.removesuffix)):
        text = strip(text, "".join(template.get(key, ("", ""))))
    pairs = {role: template.get(role, ("", "")) for role in roles}
    starts = sorted({before for before, _ in pairs.values() if before}, key=len, reverse=True)
    messages: list[tuple[str, str]] = []
    while text:
        role = max(
            (role for role in roles if text.startswith(pairs[role][0])), key=lambda r: len(pairs[r][0]), default=None
        )
        if role is None:
            return None
        before, after = pairs[role]
        text = text[len(before) :]
        ends = [at for mark in ([after] if after else starts) if (at := text.find(mark)) >= 0]
        if after and not ends:
            ends = [len(text)]  # cut off
        end = min(ends, default=len(text))
        messages.append((role, text[:end]))
        text = text[end + len(after) :]
    return messages
