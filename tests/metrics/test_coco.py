"""COCO AP compared with pycocotools, which gets whole masks as plain arrays, and with cases worked out by hand."""

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fashionseg.data.rle import mask_to_runs, runs_to_mask
from fashionseg.detections.bit_masks import to_runs
from fashionseg.detections.paste import find_taps, paste_bits
from fashionseg.detections.photos import PhotoDetections, PhotoTruths
from fashionseg.metrics.coco import average_precision, evaluate_coco

KEYS = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
NAMES = [f"category {number}" for number in range(5)]
FRAME = (512, 512)


def score(photos):
    return {kind: average_precision(its) for kind, its in evaluate_coco(photos, NAMES).items()}


def photo(found, truths, probability=255):
    """A photo of `found`, (category, score, box in pixels) each, and `truths`, (category, box); masks fill boxes."""
    found = sorted(found, key=lambda row: -row[1])
    detections = PhotoDetections(
        np.array([category for category, _, _ in found], np.int16),
        np.array([score for _, score, _ in found], np.float32),
        np.array([box for _, _, box in found], np.float32).reshape(-1, 4) / 512,
        np.full((len(found), 28, 28), probability, np.uint8),
    )
    runs = []
    for _, (y1, x1, y2, x2) in truths:
        mask = np.zeros(FRAME, bool)
        mask[y1:y2, x1:x2] = True
        runs.append(mask_to_runs(mask))
    categories = np.array([category for category, _ in truths], np.int16)
    return detections, PhotoTruths(categories, ("",) * len(runs), tuple(runs))


def pycocotools_on(photos, kind):
    """pycocotools' evaluator after `summarize`."""
    images, truths, found = [], [], []
    for number, (detections, its) in enumerate(photos, start=1):
        images.append({"id": number, "height": 512, "width": 512})
        for category, runs in zip(its.categories.tolist(), its.runs, strict=True):
            code = coco_mask.encode(np.asfortranarray(runs_to_mask(runs, FRAME), np.uint8))
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
        taps = find_taps(detections.boxes_norm, FRAME, 28)
        for row in range(len(detections)):
            (bits,) = paste_bits(detections.mask_probs[row], taps, row, (0.5,))
            code = coco_mask.encode(np.asfortranarray(runs_to_mask(to_runs(bits), FRAME), np.uint8))
            y1, x1, y2, x2 = (detections.boxes_norm[row].astype(float) * 512).tolist()
            result = {
                "id": len(found) + 1,
                "image_id": number,
                "category_id": int(detections.categories[row]),
                "score": float(detections.scores[row]),
                "iscrowd": 0,
                "segmentation": code,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
            }
            # As `loadRes` does, which takes no empty list.
            result["area"] = (
                int(coco_mask.area(code)) if kind == "segm" else result["bbox"][2] * result["bbox"][3]
            )
            found.append(result)
    categories = [{"id": number, "name": name} for number, name in enumerate(NAMES)]
    with contextlib.redirect_stdout(io.StringIO()):
        sides = []
        for annotations in (truths, found):
            sides.append(COCO())
            sides[-1].dataset = {"images": images, "annotations": annotations, "categories": categories}
            sides[-1].createIndex()
        evaluator = COCOeval(*sides, kind)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return evaluator


@pytest.mark.parametrize(("kind", "name"), [("segm", "mask"), ("bbox", "box")])
def test_figures_equal_those_of_pycocotools(photos, kind, name):
    ours = score(photos)[name]
    theirs = pycocotools_on(photos, kind)
    assert [ours.summary[key] for key in KEYS] == pytest.approx(theirs.stats[:6].tolist(), abs=1e-12)
    assert 0.05 < theirs.stats[1] < 0.95  # neither trivial end
    np.testing.assert_array_equal(ours.precision50, theirs.eval["precision"][0, :, :, 0, 2])
    for category in range(3):
        its = theirs.eval["precision"][:, :, category, 0, 2]
        assert ours.of_category[category]["ap"] == pytest.approx(its.mean(), abs=1e-12)
        assert ours.of_category[category]["ap50"] == pytest.approx(its[0].mean(), abs=1e-12)
    assert ours.of_category[4]["ap"] is None  # no truth


def draw_ties(seed):
    """Photos of boxes on a coarse grid with a few scores: ties of all kinds, small and medium and large."""
    rng = np.random.default_rng(seed)
    cell = rng.choice([6, 32])

    def boxes(count):
        corner = rng.integers(0, 4, (count, 2))
        return (np.concatenate((corner, corner + rng.integers(2, 7, (count, 2))), axis=1) * cell).tolist()

    return [
        photo(
            [
                (rng.integers(0, 3), rng.choice([0.1, 0.25, 0.5, 0.75]), box)
                for box in boxes(rng.integers(0, 14))
            ],
            [(rng.integers(0, 3), box) for box in boxes(rng.integers(0, 14))],
        )
        for _ in range(5)
    ]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_random_ties_have_the_precision_of_pycocotools(seed):
    photos = draw_ties(seed)
    for kind, evaluator in zip(("bbox", "segm"), evaluate_coco(photos, NAMES).values(), strict=True):
        theirs = pycocotools_on(photos, kind).eval["precision"]
        np.testing.assert_array_equal(evaluator.eval["precision"], theirs)


@pytest.mark.parametrize("seed", range(3))
def test_the_comparison_detects_a_wrong_order(seed):
    """Control: with reversed scores the figures differ."""
    photos = draw_ties(seed)
    reversed_scores = [
        (
            PhotoDetections(its.categories, 1 - its.scores, its.boxes_norm, its.mask_probs),
            truths,
        )
        for its, truths in photos
    ]
    ours = evaluate_coco(reversed_scores, NAMES)["box"].eval["precision"]
    assert not np.allclose(ours, pycocotools_on(photos, "bbox").eval["precision"])


BOX, OTHER, NOWHERE = [0, 0, 50, 50], [100, 100, 150, 150], [300, 300, 350, 350]


def test_precision_over_recall_by_hand():
    # precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1: up to recall 1/2 the maximum is 1, beyond it 2/3
    found = [(1, 0.9, BOX), (1, 0.8, NOWHERE), (1, 0.7, OTHER)]
    for its in score([photo(found, [(1, BOX), (1, OTHER)])]).values():
        np.testing.assert_allclose(its.precision50[:51, 1], 1.0, rtol=1e-12)
        np.testing.assert_allclose(its.precision50[51:, 1], 2 / 3, rtol=1e-12)


def test_precision_beyond_the_highest_recall_is_zero():
    its = score([photo([(1, 0.9, BOX)], [(1, BOX), (1, OTHER)])])["mask"]
    assert (its.precision50[:51, 1] > 0.99).all()
    assert (its.precision50[51:, 1] == 0).all()


def test_the_higher_score_matches_first():
    # IoU 0.64 with the higher score, 1 with the lower: a true positive only up to 0.60, then the lower one
    found = [(1, 0.9, [0, 0, 32, 50]), (1, 0.5, BOX)]
    first = score([photo(found, [(1, BOX)])])["mask"].of_category[1]
    assert first["ap50"] == pytest.approx(1.0, abs=1e-9)
    # three thresholds of ten at precision 1, seven at precision 1/2
    assert first["ap"] == pytest.approx((3 * 1 + 7 * 0.5) / 10, abs=1e-9)


def test_an_object_outside_the_area_range_is_ignored():
    small, large = [0, 0, 20, 20], [100, 100, 300, 300]
    its = score([photo([(1, 0.9, small), (1, 0.8, NOWHERE)], [(1, small), (1, large)])])["mask"].summary
    # small: found; the unmatched detection of 50 x 50 is medium and ignored
    assert its["ap_small"] == pytest.approx(1.0, abs=1e-9)
    assert its["ap_medium"] is None
    assert its["ap_large"] == 0.0


def test_more_than_100_detections_per_category_are_ignored():
    wrong = [(1, 0.9, NOWHERE)] * 100
    assert score([photo([*wrong, (1, 0.1, BOX)], [(1, BOX)])])["box"].summary["ap"] == 0.0
    assert score([photo([*wrong[1:], (1, 0.1, BOX)], [(1, BOX)])])["box"].summary["ap"] > 0.0


def test_boxes_keep_fractions_and_masks_are_whole_pixels():
    # Pixel centres from 1.5 to 9.5 lie inside: the mask is the truth; the boxes have IoU 90 / 95.
    its = score([photo([(1, 0.9, [0.75, 0, 10.25, 10])], [(1, [1, 0, 10, 10])])])
    assert its["mask"].summary["ap"] == pytest.approx(1.0, abs=1e-9)
    assert its["box"].summary["ap"] == pytest.approx(0.9, abs=1e-9)  # 0.947 passes all but 0.95


def test_a_mask_as_high_as_the_frame_is_encoded_as_pycocotools_does():
    found = [(1, 0.9, [0, 100, 512, 400]), (2, 0.8, [0, 0, 512, 512]), (3, 0.7, [0, 500, 512, 512])]
    photos = [photo(found, [(1, [0, 100, 512, 390]), (2, [0, 0, 512, 512]), (3, [0, 505, 512, 512])])]
    found = evaluate_coco(photos, NAMES)["mask"]
    np.testing.assert_array_equal(found.eval["precision"], pycocotools_on(photos, "segm").eval["precision"])
    whole = coco_mask.encode(np.ones(FRAME, np.uint8, order="F"))["counts"].decode()
    assert found.coco_dt.dataset["annotations"][1]["segmentation"]["counts"].startswith(whole)


def test_a_mask_without_pixels_matches_nothing():
    for its in (
        photo([(1, 0.9, BOX)], [(1, BOX)], probability=0),
        photo([(1, 0.9, [9, 9, 9, 50])], [(1, BOX)]),
    ):
        assert score([its])["mask"].summary["ap"] == 0.0


@pytest.mark.fault(table="instances", case="a category without an example")
def test_without_truths_there_is_no_ap(photos):
    assert score([photos[1], photos[3]])["mask"].summary == dict.fromkeys(KEYS)


def test_without_photos_there_is_no_ap():
    found = score([])
    assert found["box"].summary == found["mask"].summary == dict.fromkeys(KEYS)


def test_without_detections_ap_is_zero():
    found = score([photo([], [(1, BOX)])])
    assert found["mask"].summary["ap"] == 0.0
    assert found["box"].summary["ap50"] == 0.0


def test_a_perfect_box_and_mask_have_ap_one():
    found = score([photo([(2, 0.6, [100, 50, 300, 250])], [(2, [100, 50, 300, 250])])])
    # Not 1 to the last digit: precision is divided by slightly more than the detections, as in pycocotools.
    for kind in ("mask", "box"):
        assert found[kind].summary["ap"] == pytest.approx(1.0, abs=1e-12)
        assert found[kind].summary["ap_large"] == pytest.approx(1.0, abs=1e-12)
    assert found["mask"].summary["ap_small"] is None
