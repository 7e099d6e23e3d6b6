"""Decoding of photo files to upright RGB pixels: EXIF, grayscale, CMYK, 16-bit, animated or truncated.

Large JPEGs are decoded at a half, quarter or eighth of their size where the caller wants a small photo, which saves
most of the time and memory. Photos are uint8 [h, w, 3] RGB.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile

from fashionseg.data.jpeg import PhotoError, Pixels, shrink
from fashionseg.parallel import lacks_memory
from fashionseg.prepare.photo_header import Header, open_image, pillow_errors, read_file, read_header

T = TypeVar("T", bound=np.generic)

_END_OF_JPEG = b"\xff\xd9"
# The names without COLOR: those with it mean BGR, which OpenCV 5 refuses together with IMREAD_COLOR_RGB.
_REDUCED = (
    (8, cv2.IMREAD_REDUCED_GRAYSCALE_8),
    (4, cv2.IMREAD_REDUCED_GRAYSCALE_4),
    (2, cv2.IMREAD_REDUCED_GRAYSCALE_2),
)


def decode_photo(
    data: bytes,
    header: Header,
    long_side: int | None = None,
    upright: bool = True,
    allow_truncated: bool = False,
) -> Pixels:
    """The photo's pixels, shrunk so that the longer side is `long_side` (never enlarged), and upright by default.

    `allow_truncated` keeps the readable part of a truncated file; the rest is grey.

    Raises:
        PhotoError: truncated or damaged.
    """
    target = shrunk_hw((header.height, header.width), long_side)
    # libjpeg silently fills a truncated file with grey, so a JPEG without its end marker is Pillow's.
    is_whole = data.rstrip(b"\0").endswith(_END_OF_JPEG)
    if header.format == "JPEG" and header.mode in ("RGB", "L") and is_whole:
        pixels = _decode_with_opencv(data, header, target)
    else:
        pixels = _decode_with_pillow(data, target, allow_truncated)
    pixels = shrink(pixels, target)
    return turn_upright(pixels, header.orientation) if upright else pixels


def read_photo(path: Path, max_megapixels: float, long_side: int | None = None) -> Pixels:
    """A photo file of any supported format to upright pixels.

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
    """Pixels [h, w, ...] as stored, rotated and mirrored to their EXIF orientation (1 to 8)."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


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
        raise PhotoError("truncated or damaged: not a JPEG after its header")
    return np.asarray(pixels, np.uint8)


def _decode_with_pillow(data: bytes, target: tuple[int, int], allow_truncated: bool) -> Pixels:
    """Any format but plain JPEG; the first frame of an animation."""
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    with open_image(data) as image, pillow_errors("truncated or damaged: {}"):
        ImageFile.LOAD_TRUNCATED_IMAGES = allow_truncated
        try:
            image.draft(None, target[::-1])
            if image.mode.startswith("I;16"):
                return np.repeat((np.asarray(image) >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
            return np.array(image.convert("RGB"))
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = before
