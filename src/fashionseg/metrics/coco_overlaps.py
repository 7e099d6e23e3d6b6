"""What COCO AP needs of single photos: areas and overlaps of boxes and masks in the 512 x 512 competition frame.

D detections and T truths of a photo make P pairs, a detection and a truth of one category. Only IoUs from 0.5 on can
be a match, and a pair whose boxes share too few pixels for that is not looked at. Every detection is pasted, once, as
COCO counts an unmatched one by its area.

Masks are compared as plain bytes within their boxes: a detection meets one or two truths of its category, so packing
to bits (`bit_masks`) would cost more than it saves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fashionseg.detections.bit_masks import FRAME, SIDE
from fashionseg.detections.instances import box_ious
from fashionseg.detections.paste import Taps, find_taps, interpolate
from fashionseg.detections.photos import Photo
from fashionseg.metrics.truth_crops import crop_truths

MASK_THRESHOLD = 0.5

# A pair, the window both can be in, and the truth's pixels there.
_Comparison = tuple[int, list[int], NDArray[np.bool_]]


@dataclass(frozen=True, eq=False)
class PhotoOverlaps:
    """One photo; areas in pixels of the frame.

    Attributes:
        box_areas, mask_areas: float64 and int64 [D], of the boxes and of the pasted masks.
        truth_areas: int64 [T], of the masks; COCO takes them for boxes too.
        pair_detections, pair_truths: intp [P], rows in the photo, ascending.
        box_ious, mask_ious: float64 [P]; that of masks is 0 for a pair that cannot reach 0.5.
    """

    box_areas: np.ndarray
    mask_areas: np.ndarray
    truth_areas: np.ndarray
    pair_detections: np.ndarray
    pair_truths: np.ndarray
    box_ious: np.ndarray
    mask_ious: np.ndarray


def overlaps_of_photos(photos: list[Photo]) -> list[PhotoOverlaps]:
    """One for each photo."""
    return [_overlaps(photo) for photo in photos]


def _overlaps(photo: Photo) -> PhotoOverlaps:
    detections, truths = photo
    boxes = detections.boxes_norm.astype(np.float64) * SIDE
    truth_boxes, truth_areas, crops = crop_truths(truths.rles)
    pair_detections, pair_truths = np.nonzero(detections.categories[:, None] == truths.categories[None, :])
    taps = find_taps(detections.boxes_norm, FRAME, detections.mask_probs.shape[1])
    windows = _windows(taps, truth_boxes, pair_detections, pair_truths)
    # The union has the truth's pixels at least, so less than half of them in common is an IoU below 0.5.
    near = np.flatnonzero(2 * (windows[:, 2:] - windows[:, :2]).prod(axis=1) >= truth_areas[pair_truths])
    to_compare: list[list[_Comparison]] = [[] for _ in range(len(detections))]
    for pair, row, truth, window in zip(
        near.tolist(),
        pair_detections[near].tolist(),
        pair_truths[near].tolist(),
        windows[near].tolist(),
        strict=True,
    ):
        to_compare[row].append((pair, window, _cut(crops[truth], truth_boxes[truth, :2].tolist(), window)))
    mask_areas = np.zeros(len(detections), np.int64)
    shared = np.zeros(len(pair_truths), np.int64)
    for row, (probs, corner) in enumerate(zip(detections.mask_probs, taps.first.T.tolist(), strict=True)):
        inside = interpolate(probs, taps, row) >= np.float32(255.0 * MASK_THRESHOLD)
        mask_areas[row] = np.count_nonzero(inside)
        for pair, window, of_truth in to_compare[row]:
            shared[pair] = np.count_nonzero(_cut(inside, corner, window) & of_truth)
    return PhotoOverlaps(
        box_areas=(boxes[:, 2:] - boxes[:, :2]).prod(axis=1),
        mask_areas=mask_areas,
        truth_areas=truth_areas,
        pair_detections=pair_detections,
        pair_truths=pair_truths,
        box_ious=box_ious(boxes, truth_boxes)[pair_detections, pair_truths],
        mask_ious=shared / (mask_areas[pair_detections] + truth_areas[pair_truths] - shared),
    )


def _windows(
    taps: Taps, truth_boxes: np.ndarray, pair_detections: np.ndarray, pair_truths: np.ndarray
) -> np.ndarray:
    """int64 [P, 4], y1, x1, y2, x2: where the pasted mask and the truth of each pair can both be, or no area."""
    low = np.maximum(taps.first.T[pair_detections], truth_boxes[pair_truths, :2])
    high = np.minimum((taps.first + taps.count).T[pair_detections], truth_boxes[pair_truths, 2:])
    return np.concatenate((low, np.maximum(high, low)), axis=1)


def _cut(pixels: NDArray[np.bool_], corner: list[int], window: list[int]) -> NDArray[np.bool_]:
    """The part of column-major `pixels`, whose first one is at `corner` (y, x), in `window` (y1, x1, y2, x2)."""
    (y, x), (y1, x1, y2, x2) = corner, window
    return pixels[x1 - x : x2 - x, y1 - y : y2 - y]
