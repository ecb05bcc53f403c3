"""BOS: as many as declared, and only where declared."""

from __future__ import annotations

from image_spans.case import Case
from image_spans.checks import Verdict, check


@check("bos.placement", needs=["pipeline.encodes"])
def placement(case: Case) -> Verdict:
    """The declared number of BOS ids, only where declared (I6)."""
    bos = case.found.bos
    policy = case.subject.contract.bos
    if policy == "none":
        if len(bos) == expected_count(case):
            return None
        return case.finding(
            "bos.placement", f"{_count(bos)}, declared none", at=bos[0] if bos else 0, expected="no BOS"
        )
    home = _behind_images(case) if policy == "after_images" else 0
    if bos == [home]:
        return None
    where = "behind the last image" if home else "at the start"
    if not bos:
        own = case.subject.facts.bos
        name = "BOS" if own is None else f"{case.id_name(own)} ({own})"
        return case.finding("bos.placement", f"no BOS, declared one {where}", at=home, expected=name)
    wrong = next(at for at in bos if at != home)
    return case.finding("bos.placement", f"{_count(bos)}, declared one {where}", at=wrong, expected="no BOS")


def expected_count(case: Case) -> int:
    """How many BOS ids there must be: the declared one, or those that a declared template spells."""
    contract, bos = case.subject.contract, case.subject.facts.bos
    if contract.bos != "none":
        return 1
    if bos is None or not contract.template:
        return 0
    roles = ["begin", *(message.role for message in case.conversation.messages), "end"]
    written = "".join(text for role in roles for text in contract.template.get(role, ()))
    return written.count(case.id_name(bos))


def _behind_images(case: Case) -> int:
    """The position behind the last structural token of the last image; 0 without images."""
    owners = case.expected.owners
    last = max((index for index, owner in enumerate(owners) if owner is not None), default=None)
    ends = case.found.ends
    return ends[last] if last is not None and last < len(ends) else 0


def _count(bos: list[int]) -> str:
    places = ", ".join(map(str, bos[:4])) + (", ..." if len(bos) > 4 else "")
    return f"{len(bos)} BOS" + (f" at {places}" if bos else "")
