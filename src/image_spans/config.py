"""``tokenizers_under_test.yaml``: reading it, and loading the subjects that it describes.

Reading imports no tokenizer library and runs no code of the user. Every error is one line: file and line,
the dotted path of the key, what is wrong, what was expected, the remedy.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    BeforeValidator,
    Field,
    StrictInt,
    StrictStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from image_spans import discovery, grammars, image_backends, pipelines, slicing, tokenizers
from image_spans.contract import ORDERS, Contract, Model, Options
from image_spans.errors import ConfigError, nearest, words
from image_spans.known_failures import KnownFailure, problems
from image_spans.subject import RETURNS, Subject
from image_spans.tokenizers import TokenizerSpec
from image_spans.yaml_nodes import KeyPath, dotted, found, message, read_document, refuse

DEFAULT_FILE = "tokenizers_under_test.yaml"
_BUILDERS = ("image_spans.processors:build", "image_spans.processors:load")
"""The factories that make a processor on the image backend that they are told."""


def _reference(name: Any) -> Any:
    if isinstance(name, str) and not discovery.is_reference(name):
        raise PydanticCustomError("reference", "expected module:function, found {name}", {"name": found(name)})
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
    """``(tokenizer, conversation, **options)`` to ids: ``module:function``, or a reference pipeline."""
    options: Options = Field(default_factory=dict)
    """Passed as keywords."""
    returns: tuple[Annotated[StrictStr, BeforeValidator(_returned)], ...] = ()
    """What comes back besides ``input_ids``."""
    paths: dict[StrictStr, Annotated[StrictStr, BeforeValidator(_pipeline)]] = Field(default_factory=dict)
    """Other entries that must give the same ids."""
    accepts: tuple[Literal["max_length", "images"], ...] = ()
    """``max_length``: a keyword of ``encode``; ``images``: it compares ``conversation.images`` with the messages."""
    batch: Annotated[StrictStr, BeforeValidator(_pipeline)] | None = None
    """``(tokenizer, conversations, *, padding_side, **options)`` to a mapping of rows; or a reference pipeline."""
    continue_: Annotated[StrictStr, BeforeValidator(_pipeline)] | None = Field(default=None, alias="continue")
    """``(tokenizer, encoding, message, **options)`` to the encoding with one message more."""
    predict: Annotated[StrictStr, BeforeValidator(_pipeline)] | None = None
    """``(width, height)`` to slots, from the size alone; or a reference pipeline that has such an entry."""
    refusals: tuple[Annotated[StrictStr, BeforeValidator(_reference)], ...] = ()
    """Exceptions besides ValueError that refuse a conversation, as ``module:Class``."""
    markers: Literal["text", "ids"] | None = None
    """Whether markers are put in through text or as ids."""

    @property
    def abilities(self) -> frozenset[str]:
        """All that is declared of it: the keys that it returns, what it accepts, and its other entries."""
        entries = {"batch": self.batch, "continue": self.continue_, "predict": self.predict}
        return frozenset((*self.returns, *self.accepts, *(name for name, entry in entries.items() if entry)))

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, data: Any) -> Any:
        return {"encode": data} if isinstance(data, str) else data

    @field_validator("continue_", "predict")
    @classmethod
    def _has_the_entry(cls, name: str | None, info: ValidationInfo) -> str | None:
        entry: pipelines.Entry = "predict" if info.field_name == "predict" else "continue"
        if name is not None and not discovery.is_reference(name) and pipelines.lacks(name, entry):
            raise PydanticCustomError(
                "entry", "the pipeline {name} has no {entry} entry", {"name": name, "entry": entry}
            )
        return name


def _several(value: Any) -> Any:
    return value if isinstance(value, (list, tuple)) else (value,)


class Samples(Model):
    """Rows of one's own data that every run replays; what they may be, ``image_spans.scan`` knows."""

    data: Annotated[
        tuple[Annotated[StrictStr, Field(min_length=1)], ...], BeforeValidator(_several), Field(min_length=1)
    ]
    """Files, from the YAML's folder."""
    images: StrictStr | None = None
    """The folder of the images, from the YAML's; None: that of the data file."""
    data_format: StrictStr | None = None
    """The format of the rows; None: found out row by row."""
    tag: Annotated[StrictStr, Field(min_length=1)] | None = None
    """What the rows write for an image; None: the contract's."""
    roles: dict[StrictStr, StrictStr] = Field(default_factory=dict)
    """Roles of the data to those of the contract."""
    number: StrictInt = Field(default=100, ge=1, le=100_000)
    """Of rows at most: each is encoded in every run."""
    seed: StrictInt | None = None
    """Chooses rows at random, which reads the files to their end; None: the first ones."""

    @model_validator(mode="before")
    @classmethod
    def _from_files(cls, data: Any) -> Any:
        return {"data": data} if isinstance(data, (str, list)) else data


class _Entry(Model):
    tokenizer: TokenizerSpec
    """How the tokenizer is loaded."""
    pipeline: PipelineSpec
    """The code under test."""
    contract: Contract
    """What the subject promises."""
    samples: Samples | None = None
    """Rows of one's own data that every run replays."""
    known_failures: tuple[KnownFailure, ...] = ()
    """Failures that do not fail the run."""

    @model_validator(mode="after")
    def _truncation_is_accepted(self) -> _Entry:
        policy = self.contract.truncation.policy
        if policy != "unsupported" and "max_length" not in self.pipeline.accepts:
            raise PydanticCustomError(
                "truncation",
                "the contract's truncation {policy} needs pipeline.accepts: [max_length]",
                {"policy": policy},
            )
        return self


NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
NAME_SHOWN = "letters, digits, '.', '_' and '-', a letter or digit first"


def _name(name: Any) -> Any:
    if isinstance(name, str) and not NAME.fullmatch(name):
        raise PydanticCustomError(
            "subject",
            "{name} cannot name a subject; expected {expected}",
            {"name": found(name), "expected": NAME_SHOWN},
        )
    return name


class _File(Model):
    version: Any
    """Of this form of the file."""
    subjects: dict[Annotated[StrictStr, BeforeValidator(_name)], _Entry]
    """Name to what is tested under it."""

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
    recorded_failures: tuple[KnownFailure, ...] = field(default=(), compare=False)
    """All that stand under ``known_failures``."""
    samples: Samples | None = field(default=None, compare=False)

    def __hash__(self) -> int:
        return hash((self.path, self.name))  # the options of a spec are mappings, which have no hash

    @property
    def folder(self) -> Path:
        """The file's folder: relative paths and ``module:function`` names are looked up there first."""
        return self.path.parent

    @property
    def image_backend(self) -> str | None:
        """The image backend of what is built here; None where a factory of somebody else, or none, makes it."""
        if self.tokenizer.factory not in _BUILDERS:
            return None
        return str(self.tokenizer.options.get("image_backend", image_backends.DEFAULT))

    @property
    def takes_image_backend(self) -> bool:
        """Whether a run may choose the image backend: it is built here, and the YAML leaves the choice."""
        return self.tokenizer.factory in _BUILDERS and "image_backend" not in self.tokenizer.options

    def on(self, image_backend: image_backends.ImageBackend) -> SubjectSpec:
        """The same subject on an image backend; itself where it leaves no choice, or where that is the usual one."""
        if not self.takes_image_backend or image_backend == image_backends.DEFAULT:
            return self
        needs = {
            "options": {**self.tokenizer.options, "image_backend": image_backend},
            "requires": (*self.tokenizer.requires, *image_backends.NEEDS[image_backend]),
        }
        return replace(self, tokenizer=self.tokenizer.model_copy(update=needs))

    @cached_property
    def known_failures(self) -> tuple[KnownFailure, ...]:
        """Those that count with what is installed, on the image backend under test."""
        return tuple(one for one in self.recorded_failures if one.idle(self.image_backend) is None)

    def known(self, fingerprint: str) -> KnownFailure | None:
        """The known failure of this fingerprint."""
        return next((one for one in self.known_failures if one.fingerprint == fingerprint), None)

    def fetch(self) -> bool:
        """Fetch what the subject's source needs from the network; False where nothing was to be done.

        Raises:
            Unavailable: it could not be had.
            ConfigError: what came is not what the YAML pins.
        """
        return self.tokenizer.source is not None and self.tokenizer.source.fetch()

    def missing(self) -> str | None:
        """Why the subject cannot be loaded here, such as a package that is not installed; None: it can."""
        source = self.tokenizer.source
        absent = tokenizers.missing(self.tokenizer)
        return absent if absent or source is None else source.missing(self.folder)

    def missing_paths(self) -> dict[str, str]:
        """The paths that cannot be called here, such as one that needs a package that is not installed, and why."""
        named = {name: entry for name, entry in self.pipeline.paths.items() if not discovery.is_reference(entry)}
        reasons = {name: pipelines.missing(entry) for name, entry in named.items()}
        return {name: reason for name, reason in reasons.items() if reason is not None}


def read(path: str | os.PathLike[str] = DEFAULT_FILE) -> list[SubjectSpec]:
    """The subjects that a YAML file describes, in its order.

    Raises:
        ConfigError: the first thing that is wrong with the file, on one line.
    """
    label = _label(Path(path))
    document = read_document(Path(path), label)
    if document.data is None and not document.problems:
        refuse(label, "is empty; expected the keys version and subjects")
    entries: dict[str, _Entry] = {}
    try:
        entries = _File.model_validate(document.data).subjects
    except ValidationError as error:
        document.add_all(error)
    if document.todo:
        document.raise_problems()  # what is not decided cannot be judged further
    file = Path(path).resolve()
    specs = []
    for name, entry in entries.items():
        entry.contract.locate(file.parent)
        where = ("subjects", name)
        line = document.line(where)
        known = entry.known_failures
        promised = (entry.tokenizer, entry.pipeline, entry.contract)
        specs.append(SubjectSpec(name, *promised, file, line, label, known, entry.samples))
        for index, wrong, text in problems(known, entry.contract.input, specs[-1].image_backend):
            document.add((*where, "known_failures", index, wrong), text)
        if not discovery.is_reference(entry.pipeline.encode):
            for text in pipelines.problems(entry.pipeline.encode, entry.pipeline.options):
                document.add((*where, "pipeline", "options"), text)
        for call in _calls(specs[-1]):
            if not discovery.is_reference(call.name):  # nothing of the user's is imported yet
                for key, text in call.problems():
                    document.add((*where, *call.where), text, key)
    document.raise_problems()
    return specs


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
        raise ConfigError(message(spec.label, str(error), spec.line, ("subjects", spec.name))) from error
    _loaded[key] = (spec, subject)
    return subject


def load_subjects(
    path: str | os.PathLike[str] = DEFAULT_FILE, *, image_backend: str = image_backends.DEFAULT
) -> list[Subject]:
    """All subjects of a YAML file, for scripts.

    Args:
        path: the file.
        image_backend: of the processors that are built here, where it leaves the choice: ``pil``, ``torchvision``.

    Raises:
        ConfigError: the file is wrong.
        Unavailable: a subject needs what is not installed here.
    """
    return [load(spec.on(image_backends.named(image_backend))) for spec in read(path)]


def load_subject(
    name: str, path: str | os.PathLike[str] = DEFAULT_FILE, *, image_backend: str = image_backends.DEFAULT
) -> Subject:
    """One subject of a YAML file, for scripts and pasted reproductions; as :func:`load_subjects`."""
    specs = {spec.name: spec for spec in read(path)}
    if name not in specs:
        refuse(_label(Path(path)), f"there is no subject {found(name)}{nearest(name, specs)}")
    return load(specs[name].on(image_backends.named(image_backend)))


_loaded: dict[tuple[Path, str], tuple[SubjectSpec, Subject]] = {}


def _label(path: Path) -> str:
    """The path as messages show it: from the working directory, where the file lies below it."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _load(spec: SubjectSpec) -> Subject:
    pipeline, contract = spec.pipeline, spec.contract
    for call in _calls(spec):
        for _, text in call.problems():
            raise ConfigError(f"{dotted(call.where)}: {text}")
    if contract.images.slots == "from_features" and "features" not in pipeline.returns:
        raise ConfigError("contract.images.slots: from_features needs pipeline.returns: [features]")
    if contract.images.order not in ORDERS:
        discovery.resolve(contract.images.order, spec.folder)
    _try_rule(contract)
    refusals = tuple(_exception(name, spec.folder) for name in pipeline.refusals)
    absent = spec.missing_paths()
    tokenizer = tokenizers.load(spec.tokenizer, spec.folder)
    try:
        facts = tokenizers.observe(tokenizer, contract.markers)
    except Exception as error:  # the tokenizer may be the user's
        raise ConfigError(f"observing {tokenizer.library} raised {words(error)}") from error

    def bind(name: str, entry: pipelines.Entry = "encode") -> Callable[..., Any]:
        function = _function(name, spec.folder, entry)
        if discovery.is_reference(name):
            return partial(function, tokenizer.native, **pipeline.options)
        return partial(function, tokenizer, contract=contract, **pipeline.options)

    return Subject(
        name=spec.name,
        tokenizer=tokenizer,
        facts=facts,
        contract=contract,
        pipeline=bind(pipeline.encode),
        returns=frozenset(pipeline.returns),
        abilities=pipeline.abilities,
        predict=_predictor(pipeline.predict, spec.folder, bind) if pipeline.predict else None,
        batch=bind(pipeline.batch, "batch") if pipeline.batch else None,
        extend=bind(pipeline.continue_, "continue") if pipeline.continue_ else None,
        paths={name: bind(entry) for name, entry in pipeline.paths.items() if name not in absent},
        refusals=(ValueError, *refusals),
        known_ids=dict(spec.tokenizer.ids),
        markers_as_text=pipeline.markers == "text",
    )


def _predictor(
    name: str, folder: Path, bind: Callable[[str, pipelines.Entry], Callable[..., Any]]
) -> Callable[[int, int], Any]:
    """One's own sees the size alone; that of a reference pipeline also what is bound to the pipeline."""
    own: Callable[[int, int], Any] = (
        discovery.resolve(name, folder) if discovery.is_reference(name) else bind(name, "predict")
    )
    return own


def _function(name: str, folder: Path, entry: pipelines.Entry = "encode") -> Callable[..., Any]:
    """The pipeline that the YAML calls ``name``, or another entry of it."""
    if discovery.is_reference(name):
        function: Callable[..., Any] = discovery.resolve(name, folder)
        return function
    return pipelines.reference(name, entry)


def _exception(name: str, folder: Path) -> type[Exception]:
    cls = discovery.resolve(name, folder)
    if not (isinstance(cls, type) and issubclass(cls, Exception)):
        raise ConfigError(f"pipeline.refusals: {name!r} is not an exception class")
    return cls


_ORDINARY = (1000, 700)
_OTHERS = ((1, 1), (64, 64), (700, 1000), (4000, 4000), (4096, 64), (64, 4096))
"""Sizes for which a rule may give other layouts, and so a grammar write other roles; a rule may refuse them."""


def _try_rule(contract: Contract) -> None:
    """Ask the slice rule for one ordinary image: options of a wrong type show here, not in every check."""
    if contract.images.slots == "from_features":
        _try_grammar(contract, slicing.Layout(slicing.Block(1, 1)), "of one slot")
        return
    name = contract.slices.rule if contract.slices else contract.images.slots
    width, height = _ORDINARY
    try:
        layout = contract.layout(width, height, 1)
    except Exception as error:  # the rule may be the user's
        text = f"the rule {name} raised {type(error).__name__} for an image of {width}x{height}: {error}"
        raise ConfigError(text) from error
    if not isinstance(layout, slicing.Layout):
        raise ConfigError(f"the rule {name} returned {found(layout)}, not an image_spans.slicing.Layout")
    _try_grammar(contract, layout, f"of {width}x{height}")
    for width, height in _OTHERS:
        try:
            layout = contract.layout(width, height, 1)
        except Exception:  # outside of what this rule takes, or for the checks to find
            continue
        _try_grammar(contract, layout, f"of {width}x{height}")


def _try_grammar(contract: Contract, layout: slicing.Layout, size: str) -> None:
    """Ask the grammar for the same image: what it writes must be elements, its roles declared and its pairs even."""
    name = contract.images.grammar
    grammar = grammars.grammar(name, contract.folder)
    try:
        elements = list(grammar.write(layout, contract, 0))
    except Exception as error:  # the grammar may be the user's
        text = f"the grammar {name} raised {type(error).__name__} for an image {size}: {error}"
        raise ConfigError(text) from error
    for element in elements:
        if not isinstance(element, (grammars.Marker, grammars.Fixed, grammars.Slots)):
            raise ConfigError(f"the grammar {name} wrote {found(element)}, not a Marker, Fixed or Slots")
        if isinstance(element, grammars.Marker) and element.role not in contract.markers:
            hint = nearest(element.role, contract.markers)
            raise ConfigError(
                f"the grammar {name} wrote the role {element.role!r}, which no key declares{hint}; "
                "contract.images.markers names roles of one's own"
            )
    roles = [element.role for element in elements if isinstance(element, grammars.Marker)]
    for pair in grammar.pairs(contract):
        if roles.count(pair.open) != roles.count(pair.close):
            raise ConfigError(
                f"the grammar {name} wrote {roles.count(pair.open)} {pair.open} and {roles.count(pair.close)} "
                f"{pair.close} for an image {size}; expected as many, or roles of other names"
            )


class _Call(NamedTuple):
    """A function that the YAML names, with the options that the YAML gives it."""

    name: str
    function: Callable[[], Callable[..., Any]]
    positions: int
    """How many arguments it gets by position."""
    keywords: tuple[str, ...]
    """What it gets by keyword besides its options."""
    options: Mapping[str, Any]
    where: KeyPath
    """Where in the subject the options stand."""
    reserved: tuple[str, ...] = ()
    """Parameters that are no options: they are given call by call, if at all."""

    def problems(self) -> Iterator[tuple[str | None, str]]:
        """What is wrong with the options: the key (None for a missing one), and the words."""
        try:
            signature = inspect.signature(self.function())
        except (TypeError, ValueError):  # a function written in C may not tell
            return
        parameters = [p for p in signature.parameters.values() if p.kind != p.VAR_POSITIONAL]
        taken = {p.name for p in parameters[: self.positions]} | {*self.keywords, *self.reserved}
        free = {p.name: p for p in parameters if p.name not in taken and p.kind != p.VAR_KEYWORD}
        open_ended = any(p.kind == p.VAR_KEYWORD for p in parameters)
        unknown = [key for key in self.options if key in taken or not (key in free or open_ended)]
        missing = [name for name, p in free.items() if p.default is p.empty and name not in self.options]
        named = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        refused = [key for key in self.keywords if not (key in named or open_ended)]
        for key in refused:
            yield None, f"{self.name} does not take {key}="
        for key in unknown:
            yield key, f"{self.name} has no option {found(key)}{nearest(key, free)}"
        for name in missing:
            yield None, f"{self.name} needs the option {name!r}"
        if not (unknown or missing or refused):
            try:
                signature.bind(*range(self.positions), **dict.fromkeys([*self.keywords, *self.options]))
            except TypeError as error:
                yield None, f"{self.name} cannot be called with {self.positions} arguments and its options: {error}"


def _calls(spec: SubjectSpec) -> Iterator[_Call]:
    """Every function that the YAML names and that is called with what stands there: entries and slice rules."""
    pipeline = spec.pipeline

    def entry(name: str, kind: pipelines.Entry, positions: int, *keywords: str) -> _Call:
        is_own = discovery.is_reference(name)
        keywords = keywords if is_own else ("contract", *keywords)
        reserved = () if is_own else ("max_length", "earlier")
        function = partial(_function, name, spec.folder, kind)
        return _Call(name, function, positions, keywords, pipeline.options, ("pipeline", "options"), reserved)

    yield entry(pipeline.encode, "encode", 2, *(key for key in pipeline.accepts if key == "max_length"))
    for name in dict.fromkeys(name for name in pipeline.paths.values() if name != pipeline.encode):
        yield entry(name, "encode", 2)
    if pipeline.batch is not None:
        yield entry(pipeline.batch, "batch", 2, "padding_side")
    if pipeline.continue_ is not None:
        yield entry(pipeline.continue_, "continue", 3)
    if pipeline.predict is not None and not discovery.is_reference(pipeline.predict):
        yield entry(pipeline.predict, "predict", 3)
    elif pipeline.predict is not None:
        function = partial(discovery.resolve, pipeline.predict, spec.folder)
        yield _Call(pipeline.predict, function, 2, (), {}, ("pipeline", "predict"))
    images, slices = spec.contract.images, spec.contract.slices
    if slices is not None:
        options = {"slots": images.slots, **slices.options}
        function = partial(slicing.rule, slices.rule, spec.folder)
        yield _Call(slices.rule, function, 3, (), options, ("contract", "slices", "options"))
    elif isinstance(images.slots, str) and images.slots != "from_features":
        function = partial(slicing.rule, images.slots, spec.folder)
        yield _Call(images.slots, function, 3, (), images.options, ("contract", "images", "options"))
