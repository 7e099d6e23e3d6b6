"""The competition's score: the mean over IoU 0.50, 0.55, ..., 0.95 of TP / (TP + FP + FN).

The level of the mean was never published, so the three levels in use are computed:

    image_category  per photo and label, mean over the labels present or predicted in the photo, then over photos
                    (used offline by the winner; the main level here)
    image           per photo over all its objects, then mean over photos
    pooled          over all objects of all photos

A photo with neither truths nor predictions scores 1. The label is the category, or the whole ClassId with its
attributes as in the competition.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fashionseg.detections.bit_masks import BitMask, intersections
from fashionseg.metrics.matching import NUM_THRESHOLDS, count_true_positives, iou_levels

Label = Literal["category", "classid"]


@dataclass(frozen=True, eq=False)
class PhotoMatches:
    """Labels present or predicted in one photo, and int64 [labels, 12]: predictions, truths, and true positives at the
    ten thresholds."""

    labels: tuple[Hashable, ...]
    counts: np.ndarray


@dataclass(frozen=True, eq=False)
class MatchTable:
    """Counts for each label present or predicted in each photo: R rows, by photo.

    Attributes:
        num_photos: photos scored, with or without a row.
        labels: [R].
        photo: int64 [R], ascending, 0 to num_photos - 1.
        predicted, present: int64 [R], predictions and truths.
        true_positives: int64 [R, 10], at each IoU threshold.
    """

    num_photos: int
    labels: tuple[Hashable, ...]
    photo: np.ndarray
    predicted: np.ndarray
    present: np.ndarray
    true_positives: np.ndarray


@dataclass(frozen=True, eq=False)
class Pairs:
    """Every prediction of a photo against every truth, whatever their labels.

    Attributes:
        overlaps: int64 [P, T], pixels in both.
        areas, truth_areas: int64 [P] and [T].
    """

    overlaps: np.ndarray
    areas: np.ndarray
    truth_areas: np.ndarray

    @classmethod
    def of(cls, predictions: list[BitMask], truths: list[BitMask]) -> Pairs:
        return cls(
            intersections(predictions, truths),
            np.array([mask.area for mask in predictions], np.int64),
            np.array([mask.area for mask in truths], np.int64),
        )

    def levels(self) -> np.ndarray:
        """int64 [P, T]: how many IoU thresholds each pair passes."""
        return iou_levels(self.overlaps, self.areas, self.truth_areas)

    def ious(self) -> np.ndarray:
        """float64 [P, T]."""
        unions = self.areas[:, None] + self.truth_areas[None, :] - self.overlaps
        return self.overlaps / np.maximum(unions, 1)


def match_photo(
    predicted_labels: Sequence[Hashable],
    predicted_masks: list[BitMask],
    truth_labels: Sequence[Hashable],
    truth_masks: list[BitMask],
) -> PhotoMatches:
    """Counts of one photo; labels in the order in which they first occur."""
    return match_labels(Pairs.of(predicted_masks, truth_masks).levels(), predicted_labels, truth_labels)


def match_labels(
    levels: np.ndarray, predicted_labels: Sequence[Hashable], truth_labels: Sequence[Hashable]
) -> PhotoMatches:
    """As `match_photo`, from the thresholds [P, T] that each pair passes."""
    rows: dict[Hashable, list[int]] = {}
    columns: dict[Hashable, list[int]] = {}
    for places, labels in ((rows, predicted_labels), (columns, truth_labels)):
        for place, label in enumerate(labels):
            places.setdefault(label, []).append(place)
    counts = []
    for label in (every := list(dict.fromkeys([*rows, *columns]))):
        its_rows, its_columns = rows.get(label, []), columns.get(label, [])
        true_positives = (
            count_true_positives(levels[np.ix_(its_rows, its_columns)])
            if its_rows and its_columns
            else [0] * NUM_THRESHOLDS
        )
        counts.append([len(its_rows), len(its_columns), *true_positives])
    return PhotoMatches(tuple(every), np.array(counts, np.int64).reshape(-1, 2 + NUM_THRESHOLDS))


def match_table(photos: Sequence[PhotoMatches]) -> MatchTable:
    """The counts of all photos, from `match_photo` of each."""
    rows = np.concatenate([np.zeros((0, 2 + NUM_THRESHOLDS), np.int64), *(photo.counts for photo in photos)])
    labels = tuple(label for photo in photos for label in photo.labels)
    place = np.repeat(np.arange(len(photos)), [len(photo.labels) for photo in photos])
    return MatchTable(len(photos), labels, place, rows[:, 0], rows[:, 1], rows[:, 2:])


def label_scores(table: MatchTable) -> np.ndarray:
    """float64 [R]: the score of each label in each photo."""
    return _mean_precision(table.predicted, table.present, table.true_positives)


def photo_scores(table: MatchTable) -> np.ndarray:
    """float64 [photos]: the score of each photo at level `image_category`."""
    scores = label_scores(table)
    totals = np.bincount(table.photo, scores, minlength=table.num_photos)
    labels = np.bincount(table.photo, minlength=table.num_photos)
    return np.where(labels > 0, totals / np.maximum(labels, 1), 1.0)


def competition_scores(table: MatchTable) -> dict[str, float]:
    """The score at each level: keys `image_category`, `image`, `pooled`.

    Raises:
        ValueError: no photos.
    """
    if table.num_photos == 0:
        raise ValueError("photos: expected at least one to score, got none")
    sums = np.zeros((table.num_photos, 2 + NUM_THRESHOLDS), np.int64)
    np.add.at(
        sums,
        table.photo,
        np.concatenate([table.predicted[:, None], table.present[:, None], table.true_positives], 1),
    )
    pooled = sums.sum(axis=0, keepdims=True)
    return {
        "image_category": float(photo_scores(table).mean()),
        "image": float(_mean_precision(sums[:, 0], sums[:, 1], sums[:, 2:]).mean()),
        "pooled": float(_mean_precision(pooled[:, 0], pooled[:, 1], pooled[:, 2:])[0]),
    }


def _mean_precision(predicted: np.ndarray, present: np.ndarray, true_positives: np.ndarray) -> np.ndarray:
    """float64 [R]: mean over thresholds of TP / (TP + FP + FN), 1 where there is nothing at all."""
    objects = (predicted + present)[:, None] - true_positives
    return np.where(objects > 0, true_positives / np.maximum(objects, 1), 1.0).mean(axis=1)
