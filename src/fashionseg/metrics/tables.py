"""The tables behind the plots, as CSV: categories, confusions, thresholds, precision over recall."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from fashionseg.metrics.calibration import Calibration
from fashionseg.metrics.coco import AveragePrecision
from fashionseg.metrics.competition import MatchTable, label_scores
from fashionseg.metrics.outcomes import NOTHING, Outcome
from fashionseg.taxonomy import Taxonomy

NOTHING_NAME = "(nothing)"


def per_category(
    table: MatchTable, box: AveragePrecision, mask: AveragePrecision, taxonomy: Taxonomy
) -> pd.DataFrame:
    """One row for each category that is present or predicted, by id.

    `table` holds the matches with the final thresholds. Precision and recall are those of instances at IoU > 0.5;
    the score is the mean over the photos in which the category is present or predicted.
    """
    labels = np.array(table.labels, np.int64)
    scores = label_scores(table.counts)
    rows = []
    for category in np.unique(labels).tolist():
        its = labels == category
        predictions, truths, matched = table.counts[its, :3].sum(axis=0).tolist()
        rows.append(
            {
                "category": category,
                "name": taxonomy.category_names[category],
                "truths": truths,
                "predictions": predictions,
                "mask_ap": mask.of_category[category]["ap"],
                "mask_ap50": mask.of_category[category]["ap50"],
                "box_ap50": box.of_category[category]["ap50"],
                "precision50": matched / predictions if predictions else None,
                "recall50": matched / truths if truths else None,
                "competition_score": float(scores[its].mean()),
            }
        )
    return pd.DataFrame(rows)


def confusion(outcomes: Sequence[Outcome], taxonomy: Taxonomy) -> pd.DataFrame:
    """Columns actual, predicted (names), count: every pair that occurs, by ids, NOTHING last."""
    names = (*taxonomy.category_names, NOTHING_NAME)
    last = taxonomy.num_categories
    counts = Counter(
        tuple(last if side == NOTHING else side for side in pair)
        for outcome in outcomes
        for pair in outcome.confusions
    )
    rows = [(names[actual], names[predicted], count) for (actual, predicted), count in sorted(counts.items())]
    return pd.DataFrame(rows, columns=["actual", "predicted", "count"])


def threshold_grid(calibration: Calibration) -> pd.DataFrame:
    """Every combination searched with its score over all photos (in-sample)."""
    rows = [(its.mask, its.nms, its.garment_nms, its.min_area, its.score) for its in calibration.grid]
    columns = ["mask_threshold", "nms_threshold", "garment_nms_threshold", "min_area", "score_threshold"]
    return pd.DataFrame(rows, columns=columns).assign(competition_score=calibration.grid_means)


def score_curve(calibration: Calibration) -> pd.DataFrame:
    """The score over the score threshold, the other thresholds being the final ones (in-sample)."""
    grid = threshold_grid(calibration)
    is_final = [replace(its, score=calibration.final.score) == calibration.final for its in calibration.grid]
    return grid.loc[is_final, ["score_threshold", "competition_score"]].reset_index(drop=True)


def precision_recall(mask: AveragePrecision) -> pd.DataFrame:
    """Mask precision at IoU 0.50 over recall, mean over the categories with truths."""
    has_truths = mask.precision50[0] > -1
    curve = mask.precision50[:, has_truths].mean(axis=1) if has_truths.any() else np.zeros(0)
    return pd.DataFrame({"recall": np.arange(len(curve)) / 100, "precision": curve})


def write_table(table: pd.DataFrame, path: Path) -> None:
    """CSV with Unix line ends; numbers with 6 digits, which do not flicker with the last bit."""
    table.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
