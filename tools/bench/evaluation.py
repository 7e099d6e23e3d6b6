"""The competition's score, COCO AP compared with pycocotools, calibration, and a submission."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from fashionseg.data.rle import runs_box, runs_to_mask
from fashionseg.detections.bit_masks import FRAME, SIDE, to_runs
from fashionseg.detections.instances import Thresholds
from fashionseg.detections.paste import find_taps, paste_bits
from fashionseg.detections.photos import Photo
from fashionseg.metrics.calibration import assign_folds, calibrate
from fashionseg.metrics.coco import AveragePrecision, average_precision, evaluate_coco
from fashionseg.metrics.competition import competition_scores, match_table
from fashionseg.metrics.grid_levels import Grid
from fashionseg.metrics.outcomes import judge_photos
from fashionseg.submission.check import check_submission
from fashionseg.submission.write import write_submission
from tools.bench.inputs import NUM_CATEGORIES, make_photos_to_score
from tools.bench.rows import Bench, Row
from tools.bench.timing import in_turns

_ALL = 9000
_THRESHOLDS = Thresholds(0.3, 0.5, 0.5, 50)


def measure_evaluation(bench: Bench) -> list[Row]:
    """Scores, COCO AP and calibration: at two sizes, extrapolated linearly to 9,000 photos, or on all of them."""
    small, large = bench.count(600, 6), bench.count(2400, 12)
    sizes = (small, _ALL) if bench.full else (small, large)
    photos = {size: make_photos_to_score(size)[0] for size in sizes}

    def of_all(function: Callable[[list[Photo]], object]) -> float:
        """Seconds for 9,000 photos."""
        seconds = {
            size: in_turns({"": partial(function, photos[size])}, 1, warm_up=False)[""][0] for size in sizes
        }
        slope = (seconds[sizes[1]] - seconds[small]) / (sizes[1] - small)
        return seconds[sizes[1]] + slope * (_ALL - sizes[1])

    on = f"{_ALL:,} photos" + ("" if bench.full else f", from {small} and {large:,}")
    score, coco = of_all(_competition_score), of_all(average_precisions)
    theirs, their_seconds, their_preparation = pycocotools_on(photos[small])
    check_equal(average_precisions(photos[small]), theirs)
    times = _ALL / small
    settings = bench.params.evaluate
    grid = Grid(
        tuple(settings.score_thresholds),
        tuple(settings.nms_thresholds),
        tuple(settings.mask_thresholds),
        tuple(settings.min_areas),
    )
    calibration = of_all(
        lambda photos: calibrate(photos, grid, assign_folds(np.arange(len(photos)), settings.folds))
    )
    note = f"competition score {score:.1f} s, COCO box and mask AP {coco:.1f} s"
    theirs_in_all = (their_seconds + their_preparation) * times
    their_note = (
        f"by hotcoco; both from boxes and small masks; pycocotools {theirs_in_all:.0f} s, "
        f"{small} photos times {times:.3g}, "
        f"{their_preparation * times:.0f} s of it full-size masks and their encoding; AP equal"
    )
    return [
        Row("evaluation", on, score + coco, "s", 60.0, note=note),
        Row("COCO AP, against pycocotools", on, theirs_in_all / coco, "x", 5.0, False, their_note),
        Row("calibration", f"{on}; {len(grid.combinations())} combinations", calibration, "s", 180.0),
    ]


def _competition_score(photos: list[Photo]) -> dict[str, float]:
    outcomes = judge_photos(photos, [_THRESHOLDS] * len(photos), _THRESHOLDS)
    return competition_scores(match_table([outcome.final for outcome in outcomes]))


def average_precisions(photos: list[Photo]) -> dict[str, AveragePrecision]:
    evaluators = evaluate_coco(photos, [str(category) for category in range(NUM_CATEGORIES)])
    return {kind: average_precision(evaluator) for kind, evaluator in evaluators.items()}


def measure_submission(bench: Bench) -> list[Row]:
    """Overlap removal, run-length text, csv and its check.

    Raises:
        AssertionError: the file is not valid.
    """
    num_photos = bench.count(3200, 6)
    _, detections = make_photos_to_score(num_photos, seed=1)
    path = bench.work / "submission.csv"
    start = time.perf_counter()
    count, _ = write_submission(detections, Thresholds(0.0, 0.9, 0.5, 1), detections.photos, path)
    written = time.perf_counter() - start
    assert check_submission(path, detections.photos) == []
    seconds = time.perf_counter() - start
    note = f"{count:,} objects; {seconds - written:.1f} s of it the check"
    return [Row("submission", f"{num_photos:,} photos, 20 detections each", seconds, "s", 60.0, note=note)]


def pycocotools_on(photos: Sequence[Photo]) -> tuple[dict[str, list[float]], float, float]:
    """pycocotools on the same photos: AP by kind and size, its seconds, and the seconds of preparing its masks."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    start = time.perf_counter()
    truths, found = _annotations(photos)
    images = [{"id": place + 1, "height": SIDE, "width": SIDE} for place in range(len(photos))]
    categories = [{"id": category, "name": str(category)} for category in range(NUM_CATEGORIES)]
    ready = time.perf_counter()
    results: dict[str, list[float]] = {}
    with contextlib.redirect_stdout(io.StringIO()):
        for kind, coco_kind in (("box", "bbox"), ("mask", "segm")):
            ground, detected = COCO(), COCO()
            # As `loadRes` does: the area of a box, the pixels of a mask.
            for coco, rows in (
                (ground, truths),
                (detected, [{**row, "area": row[f"{kind}_area"]} for row in found]),
            ):
                coco.dataset = {"images": images, "annotations": rows, "categories": categories}
                coco.createIndex()
            evaluator = COCOeval(ground, detected, coco_kind)
            evaluator.evaluate()
            evaluator.accumulate()
            evaluator.summarize()
            results[kind] = [float(value) for value in evaluator.stats[:6]]
    return results, time.perf_counter() - ready, ready - start


def _annotations(photos: Sequence[Photo]) -> tuple[list[dict], list[dict]]:
    """Ground truth and detections with compressed run lengths and boxes [x, y, w, h]."""
    from pycocotools import mask as coco_mask

    def encode(raster: np.ndarray) -> dict:
        return coco_mask.encode(np.asfortranarray(raster, dtype=np.uint8))

    truths: list[dict] = []
    found: list[dict] = []
    for place, (detections, objects) in enumerate(photos, start=1):
        for category, runs in zip(objects.categories.tolist(), objects.runs, strict=True):
            y1, x1, y2, x2 = runs_box(runs, SIDE)
            segmentation = encode(runs_to_mask(runs, FRAME))
            row = {"image_id": place, "category_id": category, "iscrowd": 0, "id": len(truths) + 1}
            row |= {"segmentation": segmentation, "bbox": [x1, y1, x2 - x1, y2 - y1]}
            truths.append(row | {"area": float(coco_mask.area(segmentation))})
        columns = zip(
            detections.categories.tolist(),
            detections.scores.tolist(),
            detections.boxes_norm.astype(np.float64) * SIDE,
            detections.mask_probs,
            strict=True,
        )
        taps = find_taps(detections.boxes_norm, FRAME, detections.mask_probs.shape[1])
        for box, (category, score, (y1, x1, y2, x2), probs) in enumerate(columns):
            segmentation = encode(runs_to_mask(to_runs(paste_bits(probs, taps, box, (0.5,))[0]), FRAME))
            row = {"image_id": place, "category_id": category, "iscrowd": 0, "id": len(found) + 1}
            row |= {"score": score, "segmentation": segmentation, "bbox": [x1, y1, x2 - x1, y2 - y1]}
            row |= {"box_area": (x2 - x1) * (y2 - y1), "mask_area": float(coco_mask.area(segmentation))}
            found.append(row)
    return truths, found


def check_equal(ours: dict[str, AveragePrecision], theirs: dict[str, list[float]]) -> None:
    """Compares AP over all IoU thresholds, at 0.50 and 0.75, and of small, medium and large objects.

    Raises:
        AssertionError: they differ.
    """
    keys = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
    for kind, values in theirs.items():
        mine = [-1.0 if (value := ours[kind].summary[key]) is None else value for key in keys]
        assert np.allclose(mine, values, atol=1e-6), f"{kind}: {mine} and pycocotools' {values}"
