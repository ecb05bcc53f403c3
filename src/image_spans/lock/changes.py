"""From two records of a subject to what changed, in words: each cause one headline, what follows from it folded under.

A cause is one function of :data:`CAUSES`: it looks at what changed and says what it explains. What a change explains is
found by undoing it: an id that moved is put back, a BOS that came is taken away; if nothing else differs then, it
follows. What no cause explains has a headline of its own, so nothing is swallowed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

from image_spans.findings import first_difference
from image_spans.lock import written
from image_spans.lock.record import MADE_OF, Record

Path: TypeAlias = "tuple[str, ...]"
Differences: TypeAlias = "dict[Path, tuple[Any, Any]]"
ABSENT = None


@dataclass(frozen=True)
class Change:
    """One thing that changed, and what follows from it."""

    headline: str
    details: tuple[str, ...] = ()
    paths: tuple[Path, ...] = field(default=(), compare=False)
    """Where in the record it shows; :func:`at` reads there."""


@dataclass(frozen=True)
class Diff:
    """What is different in a subject."""

    changes: tuple[Change, ...] = ()
    """Of its behaviour."""
    made_of: tuple[str, ...] = ()
    """Of what it is made of: versions, digests, class."""

    @property
    def cosmetic(self) -> bool:
        """Whether only what it is made of is different."""
        return bool(self.made_of) and not self.changes


Explains: TypeAlias = Callable[[Path, Any, Any], bool]


@dataclass(frozen=True)
class Cause:
    """A change that others follow from."""

    headline: str
    explains: Explains


def diff(before: Record, after: Record) -> Diff:
    """What changed between two records of one subject."""
    found = dict(_differences(before, after))
    made_of = {path: pair for path, pair in found.items() if path[0] == MADE_OF}
    behaviour = {path: pair for path, pair in found.items() if path[0] != MADE_OF}
    return Diff(tuple(_changes(before, after, behaviour)), tuple(_made_of(made_of)))


def _changes(before: Record, after: Record, found: Differences) -> Iterator[Change]:
    if not found:
        return
    causes = [cause for look in CAUSES for cause in look(before, after, found)]
    taken: dict[Path, Cause | None] = {}
    for path, (old, new) in found.items():
        taken[path] = next((cause for cause in causes if cause.explains(path, old, new)), None)
    _join(causes, found, taken)
    inner = []
    for cause in causes:
        paths = tuple(path for path, owner in taken.items() if owner is cause)
        if paths:
            inner.append(Change(cause.headline, tuple(_detail(path, *found[path]) for path in paths), paths))
    left = {path: found[path] for path, owner in taken.items() if owner is None}
    inner += [
        _unexplained(section, {path: pair for path, pair in left.items() if path[0] == section})
        for section in dict.fromkeys(path[0] for path in left)
    ]
    loader = _loader(before, after)
    if loader is None:
        yield from inner
    else:
        lines = [line for change in inner for line in (change.headline, *(f"  {one}" for one in change.details))]
        yield Change(loader, tuple(lines), tuple(found))


def _join(causes: Sequence[Cause], found: Differences, taken: dict[Path, Cause | None]) -> None:
    """What several causes explain only together goes to the first of them that it has to do with."""
    undo = [cause for cause in causes if isinstance(cause, Undone)]
    for path, owner in taken.items():
        if owner is None and len(undo) > 1:
            old, new = found[path]
            for cause in undo:
                old, new = cause.undo(old), cause.undo(new)
            if old == new:
                taken[path] = undo[0]


# ---------------------------------------------------------------- the differences themselves


def _differences(before: Any, after: Any, path: Path = ()) -> Iterator[tuple[Path, tuple[Any, Any]]]:
    """The smallest parts that differ; ids with their tokens are one part."""
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict) and not {"ids", "tokens"} & {*before, *after}:
        for key in sorted({*before, *after}):
            yield from _differences(before.get(key, ABSENT), after.get(key, ABSENT), (*path, key))
    else:
        yield path, (before, after)


def at(record: Record, path: Path) -> Any:
    """What stands at a path; None where nothing does."""
    value: Any = record
    for key in path:
        value = value.get(key, ABSENT) if isinstance(value, dict) else ABSENT
    return value


def _detail(path: Path, old: Any, new: Any) -> str:
    return f"{': '.join(map(written.printable, path))}: {_between(old, new)}"


def _between(old: Any, new: Any) -> str:
    """Before and after in one line; of ids, where they first differ."""
    if _is_line(old) and _is_line(new) and old["ids"] != new["ids"]:
        return f"{_around(old, new)}, was {_around(new, old)}"
    if _is_line(old) and _is_line(new):
        old, new = ({k: v for k, v in one.items() if other.get(k) != v} for one, other in ((old, new), (new, old)))
    return f"{_value(new)}, was {_value(old)}"


def _is_line(value: Any) -> bool:
    return isinstance(value, dict) and "ids" in value


def _around(other: Mapping[str, str], line: Mapping[str, str], reach: int = 3) -> str:
    """The tokens of a line round the first that differs from another's, with the id of that one."""
    ids, names = line["ids"].split(), line["tokens"].split(" ")
    if not ids:
        return "[nothing]"
    at = first_difference(ids, other["ids"].split())
    if at >= len(ids):
        return f"[{' '.join(['...', *names[-reach:]])}, and nothing more]"
    before = (["..."] if at > reach else []) + names[max(0, at - reach) : at]
    behind = names[at + 1 : at + 1 + reach] + (["..."] if at + 1 + reach < len(names) else [])
    return f"[{' '.join([*before, f'{names[at]} ({ids[at]})', *behind])}]"


def _value(value: Any) -> str:
    if value is ABSENT:
        return "nothing"
    if _is_line(value):
        return f"[{value['tokens']}]"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_value(one)}" for key, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(_value, value)) or "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return written.printable(str(value))


# ---------------------------------------------------------------- causes


@dataclass(frozen=True)
class Undone(Cause):
    """A cause whose consequences are what does not differ once it is undone on both sides."""

    undo: Callable[[Any], Any] = field(default=lambda value: value, compare=False)


def _undone(headline: str, undo: Callable[[Any], Any], also: Explains) -> Undone:
    def explains(path: Path, old: Any, new: Any) -> bool:
        return also(path, old, new) or undo(old) == undo(new)

    return Undone(headline, explains, undo=undo)


def _tokens(record: Record) -> dict[str, int]:
    """Every token that the record knows by name."""
    special = record.get("special tokens")
    found = written.members(special) if isinstance(special, dict) else {}
    markers = record.get("markers", {}).values()
    return {**{one["token"]: one["id"] for one in markers if one["id"] is not None}, **found}


def moved(before: Record, after: Record, found: Differences) -> Iterator[Cause]:
    """Tokens that have another id."""
    old, new = _tokens(before), _tokens(after)
    other = {token: (old[token], new[token]) for token in old if token in new and old[token] != new[token]}
    if not other:
        return
    named = [f"{token} is {there}, was {here}" for token, (here, there) in other.items()]
    headline = "; ".join(named[:3]) + (f"; so are {len(named) - 3} more tokens" if len(named) > 3 else "")
    back = {there: f"={token}" for token, (_, there) in other.items()}
    from_old = {here: f"={token}" for token, (here, _) in other.items()}

    def also(path: Path, was: Any, now: Any) -> bool:
        if path[0] in ("vocabulary", "special tokens"):
            return True
        if path[0] in ("named ids", "plain call") and isinstance(was, (str, list)) and isinstance(now, (str, list)):
            return bool(_swapped(was, from_old) == _swapped(now, back))
        if path[0] == "markers" and path[-1] == "id":
            return True
        return bool(_is_line(was) and _is_line(now) and _named(was, from_old) == _named(now, back))

    yield Cause(headline, also)


def _swapped(value: Any, names: Mapping[int, str]) -> Any:
    if isinstance(value, list):
        return [_swapped(one, names) for one in value]
    number, blank, rest = value.partition(" ")
    return names.get(int(number), number) + blank + rest if number.isdigit() else value


def _named(line: Mapping[str, Any], names: Mapping[int, str]) -> Any:
    """A line with other words for these ids, and without what only repeats them."""
    ids = [names.get(token_id, token_id) for token_id in written.read_ids(line["ids"])]
    rest = {key: value for key, value in line.items() if key not in ("ids", "tokens", "labels")}
    labels = [names.get(i, i) for i in written.read_ids(line["labels"])] if "labels" in line else None
    return ids, labels, rest


def renamed(before: Record, after: Record, found: Differences) -> Iterator[Cause]:
    """Tokens whose id has another name."""
    old, new = _tokens(before), _tokens(after)
    gone = {token_id: token for token, token_id in old.items() if token not in new}
    came = {token_id: token for token, token_id in new.items() if token not in old}
    for token_id in sorted(gone.keys() & came.keys()):
        was, now = gone[token_id], came[token_id]
        yield Cause(f"{was} ({token_id}) is now called {now}", partial(_has_to_do_with, (was, now)))


def dropped_or_added(before: Record, after: Record, found: Differences) -> Iterator[Cause]:
    """Tokens that are there no more, and new ones."""
    old, new = _tokens(before), _tokens(after)
    ids_before, ids_after = set(old.values()), set(new.values())
    gone = [token for token in old if token not in new and old[token] not in ids_after]
    came = [token for token in new if token not in old and new[token] not in ids_before]
    for tokens, ids, words in ((gone, old, "no token any more (was {})"), (came, new, "a new token ({})")):
        if tokens:
            listed = [f"{token} is {words.format(ids[token])}" for token in tokens[:3]]
            more = f"; so are {len(tokens) - 3} more" if len(tokens) > 3 else ""
            yield Cause("; ".join(listed) + more, partial(_has_to_do_with, tokens))


def _has_to_do_with(tokens: Sequence[str], path: Path, old: Any, new: Any) -> bool:
    """Whether a difference is about these tokens: it names them, or is about the vocabulary as a whole."""
    if path[0] in ("vocabulary", "special tokens", "saved and loaded again"):
        return True
    names = {written.name(token) for token in tokens}
    if path[0] == "markers":
        return True if len(path) < 3 else _mentions(names, (old, new)) or path[2] in ("id", "kind", "token")
    return _mentions(names, (old, new, path))


def _mentions(names: set[str], value: Any) -> bool:
    if isinstance(value, dict):
        return _mentions(names, tuple(value.values()))
    if isinstance(value, (list, tuple)):
        return any(_mentions(names, one) for one in value)
    return isinstance(value, str) and any(name in value for name in names)


def names(before: Record, after: Record, found: Differences) -> Iterator[Cause]:
    """What the library calls BOS, EOS, unk or padding."""
    for path, (old, new) in found.items():
        if path[0] == "named ids" and len(path) > 1:
            name = path[1]
            also = ("padded batch",) if name == "pad" else ()
            yield Cause(
                f"the library's {name} is {_named_one(new)}, was {_named_one(old)}",
                lambda path, *_, name=name, also=also: path == ("named ids", name) or path[0] in also,
            )


def _named_one(value: str | None) -> str:
    return _added([value] if value else [])


def ends(before: Record, after: Record, found: Differences) -> Iterator[Cause]:
    """BOS or EOS that the plain call adds, or adds no more."""
    for key, where in (("adds in front", "in front of"), ("adds behind", "behind")):
        pair = found.get(("plain call", key))
        if pair is None or not all(isinstance(one, list) for one in pair):
            continue
        old, new = pair
        changed = set(map(_id_of, old)) ^ set(map(_id_of, new))
        if not changed:
            continue
        headline = f"the plain call puts {_added(new)} {where} a text, before {_added(old)}"
        yield _undone(headline, partial(_without, changed), partial(_is_about_ends, key))


def _id_of(token: str) -> int:
    return int(token.partition(" ")[0])


def _added(tokens: Sequence[str]) -> str:
    named = [f"{name} ({token_id})" for token_id, _, name in (one.partition(" ") for one in tokens)]
    return " and ".join(named) or "nothing"


def _is_about_ends(key: str, path: Path, old: Any, new: Any) -> bool:
    return path in (("plain call", key), ("plain call", "of an empty text")) or path[0] == "decoded"


def _without(ids: set[int], value: Any) -> Any:
    """A line without these ids, and without what is counted from the start of it."""
    if not _is_line(value):
        return value
    kept = [token_id for token_id in written.read_ids(value["ids"]) if token_id not in ids]
    return kept, value.get("features"), value.get("comes back as")


def renumbered(before: Record, after: Record, found: Differences) -> Iterator[Cause]:
    """Ordinary tokens that have other ids, as where a new token stands in front of them."""
    for path, (old, new) in found.items():
        if path[0] == "texts" and _same_tokens(path, old, new):
            at = first_difference(old["ids"].split(), new["ids"].split())
            token, was, now = (line.split(" ")[at] for line in (new["tokens"], old["ids"], new["ids"]))
            yield Cause(f"ordinary tokens have other ids, such as {token}: {now}, was {was}", _same_tokens)
            return


def _same_tokens(path: Path, old: Any, new: Any) -> bool:
    return bool(_is_line(old) and _is_line(new) and old["tokens"] == new["tokens"] and old["ids"] != new["ids"])


def blank_in_front(before: Record, after: Record, found: Differences) -> Iterator[Cause]:
    """The dummy prefix."""
    pair = found.get(("plain call", "blank in front of text"))
    if pair is not None:
        said = "now gets" if pair[1] else "no longer gets"
        yield _undone(
            f"text {said} a blank in front (dummy prefix)",
            _without_blanks,
            _is_about_blanks,
        )


def _is_about_blanks(path: Path, old: Any, new: Any) -> bool:
    if path[0] == "markers" and path[2].startswith("spelled"):
        # Whether a blank comes behind a marker too is told by what stands there: the marker itself is read as ever.
        return not any(_mentions({"text"}, one) for one in (old, new))
    return path[:2] == ("plain call", "blank in front of text") or path[0] == "decoded"


def _without_blanks(value: Any) -> Any:
    """What a line says if blanks do not count; what is counted in tokens is left out."""
    if isinstance(value, dict) and "tokens" in value:
        return "".join(value["tokens"].split()).translate(_BLANKS), value.get("features")
    return value.translate(_BLANKS) if isinstance(value, str) else value


_BLANKS = {ord(blank): None for blank in " \u2423\u2581\u0120"}


def spellings(before: Record, after: Record, found: Differences) -> Iterator[Cause]:
    """Markers that are read differently where they are spelled; those to which the same happened together."""
    for where in ("spelled in markup", "spelled in text"):
        alike: dict[str, list[str]] = {}
        for role in after["markers"]:
            changed = [path for path in found if path[:3] == ("markers", role, where)]
            if changed:
                blank = _has_blank_behind(before, role, where), _has_blank_behind(after, role, where)
                contexts = [path[3] for path in changed if len(path) > 3]
                if blank in ((True, False), (False, True)):
                    said = (
                        f"text right behind {{}}, {where}, {'now' if blank[1] else 'no longer'} gets a blank in front"
                    )
                else:
                    said = f"{{}}, {where}{' ' * bool(contexts)}{', '.join(contexts)}, {{verb}} read differently"
                alike.setdefault(said, []).append(role)
        for said, roles in alike.items():
            tokens = list(dict.fromkeys(after["markers"][role]["token"] for role in roles))
            named = ", ".join(tokens[:3]) + (f" and {len(tokens) - 3} more" if len(tokens) > 3 else "")
            own = {("markers", role, where) for role in roles}
            headline = said.format(named, verb="are" if len(tokens) > 1 else "is")
            yield Cause(headline, lambda path, *_, own=own: path[:3] in own)


def _has_blank_behind(record: Record, role: str, where: str) -> bool | None:
    """Whether text that touches a marker has the blank in front that it has alone; None where that is not told."""
    marker = record["markers"].get(role, {})
    said = marker.get(where)
    if said == "its id":
        return bool(record["plain call"].get("blank in front of text"))
    line: Any = said.get("at the start") if isinstance(said, dict) else None
    names = line["tokens"].split(" ") if _is_line(line) else []
    if len(names) < 2 or names[0] != written.name(marker["token"]):
        return None
    return bool(names[1].translate(_BLANKS) != names[1])


def template(before: Record, after: Record, found: Differences) -> Iterator[Cause]:
    """The chat template, and the conversations of a pipeline that uses it."""
    if any(path[0] == "chat template" for path in found):
        yield Cause(
            "the chat template writes other text", lambda path, *_: path[0] in ("chat template", "conversations")
        )


def texts(before: Record, after: Record, found: Differences) -> Iterator[Cause]:
    """Ordinary text that is split in another way, also inside conversations whose markers stand as they stood."""
    different = [path for path in found if path[0] == "texts"]
    if not different:
        return
    markers = {one["id"] for record in (before, after) for one in record["markers"].values()}

    def structure(line: Mapping[str, str]) -> list[int]:
        return [token_id for token_id in written.read_ids(line["ids"]) if token_id in markers]

    def explains(path: Path, old: Any, new: Any) -> bool:
        if path[0] == "texts":
            return True
        if path[0] not in ("conversations", "markers") or not (_is_line(old) and _is_line(new)):
            return path[:2] in (("plain call", "normalises"), ("plain call", "protects text that spells markers"))
        return structure(old) == structure(new)

    total = len(before["texts"])
    yield Cause(f"{len(different)} of {total} texts are split differently", explains)


CAUSES: tuple[Callable[[Record, Record, Differences], Iterator[Cause]], ...] = (
    moved,
    ends,
    renamed,
    dropped_or_added,
    names,
    renumbered,
    blank_in_front,
    spellings,
    texts,
    template,
)
"""In the order in which they are believed."""


def _loader(before: Record, after: Record) -> str | None:
    """Another class of the same library loads the same file: everything else follows.

    Another version of the library may have renamed the class, which explains nothing by itself.
    """
    old, new = before[MADE_OF], after[MADE_OF]
    if old["class"] == new["class"] or any(old.get(key) != new.get(key) for key in ("sha256", "libraries")):
        return None
    return f"it is loaded as {new['class']}, before as {old['class']}"


_SAID = {
    "named ids": "the library names other ids",
    "special tokens": "other tokens are special",
    "markers": "markers are read differently",
    "plain call": "the plain call does something else",
    "decoded": "decoding gives something else",
    "returned": "calls return something else",
    "padded batch": "a batch is padded differently",
    "vocabulary": "the vocabulary is another",
    "saved and loaded again": "saving and loading does something else",
    "conversations": "conversations are written differently",
}


def _unexplained(section: str, found: Differences) -> Change:
    details = tuple(_detail(path, *pair) for path, pair in found.items())
    headline = _SAID.get(section, f"{section} is different")
    # One alone says what it is about.
    said = f"{headline} ({len(details)})" if len(details) > 1 else details[0]
    return Change(said, details, tuple(found))


def _made_of(found: Differences) -> Iterator[str]:
    for path, (old, new) in found.items():
        if path[-1] in ("sha256", "entry"):
            yield "the file has other content" if path[-1] == "sha256" else "its entry in the YAML is another"
        elif len(path) > 2:
            yield f"{path[-1]} {_value(new)}, was {_value(old)}"
        else:
            yield f"{path[-1]}: {_value(new)}, was {_value(old)}"
