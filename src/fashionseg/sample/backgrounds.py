"""Backgrounds behind the figures, painted at half size and slightly out of focus."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from skimage.filters import gaussian

from fashionseg.sample.chance import pick
from fashionseg.sample.textures import Colour, cloth_noise, cloud_noise, darker, hex_colour, lighter, mix

FLOOR = 0.82  # row of the edge between wall and floor, as a fraction of the height

Painted = tuple[tuple[Colour, ...], float]  # main colours; blur in pixels at a height of 700


@dataclass(frozen=True)
class Background:
    """`image` float32 [H, W, 3] RGB 0..1; `colours`: the main colours, for choosing contrasting clothes."""

    image: np.ndarray
    colours: tuple[Colour, ...]


def draw_background(rng: np.random.Generator, height: int, width: int) -> Background:
    """A random scene."""
    scene = pick(rng, SCENES)
    small = np.zeros((height // 2, width // 2, 3), np.float32)
    colours, blur = scene(rng, small)
    if blur:
        small = gaussian(small, blur * height / 700, channel_axis=-1)
    image = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    return Background(image, colours)


def _colour(text: str, rng: np.random.Generator, spread: float = 0.05) -> Colour:
    """The colour `text` with a small random variation."""
    red, green, blue = np.clip(np.array(hex_colour(text)) + rng.normal(0, spread, 3), 0, 1)
    return float(red), float(green), float(blue)


def _one_of(rng: np.random.Generator, texts: str) -> Colour:
    return _colour(pick(rng, texts.split()), rng, 0.02)


def _grid(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns as fractions of the height: float32 [h, 1], [1, w]."""
    height, width = image.shape[:2]
    return (
        np.arange(height, dtype=np.float32)[:, None] / height,
        np.arange(width, dtype=np.float32)[None, :] / height,
    )


def _vertical(image: np.ndarray, top: float, bottom: float, upper: Colour, lower: Colour) -> None:
    """A vertical gradient between two rows (fractions of the height)."""
    first, last = round(top * len(image)), round(bottom * len(image))
    share = np.linspace(0, 1, max(last - first, 1), dtype=np.float32)[:, None, None]
    image[first:last] = np.asarray(upper, np.float32) * (1 - share) + np.asarray(lower, np.float32) * share


def _box(image: np.ndarray, x1: float, y1: float, x2: float, y2: float, colour: Colour) -> None:
    """A filled box; coordinates in fractions of the height."""
    n = len(image)
    cv2.rectangle(image, (round(x1 * n), round(y1 * n)), (round(x2 * n), round(y2 * n)), colour, -1)


def _disc(image: np.ndarray, x: float, y: float, radius: float, colour: Colour) -> None:
    n = len(image)
    cv2.circle(image, (round(x * n), round(y * n)), max(1, round(radius * n)), colour, -1, cv2.LINE_AA)


def _polygon(image: np.ndarray, points: list[tuple[float, float]], colour: Colour) -> None:
    corners = np.round(np.array(points) * len(image) * 16).astype(np.int32)
    cv2.fillPoly(image, [corners], colour, cv2.LINE_AA, 4)


def _speckle(image: np.ndarray, strength: float, per_unit: float) -> None:
    rows, columns = _grid(image)
    image *= 1.0 + strength * cloth_noise(columns, rows, per_unit)[..., None]


def _mottle(image: np.ndarray, strength: float, size: float) -> None:
    rows, columns = _grid(image)
    image *= 1.0 + strength * cloud_noise(columns * size, rows * size)[..., None]


def _aspect(image: np.ndarray) -> float:
    return image.shape[1] / image.shape[0]


def _studio(rng: np.random.Generator, image: np.ndarray) -> Painted:
    """Seamless paper with a pool of light."""
    tone = _one_of(rng, "d9d4cc e8c9b5 b9cdd1 cfd8c2 d8c2d3 efe3c8 a9b4c2 e6e6e6 c98f72 7f9c96")
    image[:] = tone
    rows, columns = _grid(image)
    light = np.exp(-(((columns - _aspect(image) / 2) / 0.36) ** 2) - ((rows - 0.42) / 0.42) ** 2)
    image *= (0.80 + 0.30 * light)[..., None]
    _vertical(image, FLOOR + 0.03, 1.0, darker(tone, 0.10), lighter(tone, 0.16))
    return (tone,), 3.0


def _poster(rng: np.random.Generator, image: np.ndarray) -> Painted:
    """A poster with a large disc and confetti."""
    pairs = (
        "f4e4c1 e07a5f",
        "e9edc9 81b29a",
        "cdb4db ffc8dd",
        "bde0fe 4a7ba6",
        "ffe5d9 d68c7a",
        "dfe7e8 8d99ae",
    )
    ground, accent = (hex_colour(text) for text in pick(rng, pairs).split())
    image[:] = ground
    middle = _aspect(image) / 2
    _disc(image, middle + rng.uniform(-0.1, 0.1), rng.uniform(0.3, 0.5), rng.uniform(0.22, 0.3), accent)
    for _ in range(7):
        x, y = rng.uniform(0, _aspect(image)), rng.uniform(0.02, 0.75)
        _disc(image, x, y, rng.uniform(0.008, 0.025), mix(accent, ground, rng.uniform(0.2, 0.7)))
    _box(image, 0, FLOOR + 0.06, 2, 1, darker(accent, 0.15))
    return (ground, accent), 1.5


def _bricks(rng: np.random.Generator, image: np.ndarray) -> Painted:
    """A brick wall and pavement."""
    brick = _one_of(rng, "a65a43 b9694c 8f5347 c4b5a5 d9d0c5 7d6b63")
    mortar = lighter(brick, 0.4)
    image[:] = mortar
    course, length = 0.030, 0.085
    for row in range(int(FLOOR / course) + 1):
        x = -length * (0.5 * (row % 2)) - 0.001
        while x < _aspect(image):
            tone = mix(brick, darker(brick, 0.3), rng.random())
            _box(image, x, row * course, x + length - 0.006, (row + 1) * course - 0.006, tone)
            x += length
    _vertical(image, FLOOR, 1.0, _colour("8a8a88", rng), _colour("a9a7a2", rng))
    _box(image, 0, FLOOR - 0.012, 2, FLOOR, darker(brick, 0.5))
    _speckle(image, 0.12, 300)
    return (brick,), 1.4


def _street(rng: np.random.Generator, image: np.ndarray) -> Painted:
    """House fronts with windows, sky and pavement."""
    sky = _one_of(rng, "a9cfe6 c9dbe4 f3cfae b8c4d6")
    _vertical(image, 0, FLOOR, sky, lighter(sky, 0.5))
    colours = [sky]
    x = -0.05
    while x < _aspect(image):
        wide, top = rng.uniform(0.16, 0.28), rng.uniform(0.04, 0.34)
        wall = _one_of(rng, "d8b08c b5838d 8d99ae e5d4c0 9aa78f c38e70 6d6875 d9ae94")
        colours.append(wall)
        _box(image, x, top, x + wide - 0.004, FLOOR, wall)
        _box(image, x, top, x + wide - 0.004, top + 0.016, darker(wall, 0.3))
        pane = lighter(sky, 0.3) if rng.random() < 0.6 else darker(wall, 0.5)
        for y in np.arange(top + 0.05, FLOOR - 0.13, 0.105):
            for left in np.arange(x + 0.025, x + wide - 0.05, 0.065):
                _box(image, left - 0.004, y - 0.004, left + 0.038, y + 0.066, lighter(wall, 0.35))
                _box(image, left, y, left + 0.034, y + 0.062, pane)
        x += wide
    _vertical(image, FLOOR, 1.0, _colour("77777a", rng, 0.03), _colour("a3a19c", rng, 0.03))
    _box(image, 0, FLOOR, 2, FLOOR + 0.014, (0.78, 0.77, 0.74))
    return tuple(colours[:3]), 3.2


def _park(rng: np.random.Generator, image: np.ndarray) -> Painted:
    """Sky, hills, trees and a meadow with a path."""
    sky, green = _one_of(rng, "9fd0e8 cfe4ee f6d9b8"), _one_of(rng, "7fa650 94b562 6a9a5b b7a24c")
    _vertical(image, 0, 0.6, sky, lighter(sky, 0.55))
    image[int(0.6 * len(image)) :] = lighter(green, 0.1)
    middle = _aspect(image) / 2
    for number in range(3):
        hill = mix(green, sky, 0.55 - 0.2 * number)
        _disc(image, middle + rng.uniform(-0.5, 0.5), 1.05 + 0.12 * number, 0.62, hill)
    for _ in range(5):
        x, y, size = rng.uniform(-0.05, 2 * middle + 0.05), rng.uniform(0.42, 0.6), rng.uniform(0.09, 0.17)
        leaf = mix(darker(green, 0.28), _one_of(rng, "4f772d 90a955 c9a227 31572c"), 0.5)
        _box(image, x - 0.012, y, x + 0.012, 0.8, _colour("5c4033", rng, 0.03))
        for dx, dy, share in ((0, 0, 1), (-0.6, 0.3, 0.7), (0.6, 0.25, 0.75), (0.1, -0.5, 0.7)):
            tone = mix(leaf, lighter(leaf, 0.2), share - 0.5)
            _disc(image, x + dx * size, y + dy * size, size * share, tone)
    _vertical(image, 0.76, 1.0, darker(green, 0.08), lighter(green, 0.12))
    path = [(middle - 0.03, 0.76), (middle + 0.03, 0.76), (middle + 0.34, 1.0), (middle - 0.34, 1.0)]
    _polygon(image, path, _colour("d9c7a3", rng, 0.03))
    _speckle(image, 0.10, 240)
    return (sky, green, darker(green, 0.28)), 3.0


def _beach(rng: np.random.Generator, image: np.ndarray) -> Painted:
    """Sky with a low sun, sea and sand."""
    sky = _one_of(rng, "8ecae6 ffb997 f7cad0 b8d8e8")
    sea, sand = _one_of(rng, "2a7f9e 3a86a8 5b9aa0"), _one_of(rng, "e9d8a6 efd9b4 dfc49a")
    _vertical(image, 0, 0.5, sky, lighter(sky, 0.6))
    _disc(image, rng.uniform(0.05, _aspect(image)), rng.uniform(0.12, 0.36), 0.055, (1.0, 0.95, 0.8))
    _vertical(image, 0.5, 0.74, darker(sea, 0.15), lighter(sea, 0.3))
    for _ in range(14):
        x, y = rng.uniform(0, _aspect(image)), rng.uniform(0.52, 0.72)
        _box(image, x, y, x + rng.uniform(0.03, 0.12), y + 0.003, lighter(sea, 0.6))
    _vertical(image, 0.74, 1.0, lighter(sand, 0.2), sand)
    _box(image, 0, 0.735, 2, 0.748, (0.97, 0.98, 0.97))
    _speckle(image, 0.08, 300)
    return (sky, sea, sand), 2.0


def _room(rng: np.random.Generator, image: np.ndarray) -> Painted:
    """A wallpapered room with a picture, a plant and a wooden floor."""
    wall = _one_of(rng, "e0d6c8 b7c4b1 c8b6c9 a9bcc9 e7c8b4 8fa3a0 d7cfa9")
    image[:] = wall
    for x in np.arange(0, _aspect(image), 0.07):
        _box(image, x, 0, x + 0.03, FLOOR, lighter(wall, 0.14))
    x = rng.uniform(0.0, 0.06) if rng.random() < 0.5 else _aspect(image) - rng.uniform(0.16, 0.22)
    _box(image, x, 0.12, x + 0.16, 0.34, darker(wall, 0.6))
    _box(image, x + 0.012, 0.132, x + 0.148, 0.328, (0.95, 0.93, 0.88))
    _disc(image, x + 0.08, 0.24, 0.045, _one_of(rng, "e76f51 2a9d8f e9c46a 457b9d"))
    wood = _one_of(rng, "a9744f 8a5a3c c49a6c")
    _box(image, 0, FLOOR, 2, 1, wood)
    for number, y in enumerate(np.arange(FLOOR, 1.0, 0.035)):
        _box(image, 0, y, 2, y + 0.003, darker(wood, 0.35))
        joint = (0.13 + 0.29 * number) % max(_aspect(image), 0.3)
        _box(image, joint, y, joint + 0.003, y + 0.035, darker(wood, 0.35))
    _box(image, 0, FLOOR - 0.03, 2, FLOOR, lighter(wall, 0.6))
    pot_x = _aspect(image) - x - 0.1
    for dx in (-0.08, -0.04, 0.0, 0.05, 0.09):
        left, tip, right = (pot_x + dx - 0.02, 0.55), (pot_x + 1.5 * dx, 0.46), (pot_x + dx + 0.02, 0.57)
        leaf = [(pot_x - 0.008, 0.72), left, tip, right, (pot_x + 0.008, 0.72)]
        _polygon(image, leaf, mix((0.2, 0.42, 0.25), (0.45, 0.6, 0.3), 0.5 + 4 * dx))
    pot = [(pot_x - 0.06, 0.7), (pot_x + 0.06, 0.7), (pot_x + 0.045, 0.84), (pot_x - 0.045, 0.84)]
    _polygon(image, pot, _one_of(rng, "bc6c4a e8e4da 44525e"))
    return (wall, wood), 1.8


def _night(rng: np.random.Generator, image: np.ndarray) -> Painted:
    """A street at night with lights out of focus."""
    dark = _one_of(rng, "1b2a41 2b2440 15323a 33272a")
    _vertical(image, 0, 1, darker(dark, 0.25), lighter(dark, 0.22))
    for _ in range(26):
        x, y, radius = rng.uniform(0, _aspect(image)), rng.uniform(0.02, 0.66), rng.uniform(0.012, 0.042)
        light = _one_of(rng, "ffd166 ef8354 f7b2ad 9bd1e5 ffe8b8 c77dff")
        spot = image.copy()
        _disc(spot, x, y, radius, light)
        image += 0.5 * (spot - image)
    _vertical(image, FLOOR, 1.0, lighter(dark, 0.08), lighter(dark, 0.28))
    return (dark,), 2.0


def _plaster(rng: np.random.Generator, image: np.ndarray) -> Painted:
    """A painted wall with the shadow of a window."""
    wall = _one_of(rng, "e8b89a d99a83 c9d3c0 e9d5a8 9db4c0 d8a7b1 b8a99a")
    image[:] = wall
    _mottle(image, 0.10, 0.35)
    left = rng.uniform(0.0, 0.2)
    for row in range(2):
        for column in range(2):
            x, y = left + 0.17 * column, 0.1 + 0.24 * row
            pane = [(x, y), (x + 0.15, y + 0.05), (x + 0.19, y + 0.26), (x + 0.04, y + 0.21)]
            _polygon(image, pane, lighter(wall, 0.32))
    _vertical(image, FLOOR, 1.0, darker(wall, 0.32), darker(wall, 0.12))
    return (wall,), 2.4


SCENES = (_studio, _poster, _bricks, _street, _park, _beach, _room, _night, _plaster)
