"""Calibration: the thresholds that turn detections into a submission, searched for the competition's own metric.

No inference runs: the stored detections are pasted once for each mask threshold, and every combination of score,
NMS and mask threshold and minimum area is scored (level `image_category`). All score thresholds come from one pass,
because the instances at a higher score are the first instances at a lower one (`fashionseg.detections.instances`).

The label is the category, or the competition's ClassId. Detections carry no attributes, so with ClassId a row of a
category that mostly occurs with attributes is a false positive more often than a match: the set of submitted
categories is then searched too, in turn with the thresholds, each step keeping the other fixed.

Thresholds fitted on the photos they are judged on flatter themselves, so the reported score is out-of-fold: each
photo is scored with the thresholds fitted on the photos of the other folds. The final thresholds are fitted on all
photos.

Letters: P photos, N detections over all photos, D of one photo; C combinations of the grid; G pairs of photo and label;
K categories.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fashionseg.detections.bit_masks import FRAME, BitMask, intersections, minus
from fashionseg.detections.instances import Thresholds, rows_by_category, suppress
from fashionseg.detections.paste import find_taps, paste_bits
from fashionseg.detections.photos import Photo, PhotoDetections, PhotoTruths
from fashionseg.metrics.competition import Label
from fashionseg.metrics.matching import NUM_THRESHOLDS, iou_levels
from fashionseg.parallel import map_photos
from fashionseg.taxonomy import format_class_id

Categories = tuple[int, ...] | None  # submitted ones, ascending; None for all

DROPPED = -1
_FIRST_OTHER = 1 << 15  # labels from here on are ClassIds with attributes; below they are categories
_NUM_LABELS = 1 << 16
_LEAST_GAIN = 1e-12  # above the rounding of a mean


@dataclass(frozen=True)
class Grid:
    """The searched values, each ascending."""

    scores: tuple[float, ...]
    nms: tuple[float, ...]
    masks: tuple[float, ...]
    min_areas: tuple[int, ...]

    def combinations(self) -> list[Thresholds]:
        """All C combinations, in the order of the rows of `grid_scores`."""
        return [
            Thresholds(score, nms, mask, min_area)
            for mask, nms, min_area, score in itertools.product(
                self.masks, self.nms, self.min_areas, self.scores
            )
        ]


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
        photos: P photos.
        grid: the values to search.
        folds: int64 [P], from `assign_folds`. With a single fold there are no other photos to fit on, and the
            out-of-fold score equals the in-sample score.
        label: of the metric.
        num_categories: K; only used for the label `classid`.

    Raises:
        ValueError: no photos.
    """
    if not photos:
        raise ValueError("photos: expected at least one, got none")
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
        levels = map_photos(partial(_levels_of_photos, grid=grid, label=label), photos, "calibrate")
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


def _levels_of_photos(photos: list[Photo], grid: Grid, label: Label) -> list[np.ndarray]:
    return [photo_levels(detections, truths, grid, label) for detections, truths in photos]


def truth_labels(truths: PhotoTruths, label: Label) -> NDArray[np.int64]:
    """int64 [T]: the category where a detection without attributes can match, another number elsewhere."""
    categories = truths.categories.astype(np.int64)
    if label == "category":
        return categories
    others: dict[str, int] = {}
    return np.array(
        [
            category
            if class_id == format_class_id(category)
            else others.setdefault(class_id, _FIRST_OTHER + len(others))
            for category, class_id in zip(categories.tolist(), truths.class_ids, strict=True)
        ],
        np.int64,
    )


def photo_levels(
    detections: PhotoDetections, truths: PhotoTruths, grid: Grid, label: Label = "category"
) -> np.ndarray:
    """int8 [masks, nms, min_areas, D]: IoU thresholds passed with the best truth of the label, or DROPPED.

    Instances of a category share no pixel and matches need IoU > 0.5, so a truth has one candidate at most and
    the number of instances with a level above k is the number of true positives at threshold k.
    """
    levels = np.full((len(grid.masks), len(grid.nms), len(grid.min_areas), len(detections)), DROPPED, np.int8)
    kept = suppress(detections.categories, detections.boxes_norm, grid.nms)
    count = int(np.count_nonzero(detections.scores >= np.float32(grid.scores[0])))
    truth_masks = truths.masks()
    labels = truth_labels(truths, label).tolist()
    taps = find_taps(detections.boxes_norm[:count], FRAME, detections.mask_probs.shape[1])
    for every_row in rows_by_category(detections.categories[:count]):
        rows = every_row[kept[:, every_row].any(axis=0)]
        category = detections.categories[rows[0]]
        rivals = [mask for mask, its in zip(truth_masks, labels, strict=True) if its == category]
        pasted = [paste_bits(detections.mask_probs[row], taps, row, grid.masks) for row in rows]
        for place in range(len(grid.masks)):
            masks = [of_row[place] for of_row in pasted]
            levels[place][:, :, rows] = _category_levels(masks, rivals, kept[:, rows], grid.min_areas)
    return levels


def _category_levels(
    masks: list[BitMask], truths: list[BitMask], kept: np.ndarray, min_areas: tuple[int, ...]
) -> np.ndarray:
    """int8 [nms, min_areas, len(masks)]: as `photo_levels`, for one category and one mask threshold.

    `kept` is bool [nms, len(masks)]. Most masks touch no other mask of their category, and one comparison with the
    truths serves all settings; only where masks overlap do the settings decide which mask gets the pixels.
    """
    areas = np.array([mask.area for mask in masks])
    large_enough = areas[None, None, :] >= np.maximum(min_areas, 1)[None, :, None]
    best = _best_levels(masks, truths)
    levels = np.where(kept[:, None, :] & large_enough, best[None, None, :], DROPPED).astype(np.int8)
    overlapping = (
        np.triu(intersections(masks, masks), 1) > 0 if len(masks) > 1 else np.zeros((1, 1), np.bool_)
    )
    contested = np.flatnonzero(overlapping.any(axis=0) | overlapping.any(axis=1)).tolist()
    if not contested:
        return levels
    earlier = {row: np.flatnonzero(overlapping[:, row]).tolist() for row in contested}
    known: dict[tuple[int, ...], tuple[int, int]] = {}
    for nms, area in itertools.product(range(len(kept)), range(len(min_areas))):
        claimed: set[int] = set()
        for row in contested:
            if not kept[nms, row]:
                continue
            key = (row, *(other for other in earlier[row] if other in claimed))
            if key not in known:
                rest = minus(masks[row], [masks[other] for other in key[1:]])
                known[key] = rest.area, int(_best_levels([rest], truths)[0])
            rest_area, level = known[key]
            if rest_area >= max(min_areas[area], 1):
                claimed.add(row)
                levels[nms, area, row] = level
            else:
                levels[nms, area, row] = DROPPED
    return levels


def _best_levels(masks: list[BitMask], truths: list[BitMask]) -> np.ndarray:
    """int64 [len(masks)]: IoU thresholds passed with the best truth."""
    overlaps = intersections(masks, truths)
    areas = np.array([mask.area for mask in masks], np.int64)
    truth_areas = np.array([truth.area for truth in truths], np.int64)
    return iou_levels(overlaps, areas, truth_areas).max(axis=1, initial=0)


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
            place * _NUM_LABELS
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
            photo=keys // _NUM_LABELS,
            label=keys % _NUM_LABELS,
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
