"""IoU levels of every detection of a photo under every setting of the calibration's grid.

Each detection is pasted once for each mask threshold. What NMS, the removal of shared pixels and the minimum area do to
it is worked out for all settings together; score thresholds need no pass of their own, because the instances at a
higher score are the first instances at a lower one (`fashionseg.detections.instances`).

Letters: D detections and T truths of the photo; C combinations of the grid, L of them of the two NMS thresholds alone.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fashionseg.detections.bit_masks import FRAME, BitMask, intersections, minus
from fashionseg.detections.instances import Thresholds, rows_by_category, suppress
from fashionseg.detections.paste import find_taps, paste_bits
from fashionseg.detections.photos import Photo, PhotoTruths
from fashionseg.metrics.competition import Label, compare_masks
from fashionseg.taxonomy import format_class_id

DROPPED = -1
_FIRST_OTHER = 1 << 15  # labels from here on are ClassIds with attributes; below they are categories
NUM_LABELS = 1 << 16


@dataclass(frozen=True)
class Grid:
    """The searched values, each ascending, and the ids of the categories that `garment_nms` compares."""

    scores: tuple[float, ...]
    nms: tuple[float, ...]
    masks: tuple[float, ...]
    min_areas: tuple[int, ...]
    garment_nms: tuple[float, ...] = (1.0,)
    garments: tuple[int, ...] = ()

    @property
    def limits(self) -> list[tuple[float, float]]:
        """[L] pairs of NMS and garment NMS threshold."""
        return list(itertools.product(self.nms, self.garment_nms))

    def combinations(self) -> list[Thresholds]:
        """All C combinations, in the order of the rows of `grid_scores`."""
        return [
            Thresholds(
                score=score,
                nms=nms,
                mask=mask,
                min_area=min_area,
                garment_nms=garment_nms,
                garments=self.garments if garment_nms < 1.0 else (),
            )
            for mask, (nms, garment_nms), min_area, score in itertools.product(
                self.masks, self.limits, self.min_areas, self.scores
            )
        ]


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


def photo_levels(photo: Photo, grid: Grid, label: Label) -> np.ndarray:
    """int8 [masks, L, min_areas, D]: IoU thresholds passed with the best truth of the label, or DROPPED.

    Instances of a category share no pixel and matches need IoU > 0.5, so a truth has one candidate at most and
    the number of instances with a level above k is the number of true positives at threshold k.
    """
    detections, truths = photo
    limits = grid.limits
    levels = np.full((len(grid.masks), len(limits), len(grid.min_areas), len(detections)), DROPPED, np.int8)
    kept = suppress(detections.categories, detections.boxes_norm, limits, grid.garments)
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
    """int8 [L, min_areas, len(masks)]: as `photo_levels`, for one category and one mask threshold.

    `kept` is bool [L, len(masks)]. Most masks touch no other mask of their category, and one comparison with the
    truths serves all settings; only where masks overlap do the settings decide which mask gets the pixels.
    """
    areas = np.array([mask.area for mask in masks])
    large_enough = areas[None, None, :] >= np.maximum(min_areas, 1)[None, :, None]
    best = _best_levels(masks, truths)
    levels = np.where(kept[:, None, :] & large_enough, best[None, None, :], DROPPED).astype(np.int8)
    if len(masks) == 1:
        return levels
    overlapping = np.triu(intersections(masks, masks), 1) > 0
    contested = np.flatnonzero(overlapping.any(axis=0) | overlapping.any(axis=1)).tolist()
    earlier = {row: np.flatnonzero(overlapping[:, row]).tolist() for row in contested}
    known: dict[tuple[int, ...], tuple[int, int]] = {}
    for limit, area in itertools.product(range(len(kept)), range(len(min_areas))):
        claimed: set[int] = set()
        for row in contested:
            if not kept[limit, row]:
                continue
            key = (row, *(other for other in earlier[row] if other in claimed))
            if key not in known:
                rest = minus(masks[row], [masks[other] for other in key[1:]])
                known[key] = rest.area, int(_best_levels([rest], truths)[0])
            rest_area, level = known[key]
            is_kept = rest_area >= max(min_areas[area], 1)
            levels[limit, area, row] = level if is_kept else DROPPED
            if is_kept:
                claimed.add(row)
    return levels


def _best_levels(masks: list[BitMask], truths: list[BitMask]) -> np.ndarray:
    """int64 [len(masks)]: IoU thresholds passed with the best truth."""
    levels, _ = compare_masks(masks, truths)
    return levels.max(axis=1, initial=0)
