"""A YAML file that knows in which line everything stands, and says in plain words what is wrong with it.

Only plain data is read: no tags, no objects, keys are text and given once. Nothing here knows what the
file is about; :mod:`image_spans.config` does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeAlias, get_args

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_core.core_schema import ErrorType

from image_spans.errors import ConfigError, Undecided, nearest

KeyPath: TypeAlias = tuple[str | int, ...]

LARGEST_FILE = 1_000_000  # bytes; a file of subjects has a few thousand
MOST_VALUES = 20_000  # aliases counted as often as they are used
DEEPEST = 50
_LONGEST_TEXT = 350  # characters of a message
_LONGEST_WORD = 200
_LONGEST_NUMBER = 40  # characters; longer ones are hashes or identifiers that lack quotes


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where, and in plain words what, what was expected, and the remedy."""

    line: int
    path: KeyPath
    text: str


@dataclass
class Document:
    """The plain data of a YAML file, with the line of every key and list entry."""

    label: str
    """What messages call the file."""
    data: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unread: set[KeyPath] = field(default_factory=set)
    """What could not be read, and so must not be judged a second time."""
    todo: dict[tuple[int, int], Problem] = field(default_factory=dict)
    """Where (line and column) a value is still to be decided; an alias of it is the same one."""

    def line(self, path: KeyPath) -> int:
        """The line of the key (or of the nearest one above it)."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def add(self, path: KeyPath, text: str, key: str | None = None) -> None:
        """Note a problem of the value at ``path``; with ``key``, in the line of that key of it."""
        if not any(path[: len(bad)] == bad for bad in self.unread):
            self.problems.append(Problem(self.line(path if key is None else (*path, key)), path, text))

    def add_all(self, error: ValidationError) -> None:
        """Note what pydantic found in the data, in plain words."""
        for path, text, key in _plain(error.errors(include_url=False), self.data):
            self.add(path, text, key)

    def raise_problems(self) -> None:
        """Raise what is still TODO, all of it, else the first problem by line, if there is any.

        Raises:
            Undecided: a line for each value that is TODO; what else is wrong may follow from it, and is only counted.
            ConfigError: one line, which also says how many more there are.
        """
        if self.todo:
            open_ = [self.todo[place] for place in sorted(self.todo)]
            lines = [message(self.label, one.text, one.line, one.path, mark=" is still ") for one in open_]
            raise Undecided("\n".join(lines), others=sorted({one.text for one in self.problems}))
        if self.problems:
            first = min(self.problems, key=lambda problem: problem.line)
            more = len(set(self.problems)) - 1
            refuse(self.label, first.text + (f" (and {more} more)" if more else ""), first.line, first.path)


def message(label: str, text: str, line: int | None = None, path: KeyPath = (), mark: str = ": ") -> str:
    """``label:line: path: text``, on one line whatever ``text`` quotes; ``mark`` stands between path and text."""
    place = label if line is None else f"{label}:{line}"
    about = f"{dotted(path)}{mark}" if path else ""
    return " ".join(f"{place}: {about}{_brief(text)}".split())


def _brief(text: str) -> str:
    """A text of which nothing is longer than a line has room for, and which any terminal can show.

    It may quote what somebody wrote, or the words of a library: a name of a thousand letters, a whole vocabulary.
    """
    text = re.sub(rf"\S{{{_LONGEST_WORD + 1},}}", lambda match: f"{match[0][:57]}...", text)
    if len(text) > _LONGEST_TEXT:
        text = f"{text[: _LONGEST_TEXT - 100]} ... {text[-90:]}"
    return "".join(c if c.isprintable() or c.isspace() else repr(c)[1:-1] for c in text)


def refuse(label: str, text: str, line: int | None = None, path: KeyPath = ()) -> NoReturn:
    """Raise the :func:`message` as a ConfigError."""
    raise ConfigError(message(label, text, line, path)) from None


def dotted(path: KeyPath) -> str:
    """``subjects.minicpm-v.pipeline.returns[0]``"""
    shown = ""
    for key in path:
        if isinstance(key, int):
            shown += f"[{key}]"
        else:
            name = _short(key if key.isprintable() and key and " " not in key else repr(key))
            shown += f".{name}" if shown else name
    return shown


def read_document(path: Path, label: str) -> Document:
    """The document in a file; problems that leave the rest readable are collected in it.

    Raises:
        ConfigError: the file cannot be read, or is not YAML.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        refuse(label, "there is no such file")
    except IsADirectoryError:
        refuse(label, "is a folder; expected a YAML file")
    except OSError as error:
        refuse(label, f"cannot be read: {error.strerror}")
    if len(raw) > LARGEST_FILE:
        refuse(label, "is larger than 1 MB; expected a file that describes subjects")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        refuse(label, f"is not UTF-8 (byte 0x{raw[error.start]:02x}); save it as UTF-8", line)
    document = Document(label)
    node = _compose(text, label)
    if node is not None:
        document.data = _Reader(document).value(node, ())
    return document


def _compose(text: str, label: str) -> yaml.Node | None:
    try:
        loader = yaml.SafeLoader(text)
        return loader.get_single_node()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        refuse(label, f"not valid YAML: the character U+{ord(text[error.position]):04X} is not allowed", line)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        refuse(label, f"not valid YAML: {_syntax(error, line)}", line)
    except RecursionError:
        refuse(label, "is nested too deeply")


_SYNTAX = (
    (r"character '\\t' that cannot start", "a tab; expected spaces for indentation"),
    (r"character '(.+)' that cannot start", r"a text cannot begin with \1 here; put it in quotes"),
    (
        r"mapping values are not allowed",
        "':' is not allowed here; put the value in quotes, or add the ':' that is missing above",
    ),
    (r"could not find expected ':'", "a ':' is missing after the key before this line"),
    (r"expected <block end>", "the indentation does not fit the lines above"),
    (r"found another document", "a second document begins; expected one"),
    (r"undefined alias '(.+)'", r"the alias *\1 has no anchor &\1 above it"),
    (r"undefined tag handle '(.+)'", r"the tag \1 is not allowed; put a text that begins with ! in quotes"),
)


def _syntax(error: yaml.MarkedYAMLError, line: int) -> str:
    problem = error.problem or "it ends too early"
    for pattern, words in _SYNTAX:
        match = re.search(pattern, problem)
        if match:
            return match.expand(words)
    begun = error.context_mark.line + 1 if error.context_mark else line
    return problem + (f" ({error.context}, begun in line {begun})" if begun != line and error.context else "")


class _Reader:
    """Turns nodes into plain data, and notes what is not plain."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._constructor = yaml.constructor.SafeConstructor()
        self._count = 0
        self._depth = 0

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        self._count += 1
        line = node.start_mark.line + 1
        if self._count > MOST_VALUES:
            refuse(self._document.label, f"holds more than {MOST_VALUES} values, its aliases written out", line)
        if self._depth > DEEPEST:
            refuse(self._document.label, "is nested too deeply", line)
        self._depth += 1
        try:
            return self._value(node, path, line)
        finally:
            self._depth -= 1

    def _value(self, node: yaml.Node, path: KeyPath, line: int) -> Any:
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            return [self._at(item, (*path, index), item) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and node.tag in _SCALARS:
            return self._scalar(node, path)
        tag = node.tag.replace(_TAG, "!!")
        self._bad(path, line, f"the tag {_short(tag)} is not allowed; only plain YAML values are read")
        return None

    def _at(self, node: yaml.Node, path: KeyPath, place: yaml.Node) -> Any:
        self._document.lines[path] = place.start_mark.line + 1
        return self.value(node, path)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        own = [pair for pair in node.value if pair[0].tag != f"{_TAG}merge"]
        result = self._merged([pair for pair in node.value if pair[0].tag == f"{_TAG}merge"], path)
        firsts: dict[str, int] = {}
        for key_node, value_node in own:
            line = key_node.start_mark.line + 1
            if key_node.tag not in _TEXTS or not isinstance(key_node, yaml.ScalarNode):
                if isinstance(key_node, yaml.ScalarNode) and key_node.tag in _SCALARS:
                    self._problem(path, line, f"the key {_short(key_node.value)} is not text; put it in quotes")
                else:
                    self._problem(path, line, "expected text as a key, found a list, a mapping or a tag")
                continue
            key = key_node.value
            if _SURROGATE.search(key):
                self._problem(path, line, f"the key {_short(repr(key))} holds half of a character")
                continue
            if key in firsts:
                where = f"it is already in line {firsts[key]}"
                self._problem(path, line, f"duplicate key {_short(repr(key))}; {where}")
                continue
            firsts[key] = line
            result[key] = self._at(value_node, (*path, key), key_node)
        return result

    def _merged(self, pairs: list[tuple[yaml.Node, yaml.Node]], path: KeyPath) -> dict[str, Any]:
        """What ``<<`` brings in: the first of several mappings wins, and the mapping's own keys win over all."""
        result: dict[str, Any] = {}
        for key_node, value_node in reversed(pairs):
            parts = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
            for part in reversed(parts):
                if isinstance(part, yaml.MappingNode):
                    result |= self.value(part, path) or {}
                else:
                    self._problem(path, key_node.start_mark.line + 1, "<< expects the alias of a mapping")
        return result

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Any:
        if node.tag in _TEXTS:
            if (lone := _SURROGATE.search(node.value)) is not None:
                text = f"U+{ord(lone[0]):04X} is half of a character; write the character itself, or \\U0001F600 for it"
                self._bad(path, node.start_mark.line + 1, text)
                return None
            if _TODO.match(node.value):
                self._document.todo.setdefault((node.start_mark.line, node.start_mark.column), _undecided(node, path))
                self._document.unread.add(path)
                return None
            return node.value
        try:
            if len(node.value) > _LONGEST_NUMBER:
                raise OverflowError
            # Not construct_object: after an error it takes the same node, met again as an alias, for a loop.
            return self._constructor.yaml_constructors[node.tag](self._constructor, node)
        except (ValueError, LookupError, ArithmeticError):
            shown = f"{_short(node.value)} is not a {_SCALARS[node.tag]} that can be read"
            self._bad(path, node.start_mark.line + 1, f"{shown}; put it in quotes if it is text")
            return None

    def _problem(self, path: KeyPath, line: int, text: str) -> None:
        self._document.problems.append(Problem(line, path, text))

    def _bad(self, path: KeyPath, line: int, text: str) -> None:
        self._problem(path, line, text)
        self._document.unread.add(path)


def _undecided(node: yaml.ScalarNode, path: KeyPath) -> Problem:
    text = node.value.strip()
    return Problem(node.start_mark.line + 1, path, text if text != "TODO:" else "TODO")


_TODO = re.compile(r"\s*TODO\s*(:|$)")
"""A value that somebody has still to decide; what stands behind the colon says what is asked."""
_TAG = "tag:yaml.org,2002:"
_SURROGATE = re.compile("[\ud800-\udfff]")  # an escape may spell one; no library takes it as text
# A date is text here, and so is "=", which YAML 1.1 gives a type of its own.
_TEXTS = frozenset({f"{_TAG}str", f"{_TAG}timestamp", f"{_TAG}value"})
_SCALARS = {
    **dict.fromkeys(_TEXTS, "text"),
    f"{_TAG}int": "whole number",
    f"{_TAG}float": "number",
    f"{_TAG}bool": "truth value",
    f"{_TAG}null": "nothing",
}


def found(value: Any) -> str:
    """What a value is, for "expected ..., found ..."."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, str):
        return _short(repr(value))
    return "a mapping" if isinstance(value, Mapping) else "a list"


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "list_type": "a list",
    "tuple_type": "a list",
}
_LIMITS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}
_PYDANTIC = frozenset(get_args(ErrorType))


def _plain(errors: Iterable[ErrorDetails], data: Any) -> Iterator[tuple[KeyPath, str, str | None]]:
    """Path, plain words and (for an unknown key) the key of each error; the arms of a union make one."""
    unions: dict[KeyPath, list[ErrorDetails]] = {}
    for error in errors:
        missing = error["type"] == "missing"
        path, is_whole = _resolve(error["loc"][:-1] if missing else error["loc"], data, error["input"])
        if missing:
            key = error["loc"][-1]
            yield (
                path,
                f"the required key {key!r} is missing" if isinstance(key, str) else "the list is too short",
                None,
            )
        elif is_whole:
            yield path, _words(error), error.get("ctx", {}).get("where")
        else:
            unions.setdefault(path, []).append(error)
    for path, arms in unions.items():
        precise = next((arm for arm in arms if arm["type"] not in _EXPECTED), None)
        if precise is not None:
            yield path, _words(precise), precise.get("ctx", {}).get("where")
        elif not any(len(other) > len(path) and other[: len(path)] == path for other in unions):
            # Else one arm fits so far that something inside it is wrong: that is what was meant.
            wanted = dict.fromkeys(_EXPECTED[arm["type"]] for arm in arms)
            yield path, _mismatch(" or ".join(wanted), arms[0]["input"]), None


def _resolve(loc: tuple[int | str, ...], data: Any, value: Any) -> tuple[KeyPath, bool]:
    """The part of pydantic's location that the data has, and whether that is all of it.

    The rest are names of a union's arms, or keys that a short form stands for. The name of an arm may also
    be a key; then the way that leads to ``value``, which pydantic complains of, is the right one.
    """
    ways = list(_ways(loc, data))
    path, _ = next((way for way in ways if way[1] is value), ways[0])
    return path, len(path) == len(loc)


def _ways(loc: tuple[int | str, ...], data: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Every way through the data that takes the keys of ``loc`` or skips them, the one that takes most first."""
    if not loc:
        yield path, data
        return
    key, rest = loc[0], loc[1:]
    in_list = isinstance(data, list) and isinstance(key, int) and key < len(data)
    if in_list or (isinstance(data, dict) and key in data):
        yield from _ways(rest, data[key], (*path, key))
    yield from _ways(rest, data, path)


def _words(error: ErrorDetails) -> str:
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    if kind in _EXPECTED:
        return _mismatch(_EXPECTED[kind], value)
    if kind == "literal_error":
        known = re.findall(r"'([^']*)'", context["expected"])
        hint = nearest(value, known) if isinstance(value, str) else ""
        hint = hint if hint.startswith("; did") else ""
        return f"expected {'one of ' if len(known) > 1 else ''}{', '.join(known)}, found {found(value)}{hint}"
    if kind in _LIMITS:
        words, key = _LIMITS[kind]
        return f"expected {words} {context[key]}, found {value}"
    if kind == "string_too_short":
        return "expected text, found an empty one"
    if kind == "too_short":
        return f"expected at least {_entries(context['min_length'])}, found {context['actual_length'] or 'none'}"
    if kind == "too_long":
        return f"expected at most {_entries(context['max_length'])}, found {context['actual_length']}"
    if kind == "string_pattern_mismatch":
        return f"expected text of the form {context['pattern']}, found {found(value)}"
    if kind not in _PYDANTIC:
        return error["msg"]  # one of our own, already in plain words
    if kind in ("value_error", "assertion_error"):
        return error["msg"].partition(", ")[2]
    return f"cannot be used here: found {found(value)}"


def _entries(count: int) -> str:
    return f"{count} {'entry' if count == 1 else 'entries'}"


def _mismatch(expected: str, value: Any) -> str:
    hint = ""
    if expected.endswith("text"):
        if isinstance(value, (bool, int, float)):
            hint = "; put it in quotes"
        elif isinstance(value, (list, dict)):
            hint = f"; put a text that begins with {'[' if isinstance(value, list) else '{'} in quotes"
    return f"expected {expected}, found {found(value)}{hint}"
