"""Causes that ids show by themselves; the rest is found as in the suite.

Nobody can be asked for related conversations, and the text is not known, so it is told less often than there
that one cause is out: what cannot be told apart is one of two here too.
"""

from __future__ import annotations

from collections import Counter

from image_spans.case import Case
from image_spans.contract import Contract
from image_spans.diagnosis import diagnose
from image_spans.diagnosis.first_id import first_id
from image_spans.diagnosis.markers import markers, typist, unk
from image_spans.diagnosis.rivals import among, structures
from image_spans.diagnosis.slots import begins, slot_count
from image_spans.diagnosis.words import plain
from image_spans.findings import UNKNOWN, Cause, Finding
from image_spans.guard.sample import Reading, SampleCase, text_of
from image_spans.oracles import PLACEHOLDER, Found, Token, imbalance

STRUCTURE = ("bos.placement", "spans.matched", "spans.expected", "spans.slots")


def cause_of(case: SampleCase, finding: Finding, declared: Contract) -> Cause:
    """The cause of a finding on a sample.

    Args:
        declared: the contract with its template.
    """
    if finding.check not in STRUCTURE:
        return diagnose(case, finding)
    cause = _cut(case, declared) or _surplus(case) or _tag_alone(case)
    if cause is not None:
        return cause
    if case.mended is None or finding.check == "bos.placement":
        return diagnose(case, finding)
    tries = (unk, among([first_id, markers], structures), slot_count)
    return next((cause for explain in tries if (cause := explain(case, finding))), UNKNOWN)


# ---------------------------------------------------------------- cut off


def _cut(case: SampleCase, declared: Contract) -> Cause | None:
    """The ids end, or begin, inside of an image; or where no conversation does, and all images beyond are missing."""
    wanted, found = case.expected.tokens, case.found
    missing = sum(count for _, count in wanted) - sum(count for _, count in found.tokens)
    if missing <= 0:
        return None
    for side, step in (("right", 1), ("left", -1)):
        here, right = found.tokens[::step], wanted[::step]
        if len(here) > len(right) or not begins(right, here):
            continue
        owner = _image_behind(case, here, right, step)
        at_edge = _ends_with_a_token(found) if step == 1 else _begins_with_a_token(found)
        inside = owner is not None and at_edge and (step == 1 or missing > 1)  # one id in front may be a first id
        if inside or _breaks_off(case, declared, step):
            where = f"in image {owner}" if inside else "beside what stands there"
            return Cause(
                "cut-at-limit",
                f"the {side} side is cut off {where}: {len(found.ids)} ids are there, and the limit would have to be "
                f"at least {len(found.ids) + missing} for all images",
            )
    return None


def _image_behind(case: Case, here: list[Token], right: list[Token], step: int) -> int | None:
    """The image inside of which the tokens found end, in the direction of reading."""
    owners = case.expected.owners[::step]
    count = len(here)
    if count and here[-1] != right[count - 1]:
        return owners[count - 1]
    return owners[count] if count and count < len(right) and owners[count] == owners[count - 1] else None


def _ends_with_a_token(found: Found) -> bool:
    return bool(found.ends) and found.ends[-1] == len(found.ids)


def _begins_with_a_token(found: Found) -> bool:
    return bool(found.starts) and found.starts[0] == 0


def _breaks_off(case: SampleCase, contract: Contract, step: int) -> bool:
    """Whether the sample begins or ends as no conversation of the subject does."""
    ids, template = case.found.ids, contract.template or {}
    if step == -1:
        if contract.bos == "exactly_once" and case.subject.facts.bos is not None:
            return not case.found.bos
        firsts = [template[key][0] for key in ("begin",) if key in template and "".join(template[key])]
        firsts = firsts or [template[role][0] for role in contract.input.roles if role in template]
        text = text_of(case.bench, case.found, 0, min(len(ids), 64))
        return bool(firsts) and all(firsts) and not text.startswith(tuple(firsts))
    end = "".join(template.get("end", ("", "")))
    lasts = [template[role][1] + end for role in contract.input.roles if role in template]
    text = text_of(case.bench, case.found, max(0, len(ids) - 64), len(ids))
    return bool(lasts) and all(lasts) and not text.endswith(tuple(lasts))


# ---------------------------------------------------------------- too many


def _surplus(case: SampleCase) -> Cause | None:
    """All images are there as they should be, and there are tokens that belong to none."""
    found, owners = case.reading.found, case.reading.owners
    extra = [index for index, owner in enumerate(owners) if owner is None]
    owned = [token for token, owner in zip(found.tokens, owners, strict=True) if owner is not None]
    if not extra or owned != case.reading.wanted or _wrapped(case.reading, extra):
        return None
    rest = Found(
        found.ids,
        [found.tokens[index] for index in extra],
        [found.starts[index] for index in extra],
        [found.ends[index] for index in extra],
        [],
    )
    if any(role == PLACEHOLDER and count > 1 for role, count in rest.tokens):  # nobody types so many
        if imbalance(rest.tokens, case.bench.oracle.pairs) is not None:
            return None
        if _again(case, rest.tokens):
            return Cause("image-doubled", "an image stands twice, as when two places insert it")
        return Cause("features-missing", "the vision side delivers nothing for an image that the prompt holds")
    role = next((role for role, _ in rest.tokens if role != PLACEHOLDER), PLACEHOLDER)
    name, where = plain(case.token_name(role)), _where(case, case.subject.contract.markers[role], rest.starts[0])
    typed = f"{name} stands {where}, where no image is: somebody typed it, and it was read as the token itself"
    if role != PLACEHOLDER:
        return Cause("literal-became-structure", typed)
    return Cause("literal-became-structure-or-stray-placeholder", f"one of two: {typed}; or a model generated it")


def _wrapped(reading: Reading, extra: list[int]) -> bool:
    """Whether tokens that belong to no image stand right in front of one and right behind it."""
    found, owners = reading.found, reading.owners

    def touches(index: int, beside: int) -> bool:
        if not 0 <= beside < len(owners) or owners[beside] is None:
            return False
        first, second = sorted((index, beside))
        return found.ends[first] == found.starts[second]

    sides = Counter(by for index in extra for by in (-1, 1) if touches(index, index + by))
    return bool(sides[-1] and sides[1])


def _again(case: Case, tokens: list[Token]) -> bool:
    """Whether tokens are those of images that are there already."""
    blocks: dict[int | None, list[Token]] = {}
    for token, owner in zip(case.expected.tokens, case.expected.owners, strict=True):
        blocks.setdefault(owner, []).append(token)
    longest_first = sorted(blocks.values(), key=len, reverse=True)
    while tokens:
        block = next((block for block in longest_first if tokens[: len(block)] == block), None)
        if block is None:
            return False
        tokens = tokens[len(block) :]
    return True


def _where(case: Case, token: str, at: int) -> str:
    who = typist(case, token) if len(case.conversation.messages) > 1 else None
    return f"at {at} of the ids" if who is None else f"in the text of the {who}"


# ---------------------------------------------------------------- never replaced


def _tag_alone(case: SampleCase) -> Cause | None:
    """Of an image there is but one token, which is what data files write for it too."""
    found, owners = case.reading.found, case.reading.owners
    owned = Counter(owners)
    blocks: dict[int | None, list[Token]] = {}
    for token, owner in zip(case.expected.tokens, case.expected.owners, strict=True):
        blocks.setdefault(owner, []).append(token)
    for (role, count), owner in zip(found.tokens, owners, strict=True):
        is_tag = role in ("image_open", PLACEHOLDER) and count == 1
        if owner is not None and owned[owner] == 1 and is_tag and blocks.get(owner, [(role, 1)]) != [(role, 1)]:
            return Cause(
                "tag-left-in-text",
                f"{plain(case.token_name(role))} stands alone where image {owner} belongs: the tag of the data was "
                "never replaced by the image, and reads as the marker itself",
            )
    return None
