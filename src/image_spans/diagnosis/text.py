"""Text beside images: eaten, added, lost, unk (F3, F4, F7)."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator
from functools import partial

from image_spans.case import Case
from image_spans.diagnosis.first_id import first_id
from image_spans.diagnosis.markers import became_structure
from image_spans.diagnosis.rivals import Fit, decide, plain_texts
from image_spans.diagnosis.words import plain
from image_spans.findings import UNKNOWN, Cause, Finding


def text(case: Case, finding: Finding) -> Cause | None:
    """What happened to the text of a gap."""
    gap = finding.facts.get("gap")
    if gap is None:
        return None
    fits = [*first_id(case, finding)]
    fits += [Fit(cause, partial(_shows, cause.name), rank) for cause, rank in _fitting(case, gap)]
    if fits:
        fits.append(Fit(UNKNOWN, _is_damaged, rank=2))
    return decide(case, fits, plain_texts)


def special(case: Case, finding: Finding) -> Cause | None:
    """A special token too many or too few in the text inside of an image's block."""
    gap = finding.facts.get("gap")
    return None if gap is None else _special(case, gap)


def _is_damaged(case: Case) -> bool:
    """Whether there is damage that asks for a cause; that of blanks is gone where there are none."""
    return case.structure_holds and any(not case.expected.inside_block(gap) for gap in case.damaged_gaps)


def _shows(name: str, case: Case) -> bool:
    """Whether a cause is seen in the text between images; eaten blanks are not, where there are none."""
    if not case.structure_holds:
        return False
    outer = [gap for gap in case.damaged_gaps if not case.expected.inside_block(gap)]
    seen = [{cause.name for cause, _ in _fitting(case, gap)} for gap in outer]
    return any(name in names for names in seen) or (name.endswith("-eaten") and not outer)


def _fitting(case: Case, gap: int) -> Iterator[tuple[Cause, int]]:
    """The causes that explain a gap, and whether each only describes it (1)."""
    special = _special(case, gap)
    if special is not None:
        yield special, 0
        return
    ids, pieces, texts = case.found.gap(gap), case.expected.gaps[gap], case.bench.texts
    got, wanted = texts.decode(ids) if ids else "", "".join(piece.text for piece in pieces)
    where = _beside(case, gap)
    unk = case.subject.tokenizer.named_ids().get("unk")
    if unk is not None and unk in ids and unk not in texts.alone(wanted)[0]:
        yield Cause("text-became-unk", f"text {where} came out as unk, which it is not on its own"), 0
        return
    if not got and wanted:
        # Of blanks alone it cannot be told what else would be lost.
        yield Cause("text-lost", f"all the text {where} is missing"), 0
    edges = {"".join(strip(piece.text) for piece in pieces) for strip in (str.strip, str.lstrip, str.rstrip)}
    if got != wanted and (got.strip() == wanted.strip() or got in edges):
        yield _at_the_edge(case, got, wanted, where), 0
    elif got != wanted and "".join(got.split()) == "".join(wanted.split()):
        yield Cause("blanks-changed", f"blanks or newlines inside the text {where} were changed"), 0
    elif got != wanted and _folded(got) == _folded(wanted):
        yield Cause("text-normalised", f"the text {where} is in another normal form or case than was given"), 0
    if wanted != got and wanted.startswith(got):
        yield Cause("text-end-lost", f"the text {where} breaks off before its end"), 1
    if wanted != got and wanted.endswith(got):
        yield Cause("text-begin-lost", f"the beginning of the text {where} is missing"), 1
    if wanted and wanted in got and got.strip() != wanted.strip():
        yield Cause("text-added", f"something was added to the text {where}"), 1


def _folded(text: str) -> str:
    """A text without what normal forms and the case of letters tell."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _at_the_edge(case: Case, got: str, wanted: str, where: str) -> Cause:
    """Blanks that are gone from the edge of a text, or too many there."""
    removed, added = Counter(wanted) - Counter(got), Counter(got) - Counter(wanted)
    if bool(removed) == bool(added):
        return Cause("blanks-changed", f"blanks or newlines at the edge of the text {where} were changed")
    kind = "newlines" if "\n" in removed + added else "blanks"
    if removed:
        return Cause(f"{kind}-eaten", f"{kind} were eaten from the edge of the text {where}")
    sentence = f"{kind} were added to the edge of the text {where}"
    if added == {" ": 1}:
        edge = "in front of it" if got.startswith(" ") and not wanted.startswith(got[:2]) else "behind it"
        sentence += f": one blank {edge}, as the dummy prefix of a tokenizer"
    return Cause(f"{kind}-added", sentence)


def _special(case: Case, gap: int) -> Cause | None:
    """Special tokens that are no markers: BOS aside, those of the template, or typed ones."""
    texts = case.bench.texts
    ids = case.found.gap(gap)
    found = Counter(token_id for token_id in ids if token_id in texts.specials)
    wanted = Counter(texts.specials_of(case.expected.gaps[gap]))
    where = _beside(case, gap)
    for token_id in found - wanted:
        token = texts.specials[token_id]
        typed = [p for p in case.expected.gaps[gap] if p.message is not None and token in p.text]
        as_text = texts.decode(tuple(one for one in ids if one not in texts.specials)).count(token)
        if sum(piece.text.count(token) for piece in typed) > as_text:
            number = typed[0].message
            assert number is not None
            return became_structure(token, f"{case.conversation.messages[number].role} in message {number}")
        return Cause(
            "special-added",
            f"{plain(token)} ({token_id}) stands {where}; neither the template nor a message has it there",
        )
    for token_id in wanted - found:
        token = texts.specials[token_id]
        spelled = token in texts.decode(tuple(one for one in ids if one not in texts.specials))
        if spelled:
            pieces = len(case.subject.tokenizer.encode_text(token))
            return Cause(
                "special-as-text",
                f"{plain(token)} of the template was encoded as text, in {pieces} ids, instead of {token_id}",
            )
        return Cause("special-lost", f"{plain(token)} ({token_id}), which the template writes, is missing {where}")
    return None


def _beside(case: Case, gap: int) -> str:
    tokens, owners = case.expected.tokens, case.expected.owners
    before = owners[gap - 1] if gap else None
    after = owners[gap] if gap < len(tokens) else None
    if before is not None and before == after:
        return f"inside image {before}"
    if before is not None and after is not None:
        return f"between images {before} and {after}"
    if before is not None:
        return f"after image {before}"
    if after is not None:
        return f"before image {after}"
    return "of the conversation"
