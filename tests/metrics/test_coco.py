"""COCO AP against pycocotools, which gets its masks as plain arrays."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fashionseg.data.rle import parse_rle, runs_to_mask
from fashionseg.detections.bit_masks import to_runs
from fashionseg.detections.paste import find_taps, paste_bits
from fashionseg.detections.photos import PhotoDetections, PhotoTruths
from fashionseg.metrics.coco import coco_average_precision

KEYS = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")


def reference(photos, kind):
    """The first six figures of pycocotools' summary."""
    images, truths, found = [], [], []
    for number, (detections, its) in enumerate(photos, start=1):
        images.append({"id": number, "height": 512, "width": 512})
        for category, text in zip(its.categories.tolist(), its.rles, strict=True):
            code = coco_mask.encode(
                np.asfortranarray(runs_to_mask(parse_rle(text, 512, 512), (512, 512)), np.uint8)
            )
            truths.append(
                {
                    "id": len(truths) + 1,
                    "image_id": number,
                    "category_id": category,
                    "segmentation": code,
                    "area": int(coco_mask.area(code)),
                    "bbox": coco_mask.toBbox(code).tolist(),
                    "iscrowd": 0,
                }
            )
        taps = find_taps(detections.boxes_norm, (512, 512), 28)
        for row in range(len(detections)):
            (bits,) = paste_bits(detections.mask_probs[row], taps, row, (0.5,))
            mask = runs_to_mask(to_runs(bits), (512, 512))
            y1, x1, y2, x2 = (detections.boxes_norm[row].astype(float) * 512).tolist()
            result = {
                "image_id": number,
                "category_id": int(detections.categories[row]),
                "score": float(detections.scores[row]),
            }
            if kind == "segm":
                result["segmentation"] = coco_mask.encode(np.asfortranarray(mask, np.uint8))
            else:
                result["bbox"] = [x1, y1, x2 - x1, y2 - y1]
            found.append(result)
    categories = [{"id": number, "name": str(number)} for number in range(5)]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {"images": images, "annotations": truths, "categories": categories, "info": {}}
        coco.createIndex()
        evaluator = COCOeval(coco, coco.loadRes(found), kind)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return evaluator


@pytest.mark.parametrize(("kind", "name"), [("segm", "mask"), ("bbox", "box")])
def test_our_figures_are_those_of_pycocotools(photos, kind, name):
    ours = coco_average_precision(photos, num_categories=5)[name]
    theirs = reference(photos, kind)
    assert [ours.summary[key] for key in KEYS] == pytest.approx(theirs.stats[:6].tolist(), abs=1e-12)
    assert 0.05 < theirs.stats[1] < 0.95  # the comparison is about something
    np.testing.assert_allclose(ours.precision50, theirs.eval["precision"][0, :, :, 0, 2], rtol=0, atol=1e-12)
    for category in range(3):
        its = theirs.eval["precision"][:, :, category, 0, 2]
        assert ours.of_category[category]["ap"] == pytest.approx(its.mean(), abs=1e-12)
        assert ours.of_category[category]["ap50"] == pytest.approx(its[0].mean(), abs=1e-12)
    assert ours.of_category[4]["ap"] is None  # no truth


def test_no_truth_at_all_has_no_ap(photos):
    found = coco_average_precision([photos[1], photos[3]], num_categories=5)
    assert found["mask"].summary == dict.fromkeys(KEYS)


def test_no_photo_at_all_has_no_ap():
    found = coco_average_precision([], num_categories=5)
    assert found["box"].summary == found["mask"].summary == dict.fromkeys(KEYS)


def test_no_detection_at_all_is_zero(photos):
    nothing = PhotoDetections(
        np.zeros(0, np.int16),
        np.zeros(0, np.float32),
        np.zeros((0, 4), np.float32),
        np.zeros((0, 28, 28), np.uint8),
    )
    found = coco_average_precision([(nothing, photos[0][1])], num_categories=5)
    assert found["mask"].summary["ap"] == 0.0
    assert found["box"].summary["ap50"] == 0.0


def test_a_perfect_box_and_mask_have_ap_one(rectangle):
    from fashionseg.data.rle import format_rle, mask_to_runs

    truths = PhotoTruths(
        np.array([2], np.int16), ("2",), (format_rle(mask_to_runs(rectangle(100, 50, 300, 250))),)
    )
    detections = PhotoDetections(
        np.array([2], np.int16),
        np.array([0.6], np.float32),
        np.array([[100, 50, 300, 250]], np.float32) / 512,
        np.full((1, 28, 28), 255, np.uint8),
    )
    found = coco_average_precision([(detections, truths)], num_categories=5)
    # Not 1 to the last digit: precision is divided by a tiny number more than there are detections, as in pycocotools.
    for kind in ("mask", "box"):
        assert found[kind].summary["ap"] == pytest.approx(1.0, abs=1e-12)
        assert found[kind].summary["ap_large"] == pytest.approx(1.0, abs=1e-12)
    assert found["mask"].summary["ap_small"] is None
