"""This package itself, as a folder that another environment can have on its path without installing it."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from image_spans import plugin, sources
from image_spans.errors import ConfigError

DISTRIBUTION = "pytest-image-spans"
_PACKAGE = Path(plugin.__file__).parent
_SKIPPED = shutil.ignore_patterns("__pycache__", "*.pyc")


@dataclass(frozen=True)
class Own:
    """What is known of this distribution, installed or not."""

    version: str
    requires: tuple[str, ...]
    """Requirements without those of extras."""
    entry_points: tuple[tuple[str, str, str], ...]
    """Group, name and value: how pytest and Hypothesis find us."""


def described() -> Own:
    """What the clone says that this module is in, else what was installed.

    Raises:
        ConfigError: neither is there.
    """
    project = _PACKAGE.parents[1] / "pyproject.toml"
    if project.is_file() and f'name = "{DISTRIBUTION}"' in project.read_text(encoding="utf-8"):
        return _from_project(_toml(project))
    try:
        installed = importlib.metadata.distribution(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        raise ConfigError(
            f"{DISTRIBUTION} is neither installed nor a clone, so what it requires is not known"
        ) from None
    requires = tuple(text for text in installed.requires or () if "extra ==" not in text)
    return Own(installed.version, requires, tuple((one.group, one.name, one.value) for one in installed.entry_points))


def _from_project(data: dict[str, Any]) -> Own:
    project = data["project"]
    entries = [
        (group, name, value)
        for group, points in project.get("entry-points", {}).items()
        for name, value in points.items()
    ]
    return Own(project["version"], tuple(project["dependencies"]), tuple(entries))


def _toml(path: Path) -> dict[str, Any]:
    # tomllib is there from Python 3.11 on; before, pytest brings tomli.
    library = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    data: dict[str, Any] = library.loads(path.read_text(encoding="utf-8"))
    return data


def folder() -> Path:
    """A folder with a copy of this package, made once for each state of its files.

    Raises:
        Unavailable: it cannot be written.
        ConfigError: as :func:`described`.
    """
    own, suite = described(), plugin.suite_folder()
    home = sources.cache_folder() / "worlds" / f"own-{_digest(own, (_PACKAGE, suite))}"
    if not home.is_dir():  # it is put there by one rename, so it is whole
        with sources.scratch_folder(home.parent) as scratch:
            made = scratch / "own"
            shutil.copytree(_PACKAGE, made / "image_spans", ignore=_SKIPPED)
            if suite.parent != _PACKAGE:
                shutil.copytree(suite, made / "image_spans" / "suite", ignore=_SKIPPED)
            info = made / f"{DISTRIBUTION.replace('-', '_')}-{own.version}.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {DISTRIBUTION}\nVersion: {own.version}\n")
            lines = []
            for group in dict.fromkeys(group for group, _, _ in own.entry_points):
                lines += [f"[{group}]", *(f"{name} = {value}" for one, name, value in own.entry_points if one == group)]
            (info / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
            sources.put_in_place(made, home, home.is_dir)
    return home


def _digest(own: Own, folders: Sequence[Path]) -> str:
    digest = hashlib.sha256(repr(own).encode())
    for place in folders:
        for path in sorted(place.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(place).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
