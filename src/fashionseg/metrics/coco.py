"""COCO average precision of boxes and masks in the 512 x 512 competition frame.

Masks are binarised at 0.5 as is usual, not at the calibrated threshold, so figures of different runs compare. Nothing
is suppressed or claimed: all stored detections take part, up to 100 of a category in a photo. The figures are those of
pycocotools; the steps are `coco_overlaps` (in all cores), `coco_matching` and `coco_precision`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from fashionseg.detections.photos import Photo
from fashionseg.metrics.coco_matching import AREA_RANGES, match, outside_ranges, rank_by_score
from fashionseg.metrics.coco_overlaps import overlaps_of_photos
from fashionseg.metrics.coco_precision import precision_over_recall
from fashionseg.parallel import map_photos


@dataclass(frozen=True)
class AveragePrecision:
    """AP of one kind; None where no truth falls under it.

    Attributes:
        summary: keys ap, ap50, ap75, ap_small, ap_medium, ap_large.
        of_category: for each category, ap and ap50.
        precision50: float64 [101, K], precision at recall 0.00, 0.01, ..., 1.00 and IoU 0.50; -1 without truths.
    """

    summary: dict[str, float | None]
    of_category: list[dict[str, float | None]]
    precision50: np.ndarray


def coco_average_precision(photos: Sequence[Photo], num_categories: int) -> dict[str, AveragePrecision]:
    """Keys `box` and `mask`; the categories of detections and truths are 0 to `num_categories` - 1."""
    overlaps = map_photos(overlaps_of_photos, photos, "COCO overlaps")
    categories = _join(np.int64, (detections.categories for detections, _ in photos))
    scores = _join(np.float64, (detections.scores for detections, _ in photos))
    counts = np.array([(len(found), len(truths)) for found, truths in photos], np.intp).reshape(-1, 2)
    photo_index = np.repeat(np.arange(len(photos)), counts[:, 0])
    ranks = rank_by_score(photo_index * num_categories + categories, scores)
    truth_categories = _join(np.int64, (truths.categories for _, truths in photos))
    truth_outside = outside_ranges(_join(np.int64, (its.truth_areas for its in overlaps)))
    first_rows = counts.cumsum(axis=0) - counts
    pairs = (
        _join(
            np.intp, (its.pair_detections + row for its, row in zip(overlaps, first_rows[:, 0], strict=True))
        ),
        _join(np.intp, (its.pair_truths + row for its, row in zip(overlaps, first_rows[:, 1], strict=True))),
    )
    average_precision = {}
    for kind, areas, ious in (
        ("box", [its.box_areas for its in overlaps], [its.box_ious for its in overlaps]),
        ("mask", [its.mask_areas for its in overlaps], [its.mask_ious for its in overlaps]),
    ):
        outside = outside_ranges(_join(np.float64, areas))
        is_right, is_wrong = match(ranks, outside, truth_outside, *pairs, _join(np.float64, ious))
        average_precision[kind] = _summarise(
            precision_over_recall(
                categories, scores, is_right, is_wrong, truth_categories, truth_outside, num_categories
            )
        )
    return average_precision


def _join(dtype: type, parts: Iterable[np.ndarray]) -> np.ndarray:
    """One array of all photos' [..]; empty without photos."""
    return np.concatenate([np.zeros(0, dtype), *parts])


def _summarise(precision: np.ndarray) -> AveragePrecision:
    """From precision [thresholds, R, K, ranges]."""
    of_range = dict(zip(AREA_RANGES, np.moveaxis(precision, -1, 0), strict=True))
    every = of_range.pop("all")
    summary = {"ap": _mean(every), "ap50": _mean(every[0]), "ap75": _mean(every[5])}
    summary |= {f"ap_{label}": _mean(values) for label, values in of_range.items()}
    of_category = [
        {"ap": _mean(every[:, :, category]), "ap50": _mean(every[0, :, category])}
        for category in range(every.shape[2])
    ]
    return AveragePrecision(summary, of_category, every[0])


def _mean(precision: np.ndarray) -> float | None:
    """Categories without truths are marked by -1."""
    counted = precision[precision > -1]
    return float(counted.mean()) if counted.size else None
