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
from fashionseg.detections.paste import Taps, find_taps, interpolate
from fashionseg.detections.photos import Photo
from fashionseg.parallel import map_photos

MASK_THRESHOLD = 0.5
_SIZES = ("small", "medium", "large")  # hotcoco's area ranges after `all`
_MAX_DETECTIONS = -1  # the last of hotcoco's limits: 100


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
    masks = map_photos(_encode_photos, photos, "COCO masks")
    places = np.arange(1, len(photos) + 1)
    images = [{"id": int(place), "height": SIDE, "width": SIDE} for place in places]
    truths = COCO.from_arrays(
        images,
        [{"id": category, "name": name} for category, name in enumerate(category_names)],
        np.repeat(places, [len(truths) for _, truths in photos]),
        _join(np.int64, [truths.categories for _, truths in photos]),
        _join(np.float64, [its.truth_boxes for its in masks]).reshape(-1, 4),
        area=_join(np.float64, [its.truth_areas for its in masks]),
        segmentation=[_segmentation(text) for its in masks for text in its.truths],
    )
    counts = [len(detections) for detections, _ in photos]
    boxes = _join(np.float64, [detections.boxes_norm for detections, _ in photos]).reshape(-1, 4) * SIDE
    rows = np.column_stack(
        [
            np.repeat(places, counts),
            boxes[:, 1::-1],
            boxes[:, 3:1:-1] - boxes[:, 1::-1],
            _join(np.float64, [detections.scores for detections, _ in photos]),
            _join(np.float64, [detections.categories for detections, _ in photos]),
        ]
    )
    found = {"box": truths.load_res(rows)}
    found["mask"] = truths.load_res(
        rows, segmentation=[_segmentation(text) for its in masks for text in its.detections]
    )
    # COCO takes the area of a detected mask from its pixels, not from its box.
    found["mask"].update_anns(
        ids=np.arange(1, len(rows) + 1), area=_join(np.float64, [its.areas for its in masks])
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


@dataclass(frozen=True, eq=False)
class _PhotoMasks:
    """COCO's compressed run lengths of the masks of one photo, areas in pixels, truth boxes x, y, width, height."""

    detections: list[str]
    areas: list[int]
    truths: list[str]
    truth_areas: list[int]
    truth_boxes: np.ndarray


def _encode_photos(photos: list[Photo]) -> list[_PhotoMasks]:
    return [_encode(photo) for photo in photos]


def _encode(photo: Photo) -> _PhotoMasks:
    detections, truths = photo
    taps = find_taps(detections.boxes_norm, FRAME, detections.mask_probs.shape[1])
    edges = [_mask_edges(probs, taps, row) for row, probs in enumerate(detections.mask_probs)]
    boxes = np.array([runs_box(runs, SIDE) for runs in truths.runs], np.float64).reshape(-1, 4)
    return _PhotoMasks(
        detections=[_compress(its) for its in edges],
        areas=[int((its[1::2] - its[::2]).sum()) for its in edges],
        truths=[_compress(_run_edges(runs)) for runs in truths.runs],
        truth_areas=[runs_area(runs) for runs in truths.runs],
        truth_boxes=np.column_stack([boxes[:, 1::-1], boxes[:, 3:1:-1] - boxes[:, 1::-1]]),
    )


def _mask_edges(mask_probs: np.ndarray, taps: Taps, box: int) -> np.ndarray:
    """int64 [2n]: where the runs of a pasted mask start and end, column-major in the frame."""
    pasted = interpolate(mask_probs, taps, box)
    width, height = pasted.shape
    top, left = taps.first[:, box].tolist()
    # One pixel before the mask and an empty row below it: every run starts and ends, and ends in its own column.
    line = np.zeros(1 + width * (height + 1), np.bool_)
    inside = line[1:].reshape(width, height + 1)[:, :height]
    np.greater_equal(pasted, np.float32(255.0 * MASK_THRESHOLD), out=inside)
    edges = np.flatnonzero(line[1:] != line[:-1])
    column, row = np.divmod(edges, height + 1)
    edges = column * SIDE + (row + (left * SIDE + top))
    if height < SIDE:
        return edges
    touching = np.flatnonzero(edges[1:-1:2] == edges[2::2])
    return np.delete(edges, np.concatenate([2 * touching + 1, 2 * touching + 2]))


def _run_edges(runs: Runs) -> np.ndarray:
    edges = runs.astype(np.int64)
    edges[:, 1] += edges[:, 0]
    return edges.ravel()


def _compress(edges: np.ndarray) -> str:
    counts = np.append(edges, SIDE * SIDE)
    counts[1:] -= edges
    return rle_to_string({"size": FRAME, "counts": counts.tolist()})


def _segmentation(text: str) -> dict[str, object]:
    return {"size": list(FRAME), "counts": text}


def _join(dtype: type, parts: Sequence[Sequence[float] | np.ndarray]) -> np.ndarray:
    """The values of all photos, [..]; empty without photos."""
    return np.concatenate([np.zeros(0, dtype), *(np.asarray(part, dtype).ravel() for part in parts)])


def _mean(precision: np.ndarray) -> float | None:
    """Mean over the categories with truths; the others have -1."""
    counted = precision[precision > -1]
    return float(counted.mean()) if counted.size else None
