"""Fabrics: colours as functions of figure coordinates, so that a pattern has the same size on all photos."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache

import cv2
import numpy as np
from skimage.filters import gaussian

Colour = tuple[float, float, float]  # sRGB, 0..1

# Attribute ids of the taxonomy for each fabric: finish and pattern.
PLAIN, STRIPE, DOT, CHECK, FLORAL, CAMOUFLAGE, CHEVRON, GEOMETRIC = 61, 72, 67, 66, 69, 65, 75, 70
WASHED, NO_FINISH = 46, 60
PATTERN_ATTRIBUTES = {
    "plain": (NO_FINISH, PLAIN),
    "melange": (NO_FINISH, PLAIN),
    "gradient": (NO_FINISH, PLAIN),
    "knit": (NO_FINISH, PLAIN),
    "denim": (WASHED, PLAIN),
    "stripe": (NO_FINISH, STRIPE),
    "pinstripe": (NO_FINISH, STRIPE),
    "dots": (NO_FINISH, DOT),
    "check": (NO_FINISH, CHECK),
    "plaid": (NO_FINISH, CHECK),
    "floral": (NO_FINISH, FLORAL),
    "camouflage": (NO_FINISH, CAMOUFLAGE),
    "chevron": (NO_FINISH, CHEVRON),
}


def hex_colour(text: str) -> Colour:
    """`"ff8000"` -> (1.0, 0.50, 0.0)."""
    red, green, blue = (int(text[i : i + 2], 16) / 255 for i in (0, 2, 4))
    return red, green, blue


def mix(first: Colour, second: Colour, amount: float) -> Colour:
    """Linear interpolation; `amount` 0: `first`, 1: `second`."""
    red, green, blue = (a + (b - a) * amount for a, b in zip(first, second, strict=True))
    return red, green, blue


def darker(colour: Colour, amount: float) -> Colour:
    return mix(colour, (0.05, 0.04, 0.08), amount)


def lighter(colour: Colour, amount: float) -> Colour:
    return mix(colour, (1.0, 0.99, 0.96), amount)


@dataclass(frozen=True)
class Texture:
    """A fabric. `period`: size of the pattern in figure units; `angle`: rotation in radians; `offset`: shift."""

    kind: str
    base: Colour
    accent: Colour
    period: float = 0.04
    angle: float = 0.0
    offset: float = 0.0

    def turned(self, angle: float) -> Texture:
        """The same fabric rotated, as on a sleeve."""
        return replace(self, angle=self.angle + angle)

    def shade(self, amount: float) -> Texture:
        """A darker (negative `amount`: lighter) fabric with the same pattern, as on a pocket or cuff."""
        change = darker if amount > 0 else lighter
        return replace(self, base=change(self.base, abs(amount)), accent=change(self.accent, abs(amount)))

    def unpatterned(self, amount: float) -> Texture:
        """A plain fabric in a darker tone, so that parts are visible on busy patterns."""
        return replace(self.shade(amount), kind="plain")

    def at(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Colour at figure coordinates `u` (across), `v` (down), broadcastable: float32 [h, w, 3]."""
        c, s = math.cos(self.angle), math.sin(self.angle)
        across = (c * u + s * v + self.offset).astype(np.float32) / self.period
        down = (c * v - s * u + self.offset).astype(np.float32) / self.period
        amount = _PATTERNS[self.kind](across, down)
        base, accent = np.asarray(self.base, np.float32), np.asarray(self.accent, np.float32)
        weave = 1.0 + 0.05 * cloth_noise(across * self.period, down * self.period, 900.0)
        return (base + (accent - base) * amount[..., None]) * weave[..., None]


def cloth_noise(u: np.ndarray, v: np.ndarray, per_unit: float) -> np.ndarray:
    """Fine noise in about -1..1 with `per_unit` grains per figure unit."""
    return _sample(_noise_tile(0.7), u * per_unit, v * per_unit)


def grain(height: int, width: int, shift: int) -> np.ndarray:
    """Pixel noise, float32 [height, width]; `shift` selects a variation."""
    tile = np.roll(_noise_tile(0.7), (shift % 256, shift // 256), (0, 1))
    return np.tile(tile, (-(-height // 256), -(-width // 256)))[:height, :width]


def cloud_noise(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Smooth noise in about -1..1 with a few blobs per unit of `u` and `v`."""
    return _sample(_noise_tile(9.0), u * 30.0, v * 30.0)


@cache
def _noise_tile(sigma: float) -> np.ndarray:
    """Tileable smooth noise, float32 [256, 256]; the same in every photo and process."""
    white = np.random.default_rng(46).standard_normal((256, 256))
    noise = gaussian(white, sigma, mode="wrap")
    return (noise / np.abs(noise).max()).astype(np.float32)


def _sample(tile: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Bilinear samples of the repeated tile."""
    x, y = (np.mod(values, 256.0).astype(np.float32) for values in np.broadcast_arrays(x, y))
    return cv2.remap(tile, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def _band(x: np.ndarray, share: float, softness: float = 0.06) -> np.ndarray:
    """1 in the middle fraction `share` of each period, 0 elsewhere, with soft edges."""
    distance = np.abs(np.mod(x, 1.0) - 0.5)
    return np.clip((share / 2 - distance) / softness + 0.5, 0.0, 1.0)


def _plain(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.zeros(np.broadcast_shapes(u.shape, v.shape), np.float32)


def _melange(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.clip(0.35 + 0.55 * cloth_noise(u, v, 14.0), 0.0, 1.0)


def _gradient(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return 0.5 + 0.5 * np.sin(v * 0.28) + 0 * u


def _knit(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return 0.6 * _band(2.2 * v + 0.8 * np.abs(np.mod(3.0 * u, 1.0) - 0.5), 0.45, 0.3)


def _denim(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    twill = 0.10 * np.sin(26.0 * (u + v))
    clouds, grains = cloud_noise(0.25 * u, 0.12 * v), cloth_noise(u, v, 30.0)
    return np.clip(0.22 + twill + 0.5 * clouds + 0.25 * grains, 0, 1)


def _stripe(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return _band(v + 0 * u, 0.48)


def _pinstripe(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return 0.9 * _band(1.3 * u + 0 * v, 0.2)


def _dots(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    row = np.floor(v)
    x = np.mod(u + 0.5 * np.mod(row, 2.0), 1.0) - 0.5
    return np.clip((0.27 - np.hypot(x, np.mod(v, 1.0) - 0.5)) / 0.08 + 0.5, 0.0, 1.0)


def _check(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return 0.5 * (_band(u, 0.5) + _band(v, 0.5))


def _plaid(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    wide = 0.35 * (_band(0.6 * u, 0.5) + _band(0.6 * v, 0.5))
    thin = 0.45 * np.maximum(_band(0.6 * u + 0.5, 0.1), _band(0.6 * v + 0.5, 0.1))
    return np.clip(wide + thin, 0.0, 1.0)


def _chevron(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return _band(v + 0.9 * np.abs(np.mod(u, 1.0) - 0.5), 0.45)


def _camouflage(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    blobs = cloud_noise(0.35 * u, 0.35 * v)
    return 0.5 * np.clip(8 * (blobs + 0.05) + 0.5, 0, 1) + 0.5 * np.clip(8 * (blobs - 0.3) + 0.5, 0, 1)


def _floral(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Five-petalled flowers in two sizes on a shifted lattice."""
    row = np.floor(v)
    shifted = 0.8 * u + 0.5 * np.mod(row, 2.0)
    x, y = np.mod(shifted, 1.0) - 0.5, np.mod(v, 1.0) - 0.5
    size = 0.30 + 0.10 * np.mod(np.floor(shifted) + row, 2.0)
    petals = size * (0.72 + 0.28 * np.cos(5 * np.arctan2(y, x) + row))
    radius = np.hypot(x, y)
    flower = np.clip((petals - radius) / 0.08 + 0.5, 0.0, 1.0)
    return flower - 0.75 * np.clip((0.11 - radius) / 0.06 + 0.5, 0.0, 1.0)


_PATTERNS = {
    "plain": _plain,
    "melange": _melange,
    "gradient": _gradient,
    "knit": _knit,
    "denim": _denim,
    "stripe": _stripe,
    "pinstripe": _pinstripe,
    "dots": _dots,
    "check": _check,
    "plaid": _plaid,
    "floral": _floral,
    "camouflage": _camouflage,
    "chevron": _chevron,
}
