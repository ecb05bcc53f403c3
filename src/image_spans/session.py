"""One pytest run over the subjects: what is tested, how each item ends, what is counted."""

from __future__ import annotations

import os
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from image_spans import checks, config, discovery, image_backends, strategies
from image_spans.ci.github import GitHub
from image_spans.ci.markdown import MARK
from image_spans.conversation import Conversation, parse_conversation
from image_spans.diagnosis import diagnosed
from image_spans.engine import FAMILIES, Engine, Pass, profile_of
from image_spans.errors import ConfigError, Unavailable, nearest, words
from image_spans.exhibit import exhibit, shortened
from image_spans.findings import Cause, Finding, one_line
from image_spans.foreign import MISBEHAVIOUR, Foreign
from image_spans.known_failures import KnownFailure
from image_spans.ledger import (
    BLOCKED,
    CHANGED,
    FIRST_KEY,
    HELD,
    KNOWN,
    NEW,
    SHOWN,
    SILENT,
    Ledger,
    Note,
    entry,
    file_to_write,
    reasons,
    refuse_to_replace,
)
from image_spans.loaders import observed
from image_spans.lock import store, watch
from image_spans.subject import Subject
from image_spans.yaml_nodes import message

if TYPE_CHECKING:
    from image_spans.scan.replay import Replay

_ITEM = re.compile(
    r"(?P<file>.*?)::test_(?P<family>subject|locked|conversation|literals|relation|fault|limit|batch)\[(?P<id>.*)\]$"
)


FIRST_CHECK = "contract.tokens"
"""The check that says when a subject cannot be loaded; the others are blocked by it."""
PATHS = "paths.agree"
"""The check that calls the paths of a subject; one of them may be absent and the check still apply."""
LOCKED = "lock.same"
"""What the item is called that compares a subject with the lock; it is no check of a pipeline."""
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
    dashes = 1 if match["family"] in ("subject", "locked") else 2
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
        self.root = pytest_config.rootpath
        self.image_backend = _image_backend(pytest_config.getoption("spans_image_backend"))
        """The one that was asked for; None: each subject is built on the usual one."""
        self.files = {path: self._read(path) for path in paths}
        self._refuse_a_role_of_nobody()
        self._refuse_a_backend_that_nothing_takes()
        self._replays = {
            (spec.path, spec.name): _replay(spec)
            for file in self.files.values()
            for spec in file.specs
            if spec.samples is not None and spec.name not in file.missing
        }
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
        self._reported: dict[tuple[Path, str, str], str] = {}
        """File, subject and fingerprint to where the finding was told in full."""
        self._statistics_shown: set[tuple[str, str, str]] = set()
        self._known_on: set[tuple[config.SubjectSpec, str, Conversation]] = set()
        """Subject, check and conversation on which it fails as is known."""
        self._notes: dict[str, Note] = {}
        """Node id of an item that is under way to what its report will say."""
        self.ledger = Ledger()
        self.findings_file = _findings_file(pytest_config)
        self.html_file = _html_file(pytest_config)
        self.markdown_file = _markdown_file(pytest_config)
        self.github = _github(pytest_config)
        _refuse_one_file_for_two(pytest_config, self.findings_file, self.html_file, self.markdown_file)
        self._draws = pytest_config.getoption("spans_html") is not None
        """Whether reports carry what the pages of findings show."""
        self.interrupted = False
        """Whether the run was ended by somebody before its tests were."""
        self.written: list[str] = []
        """The files that options asked for, and that are there now."""
        self.not_written: str | None = None
        mode = _lock_mode(pytest_config)
        self.locks = {
            path: watch.Lock(path, _relative(store.lock_file(path), pytest_config.rootpath), mode)
            for path in self.files
        }
        self._refuse_checks_that_apply_nowhere(pytest_config.getoption("spans_checks"))

    @cached_property
    def base_seed(self) -> int:
        """From which all draws are seeded; asked for when all plugins are configured, --hypothesis-profile too."""
        return _base_seed(self._config)

    def _read(self, path: Path) -> _File:
        specs = config.read(path)
        if self.image_backend is not None:
            specs = [spec.on(self.image_backend) for spec in specs]
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
        if self._config.getoption("spans_require_all"):
            paths = {
                f"{spec.name} (the path {name})": reason
                for spec in specs
                if spec.name not in missing
                for name, reason in spec.missing_paths().items()
            }
            absent = missing | paths
            if absent:
                raise ConfigError(
                    f"{path.name}: --spans-require-all, but {len(absent)} cannot be had: {_by_reason(absent)}"
                )
        if len(missing) == len(specs):
            reasons = _by_reason(missing)
            raise ConfigError(f"{path.name}: none of its subjects can be had, so nothing would be tested: {reasons}")
        return _File(specs, missing)

    def _refuse_a_role_of_nobody(self) -> None:
        """A conversation with such a role would be judged, and found right, by checks that it is no matter of."""
        roles = {role for file in self.files.values() for spec in file.specs for role in spec.contract.input.roles}
        for number, turn in enumerate(self._only.messages if self._only is not None else ()):
            if turn.role not in roles:
                hint = nearest(turn.role, sorted(roles))
                raise ConfigError(
                    one_line(f"--spans-conversation: message {number}: no subject has the role {turn.role!r}{hint}")
                )

    def _refuse_a_backend_that_nothing_takes(self) -> None:
        specs = [spec for file in self.files.values() for spec in file.specs]
        if self.image_backend is not None and not any(_is_on(spec, self.image_backend) for spec in specs):
            raise ConfigError(
                f"--spans-image-backend: nothing would be tested on {self.image_backend}: no subject is built by "
                "image_spans.processors:build and leaves the choice"
            )

    def _refuse_checks_that_apply_nowhere(self, option: str | None) -> None:
        families = ("once", *FAMILIES)
        if self._chosen is None or any(self.trials(path, family) for path in self.files for family in families):
            return
        registered = checks.checks()
        specs = [spec for file in self.files.values() for spec in file.specs]
        reasons = (why_inapplicable(spec, registered[name]) for name in self._chosen for spec in specs)
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
            if family == "lock" and self._compares_with_lock(path):
                trials.append(Trial(spec, "", LOCKED))
            for check in checks.checks().values():
                if check.family != family or (self._chosen is not None and check.name not in self._chosen):
                    continue
                if why_inapplicable(spec, check) is None:
                    trials += [Trial(spec, position, check.name) for position in _positions(spec, check)]
        return trials

    def items(self, path: Path) -> dict[config.SubjectSpec, set[tuple[str, str]]]:
        """Subject to the positions and checks of its items."""
        items: dict[config.SubjectSpec, set[tuple[str, str]]] = {spec: set() for spec in self.files[path].specs}
        for family in ("once", *FAMILIES):
            for trial in self.trials(path, family):
                items[trial.subject].add((trial.position, trial.check))
        return items

    def _compares_with_lock(self, path: Path) -> bool:
        """Not where some checks or one conversation were asked for."""
        return self.locks[path].active and self._chosen is None and self._only is None

    def selected(self, items: Iterable[pytest.Item]) -> None:
        """Remember which (subject, position, check) will run: a failure must not hide behind an item that does not."""
        for item in items:
            trial = _trial_of(item)
            if trial is not None:
                self._selected.add((trial.subject, trial.position, trial.check))

    # ------------------------------------------------------------ running

    def verify(self, spec: config.SubjectSpec, position: str, check: str, nodeid: str) -> None:
        """Judge one item; ends like any pytest test: passes, fails, skips, or fails as expected."""
        __tracebackhide__ = True
        item = _Item(spec, position, check, nodeid)
        self._notes[nodeid] = Note()
        subject = self._load(item)
        engine = self._engine(spec.path)
        one = checks.checks()[check]
        if one.family == "once":
            self._judge_once(engine, subject, item)
            return
        failed = engine.failed_prechecks(subject)
        if failed:
            first = next((found for found in failed if not self._is_known(spec, found)), failed[0])
            self._blocked(item, first, str(first))
        done = self._survey(engine, subject, spec, position, one.family)
        for known in self._known(spec, check):
            if position in self._homes(spec, known):
                self._notes[nodeid].examples[known.fingerprint] = self._does(engine, subject, known)
        if self._only is None and not _tells_of_images(done, position):
            pytest.fail(
                f"{spec.name}: none of the {len(done.conversations)} conversations drawn for the position {position} "
                "holds an image, so nothing was tested",
                pytrace=False,
            )
        stuck = engine.bench(subject).unjudgeable
        if stuck is not None and stuck.check != check:
            case = engine.bench(subject).case(stuck.conversation) if stuck.conversation else None
            self._blocked(item, diagnosed(case, stuck) if case else stuck, str(stuck), stuck.facts["position"])
        tally = done.tallies[check]
        self._end_with_new(engine, subject, item, list(tally.findings.values()))
        if not any(tally.findings for tally in done.tallies.values()):
            engine.forget_repaired(subject, position, one.family)
        known_blockers = [
            blocker for blocker in tally.blocked_by if self._not_lost(engine, subject, item, blocker, done)
        ]
        if tally.findings:
            self._end_as_known(item, list(tally.findings.values()))
        if not tally.judged:
            if tally.blocked_by:
                blocker = tally.blocked_by.most_common(1)[0][0]
                pytest.skip(f"blocked by {blocker} of {spec.name}{_KNOWN_TO_FAIL if blocker in known_blockers else ''}")
            pytest.skip(f"none of {len(done.conversations)} conversations can tell whether {check} holds")

    def compare_with_lock(self, spec: config.SubjectSpec, nodeid: str) -> None:
        """Compare a subject with what is recorded of it, or record it anew, as ``--spans-lock`` says.

        Raises:
            pytest.fail.Exception: it behaves differently.
        """
        __tracebackhide__ = True
        item = _Item(spec, "", LOCKED, nodeid)
        self._notes[nodeid] = Note()
        bench = self._engine(spec.path).bench(self._load(item))
        lock = self.locks[spec.path]
        limit = LOADING * self.foreign.limit
        seen = self.foreign.call(lambda: f"recording {spec.name}", lock.judge, spec, bench, limit=limit)
        self._notes[nodeid].lock = seen.plain()
        if seen.status == watch.CHANGED and lock.mode == "check":
            pytest.fail(watch.report(self.shown(spec), seen), pytrace=False)

    def _judge_once(self, engine: Engine, subject: Subject, item: _Item) -> None:
        __tracebackhide__ = True
        found = engine.precheck(subject, item.check)
        for known in self._known(item.spec, item.check):
            does = HELD if found is None else _shown_by(found, known)
            self._notes[item.nodeid].examples[known.fingerprint] = does
        if found is not None:
            self._end_with_new(engine, subject, item, [found])
            self._end_as_known(item, [found])

    def _survey(self, engine: Engine, subject: Subject, spec: config.SubjectSpec, position: str, family: str) -> Pass:
        """The pass, whose first conversations are the recorded examples of what is known to fail there."""
        examples: dict[str, list[Conversation]] = {}
        for known in spec.known_failures if self._only is None else ():
            if known.conversation is not None and position in self._homes(spec, known):
                examples.setdefault(known.check, []).append(known.conversation)
        return engine.survey(subject, position, family, examples)

    def _not_lost(self, engine: Engine, subject: Subject, item: _Item, blocker: str, done: Pass) -> bool:
        """Fail for the blocking check where no item of this run does: not selected, or it draws others.

        Returns:
            Whether all that blocks is known to fail.
        """
        __tracebackhide__ = True
        spec, position = item.spec, item.position
        selected = (spec, position, blocker) in self._selected
        family = checks.checks()[blocker].family
        if selected:
            own = self._survey(engine, subject, spec, position, family).tallies[blocker].findings
            all_known = all(self._is_known(spec, found) for found in own.values())
            if own and (not all_known or family == checks.checks()[item.check].family):
                return all_known
        why = "which finds nothing in its own draws" if selected else "which this run does not select"
        note = f"\n\n(blocked by {blocker}, {why})"
        found_known = False
        for conversation in done.tallies[item.check].blocked_on[blocker]:
            if (spec, blocker, conversation) in self._known_on:
                found_known = True
                continue
            case = engine.bench(subject).case(conversation)
            verdict = engine.verdict(case, blocker)
            if isinstance(verdict, Finding):
                found = diagnosed(case, verdict)
                if self._is_known(spec, found):
                    self._notes[item.nodeid].shown.append(found.fingerprint)
                    self._known_on.add((spec, blocker, conversation))
                    found_known = True
                else:
                    self._end_with_new(engine, subject, item, [found], note)
        if not found_known:
            pytest.fail(f"{spec.name} breaks {blocker}\n(blocked by {blocker}, {why})", pytrace=False)
        return True

    def _blocked(self, item: _Item, blocker: Finding, told: str, position: str = "") -> None:
        """Skip as blocked; fail where the blocking check is not in this run, so that a failure is never lost."""
        __tracebackhide__ = True
        is_known = self._is_known(item.spec, blocker)
        if is_known or (item.spec, position, blocker.check) in self._selected:
            if is_known:
                self._notes[item.nodeid].shown.append(blocker.fingerprint)
            pytest.skip(f"blocked by {blocker.check} of {item.spec.name}{_KNOWN_TO_FAIL if is_known else ''}")
        self._record(item, blocker, *_plain_status(item.spec, blocker))
        self._note_end(item, [blocker])
        pytest.fail(f"{told}\n(blocked by {blocker.check}, which this run does not select)", pytrace=False)

    # ------------------------------------------------------------ known failures

    def _known(self, spec: config.SubjectSpec, check: str) -> list[KnownFailure]:
        return [known for known in spec.known_failures if known.check == check]

    def _is_known(self, spec: config.SubjectSpec, finding: Finding) -> bool:
        """Whether a finding makes no item fail; under --runxfail every one does."""
        return spec.known(finding.fingerprint) is not None and not self._config.option.runxfail

    def _homes(self, spec: config.SubjectSpec, known: KnownFailure) -> list[str]:
        """The position at which a known failure is judged by its example: the first at which its images stand."""
        positions = _positions(spec, checks.checks()[known.check])
        if known.conversation is None:
            return positions
        stands = strategies.positions_of(known.conversation, strategies.Profile.limits(spec.contract))
        return ([position for position in positions if position in stands] or positions)[:1]

    def _does(self, engine: Engine, subject: Subject, known: KnownFailure) -> str:
        """What the example of a known failure does now."""
        assert known.conversation is not None
        verdict = engine.replay(subject, known.conversation, known.check)
        if isinstance(verdict, Finding):
            return _shown_by(verdict, known)
        if verdict is None:
            return HELD
        return f"{BLOCKED}{verdict.because_of}" if verdict.because_of else SILENT

    def _status(
        self, engine: Engine, subject: Subject, spec: config.SubjectSpec, finding: Finding
    ) -> tuple[str, KnownFailure | None]:
        """Whether a finding is new, known, or what became of a known failure of its check; and that failure."""
        itself = spec.known(finding.fingerprint)
        if itself is not None:
            return KNOWN, itself
        for known in self._known(spec, finding.check):
            if known.conversation is None or self._does(engine, subject, known) == finding.fingerprint:
                return CHANGED, known
        return NEW, None

    def _record(self, item: _Item, finding: Finding, status: str, known: KnownFailure | None = None) -> Finding:
        """Put a finding on the item's report; the finding with the commands that repeat it."""
        loaded = self._loaded.get(item.spec)
        if status == KNOWN and known is not None and known.conversation is not None and self._only is None:
            assert isinstance(loaded, Subject)
            recorded = self._engine(item.spec.path).replay(loaded, known.conversation, known.check)
            if isinstance(recorded, Finding) and recorded.fingerprint == finding.fingerprint:
                finding = recorded  # the same in every run, whatever is drawn
        full = finding.having(reproduce=self._reproduce(finding, item, known=status == KNOWN))
        library = loaded.tokenizer.library if isinstance(loaded, Subject) else None
        note = self._notes[item.nodeid]
        if status == KNOWN:
            note.shown.append(finding.fingerprint)
        file = _relative(item.spec.path, self._config.rootpath)
        made_of = {**discovery.versions(), "tokenizer": library}
        note.findings.append(
            entry(full, file=file, status=status, known=known, position=item.position, versions=made_of)
        )
        if self._draws and isinstance(loaded, Subject) and full.conversation is not None:
            with suppress(Exception):  # a tokenizer that fails when it is asked again; the page says so
                note.exhibits[note.findings[-1]["fingerprint"]] = self._drawn(loaded, item, full)
        return full

    def _drawn(self, subject: Subject, item: _Item, finding: Finding) -> dict[str, Any]:
        """What the page of a finding shows of its conversation."""
        assert finding.conversation is not None
        case = self._engine(item.spec.path).bench(subject).case(finding.conversation)
        drawn = self.foreign.call(lambda: f"drawing {finding.headline}", exhibit, case, finding.at, finding.expected)
        return drawn.plain()

    def _note_end(self, item: _Item, findings: Sequence[Finding]) -> None:
        self._notes[item.nodeid].ended_by += [one_line(found.fingerprint) for found in findings]

    @staticmethod
    def _key(finding: Finding, spec: config.SubjectSpec) -> tuple[Path, str, str]:
        return spec.path, finding.subject, finding.fingerprint

    def _end_as_known(self, item: _Item, findings: Sequence[Finding]) -> None:
        """End the item as one that fails as expected."""
        __tracebackhide__ = True
        known = [item.spec.known(found.fingerprint) for found in findings]
        for found, one in zip(findings, known, strict=True):
            self._record(item, found, KNOWN, one)
        self._notes[item.nodeid].expected = True
        self._note_end(item, findings)
        pytest.xfail(reasons([one for one in known if one is not None]))

    def _end_with_new(
        self, engine: Engine, subject: Subject, item: _Item, findings: Sequence[Finding], note: str = ""
    ) -> None:
        """Fail for the findings that are not known, if there are any; the first of them is told in full."""
        __tracebackhide__ = True
        spec = item.spec
        new = [found for found in findings if not self._is_known(spec, found)]
        if not new:
            return
        self._note_end(item, new)
        for found in findings:
            if found not in new:
                self._record(item, found, KNOWN, spec.known(found.fingerprint))
        # One that was not told yet goes first; what a check finds at once is told in turn.
        first, *others = sorted(new, key=lambda found: self._key(found, spec) in self._reported)
        status, known = self._status(engine, subject, spec, first)
        key = self._key(first, spec)
        if key in self._reported:
            told = f"{first.headline}\n  {one_line(first.cause.sentence)}; see {self._reported[key]}"
        else:
            if status != KNOWN and first.conversation is not None:
                first = engine.shrink(subject, item.position, first)
            self._reported[key] = f"position {item.position}" if item.position else "above"
            told = str(self._record(item, first, status, known))
            if known is not None:
                told += f"\n  {status.capitalize():<11} {_history(status, known, first)}"
        for other in others:
            told += f"\n  Also        {other.headline} ({one_line(other.cause.sentence)})"
            if self._key(other, spec) not in self._reported:  # at the next position it is told in full, if it shows
                full = self._record(item, other, *self._status(engine, subject, spec, other))
                told += f"\n              {one_line(full.reproduce[0])}"
        pytest.fail(told + note, pytrace=False)

    def _reproduce(self, finding: Finding, item: _Item, *, known: bool) -> tuple[str, str]:
        here = self._config.invocation_params.dir
        file, colons, rest = item.nodeid.partition("::")
        command = f"pytest {_quoted(_relative(self._config.rootpath / file, here) + colons + rest)}"
        code = "Conversation([])"  # a check of the vocabulary looks at none
        if finding.conversation is not None:
            code = ascii(finding.conversation)  # a terminal without Unicode would spoil it, invisible characters too
            command += f" --spans-conversation {_quoted(code)}"
        if known:
            command += " --runxfail"  # else it ends as expected, and tells nothing
        backend = ""
        if self.image_backend is not None and _is_on(item.spec, self.image_backend):
            command += f" --spans-image-backend={self.image_backend}"
            backend = f", image_backend={self.image_backend!r}"
        timeout = ""
        if finding.cause.name == "does-not-end":
            command += f" --spans-timeout={self.foreign.limit:g}"
            timeout = f", timeout={self.foreign.limit:g}"
        yaml = _relative(item.spec.path, here)
        where = "" if yaml == config.DEFAULT_FILE else f", {yaml!a}"
        load = f"load_subject({finding.subject!r}{where}{backend})"
        return command, f"from image_spans import *; verify({load}, {code}, {finding.check!r}{timeout})"

    def _load(self, item: _Item) -> Subject:
        __tracebackhide__ = True
        spec = item.spec
        if spec not in self._loaded:
            self._loaded[spec] = self._try_to_load(spec)
        loaded = self._loaded[spec]
        if isinstance(loaded, Subject):
            return loaded
        if isinstance(loaded, Unavailable):
            del self._notes[item.nodeid]  # nothing was judged
            text = f"{spec.name} cannot be had: {loaded}"
            if self._config.getoption("spans_require_all"):
                pytest.fail(text, pytrace=False)
            pytest.skip(text)
        found = Finding(FIRST_CHECK, str(loaded), spec.name, cause=_NOT_LOADED)
        if item.check != FIRST_CHECK:
            self._blocked(item, found, str(loaded))
        if self._is_known(spec, found):
            self._end_as_known(item, [found])
        self._record(item, found, *_plain_status(spec, found))
        self._note_end(item, [found])
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
        engine = self._engine(spec.path)
        return (
            self._ask(spec, "its slice rule for many sizes", engine.ask_rule, subject)
            or self._ask(spec, "its tokenizer for its tokens", engine.bench, subject)
            or subject
        )

    def _ask(
        self, spec: config.SubjectSpec, what: str, ask: Callable[[Subject], Any], subject: Subject
    ) -> ConfigError | None:
        """Ask a part of a subject, which may be the user's, for what every pass needs."""
        where = f"{spec.label}:{spec.line}: subjects.{spec.name}"
        try:
            self.foreign.call(lambda: f"asking {spec.name}: {what}", ask, subject)
        except ConfigError as error:
            return ConfigError(f"{where}: {error}")
        except Exception as error:
            did = str(error) if isinstance(error, MISBEHAVIOUR) else f"raised {words(error)}"
            return ConfigError(f"{where}: asking {what} {did}")
        return None

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
                samples={name: one.conversations for (file, name), one in self._replays.items() if file == path},
            )
        return self._engines[path]

    # ------------------------------------------------------------ reporting

    def annotate(self, item: pytest.Item, report: pytest.TestReport) -> None:
        """Put on a report what the summary needs; it travels from xdist's workers with the report."""
        trial = _trial_of(item)
        if trial is None or (report.when != "call" and not (report.when == "setup" and report.skipped)):
            return
        reason = str(report.longrepr[2]) if report.skipped and isinstance(report.longrepr, tuple) else ""
        note = self._notes.pop(item.nodeid, None)
        ran = note is not None
        note = note or Note()
        status: str = "blocked" if "blocked by" in reason else report.outcome
        if note.expected or (report.skipped and hasattr(report, "wasxfail")):
            status = "known"
        one = checks.checks().get(trial.check)
        record: dict[str, Any] = {
            "subject": self.shown(trial.subject),
            "group": trial.check.partition(".")[0] if trial.check != "unavailable" else "contract",
            "status": status,
            "path": str(trial.subject.path),
            "name": trial.subject.name,
            "position": trial.position,
            "check": trial.check,
            "ran": ran,
            "findings": note.findings,
            "shown": note.shown,
            "examples": note.examples,
            "lock": note.lock,
            "reason": _why(report) or reason if self._draws else "",
            "exhibits": note.exhibits,
        }
        if "cannot be had" in reason:
            record["unavailable"] = reason.partition("cannot be had: ")[2]
        loaded = self._loaded.get(trial.subject)
        if isinstance(loaded, Subject) and trial.check == FIRST_CHECK and report.outcome == "passed":
            shared = self._shared_file(trial.subject)
            if shared is not None:
                with suppress(Exception):  # a tokenizer that fails on these texts fails its checks too
                    record["loader"] = (shared, observed(loaded))
        if self._config.getoption("hypothesis_show_statistics", False) and one is not None:
            record["statistics"] = self._statistics(trial, one.family)
        report.image_spans = record  # type: ignore[attr-defined]
        said = [(name, value) for name, value in item.user_properties if not name.startswith(_PROPERTY)]
        said += _properties(record["subject"], trial.check, note.ended_by)
        item.user_properties[:] = said  # JUnit's XML takes them from the report of the teardown, which comes later
        report.user_properties = list(said)

    def shown(self, spec: config.SubjectSpec) -> str:
        """A subject's name, with its file where another file of this run has a subject of that name."""
        if sum(any(other.name == spec.name for other in file.specs) for file in self.files.values()) < 2:
            return spec.name
        return f"{spec.name} ({_relative(spec.path, self._config.rootpath)})"

    def _shared_file(self, spec: config.SubjectSpec) -> str | None:
        """The name of the file that a subject loads, if other subjects of its YAML load it too."""
        source = spec.tokenizer.source
        others = [other for other in self.files[spec.path].specs if other.tokenizer.source == source]
        return source.shown() if source is not None and len(others) > 1 else None

    def _statistics(self, trial: Trial, family: str) -> list[str]:
        """Once per pass: what its conversations were like."""
        key = (self.shown(trial.subject), trial.position, family)
        done = self._engine(trial.subject.path).passes.get((trial.subject.name, *key[1:]))
        if done is None or key in self._statistics_shown:
            return []
        self._statistics_shown.add(key)
        loaded = self._loaded[trial.subject]
        assert isinstance(loaded, Subject)  # else there were no passes
        profile = profile_of(loaded, FAMILIES[family])
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
        self.ledger.add(record)
        if record["lock"] is not None:
            self.locks[Path(record["path"])].note(record["name"], watch.Seen.of(record["lock"]))
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
        if self.image_backend is not None:
            lines.append(f"image-spans: image backend {self.image_backend}, where a subject leaves the choice")
        for path, file in self.files.items():
            shown = _relative(path, self._config.rootpath)
            skipped = f", {len(file.missing)} skipped" if file.missing else ""
            lines.append(f"image-spans: {shown}: {len(file.specs)} subject{'s' * (len(file.specs) != 1)}{skipped}")
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
            names = {self.shown(spec): spec.name for spec in file.specs}
            if not present & names.keys():
                lines.append(f"NOTHING TESTED of {_relative(path, self._config.rootpath)}: {self._why_nothing(path)}")
                continue
            for shown, name in names.items():
                if shown in present and shown not in judged:
                    why = file.missing.get(name) or self.unavailable.get(shown, "all of its tests were skipped")
                    lines.append(f"NOT TESTED: {shown}: {why}")
        return lines

    def inapplicable(self) -> dict[tuple[str, str], list[str]]:
        """Check and reason to the subjects to which it did not apply, of those of which everything else was judged."""
        whole = [
            spec
            for yaml, file in self.files.items()
            for spec, items in self.items(yaml).items()
            if spec.name not in file.missing and items <= self.ledger.ran(spec)
        ]
        found: dict[tuple[str, str], list[str]] = {}
        for name, check in checks.checks().items():
            for spec in whole if self._chosen is None or name in self._chosen else ():
                reason = why_inapplicable(spec, check)
                if reason is not None:
                    found.setdefault((name, reason), []).append(self.shown(spec))
                for path, why in spec.missing_paths().items() if name == PATHS else ():
                    found.setdefault((name, f"the path {path}: {why}"), []).append(self.shown(spec))
        return found

    def _why_nothing(self, path: Path) -> str:
        if self.interrupted or any(spec.path == path for spec, _, _ in self._selected):
            return "the run ended before its tests (-x, --maxfail, an interruption)"
        if path in self.collected:
            return "its tests were deselected (-k, -m, --lf, --deselect)"
        if hasattr(self._config, "workerinput") or self._config.pluginmanager.hasplugin("dsession"):
            return "it was not collected (--ignore, collect_ignore), or its tests were deselected (-k, -m, --lf)"
        return "it was found, but not collected (--ignore, collect_ignore, an addopts that names other paths)"

    def samples(self) -> list[str]:
        """What became of the samples of subjects: how many are replayed, and which rows are left out and why."""
        lines = []
        for (path, name), replay in self._replays.items():
            shown = next(self.shown(spec) for spec in self.files[path].specs if spec.name == name)
            causes = ", ".join(f"{cause} {count}" for cause, count in replay.left_out)
            out = sum(count for _, count in replay.left_out)
            told = f"; {out} are no conversation inside the contract ({causes})" if out else ""
            lines.append(f"samples of {shown}: {replay.rows} rows, {len(replay.conversations)} conversations{told}")
        return lines

    @property
    def collect_only(self) -> bool:
        """Whether pytest was asked to run nothing."""
        return bool(self._config.option.collectonly)

    def judged_known_failures(self) -> Iterator[tuple[bool, str]]:
        """Of every known failure that was not seen: whether it is stale, and a line about it."""
        whole = self._only is None and self._chosen is None
        for path, file in self.files.items():
            if not any(spec.recorded_failures for spec in file.specs):
                continue
            for spec, items in self.items(path).items():
                for known in spec.recorded_failures if self.ledger.ran(spec) else ():
                    why_idle = known.idle(spec.image_backend)
                    if why_idle is not None:
                        what = f"known failure {known.fingerprint} of {self.shown(spec)}"
                        yield False, one_line(f"{what} does not count: {why_idle}")
                for known in spec.known_failures:
                    verdict = self.ledger.verdict(spec, known, items if whole else set())
                    if verdict is not None:
                        stale, why = verdict
                        what = f"known failure {known.fingerprint} of {self.shown(spec)}"
                        line = f"{what} {why}: remove it" if stale else f"{what} was not judged: {why}"
                        yield stale, one_line(f"{line} (reason: {known.reason})" if stale else line)

    @property
    def has_stale(self) -> bool:
        """Whether a failure is known that is none any more."""
        return any(stale for stale, _ in self.judged_known_failures())

    def judged_locks(self) -> Iterator[tuple[bool, str]]:
        """Whether it matters, and a line, of all that is not as it was recorded."""
        for path, lock in self.locks.items():
            specs = {spec.name: spec for spec in self.files[path].specs}
            failing = {name: self.ledger.failing(specs[name]) for name in lock.seen}
            for loud, line in watch.summary(lock, failing):
                yield loud, one_line(line)
            if lock.seen and (gone := lock.gone(specs)):
                yield False, one_line(f"{', '.join(gone)} is recorded, and is in the YAML no more")

    def write_findings(self) -> None:
        """Write the file of ``--spans-findings``, if one was asked for."""
        if self.findings_file is not None:
            self.write("--spans-findings", self.findings_file, self.ledger.write)

    def write(self, option: str, path: Path, write: Callable[[Path], None]) -> None:
        """Write the file of an option; the summary tells where it is, or why it is not."""
        try:
            write(path)
        except OSError as error:  # the disk is full, or the folder went away
            self.not_written = one_line(f"{option}: cannot be written: {error.strerror}")
        else:
            self.written.append(one_line(_relative(path, self._config.invocation_params.dir)))

    def write_locks(self) -> None:
        """Write the locks under ``--spans-lock=update``; the summary tells when that failed."""
        for path, lock in self.locks.items():
            if lock.mode != "update" or not lock.seen:
                continue
            names = {spec.name for spec in self.files[path].specs}
            whole = names <= {*lock.seen, *self.files[path].missing}
            try:
                lock.write(names, whole=whole)
            except OSError as error:
                shown = _relative(lock.path, self._config.rootpath)
                self.not_written = one_line(f"--spans-lock=update: {shown} cannot be written: {error.strerror}")

    def to_accept(self) -> list[str]:
        """The YAML that makes the new findings of this run known."""
        return self.ledger.to_accept(spec for file in self.files.values() for spec in file.specs)

    @property
    def all_skipped(self) -> bool:
        """Whether tests of subjects ended, but none of them judged anything."""
        statuses = {status for counts in self.outcomes.cells.values() for status in counts}
        return bool(statuses) and statuses <= {"skipped", "blocked"}


_PROPERTY = "image_spans."


def _properties(subject: str, check: str, fingerprints: Sequence[str]) -> list[tuple[str, object]]:
    """What JUnit's XML tells of one item; cause and fingerprint of each finding for which it fails, or was known to."""
    said: list[tuple[str, object]] = [(f"{_PROPERTY}subject", subject), (f"{_PROPERTY}check", check)]
    for fingerprint in dict.fromkeys(fingerprints):
        said.append((f"{_PROPERTY}cause", fingerprint.partition("/")[2]))
        said.append((f"{_PROPERTY}fingerprint", fingerprint))
    return said


_NOT_LOADED = Cause("does-not-load", "the subject cannot be loaded as the YAML describes it")
_KNOWN_TO_FAIL = ", which is known to fail"


@dataclass(frozen=True)
class _Item:
    """One item that is under way."""

    spec: config.SubjectSpec
    position: str
    check: str
    nodeid: str


def _shown_by(found: Finding, known: KnownFailure) -> str:
    return SHOWN if found.fingerprint == known.fingerprint else found.fingerprint


def _plain_status(spec: config.SubjectSpec, finding: Finding) -> tuple[str, KnownFailure | None]:
    """Known or new, where no example can tell more."""
    known = spec.known(finding.fingerprint)
    return (NEW, None) if known is None else (KNOWN, known)


def _history(status: str, known: KnownFailure, finding: Finding) -> str:
    if status == KNOWN:
        return one_line(known.reason)
    return one_line(f"was {known.fingerprint} ({known.reason}), is now {finding.fingerprint}")


def _why(report: pytest.TestReport) -> str:
    """Why an item failed, or failed as expected, in one line."""
    told = getattr(report, "wasxfail", None) or (report.longreprtext if report.failed else "")
    lines = told.strip().splitlines()
    return one_line(shortened(lines[0], 300)) if lines else ""


def _file_to_write(pytest_config: pytest.Config, name: str) -> Path | None:
    """The file that an option names; xdist's workers write none."""
    option = pytest_config.getoption(name)
    if option is None or hasattr(pytest_config, "workerinput"):
        return None
    return file_to_write(name, option, Path(pytest_config.invocation_params.dir))


def _refuse_one_file_for_two(pytest_config: pytest.Config, *files: Path | None) -> None:
    """Each report is written over what is there, so of two in one file the first would be lost."""
    junit = pytest_config.getoption("xmlpath", None)
    other = Path(pytest_config.invocation_params.dir, junit).resolve() if junit else None
    taken: dict[Path, str] = {}
    names = ("--spans-findings", "--spans-html", "--spans-md", "--junitxml")
    for name, path in zip(names, (*files, other), strict=True):
        if path is not None and path in taken:
            raise ConfigError(one_line(f"{taken[path]} and {name} name the same file {path}; expected one for each"))
        if path is not None:
            taken[path] = name


def _findings_file(pytest_config: pytest.Config) -> Path | None:
    return _report_file(pytest_config, "--spans-findings", FIRST_KEY, begins=True)


def _html_file(pytest_config: pytest.Config) -> Path | None:
    if pytest_config.getoption("--spans-html") is None:
        return None
    from image_spans.html import GENERATOR, require  # needed by few runs

    require("--spans-html")
    return _report_file(pytest_config, "--spans-html", GENERATOR)


def _markdown_file(pytest_config: pytest.Config) -> Path | None:
    return _report_file(pytest_config, "--spans-md", MARK)


def _report_file(pytest_config: pytest.Config, name: str, mark: str, *, begins: bool = False) -> Path | None:
    """The file that an option names, in which nothing of somebody else's stands."""
    path = _file_to_write(pytest_config, name)
    if path is not None:
        refuse_to_replace(name, path, mark, begins=begins)
    return path


def _github(pytest_config: pytest.Config) -> GitHub:
    """The workflow of GitHub Actions that runs us, unless it is to be left alone."""
    is_worker = hasattr(pytest_config, "workerinput")
    return GitHub() if is_worker or pytest_config.getoption("spans_github") == "off" else GitHub.of(os.environ)


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


def _by_reason(missing: dict[str, str]) -> str:
    """The reasons, each with what it keeps away: one package may be what all of them lack."""
    names: dict[str, list[str]] = {}
    for name, reason in missing.items():
        names.setdefault(reason, []).append(name)
    few = {
        reason: given if len(given) <= 3 else [*given[:2], f"{len(given) - 2} more"] for reason, given in names.items()
    }
    return "; ".join(f"{', '.join(given)}: {reason}" for reason, given in few.items())


def _is_on(spec: config.SubjectSpec, image_backend: image_backends.ImageBackend) -> bool:
    """Whether a subject is on this image backend, by the option or by itself."""
    return spec.image_backend == image_backend


def _image_backend(option: str | None) -> image_backends.ImageBackend | None:
    try:
        return None if option is None else image_backends.named(option)
    except ConfigError as error:
        raise ConfigError(f"--spans-image-backend: {error}") from None


def why_inapplicable(spec: config.SubjectSpec, check: checks.Check) -> str | None:
    """Why a subject has no item of a check; None when it has."""
    reason = check.inapplicable(spec.contract, spec.pipeline.abilities)
    if reason is None and not _positions(spec, check):
        profile = strategies.Profile.limits(spec.contract)
        return strategies.inapplicable((check.positions or strategies.POSITIONS)[0], profile)
    return reason


def _replay(spec: config.SubjectSpec) -> Replay:
    from image_spans.scan.replay import replayed  # few files have samples

    try:
        return replayed(spec)
    except ConfigError as error:
        where = ("subjects", spec.name, "samples")
        raise ConfigError(message(spec.label, str(error), spec.line, where)) from None


def _positions(spec: config.SubjectSpec, check: checks.Check) -> list[str]:
    if check.family == "once":
        return [""]
    profile = strategies.Profile.limits(spec.contract)
    wanted = check.positions or strategies.POSITIONS
    return [position for position in wanted if strategies.applies(position, profile)]


def _trial_of(item: pytest.Item) -> Trial | None:
    callspec = getattr(item, "callspec", None)
    subject = callspec.params.get("subject") if callspec is not None else None
    if callspec is None or not isinstance(subject, config.SubjectSpec):
        return None
    return Trial(subject, callspec.params.get("position", ""), callspec.params.get("check", LOCKED))


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


def _lock_mode(pytest_config: pytest.Config) -> watch.Mode:
    mode: watch.Mode = pytest_config.getoption("spans_lock") or "check"
    if mode == "update":
        if os.environ.get("CI", "").lower() not in ("", "0", "false"):
            raise ConfigError(
                "--spans-lock=update: not in CI (the variable CI is set): record where it can be reviewed"
            )
        if hasattr(pytest_config, "workerinput") or pytest_config.getoption("dist", "no") != "no":
            raise ConfigError("--spans-lock=update: not with xdist, whose workers each see a part; leave out -n")
    return mode


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
