"""The thresholds that turn detections into a submission, found by search for the competition's own metric.

No inference runs: the stored detections are pasted once for each mask threshold, and every combination of score,
NMS and mask threshold and minimum area is scored from them (level `image_category`, label the category). All score
thresholds come from one pass, because the instances at a higher score are the first ones at a lower
(`fashionseg.detections.instances`).

Thresholds fitted on the photos they are judged on flatter themselves, so the reported score is out-of-fold: each
photo is scored with the thresholds fitted on the photos of the other folds. The final ones are fitted on all.

Letters: P photos, N detections over all photos, D of one photo; C combinations of the grid.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from fashionseg.detections.bit_masks import FRAME, BitMask, intersections, minus
from fashionseg.detections.instances import Thresholds, rows_by_category, suppress
from fashionseg.detections.paste import find_taps, paste_bits
from fashionseg.detections.photos import Photo, PhotoDetections, PhotoTruths
from fashionseg.metrics.matching import NUM_THRESHOLDS, iou_levels
from fashionseg.parallel import map_photos

DROPPED = -1


@dataclass(frozen=True)
class Grid:
    """The values searched, each ascending."""

    scores: tuple[float, ...]
    nms: tuple[float, ...]
    masks: tuple[float, ...]
    min_areas: tuple[int, ...]

    def combinations(self) -> list[Thresholds]:
        """All C of them, in the order of the rows of `grid_scores`."""
        return [
            Thresholds(score, nms, mask, min_area)
            for mask, nms, min_area, score in itertools.product(
                self.masks, self.nms, self.min_areas, self.scores
            )
        ]


@dataclass(frozen=True)
class Calibration:
    """What the search found.

    Attributes:
        final: fitted on all photos.
        fold_thresholds: [folds], those of the photos outside each fold.
        folds: int64 [P], the fold of each photo.
        in_sample: mean score of all photos with the final thresholds.
        out_of_fold: mean score of all photos, each with its fold's thresholds.
        grid: all combinations, [C].
        grid_means: float64 [C], mean score of all photos with each combination.
    """

    final: Thresholds
    fold_thresholds: tuple[Thresholds, ...]
    folds: np.ndarray
    in_sample: float
    out_of_fold: float
    grid: tuple[Thresholds, ...]
    grid_means: np.ndarray

    def of_photo(self, place: int) -> Thresholds:
        """Those fitted without the photo at `place`."""
        return self.fold_thresholds[int(self.folds[place])]


def calibrate(photos: Sequence[Photo], grid: Grid, num_folds: int) -> Calibration:
    """Searches the grid; photo p lies in fold p modulo `num_folds`.

    With one photo there is nothing to fit on elsewhere, and out-of-fold equals in-sample.

    Raises:
        ValueError: no photos.
    """
    if not photos:
        raise ValueError("photos: expected at least one, got none")
    scores = grid_scores(photos, grid)
    combinations = grid.combinations()
    folds = np.arange(len(photos)) % min(num_folds, len(photos))
    means = scores.mean(axis=1)
    fold_best = []
    out_of_fold = np.zeros(len(photos))
    for fold in range(int(folds.max()) + 1):
        inside = folds == fold
        outside = ~inside if len(photos) > 1 else inside
        best = int(scores[:, outside].mean(axis=1).argmax())
        fold_best.append(combinations[best])
        out_of_fold[inside] = scores[best, inside]
    best = int(means.argmax())
    return Calibration(
        final=combinations[best],
        fold_thresholds=tuple(fold_best),
        folds=folds,
        in_sample=float(means[best]),
        out_of_fold=float(out_of_fold.mean()),
        grid=tuple(combinations),
        grid_means=means,
    )


def grid_scores(photos: Sequence[Photo], grid: Grid) -> np.ndarray:
    """float64 [C, P]: the score of each photo at level `image_category` with each combination."""
    levels = map_photos(partial(_levels_of_photos, grid=grid), photos, "calibrate")
    groups = _Groups.of(photos)
    scores = np.concatenate([detections.scores for detections, _ in photos])
    # float32 like the stored scores: as a float64 the threshold 0.7 is above the float32 0.7.
    bins = np.searchsorted(np.array(grid.scores, np.float32), scores, side="right")
    settings = len(grid.masks) * len(grid.nms) * len(grid.min_areas)
    joined = np.concatenate(levels, axis=-1).reshape(settings, len(scores))
    return np.concatenate([groups.photo_scores(row, bins, len(grid.scores)) for row in joined])


def _levels_of_photos(photos: list[Photo], grid: Grid) -> list[np.ndarray]:
    return [photo_levels(detections, truths, grid) for detections, truths in photos]


def photo_levels(detections: PhotoDetections, truths: PhotoTruths, grid: Grid) -> np.ndarray:
    """int8 [masks, nms, min_areas, D]: IoU thresholds passed by the best truth of the category, or DROPPED.

    Instances of a category share no pixel and matches need IoU > 0.5, so a truth has one candidate at most and
    the number of instances with a level above k is the number of true positives at threshold k.
    """
    levels = np.full((len(grid.masks), len(grid.nms), len(grid.min_areas), len(detections)), DROPPED, np.int8)
    kept = suppress(detections.categories, detections.boxes_norm, grid.nms)
    count = int(np.count_nonzero(detections.scores >= np.float32(grid.scores[0])))
    truth_masks = truths.masks()
    taps = find_taps(detections.boxes_norm[:count], FRAME, detections.mask_probs.shape[1])
    for every_row in rows_by_category(detections.categories[:count]):
        rows = every_row[kept[:, every_row].any(axis=0)]
        category = detections.categories[rows[0]]
        rivals = [mask for mask, its in zip(truth_masks, truths.categories, strict=True) if its == category]
        pasted = [paste_bits(detections.mask_probs[row], taps, row, grid.masks) for row in rows]
        for place in range(len(grid.masks)):
            masks = [of_row[place] for of_row in pasted]
            levels[place][:, :, rows] = _category_levels(masks, rivals, kept[:, rows], grid.min_areas)
    return levels


def _category_levels(
    masks: list[BitMask], truths: list[BitMask], kept: np.ndarray, min_areas: tuple[int, ...]
) -> np.ndarray:
    """int8 [nms, min_areas, len(masks)]: as `photo_levels`, for one category and one mask threshold.

    `kept` is bool [nms, len(masks)]. Most masks touch no other of their category, and one look at the truths does
    for all settings; only where masks overlap do the settings decide who owns the pixels.
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
        taken: set[int] = set()
        for row in contested:
            if not kept[nms, row]:
                continue
            key = (row, *(other for other in earlier[row] if other in taken))
            if key not in known:
                rest = minus(masks[row], [masks[other] for other in key[1:]])
                known[key] = rest.area, int(_best_levels([rest], truths)[0])
            rest_area, level = known[key]
            if rest_area >= max(min_areas[area], 1):
                taken.add(row)
                levels[nms, area, row] = level
            else:
                levels[nms, area, row] = DROPPED
    return levels


def _best_levels(masks: list[BitMask], truths: list[BitMask]) -> np.ndarray:
    """int64 [len(masks)]: IoU thresholds passed with the truth that fits best."""
    overlaps = intersections(masks, truths)
    areas = np.array([mask.area for mask in masks], np.int64)
    truth_areas = np.array([truth.area for truth in truths], np.int64)
    return iou_levels(overlaps, areas, truth_areas).max(axis=1, initial=0)


@dataclass(frozen=True)
class _Groups:
    """Pairs of photo and category that hold a detection or a truth: G of them, by photo.

    Attributes:
        of_detection: int64 [N], the group of each detection.
        present: int64 [G], truths.
        photo: int64 [G].
    """

    num_photos: int
    of_detection: np.ndarray
    present: np.ndarray
    photo: np.ndarray

    @classmethod
    def of(cls, photos: Sequence[Photo]) -> _Groups:
        base = 1 << 16  # above any category
        parts = [
            place * base + np.concatenate([detections.categories, truths.categories]).astype(np.int64)
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
            photo=keys // base,
        )

    def photo_scores(self, levels: np.ndarray, bins: np.ndarray, num_scores: int) -> np.ndarray:
        """float64 [num_scores, P] from the levels [N] of one setting.

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
        return self._mean_over_groups(total / NUM_THRESHOLDS, objects > 0)

    def _mean_over_groups(self, scores: np.ndarray, is_active: np.ndarray) -> np.ndarray:
        """float64 [S, P] from [G, S]: mean over the active groups of each photo; 1 where there is none."""
        result = np.ones((scores.shape[1], self.num_photos))
        if len(self.photo) == 0:
            return result
        starts = np.flatnonzero(np.diff(self.photo, prepend=-1))
        sums = np.add.reduceat(scores, starts, axis=0)
        counts = np.add.reduceat(is_active.astype(np.int64), starts, axis=0)
        result[:, self.photo[starts]] = np.where(counts > 0, sums / np.maximum(counts, 1), 1.0).T
        return result
