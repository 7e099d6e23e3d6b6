"""Augmentation: one map per photo from its stored frame to the network's square input, for pixels and masks.

imgaug draws the flip, shift and scale; three points that it moves give the map. Photo and masks are resampled by that
map, so they cannot drift apart, and a mask costs no more than its box.

With `augment.random_crop` (large scale jitter, Ghiasi et al. 2021) the shift is replaced by a random place: along an
axis where the scaled photo is larger than the square, a random part of it fills the square; along an axis where it is
smaller, all of it lies at a random place. Size and place are whole pixels.

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
from fashionseg.data.jpeg import Pixels, shrink
from fashionseg.data.letterbox import fit, fitted_size
from fashionseg.data.photometric import photometric
from fashionseg.data.rle import Runs, runs_box, runs_to_mask

# A sliver of a mask that is left at the border shows nothing of its object.
MIN_PIXELS = 4

_PLACE, _PHOTOMETRIC = 3, 4  # streams of random numbers; 1 and 2 are the loader's


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
    """Augments photos into the square; the same seed gives the same result in any thread or process."""

    def __init__(self, augment: params.Augment, side: int) -> None:
        self.augment = augment
        self.side = side
        self._of_thread = threading.local()

    def __getstate__(self) -> dict[str, Any]:
        return {"augment": self.augment, "side": self.side}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.augment, self.side = state["augment"], state["side"]
        self._of_thread = threading.local()

    def __call__(self, photo: Pixels, *seed: int) -> tuple[Pixels, PhotoMap]:
        """The square [side, side, 3] with the photo in it, and the map from the photo's frame to the square.

        Args:
            seed: any whole numbers that identify the photo and the epoch.
        """
        drawn = self.draw(*seed)
        rng = np.random.default_rng([*seed, _PHOTOMETRIC])
        if self.augment.random_crop:
            to_square, scaled_hw = self._place(photo, drawn, np.random.default_rng([*seed, _PLACE]))
            # Enlarged, it is sampled from the stored pixels, which may be more than those of the fitted photo.
            pixels = shrink(photo, scaled_hw) if max(scaled_hw) < max(photo.shape[:2]) else photo
            pixels = photometric(pixels, self.augment, rng)
            placed = scaling(pixels.shape[:2], photo.shape[:2]).then(to_square)
            return place_photo(pixels, placed, self.side), to_square
        fitted, (top, left) = fit(photo, self.side)
        to_square = translation(top, left).then(drawn)
        square = warp_photo(photometric(fitted, self.augment, rng), to_square, self.side)
        return square, scaling(photo.shape[:2], fitted.shape[:2]).then(to_square)

    def _place(
        self, photo: Pixels, drawn: PhotoMap, rng: np.random.Generator
    ) -> tuple[PhotoMap, tuple[int, int]]:
        """Scale and flip of `drawn`, at a random place: the map from the photo's frame, and the scaled photo's size."""
        height, width = (max(1, round(drawn.y.scale * length)) for length in fitted_size(photo, self.side))
        top, left = (
            int(rng.integers(min(self.side - length, 0), max(self.side - length, 0) + 1))
            for length in (height, width)
        )
        flip = AxisMap(-1.0, width) if drawn.x.scale < 0 else AxisMap(1.0, 0.0)
        scaled = scaling(photo.shape[:2], (height, width))
        return scaled.then(PhotoMap(AxisMap(1.0, 0.0), flip)).then(translation(top, left)), (height, width)

    def draw(self, *seed: int) -> PhotoMap:
        """A map of the square onto itself: flip, shift and scale about the centre; `seed` as above."""
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
    warped = cv2.warpAffine(
        photo, cv2_matrix(to_square), (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
    )
    return np.asarray(warped, np.uint8)


def place_photo(photo: Pixels, to_square: PhotoMap, side: int) -> Pixels:
    """As `warp_photo` for a photo that covers whole pixels: its edge is sharp, as that of a letterboxed photo."""
    (top, bottom), (left, right) = (
        _covered(axis, length, side)
        for axis, length in zip((to_square.y, to_square.x), photo.shape[:2], strict=True)
    )
    square = np.zeros((side, side, 3), np.uint8)
    square[top:bottom, left:right] = cv2.warpAffine(
        photo,
        cv2_matrix(to_square.then(translation(-top, -left))),
        (right - left, bottom - top),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return square


def _covered(axis: AxisMap, length: int, side: int) -> tuple[int, int]:
    """The part of 0 to `side` that 0 to `length` is mapped to."""
    low, high = sorted((axis.offset, axis.offset + axis.scale * length))
    return max(round(low), 0), min(round(high), side)


def cv2_matrix(map_: PhotoMap) -> NDArray[np.float64]:
    """The map for cv2, where integers are pixel centres."""
    y, x = map_.y, map_.x
    return np.array(
        [
            [x.scale, 0.0, x.offset + 0.5 * x.scale - 0.5],
            [0.0, y.scale, y.offset + 0.5 * y.scale - 0.5],
        ]
    )


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
