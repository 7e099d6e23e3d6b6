"""The tables behind the plots, by hand."""

import numpy as np
import pytest

from fashionseg.metrics import tables
from fashionseg.metrics.coco import AveragePrecision
from fashionseg.metrics.competition import PhotoMatches, match_table
from fashionseg.metrics.outcomes import Outcome, find_confusions
from fashionseg.taxonomy import competition_taxonomy


def matches(*rows):
    """Rows of (category, predictions, truths, true positives at IoU 0.50, the same at all other thresholds)."""
    counts = [[predicted, present, first, *[rest] * 9] for _, predicted, present, first, rest in rows]
    return PhotoMatches(tuple(row[0] for row in rows), np.array(counts).reshape(-1, 12))


def outcome(*confusions):
    nothing = matches()
    return Outcome(nothing, nothing, nothing, list(confusions))


def test_a_category_by_hand():
    # 6: in two photos; 3 found, 2 true, 2 right at 0.50 and 1 at the others. 40: only predicted, wrong.
    table = match_table([matches((6, 2, 1, 1, 0)), matches((6, 1, 1, 1, 1), (40, 1, 0, 0, 0))])
    ap = AveragePrecision({}, [{"ap": 0.25, "ap50": 0.5}] * 46, np.zeros((101, 46)))
    found = tables.per_category(table, ap, ap, competition_taxonomy()).to_dict("records")
    assert [row["category"] for row in found] == [6, 40]
    assert found[0]["name"] == "pants"
    assert (found[0]["truths"], found[0]["predictions"]) == (2, 3)
    assert found[0]["precision50"] == pytest.approx(2 / 3)
    assert found[0]["recall50"] == pytest.approx(1.0)
    # first photo 1/2 at one threshold of ten, second photo 1
    assert found[0]["competition_score"] == pytest.approx((0.05 + 1) / 2)
    assert np.isnan(found[1]["recall50"])


def test_confusions_are_counted_and_unmatched_come_last():
    table = tables.confusion(
        [outcome((23, 23), (-1, 6), (6, -1)), outcome((23, 23), (6, 7))], competition_taxonomy()
    )
    assert table.to_numpy().tolist() == [
        ["pants", "shorts", 1],
        ["pants", "(nothing)", 1],
        ["shoe", "shoe", 2],
        ["(nothing)", "pants", 1],
    ]


def test_an_instance_matches_its_own_category_before_a_better_overlap():
    ious = np.array([[0.9, 0.6], [0.1, 0.2]])  # instance 0 fits truth 0 better, but truth 1 has its category
    assert find_confusions([6, 23], [10, 6], ious) == [(6, 6), (10, -1), (-1, 23)]


def test_an_iou_of_one_half_is_no_confusion():
    assert find_confusions([6], [6], np.array([[0.5]])) == [(6, -1), (-1, 6)]
