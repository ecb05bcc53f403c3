"""What holds for all tests of the project."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def in_no_workflow():
    """A workflow that runs these tests must not hear of the findings that runs inside of them make on purpose."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE"):
            patch.delenv(name, raising=False)
        yield
