"""An instance to draw: a garment or a garment part."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from fashionseg.data.rle import runs_to_mask
from fashionseg.taxonomy import Taxonomy


@dataclass(frozen=True, eq=False)
class OutlinedInstance:
    """A mask in its box, independent of resolution, so that it can be drawn on the photo at any size.

    `mask` bool [h, w] spans `box`, (y1, x1, y2, x2) as fractions 0 to 1 of the photo's height and width
    (edges, half-open). `score` is None for ground truth.
    """

    category: int
    mask: np.ndarray
    box: tuple[float, float, float, float]
    score: float | None = None
    attributes: tuple[int, ...] = ()

    @classmethod
    def from_mask(
        cls, category: int, mask: np.ndarray, score: float | None = None, attributes: tuple[int, ...] = ()
    ) -> OutlinedInstance:
        """An instance from a mask [H, W] that spans the whole photo, at any resolution.

        Raises:
            ValueError: the mask is empty.
        """
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not rows.size:
            raise ValueError(f"category {category}: expected a mask with pixels in it, got an empty one")
        y1, y2, x1, x2 = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
        height, width = mask.shape
        box = (y1 / height, x1 / width, y2 / height, x2 / width)
        return cls(category, mask[y1:y2, x1:x2].astype(bool), box, score, attributes)

    @classmethod
    def from_runs(
        cls,
        category: int,
        runs: np.ndarray,
        frame_hw: tuple[int, int],
        score: float | None = None,
        attributes: tuple[int, ...] = (),
    ) -> OutlinedInstance:
        """An instance from runs [n, 2] in a frame of `frame_hw` pixels that spans the whole photo.

        The competition's 512 x 512 frame does not keep the aspect ratio; drawing stretches the mask back.

        Raises:
            ValueError: there are no runs.
        """
        return cls.from_mask(category, runs_to_mask(runs, frame_hw), score, attributes)

    def raster(self, height: int, width: int, smoothing: float = 0.0) -> tuple[np.ndarray, int, int]:
        """The mask on a picture of `height` x `width` pixels: (bool crop, its top row, its left column).

        `smoothing` is the sigma in pixels of a blur that smooths the steps of an enlarged mask; a mask too thin
        for the blur is not smoothed. The crop is never empty.
        """
        y1, x1, y2, x2 = self.box
        top, left = min(round(y1 * height), height - 1), min(round(x1 * width), width - 1)
        crop_height = min(max(round(y2 * height) - top, 1), height - top)
        crop_width = min(max(round(x2 * width) - left, 1), width - left)
        size = (crop_width, crop_height)
        values = cv2.resize(self.mask.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
        crop = values >= 0.5
        if smoothing > 0:
            rounded = cv2.GaussianBlur(values, (0, 0), smoothing, borderType=cv2.BORDER_REPLICATE) >= 0.5
            # A strap or a heel narrower than the blur would vanish: keep the unsmoothed mask.
            crop = rounded if rounded.sum() >= 0.7 * crop.sum() else crop
        if not crop.any():
            crop = cv2.resize(self.mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
        return (crop if crop.any() else np.ones_like(crop)), top, left


def in_drawing_order(instances: list[OutlinedInstance], taxonomy: Taxonomy) -> list[OutlinedInstance]:
    """Large before small and garments before the parts that lie on them, so that nothing is hidden."""

    def area(instance: OutlinedInstance) -> float:
        y1, x1, y2, x2 = instance.box
        return float(instance.mask.mean()) * (y2 - y1) * (x2 - x1)

    def place(instance: OutlinedInstance) -> tuple[bool, float, int]:
        return taxonomy.is_part(instance.category), -area(instance), instance.category

    return sorted(instances, key=place)
