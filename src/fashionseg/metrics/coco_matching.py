"""Which detections are matched, by COCO's rules, for all photos and categories at once.

The rules (Lin et al., "Microsoft COCO", 2014; `COCOeval.evaluateImg` of pycocotools): within a photo and category
detections choose in order of falling score. One takes, of the truths not taken yet that it overlaps by the threshold
at least, the one with the greatest IoU, of equal ones the last; a truth outside the range of areas is only taken when
no other can be, and the detection is then ignored. An unmatched detection is ignored when its own area is outside the
range. Ignored ones are neither right nor wrong.

Detections of one rank in different photos and categories do not meet, so they choose together: a step for each rank,
of 100 at most, over all pairs and all combinations of threshold and range. D detections, T truths, P pairs of a
detection and a truth, C = 40 combinations: for each of the four ranges the ten thresholds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
AREA_RANGES = {  # pixels, both ends included
    "all": (0.0, 1e10),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}
MAX_DETECTIONS = 100  # of a category in a photo

_LIMITS = np.tile(IOU_THRESHOLDS, len(AREA_RANGES))  # of the combinations


def rank_by_score(groups: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The place of each detection in its photo and category.

    Args:
        groups: int64 [D], a number for each photo and category.
        scores: float [D].

    Returns:
        intp [D], 0 for the highest score of a group; equal scores rank in the order given.
    """
    order = np.lexsort((-scores, groups))
    grouped = groups[order]
    places = np.arange(len(order))
    is_first = np.append(True, grouped[1:] != grouped[:-1])[: len(order)]
    ranks = np.empty(len(order), np.intp)
    ranks[order] = places - np.maximum.accumulate(np.where(is_first, places, 0))
    return ranks


def outside_ranges(areas: np.ndarray) -> NDArray[np.bool_]:
    """bool [len(areas), C]: which areas lie outside the range of each combination."""
    low, high = np.array(list(AREA_RANGES.values())).T
    outside = (areas[:, None] < low) | (areas[:, None] > high)
    return np.repeat(outside, len(IOU_THRESHOLDS), axis=1)


def match(
    ranks: np.ndarray,
    outside: NDArray[np.bool_],
    truth_outside: NDArray[np.bool_],
    pair_detections: np.ndarray,
    pair_truths: np.ndarray,
    ious: np.ndarray,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which detections are right and which are wrong; those that are ignored are neither.

    Args:
        ranks: intp [D], from `rank_by_score`.
        outside, truth_outside: bool [D, C] and [T, C], from `outside_ranges`.
        pair_detections, pair_truths: intp [P], rows of a detection and a truth of one photo and category. Pairs with
            an IoU below the least threshold may be missing.
        ious: float64 [P].

    Returns:
        bool [D, C] twice. Detections of a rank from MAX_DETECTIONS on are neither, as if they were not there.
    """
    is_right = np.zeros(outside.shape, np.bool_)
    is_wrong = ~outside & (ranks < MAX_DETECTIONS)[:, None]
    is_taken = np.zeros(truth_outside.shape, np.bool_)
    of_rank = ranks[pair_detections]
    # By rank; each detection's pairs side by side, the best one last, of equal IoUs the last truth.
    order = np.lexsort((pair_truths, ious, pair_detections, of_rank))
    order = order[(ious[order] >= _LIMITS[0]) & (of_rank[order] < MAX_DETECTIONS)]
    borders = np.flatnonzero(np.diff(of_rank[order])) + 1
    for these in np.split(order, borders) if len(order) else []:
        detections, truths = pair_detections[these], pair_truths[these]
        is_free = (ious[these, None] >= _LIMITS) & ~is_taken[truths]
        # A later place is better, and any truth within the range is better than all outside; 0 is no truth.
        count = len(these)
        value = np.arange(1, count + 1, dtype=np.int32)[:, None] + np.int32(count) * ~truth_outside[truths]
        starts = np.flatnonzero(np.append(True, detections[1:] != detections[:-1]))
        best = np.maximum.reduceat(value * is_free, starts, axis=0)
        is_right[detections[starts]] = best > count
        is_wrong[detections[starts]] &= best == 0
        row, combination = np.nonzero(best)
        is_taken[truths[(best[row, combination] - 1) % count], combination] = True
    return is_right, is_wrong
