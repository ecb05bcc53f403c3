"""Parts that are found by file name: a new rule, grammar, adapter or pipeline is one new file.

The name in the YAML is the module's name; the module is imported only when a subject asks for it.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

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


def is_reference(name: str) -> bool:
    """Whether ``name`` has the form ``module:function``."""
    module, colon, function = name.partition(":")
    return bool(colon) and function.isidentifier() and all(part.isidentifier() for part in module.split("."))


def resolve(reference: str, folder: Path | None = None) -> Any:
    """The object that ``module:function`` names, looked up in ``folder`` first, then on ``sys.path``.

    Raises:
        ConfigError: the form is wrong, or the module or the name in it does not exist.
    """
    if not is_reference(reference):
        raise ConfigError(f"{reference!r} is not of the form module:function")
    module_name, _, attribute = reference.partition(":")
    if folder is not None and str(folder) not in sys.path:
        # Stays on the path: the user's module may import its neighbours later.
        sys.path.insert(0, str(folder))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name + ".").startswith(error.name + "."):
            where = f" in {folder} or" if folder else ""
            raise ConfigError(f"{reference!r}: there is no module {error.name!r}{where} on sys.path") from None
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
