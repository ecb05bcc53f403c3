"""How large an image is, from its header alone: nothing is decoded."""

from __future__ import annotations

import base64
import binascii
import io
import os
import re
import stat
import struct
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from image_spans.conversation import Image
from image_spans.errors import words
from image_spans.findings import shown
from image_spans.scan.causes import Fault
from image_spans.scan.rows import kind

REFUSED_BY_PILLOW = 2 * (1024 * 1024 * 1024 // 4 // 3)
"""Pixels beyond which ``Image.open`` raises DecompressionBombError."""
_WIDTH, _LENGTH, _ORIENTATION = 0x0100, 0x0101, 0x0112
_TURNED = (5, 6, 7, 8)
"""Orientations in which width and height change places."""
_SHORTEST_BASE64 = 200
"""Characters; a shorter text is a path."""
_KEPT = 1 << 16
"""Files whose sizes are remembered; data sets ask again and again for the same pictures."""


class Pictures:
    """Looks at images.

    Args:
        folders: where relative paths are looked up, one after the other.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._known: dict[str, Image | Fault] = {}

    def look(self, source: Any) -> Image | Fault:
        """The size of an image in pixels as it is shown, its EXIF rotation applied; or what is wrong with it.

        Args:
            source: a path or ``file:`` URL, a data URL, base64, bytes, or a mapping of ``bytes`` and ``path``.
        """
        if isinstance(source, Mapping):
            inside = source.get("bytes")
            source = inside if inside is not None else source.get("path")
        if isinstance(source, (bytes, bytearray)):
            return _of_bytes(bytes(source), "the bytes of the image")
        if not isinstance(source, str) or not source.strip():
            what = "an empty text" if isinstance(source, str) else kind(source)
            return Fault("image-no-source", f"the image is {what}, expected a path, bytes or base64")
        if source.startswith("data:"):
            return _of_base64(source.partition(",")[2])
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", source) and not source.startswith("file://"):
            return Fault("image-remote", f"{shown(source)} is a URL")
        if len(source) >= _SHORTEST_BASE64 and re.fullmatch(r"[A-Za-z0-9+/\s]+=*\s*", source):
            return _of_base64(source)
        if source not in self._known:
            if len(self._known) >= _KEPT:
                self._known.clear()
            self._known[source] = self._of_path(source)
        return self._known[source]

    def _of_path(self, source: str) -> Image | Fault:
        text = urllib.parse.unquote(urllib.parse.urlsplit(source).path) if source.startswith("file://") else source
        try:
            for folder in self._folders:
                path = folder / text
                try:
                    status = os.stat(path)
                except (FileNotFoundError, NotADirectoryError):
                    continue
                if not stat.S_ISREG(status.st_mode):  # a pipe would wait for somebody to write
                    return Fault("image-unreadable", f"{shown(source)} is no regular file")
                if not status.st_size:
                    return Fault("image-empty", f"{shown(source)} has 0 bytes")
                with path.open("rb") as file:
                    return _of_header(file, shown(source))
        except (OSError, ValueError) as error:  # permissions; a NUL in the name
            return Fault("image-unreadable", f"{shown(source)}: {words(error)}")
        return Fault("image-missing", f"there is no file {shown(source)}")


def _of_base64(text: str) -> Image | Fault:
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        return Fault("image-not-base64", f"the base64 of the image: {error}")
    return _of_bytes(data, "the base64 of the image")


def _of_bytes(data: bytes, what: str) -> Image | Fault:
    if not data:
        return Fault("image-empty", f"{what}: 0 bytes")
    return _of_header(io.BytesIO(data), what)


def _of_header(file: IO[bytes], what: str) -> Image | Fault:
    import PIL.Image

    limit, PIL.Image.MAX_IMAGE_PIXELS = PIL.Image.MAX_IMAGE_PIXELS, None  # a limit for decoding
    try:
        with PIL.Image.open(file) as picture:
            width, height = picture.size
            if picture.format == "TIFF":  # its reader may have changed the sides already
                width, height = (int(picture.tag_v2[side]) for side in (_WIDTH, _LENGTH))
            # Not the method of its class: that of PNG decodes the whole picture to look behind it.
            if PIL.Image.Image.getexif(picture).get(_ORIENTATION) in _TURNED:
                width, height = height, width
    except PIL.UnidentifiedImageError:
        if _has_no_pixels(file):
            return Fault("image-no-pixels", f"{what}: its header says 0 pixels")
        return Fault("image-broken", f"{what}: no image that Pillow knows")
    except Exception as error:  # whatever the readers of so many formats raise on damaged headers
        return Fault("image-broken", f"{what}: {words(error)}")
    finally:
        PIL.Image.MAX_IMAGE_PIXELS = limit
    return Image(width, height)


_SIDES = {b"\x89PNG\r\n\x1a\n": (16, ">II"), b"GIF8": (6, "<HH"), b"BM": (18, "<ii")}
"""How a file begins, to where its width and height stand and how they are written."""


def _has_no_pixels(file: IO[bytes]) -> bool:
    """Whether that is why Pillow does not know an image: it takes one without pixels for none."""
    file.seek(0)
    head = file.read(32)
    for magic, (start, form) in _SIDES.items():
        if head.startswith(magic) and len(head) >= start + struct.calcsize(form):
            return 0 in struct.unpack_from(form, head, start)
    return False
