"""COCO average precision of boxes and masks in the 512 x 512 competition frame.

Overlaps come from packed masks, in all cores; matching and accumulation are faster-coco-eval's. Masks are binarised
at 0.5 as is usual, not at the calibrated threshold, so figures of different runs compare. Nothing is suppressed or
claimed: all stored detections take part, up to 100 of a category in a photo.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from faster_coco_eval import COCO
from faster_coco_eval.core.faster_eval_api import COCOeval_faster

from fashionseg.data.rle import parse_rle, runs_box
from fashionseg.evaluation.bit_masks import FRAME, SIDE, from_runs, intersections
from fashionseg.evaluation.instances import box_ious
from fashionseg.evaluation.parallel import map_photos
from fashionseg.evaluation.paste import paste_bits
from fashionseg.evaluation.photos import Photo

MASK_THRESHOLD = 0.5


@dataclass(frozen=True)
class PhotoOverlaps:
    """What COCO AP needs of one photo.

    Attributes:
        boxes, truth_boxes: float64 [D, 4] and [T, 4], y1, x1, y2, x2 in pixels of the frame, half-open.
        areas, truth_areas: int64 [D] and [T], pixels of the masks.
        mask_ious: by category, float64 [D of it, T of it].
    """

    boxes: np.ndarray
    truth_boxes: np.ndarray
    areas: np.ndarray
    truth_areas: np.ndarray
    mask_ious: dict[int, np.ndarray]


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
    """Keys `box` and `mask`."""
    overlaps = map_photos(_overlaps_of_photos, photos, "COCO overlaps")
    return {
        kind: _average_precision(photos, overlaps, num_categories, kind == "mask") for kind in ("box", "mask")
    }


def _overlaps_of_photos(photos: list[Photo]) -> list[PhotoOverlaps]:
    return [_overlaps(photo) for photo in photos]


def _overlaps(photo: Photo) -> PhotoOverlaps:
    detections, truths = photo
    runs = [parse_rle(text, *FRAME) for text in truths.rles]
    truth_masks = [from_runs(its) for its in runs]
    masks = [
        paste_bits(probs, box, (MASK_THRESHOLD,))[0]
        for probs, box in zip(detections.mask_probs, detections.boxes_norm, strict=True)
    ]
    areas = np.array([mask.area for mask in masks], np.int64)
    truth_areas = np.array([mask.area for mask in truth_masks], np.int64)
    mask_ious = {}
    for category in np.intersect1d(detections.categories, truths.categories).tolist():
        mine = np.flatnonzero(detections.categories == category)
        theirs = np.flatnonzero(truths.categories == category)
        shared = intersections([masks[row] for row in mine], [truth_masks[row] for row in theirs])
        unions = areas[mine][:, None] + truth_areas[theirs][None, :] - shared
        mask_ious[category] = shared / unions
    return PhotoOverlaps(
        boxes=detections.boxes_norm.astype(np.float64) * SIDE,
        truth_boxes=np.array([runs_box(its, SIDE) for its in runs], np.float64).reshape(-1, 4),
        areas=areas,
        truth_areas=truth_areas,
        mask_ious=mask_ious,
    )


def _average_precision(
    photos: Sequence[Photo], overlaps: list[PhotoOverlaps], num_categories: int, is_mask: bool
) -> AveragePrecision:
    found, present = [], []
    ious = {}
    for place, ((detections, truths), of_photo) in enumerate(zip(photos, overlaps, strict=True)):
        image_id = place + 1
        found += _annotations(
            image_id,
            detections.categories,
            of_photo.boxes,
            of_photo.areas if is_mask else None,
            detections.scores,
        )
        present += _annotations(image_id, truths.categories, of_photo.truth_boxes, of_photo.truth_areas)
        for category, mask_ious in of_photo.mask_ious.items():
            if not is_mask:
                boxes = of_photo.boxes[detections.categories == category]
                mask_ious = box_ious(boxes, of_photo.truth_boxes[truths.categories == category])
            ious[image_id, category] = mask_ious
    evaluator = _Evaluator(
        _coco(len(photos), num_categories, present), _coco(len(photos), num_categories, found)
    )
    evaluator.known_ious = ious
    evaluator.evaluate()
    evaluator.accumulate()
    return _summarise(evaluator)


class _Evaluator(COCOeval_faster):
    """faster-coco-eval with the overlaps computed beforehand; `known_ious` by (image, category)."""

    known_ious: dict[tuple[int, int], np.ndarray]

    def __init__(self, truths: COCO, detections: COCO) -> None:
        # "bbox" only stops it from making run-length masks of its own.
        super().__init__(truths, detections, "bbox")

    def computeIoU(self, imgId: int, catId: int) -> list[list[float]]:
        # It sorts detections by falling score, stable, and keeps the first 100; ours are stored in that order.
        ious = self.known_ious.get((imgId, catId))
        return [] if ious is None else ious[: self.params.maxDets[-1]].tolist()


def _annotations(
    image_id: int,
    categories: np.ndarray,
    boxes: np.ndarray,
    areas: np.ndarray | None,
    scores: np.ndarray | None = None,
) -> list[dict]:
    """COCO annotations of one photo; without `areas` that of the box counts."""
    sizes = boxes[:, 2:] - boxes[:, :2]
    areas = sizes.prod(axis=1) if areas is None else areas
    rows = [
        {"image_id": image_id, "category_id": category, "area": area, "bbox": box, "iscrowd": 0}
        for category, area, box in zip(
            categories.tolist(), areas.tolist(), boxes[:, [1, 0, 3, 2]].tolist(), strict=True
        )
    ]
    if scores is not None:
        for row, score in zip(rows, scores.tolist(), strict=True):
            row["score"] = score
    return rows


def _coco(num_photos: int, num_categories: int, annotations: list[dict]) -> COCO:
    for number, annotation in enumerate(annotations, start=1):
        annotation["id"] = number
    return COCO(
        {
            "images": [{"id": number, "height": SIDE, "width": SIDE} for number in range(1, num_photos + 1)],
            "annotations": annotations,
            "categories": [{"id": category, "name": str(category)} for category in range(num_categories)],
        }
    )


def _summarise(evaluator: _Evaluator) -> AveragePrecision:
    precision = np.asarray(evaluator.eval["precision"])[..., -1]  # [IoU, recall, category, area range]
    areas = {label: place for place, label in enumerate(evaluator.params.areaRngLbl)}
    every = precision[..., areas["all"]]
    summary = {"ap": _mean(every), "ap50": _mean(every[0]), "ap75": _mean(every[5])}
    summary |= {f"ap_{label}": _mean(precision[..., areas[label]]) for label in ("small", "medium", "large")}
    of_category = [
        {"ap": _mean(every[:, :, category]), "ap50": _mean(every[0, :, category])}
        for category in range(every.shape[2])
    ]
    return AveragePrecision(summary, of_category, every[0])


def _mean(precision: np.ndarray) -> float | None:
    """COCO marks categories without truths by -1."""
    counted = precision[precision > -1]
    return float(counted.mean()) if counted.size else None
