"""True positives at each of the competition's ten IoU thresholds.

A prediction and a truth of the same label match at threshold t when their IoU is greater than t; each is in at most
one match. Scores are ignored, so the count is the size of a maximum matching: no assignment has more true positives,
and the order of rows does not matter.

Masks of one label share no pixels in a valid submission, so a truth has IoU > 0.5 with at most one prediction and
counting is enough; a matching is searched only where masks overlap.
"""

from __future__ import annotations

import numpy as np

IOU_THRESHOLDS = tuple(k / 20 for k in range(10, 20))  # 0.50, 0.55, ..., 0.95
NUM_THRESHOLDS = len(IOU_THRESHOLDS)


def iou_levels(overlaps: np.ndarray, row_areas: np.ndarray, column_areas: np.ndarray) -> np.ndarray:
    """Number of the ten thresholds that the IoU of each pair exceeds.

    In integers, because IoU 0.7 as a float may fall on either side of the threshold 0.7: with overlap i and union u,
    i/u > k/20 for k = 10, 11, ... holds ceil(20 i / u) - 10 times.

    Args:
        overlaps: int64 [P, T], pixels in both masks.
        row_areas, column_areas: int64 [P] and [T], pixels of each mask.

    Returns:
        int64 [P, T], 0 to 10.
    """
    unions = np.maximum(row_areas[:, None] + column_areas[None, :] - overlaps, 1)
    return np.clip(-(-20 * overlaps // unions) - 10, 0, NUM_THRESHOLDS)


def count_true_positives(levels: np.ndarray) -> np.ndarray:
    """int64 [10]: size of the maximum matching at each threshold, from `iou_levels` [P, T] of one label."""
    edges = levels > 0
    if (edges.sum(axis=0) <= 1).all():
        return level_counts(levels.max(axis=1, initial=0))
    if (edges.sum(axis=1) <= 1).all():
        return level_counts(levels.max(axis=0, initial=0))
    return np.array([_maximum_matching(levels > place) for place in range(NUM_THRESHOLDS)])


def level_counts(levels: np.ndarray) -> np.ndarray:
    """int64 [10]: number of `levels` [n] that pass each threshold."""
    counts = np.bincount(levels, minlength=NUM_THRESHOLDS + 1)
    return counts[::-1].cumsum()[::-1][1:]


def _maximum_matching(edges: np.ndarray) -> int:
    """Size of the maximum matching of a bipartite graph, bool [P, T]."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    return int((maximum_bipartite_matching(csr_array(edges)) >= 0).sum())
