"""Precision over recall by hand, and matching and precision together against pycocotools."""

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fashionseg.detections.instances import box_ious
from fashionseg.metrics.coco_matching import match, outside_ranges, rank_by_score
from fashionseg.metrics.coco_precision import precision_over_recall

RIGHT, WRONG, IGNORED = (True, False), (False, True), (False, False)


def precision(outcomes, scores, num_truths, categories=None, num_categories=1):
    """At IoU 0.50 and all areas, [101, K], of detections with the same outcome at any threshold and range."""
    right, wrong = np.array(outcomes, bool).reshape(-1, 2).T
    found = precision_over_recall(
        np.zeros(len(scores), np.int64) if categories is None else np.array(categories),
        np.array(scores, np.float64),
        np.repeat(right[:, None], 40, axis=1),
        np.repeat(wrong[:, None], 40, axis=1),
        np.zeros(num_truths, np.int64),
        np.zeros((num_truths, 40), bool),
        num_categories,
    )
    assert found.shape == (10, 101, num_categories, 4)
    assert (found == found[:1, :, :, :1]).all()
    return found[0, :, :, 0]


def test_by_hand():
    # precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1: up to recall 1/2 the greatest is 1, beyond it 2/3
    found = precision([RIGHT, WRONG, RIGHT], [0.9, 0.8, 0.7], num_truths=2)[:, 0]
    np.testing.assert_allclose(found[:51], 1.0, rtol=1e-12)
    np.testing.assert_allclose(found[51:], 2 / 3, rtol=1e-12)


def test_beyond_the_last_recall_it_is_zero():
    found = precision([RIGHT], [0.9], num_truths=4)[:, 0]
    np.testing.assert_allclose(found[:26], 1.0, rtol=1e-12)
    assert not found[26:].any()


def test_detections_are_taken_by_falling_score():
    one = precision([WRONG, RIGHT], [0.9, 0.1], num_truths=1)
    np.testing.assert_allclose(one, 0.5, rtol=1e-12)
    np.testing.assert_array_equal(precision([RIGHT, WRONG], [0.1, 0.9], num_truths=1), one)


def test_equal_scores_stay_in_the_order_of_the_photos():
    np.testing.assert_allclose(precision([WRONG, RIGHT], [0.5, 0.5], num_truths=1), 0.5, rtol=1e-12)
    np.testing.assert_allclose(precision([RIGHT, WRONG], [0.5, 0.5], num_truths=1), 1.0, rtol=1e-12)


def test_ignored_detections_change_nothing():
    with_ignored = precision([IGNORED, RIGHT, IGNORED], [0.9, 0.8, 0.7], num_truths=1)
    np.testing.assert_array_equal(with_ignored, precision([RIGHT], [0.8], num_truths=1))


def test_truths_without_detections_are_zero_and_detections_without_truths_do_not_count():
    assert (precision([], [], num_truths=3) == 0).all()
    assert (precision([WRONG], [0.5], num_truths=0) == -1).all()
    assert (precision([], [], num_truths=0) == -1).all()
    found = precision([RIGHT, WRONG], [0.5, 0.6], num_truths=1, categories=[0, 1], num_categories=2)
    assert (found[:, 0] > 0.99).all()
    assert (found[:, 1] == -1).all()


def draw(seed):
    """Rows photo, category, area, box y1 x1 y2 x2 on a coarse grid, and scores of a few values: ties of all kinds."""
    rng = np.random.default_rng(seed)

    def rows(count):
        corner = rng.integers(0, 4, (count, 2)) * 8
        boxes = np.concatenate((corner, corner + rng.integers(2, 7, (count, 2)) * 8), axis=1)
        areas = rng.choice([100, 1024, 5000, 9216, 20000], count)
        return rng.integers(0, 5, count), rng.integers(0, 3, count), areas, boxes.astype(np.float64)

    num_found, num_truths = rng.integers(0, 60, 2)
    photo, category, area, boxes = rows(num_found)
    order = np.argsort(photo, kind="stable")
    scores = rng.choice([0.1, 0.25, 0.5, 0.75], num_found)
    return (photo[order], category[order], area[order], boxes[order], scores), rows(num_truths)


def pycocotools_precision(found, truths):
    def annotations(photo, category, area, boxes, scores=None):
        for row, (y1, x1, y2, x2) in enumerate(boxes.tolist()):
            annotation = {"id": row + 1, "image_id": int(photo[row]), "category_id": int(category[row])}
            annotation |= {"area": float(area[row]), "bbox": [x1, y1, x2 - x1, y2 - y1], "iscrowd": 0}
            yield annotation | ({} if scores is None else {"score": float(scores[row])})

    with contextlib.redirect_stdout(io.StringIO()):
        sides = []
        for rows in (truths, found):
            sides.append(COCO())
            sides[-1].dataset = {
                "images": [{"id": number} for number in range(5)],
                "categories": [{"id": number} for number in range(4)],
                "annotations": list(annotations(*rows)),
            }
            sides[-1].createIndex()
        evaluator = COCOeval(*sides, "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
    return evaluator.eval["precision"][..., -1]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_random_boxes_have_the_precision_of_pycocotools(seed):
    found, truths = draw(seed)
    photo, category, area, boxes, scores = found
    truth_photo, truth_category, truth_area, truth_boxes = truths
    pair_detections, pair_truths = np.nonzero(
        (photo[:, None] == truth_photo) & (category[:, None] == truth_category)
    )
    ious = box_ious(boxes, truth_boxes)[pair_detections, pair_truths]
    truth_outside = outside_ranges(truth_area)
    is_right, is_wrong = match(
        rank_by_score(photo * 4 + category, scores),
        outside_ranges(area),
        truth_outside,
        pair_detections,
        pair_truths,
        ious,
    )
    ours = precision_over_recall(category, scores, is_right, is_wrong, truth_category, truth_outside, 4)
    np.testing.assert_allclose(ours, pycocotools_precision(found, truths), rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_the_comparison_sees_a_wrong_order(seed):
    """The control: with scores turned round the figures differ."""
    found, truths = draw(seed)
    turned = (*found[:-1], 1 - found[-1])
    assert not np.allclose(pycocotools_precision(found, truths), pycocotools_precision(turned, truths))
