"""What runs inside a world: ``python -m image_spans _record`` writes each subject's record, and what the checks say.

The file is JSON lines, each written as soon as it is known: if a library takes the process with it, the line that says
what was under way is the last one.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

DESCRIPTION = "write how subjects behave in this environment; used by compare"
PROFILE = "spans-ci"
"""It is derandomised, so that two worlds draw the same conversations."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--subjects", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="by default all")
    parser.add_argument("--checks", action="store_true", help="run the checks too")
    parser.add_argument("--profile", default=PROFILE)
    parser.set_defaults(run=main)


def main(chosen: argparse.Namespace) -> int:
    """0: all was written; 2: the file of subjects cannot be read here."""
    from image_spans import config
    from image_spans.errors import ConfigError
    from image_spans.foreign import Foreign

    with chosen.out.open("a", encoding="utf-8") as out:
        _write(out, versions=_versions())
        try:
            specs = config.read(chosen.subjects)
        except ConfigError as error:
            _write(out, trouble=str(error))
            return 2
        foreign = Foreign(60.0, os.dup(2))
        loaded = [_recorded(spec, foreign, out) for spec in specs if not chosen.only or spec.name in chosen.only]
        foreign.close()
        if chosen.checks and any(loaded):
            _write(out, begin="the checks")
            said = _judged(chosen.subjects, chosen.only, chosen.profile)
            _write(out, **said)
    return 0


def _write(out: TextIO, **line: Any) -> None:
    out.write(json.dumps(line) + "\n")
    out.flush()


def _versions() -> dict[str, str]:
    return {one.metadata["Name"].lower().replace("_", "-"): one.version for one in importlib.metadata.distributions()}


def _recorded(spec: Any, foreign: Any, out: TextIO) -> bool:
    """Whether a subject could be had."""
    from image_spans import config
    from image_spans.case import Bench
    from image_spans.errors import ConfigError, Unavailable, words
    from image_spans.findings import one_line
    from image_spans.lock.record import record

    _write(out, begin=spec.name)
    try:
        reason = spec.missing()
        if reason is not None:
            raise Unavailable(reason)
        subject = foreign.call(lambda: f"loading {spec.name}", lambda: config.load(spec), limit=600.0)
        _write(out, subject=spec.name, record=record(spec, Bench(subject, foreign)))
    except (ConfigError, Unavailable) as error:
        # Without file and line, which are the same in every world, or of another file.
        _write(out, subject=spec.name, error=one_line(str(error)).rpartition(f"subjects.{spec.name}: ")[2])
        return False
    except Exception as error:  # a library's, where the record did not expect one
        _write(out, subject=spec.name, error=one_line(f"recording it raised {words(error)}"))
        return False
    return True


_WEIGHT = {"not judged": 0, "passes": 1, "known to fail": 2, "fails": 3}
"""A check is judged at several positions; the worst of what is said there stands."""


class _Collector:
    """A plugin of pytest: what each check said of each subject."""

    def __init__(self, only: Sequence[str]) -> None:
        self._only = set(only)
        self.said: dict[str, dict[str, dict[str, Any]]] = {}

    def pytest_collection_modifyitems(self, config: Any, items: list[Any]) -> None:
        if self._only:
            left = [one for one in items if one.callspec.params["subject"].name not in self._only]
            items[:] = [one for one in items if one.callspec.params["subject"].name in self._only]
            config.hook.pytest_deselected(items=left)

    def pytest_runtest_logreport(self, report: Any) -> None:
        record = getattr(report, "image_spans", None)
        if record is None:
            return
        is_now = {"passed": "passes", "failed": "fails", "known": "known to fail"}.get(record["status"], "not judged")
        said = self.said.setdefault(record["name"], {}).setdefault(record["check"], {"is": is_now, "causes": []})
        said["is"] = max(said["is"], is_now, key=_WEIGHT.__getitem__)
        causes = {one["cause"]["name"] for one in record["findings"] if one["check"] == record["check"]}
        said["causes"] = sorted(causes | set(said["causes"]))


def _judged(subjects: Path, only: Sequence[str], profile: str) -> dict[str, Any]:
    """The verdicts, or why there are none."""
    import pytest

    collector = _Collector(only)
    with tempfile.TemporaryDirectory() as empty:
        # Not the user's settings and conftest.py: they may ask for plugins that are not in this environment.
        Path(empty, "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        arguments = ["--rootdir", empty, "-c", str(Path(empty, "pytest.ini")), "--noconftest", "-q", "--tb=no"]
        arguments += ["-p", "no:cacheprovider", "-p", "no:randomly", f"--hypothesis-profile={profile}"]
        # Typed as an argument too: else pytest collects the tests of the folder that it is run in.
        file = str(subjects.resolve())
        code = pytest.main([*arguments, "--spans-subjects", file, file], plugins=[collector])
    if code in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        return {"checks": collector.said}
    return {"trouble": f"pytest ended with {pytest.ExitCode(code).name if code in list(pytest.ExitCode) else code}"}
