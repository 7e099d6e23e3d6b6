"""Bytes and header of a photo file: format, size and EXIF orientation, checked before a pixel is decoded."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags, Image

from fashionseg.data.jpeg import PhotoError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
_MAX_FILE_BYTES = 2**30
_MAX_PAGES = 1000  # counted; only the first one is used

# `read_header` compares every photo with the caller's own limit before a pixel is decoded; Pillow's would warn about
# photos that the competition has (73 megapixels).
Image.MAX_IMAGE_PIXELS = None
Image.init()  # registers all of _FORMATS; Pillow does not load them when asked by name


@dataclass(frozen=True)
class Header:
    """Header of a photo file; `height` and `width` before the EXIF `orientation` (1 to 8) is applied."""

    format: str
    mode: str
    height: int
    width: int
    orientation: int
    frames: int

    @property
    def upright_hw(self) -> tuple[int, int]:
        return (self.width, self.height) if self.orientation >= 5 else (self.height, self.width)


def read_file(path: Path) -> bytes:
    """The bytes of a photo file.

    Raises:
        PhotoError: unreadable, empty, or above 1 GiB.
    """
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size > _MAX_FILE_BYTES:
                raise PhotoError("expected a photo file of at most 1 GiB, got a larger one")
            data = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise PhotoError(f"cannot be read: {error.strerror}") from None
    if not data:
        raise PhotoError("expected a photo, got an empty file")
    return data


def read_header(data: bytes, max_megapixels: float) -> Header:
    """Size, mode and orientation, without decoding a pixel.

    Raises:
        PhotoError: not an image of a known format, or above `max_megapixels`.
    """
    with open_image(data) as image:
        width, height = image.size
        if width * height > max_megapixels * 1e6:
            raise PhotoError(
                f"expected at most {max_megapixels:g} megapixels, got {width} x {height} (decode.max_megapixels)"
            )
        return Header(image.format or "", image.mode, height, width, _orientation(image), _frames(image))


def open_image(data: bytes) -> Image.Image:
    """Pillow's image of a photo file, nothing decoded yet.

    Raises:
        PhotoError: not an image of a known format.
    """
    with pillow_errors("expected a photo, got something else or a damaged file"):
        return Image.open(io.BytesIO(data), formats=_FORMATS)


@contextmanager
def pillow_errors(message: str) -> Iterator[None]:
    """Turns what Pillow raises on damaged files, which is almost anything, into `message`; its own reason is `{}`.

    Its warnings about odd metadata are silenced: what matters here is checked.

    Raises:
        PhotoError: damaged.
        MemoryError: not the photo's fault, so it must not be dropped.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except MemoryError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise PhotoError(message.format(reason)) from None


def _orientation(image: Image.Image) -> int:
    try:
        with pillow_errors("a damaged EXIF block"):
            value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except PhotoError:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _frames(image: Image.Image) -> int:
    """Pictures of an animation; the previews in some cameras' JPEGs do not count."""
    with pillow_errors("expected a photo, got a damaged file"):  # counting reads further than opening
        if image.format == "MPO":
            return 1
        return _tiff_pages(image) if image.format == "TIFF" else int(getattr(image, "n_frames", 1))


def _tiff_pages(image: Image.Image) -> int:
    """Pages up to _MAX_PAGES: Pillow's own count is quadratic in their number, hours for 32 MB."""
    for page in range(1, _MAX_PAGES):
        try:
            image.seek(page)
        except EOFError:
            return page
    return _MAX_PAGES
