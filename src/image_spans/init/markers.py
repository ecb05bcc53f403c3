"""Which token plays which role for images: what the checkpoint names, else what the names of tokens say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from image_spans.init import names
from image_spans.init.entry import Todo
from image_spans.init.places import Row

Named = Mapping[str, tuple[str, str]]
"""Role to the token that the files name, and where."""


@dataclass
class Markers:
    """Keys of the contract's ``images`` and ``slices`` as far as tokens show them, with the evidence of each."""

    images: dict[str, Any] = field(default_factory=dict)
    slices: dict[str, Any] | None = None
    notes: dict[tuple[str, ...], str] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    """Tokens whose names speak of images, without a role here."""

    def used(self) -> list[str]:
        """The tokens with a role of their own; those of somebody's own grammar stand under ``markers``."""
        found = [self.images.get(key) for key in ("open", "close", "placeholder", "row_break")]
        found += (self.images.get("number") or {}).values()
        found += [(self.slices or {}).get(key) for key in ("open", "close", "tile_break", "row_break", "overview_open")]
        return [one for one in found if isinstance(one, str) and not isinstance(one, Todo)]


class _Vocabulary:
    """Tokens by their names as the tables have them."""

    def __init__(self, tokens: Mapping[str, int]) -> None:
        self.ids = tokens
        self._folded: dict[str, str] = {}
        for token in tokens:
            self._folded.setdefault(names.fold(token), token)

    def get(self, name: str) -> str | None:
        return self._folded.get(name)

    def first(self, wanted: Iterable[str]) -> str | None:
        return next((token for name in wanted if (token := self.get(name)) is not None), None)


def find(tokens: Mapping[str, int], named: Named, row: Row | None) -> Markers:
    """The roles of tokens.

    Args:
        tokens: all that are no ordinary text, to their ids.
        named: what the checkpoint's files name.
        row: the rule that they name, which knows how placeholders are laid out.
    """
    vocabulary = _Vocabulary(tokens)
    found = Markers()
    if row is not None and row.placeholder is not None and (token := vocabulary.get(row.placeholder)) is not None:
        named = {**named, "placeholder": (token, "what the processor puts in for each image")}
    own = vocabulary.first(names.OWN)
    if own is not None or (row is not None and row.grammar == "own"):
        _own(found, vocabulary, named, own, row)
    elif not _rows(found, vocabulary, named, row) and not _paired(found, vocabulary, named, row):
        _run(found, vocabulary, named)
    _slices(found, vocabulary, named, row)
    placed = {*found.used(), *found.images.get("markers", {}).values()}
    found.unread = [token for token in tokens if token not in placed and names.looks_visual(token)]
    return found


def _own(found: Markers, vocabulary: _Vocabulary, named: Named, own: str | None, row: Row | None) -> None:
    """The tokens of a form that no grammar here has: how they stand together is for the user to write."""
    why = names.OWN[names.fold(own)] if own is not None else "as this image processor needs"
    pair = _pair(vocabulary, named)
    round_it = "" if pair is None else f"; {pair.open} and {pair.close} stand round an image"
    question = f"module:function, a grammar of one's own, such as examples/idefics3.py: {why}{round_it}"
    token, evidence = _placeholder(vocabulary, named, pair)
    found.images |= {"grammar": Todo(question), "placeholder": token}
    found.notes["images", "placeholder"] = evidence
    tiles = {match[1]: token for token in vocabulary.ids if (match := names.IDEFICS_TILE.fullmatch(token)) is not None}
    if tiles or (row is not None and row.rule == "idefics3"):
        whole = {role: one for role, name in names.IDEFICS.items() if (one := vocabulary.get(name)) is not None}
        found.images["markers"] = whole | tiles
        found.notes["images", "markers"] = "roles as examples/idefics3.py calls them"


def _rows(found: Markers, vocabulary: _Vocabulary, named: Named, row: Row | None) -> bool:
    """A break token between rows and one that ends the last."""
    if row is not None and row.grammar != "rows":
        return False
    by_name = tuple(map(vocabulary.get, names.ROWS))
    by_file = tuple(named.get(role) for role in ("placeholder", "row_break", "close"))
    if all(by_file):
        placeholder, row_break, close = [one[0] for one in by_file if one is not None]
        evidence = ", ".join(one[1] for one in by_file if one is not None)
    elif all(by_name):
        placeholder, row_break, close = [one for one in by_name if one is not None]
        evidence = "by their names: rows with a break between them, as Pixtral has"
    else:
        return False
    found.images |= {"grammar": "rows", "placeholder": placeholder, "row_break": row_break, "close": close}
    found.notes["images", "grammar"] = evidence
    return True


@dataclass(frozen=True)
class _Pair:
    open: str
    close: str
    placeholders: tuple[str, ...]
    evidence: str


def _pair(vocabulary: _Vocabulary, named: Named) -> _Pair | None:
    """The tokens round an image: those that are named, else of those whose names pair the ones that were added last.

    A base vocabulary often brings markers that nothing uses (Qwen2.5 those of Qwen2-VL); a model's own come behind it.
    """
    if "open" in named and "close" in named:
        (opens, where), (closes, elsewhere) = named["open"], named["close"]
        row = next((one for one in names.PAIRS if one.open == names.fold(opens)), None)
        return _Pair(opens, closes, row.placeholders if row else (), f"{where}, {elsewhere}")
    found: list[_Pair] = []
    for one in names.PAIRS:
        opens_by_name, closes_by_name = vocabulary.get(one.open), vocabulary.get(one.close)
        if opens_by_name is not None and closes_by_name is not None:
            found.append(_Pair(opens_by_name, closes_by_name, one.placeholders, "by their names"))
    if "placeholder" in named:
        # What stands round another placeholder is of another model.
        found = [one for one in found if names.fold(named["placeholder"][0]) in one.placeholders]
    found.sort(key=lambda one: vocabulary.ids[one.open])
    if len(found) > 1:
        last = found[-1]
        others = ", ".join(one.open for one in found[:-1])
        return _Pair(last.open, last.close, last.placeholders, f"by their names; added behind {others}")
    return found[0] if found else None


def _paired(found: Markers, vocabulary: _Vocabulary, named: Named, row: Row | None) -> bool:
    pair = None if row is not None and row.grammar == "run" else _pair(vocabulary, named)
    if pair is None:
        return False
    token, evidence = _placeholder(vocabulary, named, pair)
    found.images |= {"open": pair.open, "close": pair.close, "placeholder": token}
    found.notes["images", "open"] = pair.evidence
    found.notes["images", "placeholder"] = evidence
    return True


def _placeholder(vocabulary: _Vocabulary, named: Named, pair: _Pair | None) -> tuple[str | Todo, str]:
    """The placeholder, and the evidence."""
    if "placeholder" in named:
        token, where = named["placeholder"]
        return token, where
    if pair is None:
        alone = vocabulary.first(names.PLACEHOLDERS)
        return (_WHICH, "") if alone is None else (alone, "by its name")
    candidates = [name for name in pair.placeholders if vocabulary.get(name) not in (None, pair.open, pair.close)]
    if candidates[:1] == [names.UNK] and vocabulary.get(names.SLICES[0]) is None:
        return Todo(
            f"the token that stands for one feature between {pair.open} and {pair.close}; is it {names.UNK}?"
        ), ""
    if candidates:
        evidence = f"as MiniCPM-V has it between {pair.open} and {pair.close}, beside {names.SLICES[0]}"
        return vocabulary.get(candidates[0]) or "", evidence if candidates[0] == names.UNK else "by its name"
    other = vocabulary.first(name for name in names.PLACEHOLDERS if vocabulary.get(name) not in (pair.open, pair.close))
    if other is not None:
        return Todo(f"the token that stands for one feature between {pair.open} and {pair.close}; is it {other}?"), ""
    return _WHICH, ""


_WHICH = Todo("the token that stands for one feature of an image")


def _run(found: Markers, vocabulary: _Vocabulary, named: Named) -> None:
    """A placeholder alone, or nothing at all."""
    token, evidence = _placeholder(vocabulary, named, None)
    if isinstance(token, Todo):
        found.images |= {
            "grammar": Todo("paired (tokens round an image), rows, run (placeholders alone) or module:function"),
            "placeholder": token,
        }
        found.notes["images",] = "no token is named like a marker of images; tokenizer.add_special_tokens adds some"
        return
    found.images |= {"grammar": "run", "placeholder": token}
    found.notes["images", "grammar"] = "no token is known to stand round it"
    found.notes["images", "placeholder"] = evidence


def _slices(found: Markers, vocabulary: _Vocabulary, named: Named, row: Row | None) -> None:
    """Tokens of slices and of image numbers, inside the grammar paired."""
    if found.images.get("grammar", "paired") != "paired":
        return
    number = _both(vocabulary, named, "number", names.NUMBER)
    if number is not None:
        found.images["number"] = {"open": number[0], "close": number[1]}
        found.notes["images", "number"] = "by their names; when: always unless stated"
    pair = _both(vocabulary, named, "slice", names.SLICES)
    breaks = {key: vocabulary.get(name) for key, name in names.TILE_BREAKS.items()}
    if pair is not None:
        grammar = (
            "flat" if number is not None else Todo("flat (after the image's own span) or nested (round all slices)")
        )
        found.slices = {"grammar": grammar, "open": pair[0], "close": pair[1]}
        if number is not None:
            found.notes["slices", "grammar"] = "models that number their images have their slices flat"
    elif all(breaks.values()):
        found.slices = {"grammar": "same_span", **breaks, "overview": "last", "rule": "llama4"}
        found.notes["slices", "rule"] = "separators of tiles are Llama 4's"
    elif names.fold(str(found.images["placeholder"])) == names.TILES_IN_ONE_SPAN:
        found.slices = {"grammar": "same_span", "overview": "last", "rule": "internvl"}
        found.notes["slices", "rule"] = f"{found.images['placeholder']} is InternVL's name"
    if found.slices is not None and "rule" not in found.slices:
        found.slices["rule"] = Todo("minicpm (equal slots in each slice), minicpm4_6 (by its form) or module:function")


def _both(vocabulary: _Vocabulary, named: Named, kind: str, pair: tuple[str, str]) -> tuple[str, str] | None:
    found = [
        named[f"{kind}_{side}"][0] if f"{kind}_{side}" in named else vocabulary.get(name)
        for side, name in zip(("open", "close"), pair, strict=True)
    ]
    opens, closes = found
    return (opens, closes) if opens is not None and closes is not None else None
