"""The schema of the YAML, made from the models that read it; ``python -m image_spans.schemas.subjects`` writes it.

Models say which keys there are, of which types, with which limits. What their validators know besides stands here: the
names that are known, and the short forms. The meaning of the keys is told by their docstrings.
"""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

from image_spans import checks, config, discovery, pipelines, slicing
from image_spans.contract import KEYS_OF_GRAMMARS, ORDERS, Model
from image_spans.schemas import FILES
from image_spans.subject import RETURNS

Schema: TypeAlias = "dict[str, Any]"

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE: Schema = {
    "type": "string",
    "pattern": r"^[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*$",
    "description": "module:function",
}
_TEXT: Schema = {"type": "string", "minLength": 1}
_NOTHING: Schema = {"type": "null"}


def _known(names: Iterable[str], *others: Schema) -> Schema:
    """One of these names, or something else that is said."""
    enum: Schema = {"enum": list(names)}
    return {"anyOf": [enum, *others]} if others else enum


def _values() -> dict[tuple[str, str], Schema]:
    """Model and key to what stands there, where a validator knows more than the type says."""
    entry = _known(pipelines.names(), _REFERENCE)
    optional = _known(pipelines.names(), _REFERENCE, _NOTHING)
    rules = slicing_rules()
    formats = discovery.names("image_spans.scan.formats")
    return {
        ("_File", "version"): {"const": 1},
        ("Contract", "template"): {
            "anyOf": [
                {
                    "type": "object",
                    "additionalProperties": {
                        "type": "array",
                        "items": {"type": "string"},
                        "minItems": 2,
                        "maxItems": 2,
                    },
                },
                _NOTHING,
            ]
        },
        **{(model, key): _one_or_more() for model in ("Images", "Slices") for key in ("open", "close")},
        ("Images", "grammar"): _known(discovery.names("image_spans.grammars"), _REFERENCE),
        ("Images", "slots"): _known([*rules, "from_features"], {"type": "integer", "minimum": 1}, _REFERENCE),
        ("Images", "order"): _known(ORDERS, _REFERENCE),
        ("Slices", "rule"): _known(rules, _REFERENCE),
        ("PipelineSpec", "encode"): entry,
        ("PipelineSpec", "returns"): {"type": "array", "items": _known(RETURNS)},
        ("PipelineSpec", "paths"): {"type": "object", "additionalProperties": entry},
        **{("PipelineSpec", key): optional for key in ("batch", "continue", "predict")},
        ("PipelineSpec", "refusals"): {"type": "array", "items": _REFERENCE},
        ("Samples", "data"): _one_or_more({"minItems": 1}),
        ("Samples", "data_format"): _known(formats, _NOTHING),
        ("TokenizerSpec", "backend"): _known(discovery.names("image_spans.tokenizers"), _NOTHING),
        ("TokenizerSpec", "factory"): {"anyOf": [_REFERENCE, _NOTHING]},
        ("TokenizerSpec", "special_tokens"): {
            "type": "object",
            "propertyNames": _known(("bos", "eos", "unk", "pad")),
            "additionalProperties": {"type": "string"},
        },
        ("TrainedSource", "trained"): _known(discovery.names("image_spans.training")),
        ("WheelSource", "wheel"): {"type": "string", "pattern": "=="},
        ("HubSource", "revision"): {"type": "string", "pattern": "^[0-9a-f]{40}$"},
        ("KnownFailure", "check"): _known(checks.checks()),
        ("KnownFailure", "reason"): {"type": "string", "pattern": r"^(?!\s*[Tt][Oo][Dd][Oo])\s*\S"},
        ("KnownFailure", "fingerprint"): {"type": "string", "pattern": r"^[^/]+/.*\S"},
    }


def slicing_rules() -> list[str]:
    """The names of the slice rules."""
    return discovery.names(slicing.__name__)


def _one_or_more(limits: Schema | None = None) -> Schema:
    return {"anyOf": [_TEXT, {"type": "array", "items": _TEXT, **(limits or {})}]}


def _short_forms(definitions: Schema) -> dict[str, list[Schema]]:
    """Model to what may stand for it."""
    policies = definitions["Truncation"]["properties"]["policy"]["enum"]
    number: Schema = {"type": "integer", "minimum": 0}
    few: Schema = {"type": "string", "pattern": r"^\s*[0-9]+\s*\.\.\s*[0-9]+\s*$", "description": "such as 0..4"}
    return {
        "Range": [number, few],
        "Sides": [number, few],
        "Literals": [_known(definitions["Literals"]["properties"]["policy"]["enum"])],
        "Truncation": [_known(policies)],
        "PipelineSpec": [_values()["PipelineSpec", "encode"]],
        "Samples": _values()["Samples", "data"]["anyOf"],
    }


def schema() -> Schema:
    """The schema of the YAML."""
    made = config._File.model_json_schema(by_alias=True)
    definitions: Schema = made.pop("$defs")
    definitions["_File"] = made
    classes = {model.__name__: model for model in _models()}
    values = _values()
    for name, definition in definitions.items():
        _clean(definition, classes[name], {key: value for (model, key), value in values.items() if model == name})
    _besides(definitions)
    for name, short in _short_forms(definitions).items():
        whole = definitions[name]
        told = whole.pop("description")
        definitions[name] = {"description": told, "anyOf": [*short, whole]}
    root = definitions.pop("_File")
    return {
        "$schema": DIALECT,
        "title": "Subjects of pytest-image-spans",
        **root,
        "description": "tokenizers_under_test.yaml",
        "$defs": dict(sorted(definitions.items())),
    }


def _besides(definitions: Schema) -> None:
    """What validators ask of several keys together, as far as it can be said."""
    definitions["_File"]["properties"]["subjects"] |= {
        "minProperties": 1,
        "propertyNames": {"pattern": f"^{config.NAME.pattern}$"},
    }
    definitions["HubSource"]["required"].append("revision")
    definitions["TokenizerSpec"]["anyOf"] = [{"required": ["factory"]}, {"required": ["backend", "source"]}]
    definitions["Images"]["allOf"] = [
        {
            # Where no grammar is named it is paired.
            "if": {"properties": {"grammar": {"const": name}}, "required": [] if name == "paired" else ["grammar"]},
            "then": {"required": list(needed)},
        }
        for name, (needed, _) in KEYS_OF_GRAMMARS.items()
        if needed
    ]


def _clean(definition: Schema, model: type[Model], values: dict[str, Schema]) -> None:
    """Put in what is known besides; leave out titles that repeat the key and defaults that repeat a whole model."""
    definition.pop("title", None)
    definition["description"] = _words(inspect.getdoc(model) or "")
    told = dict(_docstrings(model))
    for key, value in definition["properties"].items():
        value.pop("title", None)
        field = next(name for name, one in model.model_fields.items() if key in (one.alias, name))
        default = value.pop("default", None)
        if key in values:
            value.clear()
            value.update(values[key])
        if default not in (None, [], {}, "") and not isinstance(default, dict):
            value["default"] = default
        value["description"] = told[field]


def _models(base: type[Model] = Model) -> Iterator[type[Model]]:
    for model in base.__subclasses__():
        yield model
        yield from _models(model)


def _docstrings(model: type[Model]) -> Iterator[tuple[str, str]]:
    """Field to the text under it, those of base classes first."""
    for cls in reversed([one for one in model.__mro__ if issubclass(one, Model)]):
        body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
        assert isinstance(body, ast.ClassDef)
        for node, behind in zip(body.body, body.body[1:], strict=False):
            if (
                isinstance(node, ast.AnnAssign)
                and isinstance(node.target, ast.Name)
                and isinstance(behind, ast.Expr)
                and isinstance(behind.value, ast.Constant)
            ):
                yield node.target.id, _words(str(behind.value.value))


def _words(text: str) -> str:
    """A docstring's first paragraph on one line, without the markup of code."""
    return " ".join(text.split("\n\n")[0].replace("``", "").split())


def text() -> str:
    """What the file holds."""
    return json.dumps(schema(), indent=2) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name(FILES["subjects"]).write_text(text(), encoding="utf-8")
