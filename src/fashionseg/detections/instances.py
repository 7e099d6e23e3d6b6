"""Instances of one photo from its stored detections: the rows of a submission.

In this order: detections below the score threshold and of categories that are not submitted are dropped; of two boxes
of one category that overlap by more than the NMS threshold the lower score is dropped; masks are pasted and binarised;
by falling score within a category, each mask loses the pixels of the masks before it (the competition refuses shared
pixels in one class); masks with fewer pixels than the minimum area are dropped and keep no pixels.

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
    """

    score: float
    nms: float
    mask: float
    min_area: int
    categories: tuple[int, ...] | None = None


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
    kept = suppress(categories, detections.boxes_norm[:count], (thresholds.nms,))[0]
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


def suppress(categories: np.ndarray, boxes_norm: np.ndarray, thresholds: Sequence[float]) -> np.ndarray:
    """Greedy non-maximum suppression within each category.

    Boxes are fractions of the photo: IoU does not change when the axes are scaled.

    Args:
        categories: [D], rows by falling score.
        boxes_norm: float32 [D, 4].
        thresholds: [A], IoU above which the lower score is dropped.

    Returns:
        bool [A, D]: detections kept at each threshold.
    """
    kept = np.ones((len(thresholds), len(categories)), np.bool_)
    ious = box_ious(boxes_norm, boxes_norm)
    rivals = np.triu((categories[:, None] == categories[None, :]) & (ious > min(thresholds)), 1)
    for row in np.flatnonzero(rivals.any(axis=1)):
        for place, limit in enumerate(thresholds):
            if kept[place, row]:
                kept[place] &= ~(rivals[row] & (ious[row] > limit))
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
