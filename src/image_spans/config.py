"""``tokenizers_under_test.yaml``: reading it, and loading the subjects that it describes.

Reading imports no tokenizer library and runs no code of the user. Every error is one line: file and line,
the dotted path of the key, what is wrong, what was expected, the remedy.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator, StrictStr, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from image_spans import discovery, pipelines, slicing, tokenizers
from image_spans.contract import ORDERS, Contract, Model, Options
from image_spans.errors import ConfigError, nearest
from image_spans.subject import RETURNS, Subject
from image_spans.tokenizers import TokenizerSpec
from image_spans.yaml_nodes import KeyPath, found, read_document, refuse

DEFAULT_FILE = "tokenizers_under_test.yaml"


def _reference(name: Any) -> Any:
    if isinstance(name, str) and not discovery.is_reference(name):
        raise PydanticCustomError(
            "reference", "expected module:function, found {name}", {"name": found(name)}
        )
    return name


def _pipeline(name: Any) -> Any:
    if isinstance(name, str) and not discovery.is_reference(name) and name not in pipelines.names():
        raise PydanticCustomError(
            "pipeline",
            "unknown pipeline {name}{hint} (or module:function)",
            {"name": found(name), "hint": nearest(name, pipelines.names())},
        )
    return name


def _returned(key: Any) -> Any:
    if isinstance(key, str) and key not in RETURNS:
        raise PydanticCustomError(
            "returns", "a pipeline cannot return {key}{hint}", {"key": found(key), "hint": nearest(key, RETURNS)}
        )
    return key


class PipelineSpec(Model):
    """The code under test: a reference pipeline or ``module:function``, and what is declared of it."""

    encode: Annotated[StrictStr, BeforeValidator(_pipeline)]
    options: Options = {}
    """Passed as keywords."""
    returns: tuple[Annotated[StrictStr, BeforeValidator(_returned)], ...] = ()
    """What comes back besides ``input_ids``."""
    paths: dict[StrictStr, Annotated[StrictStr, BeforeValidator(_pipeline)]] = {}
    """Other entries that must give the same ids."""
    refusals: tuple[Annotated[StrictStr, BeforeValidator(_reference)], ...] = ()
    """Exceptions besides ValueError that refuse a conversation, as ``module:Class``."""
    markers: Literal["text", "ids"] | None = None
    """Whether markers are put in through text or as ids."""

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, data: Any) -> Any:
        return {"encode": data} if isinstance(data, str) else data


class _Entry(Model):
    tokenizer: TokenizerSpec
    pipeline: PipelineSpec
    contract: Contract


class _File(Model):
    version: Any
    subjects: dict[StrictStr, _Entry]

    @field_validator("version", mode="before")
    @classmethod
    def _version(cls, value: Any) -> Any:
        if type(value) is not int or value != 1:
            raise PydanticCustomError("version", "expected 1, found {value}", {"value": found(value)})
        return value

    @field_validator("subjects", mode="before")
    @classmethod
    def _subjects(cls, subjects: Any) -> Any:
        if subjects is None or subjects == {}:
            raise PydanticCustomError("subjects", "there is no subject; add at least one", {})
        return subjects


@dataclass(frozen=True)
class SubjectSpec:
    """One entry of the YAML, checked but not loaded."""

    name: str
    tokenizer: TokenizerSpec
    pipeline: PipelineSpec
    contract: Contract
    path: Path
    """The file, absolute."""
    line: int = field(compare=False)
    """Where the subject begins in it."""
    label: str = field(compare=False)
    """What messages call the file."""

    @property
    def folder(self) -> Path:
        """The file's folder: relative paths and ``module:function`` names are looked up there first."""
        return self.path.parent

    def missing(self) -> str | None:
        """Why the subject cannot be loaded here, such as a package that is not installed; None: it can."""
        source = self.tokenizer.source
        return None if source is None else source.missing(self.folder)


def read(path: str | os.PathLike[str] = DEFAULT_FILE) -> list[SubjectSpec]:
    """The subjects that a YAML file describes, in its order.

    Raises:
        ConfigError: the first thing that is wrong with the file, on one line.
    """
    file = Path(path)
    label = _label(file)
    document = read_document(file, label)
    if document.data is None and not document.problems:
        refuse(label, "is empty; expected the keys version and subjects")
    entries: dict[str, _Entry] = {}
    try:
        entries = _File.model_validate(document.data).subjects
    except ValidationError as error:
        document.add_all(error)
    for name in _mapping(_mapping(document.data).get("subjects")):
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            text = f"{found(name)} cannot name a subject; expected letters, digits, '.', '_' and '-'"
            document.add(("subjects",), text, name)
    folder = file.absolute().parent
    for name, entry in entries.items():
        entry.contract.locate(folder)
        for call in _calls(entry, folder):
            if not discovery.is_reference(call.name):
                for key, text in call.problems():
                    document.add(("subjects", name, *call.where), text, key)
    document.raise_problems()
    return [
        SubjectSpec(
            name, entry.tokenizer, entry.pipeline, entry.contract, file.resolve(), document.line(("subjects", name)), label
        )
        for name, entry in entries.items()
    ]


def load(spec: SubjectSpec) -> Subject:
    """The subject, ready to be checked; loaded once per process, as long as its entry says the same.

    Raises:
        ConfigError: it cannot be loaded as it is described; begins with file, line and subject.
        Unavailable: something that it needs is not installed here.
    """
    key = (spec.path, spec.name)
    known = _loaded.get(key)
    if known is not None and known[0] == spec:
        return known[1]
    try:
        subject = _load(spec)
    except ConfigError as error:
        refuse(spec.label, str(error), spec.line, ("subjects", spec.name))
    _loaded[key] = (spec, subject)
    return subject


def load_subjects(path: str | os.PathLike[str] = DEFAULT_FILE) -> list[Subject]:
    """All subjects of a YAML file, for scripts.

    Raises:
        ConfigError: the file is wrong.
        Unavailable: a subject needs what is not installed here.
    """
    return [load(spec) for spec in read(path)]


def load_subject(name: str, path: str | os.PathLike[str] = DEFAULT_FILE) -> Subject:
    """One subject of a YAML file, for scripts and pasted reproductions; raises as :func:`load_subjects`."""
    specs = {spec.name: spec for spec in read(path)}
    if name not in specs:
        refuse(_label(Path(path)), f"there is no subject {found(name)}{nearest(name, specs)}")
    return load(specs[name])


_loaded: dict[tuple[Path, str], tuple[SubjectSpec, Subject]] = {}


def _load(spec: SubjectSpec) -> Subject:
    for call in _calls(spec, spec.folder):
        if discovery.is_reference(call.name):
            for _, text in call.problems():
                raise ConfigError(text)
    order = spec.contract.images.order
    if order not in ORDERS:
        discovery.resolve(order, spec.folder)
    refusals = tuple(_exception(name, spec.folder) for name in spec.pipeline.refusals)
    tokenizer = tokenizers.load(spec.tokenizer, spec.folder)

    def bind(name: str) -> Callable[..., Any]:
        options = spec.pipeline.options
        if discovery.is_reference(name):
            return partial(discovery.resolve(name, spec.folder), tokenizer.native, **options)
        return partial(pipelines.reference(name), tokenizer, contract=spec.contract, **options)

    return Subject(
        name=spec.name,
        tokenizer=tokenizer,
        facts=tokenizers.observe(tokenizer, list(spec.contract.markers.values())),
        contract=spec.contract,
        pipeline=bind(spec.pipeline.encode),
        returns=frozenset(spec.pipeline.returns),
        paths={name: bind(reference) for name, reference in spec.pipeline.paths.items()},
        refusals=(ValueError, *refusals),
        known_ids=dict(spec.tokenizer.ids),
        markers_as_text=spec.pipeline.markers == "text",
    )


def _exception(name: str, folder: Path) -> type[Exception]:
    cls = discovery.resolve(name, folder)
    if not (isinstance(cls, type) and issubclass(cls, Exception)):
        raise ConfigError(f"pipeline.refusals: {name!r} is not an exception class")
    return cls


class _Call(NamedTuple):
    """A function that the YAML names, with the options that the YAML gives it."""

    name: str
    function: Callable[[], Callable[..., Any]]
    options: Mapping[str, Any]
    given: tuple[str, ...]
    """The parameters that the call itself fills."""
    where: KeyPath
    """Where in the subject the options stand."""

    def problems(self) -> Iterator[tuple[str | None, str]]:
        """What is wrong with the options: the key, or None for a missing one, and the words."""
        try:
            parameters = inspect.signature(self.function()).parameters
        except (TypeError, ValueError):  # a function written in C may not tell
            return
        named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        takes = [name for name, parameter in parameters.items() if parameter.kind in named]
        ...
