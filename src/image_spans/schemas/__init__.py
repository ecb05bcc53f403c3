"""JSON Schemas of the files that people and other programs read: the YAML of subjects, the lock, and findings.

Each is a file here, named by what it describes and its version, and stays as it is once it was released: what is
added later is optional, and a change of meaning gets a new number.
"""

from __future__ import annotations

from pathlib import Path

FILES = {"subjects": "subjects-1.json", "lock": "lock-1.json", "findings": "findings-1.json"}


def text(name: str) -> str:
    """The schema of ``subjects``, ``lock`` or ``findings``, as JSON."""
    return Path(__file__).with_name(FILES[name]).read_text(encoding="utf-8")
