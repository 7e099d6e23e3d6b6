"""JPEG bytes to RGB pixels and back, and shrinking; photos are uint8 [h, w, 3] RGB."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

_NEARLY_THE_SIZE = 1.25


class PhotoError(ValueError):
    """A file that does not give a photo; the message is one line without the file's name."""


def encode_jpeg(pixels: Pixels, quality: int) -> bytes:
    """RGB pixels to the bytes of a JPEG file."""
    done, data = cv2.imencode(
        ".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    assert done
    return data.tobytes()


def decode_jpeg(data: bytes) -> Pixels:
    """Bytes written by `encode_jpeg` to RGB pixels."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    if pixels is None:
        raise PhotoError("expected a JPEG, got other or damaged bytes")
    return np.asarray(pixels, np.uint8)


def shrink(pixels: Pixels, target: tuple[int, int]) -> Pixels:
    """Photo [h, w, 3] to `target` (height, width), averaging over the pixels that fall into one."""
    ratio = max(pixels.shape[0] / target[0], pixels.shape[1] / target[1])
    if ratio == 1:
        return pixels
    # Up to here averaging differs from interpolating by less than JPEG's own noise and costs six times as much.
    method = cv2.INTER_LINEAR if ratio <= _NEARLY_THE_SIZE else cv2.INTER_AREA
    return np.asarray(cv2.resize(pixels, target[::-1], interpolation=method), np.uint8)
