"""Augmentation: one map per photo from its stored frame to the network's square input, for pixels and masks.

imgaug draws the flip, shift and scale; three points that it moves give the map. Photo and masks are resampled once by
that map, so they cannot drift apart, and a mask costs no more than its box.

Coordinates are continuous (0 is the edge of the first pixel, 0.5 its centre). The axes of a map are separate, as there
is no rotation: photos of people have a fixed vertical.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fashionseg import params
from fashionseg.data.jpeg import Pixels
from fashionseg.data.rle import Runs, runs_box, runs_to_mask

# A sliver of a mask that is left at the border shows nothing of its object.
MIN_PIXELS = 4


@dataclass(frozen=True)
class AxisMap:
    """`x -> scale * x + offset`; a negative scale mirrors."""

    scale: float
    offset: float

    def then(self, after: AxisMap) -> AxisMap:
        return AxisMap(after.scale * self.scale, after.scale * self.offset + after.offset)

    def sources(self, n_in: int, n_out: int) -> tuple[int, NDArray[np.int64]]:
        """Nearest neighbour: the first target pixel with a source, and the sources from that pixel on."""
        index = np.floor((np.arange(n_out) + 0.5 - self.offset) / self.scale).astype(np.int64)
        inside = np.flatnonzero((index >= 0) & (index < n_in))
        return (int(inside[0]), index[inside]) if len(inside) else (0, index[:0])


@dataclass(frozen=True)
class PhotoMap:
    """A map of the plane, one axis at a time."""

    y: AxisMap
    x: AxisMap

    def then(self, after: PhotoMap) -> PhotoMap:
        return PhotoMap(self.y.then(after.y), self.x.then(after.x))


def scaling(from_hw: tuple[int, int], to_hw: tuple[int, int]) -> PhotoMap:
    """Resizes one frame to another."""
    return PhotoMap(AxisMap(to_hw[0] / from_hw[0], 0.0), AxisMap(to_hw[1] / from_hw[1], 0.0))


def translation(dy: float, dx: float) -> PhotoMap:
    """Moves down by `dy` and right by `dx`."""
    return PhotoMap(AxisMap(1.0, dy), AxisMap(1.0, dx))


class Augmenter:
    """Draws maps of the square onto itself; the same seed gives the same map in any thread or process."""

    def __init__(self, augment: params.Augment, side: int) -> None:
        self.augment = augment
        self.side = side
        self._of_thread = threading.local()

    def __getstate__(self) -> dict[str, Any]:
        return {"augment": self.augment, "side": self.side}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.augment, self.side = state["augment"], state["side"]
        self._of_thread = threading.local()

    def draw(self, *seed: int) -> PhotoMap:
        """The map of one photo in one epoch; `seed` is any whole numbers that identify both."""
        from imgaug.augmentables.kps import KeypointsOnImage

        sequence = self._sequence()
        sequence.seed_(int(np.random.SeedSequence(seed).generate_state(1)[0]))
        side = float(self.side)
        points = np.array([[0, 0], [side, 0], [0, side]], np.float32)  # (x, y)
        on_square = KeypointsOnImage.from_xy_array(points, shape=(self.side, self.side, 3))
        origin, right, below = sequence.augment_keypoints(on_square).to_xy_array().astype(float)
        return PhotoMap(
            y=AxisMap((below[1] - origin[1]) / side, origin[1]),
            x=AxisMap((right[0] - origin[0]) / side, origin[0]),
        )

    def _sequence(self) -> Any:
        """Augmenters of this thread: imgaug's hold the state of their random generator."""
        if not hasattr(self._of_thread, "sequence"):
            import imgaug.augmenters as iaa

            shift = self.augment.shift_fraction
            self._of_thread.sequence = iaa.Sequential(
                [
                    iaa.Fliplr(self.augment.flip_probability),
                    iaa.Affine(
                        scale=self.augment.scale_range,
                        translate_percent={"x": (-shift, shift), "y": (-shift, shift)},
                    ),
                ]
            )
        return self._of_thread.sequence


def warp_photo(photo: Pixels, to_square: PhotoMap, side: int) -> Pixels:
    """RGB [h, w, 3] resampled (bilinear) into a square [side, side, 3]; zeros where there is no photo."""
    y, x = to_square.y, to_square.x
    # In cv2 integers are pixel centres.
    matrix = np.array(
        [
            [x.scale, 0.0, x.offset + 0.5 * x.scale - 0.5],
            [0.0, y.scale, y.offset + 0.5 * y.scale - 0.5],
        ]
    )
    warped = cv2.warpAffine(
        photo, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
    )
    return np.asarray(warped, np.uint8)


def warp_mask(
    runs: Runs, hw: tuple[int, int], to_square: PhotoMap, side: int
) -> tuple[tuple[int, int, int, int], NDArray[np.bool_]] | None:
    """A mask of h x w resampled (nearest neighbour) into the square.

    Returns:
        Its tight box (y1, x1, y2, x2), half-open, in pixels of the square, and the mask cropped to it; None if fewer
        than MIN_PIXELS are left.
    """
    top, left, bottom, right = runs_box(runs, hw[0])
    crop = runs_to_mask(runs - np.array([left * hw[0], 0]), (hw[0], right - left))[top:bottom]
    # All sources lie in the mask's box, whose first row and column become the origin.
    first_row, rows = AxisMap(to_square.y.scale, to_square.y.offset + to_square.y.scale * top).sources(
        bottom - top, side
    )
    first_column, columns = AxisMap(to_square.x.scale, to_square.x.offset + to_square.x.scale * left).sources(
        right - left, side
    )
    placed = crop[:, columns][rows]
    if np.count_nonzero(placed) < MIN_PIXELS:
        return None
    filled_rows, filled_columns = np.flatnonzero(placed.any(axis=1)), np.flatnonzero(placed.any(axis=0))
    y1, y2 = int(filled_rows[0]), int(filled_rows[-1]) + 1
    x1, x2 = int(filled_columns[0]), int(filled_columns[-1]) + 1
    box = (first_row + y1, first_column + x1, first_row + y2, first_column + x2)
    return box, placed[y1:y2, x1:x2]


def mini_mask(cropped: NDArray[np.bool_], side: int) -> NDArray[np.uint8]:
    """A mask cropped to its box to 0/1 [side, side]: bilinear, at least half."""
    resized = cv2.resize(cropped.view(np.uint8) * np.uint8(254), (side, side), interpolation=cv2.INTER_LINEAR)
    return (resized >= 127).astype(np.uint8)
