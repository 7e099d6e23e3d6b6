"""How many predictions are true positives, at each of the competition's ten IoU thresholds.

A prediction and a truth of the same label may be matched at threshold t when their IoU is greater than t; each
takes part in one match at most. Scores play no part, so the count is that of a maximum matching: no pairing could
find more true positives, and the count does not depend on the order of rows.

Masks of one label do not share pixels in a valid submission, so a truth can have IoU > 0.5 with one prediction at
most and counting is enough; only where masks overlap is a matching searched (Kuhn's augmenting paths).
"""

from __future__ import annotations

import numpy as np

IOU_THRESHOLDS = tuple(k / 20 for k in range(10, 20))  # 0.50, 0.55, ..., 0.95
NUM_THRESHOLDS = len(IOU_THRESHOLDS)


def iou_levels(overlaps: np.ndarray, row_areas: np.ndarray, column_areas: np.ndarray) -> np.ndarray:
    """How many of the ten thresholds the IoU of each pair is greater than.

    In whole numbers, because IoU 0.7 as a float may fall on either side of the threshold 0.7: with i the overlap and
    u the union, i/u > k/20 for k = 10, 11, ... holds ceil(20 i / u) - 10 times.

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
    """int64 [10]: how many of `levels` [n] pass each threshold."""
    counts = np.bincount(levels, minlength=NUM_THRESHOLDS + 1)
    return counts[::-1].cumsum()[::-1][1:]


def _maximum_matching(edges: np.ndarray) -> int:
    """Size of the maximum matching of a bipartite graph, bool [P, T]."""
    partners = [np.flatnonzero(row).tolist() for row in edges]
    owner: dict[int, int] = {}

    def find_partner(row: int, tried: set[int]) -> bool:
        for column in partners[row]:
            if column not in tried:
                tried.add(column)
                if column not in owner or find_partner(owner[column], tried):
                    owner[column] = row
                    return True
        return False

    return sum(find_partner(row, set()) for row in range(len(partners)))
