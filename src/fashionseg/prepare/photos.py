"""Decoding of photo files to upright RGB pixels: EXIF, transparent, grayscale, CMYK, 16-bit, animated or truncated.

The one reader of training, prediction and serving: pixels are what a viewer shows on a white page.

Large JPEGs are decoded at a half, quarter or eighth of their size where the caller wants a small photo, which saves
most of the time and memory. Photos are uint8 [h, w, 3] RGB.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFile

from fashionseg.data.jpeg import PhotoError, Pixels, shrink
from fashionseg.parallel import lacks_memory
from fashionseg.prepare.photo_header import (
    OPENCV_TIFF,
    Header,
    open_image,
    pillow_errors,
    read_file,
    read_header,
)

T = TypeVar("T", bound=np.generic)

_CONVERTED = {
    "1": "black and white",
    "L": "grayscale",
    "LA": "grayscale",
    "CMYK": "CMYK",
    "LAB": "Lab",
    "I": "32-bit",
    "F": "float",
    **dict.fromkeys(("I;16", "I;16B", "I;16L", "I;16N"), "16-bit"),
}
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
    """The pixels of `decode_with_changes`."""
    return decode_with_changes(data, header, long_side, upright, allow_truncated)[0]


def decode_with_changes(
    data: bytes,
    header: Header,
    long_side: int | None = None,
    upright: bool = True,
    allow_truncated: bool = False,
) -> tuple[Pixels, list[str]]:
    """The photo's pixels, shrunk so that the longer side is `long_side` (never enlarged), and upright by default.

    `allow_truncated` keeps the readable part of a truncated file; the rest is grey.

    Returns:
        Pixels, and a line for each way in which they differ from the file's (`CMYK made RGB`).

    Raises:
        PhotoError: truncated or damaged.
    """
    target = shrunk_hw((header.height, header.width), long_side)
    changes = [f"{_CONVERTED[header.mode]} made RGB"] if header.mode in _CONVERTED else []
    # libjpeg silently fills a truncated file with grey, so a JPEG without its end marker is Pillow's.
    is_whole = data.rstrip(b"\0").endswith(_END_OF_JPEG)
    if header.format == "JPEG" and header.mode in ("RGB", "L") and is_whole:
        pixels = _decode_with_opencv(data, header, target)
    else:
        if header.format == OPENCV_TIFF:
            changes.append("samples made 8-bit RGB")
            pixels, alpha = _decode_any_depth(data)
        else:
            pixels, alpha = _decode_with_pillow(data, target, allow_truncated)
        if alpha is not None and alpha.min() < 255:
            changes.append("transparent parts made white")
            pixels = _on_white(pixels, alpha)
    if header.frames > 1:
        changes.append(f"the first of {header.frames} frames used")
    pixels = shrink(pixels, target)
    return turn_upright(pixels, header.orientation) if upright else pixels, changes


def read_photo(path: Path, max_megapixels: float, long_side: int | None = None) -> Pixels:
    """A photo file of any supported format to upright pixels.

    Raises:
        PhotoError: see `read_file`, `read_header` and `decode_photo`.
    """
    return read_photo_with_changes(path, max_megapixels, long_side)[0]


def read_photo_with_changes(
    path: Path, max_megapixels: float, long_side: int | None = None
) -> tuple[Pixels, list[str]]:
    """The same, and the changes of `decode_with_changes`."""
    data = read_file(path)
    return decode_with_changes(data, read_header(data, max_megapixels), long_side)


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


def _decode_with_pillow(
    data: bytes, target: tuple[int, int], allow_truncated: bool
) -> tuple[Pixels, Pixels | None]:
    """Pixels, and alpha [h, w] if there is any, of any format but plain JPEG; the first frame of an animation."""
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    with open_image(data) as image, pillow_errors("truncated or damaged: {}"):
        ImageFile.LOAD_TRUNCATED_IMAGES = allow_truncated
        try:
            image.draft(None, target[::-1])
            if image.mode in ("I", "F") or image.mode.startswith("I;16"):
                return np.repeat(_eight_bits(np.asarray(image))[:, :, None], 3, axis=2), None
            if image.has_transparency_data:
                rgba = np.asarray(image.convert("RGBA"))
                return np.ascontiguousarray(rgba[:, :, :3]), rgba[:, :, 3]
            return np.array(_by_profile(image) or image.convert("RGB")), None
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = before


def _by_profile(image: Image.Image) -> Image.Image | None:
    """Lab, and CMYK with a usable colour profile, as RGB; None for all else."""
    profile: Any = None
    if image.mode == "CMYK" and (stored := image.info.get("icc_profile")):
        profile = io.BytesIO(stored)
    elif image.mode == "LAB":
        profile = ImageCms.createProfile("LAB")
    if profile is None:
        return None
    try:
        return ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return None


def _decode_any_depth(data: bytes) -> tuple[Pixels, Pixels | None]:
    """Pixels, and alpha [h, w] if there is any, of what only OpenCV opens."""
    try:
        values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        if lacks_memory(error):
            raise
        values = None
    if values is None:
        raise PhotoError("expected a photo, got something else or a damaged file")
    values = values if values.ndim == 3 else values[:, :, None]
    channels = values.shape[2]
    colours = _eight_bits(values[:, :, 2::-1] if channels >= 3 else values[:, :, [0, 0, 0]])
    return np.ascontiguousarray(colours), _eight_bits(values[:, :, -1]) if channels in (2, 4) else None


def _eight_bits(values: NDArray[Any]) -> Pixels:
    """Numbers to 0 to 255: floats up to about 1, bytes, 16 bits or more, whichever range holds the largest."""
    if values.dtype == np.uint8:
        return np.asarray(values, np.uint8)
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:
        return (values >> 8).astype(np.uint8)
    numbers = np.nan_to_num(values.astype(np.float64)).clip(0)
    top = numbers.max(initial=0.0)
    if values.dtype.kind == "f" and top < 2:  # highlights and compressed floats may exceed 1
        return np.round(numbers * 255).clip(max=255).astype(np.uint8)
    scale = 1.0 if top <= 255 else 1 / 256 if top < 2**16 else 255 / top
    return np.floor(numbers * scale).astype(np.uint8)


def _on_white(pixels: Pixels, alpha: Pixels) -> Pixels:
    share = alpha[:, :, None].astype(np.uint16)
    return ((pixels * share + 255 * (255 - share) + 127) // 255).astype(np.uint8)
