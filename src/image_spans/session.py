"""One pytest run over the subjects: what is tested, how each item ends, what is counted."""

from __future__ import annotations

import os
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from image_spans import checks, config, strategies
from image_spans.conversation import Conversation, parse_conversation
from image_spans.engine import FAMILIES, Engine, Pass, diagnosed, profile_of
from image_spans.errors import ConfigError, Unavailable
from image_spans.findings import Finding
from image_spans.foreign import MISBEHAVIOUR, Foreign
from image_spans.loaders import observed
from image_spans.subject import Subject

_ITEM = re.compile(r"(?P<file>.*?)::test_(?P<family>subject|conversation|literals|relation)\[(?P<id>.*)\]$")


FIRST_CHECK = "contract.tokens"
"""The check that says when a subject cannot be loaded; the others are blocked by it."""
DEFAULT_TIMEOUT = 60.0
"""Seconds that one call of a pipeline may take."""
LOADING = 10
"""How many times longer than a call of the pipeline the loading of a subject may take."""


def subject_of(nodeid: str) -> str | None:
    """File and subject of one of our items, from its node id; None for other tests.

    Positions and checks hold no dash, so the last dashes of the id are those that we put in.
    """
    match = _ITEM.match(nodeid)
    if match is None:
        return None
    dashes = 1 if match["family"] == "subject" else 2
    return f"{match['file'].partition('::')[0]}::{match['id'].rsplit('-', dashes)[0]}"


@dataclass(frozen=True)
class Trial:
    """One item: a subject, a check, and where the images stand."""

    subject: config.SubjectSpec
    position: str
    check: str
    marks: Sequence[pytest.MarkDecorator] = ()

    @property
    def id(self) -> str:
        return "-".join(part for part in (self.subject.name, self.position, self.check) if part)


@dataclass
class _File:
    """One YAML and what became of it."""

    specs: list[config.SubjectSpec]
    missing: dict[str, str]
    """Subject to the reason why it cannot be had."""


@dataclass
class Outcomes:
    """What the summary shows."""

    cells: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    """(subject, group of checks) to outcome to number of items."""
    statistics: dict[str, list[str]] = field(default_factory=dict)
    loaders: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    """A file that several subjects load, to subject, to what was observed of it."""
    blocked: dict[str, str] = field(default_factory=dict)


class Session:
    """The state of one pytest run.

    Raises:
        ConfigError: anything that the user wrote is wrong, or no subject can be tested.
    """

    def __init__(self, pytest_config: pytest.Config, paths: Iterable[Path]) -> None:
        self._config = pytest_config
        self._chosen = _chosen_checks(pytest_config.getoption("spans_checks"))
        self._only = _only(pytest_config.getoption("spans_conversation"))
        self.files = {path: self._read(path) for path in paths}
        self.foreign = Foreign(_seconds(pytest_config.getoption("spans_timeout")), os.dup(2))
        self.default_file = next(iter(self.files))
        self.outcomes = Outcomes()
        self.collected: set[Path] = set()
        """The files that pytest came across."""
        self.unavailable: dict[str, str] = {}
        """Subject to the reason why its tokenizer could not be loaded after all."""
        self._loaded: dict[config.SubjectSpec, Subject | ConfigError | Unavailable] = {}
        self._engines: dict[Path, Engine] = {}
        self._selected: set[tuple[config.SubjectSpec, str, str]] = set()
        self._reported: dict[tuple[str, str], str] = {}
        self._statistics_shown: set[tuple[str, str, str]] = set()
        self._refuse_checks_that_apply_nowhere(pytest_config.getoption("spans_checks"))

    @cached_property
    def base_seed(self) -> int:
        """From which all draws are seeded; asked for when all plugins are configured, --hypothesis-profile too."""
        return _base_seed(self._config)

    def _read(self, path: Path) -> _File:
        specs = config.read(path)
        missing: dict[str, str] = {}
        for spec in specs:
            # xdist's workers find what the controller has fetched.
            if self._config.getoption("spans_fetch") and not hasattr(self._config, "workerinput"):
                try:
                    spec.fetch()
                except Unavailable as error:
                    missing[spec.name] = str(error)
            reason = spec.missing()
            if reason is not None:
                missing.setdefault(spec.name, reason)
        reasons = "; ".join(f"{name}: {reason}" for name, reason in missing.items())
        if missing and self._config.getoption("spans_require_all"):
            raise ConfigError(f"{path.name}: --spans-require-all, but {len(missing)} cannot be had: {reasons}")
        if len(missing) == len(specs):
            raise ConfigError(f"{path.name}: none of its subjects can be had, so nothing would be tested: {reasons}")
        return _File(specs, missing)

    def _refuse_checks_that_apply_nowhere(self, option: str | None) -> None:
        families = ("once", *FAMILIES)
        if self._chosen is None or any(self.trials(path, family) for path in self.files for family in families):
            return
        registered = checks.checks()
        specs = [spec for file in self.files.values() for spec in file.specs]
        reasons = (
            registered[name].inapplicable(spec.contract, frozenset(spec.pipeline.returns))
            for name in self._chosen
            for spec in specs
        )
        why = "; ".join(dict.fromkeys(reason for reason in reasons if reason))
        raise ConfigError(f"--spans-checks: {option} applies to no subject{f': {why}' if why else ''}")

    # ------------------------------------------------------------ collection

    def trials(self, path: Path, family: str) -> list[Trial]:
        """The items of one file and family of checks."""
        file = self.files[path]
        trials = []
        for spec in file.specs:
            if spec.name in file.missing:
                if family == "once":
                    skip = pytest.mark.skip(reason=f"{spec.name} cannot be had: {file.missing[spec.name]}")
                    trials.append(Trial(spec, "", "unavailable", (skip,)))
                continue
            for check in checks.checks().values():
                if check.family != family or (self._chosen is not None and check.name not in self._chosen):
                    continue
                if check.inapplicable(spec.contract, frozenset(spec.pipeline.returns)) is None:
                    trials += [Trial(spec, position, check.name) for position in self._positions(spec, check)]
        return trials

    def _positions(self, spec: config.SubjectSpec, check: checks.Check) -> list[str]:
        if check.family == "once":
            return [""]
        profile = strategies.Profile.limits(spec.contract)
        wanted = check.positions or strategies.POSITIONS
        return [position for position in wanted if strategies.applies(position, profile)]

    def selected(self, items: Iterable[pytest.Item]) -> None:
        """Remember which (subject, position, check) will run: a failure must not hide behind an item that does not."""
        for item in items:
            trial = _trial_of(item)
            if trial is not None:
                self._selected.add((trial.subject, trial.position, trial.check))

    # ------------------------------------------------------------ running

    def verify(self, spec: config.SubjectSpec, position: str, check: str, nodeid: str) -> None:
        """Judge one item; ends like any pytest test: passes, fails or skips."""
        __tracebackhide__ = True
        subject = self._load(spec, check)
        engine = self._engine(spec.path)
        one = checks.checks()[check]
        if one.family == "once":
            found = engine.precheck(subject, check)
            if found is not None:
                self._fail(found, position, nodeid, ())
            return
        failed = engine.failed_prechecks(subject)
        if failed:
            self._blocked(spec, failed[0].check, str(failed[0]))
        done = engine.survey(subject, position, one.family)
        if self._only is None and not _tells_of_images(done, position):
            pytest.fail(
                f"{spec.name}: none of the {len(done.conversations)} conversations drawn for the position {position} "
                "holds an image, so nothing was tested",
                pytrace=False,
            )
        stuck = engine.bench(subject).unjudgeable
        if stuck is not None and stuck.check != check:
            self._blocked(spec, stuck.check, str(stuck), stuck.facts["position"])
        tally = done.tallies[check]
        if tally.findings:
            first, *others = tally.findings.values()
            if (first.subject, first.fingerprint) not in self._reported:
                first = engine.shrink(subject, position, first)
            self._fail(first, position, nodeid, others)
        if not any(tally.findings for tally in done.tallies.values()):
            engine.forget_repaired(subject, position, one.family)
        for blocker in tally.blocked_by:
            self._not_lost(engine, subject, spec, position, blocker, done, nodeid)
        if not tally.judged:
            if tally.blocked_by:
                pytest.skip(f"blocked by {tally.blocked_by.most_common(1)[0][0]} of {spec.name}")
            pytest.skip(f"none of {len(done.conversations)} conversations can tell whether {check} holds")

    def _not_lost(
        self,
        engine: Engine,
        subject: Subject,
        spec: config.SubjectSpec,
        position: str,
        blocker: str,
        done: Pass,
        nodeid: str,
    ) -> None:
        """Fail for the blocking check where no item of this run does: not selected, or it draws others."""
        __tracebackhide__ = True
        selected = (spec, position, blocker) in self._selected
        family = checks.checks()[blocker].family
        if selected and engine.survey(subject, position, family).tallies[blocker].findings:
            return
        why = "which finds nothing in its own draws" if selected else "which this run does not select"
        for conversation in done.conversations:
            case = engine.bench(subject).case(conversation)
            verdict = engine.verdict(case, blocker)
            if isinstance(verdict, Finding):
                found = engine.shrink(subject, position, diagnosed(case, verdict))
                self._fail(found, position, nodeid, (), note=f"\n\n(blocked by {blocker}, {why})")
        pytest.fail(f"{spec.name} breaks {blocker}\n(blocked by {blocker}, {why})", pytrace=False)

    def _blocked(self, spec: config.SubjectSpec, blocker: str, message: str, position: str = "") -> None:
        """Skip as blocked; fail where the blocking check is not in this run, so that a failure is never lost."""
        __tracebackhide__ = True
        if (spec, position, blocker) in self._selected:
            pytest.skip(f"blocked by {blocker} of {spec.name}")
        pytest.fail(f"{message}\n(blocked by {blocker}, which this run does not select)", pytrace=False)

    def _fail(self, finding: Finding, position: str, nodeid: str, others: Sequence[Finding], note: str = "") -> None:
        __tracebackhide__ = True
        key = (finding.subject, finding.fingerprint)
        if key in self._reported:
            told = f"{finding.headline}\n  {finding.cause.sentence}; see {self._reported[key]}"
            pytest.fail(told + note, pytrace=False)
        self._reported[key] = f"position {position}" if position else "above"
        full = finding.having(reproduce=self._reproduce(finding, nodeid))
        more = [f"\n  Also        {other.headline} ({other.cause.sentence})" for other in others]
        pytest.fail(str(full) + "".join(more) + note, pytrace=False)

    def _reproduce(self, finding: Finding, nodeid: str) -> tuple[str, ...]:
        file, colons, rest = nodeid.partition("::")
        nodeid = _relative(self._config.rootpath / file, self._config.invocation_params.dir) + colons + rest
        if finding.conversation is None:
            return (f"pytest {_quoted(nodeid)}",)
        code = ascii(finding.conversation)  # a terminal without Unicode would spoil it, invisible characters too
        return (
            f"pytest {_quoted(nodeid)} --spans-conversation {_quoted(code)}",
            "python: from image_spans import *",
            f"        load_subject({finding.subject!r}).encode({code})",
        )

    def _load(self, spec: config.SubjectSpec, check: str) -> Subject:
        __tracebackhide__ = True
        if spec not in self._loaded:
            self._loaded[spec] = self._try_to_load(spec)
        loaded = self._loaded[spec]
        if isinstance(loaded, Subject):
            return loaded
        if isinstance(loaded, Unavailable):
            text = f"{spec.name} cannot be had: {loaded}"
            if self._config.getoption("spans_require_all"):
                pytest.fail(text, pytrace=False)
            pytest.skip(text)
        if check != FIRST_CHECK:
            self._blocked(spec, FIRST_CHECK, str(loaded))
        pytest.fail(str(loaded), pytrace=False)

    def _try_to_load(self, spec: config.SubjectSpec) -> Subject | ConfigError | Unavailable:
        limit = LOADING * self.foreign.limit
        where = f"{spec.label}:{spec.line}: subjects.{spec.name}"
        try:
            subject = self.foreign.call(lambda: f"loading {spec.name}", config.load, spec, limit=limit)
        except (ConfigError, Unavailable) as error:
            return error
        except MISBEHAVIOUR as error:
            return ConfigError(f"{where}: loading it {error}")
        try:  # this asks the slice rule for thousands of sizes
            self.foreign.call(lambda: f"the slice rule of {spec.name}", profile_of, subject, FAMILIES["single"])
        except ConfigError as error:
            return ConfigError(f"{where}: {error}")
        except MISBEHAVIOUR as error:
            return ConfigError(f"{where}: asking its slice rule for many sizes {error}")
        return subject

    def _engine(self, path: Path) -> Engine:
        if path not in self._engines:
            from hypothesis import settings

            profile = settings()
            self._engines[path] = Engine(
                profile.max_examples,
                self.base_seed,
                only=self._only,
                database=profile.database,
                foreign=self.foreign,
            )
        return self._engines[path]

    # ------------------------------------------------------------ reporting

    def annotate(self, item: pytest.Item, report: pytest.TestReport) -> None:
        """Put on a report what the summary needs; it travels from xdist's workers with the report."""
        trial = _trial_of(item)
        if trial is None or (report.when != "call" and not (report.when == "setup" and report.skipped)):
            return
        reason = str(report.longrepr[2]) if report.skipped and isinstance(report.longrepr, tuple) else ""
        status: str = "blocked" if "blocked by" in reason else report.outcome
        if report.skipped and hasattr(report, "wasxfail"):
            status = "known"
        one = checks.checks().get(trial.check)
        record: dict[str, Any] = {
            "subject": trial.subject.name,
            "group": one.group if one else "contract",
            "status": status,
        }
        if "cannot be had" in reason:
            record["unavailable"] = reason.partition("cannot be had: ")[2]
        loaded = self._loaded.get(trial.subject)
        if isinstance(loaded, Subject) and trial.check == FIRST_CHECK and report.outcome == "passed":
            shared = self._shared_file(trial.subject)
            if shared is not None:
                record["loader"] = (shared, observed(loaded))
        if self._config.getoption("hypothesis_show_statistics", False) and one is not None:
            record["statistics"] = self._statistics(trial, one.family)
        report.image_spans = record  # type: ignore[attr-defined]

    def _shared_file(self, spec: config.SubjectSpec) -> str | None:
        """The name of the file that a subject loads, if other subjects of its YAML load it too."""
        source = spec.tokenizer.source
        others = [other for other in self.files[spec.path].specs if other.tokenizer.source == source]
        return source.shown() if source is not None and len(others) > 1 else None

    def _statistics(self, trial: Trial, family: str) -> list[str]:
        """Once per pass: what its conversations were like."""
        key = (trial.subject.name, trial.position, family)
        done = self._engine(trial.subject.path).passes.get(key)
        if done is None or key in self._statistics_shown:
            return []
        self._statistics_shown.add(key)
        profile = profile_of(self._load(trial.subject, trial.check), FAMILIES[family])
        labels = Counter(
            label for conversation in done.conversations for label in strategies.describe(conversation, profile)
        )
        total = len(done.conversations)
        share = [f"{100 * count / total:5.1f} %  {label}" for label, count in labels.most_common()]
        return [f"{'-'.join(key)}: {total} conversations", *(f"  {line}" for line in share)]

    def record(self, record: dict[str, Any]) -> None:
        """Count one report."""
        cell = self.outcomes.cells.setdefault((record["subject"], record["group"]), Counter())
        cell[record["status"]] += 1
        if "unavailable" in record:
            self.unavailable[record["subject"]] = record["unavailable"]
        if "loader" in record:
            file, cells = record["loader"]
            self.outcomes.loaders.setdefault(file, {})[record["subject"]] = cells
        lines = record.get("statistics")
        if lines:
            self.outcomes.statistics[lines[0]] = lines[1:]

    def header(self) -> list[str]:
        """Which files, how many subjects, which are skipped and why."""
        lines = []
        for path, file in self.files.items():
            shown = _relative(path, self._config.rootpath)
            skipped = f", {len(file.missing)} skipped" if file.missing else ""
            lines.append(f"image-spans: {shown}: {len(file.specs)} subjects{skipped}")
            lines += [f"  skipped {name}: {reason}" for name, reason in file.missing.items()]
            idle = [spec.name for spec in file.specs if spec.name not in file.missing and not self._has_trials(spec)]
            lines += [f"  not tested {name}: no check of --spans-checks applies to it" for name in idle]
        return lines

    def _has_trials(self, spec: config.SubjectSpec) -> bool:
        return any(trial.subject is spec for family in ("once", *FAMILIES) for trial in self.trials(spec.path, family))

    def untested(self) -> list[str]:
        """What a green run must not hide: subjects of which nothing was judged, and files of which nothing ran."""
        judged = {
            name
            for (name, _), counts in self.outcomes.cells.items()
            if any(counts[status] for status in counts if status not in ("skipped", "blocked"))
        }
        present = {name for name, _ in self.outcomes.cells}
        lines = []
        for path, file in self.files.items():
            names = [spec.name for spec in file.specs]
            if not present & set(names):
                lines.append(f"NOTHING TESTED of {_relative(path, self._config.rootpath)}: {self._why_nothing(path)}")
                continue
            for name in names:
                if name in present and name not in judged:
                    why = file.missing.get(name) or self.unavailable.get(name, "all of its tests were skipped")
                    lines.append(f"NOT TESTED: {name}: {why}")
        return lines

    def _why_nothing(self, path: Path) -> str:
        if any(spec.path == path for spec, _, _ in self._selected):
            return "the run ended before its tests (-x, --maxfail, an interruption)"
        if path in self.collected:
            return "its tests were deselected (-k, -m, --lf, --deselect)"
        if hasattr(self._config, "workerinput") or self._config.pluginmanager.hasplugin("dsession"):
            return "it was not collected (--ignore, collect_ignore), or its tests were deselected (-k, -m, --lf)"
        return "it was found, but not collected (--ignore, collect_ignore, an addopts that names other paths)"

    @property
    def collect_only(self) -> bool:
        """Whether pytest was asked to run nothing."""
        return bool(self._config.option.collectonly)

    @property
    def all_skipped(self) -> bool:
        """Whether tests of subjects ended, but none of them judged anything."""
        statuses = {status for counts in self.outcomes.cells.values() for status in counts}
        return bool(statuses) and statuses <= {"skipped", "blocked"}


def _tells_of_images(done: Pass, position: str) -> bool:
    """Whether a pass drew what its position promises."""
    if position == "none":
        return bool(done.conversations)
    return any(conversation.images for conversation in done.conversations)


def _relative(path: Path, folder: Path) -> str:
    try:
        return os.path.relpath(path, folder).replace(os.sep, "/")
    except ValueError:  # another drive
        return str(path)


def _quoted(text: str) -> str:
    """An argument for the shell, in double quotes where that is all it takes: a conversation holds single ones."""
    # Between double quotes the shell keeps a backslash that stands before a letter or a single quote.
    return shlex.quote(text) if re.search(r'["$`!]|\\\\|\\$', text) else f'"{text}"'


def _trial_of(item: pytest.Item) -> Trial | None:
    callspec = getattr(item, "callspec", None)
    subject = callspec.params.get("subject") if callspec is not None else None
    if callspec is None or not isinstance(subject, config.SubjectSpec):
        return None
    return Trial(subject, callspec.params.get("position", ""), callspec.params["check"])


def _chosen_checks(option: str | None) -> set[str] | None:
    if option is None:
        return None
    patterns = [pattern.strip() for pattern in option.split(",") if pattern.strip()]
    if not patterns:
        raise ConfigError("--spans-checks: names no check")
    try:
        return {name for pattern in patterns for name in checks.find(pattern)}
    except ConfigError as error:
        raise ConfigError(f"--spans-checks: {error}") from None


def _seconds(option: str | None) -> float:
    try:
        seconds = DEFAULT_TIMEOUT if option is None else float(option)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise ConfigError(f"--spans-timeout: expected a number of seconds (0: no limit), found {option!r}")
    return seconds


def _only(option: str | None) -> Conversation | None:
    if option is None:
        return None
    try:
        return parse_conversation(option)
    except ValueError as error:
        raise ConfigError(f"--spans-conversation: {error}") from None


def _base_seed(pytest_config: pytest.Config) -> int:
    """The seed of the run: --hypothesis-seed, the controller's under xdist, 0 under a derandomised profile."""
    from hypothesis import settings

    given = pytest_config.getoption("hypothesis_seed", None)
    if given is not None and str(given).lstrip("-").isdigit():
        return int(given)
    inherited = getattr(pytest_config, "workerinput", {}).get("image_spans_seed")
    if inherited is not None:
        return int(inherited)
    return 0 if settings().derandomize else int.from_bytes(os.urandom(4), "big")
