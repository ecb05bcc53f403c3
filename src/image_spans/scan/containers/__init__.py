"""How rows lie in files. A container is a module here: ``holds(path, head)`` and ``rows(opened, path, file, wanted)``.

``head`` are the first bytes of the decompressed file. Rows whose index is not among ``wanted`` may be left out, if that
saves anything. Where rows are counted faster than they are read, ``count(opened)`` does that; where a folder holds the
files, ``files(folder)`` names them.
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


def rows(path: Path, file: str, tell: Tell = lambda _: None, wanted: frozenset[int] | None = None) -> Iterator[Row]:
    """The rows of one file, one at a time.

    Args:
        path: the file.
        file: what rows call it.
        tell: is told how many bytes of the file were read, before each row.
        wanted: the indexes of the rows that are wanted; None: all.

    Raises:
        Unread: it cannot be read, or not to its end.
    """
    with opened(path) as data:
        for row in _container(path, data).rows(data, path, file, wanted):
            if wanted is None or row.index in wanted:
                tell(data.position)
                yield row
        tell(data.position)


def count(path: Path) -> int:
    """How many rows a file holds, without looking into them; of one that ends too early, as many as can be read."""
    number = 0
    try:
        with opened(path) as data:
            module = _container(path, data)
            if hasattr(module, "count"):
                counted: int = module.count(data)
                return counted
            for _ in module.rows(data, path, str(path), None):
                number += 1
    except Unread:  # the scan itself says so
        pass
    return number


def _container(path: Path, data: Opened) -> ModuleType:
    head = data.head
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise Unread("is UTF-16; save it as UTF-8")
    for module in _modules():
        if module.holds(path, head):
            return module
    begins = ascii(head[:20].decode("utf-8", "replace")) if head else "nothing"
    raise Unread(f"is neither JSON, JSON lines, Parquet nor Arrow: it begins with {begins}")


BOM = b"\xef\xbb\xbf"


def name(path: Path) -> str:
    """The name of a file without what its compression adds, in small letters."""
    return path.name.lower().removesuffix(".gz").removesuffix(".zst").removesuffix(".zstd")
