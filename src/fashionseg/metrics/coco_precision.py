"""Precision over recall by COCO's rules, from which detections are right and which are wrong.

The rules are those of `COCOeval.accumulate` of pycocotools: all detections of a category by falling score, equal ones
in the order of the photos; precision at a recall is the greatest at that recall or a higher one, and 0 beyond the
last. Letters as in `coco_matching`; K categories, R = 101 recalls.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fashionseg.metrics.coco_matching import AREA_RANGES, IOU_THRESHOLDS

RECALLS = np.linspace(0.0, 1.0, 101)


def precision_over_recall(
    categories: np.ndarray,
    scores: np.ndarray,
    is_right: NDArray[np.bool_],
    is_wrong: NDArray[np.bool_],
    truth_categories: np.ndarray,
    truth_outside: NDArray[np.bool_],
    num_categories: int,
) -> np.ndarray:
    """Precision of each combination.

    Args:
        categories, scores: [D], in the order of the photos; categories are 0 to K - 1.
        is_right, is_wrong: bool [D, C].
        truth_categories: [T].
        truth_outside: bool [T, C], truths that do not count.
        num_categories: K.

    Returns:
        float64 [thresholds, R, K, ranges]; -1 for a category and range without truths.
    """
    num_combinations = truth_outside.shape[1]
    precision = np.full((num_categories, num_combinations, len(RECALLS)), -1.0)
    order = np.lexsort((-scores, categories))
    borders = np.searchsorted(categories[order], np.arange(num_categories + 1))
    for category in range(num_categories):
        num_truths = (~truth_outside[truth_categories == category]).sum(axis=0)
        counted = np.flatnonzero(num_truths)
        rows = order[borders[category] : borders[category + 1]]
        right = is_right[rows].T[counted].cumsum(axis=1, dtype=np.float64)
        wrong = is_wrong[rows].T[counted].cumsum(axis=1, dtype=np.float64)
        recall = right / num_truths[counted, None]
        right /= right + wrong + np.spacing(1)
        envelope = np.maximum.accumulate(right[:, ::-1], axis=1)[:, ::-1]
        for combination, reached, highest in zip(counted, recall, envelope, strict=True):
            places = np.searchsorted(reached, RECALLS)
            precision[category, combination] = np.append(highest, 0.0)[places]
    by_range = precision.reshape(num_categories, len(AREA_RANGES), len(IOU_THRESHOLDS), len(RECALLS))
    return by_range.transpose(2, 3, 0, 1)
