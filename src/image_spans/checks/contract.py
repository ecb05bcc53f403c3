"""Prechecks: whether the vocabulary and the native call are what the contract says. No conversation is drawn."""

from __future__ import annotations

from image_spans.checks import Verdict, check
from image_spans.findings import Cause, Finding
from image_spans.oracles import PLACEHOLDER
from image_spans.subject import Subject

ORDINARY = ("hello", "Hello, world!", "the picture shows 42 cats", "a\nb", "x  y")
PROBES = (
    "",
    "a",
    "hello",
    " hello",
    "hello ",
    "\n",
    " ",
    "Hello, world!",
    "a\n\nb",
    "\u4f60\u597d",
    "\U0001f600",
    "0",
    "def f(x):\n    return x",
    "\u2581",
    "e\u0301",
)
LONG = "a picture of a cat and a dog\n" * 1500
"""More ids than any limit that is usually saved with a tokenizer."""
CONTEXTS = (
    ("alone", "", ""),
    ("glued to a word", "word", "word"),
    ("after a newline", "a\n", ""),
    ("before a newline", "", "\na"),
    ("after a blank", "a ", ""),
    ("after a bracket", "(", ")"),
)


@check("contract.tokens", family="once")
def tokens(subject: Subject) -> Verdict:
    """Every declared token is one id, distinct from every other role and from unk, bos, eos, pad (I4, I15)."""
    tokenizer, contract = subject.tokenizer, subject.contract
    named = tokenizer.named_ids()
    owners: dict[int, str] = {}
    for role, token in contract.markers.items():
        token_id = tokenizer.token_to_id(token)
        if token_id is None or (token_id == named.get("unk") and role != PLACEHOLDER):  # there it may be by choice
            collapsed = "" if token_id is None else f", it gives the id of unk ({token_id})"
            pieces = _pieces(subject, token)
            return _finding(
                subject,
                f"{role} {token!r} is not in the vocabulary{collapsed}; its text encodes to {pieces}",
                Cause(
                    "marker-missing", f"the vocabulary has no token {token!r}: every {role} would be lost or become unk"
                ),
            )
        if tokenizer.id_to_token(token_id) != token:
            return _finding(
                subject,
                f"{role} {token!r} has the id {token_id}, but that id is {tokenizer.id_to_token(token_id)!r}",
                Cause(
                    "marker-renamed", "look-up by text and by id disagree: an added token was not renamed or re-indexed"
                ),
            )
        if token_id in owners:
            return _finding(
                subject,
                f"{role} and {owners[token_id]} are both the id {token_id}",
                Cause("marker-shared", "two roles share one id, so spans cannot be told apart"),
            )
        for name in ("bos", "eos", "pad"):
            if named.get(name) == token_id:
                return _finding(
                    subject,
                    f"{role} {token!r} has the id of {name} ({token_id})",
                    Cause(
                        "marker-is-special",
                        f"{role} is {name}: padding, BOS or EOS and image tokens cannot be told apart",
                    ),
                )
        owners[token_id] = role
    for token, known in subject.known_ids.items():
        token_id = tokenizer.token_to_id(token)
        if token_id != known:
            return _finding(
                subject,
                f"{token!r} has the id {token_id}, known is {known}",
                Cause("id-changed", "this is not the vocabulary that the subject names, or its added tokens moved"),
            )
    for text in ORDINARY:
        ids = tokenizer.encode_text(text)
        if not any(character.isalnum() for character in tokenizer.decode(ids)):
            what = f"to {len(ids)} ids that decode to no letter" if ids else "to nothing"
            return _finding(
                subject,
                f"ordinary text {text!r} encodes {what}",
                Cause("tokenizer-empty", "the tokenizer loaded empty, or without its decoder"),
            )
    if subject.markers_as_text:
        return _as_text(subject)
    return None


def _as_text(subject: Subject) -> Verdict:
    """Where the pipeline puts markers in through text, each is one id in every context."""
    for role, token in subject.contract.markers.items():
        token_id = subject.marker_ids[role]
        beside = next((other for other in subject.contract.markers.values() if other != token), token)
        for where, before, after in (*CONTEXTS, ("beside another marker", beside, beside)):
            ids = subject.tokenizer.encode_markup(before + token + after)
            if ids.count(token_id) != 1 + (before + after).count(token):
                return _finding(
                    subject,
                    f"{role} {token!r} is not one id {where}: {_pieces(subject, before + token + after)}",
                    Cause(
                        "marker-not-atomic",
                        f"the tokenizer does not read {token!r} from text {where}; "
                        "if the pipeline inserts ids, declare markers: ids",
                    ),
                )
    return None


def _pieces(subject: Subject, text: str) -> str:
    names = [subject.tokenizer.id_to_token(token_id) for token_id in subject.tokenizer.encode_markup(text)]
    return " ".join(ascii(name)[1:-1] for name in names[:12]) or "nothing"


@check("contract.bos", family="once")
def bos(subject: Subject) -> Verdict:
    """What the native call adds (BOS, an extra first token, EOS) is the same on all texts (I6, I15)."""
    facts, tokenizer = subject.facts, subject.tokenizer
    if facts.bos is None and subject.contract.bos != "none":
        return _finding(
            subject,
            f"bos: {subject.contract.bos} is declared, but this tokenizer has no BOS",
            Cause("bos-undefined", "neither does the native call add a BOS nor does the library name one"),
            "contract.bos",
        )
    for text in (*PROBES, LONG):
        ids, bare = tuple(tokenizer.encode(text)), tuple(tokenizer.encode_markup(text))
        wanted = facts.prefix + bare + facts.suffix
        if ids == wanted:
            continue
        if text == LONG and len(ids) < len(wanted):
            return _finding(
                subject,
                f"of a text of {len(wanted)} ids the native call gives {len(ids)}",
                Cause("call-truncates", "the native call cuts a long text: a truncation was saved with the tokenizer"),
                "contract.bos",
            )
        shown = ascii(text) if text != LONG else "a long text"
        return _finding(
            subject,
            f"for {shown} the native call gives {_names(subject, ids)}, expected {_names(subject, wanted)}",
            Cause("bos-varies", "what the native call adds depends on the text, so nothing can be stripped by rule"),
            "contract.bos",
        )
    return None


def _names(subject: Subject, ids: tuple[int, ...]) -> str:
    return " ".join(ascii(subject.tokenizer.id_to_token(token_id))[1:-1] for token_id in ids[:8]) or "nothing"


def _finding(subject: Subject, message: str, cause: Cause, name: str = "contract.tokens") -> Finding:
    return Finding(name, message, subject.name, cause=cause)
