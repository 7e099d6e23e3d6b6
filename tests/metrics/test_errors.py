"""Error analysis in cases worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from fashionseg.data.rle import mask_to_runs
from fashionseg.detections.photos import PhotoDetections, PhotoTruths
from fashionseg.metrics.coco import evaluate_coco
from fashionseg.metrics.errors import error_breakdown, label_suspects, most_confused

NAMES = ("shirt", "pants", "shoe")
SHIRT, PANTS, SHOE = range(3)
LEFT, RIGHT, BELOW = [0, 0, 100, 100], [0, 300, 100, 400], [300, 0, 400, 100]


def evaluated(*photos):
    """hotcoco's evaluator of masks; a photo is (category, score, box) of detections and (category, box) of truths."""
    made = []
    for found, truths in photos:
        detections = PhotoDetections(
            np.array([category for category, _, _ in found], np.int16),
            np.array([score for _, score, _ in found], np.float32),
            np.array([box for _, _, box in found], np.float32).reshape(-1, 4) / 512,
            np.full((len(found), 28, 28), 255, np.uint8),
        )
        runs = []
        for _, (y1, x1, y2, x2) in truths:
            mask = np.zeros((512, 512), bool)
            mask[y1:y2, x1:x2] = True
            runs.append(mask_to_runs(mask))
        categories = np.array([category for category, _ in truths], np.int16)
        made.append((detections, PhotoTruths(categories, ("",) * len(runs), tuple(runs))))
    return evaluate_coco(made, NAMES)["mask"]


def test_one_error_of_each_type():
    table = error_breakdown(
        evaluated(
            ([(SHIRT, 0.9, LEFT), (SHIRT, 0.8, LEFT)], [(SHIRT, LEFT)]),  # found, then once more
            ([(PANTS, 0.7, LEFT)], [(SHIRT, LEFT)]),  # wrong category
            ([(SHIRT, 0.6, [0, 0, 100, 30])], [(SHIRT, LEFT)]),  # IoU 0.3
            ([(PANTS, 0.6, [0, 0, 100, 30])], [(SHIRT, LEFT)]),  # both
            ([(SHOE, 0.5, BELOW)], [(SHIRT, LEFT)]),  # nothing there, and the shirt is missed
        )
    )
    assert dict(zip(table["error"], table["count"], strict=True)) == {
        "Cls": 1,
        "Loc": 1,
        "Both": 1,
        "Dupe": 1,
        "Bkg": 1,
        "Miss": 2,
    }
    assert (table["ap50_lost"] >= 0).all()


def test_fixing_the_only_error_brings_ap_to_one():
    table = error_breakdown(evaluated(([(PANTS, 0.9, LEFT)], [(SHIRT, LEFT)]))).set_index("error")
    assert table.loc["Cls", "ap50_lost"] == pytest.approx(1.0)
    assert table["count"].sum() == 1


def test_confident_detections_contradict_labels():
    masks = evaluated(
        ([(SHIRT, 0.7, LEFT), (SHOE, 0.9, RIGHT)], [(PANTS, LEFT)]),
        ([(SHOE, 0.8, BELOW), (SHOE, 0.4, RIGHT)], [(SHOE, BELOW)]),
    )
    table = label_suspects(masks, ["a.jpg", "b.jpg"], score_threshold=0.5)
    assert table.values.tolist() == [
        ["a.jpg", "not annotated", "shoe", pytest.approx(0.9), ""],
        ["a.jpg", "wrong category", "shirt", pytest.approx(0.7), "pants"],
    ]


def test_without_photos_truths_or_detections_there_are_no_suspects():
    for masks in (evaluated(), evaluated(([], [(SHIRT, LEFT)]))):
        assert len(label_suspects(masks, ["a.jpg"], 0.5)) == 0
        assert len(error_breakdown(masks)) == 6


def test_most_confused_pairs_come_first():
    confusion = pd.DataFrame(
        [["a", "a", 9], ["a", "b", 1], ["b", "a", 3], ["b", "(nothing)", 3]],
        columns=["actual", "predicted", "count"],
    )
    assert most_confused(confusion, 2).to_numpy().tolist() == [["b", "a", 3], ["b", "(nothing)", 3]]
