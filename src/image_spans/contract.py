"""What a subject promises: the ``contract`` of the YAML, also usable from code.

The models are frozen and reject unknown keys; the short forms of the YAML are accepted as they are.
"""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from packaging.requirements import InvalidRequirement, Requirement
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from image_spans import grammars, slicing
from image_spans.discovery import is_reference
from image_spans.errors import ConfigError, nearest
from image_spans.slicing import Layout


class Model(BaseModel):
    """Base of every model of the YAML: frozen, and an unknown key is an error with a suggestion."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _no_unknown_keys(cls, data: Any) -> Any:
        if isinstance(data, dict):
            known = {field.alias or name for name, field in cls.model_fields.items()} | set(cls.model_fields)
            for key in data:
                if key not in known:
                    shown = {field.alias or name for name, field in cls.model_fields.items()}
                    raise PydanticCustomError(
                        "unknown_key",
                        "unknown key {key}{hint}",
                        {"key": repr(key), "hint": nearest(str(key), shown), "where": str(key)},
                    )
        return data


def _one_or_more(value: Any) -> Any:
    return value if isinstance(value, (list, tuple)) else (value,)


def _roles(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


Tokens: TypeAlias = Annotated[tuple[Annotated[StrictStr, Field(min_length=1)], ...], BeforeValidator(_one_or_more)]
Options: TypeAlias = dict[StrictStr, Any]


def _requirements(given: tuple[str, ...]) -> tuple[str, ...]:
    for requirement in given:
        try:
            Requirement(requirement)
        except InvalidRequirement:
            raise PydanticCustomError(
                "requirement", "{text} is not a requirement such as transformers>=5", {"text": repr(requirement)}
            ) from None
    return given


Requirements: TypeAlias = Annotated[tuple[StrictStr, ...], AfterValidator(_requirements)]
"""What must be installed."""


LARGEST_SIDE = 4096
LARGEST_ASPECT = 200
"""No image that is drawn is larger, or longer for its width, whatever a contract says."""


class Range(Model):
    """How many: ``0..4`` in the YAML, or one number."""

    least: StrictInt = Field(ge=0)
    """The smallest number."""
    most: StrictInt = Field(ge=0, le=64)
    """The largest number."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: Any) -> Any:
        if type(data) is int:
            return {"least": data, "most": data}
        if isinstance(data, str):
            least, dots, most = data.partition("..")
            if not dots or not least.strip().isdigit() or not most.strip().isdigit():
                raise PydanticCustomError("range", "{value} is not a range such as 0..4", {"value": repr(data)})
            return {"least": int(least), "most": int(most)}
        return data

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if self.least > self.most:
            raise PydanticCustomError("range", "the range is empty: it begins above its end", {})
        return self


class Sides(Range):
    """Pixels: ``1..4096`` in the YAML."""

    least: StrictInt = Field(ge=1)
    """Of the shorter side."""
    most: StrictInt = Field(ge=1, le=LARGEST_SIDE)
    """Of the longer side."""


class Input(Model):
    """Which conversations are inside the contract; by default all that the strategies know."""

    roles: Annotated[tuple[StrictStr, ...], BeforeValidator(_roles), Field(min_length=1)] = (
        "system",
        "user",
        "assistant",
    )
    """Who speaks."""
    images: Range = Range(least=0, most=4)
    """How many a conversation may hold."""
    images_in: Annotated[tuple[StrictStr, ...], BeforeValidator(_roles)] = ("user",)
    """The roles whose messages may hold images."""
    empty_text: Literal["allowed", "forbidden"] = "allowed"
    """Whether a text may be empty."""
    sides: Sides = Sides(least=1, most=LARGEST_SIDE)
    """Of an image, in pixels."""
    aspect: StrictInt = Field(default=LARGEST_ASPECT, ge=1, le=LARGEST_ASPECT)
    """How many times as long the longer side of an image may be."""

    def takes(self, width: int, height: int) -> bool:
        """Whether an image of this size is inside the limits."""
        shorter, longer = sorted((width, height))
        # Above the largest aspect only what a rule itself asks for is tried, and that is for the rule to say.
        in_form = self.aspect == LARGEST_ASPECT or longer <= shorter * self.aspect
        return self.sides.least <= shorter and longer <= self.sides.most and in_form

    @field_validator("roles", "images_in")
    @classmethod
    def _names(cls, roles: tuple[str, ...]) -> tuple[str, ...]:
        for role in roles:
            if not role.strip():
                raise PydanticCustomError("role", "expected the name of a role, found {role}", {"role": repr(role)})
            if roles.count(role) > 1:
                raise PydanticCustomError("role", "the role {role} is named twice", {"role": repr(role)})
            if role in ENDS:
                raise PydanticCustomError(
                    "role", "{role} cannot name a role: in template it stands for no message", {"role": repr(role)}
                )
        return roles

    @model_validator(mode="after")
    def _images_in_known_roles(self) -> Input:
        for role in self.images_in:
            if role not in self.roles:
                raise PydanticCustomError(
                    "role",
                    "images_in names the role {role}, which is not one of roles{hint}",
                    {"role": repr(role), "hint": nearest(role, self.roles)},
                )
        if not self.images.most:
            raise PydanticCustomError("images", "images allows none, so nothing about images would be tested", {})
        if not self.images_in and self.images.most:
            raise PydanticCustomError("role", "images_in is empty, but images allows some", {})
        return self


class Numbering(Model):
    """Tokens round the number of an image, such as ``<image_id>0</image_id>``."""

    open: StrictStr = Field(min_length=1)
    """The token in front of the number."""
    close: StrictStr = Field(min_length=1)
    """The token behind it."""
    when: Literal["always", "sliced"] = "always"
    """In front of every image, or of those that are sliced."""
    start: StrictInt = Field(default=0, alias="from")
    """The number of the first image."""


class Images(Model):
    """How one image is written."""

    grammar: StrictStr = "paired"
    """``paired``, ``rows``, ``run``, or ``module:function``."""
    open: Tokens = ()
    """The token that opens a span, or several that stand together."""
    close: Tokens = ()
    """The token that closes a span, or several that stand together."""
    placeholder: StrictStr = Field(min_length=1)
    """The token that is repeated once per slot."""
    slots: Annotated[StrictInt, Field(ge=1)] | StrictStr
    """How many placeholders an image has: a number, a rule by its size, or ``from_features``."""
    options: Options = {}
    """Keywords of the rule that ``slots`` names."""
    row_break: Annotated[StrictStr, Field(min_length=1)] | None = None
    """The token between two rows of placeholders, under the grammar ``rows``."""
    markers: dict[StrictStr, Annotated[StrictStr, Field(min_length=1)]] = {}
    """Role to token: what a grammar of one's own writes besides open and close."""
    order: StrictStr = "as_given"
    """How images move: ``as_given``, ``first_in_message``, ``first_in_conversation``, or ``module:function``."""
    number: Numbering | None = None
    """Tokens round the number of an image."""
    before: StrictStr = ""
    """Fixed text in front of an image's block."""
    after: StrictStr = ""
    """Fixed text behind an image's block."""

    @field_validator("grammar")
    @classmethod
    def _known_grammar(cls, name: str) -> str:
        return name if is_reference(name) else _known(lambda: grammars.grammar(name), name)

    @field_validator("markers")
    @classmethod
    def _free_roles(cls, markers: dict[str, str]) -> dict[str, str]:
        for role in markers:
            if re.sub(r"_[0-9]+$", "", role) in _BUILT_IN_ROLES:  # image_open_2: the second of two tokens
                raise PydanticCustomError("role", "{role} is a role of its own; choose another name", {"role": role})
            if not role.isidentifier():
                raise PydanticCustomError(
                    "role", "{role} cannot name a role; expected a name such as tile_break", {"role": repr(role)}
                )
        return markers

    @field_validator("slots")
    @classmethod
    def _known_rule(cls, slots: int | str) -> int | str:
        if isinstance(slots, str) and slots != "from_features" and not is_reference(slots):
            _known(lambda: slicing.rule(slots), slots)
        return slots

    @field_validator("order")
    @classmethod
    def _known_order(cls, name: str) -> str:
        if name not in ORDERS and not is_reference(name):
            raise PydanticCustomError(
                "order", "unknown order {name}{hint}", {"name": repr(name), "hint": nearest(name, ORDERS)}
            )
        return name

    @model_validator(mode="after")
    def _keys_fit_grammar(self) -> Images:
        if is_reference(self.grammar):
            return self._options_fit_slots()
        needed, taken = KEYS_OF_GRAMMARS.get(self.grammar, ((), ()))
        keys = ("open", "close", "number", "row_break", "markers")
        missing = [key for key in needed if not getattr(self, key)]
        if missing:
            raise PydanticCustomError(
                "grammar", "the grammar {name} needs {keys}", {"name": self.grammar, "keys": " and ".join(needed)}
            )
        foreign = [key for key in keys if getattr(self, key) and key not in (*needed, *taken)]
        if foreign:
            raise PydanticCustomError(
                "grammar",
                "the grammar {name} has no {keys} ({others})",
                {"name": self.grammar, "keys": " and ".join(foreign), "others": _grammars_with(foreign)},
            )
        return self._options_fit_slots()

    def _options_fit_slots(self) -> Images:
        if self.options and (isinstance(self.slots, int) or self.slots == "from_features"):
            raise PydanticCustomError(
                "options", "options belong to a rule named by slots, but slots is {slots}", {"slots": self.slots}
            )
        return self


ORDERS = ("as_given", "first_in_message", "first_in_conversation")
KEYS_OF_GRAMMARS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "paired": (("open", "close"), ("number",)),
    "rows": (("row_break", "close"), ()),
    "run": ((), ()),
}
"""Grammar to the keys of ``images`` that it needs and those that it takes besides."""


def _grammars_with(keys: list[str]) -> str:
    """Which grammars do have these keys: the remedy."""
    names = [name for name, (needed, taken) in KEYS_OF_GRAMMARS.items() if {*keys} <= {*needed, *taken}]
    return f"{' and '.join(names)} {'has' if len(names) == 1 else 'have'}" if names else "only module:function may have"


_BUILT_IN_ROLES = frozenset(f"{kind}_{side}" for kind in ("image", "slice", "number") for side in ("open", "close")) | {
    "placeholder",
    "row_break",
    "tile_break",
    "overview_open",
}


class Slices(Model):
    """How the slices of a large image are written, and the rule that says how many.

    ``flat``: ``open slots close`` for each, after the image's own span; ``nested``: one ``open .. close`` round
    image spans; ``same_span``: all inside the image's span, its overview ``first`` or ``last``.
    """

    grammar: Literal["flat", "nested", "same_span"] = "flat"
    """How slices are written: one after the other, inside one more pair, or in the image's own span."""
    open: Tokens = ()
    """The token that opens a slice, or several that stand together."""
    close: Tokens = ()
    """The token that closes a slice, or several that stand together."""
    row_break: StrictStr | None = None
    """Between two rows of slices: text (a newline unless given); under ``same_span`` a token, or nothing."""
    tile_break: Annotated[StrictStr, Field(min_length=1)] | None = None
    """Under ``same_span``: the token between two slices of a row."""
    overview: Literal["first", "last"] = "first"
    """Under ``same_span``: where the overview stands."""
    overview_open: Annotated[StrictStr, Field(min_length=1)] | None = None
    """Under ``same_span``: the token in front of the overview."""
    rule: StrictStr
    """The slice rule: an image's size to its tiles; a name, or ``module:function``."""
    options: Options = {}
    """Keywords of the rule."""

    @property
    def row_text(self) -> str:
        """The text between two rows, under ``flat`` and ``nested``."""
        return "\n" if self.row_break is None else self.row_break

    @model_validator(mode="after")
    def _keys_fit_grammar(self) -> Slices:
        brackets = ("open", "close")
        inside = ("tile_break", "overview_open")
        if self.grammar == "same_span":
            foreign, others = [key for key in brackets if getattr(self, key)], "flat and nested have"
            if self.row_break == "":
                raise PydanticCustomError("slices", "under same_span row_break is a token; leave it out for none", {})
        else:
            missing = [key for key in brackets if not getattr(self, key)]
            if missing:
                raise PydanticCustomError("slices", "slices under {name} need open and close", {"name": self.grammar})
            foreign, others = [key for key in inside if getattr(self, key)], "same_span has"
            if self.overview == "last":
                foreign.append("overview: last")
        if foreign:
            raise PydanticCustomError(
                "slices",
                "slices under {name} have no {keys} ({others})",
                {"name": self.grammar, "keys": " and ".join(foreign), "others": others},
            )
        return self

    @field_validator("rule")
    @classmethod
    def _known_rule(cls, name: str) -> str:
        return name if is_reference(name) else _known(lambda: slicing.rule(name), name)


def _known(look_up: Any, name: str) -> str:
    try:
        look_up()
    except ConfigError as error:
        raise PydanticCustomError("name", "{text}", {"text": str(error)}) from None
    return name


LiteralPolicy: TypeAlias = Literal["plain", "reject", "interpret"]


class Literals(Model):
    """What a marker means that a user, an assistant or a tool typed as text."""

    policy: LiteralPolicy = "plain"
    """It stays text, it is refused, or it becomes the marker."""
    tag: StrictStr | None = None
    """What data files write for an image."""
    per: dict[StrictStr, LiteralPolicy] = {}
    """Spelling to another policy."""

    @model_validator(mode="before")
    @classmethod
    def _from_policy(cls, data: Any) -> Any:
        return {"policy": data} if isinstance(data, str) else data

    def policy_for(self, spelling: str) -> LiteralPolicy:
        return self.per.get(spelling, self.policy)


class Labels(Model):
    """Which ids are learned: those of the answers, by default with what ends them."""

    roles: Annotated[tuple[StrictStr, ...], BeforeValidator(_roles), Field(min_length=1)] = ("assistant",)
    """Whose messages are learned."""
    end_token: Literal["included", "excluded"] = "included"
    """Whether what ends an answer is learned too."""
    shift: StrictInt = Field(default=0, ge=0, le=1)
    """0: a label is the id at its own place; 1: the id at the next one."""


SideArray: TypeAlias = Literal["labels", "attention_mask", "token_type_ids", "position_ids"]


class Truncation(Model):
    """What the pipeline does with a conversation that is longer than the ``max_length`` that it is given."""

    policy: Literal["never_split", "reject", "drop_images", "keep_images", "unsupported"] = "unsupported"
    """``never_split``: cut, but no span in two; ``drop_images``: whole images go first; ``reject``: refused;
    ``keep_images``: text alone is cut, and what would take a placeholder away is refused."""
    side: Literal["right", "left"] = "right"
    """The side that is cut off."""
    keep_bos: StrictBool = True
    """Whether a BOS in front stays in front where the left side is cut off."""

    @model_validator(mode="before")
    @classmethod
    def _from_policy(cls, data: Any) -> Any:
        return {"policy": data} if isinstance(data, str) else data


ENDS = ("begin", "end")
"""The keys of ``template`` that are no roles: what is written before the first message and behind the last."""

Template: TypeAlias = dict[StrictStr, Annotated[tuple[StrictStr, StrictStr], BeforeValidator(_roles)]]


class Contract(Model):
    """All that a subject promises; see the chapter on the YAML in the README."""

    input: Input = Input()
    """Which conversations the subject promises to take."""
    bos: Literal["none", "exactly_once", "after_images"]
    """Where BOS stands in the final ids: nowhere, once in front, or behind leading images."""
    images: Images
    """How an image is written."""
    slices: Slices | None = None
    """How the slices of a large image are written; absent: nothing is sliced."""
    literals: Literals = Literals()
    """What marker text means that somebody typed."""
    template: Template | None = None
    """Role to the text before and behind its messages; ``begin`` and ``end``: round all of them. Absent: unknown."""
    trim: Literal["none", "message", "text"] = "none"
    """What the pipeline strips blanks from: nothing, the edges of each message, or the edges of each piece of text."""
    labels: Labels = Labels()
    """Which ids are learned."""
    pad: StrictStr | None = None
    """The padding token of a batch, where it is not the one that the tokenizer names."""
    token_types: StrictInt = 1
    """How ``token_type_ids`` mark placeholders; everything else is 0."""
    truncation: Truncation = Truncation()
    """What happens beyond ``max_length``."""
    batch_fill: dict[SideArray, StrictInt] = {}
    """Side array to what stands in it on the padding of a batch, where that is not 0 (-100 for labels)."""

    _folder: Path | None = PrivateAttr(default=None)

    @field_validator("template")
    @classmethod
    def _roles_of_input(cls, template: Template | None, info: ValidationInfo) -> Template | None:
        promised = info.data.get("input")  # absent where it is wrong itself
        known = (*promised.roles, *ENDS) if promised is not None else ()
        for key in template or ():
            if known and key not in known:
                raise PydanticCustomError(
                    "template",
                    "there is no role {key} in input.roles{hint}",
                    {"key": repr(key), "hint": nearest(key, known), "where": key},
                )
        return template

    @model_validator(mode="after")
    def _consistent(self) -> Contract:
        if self.slices is not None and self.images.grammar != "paired":
            raise PydanticCustomError(
                "slices", "slices need the grammar paired, not {name}", {"name": self.images.grammar}
            )
        if self.slices is not None and isinstance(self.images.slots, str):
            raise PydanticCustomError("slices", "with slices, slots is a number: the slots of each block", {})
        spelled: dict[str, str] = {}
        for role, token in self.markers.items():
            if token in spelled:
                raise PydanticCustomError(
                    "markers",
                    "{token} is both {one} and {other}; no two roles may share a token",
                    {"token": repr(token), "one": spelled[token], "other": role},
                )
            spelled[token] = role
        return self

    @cached_property
    def markers(self) -> dict[str, str]:
        """Role to token, the placeholder among them: ``image_open``, ``slice_close``, ``placeholder``, ..."""
        found: dict[str, str] = {}
        for kind, brackets in (("image", self.images), ("slice", self.slices)):
            if brackets is not None:
                for role, tokens in ((f"{kind}_open", brackets.open), (f"{kind}_close", brackets.close)):
                    for marker, token in zip(grammars.markers(role, len(tokens)), tokens, strict=True):
                        found[marker.role] = token
        found |= self.images.markers
        if self.images.row_break is not None:
            found["row_break"] = self.images.row_break
        if self.slices is not None and self.slices.grammar == "same_span":
            inside = ("tile_break", "row_break", "overview_open")
            found |= {role: token for role in inside if (token := getattr(self.slices, role)) is not None}
        if self.images.number is not None:
            found["number_open"] = self.images.number.open
            found["number_close"] = self.images.number.close
        found["placeholder"] = self.images.placeholder
        return found

    def layout(self, width: int, height: int, number_of_images: int) -> Layout:
        """The layout of an image of this size in pixels.

        Raises:
            ValueError: ``slots: from_features``; then only the features of an encoding know it.
        """
        slots = self.images.slots
        if self.slices is not None:
            options = {"slots": slots, **self.slices.options}
            return slicing.rule(self.slices.rule, self._folder)(width, height, number_of_images, **options)
        if slots == "from_features":
            raise ValueError("with slots: from_features the layout is not known from the size")
        if isinstance(slots, int):
            return slicing.rule("fixed")(width, height, number_of_images, slots=slots)
        return slicing.rule(slots, self._folder)(width, height, number_of_images, **self.images.options)

    @property
    def folder(self) -> Path | None:
        """The folder in which ``module:function`` names are looked up first."""
        return self._folder

    def locate(self, folder: Path) -> Contract:
        """This contract, its ``module:function`` names looked up in ``folder`` first."""
        self._folder = folder
        return self
