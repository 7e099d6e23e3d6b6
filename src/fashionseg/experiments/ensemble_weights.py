"""Which runs of an ensemble to trust for which category: weights fitted on the validation photos, out of fold.

A few weights are tried for each category, and those with the highest COCO mask AP of that category are taken. Fitted on
the photos that they are judged on they would flatter, so the fused detections of a photo use weights that were fitted
on the photos of other folds; the test photos use weights fitted on all.

Letters: P photos, K categories, S runs, W candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fashionseg.console import track
from fashionseg.data.truths import Truths
from fashionseg.detections.fusion import fuse
from fashionseg.detections.photos import Photo, pair_photos
from fashionseg.detections.store import Detections
from fashionseg.metrics.coco import average_precision, evaluate_coco

LEAST_INSTANCES = 10  # of a category among the photos fitted on; with fewer it keeps equal weights
_LEAST_GAIN = 1e-9  # of AP, above rounding


@dataclass(frozen=True, eq=False)
class FittedWeights:
    """Weights of the runs by category.

    Attributes:
        final: float64 [K, S], fitted on all photos.
        of_folds: float64 [folds, K, S], fitted on the photos outside each fold.
        folds: int64 [P].
    """

    final: NDArray[np.float64]
    of_folds: NDArray[np.float64]
    folds: NDArray[np.int64]

    def fuse_validation(self, sets: Sequence[Detections]) -> Detections:
        """The runs' detections on the validation photos, fused with the weights of each photo's fold."""
        parts = [
            _of_fold(fuse(sets, weights), self.folds == fold) for fold, weights in enumerate(self.of_folds)
        ]
        columns = [
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("photo_index", "categories", "scores", "boxes_norm", "mask_probs")
        ]
        return Detections.build(sets[0].photos, *columns)


def candidate_weights(num_runs: int) -> NDArray[np.float64]:
    """What is tried, [W, S], each row summing to 1: all equal first, then one run twice, without one, one alone."""
    one = np.eye(num_runs)
    without_one = 1.0 - one if num_runs > 2 else one[:0]  # of two, the other alone
    rows = np.concatenate([np.ones((1, num_runs)), 1.0 + one, without_one, one])
    return rows / rows.sum(axis=1, keepdims=True)


def fit_weights(
    sets: Sequence[Detections], truths: Truths, folds: NDArray[np.int64], category_names: Sequence[str]
) -> FittedWeights:
    """Fits the weights.

    Args:
        sets: the runs' detections on the validation photos.
        truths: of the same photos.
        folds: int64 [P], from `metrics.calibration.assign_folds`; with one fold there are no other photos to fit on.
    """
    candidates = candidate_weights(len(sets))
    num_folds = int(folds.max()) + 1
    subsets = [folds != fold if num_folds > 1 else np.ones(len(folds), np.bool_) for fold in range(num_folds)]
    subsets.append(np.ones(len(folds), np.bool_))
    precision = np.full((len(subsets), len(candidates), len(category_names)), -1.0)
    for number, weights in enumerate(track(candidates, "weights", len(candidates))):
        photos = pair_photos(fuse(sets, weights), truths)
        for subset, inside in enumerate(subsets):
            precision[subset, number] = _precision(photos, inside, category_names)
    enough = np.stack([_count(truths, inside, len(category_names)) >= LEAST_INSTANCES for inside in subsets])
    gains = precision - precision[:, :1]
    best = np.where(gains.max(axis=1) > _LEAST_GAIN, gains.argmax(axis=1), 0)
    weights = candidates[np.where(enough, best, 0)]
    return FittedWeights(weights[-1], weights[:-1], folds)


def _precision(
    photos: Sequence[Photo], inside: NDArray[np.bool_], category_names: Sequence[str]
) -> NDArray[np.float64]:
    """COCO mask AP of each category over some photos, -1 without truths."""
    chosen = [photo for photo, is_inside in zip(photos, inside, strict=True) if is_inside]
    found = average_precision(evaluate_coco(chosen, category_names)["mask"]).of_category
    return np.array([-1.0 if each["ap"] is None else each["ap"] for each in found])


def _count(truths: Truths, inside: NDArray[np.bool_], num_categories: int) -> NDArray[np.int64]:
    """Instances of each category on some photos."""
    return np.bincount(truths.categories[inside[truths.photo_index]], minlength=num_categories)


def _of_fold(detections: Detections, inside: NDArray[np.bool_]) -> Detections:
    """The rows on some photos; the photos stay."""
    rows = inside[detections.photo_index]
    return Detections.build(
        detections.photos,
        detections.photo_index[rows],
        detections.categories[rows],
        detections.scores[rows],
        detections.boxes_norm[rows],
        detections.mask_probs[rows],
    )
