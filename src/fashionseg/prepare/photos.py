"""Photo files to upright RGB pixels: EXIF, grayscale, CMYK, 16-bit, animated, cut short, or far too large.

The header is read first and decides whether anything is decoded at all. Large JPEGs are decoded at a half, quarter
or eighth of their size where the caller wants a small photo, which saves most of the time and memory.
Photos are uint8 [h, w, 3] RGB.
"""

from __future__ import annotations

import io
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile

from fashionseg.data.jpeg import PhotoError, Pixels, shrink
from fashionseg.parallel import lacks_memory

T = TypeVar("T", bound=np.generic)

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
_MAX_FILE_BYTES = 2**30
_MAX_PAGES = 1000  # counted; only the first one is used
_END_OF_JPEG = b"\xff\xd9"
# The names without COLOR: those with it ask for BGR, which OpenCV 5 refuses beside IMREAD_COLOR_RGB.
_REDUCED = (
    (8, cv2.IMREAD_REDUCED_GRAYSCALE_8),
    (4, cv2.IMREAD_REDUCED_GRAYSCALE_4),
    (2, cv2.IMREAD_REDUCED_GRAYSCALE_2),
)

# `read_header` holds every photo against the caller's own limit before a pixel is decoded; Pillow's would warn
# about photos the competition really has (73 megapixels).
Image.MAX_IMAGE_PIXELS = None
Image.init()  # registers all of _FORMATS; asked for by name, Pillow does not load them by itself


@dataclass(frozen=True)
class Header:
    """What a photo file says of itself; `height` and `width` before the EXIF `orientation` (1 to 8) is applied."""

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
    with _open(data) as image:
        width, height = image.size
        if width * height > max_megapixels * 1e6:
            raise PhotoError(
                f"expected at most {max_megapixels:g} megapixels, got {width} x {height} (decode.max_megapixels)"
            )
        return Header(
            format=image.format or "",
            mode=image.mode,
            height=height,
            width=width,
            orientation=_orientation(image),
            frames=_frames(image),
        )


def decode_photo(
    data: bytes,
    header: Header,
    long_side: int | None = None,
    upright: bool = True,
    allow_truncated: bool = False,
) -> Pixels:
    """The photo's pixels, shrunk so that the longer side is `long_side` (never enlarged), upright unless told.

    `allow_truncated` keeps what can be read of a file that was cut short; the rest is grey.

    Raises:
        PhotoError: cut short or damaged.
    """
    target = shrunk_hw((header.height, header.width), long_side)
    if header.format == "JPEG" and header.mode in ("RGB", "L") and _has_end(data):
        pixels = _decode_with_opencv(data, header, target)
    else:
        pixels = _decode_with_pillow(data, target, allow_truncated)
    pixels = shrink(pixels, target)
    return turn_upright(pixels, header.orientation) if upright else pixels


def read_photo(path: Path, max_megapixels: float, long_side: int | None = None) -> Pixels:
    """A photo file of any kind to upright pixels.

    Raises:
        PhotoError: see `read_file`, `read_header` and `decode_photo`.
    """
    data = read_file(path)
    return decode_photo(data, read_header(data, max_megapixels), long_side)


def shrunk_hw(hw: tuple[int, int], long_side: int | None) -> tuple[int, int]:
    """(height, width) with the longer side at most `long_side`, the other rounded and at least 1."""
    longest = max(hw)
    if long_side is None or longest <= long_side:
        return hw
    height, width = ((side * long_side * 2 + longest) // (2 * longest) for side in hw)
    return max(height, 1), max(width, 1)


def turn_upright(pixels: NDArray[T], orientation: int) -> NDArray[T]:
    """Pixels [h, w, ...] as stored, turned and mirrored as their EXIF orientation (1 to 8) says."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def difference_hash(pixels: Pixels) -> int:
    """64 bits that near-identical photos share: is each of 8 x 8 cells darker than the one on its right?"""
    # Down in two steps: averaging the whole photo takes longer than compressing it.
    sampled = cv2.resize(pixels, (9 * 16, 8 * 16), interpolation=cv2.INTER_LINEAR)
    small = cv2.resize(cv2.cvtColor(sampled, cv2.COLOR_RGB2GRAY), (9, 8), interpolation=cv2.INTER_AREA)
    bits = np.packbits(small[:, :-1] < small[:, 1:])
    return int.from_bytes(bits.tobytes(), "big")


def _open(data: bytes) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about odd metadata; what matters here is checked
        try:
            return Image.open(io.BytesIO(data), formats=_FORMATS)
        except (
            MemoryError
        ):  # says nothing about the photo, here and below: without it good ones would be dropped
            raise
        except Exception:  # Pillow's readers raise nearly anything on damaged files
            raise PhotoError("expected a photo, got something else or a damaged file") from None


def _orientation(image: Image.Image) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            value = image.getexif().get(ExifTags.Base.Orientation, 1)
        except MemoryError:
            raise
        except Exception:  # a damaged EXIF block says nothing
            return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _frames(image: Image.Image) -> int:
    """Pictures of an animation; the previews in some cameras' JPEGs do not count."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if image.format == "MPO":
                return 1
            return _tiff_pages(image) if image.format == "TIFF" else int(getattr(image, "n_frames", 1))
        except MemoryError:
            raise
        except Exception:  # counting them reads further than opening did
            raise PhotoError("expected a photo, got a damaged file") from None


def _tiff_pages(image: Image.Image) -> int:
    """Pages up to _MAX_PAGES: Pillow's own count takes the square of their number, hours for 32 MB."""
    for page in range(1, _MAX_PAGES):
        try:
            image.seek(page)
        except EOFError:
            return page
    return _MAX_PAGES


def _has_end(data: bytes) -> bool:
    """Whether a JPEG ends as it should; libjpeg would fill a file cut short with grey and say nothing."""
    return data.rstrip(b"\0").endswith(_END_OF_JPEG)


def _decode_with_opencv(data: bytes, header: Header, target: tuple[int, int]) -> Pixels:
    ratio = max(header.height, header.width) / max(target)
    flag = next((flag for factor, flag in _REDUCED if ratio >= factor), 0)
    flag |= cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    except cv2.error as error:
        if lacks_memory(error):
            raise
        pixels = None
    if pixels is None:
        raise PhotoError("cut short or damaged: not a JPEG after its header")
    return np.asarray(pixels, np.uint8)


def _decode_with_pillow(data: bytes, target: tuple[int, int], allow_truncated: bool) -> Pixels:
    """Everything but plain JPEGs; of an animation the first frame."""
    with _open(data) as image, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = ImageFile.LOAD_TRUNCATED_IMAGES
        ImageFile.LOAD_TRUNCATED_IMAGES = allow_truncated
        try:
            image.draft(None, target[::-1])
            if image.mode.startswith("I;16"):
                return np.repeat((np.asarray(image) >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
            return np.array(image.convert("RGB"))
        except MemoryError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise PhotoError(f"cut short or damaged: {reason}") from None
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = before
