"""A photo painted in layers, with the owners of each pixel.

A layer belongs to any number of instances: a sleeve to the sleeve and the shirt, skin to none. The map `top` holds the
uppermost layer of each pixel, so the mask of an instance is the set of pixels whose top layer belongs to it: pixels
covered by a bag are not part of the garment below, and parts are inside their garments.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np

from fashionseg.sample.geometry import Frame, Path, Shape
from fashionseg.sample.textures import Colour, Texture

SUPERSAMPLING = 3
VISIBLE = 128  # lowest coverage (of 255) at which a pixel belongs to a layer
FRACTION_BITS = 4  # fixed-point precision of OpenCV's polygon corners
BARELY_VISIBLE = 0.22  # visible fraction of the painted area below which an instance is not annotated


@dataclass
class DrawnInstance:
    """An instance of the photo, later a row of train.csv."""

    category: int
    attributes: tuple[int, ...]
    painted: int = 0  # pixels painted, visible or not
    windows: list[tuple[slice, slice]] = field(
        default_factory=list
    )  # rows and columns of the painted patches


@dataclass(frozen=True)
class Patch:
    """The area covered by one `fill`: `coverage` uint8 [h, w] from row `top`, column `left`."""

    top: int
    left: int
    coverage: np.ndarray

    @property
    def window(self) -> tuple[slice, slice]:
        height, width = self.coverage.shape[0], self.coverage.shape[1]
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


@dataclass
class Canvas:
    """The photo: `image` float32 [H, W, 3] RGB 0..1; `top` int16 [H, W], 0 = background."""

    image: np.ndarray
    frame: Frame
    instances: list[DrawnInstance] = field(default_factory=list)
    owners: list[tuple[int, ...]] = field(default_factory=lambda: [()])

    def __post_init__(self) -> None:
        self.top = np.zeros(self.image.shape[:2], np.int16)

    def add(self, category: int, attributes: tuple[int, ...] = ()) -> int:
        """Adds an instance; returns its number."""
        self.instances.append(DrawnInstance(category, attributes))
        return len(self.instances) - 1

    def fill(
        self,
        shape: Shape,
        texture: Texture | Colour,
        owners: tuple[int, ...] | None = (),
        *,
        within: Patch | None = None,
        relief: float = 1.0,
        ink: float = 1.0,
    ) -> Patch:
        """Paints `shape`; returns the painted patch.

        Args:
            owners: instances that the pixels belong to; None keeps the owners of the pixels below (decoration).
            within: clips the shape to this patch.
            relief: strength of the shading towards the rim.
            ink: strength of the dark outline.
        """
        patch = self._cover(shape, within)
        if patch.coverage.size == 0:
            return patch
        colour = self._shaded(patch, texture, relief, ink)
        alpha = patch.coverage[..., None].astype(np.float32) / 255.0
        region = self.image[patch.window]
        region += alpha * (colour - region)
        if owners is not None:
            self._own(patch, owners)
        return patch

    def stroke(self, path: Path, width: float, strength: float, within: Patch, soft: bool = True) -> None:
        """Darkens (negative `strength`: lightens) `within` along an open path: folds, seams, highlights.

        `width` is in figure units.
        """
        thickness = max(1, round(width * self.frame.scale))
        sigma = max(0.6, 0.6 * thickness)
        pixels = self.frame.to_pixels(np.asarray(path)) - (within.left, within.top)
        margin = math.ceil(thickness + 3 * sigma)
        (left, top), (right, bottom) = np.clip(
            [np.floor(pixels.min(axis=0)) - margin, np.ceil(pixels.max(axis=0)) + margin],
            (0, 0),
            within.coverage.shape[::-1],
        ).astype(int)
        if right <= left or bottom <= top:
            return
        line = np.zeros((bottom - top, right - left), np.uint8)
        corners = np.round((pixels - (left, top)) * (1 << FRACTION_BITS)).astype(np.int32)
        cv2.polylines(line, [corners], False, (255,), thickness, cv2.LINE_AA, FRACTION_BITS)
        if soft:
            line = cv2.GaussianBlur(line, (0, 0), sigma).astype(np.uint8)
        covered = within.coverage[top:bottom, left:right].astype(np.float32) / 255.0
        amount = (line * (covered / 255.0))[..., None]
        rows, columns = within.window
        region = self.image[rows, columns][top:bottom, left:right]
        if strength >= 0:
            region *= 1.0 - strength * amount
        else:
            region += -strength * amount * (1.0 - region)

    def mask(self, instance: int) -> np.ndarray:
        """Visible pixels of an instance: bool [H, W]."""
        belongs = np.array([instance in owners for owners in self.owners])
        mask = np.zeros(self.top.shape, bool)
        for window in self.instances[instance].windows:
            mask[window] = belongs[self.top[window]]
        return mask

    def visible_instances(self, min_area: float) -> list[tuple[DrawnInstance, np.ndarray]]:
        """Instances of at least `min_area` pixels that are not mostly hidden, with their masks."""
        found = []
        for number, instance in enumerate(self.instances):
            mask = self.mask(number)
            area = int(mask.sum())
            if area >= max(min_area, BARELY_VISIBLE * instance.painted, 1):
                found.append((instance, mask))
        return found

    def _cover(self, shape: Shape, within: Patch | None) -> Patch:
        height, width = self.image.shape[:2]
        corners = self.frame.to_pixels(np.concatenate(shape))
        left, top = np.maximum(np.floor(corners.min(axis=0)).astype(int) - 1, 0)
        right, bottom = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 2, (width, height))
        if right <= left or bottom <= top:
            return Patch(0, 0, np.zeros((0, 0), np.uint8))
        size = (bottom - top, right - left)
        fine = np.zeros((size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING), np.uint8)
        # Shifted by half a fine pixel: OpenCV's integer coordinates are pixel centres, ours are pixel corners.
        fixed_point = (corners - (left, top)) * (SUPERSAMPLING << FRACTION_BITS) - (1 << FRACTION_BITS) / 2
        ends = np.cumsum([len(points) for points in shape])[:-1]
        for points in np.split(np.round(fixed_point).astype(np.int32), ends):
            cv2.fillPoly(fine, [points], (255,), cv2.LINE_8, FRACTION_BITS)
        coverage = cv2.resize(fine, size[::-1], interpolation=cv2.INTER_AREA)
        if within is not None:
            allowed = np.zeros(self.top.shape, np.uint8)
            allowed[within.window] = within.coverage
            coverage = np.minimum(coverage, allowed[top:bottom, left:right])
        return Patch(int(top), int(left), coverage)

    def _own(self, patch: Patch, owners: tuple[int, ...]) -> None:
        visible = patch.coverage >= VISIBLE
        self.top[patch.window][visible] = len(self.owners)
        self.owners.append(owners)
        area = int(visible.sum())
        for owner in owners:
            self.instances[owner].painted += area
            self.instances[owner].windows.append(patch.window)

    def _shaded(self, patch: Patch, texture: Texture | Colour, relief: float, ink: float) -> np.ndarray:
        """The texture lit from the upper left, darker towards the rim, with a dark outline."""
        rows, columns = patch.window
        if isinstance(texture, Texture):
            u, v = self.frame.to_units(
                np.arange(columns.start, columns.stop, dtype=np.float32)[None, :] + 0.5,
                np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] + 0.5,
            )
            colour = texture.at(u, v)
        else:
            colour = np.broadcast_to(np.asarray(texture, np.float32), (*patch.coverage.shape, 3))
        if relief == 0 and ink == 0:
            return colour
        # Padded, so that a shape cut off by the photo's edge has a rim there.
        solid = np.pad((patch.coverage >= VISIBLE).astype(np.uint8), 1)
        depth = cv2.distanceTransform(solid, cv2.DIST_L2, 3)[1:-1, 1:-1] / self.frame.scale
        light = 1.0 - 0.24 * relief * np.exp(-depth / 0.011) - 0.30 * ink * np.exp(-((depth / 0.0026) ** 2))
        if relief:
            sigma = max(1.0, 0.006 * self.frame.scale)
            soft: np.ndarray = cv2.GaussianBlur(depth.astype(np.float32), (0, 0), sigma)
            slope_x = cv2.Sobel(soft, cv2.CV_32F, 1, 0, scale=0.125) * self.frame.scale
            slope_y = cv2.Sobel(soft, cv2.CV_32F, 0, 1, scale=0.125) * self.frame.scale
            light += 0.10 * relief * np.clip(0.8 * slope_x + 0.35 * slope_y, -1.2, 1.0)
        return colour * light[..., None].astype(np.float32)
