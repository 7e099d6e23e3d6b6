"""Curves and limbs of the drawn figures, and the transform between figure units and pixels.

Figure units: the figure is 1 high; `(x, y)` with x to the viewer's right (0 on the body's middle line) and y
downwards from the crown of the head (0) to the soles (1). A `Shape` is a union of polygons in these units.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Points = np.ndarray  # float64 [n, 2], (x, y)
Shape = list[Points]


@dataclass(frozen=True)
class Frame:
    """Transform from figure units to pixels: scale, a slight tilt about the soles, then a shift.

    `origin` is the pixel of the point (0, 1) between the soles.
    """

    scale: float
    origin: tuple[float, float]
    tilt: float

    def to_pixels(self, points: Points) -> Points:
        c, s = math.cos(self.tilt), math.sin(self.tilt)
        turn = self.scale * np.array([[c, s], [-s, c]])
        return (points - (0.0, 1.0)) @ turn + self.origin

    def to_units(self, columns: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Figure coordinates of pixel centres; inverse of `to_pixels`."""
        x, y = (columns - self.origin[0]) / self.scale, (rows - self.origin[1]) / self.scale
        c, s = math.cos(self.tilt), math.sin(self.tilt)
        return c * x + s * y, c * y - s * x + 1.0


def smooth(points: Sequence[Sequence[float]] | Points, rounds: int = 3, closed: bool = True) -> Points:
    """Chaikin's corner cutting, which converges to the quadratic B-spline of `points`, of any dimension.

    Repeated points keep a corner sharper; an open curve keeps its ends.
    """
    path = np.asarray(points, dtype=np.float64)
    for _ in range(rounds):
        following = np.roll(path, -1, axis=0) if closed else path[1:]
        start = path if closed else path[:-1]
        cut = np.empty((2 * len(start), path.shape[1]))
        cut[0::2] = 0.75 * start + 0.25 * following
        cut[1::2] = 0.25 * start + 0.75 * following
        path = cut if closed else np.concatenate([path[:1], cut, path[-1:]])
    return path


def mirrored(right: Sequence[Sequence[float]]) -> list[Sequence[float]]:
    """A closed symmetric polygon from its right half, given from top to bottom."""
    return [*right, *((-x, y) for x, y in reversed(right))]


def symmetric(right: Sequence[Sequence[float]]) -> Points:
    """A smooth closed symmetric outline from its right half, given from top to bottom."""
    return smooth(mirrored(right))


def curve(*points: Sequence[float]) -> Points:
    """A smooth open curve."""
    return smooth(points, closed=False)


def ellipse(x: float, y: float, radius_x: float, radius_y: float, turn: float = 0.0, n: int = 40) -> Points:
    """An ellipse about (x, y), turned by `turn` radians."""
    angles = np.linspace(0.0, 2 * math.pi, n, endpoint=False)
    across, down = radius_x * np.cos(angles), radius_y * np.sin(angles)
    c, s = math.cos(turn), math.sin(turn)
    return np.stack([x + c * across - s * down, y + s * across + c * down], axis=1)


def rounded_box(x1: float, y1: float, x2: float, y2: float, corner: float) -> Points:
    """A box with rounded corners."""
    right, left, r = x2, x1, corner
    corners = [
        *[(left, y1 + r), (left, y1), (left + r, y1), (right - r, y1), (right, y1), (right, y1 + r)],
        *[(right, y2 - r), (right, y2), (right - r, y2), (left + r, y2), (left, y2), (left, y2 - r)],
    ]
    return smooth(corners)


Path = Sequence[Sequence[float]] | Points
_CIRCLE = ellipse(0.0, 0.0, 1.0, 1.0, n=20)


def limb(joints: Path, radii: Sequence[float] | np.ndarray, round_end: bool = True) -> Shape:
    """A limb or tube along `joints` with the radii `radii` and soft bends.

    A union of quadrilaterals and discs, because the outline of a bent thick curve intersects itself.
    """
    spine = bend(joints, radii)
    centre, radius = spine[:, :2], spine[:, 2]
    direction = np.gradient(centre, axis=0)
    direction /= np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-9)
    normal = np.stack([-direction[:, 1], direction[:, 0]], axis=1) * radius[:, None]
    left, right = centre + normal, centre - normal
    quads = np.stack([left[:-1], left[1:], right[1:], right[:-1]], axis=1)
    # A disc near a flat end would protrude over it.
    discs = np.ones(len(centre), bool) if round_end else np.linalg.norm(centre - centre[-1], axis=1) > radius
    circles = centre[discs, None] + radius[discs, None, None] * _CIRCLE
    return [*quads, *circles]


def bend(joints: Path, radii: Sequence[float] | np.ndarray) -> np.ndarray:
    """Centre line and radius `[n, 3]` of a limb: straight bones, rounded only near the joints."""
    corners = np.column_stack([np.asarray(joints, dtype=np.float64), np.asarray(radii, dtype=np.float64)])
    line = [corners[0]]
    for before, joint, after in zip(corners[:-2], corners[1:-1], corners[2:], strict=True):
        line += [0.25 * before + 0.75 * joint, joint, 0.75 * joint + 0.25 * after]
    return smooth(np.array([*line, corners[-1]]), rounds=2, closed=False)


def along(joints: Path, fraction: float) -> list[tuple[float, float]]:
    """The first `fraction` (0 to 1) of the path through `joints`."""
    points = np.asarray(joints, dtype=np.float64)
    lengths = np.linalg.norm(np.diff(points, axis=0), axis=1)
    left = fraction * lengths.sum()
    path = [tuple(points[0])]
    for start, end, length in zip(points[:-1], points[1:], lengths, strict=True):
        if left <= length:
            return [*path, tuple(start + (end - start) * left / length)]
        path.append(tuple(end))
        left -= length
    return path
