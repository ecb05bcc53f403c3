"""Parts that are found by file name: a new rule, grammar, adapter or pipeline is one new file.

The name in the YAML is the module's name; the module is imported only when a subject asks for it.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import pkgutil
import platform
import sys
import zlib
from collections.abc import Iterable
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from packaging.requirements import Requirement

from image_spans.errors import ConfigError, nearest, words


def names(package: str) -> list[str]:
    """The public module names directly inside ``package`` (such as ``image_spans.slicing``)."""
    path = importlib.import_module(package).__path__
    return sorted(info.name for info in pkgutil.iter_modules(path) if not info.name.startswith("_"))


def load(package: str, name: str, what: str) -> ModuleType:
    """The module ``name`` of ``package``; ``what`` says in the error what was looked for.

    Raises:
        ConfigError: there is no such module; names the nearest spelling.
    """
    if name not in names(package):
        raise ConfigError(f"unknown {what} {name!r}{nearest(name, names(package))} (or module:function)")
    return importlib.import_module(f"{package}.{name}")


def installed(distribution: str) -> str | None:
    """The version of a distribution that is installed, found without importing it; None: it is not."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


@cache
def versions() -> dict[str, str | None]:
    """What a finding was found with: Python, and the versions of this package and of what it runs on."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in ("pytest-image-spans", "pytest", "hypothesis"):
        found[name] = installed(name)  # None: a clone that is not installed
    return found


def unmet(requirements: Iterable[str]) -> str | None:
    """The first of these requirements that what is installed does not meet, in words; None: it meets all."""
    for text in requirements:
        requirement = Requirement(text)
        version = installed(requirement.name)
        if version is None:
            return f"it requires {text}, which is not installed"
        if not requirement.specifier.contains(version, prereleases=True):
            return f"it requires {text}; installed is {version}"
    return None


def is_reference(name: str) -> bool:
    """Whether ``name`` has the form ``module:function``."""
    module, colon, function = name.partition(":")
    return bool(colon) and function.isidentifier() and all(part.isidentifier() for part in module.split("."))


def resolve(reference: str, folder: Path | None = None) -> Any:
    """The object that ``module:function`` names, looked up in ``folder`` first, then on ``sys.path``.

    Two folders may have modules of one name: the one that Python already holds under it keeps it, the other
    is loaded under a name of its own. What such a module imports by name is found as ever, on ``sys.path``.

    Raises:
        ConfigError: the form is wrong, or the module or the name in it does not exist.
    """
    if not is_reference(reference):
        raise ConfigError(f"{reference!r} is not of the form module:function")
    module_name, _, attribute = reference.partition(":")
    if folder is not None and str(folder) not in sys.path:
        # Stays on the path: the user's module may import its neighbours later.
        sys.path.insert(0, str(folder))
    top, dot, rest = module_name.partition(".")
    held = top
    try:
        held = top if folder is None else _held(module_name, folder)
        module = importlib.import_module(held + dot + rest)
    except ModuleNotFoundError as error:
        if error.name is not None and (held + dot + rest + ".").startswith(error.name + "."):
            where = f" in {folder} or" if folder else ""
            name = top + error.name.removeprefix(held)
            raise ConfigError(f"{reference!r}: there is no module {name!r}{where} on sys.path") from None
        raise ConfigError(f"{reference!r}: importing it needs the module {error.name!r}") from error
    except Exception as error:
        raise ConfigError(f"{reference!r}: importing it raised {words(error)}") from error
    if not hasattr(module, attribute):
        known = [name for name in vars(module) if not name.startswith("_")]
        raise ConfigError(f"{reference!r}: {module_name} has no {attribute!r}{nearest(attribute, known)}")
    found = getattr(module, attribute)
    if not callable(found):
        raise ConfigError(f"{reference!r} is a {type(found).__name__}, not a function")
    return found


def _held(name: str, folder: Path) -> str:
    """What Python calls the outermost package of a folder's module; not as ever where that name is taken already."""
    top = name.partition(".")[0]
    spec = PathFinder.find_spec(top, [str(folder)])
    if spec is None:
        return top  # it is elsewhere on the path
    # A package without __init__.py is one over all folders of the path: what is asked for in it decides.
    known = top if spec.origin is not None else name
    taken = sys.modules[known] if known in sys.modules else importlib.util.find_spec(known)
    if taken is None or _is_within(taken, spec):
        return top
    own = f"_image_spans_{zlib.crc32(str(folder).encode(errors='surrogateescape')):08x}_{top}"
    if own not in sys.modules:
        _load_as(own, spec)
    return own


def _is_within(taken: ModuleType | ModuleSpec, spec: ModuleSpec) -> bool:
    """Whether a module is the one that was found, or in the folders of the package that was."""
    file = taken.origin if isinstance(taken, ModuleSpec) else getattr(taken, "__file__", None)
    if file is None:
        return False
    if spec.origin is not None:
        return os.path.realpath(file) == os.path.realpath(spec.origin)
    folders = map(os.path.realpath, spec.submodule_search_locations or ())
    return any(Path(os.path.realpath(file)).is_relative_to(folder) for folder in folders)


def _load_as(own: str, found: ModuleSpec) -> None:
    """Load a module, or a package without __init__.py, under another name."""
    folders = found.submodule_search_locations
    spec: ModuleSpec | None
    if found.origin is not None:
        spec = importlib.util.spec_from_file_location(own, found.origin, submodule_search_locations=folders)
        assert spec is not None
    else:
        spec = ModuleSpec(own, None, is_package=True)
        spec.submodule_search_locations = [*(folders or ())]
    module = sys.modules[own] = importlib.util.module_from_spec(spec)
    if spec.loader is not None:
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[own]
            raise
