"""GitHub Actions: what it tells a run by its environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass
class GitHub:
    """What is known of the workflow that runs us; empty elsewhere, in xdist's workers, and where it is switched off."""

    annotates: bool = False
    summary: Path | None = None
    """The file to which the steps of a job add Markdown."""
    workspace: Path | None = None
    """The folder from which files are named."""
    trouble: str | None = None
    """Why the summary could not be written."""

    @staticmethod
    def of(environment: Mapping[str, str]) -> GitHub:
        """What an environment tells."""
        summary, workspace = environment.get("GITHUB_STEP_SUMMARY"), environment.get("GITHUB_WORKSPACE")
        return GitHub(
            annotates=environment.get("GITHUB_ACTIONS") == "true",
            summary=Path(summary) if summary else None,
            workspace=Path(workspace) if workspace else None,
        )

    def shown(self, file: Path, root: Path) -> str:
        """A file as GitHub names it: from the workspace, else from pytest's root."""
        for folder in (self.workspace, root):
            if folder is not None and file.is_relative_to(folder.resolve()):
                return file.relative_to(folder.resolve()).as_posix()
        return os.path.abspath(file)
