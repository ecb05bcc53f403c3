"""Sizes from headers: of whatever names an image, never decoded, and as it is shown."""

from __future__ import annotations

import base64
import io
import os

import PIL.Image
import PIL.ImageFile
import pytest

from image_spans.conversation import Image
from image_spans.scan.causes import Fault
from image_spans.scan.pictures import REFUSED_BY_PILLOW, Pictures
from planted_samples import png


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    def refuse(self, *arguments, **named):
        raise AssertionError("a picture was decoded")

    monkeypatch.setattr(PIL.ImageFile.ImageFile, "load", refuse)
    return Pictures([tmp_path])


def saved(form: str, size=(30, 20), orientation: int | None = None) -> bytes:
    exif = PIL.Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    file = io.BytesIO()
    PIL.Image.new("RGB", size).save(file, form, **({"exif": exif} if orientation is not None else {}))
    return file.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP"])
def test_the_size_stands_in_the_header(pictures, tmp_path, form):
    (tmp_path / "a").write_bytes(saved(form))
    assert pictures.look("a") == Image(30, 20)
    assert pictures.look(saved(form)) == Image(30, 20)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_that_is_shown_turned_has_its_sides_changed(pictures, form, orientation):
    size = (20, 30) if orientation >= 5 else (30, 20)
    assert pictures.look(saved(form, orientation=orientation)) == Image(*size)


def test_all_that_names_an_image(pictures, tmp_path):
    data = png(40, 30)
    (tmp_path / "a b.png").write_bytes(data)
    text = base64.b64encode(data + b"\0" * 200).decode()
    for source in (
        "a b.png",
        str(tmp_path / "a b.png"),
        (tmp_path / "a b.png").as_uri(),
        f"data:image/png;base64,{base64.b64encode(data).decode()}",
        text,
        text[:80] + "\n" + text[80:],
        data,
        bytearray(data),
        {"bytes": data, "path": None},
        {"bytes": None, "path": "a b.png"},
        {"path": "a b.png"},
    ):
        assert pictures.look(source) == Image(40, 30), source


def test_folders_are_tried_in_order(tmp_path):
    for name, size in (("one", (1, 2)), ("two", (3, 4))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(png(*size))
    (tmp_path / "two" / "b.png").write_bytes(png(5, 6))
    both = Pictures([tmp_path / "one", tmp_path / "two"])
    assert (both.look("a.png"), both.look("b.png")) == (Image(1, 2), Image(5, 6))


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("none.png", "image-missing"),
        ("a.png/b.png", "image-missing"),
        (".", "image-unreadable"),
        ("x" * 5000 + ".png", "image-unreadable"),
        ("a\0.png", "image-unreadable"),
        ("", "image-no-source"),
        (None, "image-no-source"),
        (7, "image-no-source"),
        ([], "image-no-source"),
        ({}, "image-no-source"),
        ({"bytes": None, "path": None}, "image-no-source"),
        ("https://example.org/a.png", "image-remote"),
        ("s3://bucket/a.png", "image-remote"),
        ("data:image/png;base64,AAA", "image-not-base64"),
        ("data:image/png;base64,\u00e4", "image-not-base64"),
        ("data:image/png;base64,QUJD", "image-broken"),
        ("data:image/png;base64,", "image-empty"),
        (b"", "image-empty"),
        ({"bytes": b"", "path": "a.png"}, "image-empty"),
        (b"nothing of the kind", "image-broken"),
        (png(0, 5), "image-no-pixels"),
        (b"GIF89a\x00\x00\x05\x00\x00\x00\x00", "image-no-pixels"),
        (b"BM", "image-broken"),
        (saved("JPEG")[:3], "image-broken"),
        (saved("PNG")[:20], "image-broken"),
        (saved("TIFF")[:9], "image-broken"),
    ],
)
def test_what_cannot_be_had_has_a_cause(pictures, tmp_path, source, cause):
    (tmp_path / "a.png").write_bytes(png(1, 1))
    found = pictures.look(source)
    assert isinstance(found, Fault)
    assert found.cause == cause
    assert len(found.message) < 700


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes here")
def test_a_pipe_is_not_waited_for(pictures, tmp_path):
    os.mkfifo(tmp_path / "a.png")
    assert pictures.look("a.png").cause == "image-unreadable"


def test_a_picture_is_looked_at_once(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr("image_spans.scan.pictures._KEPT", 2)
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(png(3, 4))
    assert pictures.look("a") == Image(3, 4)
    (tmp_path / "a").unlink()
    assert pictures.look("a") == Image(3, 4)
    assert pictures.look("b") == pictures.look("c") == Image(3, 4)
    assert pictures.look("a").cause == "image-missing"  # no more than two are remembered


def test_a_picture_that_pillow_refuses_to_decode_has_a_size(pictures):
    limit = PIL.Image.MAX_IMAGE_PIXELS
    assert pictures.look(png(20_000, 20_000)) == Image(20_000, 20_000)
    assert limit == PIL.Image.MAX_IMAGE_PIXELS
    assert 2 * (limit or 0) == REFUSED_BY_PILLOW
