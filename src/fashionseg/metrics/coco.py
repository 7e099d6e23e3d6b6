"""COCO average precision of boxes and masks in the 512 x 512 competition frame, computed by hotcoco.

Masks are binarised at 0.5, the usual choice, not at the calibrated threshold, so figures of different runs compare.
All stored detections take part, up to 100 per category and photo; nothing is suppressed and masks may overlap. The
figures are those of pycocotools to the last bit (tests/metrics/test_coco.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hotcoco import COCO, COCOeval
from hotcoco.mask import rle_to_string

from fashionseg.data.rle import Runs, runs_area, runs_box
from fashionseg.detections.bit_masks import FRAME, SIDE
from fashionseg.detections.paste import find_taps, paste_box_runs
from fashionseg.detections.photos import Photo
from fashionseg.parallel import map_photos

MASK_THRESHOLD = 0.5
_SIZES = ("small", "medium", "large")  # hotcoco's area ranges after `all`
_MAX_DETECTIONS = -1  # the last of hotcoco's limits: 100

_Mask = tuple[str, int]  # COCO's compressed run lengths, and the area in pixels


@dataclass(frozen=True)
class AveragePrecision:
    """AP of boxes or of masks; None where there is no truth to find.

    Attributes:
        summary: keys ap, ap50, ap75, ap_small, ap_medium, ap_large.
        of_category: ap and ap50 of each category.
        precision50: float64 [101, K], precision at recall 0.00, 0.01, ..., 1.00 and IoU 0.50; -1 without truths.
    """

    summary: dict[str, float | None]
    of_category: list[dict[str, float | None]]
    precision50: np.ndarray


def evaluate_coco(photos: Sequence[Photo], category_names: Sequence[str]) -> dict[str, COCOeval]:
    """hotcoco's evaluators by kind, `box` and `mask`.

    Image, detection and truth ids count from 1 in the order of `photos`; category ids are the places in
    `category_names`.
    """
    encoded = map_photos(_encode_photo, photos, "COCO masks")
    found_masks = [mask for found, _, _ in encoded for mask in found]
    truth_masks = [mask for _, truths, _ in encoded for mask in truths]
    truth_boxes = np.array([box for _, _, boxes in encoded for box in boxes], np.float64).reshape(-1, 4)
    places = np.arange(1, len(photos) + 1)
    images = [{"id": int(place), "height": SIDE, "width": SIDE} for place in places]
    truths = COCO.from_arrays(
        images,
        [{"id": category, "name": name} for category, name in enumerate(category_names)],
        np.repeat(places, [len(truths) for _, truths in photos]),
        _join(np.int64, [truths.categories for _, truths in photos]),
        _boxes_xywh(truth_boxes),
        area=np.array([area for _, area in truth_masks], np.float64),
        segmentation=[_segmentation(text) for text, _ in truth_masks],
    )
    counts = [len(detections) for detections, _ in photos]
    boxes = _join(np.float64, [detections.boxes_norm for detections, _ in photos]).reshape(-1, 4) * SIDE
    rows = np.column_stack(
        [
            np.repeat(places, counts),
            _boxes_xywh(boxes),
            _join(np.float64, [detections.scores for detections, _ in photos]),
            _join(np.float64, [detections.categories for detections, _ in photos]),
        ]
    )
    found = {"box": truths.load_res(rows)}
    found["mask"] = truths.load_res(rows, segmentation=[_segmentation(text) for text, _ in found_masks])
    # COCO takes the area of a detected mask from its pixels, not from its box.
    found["mask"].update_anns(
        ids=np.arange(1, len(rows) + 1), area=np.array([area for _, area in found_masks], np.float64)
    )
    evaluators = {}
    for kind, iou_type in (("box", "bbox"), ("mask", "segm")):
        evaluators[kind] = COCOeval(truths, found[kind], iou_type)
        evaluators[kind].evaluate()
        evaluators[kind].accumulate()
    return evaluators


def average_precision(evaluator: COCOeval) -> AveragePrecision:
    """The figures of COCO's summary, and those of each category."""
    assert evaluator.eval is not None, "accumulate() has run"
    # [thresholds, recalls, K, area ranges]
    precision = evaluator.eval["precision"][..., _MAX_DETECTIONS]
    every = precision[..., 0]
    summary = {"ap": _mean(every), "ap50": _mean(every[0]), "ap75": _mean(every[5])}
    summary |= {f"ap_{size}": _mean(precision[..., place]) for place, size in enumerate(_SIZES, 1)}
    of_category = [
        {"ap": _mean(every[:, :, category]), "ap50": _mean(every[0, :, category])}
        for category in range(every.shape[2])
    ]
    return AveragePrecision(summary, of_category, every[0])


def _encode_photo(photo: Photo) -> tuple[list[_Mask], list[_Mask], list[tuple[int, int, int, int]]]:
    """Detections, truths, and the boxes y1, x1, y2, x2 of the truths in pixels."""
    detections, truths = photo
    taps = find_taps(detections.boxes_norm, FRAME, detections.mask_probs.shape[1])
    found = (
        paste_box_runs(probs, taps, row, SIDE, MASK_THRESHOLD)
        for row, probs in enumerate(detections.mask_probs)
    )
    return (
        [(_compress(runs), runs_area(runs)) for runs in found],
        [(_compress(runs), runs_area(runs)) for runs in truths.runs],
        [runs_box(runs, SIDE) for runs in truths.runs],
    )


def _boxes_xywh(boxes: np.ndarray) -> np.ndarray:
    return np.column_stack([boxes[:, 1::-1], boxes[:, 3:1:-1] - boxes[:, 1::-1]])


def _compress(runs: Runs) -> str:
    """COCO's text: lengths of the runs outside and inside the mask in turn."""
    counts = np.append(runs, SIDE * SIDE)
    ends = runs[:, 0] + runs[:, 1]
    counts[2::2] -= ends
    return rle_to_string({"size": FRAME, "counts": counts.tolist()})


def _segmentation(text: str) -> dict[str, object]:
    return {"size": list(FRAME), "counts": text}


def _join(dtype: type, parts: Sequence[np.ndarray]) -> np.ndarray:
    """The values of all photos, flat; empty without photos."""
    return np.concatenate([np.zeros(0, dtype), *(part.ravel() for part in parts)], dtype=dtype)


def _mean(precision: np.ndarray) -> float | None:
    """Mean over the categories with truths; the others have -1."""
    counted = precision[precision > -1]
    return float(counted.mean()) if counted.size else None
