"""IoU thresholds in whole numbers, and the maximum matching against scipy's assignment."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from fashionseg.metrics.matching import IOU_THRESHOLDS, count_true_positives, iou_levels


def test_thresholds_are_those_of_the_competition():
    assert IOU_THRESHOLDS == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


@pytest.mark.parametrize(
    ("overlap", "union", "level"),
    [
        (50, 100, 0),  # 0.50 is not greater than 0.50
        (51, 100, 1),
        (55, 100, 1),
        (70, 100, 4),  # 0.70 passes 0.50 to 0.65
        (7, 10, 4),  # the same IoU from other numbers
        (95, 100, 9),
        (96, 100, 10),
        (100, 100, 10),
        (0, 100, 0),
    ],
)
def test_a_match_needs_an_iou_greater_than_the_threshold(overlap, union, level):
    # areas that add up: one mask is the union, the other the overlap
    found = iou_levels(np.array([[overlap]]), np.array([overlap]), np.array([union]))
    assert found.tolist() == [[level]]


def test_each_truth_and_each_prediction_counts_once():
    # two predictions on one truth, then one prediction on two truths
    assert count_true_positives(np.array([[10], [8]])).tolist() == [1] * 10
    assert count_true_positives(np.array([[3, 5]])).tolist() == [1] * 5 + [0] * 5


def test_the_matching_is_maximal():
    # Prediction 0 fits both truths, best truth 0; prediction 1 fits truth 0 only. Greedy by IoU would pair 0-0 and
    # leave truth 1 unmatched; 0-1 and 1-0 gives two.
    assert count_true_positives(np.array([[6, 2], [4, 0]])).tolist() == [2, 2, 1, 1, 1, 1, 0, 0, 0, 0]


def test_no_predictions_or_no_truths():
    for shape in ((0, 0), (0, 3), (3, 0)):
        assert count_true_positives(np.zeros(shape, np.int64)).tolist() == [0] * 10


@pytest.mark.parametrize("seed", range(30))
def test_random_tables_agree_with_the_best_assignment(seed):
    rng = np.random.default_rng(seed)
    shape = rng.integers(1, 7, 2)
    levels = rng.integers(0, 11, shape) * (rng.random(shape) < 0.6)
    expected = []
    for threshold in range(10):
        edges = levels > threshold
        rows, columns = linear_sum_assignment(edges, maximize=True)
        expected.append(int(edges[rows, columns].sum()))
    assert count_true_positives(levels).tolist() == expected
