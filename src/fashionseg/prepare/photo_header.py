"""Bytes and header of a photo file: format, size and EXIF orientation, checked before a pixel is decoded."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags, Image, TiffImagePlugin

from fashionseg.data.jpeg import PhotoError

# Of photos, those included that cannot be read: these are reported, not skipped.
SUFFIXES = frozenset(
    {
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".webp",
        ".bmp",
        ".gif",
        ".tif",
        ".tiff",
        ".ppm",
        ".pgm",
        ".pnm",
    }
    | {".heic", ".heif", ".hif", ".avif", ".jp2", ".j2k", ".jpx", ".jxl"}
    | {".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf"}  # camera raw
)
OPENCV_TIFF = "TIFF of OpenCV"  # format of a TIFF whose samples Pillow does not know, such as RGB of floats

_MAGIC_BYTES = 12  # at the beginning of a file; they identify its format
_BRANDS = {  # of ISO media files, bytes 8 to 12
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"), "HEIC"),
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
    b"crx ": "camera raw",
}
_TIFF_MAGIC = (b"II*\0", b"MM\0*")
_MAGIC = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF8": "GIF",
    **dict.fromkeys(_TIFF_MAGIC, "TIFF"),
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\xff\x0a": "JPEG XL",
    b"FUJIFILMCCD-": "camera raw",
}
_MAX_FILE_BYTES = 2**30
_NEW_SUBFILE_TYPE = 254  # tag of a TIFF page; bit 0: a smaller version of another page
_MAX_PAGES = 1000  # counted; only the first one is used

# `read_header` compares every photo with the caller's own limit before a pixel is decoded; Pillow's would warn about
# photos that the competition has (73 megapixels).
Image.MAX_IMAGE_PIXELS = None


def supported_formats() -> tuple[str, ...]:
    """Pillow's names of the formats that are read: HEIF with the package pillow-heif, the others with Pillow."""
    with contextlib.suppress(ImportError):
        importlib.import_module("pillow_heif").register_heif_opener()
    Image.init()  # Pillow does not load its formats when asked by name
    names = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF", "JPEG2000", "HEIF")
    return tuple(name for name in names if name in Image.OPEN)


_FORMATS = supported_formats()


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
    try:
        opened = open_image(data)
    except PhotoError:
        if not data.startswith(_TIFF_MAGIC):
            raise
        header = _tiff_header(data)
        _check_size(header.height, header.width, max_megapixels)
        return header
    with opened as image:
        width, height = image.size
        _check_size(height, width, max_megapixels)
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            if _begins_with_thumbnail(image):
                raise PhotoError(
                    "camera raw photo, or a TIFF that begins with a thumbnail; convert it to JPEG"
                )
            # Pillow turns a TIFF upright by itself.
            return Header("TIFF", image.mode, height, width, 1, _frames(image))
        return Header(image.format or "", image.mode, height, width, _orientation(image), _frames(image))


def open_image(data: bytes) -> Image.Image:
    """Pillow's image of a photo file, nothing decoded yet.

    Raises:
        PhotoError: not an image of a known format.
    """
    kind = sniff(data[:_MAGIC_BYTES])
    message = "expected a photo, got something else or a damaged file"
    if kind in ("HEIC", "AVIF", "JPEG 2000", "JPEG XL", "camera raw"):
        message = f"{kind} photo, damaged or not readable here; convert it to JPEG"
    with pillow_errors(message):
        return Image.open(io.BytesIO(data), formats=_FORMATS)


def sniff(start: bytes) -> str | None:
    """The kind of photo that begins with the bytes `start` (12), by its magic number; None: no photo."""
    if start[4:8] == b"ftyp":
        return _BRANDS.get(start[8:12])
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return "WebP"
    return next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), None)


def is_photo(path: Path) -> bool:
    """Whether a file is a photo by its suffix or its first bytes, readable here or not."""
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            return sniff(file.read(_MAGIC_BYTES)) is not None
    except OSError:
        return False


def _check_size(height: int, width: int, max_megapixels: float) -> None:
    if width * height > max_megapixels * 1e6:
        raise PhotoError(
            f"expected at most {max_megapixels:g} megapixels, got {width} x {height} (decode.max_megapixels)"
        )


def _begins_with_thumbnail(image: TiffImagePlugin.TiffImageFile) -> bool:
    with pillow_errors("expected a photo, got a damaged file"):
        return bool(image.tag_v2.get(_NEW_SUBFILE_TYPE, 0) & 1)


def _tiff_header(data: bytes) -> Header:
    """Header of a TIFF that Pillow does not open."""
    with pillow_errors("expected a photo, got something else or a damaged file"):
        directory = TiffImagePlugin.ImageFileDirectory_v2(data[:8])
        file = io.BytesIO(data)
        file.seek(directory.next)
        directory.load(file)
        height, width = int(directory[257]), int(directory[256])
        orientation = directory.get(ExifTags.Base.Orientation, 1)
    return Header(OPENCV_TIFF, "", height, width, orientation if orientation in range(1, 9) else 1, 1)


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
