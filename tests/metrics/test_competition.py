"""The score worked out by hand at all three levels, and against a slow oracle."""

from fractions import Fraction

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from fashionseg.data.rle import runs_to_mask
from fashionseg.detections.bit_masks import to_runs
from fashionseg.detections.instances import Thresholds, find_instances
from fashionseg.metrics.competition import (
    competition_scores,
    match_photo,
    match_table,
    photo_scores,
)


def score(*photos):
    return competition_scores(match_table([match_photo(*photo) for photo in photos]))


def crowded_photo(bits):
    """Three labels.

    6: one truth of 100 x 100, found as 100 x 90: IoU 0.9 passes 0.50 to 0.85, eight thresholds of ten -> 0.8
    23: two truths, one found exactly: 1 / (1 + 0 + 1) at all thresholds -> 0.5
    31: predicted only -> 0
    """
    shoe, other_shoe = bits(200, 0, 250, 50), bits(200, 100, 250, 150)
    return (
        [6, 23, 31],
        [bits(0, 0, 100, 90), shoe, bits(300, 300, 400, 400)],
        [6, 23, 23],
        [bits(0, 0, 100, 100), shoe, other_shoe],
    )


def test_each_level_by_hand(bits):
    missed = ([], [], [0], [bits(0, 0, 9, 9)])
    nothing = ([], [], [], [])
    scores = score(crowded_photo(bits), missed, nothing)
    # (0.8 + 0.5 + 0) / 3 in the first photo; 0 and 1 in the others
    assert scores["image_category"] == pytest.approx(((0.8 + 0.5 + 0) / 3 + 0 + 1) / 3)
    # first photo, 3 predictions and 3 truths: TP 2 of 4 at eight thresholds, TP 1 of 5 at two
    assert scores["image"] == pytest.approx(((8 * 2 / 4 + 2 * 1 / 5) / 10 + 0 + 1) / 3)
    # all, 3 predictions and 4 truths: TP 2 of 5 at eight, TP 1 of 6 at two
    assert scores["pooled"] == pytest.approx((8 * 2 / 5 + 2 * 1 / 6) / 10)


def test_perfect_predictions_score_one(bits):
    masks = [bits(0, 0, 10, 10), bits(20, 0, 40, 10)]
    assert score((["a", "b"], masks, ["b", "a"], masks[::-1])) == dict.fromkeys(
        ("image_category", "image", "pooled"), 1.0
    )


def test_a_photo_without_truths_and_predictions_scores_one():
    assert score(([], [], [], [])) == {"image_category": 1.0, "image": 1.0, "pooled": 1.0}


def test_a_right_mask_with_a_wrong_label_is_a_false_negative_and_a_false_positive(bits):
    mask = [bits(0, 0, 50, 50)]
    assert score(([1], mask, [2], mask)) == {"image_category": 0.0, "image": 0.0, "pooled": 0.0}


def test_attributes_count_when_the_label_is_the_whole_class_id(bits):
    mask = [bits(0, 0, 50, 50)]
    assert score((["10"], mask, ["10_3_20"], mask))["image"] == 0.0
    assert score((["10_3_20"], mask, ["10_3_20"], mask))["image"] == 1.0


def test_an_iou_of_one_half_is_no_match(bits):
    # 50 of 100 pixels: IoU exactly 0.5
    assert score(([1], [bits(0, 0, 10, 5)], [1], [bits(0, 0, 10, 10)]))["image"] == 0.0
    # 6 of 10 columns: 0.6 passes 0.50 and 0.55
    assert score(([1], [bits(0, 0, 10, 6)], [1], [bits(0, 0, 10, 10)]))["image"] == pytest.approx(0.2)


def test_no_photos_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        competition_scores(match_table([]))


def oracle(photos):
    """Rasters, exact fractions and an assignment per threshold; mean over labels of each photo, then photos."""
    levels = {"image_category": [], "image": []}
    pooled = np.zeros((10, 3))
    for predicted_labels, predicted, truth_labels, truths in photos:
        of_label, of_image = [], np.zeros((10, 3))
        for label in {*predicted_labels, *truth_labels}:
            rows = [mask for mask, its in zip(predicted, predicted_labels, strict=True) if its == label]
            columns = [mask for mask, its in zip(truths, truth_labels, strict=True) if its == label]
            counts = np.array([count(rows, columns, Fraction(k, 20)) for k in range(10, 20)])
            of_label.append((counts[:, 0] / counts.sum(axis=1)).mean())
            of_image += counts
        levels["image_category"].append(np.mean(of_label) if of_label else 1.0)
        levels["image"].append((of_image[:, 0] / of_image.sum(axis=1)).mean() if of_label else 1.0)
        pooled += of_image
    return {
        **{name: np.mean(values) for name, values in levels.items()},
        "pooled": (pooled[:, 0] / pooled.sum(axis=1)).mean(),
    }


def count(rows, columns, threshold):
    """TP, FP, FN of one label at one threshold."""
    edges = np.array(
        [
            [Fraction(int((a & b).sum()), max(int((a | b).sum()), 1)) > threshold for b in columns]
            for a in rows
        ],
        bool,
    ).reshape(len(rows), len(columns))
    pairs = linear_sum_assignment(edges, maximize=True)
    found = int(edges[pairs].sum())
    return found, len(rows) - found, len(columns) - found


def test_random_photos_agree_with_the_oracle(photos):
    thresholds = Thresholds(score=0.3, nms=0.5, mask=0.5, min_area=10)
    ours, slow = [], []
    for detections, truths in photos:
        instances = find_instances(detections, thresholds)
        labels = [instance.category for instance in instances]
        categories = truths.categories.tolist()
        ours.append((labels, [its.mask for its in instances], categories, truths.masks()))
        rasters = [runs_to_mask(to_runs(its.mask), (512, 512)) for its in instances]
        slow.append((labels, rasters, categories, [runs_to_mask(runs, (512, 512)) for runs in truths.runs]))
    assert score(*ours) == pytest.approx(oracle(slow))
    assert 0.05 < score(*ours)["image"] < 0.95  # the comparison is about something


def test_photo_scores_are_in_the_order_of_the_photos(bits):
    mask = [bits(0, 0, 5, 5)]
    table = match_table(
        [match_photo([], [], [1], mask), match_photo([1], mask, [1], mask), match_photo([], [], [], [])]
    )
    assert photo_scores(table).tolist() == [0.0, 1.0, 1.0]
