"""Environments in which the subjects are recorded: which requirements, and how they are built and kept.

An environment is kept under what was asked for. It is made elsewhere and renamed into its place with a marker that is
written last, so one that was interrupted is never taken for a whole one.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from image_spans import discovery, sources
from image_spans.compare import own
from image_spans.config import SubjectSpec
from image_spans.errors import ConfigError, Unavailable
from image_spans.sources import PackageSource

_MARKER = "image-spans-world.txt"
_FOLLOW = {"transformers": {"tokenizers", "huggingface-hub"}}
"""What a distribution narrows down by itself: left to the installer where another version of it is asked for."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class World:
    """An environment that is there."""

    label: str
    python: str
    path: tuple[str, ...] = ()
    """Folders for Python's path."""
    isolated: bool = True
    """Whether nothing of this process's path is passed on."""

    def environment(self) -> dict[str, str]:
        """The variables of a process in it."""
        kept = {
            key: value
            for key, value in os.environ.items()
            if key not in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV")
        }
        inherited = [] if self.isolated else [entry for entry in sys.path if entry]
        return {**kept, "PYTHONPATH": os.pathsep.join([*self.path, *inherited]), "PYTHONUTF8": "1"}


def here(path: Sequence[str] = ()) -> World:
    """The environment of this process."""
    return World("this environment", sys.executable, tuple(path), isolated=False)


def requirement(text: str) -> Requirement:
    """What the user typed.

    Raises:
        ConfigError: it is no requirement, or one whose content may change while an environment is kept.
    """
    try:
        parsed = Requirement(text)
    except InvalidRequirement:
        raise ConfigError(f"{text!r} is not a requirement such as transformers==5.23.0") from None
    if parsed.url is not None and not re.search(r"@[0-9a-f]{40}\b|#sha256=", parsed.url):
        raise ConfigError(
            f"{text!r} names a place whose content may change; expected a release, a full commit or #sha256= "
            "(for code of your own: --path FOLDER)"
        )
    return parsed


def needed(
    specs: Iterable[SubjectSpec], overrides: Sequence[Requirement], further: Sequence[Requirement] = ()
) -> tuple[str, ...]:
    """The requirements of an environment: ours and the subjects', as installed here unless overridden."""
    asked: dict[str, Requirement] = {canonicalize_name(one.name): one for one in (*further, *overrides)}
    free = {follower for name in asked for follower in _FOLLOW.get(name, ())}
    found: dict[str, str] = {}
    for text in own.described().requires:
        wanted = Requirement(text)
        if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
            name: str = canonicalize_name(wanted.name)
            found[name] = (None if name in free else _as_here(name)) or f"{name}{wanted.specifier}"
    for name in _of_subjects(specs) - found.keys() - free:
        pinned = _as_here(name)
        if pinned is not None:  # else it cannot be had here either, and the subject says so
            found[name] = pinned
    return tuple(sorted({**found, **{name: str(one) for name, one in asked.items()}}.values()))


def _as_here(name: str) -> str | None:
    version = discovery.installed(name)
    return None if version is None else f"{name}=={version}"


def _of_subjects(specs: Iterable[SubjectSpec]) -> set[str]:
    """The distributions that subjects say they need."""
    names: set[str] = set()
    for spec in specs:
        tokenizer = spec.tokenizer
        if isinstance(tokenizer.source, PackageSource):
            names.add(tokenizer.source.package)
        if tokenizer.backend is not None:
            names.add(discovery.load("image_spans.tokenizers", tokenizer.backend, "backend").DISTRIBUTION)
        names |= {Requirement(text).name for text in tokenizer.requires}
    return {canonicalize_name(name) for name in names}


def home_of(requirements: Sequence[str]) -> Path:
    """Where the environment of these requirements is kept."""
    parts = (*sorted(requirements), platform.python_implementation(), *platform.python_version_tuple(), sys.platform)
    digest = hashlib.sha256("\n".join((*parts, platform.machine())).encode()).hexdigest()
    return sources.cache_folder() / "worlds" / digest[:16]


def python_of(folder: Path) -> Path:
    """Its interpreter."""
    return folder / "Scripts" / "python.exe" if os.name == "nt" else folder / "bin" / "python"


def is_whole(folder: Path) -> bool:
    """Whether an environment was built to its end, and the Python that it was made of is still there."""
    return (folder / _MARKER).is_file() and python_of(folder).exists()


def build(label: str, requirements: Sequence[str], path: Sequence[str], tell: Tell, *, fresh: bool = False) -> World:
    """The environment of these requirements, built unless it is kept.

    Args:
        label: what reports call it.
        requirements: all that is installed, besides what these need themselves.
        path: further folders for its path.
        tell: told what is done.
        fresh: build it anew, such as for what else is new in the index.

    Raises:
        Unavailable: it cannot be built; one line.
    """
    home = home_of(requirements)
    if fresh or not is_whole(home):
        tell(f"{label}: building an environment")
        with sources.scratch_folder(home.parent) as scratch:
            made = scratch / "world"
            install(made, requirements, label)
            (made / _MARKER).write_text("\n".join(requirements) + "\n", encoding="utf-8")
            if fresh or not is_whole(home):  # another process may have built it meanwhile, and be at work in it
                sources.put_in_place(made, home, lambda: is_whole(home))
    return World(label, str(python_of(home)), (str(own.folder()), *path))


def install(folder: Path, requirements: Sequence[str], label: str) -> None:
    """A new virtual environment with these requirements.

    Raises:
        Unavailable: it cannot be made.
    """
    _run([sys.executable, "-m", "venv", "--without-pip", str(folder)], f"{label}: no environment can be made")
    python = str(python_of(folder))
    uv, pip = shutil.which("uv"), importlib.util.find_spec("pip")
    if uv is not None:
        command = [uv, "pip", "install", "--quiet", "--python", python, *requirements]
        try:
            return _run(command, f"{label} cannot be installed")
        except Unavailable:
            if pip is None:
                raise
            # It does not read pip's configuration, which may name another index.
    if pip is None:
        _run([python, "-m", "ensurepip"], f"{label}: neither uv nor pip is here")
        command = [python, "-m", "pip"]
    else:
        command = [sys.executable, "-m", "pip", "--python", python]
    command += ["install", "--quiet", "--disable-pip-version-check", "--no-input", *requirements]
    return _run(command, f"{label} cannot be installed")


def _run(command: Sequence[str], failure: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
        errors="replace",
        env=environment,
    )
    if done.returncode:
        raise Unavailable(f"{failure}: {reason(done.stderr or done.stdout)}")


def reason(output: str) -> str:
    """The line of an installer's output that says why."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:") and "ResolutionImpossible" not in line]
    said = errors or lines
    return said[-1].removeprefix("ERROR:").strip()[:500] if said else "no reason was given"


def releases(name: str) -> list[str]:
    """The releases of a distribution that pip would install here, oldest first; no previews.

    Raises:
        Unavailable: pip does not say.
    """
    if importlib.util.find_spec("pip") is None:
        raise Unavailable(f"only pip lists the releases of {name}, and it is not here; name them: A,B,C")
    command = [sys.executable, "-m", "pip", "index", "versions", "--disable-pip-version-check", name]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    listed = re.search(r"^Available versions: (.+)$", done.stdout, re.MULTILINE)
    if done.returncode or listed is None:
        raise Unavailable(f"pip does not list the releases of {name}: {reason(done.stderr)}")
    return sorted((text for text in listed[1].split(", ") if _is_release(text)), key=Version)


def _is_release(text: str) -> bool:
    try:
        return not Version(text).is_prerelease
    except InvalidVersion:
        return False


def pinned(wanted: Requirement, listed: Callable[[str], list[str]]) -> Requirement:
    """A requirement at one release: the newest that fits, since what is kept must not change its meaning.

    Raises:
        Unavailable: no release fits, or pip does not say.
    """
    if wanted.url is not None or any(
        one.operator in ("==", "===") and "*" not in one.version for one in wanted.specifier
    ):
        return wanted
    fitting = [release for release in listed(wanted.name) if wanted.specifier.contains(release)]
    if not fitting:
        raise Unavailable(f"no release fits {wanted}")
    extras = f"[{','.join(sorted(wanted.extras))}]" if wanted.extras else ""
    return Requirement(f"{wanted.name}{extras}=={fitting[-1]}")


def named(overrides: Iterable[Requirement]) -> str:
    """What reports call a world of these."""
    return ", ".join(f"{one.name} {str(one.specifier).removeprefix('==')}".strip() for one in overrides)
