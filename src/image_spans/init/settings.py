"""What the files beside a tokenizer say: configurations of tokenizer, processor, image processor and model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from image_spans.processors import saved

_FILES = {
    "tokenizer": "tokenizer_config.json",
    "processor": "processor_config.json",
    "images": "preprocessor_config.json",
    "model": "config.json",
}


@dataclass(frozen=True)
class Settings:
    """The configurations, each a mapping (empty where there is no such file), and the name of the file of each."""

    parts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    processor_class: str | None = None
    """That of the call, or of the files."""

    def get(self, place: str) -> Any:
        """The value at ``part.key.key``; None where there is none."""
        part, *keys = place.split(".")
        value: Any = self.parts.get(part, {})
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    @property
    def image_processor(self) -> str | None:
        """The image processor's class by its plain name, whatever backend it was saved on."""
        name = self.get("images.image_processor_type") or self.get("images.feature_extractor_type")
        if not isinstance(name, str):
            return None
        return name.removesuffix("Pil").removesuffix("Fast").replace("FeatureExtractor", "ImageProcessor")

    @property
    def model_type(self) -> str | None:
        name = self.get("model.model_type")
        return name if isinstance(name, str) else None


def read(folder: Path | None, processor_class: str | None = None) -> Settings:
    """The settings in a folder; none where there is no folder.

    Raises:
        ConfigError: a file is there and is not a JSON mapping.
    """
    parts: dict[str, Mapping[str, Any]] = {}
    files: dict[str, str] = {}
    for part, name in _FILES.items():
        path = None if folder is None else folder / name
        if path is not None and path.is_file():
            parts[part], files[part] = saved(path), name
    nested = parts.get("processor", {}).get("image_processor")
    if "images" not in parts and isinstance(nested, Mapping):  # one file for all, since transformers 5
        parts["images"], files["images"] = nested, _FILES["processor"]
    said = (parts.get(part, {}).get("processor_class") for part in ("processor", "images", "tokenizer"))
    found = processor_class or next((name for name in said if isinstance(name, str)), None)
    return Settings(parts, files, found)


ROLES: Mapping[str, tuple[str, ...]] = {
    "placeholder": ("context_image_token", "img_context_token", "img_patch_token", "image_token", "unk"),
    "open": (
        *("start_image_token", "image_start_token", "start_of_img_token", "vision_start_token", "vision_bos_token"),
        *("boi_token", "im_start"),
    ),
    "close": (
        *("end_image_token", "image_end_token", "end_of_img_token", "vision_end_token", "vision_eos_token"),
        *("eoi_token", "im_end"),
    ),
    "row_break": ("image_break_token",),
    "slice_open": ("slice_start_token", "slice_start"),
    "slice_close": ("slice_end_token", "slice_end"),
    "number_open": ("image_id_start_token", "im_id_start"),
    "number_close": ("image_id_end_token", "im_id_end"),
}
"""Role to the keys under which checkpoints name its token; with ``_id`` or ``_index`` behind, its id."""


def named(settings: Settings, tokens: Mapping[int, str]) -> dict[str, tuple[str, str]]:
    """Role to the token that the files name, and where they do.

    Args:
        settings: the files.
        tokens: id to token, of those that are no ordinary text; what names none of them is passed over.
    """
    spelled = frozenset(tokens.values())
    found: dict[str, tuple[str, str]] = {}
    for role, keys in ROLES.items():
        for key in keys:
            for part, values in settings.parts.items():
                inside = values.get("extra_special_tokens")
                for one in (values, inside if isinstance(inside, Mapping) else {}):
                    token = _token(one, key, tokens)
                    if token in spelled:
                        found.setdefault(role, (token, f"{key} in {settings.files[part]}"))
    return found


def _token(values: Mapping[str, Any], key: str, tokens: Mapping[int, str]) -> str:
    value = values.get(key)
    if isinstance(value, Mapping):  # an AddedToken
        value = value.get("content")
    if isinstance(value, str):
        return value
    numbers = (values.get(f"{key}_{ending}") for ending in ("id", "index"))
    return next((tokens[one] for one in numbers if type(one) is int and one in tokens), "")
