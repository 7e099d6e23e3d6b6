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
        counts: int64 [R, 12], as in `PhotoMatches`.
    """

    num_photos: int
    labels: tuple[Hashable, ...]
    photo: np.ndarray
    counts: np.ndarray


def compare_masks(predictions: list[BitMask], truths: list[BitMask]) -> tuple[np.ndarray, np.ndarray]:
    """IoU thresholds that each pair passes, int64 [P, T], and its IoU, float64 [P, T], whatever the labels."""
    overlaps = intersections(predictions, truths)
    areas = np.array([mask.area for mask in predictions], np.int64)
    truth_areas = np.array([mask.area for mask in truths], np.int64)
    unions = areas[:, None] + truth_areas[None, :] - overlaps
    return iou_levels(overlaps, areas, truth_areas), overlaps / np.maximum(unions, 1)


def match_photo(
    predicted_labels: Sequence[Hashable],
    predicted_masks: list[BitMask],
    truth_labels: Sequence[Hashable],
    truth_masks: list[BitMask],
) -> PhotoMatches:
    """Counts of one photo; labels in the order in which they first occur."""
    levels, _ = compare_masks(predicted_masks, truth_masks)
    return match_labels(levels, predicted_labels, truth_labels)


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
    counts = np.concatenate([np.zeros((0, 2 + NUM_THRESHOLDS), np.int64), *(its.counts for its in photos)])
    labels = tuple(label for photo in photos for label in photo.labels)
    place = np.repeat(np.arange(len(photos)), [len(photo.labels) for photo in photos])
    return MatchTable(len(photos), labels, place, counts)


def label_scores(counts: np.ndarray) -> np.ndarray:
    """float64 [R]: mean over the thresholds of TP / (TP + FP + FN), 1 where there is nothing; counts [R, 12]."""
    true_positives = counts[:, 2:]
    objects = counts[:, :2].sum(axis=1, keepdims=True) - true_positives
    return np.where(objects > 0, true_positives / np.maximum(objects, 1), 1.0).mean(axis=1)


def photo_scores(table: MatchTable) -> np.ndarray:
    """float64 [photos]: the score of each photo at level `image_category`."""
    totals = np.bincount(table.photo, label_scores(table.counts), minlength=table.num_photos)
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
    np.add.at(sums, table.photo, table.counts)
    return {
        "image_category": float(photo_scores(table).mean()),
        "image": float(label_scores(sums).mean()),
        "pooled": float(label_scores(sums.sum(axis=0, keepdims=True))[0]),
    }
