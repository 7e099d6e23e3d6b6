"""Error analysis of detected masks by hotcoco: what costs AP, and truths that may be labelled wrongly.

Detections are compared with the truth as they are stored, at IoU 0.5 and without the calibrated thresholds, as in COCO
AP. The confusions that a submission contains are in `tables.confusion`.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from hotcoco import COCOeval

# Bolya et al., "TIDE: A General Toolbox for Identifying Object Detection Errors", 2020.
ERROR_TYPES = {
    "Cls": "wrong category, right place",
    "Loc": "right category, poor overlap",
    "Both": "wrong category and poor overlap",
    "Dupe": "second detection of an object",
    "Bkg": "no object there",
    "Miss": "object without a detection",
}
_SUSPECTS = {"wrong_label": "wrong category", "missing_annotation": "not annotated"}
_MOST_SUSPECTS = 50


def error_breakdown(masks: COCOeval) -> pd.DataFrame:
    """One row per type of error: error, meaning, count, ap50_lost (AP50 gained by fixing all errors of the type)."""
    errors = masks.tide_errors()
    rows = [
        (name, meaning, int(errors["counts"][name]), float(errors["delta_ap"][name]))
        for name, meaning in ERROR_TYPES.items()
    ]
    return pd.DataFrame(rows, columns=["error", "meaning", "count", "ap50_lost"])


def label_suspects(masks: COCOeval, image_ids: Sequence[str], score_threshold: float) -> pd.DataFrame:
    """Truths that confident detections contradict, the most confident first, up to 50 rows.

    Columns: image_id, suspicion, detected, score, annotated (category names; no name where nothing is annotated).

    Args:
        image_ids: by image id of the evaluator, from 1.
        score_threshold: least score of a detection that may contradict.
    """
    found = masks.image_diagnostics(score_thr=score_threshold)["label_errors"]
    found.sort(key=lambda its: (-its["dt_score"], its["dt_id"]))
    rows = [
        (
            image_ids[its["image_id"] - 1],
            _SUSPECTS[its["type"]],
            its["dt_category"],
            float(its["dt_score"]),
            its["gt_category"] or "",
        )
        for its in found[:_MOST_SUSPECTS]
    ]
    return pd.DataFrame(rows, columns=["image_id", "suspicion", "detected", "score", "annotated"])


def most_confused(confusion: pd.DataFrame, count: int = 15) -> pd.DataFrame:
    """The most frequent rows of `tables.confusion` with two different categories."""
    wrong = confusion[confusion["actual"] != confusion["predicted"]]
    return wrong.sort_values("count", ascending=False, kind="stable").head(count).reset_index(drop=True)
