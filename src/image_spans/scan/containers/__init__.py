"""How rows lie in files. A container is a module here: ``holds(path, head)`` and ``rows(opened, path, file)``.

``head`` are the first bytes of the decompressed file; None for a folder.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

from image_spans import discovery
from image_spans.scan.causes import Unread
from image_spans.scan.opened import Opened, opened
from image_spans.scan.rows import Row

Tell = Callable[[int], None]


@cache
def _modules() -> list[ModuleType]:
    return [importlib.import_module(f"{__name__}.{name}") for name in discovery.names(__name__)]


def files(path: Path) -> list[Path]:
    """The files that hold the rows: the path itself, or those of a saved dataset.

    Raises:
        Unread: there is nothing of the kind.
    """
    if not path.is_dir():
        if not path.exists():
            raise Unread("there is no such file")
        return [path]
    for module in _modules():
        if hasattr(module, "files"):
            found: list[Path] | None = module.files(path)
            if found is not None:
                return found
    raise Unread("is a folder, and no dataset that the library datasets has saved; name its files")


def rows(path: Path, file: str, tell: Tell = lambda _: None) -> Iterator[Row]:
    """The rows of one file, one at a time.

    Args:
        path: the file.
        file: what rows call it.
        tell: is told how many bytes of the file were read, before each row.

    Raises:
        Unread: it cannot be read, or not to its end.
    """
    with opened(path) as data:
        for row in _container(path, data)(data, path, file):
            tell(data.position)
            yield row
        tell(data.position)


def _container(path: Path, data: Opened) -> Callable[[Opened, Path, str], Iterator[Row]]:
    head = data.head
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise Unread("is UTF-16; save it as UTF-8")
    for module in _modules():
        if module.holds(path, head):
            reader: Callable[[Opened, Path, str], Iterator[Row]] = module.rows
            return reader
    begins = ascii(head[:20].decode("utf-8", "replace")) if head else "nothing"
    raise Unread(f"is neither JSON, JSON lines, Parquet nor Arrow: it begins with {begins}")


BOM = b"\xef\xbb\xbf"


def name(path: Path) -> str:
    """The name of a file without what its compression adds, in small letters."""
    return path.name.lower().removesuffix(".gz").removesuffix(".zst").removesuffix(".zstd")
