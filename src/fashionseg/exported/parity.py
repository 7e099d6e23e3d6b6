"""Whether two detectors find the same on photos."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fashionseg.detections.instances import box_ious
from fashionseg.detections.store import Detections, PhotoDetections

SCORE_TOLERANCE = 1e-3
LEAST_MASK_IOU = 0.99
_SAME_BOX = 0.9  # IoU


@dataclass(frozen=True)
class Parity:
    """How far two sets of detections agree.

    Attributes:
        detections: of the first set.
        unmatched: those of either set without a partner of the same category and place, but for scores within the
            tolerance of the threshold.
        score_difference: the largest between partners.
        mask_iou: the least between partners.
    """

    photos: int
    detections: int
    unmatched: int
    score_difference: float
    mask_iou: float

    @property
    def holds(self) -> bool:
        return (
            self.unmatched == 0
            and self.score_difference <= SCORE_TOLERANCE
            and self.mask_iou >= LEAST_MASK_IOU
        )

    def __str__(self) -> str:
        found = "all found" if self.unmatched == 0 else f"{self.unmatched} found by one side alone"
        return (
            f"{self.detections} detections on {self.photos} photos, {found}; scores differ by at most "
            f"{self.score_difference:.1e}, masks have an IoU of at least {self.mask_iou:.4f}"
        )


def compare_detections(first: Detections, second: Detections, score_threshold: float) -> Parity:
    """Compares the detections of two networks on the same photos.

    Args:
        score_threshold: of the networks; a detection that near to it may be missing on one side.
    """
    unmatched, differences, ious = 0, [0.0], [1.0]
    nearly = score_threshold + SCORE_TOLERANCE
    for one, other in zip(first.of_photos(), second.of_photos(), strict=True):
        pairs = _partners(one, other)
        for of_side, place in ((one, 0), (other, 1)):
            paired = {pair[place] for pair in pairs}
            unmatched += sum(
                row not in paired and score > nearly for row, score in enumerate(of_side.scores.tolist())
            )
        for row, partner in pairs:
            differences.append(float(abs(one.scores[row] - other.scores[partner])))
            ious.append(_mask_iou(one.mask_probs[row], other.mask_probs[partner]))
    return Parity(len(first.photos), len(first), unmatched, max(differences), min(ious))


def _partners(one: PhotoDetections, other: PhotoDetections) -> list[tuple[int, int]]:
    """Rows of the same category and place, each row once, by falling score of the first."""
    pairs = []
    same = one.categories[:, None] == other.categories[None, :]
    overlaps = np.where(same, box_ious(one.boxes_norm, other.boxes_norm), 0.0)
    for row, of_row in enumerate(overlaps):
        if len(of_row) and of_row.max() >= _SAME_BOX:
            partner = int(of_row.argmax())
            overlaps[:, partner] = 0.0
            pairs.append((row, partner))
    return pairs


def _mask_iou(one: np.ndarray, other: np.ndarray) -> float:
    """Of two masks in their boxes, uint8 [M, M]."""
    inside, other_inside = one >= 128, other >= 128
    union = int((inside | other_inside).sum())
    return int((inside & other_inside).sum()) / union if union else 1.0
