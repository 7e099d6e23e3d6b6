"""Instances of one photo from its stored detections: the rows of a submission.

In this order:

1. Detections below the score threshold are dropped.
2. Of two boxes of one category that overlap by more than the NMS threshold the lower score is dropped; so it is of two
   boxes of different garments that overlap by more than the garment NMS threshold (one coat is not also a jacket).
3. Categories that are not submitted are dropped, after they have suppressed others.
4. Masks are pasted and binarised. By falling score within a category, each mask loses the pixels of the masks before it
   (the competition refuses shared pixels in one class).
5. Masks with fewer pixels than the minimum area are dropped and keep no pixels.

Every step looks only at detections with higher scores, so the instances at a higher score threshold are the first
instances at a lower one: calibration relies on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fashionseg.detections.bit_masks import FRAME, BitMask, intersection, minus
from fashionseg.detections.paste import find_taps, paste_bits
from fashionseg.detections.store import PhotoDetections


@dataclass(frozen=True)
class Thresholds:
    """Thresholds that turn detections into instances.

    Attributes:
        score: detections below it are dropped.
        nms: largest IoU of two boxes of one category that are both kept.
        mask: probability from which a pixel is inside.
        min_area: fewest pixels of an instance in the 512 x 512 frame.
        categories: ids that are submitted, ascending; None for all.
        garment_nms: largest IoU of two boxes of different garments that are both kept; 1 keeps all.
        garments: ids of the categories that `garment_nms` compares, ascending.
    """

    score: float
    nms: float
    mask: float
    min_area: int
    categories: tuple[int, ...] | None = None
    garment_nms: float = 1.0
    garments: tuple[int, ...] = ()


@dataclass(frozen=True)
class DetectedInstance:
    """One detected object: its row in the detections of the photo, and its pixels in the competition's frame."""

    row: int
    category: int
    score: float
    mask: BitMask


def find_instances(detections: PhotoDetections, thresholds: Thresholds) -> list[DetectedInstance]:
    """The instances of one photo by falling score."""
    # Scores are stored as float32: compared as float32, a stored 0.3 passes the threshold 0.3.
    count = int(np.count_nonzero(detections.scores >= np.float32(thresholds.score)))
    categories = detections.categories[:count]
    limits = [(thresholds.nms, thresholds.garment_nms)]
    kept = suppress(categories, detections.boxes_norm[:count], limits, thresholds.garments)[0]
    if thresholds.categories is not None:
        kept &= np.isin(categories, thresholds.categories)
    taps = find_taps(detections.boxes_norm[:count], FRAME, detections.mask_probs.shape[1])
    instances = []
    for rows in rows_by_category(categories):
        claimed: list[BitMask] = []
        for row in rows[kept[rows]].tolist():
            (mask,) = paste_bits(detections.mask_probs[row], taps, row, (thresholds.mask,))
            if rivals := [other for other in claimed if intersection(mask, other)]:
                mask = minus(mask, rivals)
            if mask.area >= max(thresholds.min_area, 1):
                claimed.append(mask)
                score = float(detections.scores[row])
                instances.append(DetectedInstance(row, int(categories[row]), score, mask))
    return sorted(instances, key=lambda instance: instance.row)


def suppress(
    categories: np.ndarray,
    boxes_norm: np.ndarray,
    limits: Sequence[tuple[float, float]],
    garments: Sequence[int] = (),
) -> np.ndarray:
    """Greedy non-maximum suppression within each category and across garments: a suppressed box suppresses no other.

    Boxes are fractions of the photo: IoU does not change when the axes are scaled.

    Args:
        categories: [D], rows by falling score.
        boxes_norm: float32 [D, 4].
        limits: [A], IoU above which the lower score is dropped: of one category, and of different garments.
        garments: ids of the categories that are garments.

    Returns:
        bool [A, D]: detections kept at each of the limits.
    """
    kept = np.ones((len(limits), len(categories)), np.bool_)
    ious = box_ious(boxes_norm, boxes_norm)
    is_same = categories[:, None] == categories[None, :]
    rivals = same = np.triu(is_same & (ious > min(nms for nms, _ in limits)), 1)
    lowest = min(garment_nms for _, garment_nms in limits)
    if lowest < 1.0:
        is_garment = np.isin(categories, garments)
        others = np.triu(is_garment[:, None] & is_garment[None, :] & ~is_same & (ious > lowest), 1)
        rivals = same | others
    for row in np.flatnonzero(rivals.any(axis=1)):
        for place, (nms, garment_nms) in enumerate(limits):
            if kept[place, row]:
                dropped = same[row] & (ious[row] > nms)
                if garment_nms < 1.0:
                    dropped |= others[row] & (ious[row] > garment_nms)
                kept[place] &= ~dropped
    return kept


def box_ious(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """float64 [A, B] of boxes y1, x1, y2, x2; boxes without area have IoU 0."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    overlap = np.clip(high - low, 0.0, None).prod(axis=2)
    area_a = np.clip(a[:, 2:] - a[:, :2], 0.0, None).prod(axis=1)
    area_b = np.clip(b[:, 2:] - b[:, :2], 0.0, None).prod(axis=1)
    union = area_a[:, None] + area_b[None, :] - overlap
    return np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)


def rows_by_category(categories: np.ndarray) -> list[np.ndarray]:
    """Rows of each category present, ascending, by ascending category."""
    order = np.argsort(categories, kind="stable")
    borders = np.flatnonzero(np.diff(categories[order])) + 1
    return np.split(order, borders) if len(order) else []
