"""From data to HTML: templates that escape, and a policy that lets the browser run and load nothing else."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from image_spans.exhibit import nested
from image_spans.html import GENERATOR
from image_spans.html.drawing import drawings
from image_spans.html.statuses import GLYPHS, WORDS
from image_spans.html.visible import token, unmarked, visible, visible_lines

_TEMPLATES = Path(__file__).with_name("templates")


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(visible=visible, visible_lines=visible_lines, token=token, unmarked=unmarked)
    environment.globals.update(nested=nested, drawings=drawings, GLYPHS=GLYPHS, WORDS=WORDS)
    return environment


def document(template: str, **given: Any) -> str:
    """A whole document.

    Args:
        template: the file among the templates.
        given: what it shows.
    """
    style, script = (Markup((_TEMPLATES / name).read_text(encoding="utf-8")) for name in ("style.css", "script.js"))
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    page = _environment().get_template(template)
    return page.render(style=style, script=script, policy=policy, generator=Markup(GENERATOR), **given)


def _hash(text: str) -> str:
    """The source expression of an inline style or script: the browser compares it with the element's text."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
