"""Files as streams of bytes, decompressed by what they begin with."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from image_spans.errors import words
from image_spans.scan.causes import Unread

_CHUNK = 1 << 16


class Opened:
    """An open data file.

    ``stream`` gives its bytes, decompressed; ``head`` are the first of them, which the stream gives too.
    """

    def __init__(self, raw: IO[bytes], stream: io.BufferedReader) -> None:
        self._raw = raw
        self.stream = stream

    @property
    def head(self) -> bytes:
        return self.stream.peek(_CHUNK)[:_CHUNK]

    @property
    def position(self) -> int:
        """Bytes of the file, as it lies on the disk, that were read."""
        return self._raw.tell()


@contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """Open a file, compressed with gzip or zstd or not at all.

    Raises:
        Unread: it cannot be opened, or cannot be read to its end.
    """
    try:
        with path.open("rb") as raw:
            stream: io.BufferedReader = raw
            magic = raw.read(4)
            raw.seek(0)
            if magic[:2] == b"\x1f\x8b":
                stream = io.BufferedReader(cast("io.RawIOBase", gzip.GzipFile(fileobj=raw)), _CHUNK)
            elif magic == b"\x28\xb5\x2f\xfd":
                stream = io.BufferedReader(_Zstd(raw), _CHUNK)
            yield Opened(raw, stream)
    except (EOFError, zlib.error) as error:
        raise Unread(f"the compressed data is damaged or cut off ({words(error)})") from None
    except OSError as error:
        raise Unread(words(error)) from None


class _Zstd(io.RawIOBase):
    """Decompresses frame after frame, and says when the last one is cut off."""

    def __init__(self, raw: IO[bytes]) -> None:
        try:
            import zstandard
        except ImportError:
            raise Unread("reading zstd needs zstandard: pip install 'pytest-image-spans[scan]'") from None
        self._raw = raw
        self._library: Any = zstandard
        self._frame: Any = None
        self._made = b""
        self._read = b""

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        while not self._made:
            given = self._read or self._raw.read(_CHUNK)
            self._read = b""
            if not given:
                if self._frame is not None:
                    raise EOFError("the last frame has no end")
                return 0
            if self._frame is None:
                self._frame = self._library.ZstdDecompressor().decompressobj()
            try:
                self._made = self._frame.decompress(given)
            except self._library.ZstdError as error:
                raise EOFError(str(error)) from None
            if self._frame.eof:
                self._read, self._frame = self._frame.unused_data, None
        count = min(len(target), len(self._made))
        target[:count] = self._made[:count]
        self._made = self._made[count:]
        return count
