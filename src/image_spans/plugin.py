"""The pytest plugin: options, collection of the YAML, one item per subject, position and check.

pytest imports this module in every project, so it imports nothing heavy; a project without a
``tokenizers_under_test.yaml`` never gets further than looking for that file.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from image_spans.session import Session

DEFAULT = "tokenizers_under_test.yaml"
_STASH: pytest.StashKey[Session] = pytest.StashKey()
_STRAYS: pytest.StashKey[set[Path]] = pytest.StashKey()
"""Files of our name that pytest came across, but that are not in this run."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("image-spans", "where images stand in token ids (pytest-image-spans)")
    group.addoption("--spans-subjects", metavar="FILE", help=f"the subjects to test (default: {DEFAULT})")
    group.addoption(
        "--spans-checks",
        metavar="NAMES",
        help="only these checks or groups, separated by commas, e.g. spans,text.survives",
    )
    group.addoption(
        "--spans-conversation",
        metavar="CODE",
        help="judge this conversation alone, as a failure prints it: 'Conversation([...])'",
    )
    group.addoption("--spans-fetch", action="store_true", help="first fetch the tokenizers that are not there yet")
    group.addoption(
        "--spans-timeout",
        metavar="SECONDS",
        help="how long one call of a pipeline may take (default: 60; 0: any time)",
    )
    group.addoption(
        "--spans-image-backend",
        metavar="NAME",
        help="pil (the default) or torchvision: on what image_spans.processors:build makes image processors",
    )
    group.addoption("--spans-findings", metavar="FILE", help="write all findings to this file, as JSON lines")
    group.addoption("--spans-html", metavar="FILE", help="write a report of the run to this file, as one page of HTML")
    group.addoption("--spans-md", metavar="FILE", help="write a summary of the run to this file, as Markdown")
    group.addoption(
        "--spans-github",
        choices=["auto", "off"],
        default="auto",
        help="in GitHub Actions, add to the job summary and annotate the YAML (auto, the default), or do not (off)",
    )
    group.addoption(
        "--spans-accept",
        action="store_true",
        help="print the YAML that makes the new findings known failures; the file is never edited",
    )
    group.addoption(
        "--spans-lock",
        choices=["check", "update", "off"],
        help="compare every subject with the behaviour recorded in the lock beside the YAML (check, the default, where "
        "there is a lock), record it anew (update), or do neither (off)",
    )
    group.addoption(
        "--spans-require-all", action="store_true", help="a subject that cannot be had is an error, not a skip"
    )


def pytest_configure(config: pytest.Config) -> None:
    files = _subject_files(config)
    if not files:
        _refuse_options_without_file(config)
        if _default_file(config) is None and (look_alike := _look_alike(config)) is not None:
            config.stash[_STRAYS] = {look_alike}
        return
    if not config.pluginmanager.has_plugin("python"):
        raise pytest.UsageError(f"image-spans: {files[0].name} is tested by Python functions; leave out -p no:python")
    from image_spans.errors import ConfigError
    from image_spans.session import Session

    try:
        session = Session(config, files)
    except ConfigError as error:
        raise pytest.UsageError(str(error)) from None
    config.stash[_STASH] = session
    config.pluginmanager.register(_Recorder(session), "image-spans-recorder")
    if not _is_own_clone(config):
        # Without this a consumer's `testpaths` would leave the YAML out without a word.
        named = config.getoption("spans_subjects") is not None
        for file in files:
            wanted = named or not (_is_typed(config) or _is_ignored(config, file))
            if wanted and not _is_inside_arguments(config, file):
                config.args.append(str(file))


def pytest_unconfigure(config: pytest.Config) -> None:
    session = config.stash.get(_STASH, None)
    if session is not None:
        session.foreign.close()


def pytest_enter_pdb(config: pytest.Config) -> None:
    session = config.stash.get(_STASH, None)
    if session is not None:
        session.foreign.watch_no_longer()


def _is_typed(config: pytest.Config) -> bool:
    return config.args_source == pytest.Config.ArgsSource.ARGS


def _is_ignored(config: pytest.Config, file: Path) -> bool:
    ignored = [Path(config.invocation_params.dir, path).resolve() for path in config.getoption("ignore") or ()]
    return any(file.is_relative_to(path) for path in ignored)


def _is_inside_arguments(config: pytest.Config, file: Path) -> bool:
    paths = {Path(config.invocation_params.dir, arg.partition("::")[0]).resolve() for arg in config.args}
    return any(file.is_relative_to(path) for path in paths)


def _subject_files(config: pytest.Config) -> list[Path]:
    """The YAML files of this run: the option's, those typed as arguments, else the default one.

    Empty where the arguments name other tests only: those must not depend on the YAML.
    """
    here = Path(config.invocation_params.dir)
    option = config.getoption("spans_subjects")
    if option is not None:
        file = (here / option).resolve()
        if not file.is_file():
            raise pytest.UsageError(f"--spans-subjects: there is no file {option}{_hint(config, option)}")
        return [file]
    typed = []
    for argument in config.args:
        path = Path(here, argument.partition("::")[0]).resolve()
        if path.suffix in (".yaml", ".yml") and path.is_file() and (path.name == DEFAULT or _has_subjects(path)):
            typed.append(path)
    if typed:
        return list(dict.fromkeys(typed))
    default = _default_file(config)
    if default is None:
        return []
    wanted = not _is_typed(config) or config.option.pyargs or _is_own_clone(config)
    return [default] if wanted or _is_inside_arguments(config, default) else []


def _hint(config: pytest.Config, option: str) -> str:
    """What may have been meant by the name of a file that is not there."""
    from image_spans.errors import nearest

    default = _default_file(config)
    if default is not None and f"{option}:" in map(str.strip, _lines(default)):
        return f"; it is a subject of {DEFAULT}: select it with -k {option}"
    folder = Path(config.invocation_params.dir, option).parent
    files = [path.name for path in folder.glob("*.y*ml")] if folder.is_dir() else []
    return nearest(Path(option).name, files)


def _default_file(config: pytest.Config) -> Path | None:
    files = [folder / DEFAULT for folder in (Path(config.invocation_params.dir), config.rootpath)]
    for file in files:
        if file.exists():
            return file.resolve()
        if file.is_symlink():  # it leads nowhere, which is no reason to test nothing: reading it says so
            return Path(os.path.abspath(file))
    return None


def _has_subjects(path: Path) -> bool:
    """Whether a YAML that somebody typed is ours; others belong to other plugins."""
    return any(line.startswith("subjects:") for line in _lines(path))


def _lines(path: Path) -> list[str]:
    """The lines of what may be a YAML of subjects; whether it is one that can be read is not asked here."""
    try:
        with path.open("rb") as file:
            return file.read(1_000_000).decode(errors="replace").splitlines()
    except OSError:
        return []


def _look_alike(config: pytest.Config) -> Path | None:
    """A file in the root that was meant to be ours, but has another name."""
    return next((path for path in config.rootpath.glob("token*under*test*.y*ml") if path.is_file()), None)


def _refuse_options_without_file(config: pytest.Config) -> None:
    if _default_file(config) is not None:  # it is there, and the arguments leave it out
        return
    for option in _NEED_SUBJECTS:
        if config.getoption(option):
            name = "--" + option.replace("_", "-")
            raise pytest.UsageError(f"{name}: there is no {DEFAULT} here or in {config.rootpath}; see --spans-subjects")


_NEED_SUBJECTS = (
    *("spans_checks", "spans_conversation", "spans_fetch", "spans_timeout", "spans_require_all"),
    *("spans_findings", "spans_html", "spans_md", "spans_accept", "spans_lock", "spans_image_backend"),
)


def _is_own_clone(config: pytest.Config) -> bool:
    """Whether this is this project's own checkout, which has the property tests under tests/properties."""
    project = config.rootpath / "pyproject.toml"
    return (
        (config.rootpath / "tests" / "properties").is_dir()
        and project.is_file()
        and 'name = "pytest-image-spans"' in project.read_text(encoding="utf-8")
    )


def suite_folder() -> Path:
    """Where the property tests are: in the wheel, or in the clone that this module is in."""
    installed = Path(__file__).parent / "suite"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "tests" / "properties"


class SubjectsFile(pytest.File):
    """A YAML of subjects, collected as the property tests on them."""

    def collect(self) -> Iterator[pytest.Module]:
        session = self.config.stash[_STASH]
        for path in sorted(suite_folder().glob("test_*.py")):
            suite = _import(path)
            if not session.trials(self.path.resolve(), suite.IMAGE_SPANS_FAMILY):
                continue  # else pytest would show a skipped item for the empty set of parameters
            # The path of the YAML, as the node id says: --lf skips files by their path.
            module = pytest.Module.from_parent(
                self, path=self.path, name=path.stem, nodeid=f"{self.nodeid}::{path.stem}"
            )
            module.obj = suite
            yield module


def _import(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"image_spans.suite.{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> SubjectsFile | None:
    session = parent.config.stash.get(_STASH, None)
    if session is not None and file_path.resolve() in session.files:
        session.collected.add(file_path.resolve())
        if file_path.is_relative_to(parent.config.rootpath):
            return SubjectsFile.from_parent(parent, path=file_path)
        # pytest would give a file outside of its root an empty node id.
        nodeid = os.path.relpath(file_path, parent.config.rootpath).replace(os.sep, "/")
        return SubjectsFile.from_parent(parent, path=file_path, nodeid=nodeid)
    if file_path.name == DEFAULT and file_path.resolve() != _default_file(parent.config):
        parent.config.stash.setdefault(_STRAYS, set()).add(file_path)
    return None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    family = getattr(metafunc.module, "IMAGE_SPANS_FAMILY", None)
    if family is None:
        return
    session = metafunc.config.stash.get(_STASH, None)
    if session is None:
        raise pytest.UsageError(f"the property tests need a {DEFAULT}; see --spans-subjects")
    home = metafunc.definition.getparent(SubjectsFile)
    trials = session.trials(home.path.resolve() if home is not None else session.default_file, family)
    names = [name for name in ("subject", "position", "check") if name in metafunc.fixturenames]
    metafunc.parametrize(
        names,
        [pytest.param(*(getattr(trial, name) for name in names), id=trial.id, marks=trial.marks) for trial in trials],
    )


@pytest.fixture(scope="session")
def image_spans_session(request: pytest.FixtureRequest) -> Session:
    """The run: subjects, engines, outcomes. For the property tests of this package only."""
    return request.config.stash[_STASH]


def pytest_collection_finish(session: pytest.Session) -> None:
    ours = session.config.stash.get(_STASH, None)
    if ours is not None:
        ours.selected(session.items)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    outcome = yield
    session = item.config.stash.get(_STASH, None)
    if session is not None:
        session.annotate(item, outcome.get_result())


class _Recorder:
    """Counts the outcomes of its own run: the hook for reports does not say which run they belong to."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # Reports of xdist's workers arrive here too, with what annotate() put on them.
        record = getattr(report, "image_spans", None)
        if record is not None:
            self._session.record(record)


def pytest_report_header(config: pytest.Config) -> list[str]:
    session = config.stash.get(_STASH, None)
    if session is not None:
        return session.header()
    default = _default_file(config)
    return [f"image-spans: {DEFAULT} is not in this run, whose arguments name other tests"] if default else []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    session = config.stash.get(_STASH, None)
    if session is not None:
        from image_spans.report import write_summary

        # In the clone the arguments name tests of the project itself, and the YAML is read all the same.
        write_summary(terminalreporter, session, may_be_idle=_is_own_clone(config) and _is_typed(config))
    strays: set[Path] = config.stash.get(_STRAYS, set())
    for path in sorted(strays):
        shown = os.path.relpath(path, config.invocation_params.dir)
        if path.name == DEFAULT:
            why = f"was found, but only the one in the root is read; name it: pytest {shown}"
        else:
            why = f"is not read; is it meant to be {DEFAULT}?"
        terminalreporter.write_line(f"image-spans: NOT TESTED: {shown} {why}", yellow=True)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    ours = session.config.stash.get(_STASH, None)
    worker_output = getattr(session.config, "workeroutput", None)
    if worker_output is not None:
        worker_output["image_spans_strays"] = [str(path) for path in session.config.stash.get(_STRAYS, set())]
    elif ours is not None and not ours.collect_only:
        ours.interrupted = exitstatus == pytest.ExitCode.INTERRUPTED
        ours.write_findings()
        if ours.html_file is not None:
            from image_spans.html.run import write_html

            write_html(ours)
        if ours.markdown_file is not None or ours.github.summary is not None:
            from image_spans.ci.summary import write

            write(ours)
        ours.write_locks()
        if exitstatus == pytest.ExitCode.OK and (ours.all_skipped or ours.has_stale or ours.not_written):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """xdist: what a worker came across."""
    strays = getattr(node, "workeroutput", {}).get("image_spans_strays", ())
    if strays:
        node.config.stash.setdefault(_STRAYS, set()).update(map(Path, strays))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """xdist: all workers draw the same conversations."""
    session = node.config.stash.get(_STASH, None)
    if session is not None:
        node.workerinput["image_spans_seed"] = session.base_seed


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """xdist: one subject stays on one worker, so that its tokenizer loads once; other tests are spread as ever."""
    if config.stash.get(_STASH, None) is None or config.getvalue("dist") != "load":
        return None
    from image_spans.scheduling import SubjectScheduling

    return SubjectScheduling(config, log)
