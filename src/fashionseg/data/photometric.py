"""Photometric augmentation of a photo: colour and JPEG artefacts; RGB uint8 [h, w, 3] in and out.

It runs before the photo is placed in the square, so padding stays zero. OpenCV and not imgaug: there, each of these
changes converts to HSV, and a JPEG goes through a file.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from fashionseg import params
from fashionseg.data.jpeg import Pixels, decode_jpeg, encode_jpeg

# At strength 1: factors from 0.5 to 1.5, and a twentieth of the hue circle (180 in OpenCV), each way.
_FACTOR = 0.5
_HUE_STEPS = 9.0


def photometric(photo: Pixels, augment: params.Augment, rng: np.random.Generator) -> Pixels:
    """The photo with the changes of `augment.colour` in random order, then compressed at a quality of its range."""
    if augment.colour > 0:
        for number in rng.permutation(len(_CHANGES)):
            photo = _CHANGES[number](photo, rng.uniform(-augment.colour, augment.colour))
    if augment.jpeg_quality is not None:
        low, high = augment.jpeg_quality
        photo = decode_jpeg(encode_jpeg(photo, int(rng.integers(low, high + 1))))
    return photo


def brightness(photo: Pixels, amount: float) -> Pixels:
    """Multiplies; `amount` is -1 to 1, 0 changes nothing, as in the other changes."""
    return _blend(photo, photo, 1 + _FACTOR * amount, 0.0, 0.0)


def contrast(photo: Pixels, amount: float) -> Pixels:
    """Stretches the distances from the photo's mean grey."""
    factor = 1 + _FACTOR * amount
    return _blend(photo, photo, factor, 0.0, (1 - factor) * float(_grey(photo).mean()))


def saturation(photo: Pixels, amount: float) -> Pixels:
    """Stretches the distances from each pixel's grey."""
    factor = 1 + _FACTOR * amount
    grey = np.asarray(cv2.cvtColor(_grey(photo), cv2.COLOR_GRAY2RGB), np.uint8)
    return _blend(photo, grey, factor, 1 - factor, 0.0)


def hue(photo: Pixels, amount: float) -> Pixels:
    """Turns the hue circle."""
    hsv = cv2.cvtColor(photo, cv2.COLOR_RGB2HSV)
    turned = (np.arange(256) + round(_HUE_STEPS * amount)) % 180
    hsv[:, :, 0] = turned.astype(np.uint8)[hsv[:, :, 0]]
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.uint8)


_CHANGES: tuple[Callable[[Pixels, float], Pixels], ...] = (brightness, contrast, saturation, hue)


def _grey(photo: Pixels) -> Pixels:
    return np.asarray(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), np.uint8)


def _blend(one: Pixels, other: Pixels, weight: float, other_weight: float, offset: float) -> Pixels:
    """The weighted sum, rounded and clipped to 0 to 255."""
    return np.asarray(cv2.addWeighted(one, weight, other, other_weight, offset), np.uint8)
