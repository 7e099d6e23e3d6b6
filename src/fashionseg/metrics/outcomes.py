"""Outcome of the thresholds per photo: matches by both labels of the metric, and confusions of categories.

The instances and matches are those of a submission and its score (`find_instances`, `match_labels`), without the
short cuts of the search, so the reported score is the score of the file that would be submitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fashionseg.detections.instances import Thresholds, find_instances
from fashionseg.detections.photos import Photo
from fashionseg.metrics.competition import PhotoMatches, compare_masks, match_labels
from fashionseg.parallel import map_photos

NOTHING = -1  # paired with a missed truth or with an instance without a truth


@dataclass(frozen=True, eq=False)
class Outcome:
    """One photo.

    Attributes:
        out_of_fold: matches with the thresholds fitted on other photos, label the category.
        out_of_fold_class_id: the same, label the whole ClassId.
        final: matches with the final thresholds, label the category.
        confusions: (true category, predicted category) at IoU > 0.5 with the final thresholds; NOTHING where there is
            no partner.
    """

    out_of_fold: PhotoMatches
    out_of_fold_class_id: PhotoMatches
    final: PhotoMatches
    confusions: list[tuple[int, int]]


def judge_photos(
    photos: Sequence[Photo], fold_thresholds: Sequence[Thresholds], final: Thresholds
) -> list[Outcome]:
    """One outcome per photo; `fold_thresholds` has the thresholds of each photo."""
    work = [(photo, thresholds, final) for photo, thresholds in zip(photos, fold_thresholds, strict=True)]
    return map_photos(_judge_photo, work, "score")


def _judge_photo(work: tuple[Photo, Thresholds, Thresholds]) -> Outcome:
    (detections, truths), out_of_fold, final = work
    truth_masks = truths.masks()
    categories = truths.categories.tolist()

    def compare(thresholds: Thresholds) -> tuple[list[int], np.ndarray, np.ndarray]:
        instances = find_instances(detections, thresholds)
        masks = [instance.mask for instance in instances]
        return [instance.category for instance in instances], *compare_masks(masks, truth_masks)

    found, levels, ious = compare(out_of_fold)
    by_category = by_category_final = match_labels(levels, found, categories)
    # The model predicts no attributes, so its ClassId is the category alone.
    by_class_id = match_labels(levels, [str(category) for category in found], truths.class_ids)
    if final != out_of_fold:
        found, levels, ious = compare(final)
        by_category_final = match_labels(levels, found, categories)
    return Outcome(by_category, by_class_id, by_category_final, find_confusions(found, categories, ious))


def find_confusions(found: list[int], categories: list[int], ious: np.ndarray) -> list[tuple[int, int]]:
    """Pairs (true, predicted) one to one: first those of equal category, then by falling IoU, all with IoU > 0.5.

    The remaining truths and instances are paired with NOTHING.

    Args:
        found: categories of the instances, [P].
        categories: of the truths, [T].
        ious: float64 [P, T].
    """
    candidates = sorted(
        (found[row] != categories[column], -ious[row, column], row, column)
        for row, column in np.argwhere(ious > 0.5).tolist()
    )
    pairs = []
    rows_left, columns_left = dict.fromkeys(range(len(found))), dict.fromkeys(range(len(categories)))
    for _, _, row, column in candidates:
        if row in rows_left and column in columns_left:
            del rows_left[row], columns_left[column]
            pairs.append((categories[column], found[row]))
    missed = [(categories[column], NOTHING) for column in columns_left]
    return pairs + missed + [(NOTHING, found[row]) for row in rows_left]
