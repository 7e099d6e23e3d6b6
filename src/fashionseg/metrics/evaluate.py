"""The evaluation of stored detections, and its figures for metrics.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from hotcoco import COCOeval
from numpy.typing import NDArray

from fashionseg.detections.photos import Photo
from fashionseg.errors import UserError
from fashionseg.metrics import errors, tables
from fashionseg.metrics.bootstrap import mean_interval
from fashionseg.metrics.calibration import Calibration, assign_folds, calibrate
from fashionseg.metrics.coco import AveragePrecision, average_precision, evaluate_coco
from fashionseg.metrics.competition import (
    Label,
    MatchTable,
    competition_scores,
    match_table,
    photo_scores,
)
from fashionseg.metrics.grid_levels import Grid
from fashionseg.metrics.outcomes import Outcome, judge_photos
from fashionseg.params import Evaluate
from fashionseg.taxonomy import Taxonomy

ERROR_TABLES = ("errors", "most_confused", "label_suspects")
_DIGITS = 6


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Results of all photos.

    Attributes:
        outcomes: one per photo.
        out_of_fold: by label, matches with the thresholds fitted on other photos.
        coco, evaluators: by kind, `box` and `mask`.
    """

    calibration: Calibration
    outcomes: list[Outcome]
    out_of_fold: dict[Label, MatchTable]
    coco: dict[str, AveragePrecision]
    evaluators: dict[str, COCOeval]


def evaluate_photos(
    photos: Sequence[Photo], groups: NDArray[np.int64], settings: Evaluate, taxonomy: Taxonomy
) -> Evaluation:
    """Calibrates, scores out of fold, and computes COCO AP.

    Args:
        photos: P photos.
        groups: int64 [P], near-identical photos share a number.

    Raises:
        UserError: no photos.
    """
    if not photos:
        raise UserError("no photos to evaluate: expected at least one validation photo")
    grid = Grid(
        scores=_ascending(settings.score_thresholds),
        nms=_ascending(settings.nms_thresholds),
        masks=_ascending(settings.mask_thresholds),
        min_areas=tuple(sorted(set(settings.min_areas))),
        garment_nms=_ascending(settings.garment_nms_thresholds),
        garments=taxonomy.garments,
    )
    folds = assign_folds(groups, settings.folds)
    calibration = calibrate(photos, grid, folds, settings.label, taxonomy.num_categories)
    of_photo = [calibration.of_photo(place) for place in range(len(photos))]
    outcomes = judge_photos(photos, of_photo, calibration.final)
    evaluators = evaluate_coco(photos, taxonomy.category_names)
    return Evaluation(
        calibration=calibration,
        outcomes=outcomes,
        out_of_fold={
            "category": match_table([outcome.out_of_fold for outcome in outcomes]),
            "classid": match_table([outcome.out_of_fold_class_id for outcome in outcomes]),
        },
        coco={kind: average_precision(evaluator) for kind, evaluator in evaluators.items()},
        evaluators=evaluators,
    )


def metrics(evaluation: Evaluation, photos: Sequence[Photo], label: Label) -> dict[str, Any]:
    """metrics.json: the competition's score (out-of-fold unless the key says otherwise), COCO AP, counts.

    `competition_score` and the keys without a label are for `label`; `_category` and `_classid` are always there.
    `competition_score_interval` is its 95 % bootstrap interval over photos.
    """
    by_label = {its: competition_scores(table) for its, table in evaluation.out_of_fold.items()}
    scores = {
        "competition_score": by_label[label]["image_category"],
        "competition_score_image": by_label[label]["image"],
        "competition_score_pooled": by_label[label]["pooled"],
        "competition_score_category": by_label["category"]["image_category"],
        "competition_score_classid": by_label["classid"]["image_category"],
        "competition_score_in_sample": evaluation.calibration.in_sample,
    }
    return {
        "label": label,
        **{key: round(score, _DIGITS) for key, score in scores.items()},
        "competition_score_interval": [
            round(bound, _DIGITS) for bound in mean_interval(photo_scores(evaluation.out_of_fold[label]))
        ],
        "coco": {
            kind: {
                key: None if value is None else round(value, _DIGITS) for key, value in its.summary.items()
            }
            for kind, its in evaluation.coco.items()
        },
        "num_photos": len(photos),
        "num_truths": sum(len(truths) for _, truths in photos),
        "num_detections": sum(len(detections) for detections, _ in photos),
    }


def score_table(evaluation: Evaluation, image_ids: Sequence[str], label: Label) -> pd.DataFrame:
    """Columns image_id, competition_score: out of fold, for `label`; their mean is the score of metrics.json."""
    return pd.DataFrame(
        {"image_id": image_ids, "competition_score": photo_scores(evaluation.out_of_fold[label])}
    )


def evaluation_tables(
    evaluation: Evaluation, image_ids: Sequence[str], taxonomy: Taxonomy
) -> dict[str, pd.DataFrame]:
    """Tables of the plots and the report, by the name of their file; `ERROR_TABLES` are the error analysis."""
    box, mask = evaluation.coco["box"], evaluation.coco["mask"]
    final = match_table([outcome.final for outcome in evaluation.outcomes])
    confusion = tables.confusion(evaluation.outcomes, taxonomy)
    evaluator, calibration = evaluation.evaluators["mask"], evaluation.calibration
    return {
        "per_category": tables.per_category(final, box, mask, taxonomy),
        "confusion": confusion,
        "score_threshold": tables.score_curve(calibration),
        "threshold_grid": tables.threshold_grid(calibration),
        "precision_recall": tables.precision_recall(mask),
        "errors": errors.error_breakdown(evaluator),
        "most_confused": errors.most_confused(confusion),
        "label_suspects": errors.label_suspects(evaluator, image_ids, calibration.final.score),
    }


def _ascending(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(sorted(set(values)))
