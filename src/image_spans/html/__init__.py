"""Reports as one HTML file each, without network and almost without script; jinja2 comes with the extra ``html``."""

from __future__ import annotations

import importlib.util

from image_spans.errors import ConfigError

GENERATOR = '<meta name="generator" content="pytest-image-spans">'
"""By which a report of ours is known."""


def require(name: str) -> None:
    """Refuse an option that needs jinja2 where it is not installed.

    Raises:
        ConfigError: it is not.
    """
    if importlib.util.find_spec("jinja2") is None:
        raise ConfigError(f"{name} needs jinja2, which is not installed: pip install 'pytest-image-spans[html]'")
