"""Whether the text between structural tokens is the text that was given.

What a tokenizer does to text anyway (normal forms, a dummy prefix, unknown characters) is not held
against a pipeline: a stretch of ids is compared with the text itself and with what the raw tokenizer
gives back for that text alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

from image_spans.oracles import Piece
from image_spans.subject import Subject

SHORT = 8
"""Ids of a stretch whose verdict is remembered."""
MOST_COMPARED = 32
"""Stretches of ids on which it is found out whether their texts are those of the ids one by one."""


class _Pieces(dict[int, str]):
    """From an id to its text, for those that are no part of a character; an id is decoded once."""

    def __init__(self, decode: Callable[[tuple[int, ...]], str]) -> None:
        self._decode = decode
        self._parts: set[int] = set()

    def __missing__(self, token_id: int) -> str:
        if token_id not in self._parts:
            text = self._decode((token_id,))
            if "\ufffd" not in text:
                self[token_id] = text
                return text
            self._parts.add(token_id)
        raise KeyError(token_id)


class Texts:
    """Compares stretches of ids with pieces of text for one subject; all look-ups are remembered."""

    def __init__(self, subject: Subject) -> None:
        self._tokenizer = subject.tokenizer
        self._facts = subject.facts
        structural = set(subject.marker_ids.values()) | {subject.facts.bos}
        self.specials: Mapping[int, str] = {
            token_id: token
            for token, token_id in subject.tokenizer.special_tokens().items()
            if token_id not in structural
        }
        self._special_ids = frozenset(self.specials)
        self._bos = subject.facts.bos
        self._unk = subject.tokenizer.named_ids().get("unk")
        self._decoded: dict[tuple[int, ...], str] = {}
        self._alone: dict[str, tuple[tuple[int, ...], str]] = {}
        # Without an anchor a blank in front is lost from each of them.
        self._pieces = _Pieces(self.decode) if subject.facts.anchor else None
        self._compared = 0
        self._short: dict[tuple[Any, ...], bool] = {}
        # Where typed markers are read as tokens, so are BOS, EOS and the template's: one call reads them all.
        self._interprets = subject.contract.literals.policy == "interpret"
        self._exact = subject.contract.template is not None

    def decode(self, ids: tuple[int, ...]) -> str:
        """The text of a stretch, with the blank in front that a bare decode may strip."""
        text = self._decoded.get(ids)
        if text is None:
            anchor = self._facts.anchor
            whole = self._tokenizer.decode([*anchor, *ids])
            lead = self._facts.anchor_text
            text = whole[len(lead) :] if whole.startswith(lead) else self._tokenizer.decode(list(ids))
            self._decoded[ids] = text
        return text

    def _joins(self, ids: tuple[int, ...], text: str) -> bool:
        """Whether the texts of the ids, one by one, are this text: a quick look that may miss some.

        Only where that was seen to be what decoding them together gives, on the first stretches that were compared.
        """
        if self._pieces is None:
            return False
        try:
            if "".join(map(self._pieces.__getitem__, ids)) != text:
                return False
        except KeyError:  # one of them is no text of its own
            return False
        if self._compared < MOST_COMPARED:
            self._compared += 1
            if self.decode(ids) != text:
                self._pieces = None
                return False
        return True

    def alone(self, text: str) -> tuple[tuple[int, ...], str]:
        """The ids of a text on its own, and what they decode to."""
        found = self._alone.get(text)
        if found is None:
            ids = tuple(self._tokenizer.encode_text(text))
            found = self._alone[text] = (ids, self.decode(ids))
        return found

    def survives(self, ids: tuple[int, ...], pieces: Sequence[Piece]) -> bool:
        """Whether a stretch of ids holds the pieces: exactly, or in order where no template is declared."""
        if self._exact:
            return self.is_exactly(ids, pieces)
        if not ids:
            texts = [text for piece in pieces for text in self._without_bos(piece)]
            return not any(text and self.alone(text)[0] for text in texts)
        return self._in_order(ids, pieces)

    def is_exactly(self, ids: tuple[int, ...], pieces: Sequence[Piece]) -> bool:
        """Whether a stretch of ids is the pieces and nothing else; special tokens only where we wrote them."""
        if not ids and not any(piece.text for piece in pieces):
            return True
        if len(ids) > SHORT:
            return self._is_exactly(ids, pieces)
        key = (ids, *pieces)  # a row break or a number stands there again and again
        if key not in self._short:
            self._short[key] = self._is_exactly(ids, pieces)
        return self._short[key]

    def _is_exactly(self, ids: tuple[int, ...], pieces: Sequence[Piece]) -> bool:
        stretches = self.stretches(ids, pieces)
        return stretches is not None and all(self._stretch(found, wanted) for found, wanted in stretches)

    def stretches(
        self, ids: tuple[int, ...], pieces: Sequence[Piece]
    ) -> list[tuple[tuple[int, ...], list[str]]] | None:
        """The ids between special tokens, each with the texts that belong there; None where other specials stand."""
        found, found_specials = self._divided(ids)
        wanted, wanted_specials = self._split(pieces)
        return list(zip(found, wanted, strict=True)) if found_specials == wanted_specials else None

    def _divided(self, ids: tuple[int, ...]) -> tuple[list[tuple[int, ...]], list[int]]:
        """Ids cut at special tokens, and those."""
        places = sorted(at for token_id in self._special_ids.intersection(ids) for at in _places(ids, token_id))
        edges = [-1, *places, len(ids)]
        return [ids[start + 1 : end] for start, end in pairwise(edges)], [ids[at] for at in places]

    def specials_of(self, pieces: Sequence[Piece]) -> list[int]:
        """The special tokens, BOS aside, that must stand among the ids of these pieces."""
        return self._split(pieces)[1]

    def _split(self, pieces: Sequence[Piece]) -> tuple[list[list[str]], list[int]]:
        """Pieces cut at the special tokens that stand in fixed text, and in typed text only where it is interpreted."""
        wanted: list[list[str]] = [[]]
        specials: list[int] = []
        ids = self._tokenizer.special_tokens()
        for piece in pieces:
            if piece.message is not None and not self._interprets:
                wanted[-1].append(piece.text)
                continue
            for part in self._special_text.split(piece.text):
                token_id = ids.get(part)
                if token_id is None or (token_id not in self.specials and token_id != self._bos):
                    wanted[-1].append(part)  # a marker that is no token where it is typed; the oracle takes the others
                elif token_id != self._bos:  # bos.placement judges it
                    specials.append(token_id)
                    wanted.append([])
        return wanted, specials

    @cached_property
    def _special_text(self) -> re.Pattern[str]:
        spelled = sorted(self._tokenizer.special_tokens(), key=len, reverse=True)
        return re.compile(f"({'|'.join(map(re.escape, spelled))})" if spelled else r"(?!)")

    def through_special(self, text: str) -> str:
        """A text to the end of the first special token that it spells; nothing where it spells none."""
        match = self._special_text.search(text)
        return text[: match.end()] if match else ""

    def _stretch(self, ids: tuple[int, ...], texts: Sequence[str]) -> bool:
        joined = "".join(texts)
        known = self._unk is None or self._unk not in ids
        if known and self._joins(ids, joined):
            return True
        decoded = self.decode(ids) if ids else ""
        if known:
            # The usual cases, without asking the tokenizer again.
            if decoded == joined:
                return True
            if self._facts.dummy_prefix and _follow(decoded, texts):
                return True
        whole, whole_text = self.alone(joined)
        if ids == whole or self._encoded_apart(ids, texts):
            return True
        if self._unk is not None:
            # Unknown characters that stand together may be one unk, and a word (WordPiece) that none of its parts is.
            least, most = sorted((whole.count(self._unk), sum(self.alone(t)[0].count(self._unk) for t in texts)))
            if not least <= ids.count(self._unk) <= most:
                return False
        if decoded == whole_text:
            return True
        return self._ends(decoded, texts, anywhere=False)

    def _encoded_apart(self, ids: tuple[int, ...], texts: Sequence[str]) -> bool:
        """Whether the ids are those of the texts encoded one by one, or some of them together.

        Where decoding writes more than the tokens say (WordPiece puts blanks between words and takes those before
        punctuation away), the texts of stretches do not add up to the text of the whole; their ids do.
        """
        ends: list[set[int]] = [{0}, *(set() for _ in texts)]
        for first in range(len(texts)):
            for last in range(first + 1, len(texts) + 1):
                stretch = self.alone("".join(texts[first:last]))[0]
                ends[last] |= {end + len(stretch) for end in ends[first] if ids[end : end + len(stretch)] == stretch}
        return len(ids) in ends[-1]

    def _in_order(self, ids: tuple[int, ...], pieces: Sequence[Piece]) -> bool:
        texts = [text for piece in pieces for text in self._without_bos(piece)]
        if self._unk is not None and self._unk in ids and not any(self._unk in self.alone(text)[0] for text in texts):
            return False
        return self._ends(self.decode(ids), texts, anywhere=True)

    def _without_bos(self, piece: Piece) -> Sequence[str]:
        """The text of a piece between the BOS that somebody typed: where it is read as BOS, its id is no text."""
        if self._bos is None or not self._interprets or piece.message is None:
            return (piece.text,)
        return piece.text.split(self._tokenizer.id_to_token(self._bos))

    def _ends(self, decoded: str, texts: Sequence[str], *, anywhere: bool) -> bool:
        """Whether the texts follow each other in ``decoded``, each in one of the forms that it may take.

        Neighbours may have been encoded together, so each run of texts may also stand as one.
        """
        ends: list[set[int]] = [{0}, *(set() for _ in texts)]  # ends[k]: where the first k texts may end
        for first in range(len(texts)):
            for last in range(first + 1, len(texts) + 1):
                for form in self.forms("".join(texts[first:last])):
                    for end in ends[first]:
                        if anywhere:
                            at = decoded.find(form, end)
                            if at >= 0:
                                ends[last].add(at + len(form))
                        elif decoded.startswith(form, end):
                            ends[last].add(end + len(form))
        return bool(ends[-1]) if anywhere else len(decoded) in ends[-1]

    def forms(self, text: str) -> set[str]:
        """The texts that may stand for ``text``: itself, what the raw tokenizer gives back, a dummy blank in front."""
        given_back = self.alone(text)[1]
        forms = {text, given_back}
        if self._facts.dummy_prefix:
            forms.add(" " + text)
            if _blanks_before(given_back) > _blanks_before(text):
                forms.add(given_back[1:])
        return forms


def _places(ids: tuple[int, ...], token_id: int) -> Iterator[int]:
    at = -1
    for _ in range(ids.count(token_id)):
        at = ids.index(token_id, at + 1)
        yield at


def _follow(decoded: str, texts: Sequence[str]) -> bool:
    """Whether the texts are all there is, each with at most one blank in front; a quick look that may miss some."""
    end = 0
    for text in texts:
        if not decoded.startswith(text, end):
            end += 1
            if decoded[end - 1 : end] != " " or not decoded.startswith(text, end):
                return False
        end += len(text)
    return end == len(decoded)


def _blanks_before(text: str) -> int:
    return len(text) - len(text.lstrip(" "))
