"""What MkDocs needs to know of this repository: links of pages to files beside ``docs`` lead to the repository.

The pages are read on GitHub too, where such a link is relative. Where the site is built without knowing its repository
(``GITHUB_REPOSITORY``), the name of the file stays, without a link.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\[([^\]]+)\]\((\.\.?/[^)#\s]*)(#[^)\s]*)?\)")


def repository() -> str:
    """Where a file of the main branch is shown, to be followed by its path; empty: not known."""
    name = os.environ.get("GITHUB_REPOSITORY", "")
    return f"{os.environ.get('GITHUB_SERVER_URL', 'https://github.com')}/{name}/blob/main/" if name else ""


def outside(markdown: str, page: Path, where: str) -> str:
    """The text of a page with its links to files outside of ``docs`` as they are on the site."""

    def replaced(link: re.Match[str]) -> str:
        text, path, place = link[1], link[2], link[3] or ""
        target = (page.parent / path).resolve()
        if target.is_relative_to(ROOT / "docs") or not target.exists():
            return link[0]  # MkDocs resolves it, and warns of what is not there
        return f"[{text}]({where}{target.relative_to(ROOT).as_posix()}{place})" if where else text

    return LINK.sub(replaced, markdown)


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Called by MkDocs for each page."""
    return outside(markdown, Path(page.file.abs_src_path), repository())
