"""Reports as one HTML file each, without network and almost without script; jinja2 comes with the extra ``html``."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from image_spans.errors import ConfigError
from image_spans.findings import one_line

GENERATOR = '<meta name="generator" content="pytest-image-spans">'
"""By which a report of ours is known."""
_HEAD = 2_000
"""Bytes at the beginning of a file in which it stands."""


def require(name: str) -> None:
    """Refuse an option that needs jinja2 where it is not installed.

    Raises:
        ConfigError: it is not.
    """
    if importlib.util.find_spec("jinja2") is None:
        raise ConfigError(f"{name} needs jinja2, which is not installed: pip install 'pytest-image-spans[html]'")


def refuse_to_replace(name: str, path: Path, mark: str = GENERATOR, *, begins: bool = False) -> None:
    """Refuse to write over a file that no report of ours is: a slip of the keyboard must not cost a YAML.

    Args:
        name: of the option.
        path: its file.
        mark: by which a report of it is known.
        begins: whether the file begins with the mark, instead of holding it near its beginning.

    Raises:
        ConfigError: such a file is there.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        head = file.read(_HEAD)
    ours = head.startswith(mark.encode()) if begins else mark.encode() in head
    if head and not ours:
        raise ConfigError(
            one_line(f"{name} {path}: is there already, and is no report of this option; name another file")
        )
