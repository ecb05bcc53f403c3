"""What a release says of itself, from CHANGELOG.md: ``python docs/site/release_notes.py v1.2.3``.

Ends with 1, and one line, where the tag is not the version in pyproject.toml, or the version's section has no date yet.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def notes(tag: str, project: str, changelog: str) -> str:
    """The section of the version that the tag names, without its headline.

    Args:
        tag: ``v`` and the version.
        project: pyproject.toml.
        changelog: CHANGELOG.md, whose sections begin with ``## VERSION (YYYY-MM-DD)``.

    Raises:
        ValueError: this is no release yet.
    """
    version = re.findall(r'^version = "(.+)"$', project, re.MULTILINE)[0]
    if tag != f"v{version}":
        raise ValueError(f"the tag is {tag!r}, but pyproject.toml says {version}, so v{version} was expected")
    sections = re.split(r"^## +", changelog, flags=re.MULTILINE)[1:]
    found = [section.partition("\n") for section in sections if section.split(maxsplit=1)[0] == version]
    if not found:
        raise ValueError(f"CHANGELOG.md has no section ## {version}")
    headline, _, text = found[0]
    if not re.fullmatch(rf"{re.escape(version)} \(\d{{4}}-\d\d-\d\d\)", headline.strip()):
        raise ValueError(f"CHANGELOG.md has '## {headline.strip()}', expected '## {version} (YYYY-MM-DD)'")
    return text.strip() + "\n"


def main(*tags: str) -> int:
    try:
        if len(tags) != 1:
            raise ValueError(f"expected one tag, such as v1.2.3, found {len(tags)}")
        read = [(ROOT / name).read_text(encoding="utf-8") for name in ("pyproject.toml", "CHANGELOG.md")]
        print(notes(tags[0], *read), end="")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
