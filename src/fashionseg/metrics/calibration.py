"""Calibration: the thresholds that turn detections into a submission, searched for the competition's own metric.

No inference runs: every combination of the score, NMS, garment NMS and mask thresholds and the minimum area is scored
from the stored detections (`grid_levels`), at level `image_category`.

The label is the category, or the competition's ClassId. Detections carry no attributes, so with ClassId a row of a
category that mostly occurs with attributes is a false positive more often than a match: the set of submitted
categories is then searched too, in turn with the thresholds, each step keeping the other fixed.

Thresholds fitted on the photos they are judged on flatter themselves, so the reported score is out-of-fold: each
photo is scored with the thresholds fitted on the photos of the other folds. The final thresholds are fitted on all
photos.

Letters: P photos, N detections over all photos; C combinations of the grid; G pairs of photo and label; K categories.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fashionseg.detections.instances import Thresholds
from fashionseg.detections.photos import Photo
from fashionseg.metrics.competition import Label
from fashionseg.metrics.grid_levels import DROPPED, NUM_LABELS, Grid, photo_levels, truth_labels
from fashionseg.metrics.matching import NUM_THRESHOLDS
from fashionseg.parallel import map_photos

Categories = tuple[int, ...] | None  # submitted ones, ascending; None for all

_LEAST_GAIN = 1e-12  # above the rounding of a mean


@dataclass(frozen=True)
class Calibration:
    """The result of the search.

    Attributes:
        final: fitted on all photos.
        fold_thresholds: [folds], fitted on the photos outside each fold.
        folds: int64 [P], the fold of each photo.
        in_sample: mean score of all photos with the final thresholds.
        out_of_fold: mean score of all photos, each with its fold's thresholds.
        grid: all combinations, [C], with the final categories.
        grid_means: float64 [C], mean score of all photos with each combination.
    """

    final: Thresholds
    fold_thresholds: tuple[Thresholds, ...]
    folds: NDArray[np.int64]
    in_sample: float
    out_of_fold: float
    grid: tuple[Thresholds, ...]
    grid_means: np.ndarray

    def of_photo(self, place: int) -> Thresholds:
        """Thresholds fitted without the photo at `place`."""
        return self.fold_thresholds[int(self.folds[place])]


def assign_folds(groups: NDArray[np.int64], num_folds: int) -> NDArray[np.int64]:
    """The fold of each photo, int64 [P]: groups of near-identical photos take turns, so a group is in one fold.

    Args:
        groups: int64 [P], the group number of each photo.
        num_folds: folds; fewer where there are fewer groups.
    """
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    turn = np.argsort(np.argsort(first))  # by the first photo of each group
    return turn[group] % max(min(num_folds, len(first)), 1)


def calibrate(
    photos: Sequence[Photo],
    grid: Grid,
    folds: NDArray[np.int64],
    label: Label = "category",
    num_categories: int = 0,
) -> Calibration:
    """Searches the grid and, for the label `classid`, the submitted categories.

    Args:
        folds: int64 [P], from `assign_folds`. With a single fold there are no other photos to fit on, and the
            out-of-fold score equals the in-sample score.
        num_categories: K; only used for the label `classid`.

    Raises:
        ValueError: no photos.
    """
    if not photos:
        raise ValueError("photos: expected at least one, got none")
    assert label == "category" or num_categories > 0, "the search needs to know all categories"
    search = _Search(photos, grid, label, num_categories)
    every = np.ones(len(photos), np.bool_)
    fold_thresholds = []
    out_of_fold = np.zeros(len(photos))
    for fold in range(int(folds.max()) + 1):
        inside = folds == fold
        thresholds, scores = search.fit(every if inside.all() else ~inside)
        fold_thresholds.append(thresholds)
        out_of_fold[inside] = scores[inside]
    final, scores = search.fit(every)
    return Calibration(
        final=final,
        fold_thresholds=tuple(fold_thresholds),
        folds=folds,
        in_sample=float(scores.mean()),
        out_of_fold=float(out_of_fold.mean()),
        grid=tuple(replace(combination, categories=final.categories) for combination in grid.combinations()),
        grid_means=search.scores(final.categories).mean(axis=1),
    )


def grid_scores(
    photos: Sequence[Photo], grid: Grid, label: Label = "category", categories: Categories = None
) -> np.ndarray:
    """float64 [C, P]: the score of each photo at level `image_category` with each combination."""
    return _Search(photos, grid, label, 0).scores(categories)


class _Search:
    """Scores of all photos under any thresholds and submitted categories."""

    def __init__(self, photos: Sequence[Photo], grid: Grid, label: Label, num_categories: int) -> None:
        levels = map_photos(partial(photo_levels, grid=grid, label=label), photos, "calibrate")
        scores = np.concatenate([detections.scores for detections, _ in photos])
        self._label = label
        self._num_categories = num_categories
        self._combinations = grid.combinations()
        self._num_scores = len(grid.scores)
        settings = len(self._combinations) // self._num_scores
        self._levels = np.concatenate(levels, axis=-1).reshape(settings, len(scores))
        # float32 as the stored scores: as float64 the threshold 0.7 exceeds the float32 0.7.
        self._bins = np.searchsorted(np.array(grid.scores, np.float32), scores, side="right")
        self._categories = np.concatenate([detections.categories for detections, _ in photos])
        self._groups = _Groups.of(photos, label)
        self._scores: dict[Categories, np.ndarray] = {}

    def fit(self, photos: NDArray[np.bool_]) -> tuple[Thresholds, np.ndarray]:
        """The thresholds with the highest mean over `photos` (bool [P]), and the scores of all photos [P]."""
        categories: Categories = None
        fitted: tuple[Thresholds, np.ndarray] | None = None
        highest = -1.0
        while True:
            scores = self.scores(categories)
            means = scores[:, photos].mean(axis=1)
            best = int(means.argmax())
            if fitted is not None and means[best] <= highest + _LEAST_GAIN:
                return fitted
            fitted = replace(self._combinations[best], categories=categories), scores[best]
            highest = float(means[best])
            if self._label == "category":
                return fitted
            categories = self._choose_categories(best, photos)

    def scores(self, categories: Categories) -> np.ndarray:
        """float64 [C, P]."""
        if categories not in self._scores:
            # One array of each combination and photo besides that of all categories: memory stays flat.
            self._scores = {key: self._scores[key] for key in self._scores if key is None}
            bins = self._bins
            if categories is not None:
                bins = bins * np.isin(self._categories, categories)
            rows = [self._groups.photo_scores(levels, bins, self._num_scores) for levels in self._levels]
            self._scores[categories] = np.concatenate(rows)
        return self._scores[categories]

    def _choose_categories(self, combination: int, photos: NDArray[np.bool_]) -> Categories:
        """Categories to submit with a combination: from all of them, the one whose rows cost the mean over `photos`
        most is dropped until none costs anything."""
        setting, score = divmod(combination, self._num_scores)
        reached = (self._bins > score).astype(np.int64)
        groups = self._groups
        scores, is_active = (part[:, 0] for part in groups.scores(self._levels[setting], reached, 1))
        gain = np.zeros((groups.num_photos, self._num_categories))
        cost = np.zeros_like(gain)  # labels that only the predictions bring into the mean of a photo
        is_category = is_active & (groups.label < self._num_categories)
        gain[groups.photo[is_category], groups.label[is_category]] = scores[is_category]
        added = is_category & (groups.present == 0)
        cost[groups.photo[added], groups.label[added]] = 1.0
        total: np.ndarray = np.bincount(groups.photo, scores, minlength=groups.num_photos)
        count = np.bincount(groups.photo[is_active], minlength=groups.num_photos).astype(np.float64)
        gain, cost, total, count = gain[photos], cost[photos], total[photos], count[photos]
        dropped: set[int] = set()
        while True:
            gains = _means(total[:, None] - gain, count[:, None] - cost) - _means(total, count)[:, None]
            worst = int(gains.mean(axis=0).argmax())
            if gains[:, worst].mean() <= _LEAST_GAIN:
                break
            dropped.add(worst)
            total, count = total - gain[:, worst], count - cost[:, worst]
            gain[:, worst] = cost[:, worst] = 0.0
        return tuple(sorted(set(range(self._num_categories)) - dropped)) if dropped else None


def _means(totals: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mean score over the labels of a photo, 1 where there is no label."""
    return np.where(counts > 0, totals / np.maximum(counts, 1), 1.0)


@dataclass(frozen=True)
class _Groups:
    """The G pairs of photo and label with a detection or a truth, by photo.

    Attributes:
        of_detection: int64 [N], the group of each detection.
        present: int64 [G], truths.
        photo, label: int64 [G].
    """

    num_photos: int
    of_detection: np.ndarray
    present: np.ndarray
    photo: np.ndarray
    label: np.ndarray

    @classmethod
    def of(cls, photos: Sequence[Photo], label: Label) -> _Groups:
        parts = [
            place * NUM_LABELS
            + np.concatenate([detections.categories.astype(np.int64), truth_labels(truths, label)])
            for place, (detections, truths) in enumerate(photos)
        ]
        is_truth = np.concatenate(
            [np.repeat([False, True], [len(detections), len(truths)]) for detections, truths in photos]
        )
        keys, group = np.unique(np.concatenate(parts), return_inverse=True)
        return cls(
            num_photos=len(photos),
            of_detection=group[~is_truth],
            present=np.bincount(group[is_truth], minlength=len(keys)),
            photo=keys // NUM_LABELS,
            label=keys % NUM_LABELS,
        )

    def photo_scores(self, levels: np.ndarray, bins: np.ndarray, num_scores: int) -> np.ndarray:
        """float64 [num_scores, P] from the levels [N] of one setting; arguments as in `scores`."""
        scores, is_active = self.scores(levels, bins, num_scores)
        result = np.ones((num_scores, self.num_photos))
        if len(self.photo):
            starts = np.flatnonzero(np.diff(self.photo, prepend=-1))
            totals = np.add.reduceat(scores, starts, axis=0)
            counts = np.add.reduceat(is_active.astype(np.int64), starts, axis=0)
            result[:, self.photo[starts]] = _means(totals, counts).T
        return result

    def scores(
        self, levels: np.ndarray, bins: np.ndarray, num_scores: int
    ) -> tuple[np.ndarray, NDArray[np.bool_]]:
        """The score of each group at each score threshold, float64 [G, num_scores], and whether it has objects.

        `bins` [N] counts the score thresholds that each detection reaches.
        """
        chosen = np.flatnonzero((levels != DROPPED) & (bins > 0))
        cell = self.of_detection[chosen] * num_scores + bins[chosen] - 1
        level = levels[chosen]

        def at_each_score(cells: np.ndarray) -> np.ndarray:
            counts = np.bincount(cells, minlength=len(self.present) * num_scores)
            return counts.reshape(-1, num_scores)[:, ::-1].cumsum(axis=1)[:, ::-1]

        objects = at_each_score(cell) + self.present[:, None]
        total = np.zeros(objects.shape)
        for threshold in range(NUM_THRESHOLDS):
            true_positives = at_each_score(cell[level > threshold])
            total += true_positives / np.maximum(objects - true_positives, 1)
        return total / NUM_THRESHOLDS, objects > 0
