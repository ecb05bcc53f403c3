"""Where a value of a checkpoint stands in its files, or how it follows from them; what a row of the table is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from image_spans.init.settings import Settings

Place: TypeAlias = str | tuple[str, ...] | Callable[[Settings], Any]
"""``part.key.key``, the first of several that there is, or what computes it (None: it cannot)."""


def value(settings: Settings, place: Place) -> Any:
    """What stands at a place; None where nothing does."""
    if callable(place):
        return place(settings)
    for one in (place,) if isinstance(place, str) else place:
        found = settings.get(one)
        if isinstance(found, Mapping) and set(found) == {"height", "width"}:
            found = found["height"]  # all rules know squares only
        if found is not None and not isinstance(found, Mapping):
            return found
    return None


def square(side: Place, patch: Place, more: Callable[[Settings], int] = lambda _: 0) -> Place:
    """The slots of a square: its patches, and ``more``."""

    def count(settings: Settings) -> int | None:
        length, step = value(settings, side), value(settings, patch)
        if type(length) is not int or type(step) is not int or step < 1:
            return None
        per_side = int(length // step)
        return per_side * per_side + more(settings)

    return count


def class_token(settings: Settings) -> int:
    """What LLaVA's vision tower gives besides patches, unless that is left out."""
    extra = settings.get("processor.num_additional_image_tokens")
    drops = bool(settings.get("processor.vision_feature_select_strategy") != "full")
    return (extra if type(extra) is int else 1) - drops


def constant(constant: Any) -> Place:
    """A value that every checkpoint has."""
    return lambda _: constant


def negated(place: str) -> Place:
    return lambda settings: None if settings.get(place) is None else not settings.get(place)


def llama4_slots(settings: Settings) -> int | None:
    side, patch = (
        value(settings, "images.size"),
        value(settings, ("processor.patch_size", "model.vision_config.patch_size")),
    )
    ratio = value(settings, ("processor.pixel_shuffle_ratio", "model.vision_config.pixel_shuffle_ratio"))
    if type(side) is not int or type(patch) is not int or not isinstance(ratio, float):
        return None
    return round((side // patch) ** 2 * ratio**2)


def internvl_chat_slots(settings: Settings) -> int | None:
    side = value(settings, ("model.force_image_size", "model.vision_config.image_size"))
    patch, ratio = value(settings, "model.vision_config.patch_size"), value(settings, "model.downsample_ratio")
    if type(side) is not int or type(patch) is not int or not isinstance(ratio, float):
        return None
    return int((side // patch) ** 2 * ratio**2)


def minicpm4_6_slots(settings: Settings) -> int | None:
    side = value(settings, "images.scale_resolution")
    merged = 4 if settings.get("images.downsample_mode") == "4x" else 16
    return (side // 14) ** 2 // merged if type(side) is int else None


def pixtral_patch(settings: Settings) -> int | None:
    patch = value(settings, ("processor.patch_size", "images.patch_size"))
    merge = value(settings, ("processor.spatial_merge_size", "model.spatial_merge_size"))
    return patch * (merge if type(merge) is int else 1) if type(patch) is int else None


def aya_slots(settings: Settings) -> int | None:
    side, patch, factor = (settings.get(f"processor.{key}") for key in ("img_size", "patch_size", "downsample_factor"))
    return (side // (patch * factor)) ** 2 if all(type(one) is int and one for one in (side, patch, factor)) else None


def anyres_most(settings: Settings) -> int | None:
    text = value(settings, ("processor.vision_aspect_ratio", "model.vision_aspect_ratio"))
    number = text.removeprefix("anyres_max_") if isinstance(text, str) else ""
    return int(number) if number.isdigit() else None


def onevision_patch(settings: Settings) -> int | None:
    side, slots = value(settings, "images.size"), value(settings, "processor.num_image_tokens")
    if type(side) is not int or type(slots) is not int or math.isqrt(slots) ** 2 != slots or not slots:
        return None
    return side // math.isqrt(slots)


def aria_slots(settings: Settings) -> Any:
    return value(settings, f"processor.size_conversion.{settings.get('images.max_image_size')}")


@dataclass(frozen=True)
class Row:
    """One way to one rule."""

    rule: str
    image_processors: tuple[str, ...]
    grammar: Literal["run", "paired", "rows", "own"]
    options: Mapping[str, Place] = field(default_factory=dict)
    """Option of the rule to where it stands."""
    processors: tuple[str, ...] = ()
    """Where the image processor serves several families: those that follow this rule."""
    model_types: tuple[str, ...] = ()
    """The same, as config.json names them; for code that lies in model repositories."""
    slots: Place | None = None
    """Where the number of slots of each block stands: an option of the rule, and the contract's number under slices."""
    placeholder: str | None = None
    """The token that the processor puts in for the one that it names, as :mod:`names` writes it."""
    splits: str | None = None
    """The switch of splitting: where it is false, an image is one block."""
    around: tuple[str, str] = ("", "")
    """Text that the processor writes before and behind an image."""
    slices: Mapping[str, Any] | None = None
    """Further keys of ``contract.slices``, where blocks are slices of their own."""
    counts: Mapping[str, Place] | None = None
    """The rule that reads features in the image processor's output (``pipelines/_counts.py``), with its options."""
