"""COCO's matching in cases by hand; `test_coco_precision.py` compares it with pycocotools."""

import numpy as np

from fashionseg.metrics.coco_matching import (
    AREA_RANGES,
    IOU_THRESHOLDS,
    MAX_DETECTIONS,
    match,
    outside_ranges,
    rank_by_score,
)

RANGES = list(AREA_RANGES)
RIGHT, WRONG, IGNORED = "right", "wrong", "ignored"


def outcomes(ious, scores=None, areas=None, truth_areas=None, groups=None):
    """What becomes of each detection by range: [detection][threshold], of IoUs [D][T]; areas are medium by default."""
    ious = np.array(ious, np.float64)
    num_found, num_truths = ious.shape
    scores = np.array(np.linspace(0.9, 0.1, num_found) if scores is None else scores)
    ranks = rank_by_score(np.zeros(num_found, np.int64) if groups is None else np.array(groups), scores)
    outside = outside_ranges(np.array([5000] * num_found if areas is None else areas))
    truth_outside = outside_ranges(np.array([5000] * num_truths if truth_areas is None else truth_areas))
    pair_detections, pair_truths = np.nonzero(ious)
    is_right, is_wrong = match(
        ranks, outside, truth_outside, pair_detections, pair_truths, ious[pair_detections, pair_truths]
    )
    assert not (is_right & is_wrong).any()
    words = np.where(is_right, RIGHT, np.where(is_wrong, WRONG, IGNORED)).reshape(num_found, 4, 10)
    return {label: words[:, place].tolist() for place, label in enumerate(RANGES)}


def test_the_higher_score_chooses_first():
    # 0.62 is enough at 0.50, 0.55 and 0.60; above, the truth is left to the lower score with IoU 0.82 (up to 0.80)
    first, second = outcomes([[0.62], [0.82]])["all"]
    assert first == [RIGHT] * 3 + [WRONG] * 7
    assert second == [WRONG] * 3 + [RIGHT] * 4 + [WRONG] * 3


def test_equal_scores_choose_in_the_order_given():
    first, second = outcomes([[0.6], [0.9]], scores=[0.5, 0.5])["all"]
    assert (first[0], second[0]) == (RIGHT, WRONG)


def test_the_order_of_rows_does_not_matter_where_scores_differ():
    first, second = outcomes([[0.9], [0.6]], scores=[0.2, 0.7])["all"]
    assert (first[0], second[0]) == (WRONG, RIGHT)


def test_the_truth_with_the_greatest_iou_is_taken():
    first, second = outcomes([[0.6, 0.7], [0.6, 0]])["all"]
    assert (first[0], second[0]) == (RIGHT, RIGHT)
    first, second = outcomes([[0.6, 0.7], [0, 0.7]])["all"]
    assert (first[0], second[0]) == (RIGHT, WRONG)


def test_of_equal_ious_the_last_truth_is_taken():
    assert [words[0] for words in outcomes([[0.7, 0.7], [0.7, 0]])["all"]] == [RIGHT, RIGHT]
    assert [words[0] for words in outcomes([[0.7, 0.7], [0, 0.7]])["all"]] == [RIGHT, WRONG]


def test_an_iou_at_the_threshold_matches():
    assert IOU_THRESHOLDS[[0, 5]].tolist() == [0.5, 0.75]
    assert outcomes([[0.5]])["all"] == [[RIGHT] + [WRONG] * 9]
    assert outcomes([[0.75]])["all"] == [[RIGHT] * 6 + [WRONG] * 4]
    assert outcomes([[1.0]])["all"] == [[RIGHT] * 10]
    assert outcomes([[0.4999]])["all"] == [[WRONG] * 10]


def test_a_truth_outside_the_range_makes_its_detection_ignored():
    found = outcomes([[0.9]], areas=[500], truth_areas=[500])
    assert {label: words[0][0] for label, words in found.items()} == {
        "all": RIGHT,
        "small": RIGHT,
        "medium": IGNORED,
        "large": IGNORED,
    }
    # The truth's area decides, not the detection's.
    found = outcomes([[0.9]], areas=[1200], truth_areas=[500])
    assert (found["small"][0][0], found["medium"][0][0]) == (RIGHT, IGNORED)


def test_a_truth_within_the_range_comes_before_a_closer_one_outside():
    found = outcomes([[0.62, 0.9], [0, 0.9]], truth_areas=[5000, 500])
    # medium: the first takes the truth within, as long as 0.62 is enough; the other one is left to the second
    assert found["medium"][0] == [RIGHT] * 3 + [IGNORED] * 6 + [WRONG]
    assert found["medium"][1] == [IGNORED] * 3 + [WRONG] * 7
    # small: the small truth is the one within, and the medium one comes after it
    assert [words[0] for words in found["small"]] == [RIGHT, IGNORED]  # the second is unmatched and medium


def test_an_unmatched_detection_counts_in_the_ranges_of_its_area():
    found = outcomes(np.zeros((3, 1)), areas=[500, 5000, 50000])
    assert {label: [words[0] for words in its] for label, its in found.items()} == {
        "all": [WRONG, WRONG, WRONG],
        "small": [WRONG, IGNORED, IGNORED],
        "medium": [IGNORED, WRONG, IGNORED],
        "large": [IGNORED, IGNORED, WRONG],
    }


def test_the_ends_of_a_range_belong_to_it():
    outside = outside_ranges(np.array([1024, 1025, 9216, 9217])).reshape(4, 4, 10)[:, :, 0]
    assert [[label for label, out in zip(RANGES, row, strict=True) if not out] for row in outside] == [
        ["all", "small", "medium"],
        ["all", "medium"],
        ["all", "medium", "large"],
        ["all", "large"],
    ]


def test_photos_and_categories_do_not_meet():
    # Two groups of two; the second of the first group and the first of the second stand side by side.
    found = outcomes([[0.9, 0], [0.8, 0], [0, 0.9], [0, 0.8]], groups=[3, 3, 7, 7])["all"]
    assert [words[0] for words in found] == [RIGHT, WRONG, RIGHT, WRONG]


def test_ranks_count_within_a_group_by_falling_score():
    groups, scores = np.array([2, 1, 2, 1, 2]), np.array([0.3, 0.5, 0.9, 0.5, 0.3])
    assert rank_by_score(groups, scores).tolist() == [1, 0, 0, 1, 2]


def test_more_than_a_hundred_of_a_category_are_not_looked_at():
    ious = np.zeros((MAX_DETECTIONS + 2, 2))
    ious[MAX_DETECTIONS - 1, 0] = ious[MAX_DETECTIONS, 1] = 0.9
    found = outcomes(ious)["all"]
    assert [words[0] for words in found[-3:]] == [RIGHT, IGNORED, IGNORED]
    assert found[0][0] == WRONG


def test_without_truths_all_are_wrong_and_without_detections_there_is_nothing():
    assert outcomes(np.zeros((2, 0)))["all"] == [[WRONG] * 10] * 2
    assert outcomes(np.zeros((0, 2)))["all"] == []
    assert outcomes(np.zeros((0, 0)))["all"] == []
