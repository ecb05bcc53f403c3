"""Markers that are missing, mistaken, typed, unk or text (F2, F5, F7, F8, F10)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import combinations

from image_spans.case import Case
from image_spans.conversation import Text
from image_spans.diagnosis.rivals import Fit
from image_spans.diagnosis.words import are, plain
from image_spans.findings import UNKNOWN, Cause, Finding
from image_spans.oracles import PLACEHOLDER, Token

# ---------------------------------------------------------------- typed


def typed(case: Case, finding: Finding) -> Cause | None:
    """Text that spells a marker, which was read as one; or that stands in the way of the real ones."""
    if not finding.facts.get("typed"):
        return None
    found, wanted = (Counter(role for role, _ in tokens) for tokens in (case.found.tokens, case.expected.tokens))
    surplus = found - wanted
    tokens = [token for role, token in case.subject.contract.markers.items() if role in surplus]
    if case.subject.facts.bos is not None and case.structure_holds:
        tokens = [case.id_name(case.subject.facts.bos)]
    for token in tokens:
        if (who := typist(case, token)) is not None:
            return became_structure(token, who)
    if wanted - found and not surplus:
        role = next(iter(wanted - found))
        return Cause(
            "literal-hides-structure",
            f"{plain(case.token_name(role))} of a real image is gone where text spells a marker",
        )
    return Cause("literal-became-structure", "text that spells a marker, BOS or EOS was read as a special token")


def typist(case: Case, token: str) -> str | None:
    """Who typed a text, and in which message: the first; None where nobody did."""
    for number, message in enumerate(case.conversation.messages):
        if any(isinstance(part, Text) and token in part.text for part in message.parts):
            return f"{message.role} in message {number}"
    return None


def became_structure(token: str, who: str) -> Cause:
    """The cause of typed text that was read as a token."""
    return Cause("literal-became-structure", f"{plain(token)}, typed by the {who}, was read as the token itself")


def deleted(case: Case, finding: Finding) -> Cause | None:
    """The text is all there but for what looks like a marker."""
    gap = finding.facts.get("gap")
    if gap is None:
        return None
    ids, contract = case.found.gap(gap), case.subject.contract
    wanted = rest = "".join(piece.text for piece in case.expected.gaps[gap])
    for token in (*contract.markers.values(), *filter(None, [contract.literals.tag])):
        rest = rest.replace(token, "")
    got = case.bench.texts.decode(ids) if ids else ""
    if rest == wanted or "".join(got.split()) != "".join(rest.split()):
        return None
    return Cause("literal-deleted", "what looks like a marker was taken out of the text instead of staying text")


def refusal(case: Case, finding: Finding) -> Cause | None:
    """What the contract wants refused."""
    if "spelled" not in finding.facts:
        return None
    if case.error is None:
        return Cause("literal-accepted", "typed marker text is not looked for")
    return Cause("refusal-unclear", "typed marker text is refused, but the error does not say which marker")


# ---------------------------------------------------------------- unk and text instead of the marker


def unk(case: Case, finding: Finding) -> Cause | None:
    """There are as many unk too many as markers are missing."""
    token_id = case.subject.tokenizer.named_ids().get("unk")
    if token_id is None:
        return None
    missing = [role for role in _missing(case) if role != PLACEHOLDER]
    unks = case.ids.count(token_id)
    if case.bench.roles.get(token_id) == PLACEHOLDER:
        unks -= sum(many for role, many in case.expected.tokens if role == PLACEHOLDER)
    # Text of unknown characters is unk too, and no marker.
    unks -= sum(case.bench.texts.alone(piece.text)[0].count(token_id) for gap in case.expected.gaps for piece in gap)
    if missing and unks >= len(missing):
        return Cause("marker-became-unk", f"{plain(case.token_name(missing[0]))} came out as unk ({token_id})")
    return None


def as_text(case: Case, finding: Finding) -> Cause | None:
    """A token that is missing is spelled in the text, more often than somebody typed it."""
    missing = _missing(case)
    for role in dict.fromkeys(missing):
        token = case.subject.contract.markers[role]
        for ids, start in _spelled(case, token):
            pieces = case.subject.tokenizer.encode_text(token)
            instead = f"instead of as the one id {case.subject.marker_ids.get(role)}"
            merged = _merged(case, ids, start, start + len(token))
            if merged is not None:
                name = f"{plain(case.id_name(merged))} ({merged})"
                return Cause(
                    "marker-merged",
                    f"{plain(token)} was encoded as text and merged with its neighbour to {name}, {instead}",
                )
            return Cause("marker-as-text", f"{plain(token)} was encoded as text, in {len(pieces)} ids, {instead}")
    tag = case.subject.contract.literals.tag
    if tag and missing and any(True for _ in _spelled(case, tag)):
        return Cause(
            "tag-left-in-text", f"the data tag {plain(tag)} was never replaced by an image and stayed in the text"
        )
    return None


def _spelled(case: Case, token: str) -> Iterator[tuple[tuple[int, ...], int]]:
    """The gaps whose text spells a token, with its place there; none where it was typed as often."""
    gaps = [case.found.gap(index) for index in range(len(case.found.tokens) + 1)]
    texts = [case.bench.texts.decode(ids) if ids else "" for ids in gaps]
    typed = sum(piece.text.count(token) for gap in case.expected.gaps for piece in gap)
    if sum(text.count(token) for text in texts) > typed:
        yield from ((ids, text.find(token)) for ids, text in zip(gaps, texts, strict=True) if token in text)


def _merged(case: Case, ids: Sequence[int], start: int, end: int) -> int | None:
    """The id that holds an edge of a text and more than it: of what stands before or behind."""
    lengths = [0, *(len(case.bench.texts.decode(tuple(ids[: k + 1]))) for k in range(len(ids)))]
    for edge in (start, end):
        if edge not in lengths:
            return next((ids[k] for k in range(len(ids)) if lengths[k] < edge < lengths[k + 1]), None)
    return None


# ---------------------------------------------------------------- missing, surplus, mistaken


def _missing(case: Case) -> list[str]:
    """Roles of expected tokens that were not found, once for each."""
    found = [role for role, _ in case.found.tokens]
    missing = []
    for role, _ in case.expected.tokens:
        if role in found:
            found.remove(role)
        else:
            missing.append(role)
    return missing


def markers(case: Case, finding: Finding) -> Iterator[Fit]:
    """Tokens that are there or not there with all others right."""
    fits = [*_one_role(case)]
    for explain, rank in ((_other_role, 0), (_whole_images, 0), (_runs, 1), (_misplaced, 1)):
        cause = explain(case)
        if cause is not None:
            fits.insert(0, Fit(cause, partial(_says, explain, cause.name), rank))
    yield from fits
    if fits and not _text_is_there(case):  # then there is more to it than tokens
        yield Fit(UNKNOWN, lambda _: True, rank=2)


def _text_is_there(case: Case) -> bool:
    """Whether the text is all there, divided by tokens or not; but for blanks, where the tokenizer adds some."""
    ids = [case.found.gap(index) for index in range(len(case.found.tokens) + 1)]
    got = "".join(case.bench.texts.decode(gap) for gap in ids if gap)
    wanted = "".join(piece.text for gap in case.expected.gaps for piece in gap)
    return "".join(got.split()) == "".join(wanted.split()) if case.subject.facts.dummy_prefix else got == wanted


def _says(explain: Callable[[Case], Cause | None], name: str, case: Case) -> bool:
    cause = explain(case)
    return cause is not None and cause.name == name


def _whole_images(case: Case) -> Cause | None:
    """Blocks that are missing or stand twice."""
    tokens, owners = case.expected.tokens, case.expected.owners
    if tokens and not case.found.tokens:  # of a single image it cannot be told whether others would be there
        return Cause("images-dropped", "no image is in the ids at all, as if none had been given")
    for image in dict.fromkeys(owner for owner in owners if owner is not None):
        block = [index for index, owner in enumerate(owners) if owner == image]
        if case.found.tokens == [token for index, token in enumerate(tokens) if index not in block]:
            return Cause("image-dropped", f"image {image} is not in the ids at all, as if it had not been given")
        again = tokens[: block[-1] + 1] + tokens[block[0] : block[-1] + 1] + tokens[block[-1] + 1 :]
        if case.found.tokens == again:
            return Cause("image-doubled", f"image {image} stands twice, as when two places insert it")
    if tokens and Counter(case.found.tokens) == Counter({token: 2 * n for token, n in Counter(tokens).items()}):
        return Cause("image-doubled", "every image stands twice, as when two places insert it")
    dropped = _dropped(case)
    if dropped:
        names = ", ".join(map(str, dropped))
        return Cause("image-dropped", f"images {names} are not in the ids at all, as if they had not been given")
    return None


def _dropped(case: Case) -> tuple[int, ...] | None:
    """Some images, but not all, without whose blocks the tokens are those found."""
    tokens, owners = case.expected.tokens, case.expected.owners
    images = sorted({owner for owner in owners if owner is not None})
    if len(images) > _MOST_IMAGES:
        return None
    for count in range(2, len(images)):
        for gone in combinations(images, count):
            if case.found.tokens == [token for token, owner in zip(tokens, owners, strict=True) if owner not in gone]:
                return gone
    return None


_MOST_IMAGES = 6
"""Of more, which are gone is not looked for: there are too many ways."""


def _runs(case: Case) -> Cause | None:
    """Whole runs of placeholders are missing; all markers are right."""
    found, tokens = case.found.tokens, case.expected.tokens
    if found and _left_out(tokens, found, (PLACEHOLDER,)):
        return SPAN_EMPTY
    if len(found) < len(tokens) and _run_together(found) == _run_together(tokens):
        return Cause("text-lost", "the text between two images is missing, so their placeholders are one run")
    return None


SPAN_EMPTY = Cause("span-empty", "the markers of an image stand there, its placeholders do not")


def _run_together(tokens: Sequence[Token]) -> list[Token]:
    """The tokens as if nothing stood between runs of placeholders."""
    together: list[Token] = []
    for role, count in tokens:
        if role == PLACEHOLDER and together and together[-1][0] == role:
            count += together.pop()[1]
        together.append((role, count))
    return together


def _misplaced(case: Case) -> Cause | None:
    """All tokens are there, each as often as it should be, but one stands elsewhere."""
    found, tokens = case.found.tokens, case.expected.tokens
    if found == tokens or Counter(found) != Counter(tokens):
        return None
    at = next(index for index, token in enumerate(tokens) if found[index] != token)
    owner = case.expected.owners[at]
    where = "" if owner is None else f" at image {owner}"
    return Cause(
        "marker-misplaced", f"all tokens are there, but {plain(case.token_name(found[at][0]))} stands too early{where}"
    )


def _one_role(case: Case) -> Iterator[Fit]:
    """Markers of one role, or of one pair, are missing, or there are too many; all other tokens are right.

    Whether all or some of them are is one cause: on a single image that cannot be told.
    """
    found, tokens = case.found.tokens, case.expected.tokens
    for roles in _roles_and_pairs(case, tokens):
        missing = _left_out(tokens, found, roles)
        if missing:
            every = len(missing) == sum(role in roles for role, _ in tokens)
            names = " and ".join(plain(case.token_name(role)) for role in roles)
            many = len(roles) > 1
            where = "never written" if every else f"missing at image {case.expected.owners[missing[0]]}"
            sentence = f"{names} {'are' if many else 'is'} {where}; all other tokens are there"
            yield Fit(Cause("marker-lost", sentence), partial(_lost, roles))
            break
    for roles in _roles_and_pairs(case, found):
        surplus = _left_out(found, tokens, roles)
        if surplus:
            names = " and ".join(plain(case.token_name(role)) for role in roles)
            if 2 * len(surplus) == sum(role in roles for role, _ in found):
                sentence = f"every {names} is written twice, as when two places wrap an image"
            else:
                sentence = f"there {are(len(surplus), names)} too many, at {case.found.starts[surplus[0]]}"
            yield Fit(Cause("marker-surplus", sentence), partial(_surplus, roles))
            break


def _lost(roles: tuple[str, ...], case: Case) -> bool:
    return _without(case.expected.tokens, case.found.tokens, roles)


def _surplus(roles: tuple[str, ...], case: Case) -> bool:
    return _without(case.found.tokens, case.expected.tokens, roles)


def _without(longer: list[Token], shorter: list[Token], roles: tuple[str, ...]) -> bool:
    """Whether some tokens of these roles are left out and nothing else; all is right only where there are none."""
    gone = _left_out(longer, shorter, roles)
    return gone is not None and (bool(gone) or not any(role in roles for role, _ in longer))


def _roles_and_pairs(case: Case, tokens: list[Token]) -> Iterator[tuple[str, ...]]:
    """The roles of markers in tokens one by one, then the open and close of each kind together."""
    roles = dict.fromkeys(role for role, _ in tokens if role != PLACEHOLDER)
    yield from ((role,) for role in roles)
    yield from ((pair.open, pair.close) for pair in case.bench.oracle.pairs if {pair.open, pair.close} <= {*roles})


def _left_out(longer: list[Token], shorter: list[Token], roles: tuple[str, ...]) -> list[int] | None:
    """The tokens of these roles without which ``longer`` is ``shorter``; runs that then touch are one run there."""
    gone: list[int] = []
    at = rest = 0  # rest: how much of a run of ``shorter`` is still to come
    for index, (role, count) in enumerate(longer):
        if rest:
            if role == PLACEHOLDER and count <= rest:
                rest -= count
                at += rest == 0
            elif role in roles:
                gone.append(index)
            else:
                return None
        elif at < len(shorter) and shorter[at] == (role, count):
            at += 1
        elif at < len(shorter) and role == shorter[at][0] == PLACEHOLDER and count < shorter[at][1]:
            rest = shorter[at][1] - count
        elif role in roles:
            gone.append(index)
        else:
            return None
    return gone if at == len(shorter) and not rest else None


def _other_role(case: Case) -> Cause | None:
    """Markers stand where others belong."""
    found, tokens = case.found.tokens, case.expected.tokens
    if [(_mirror(role), count) for role, count in found] == tokens:
        return Cause("markers-swapped", "open and close markers are swapped")
    if len(found) != len(tokens):
        return None
    taken = {(wanted[0], got[0]) for wanted, got in zip(tokens, found, strict=True) if wanted != got}
    if not taken or any(PLACEHOLDER in pair for pair in taken):
        return None
    (wanted, got), *others = sorted(taken)
    names = plain(case.token_name(wanted)), plain(case.token_name(got))
    if not others:
        return Cause("marker-mistaken", f"{names[1]} stands where {names[0]} belongs; all other tokens are right")
    if others == [(got, wanted)]:
        return Cause("markers-swapped", f"{names[0]} and {names[1]} are swapped")
    return None


def _mirror(role: str) -> str:
    return role.replace("open", "\0").replace("close", "open").replace("\0", "close")
