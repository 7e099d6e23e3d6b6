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
from fashionseg.metrics.calibration import Calibration, assign_folds, calibrate
from fashionseg.metrics.coco import AveragePrecision, average_precision, evaluate_coco
from fashionseg.metrics.competition import MatchTable, competition_scores, match_table
from fashionseg.metrics.grid_levels import Grid
from fashionseg.metrics.outcomes import Outcome, judge_photos
from fashionseg.params import Evaluate
from fashionseg.taxonomy import Taxonomy

_DIGITS = 6


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Results of all photos: one outcome per photo; `coco` and `evaluators` with the keys box and mask."""

    calibration: Calibration
    outcomes: list[Outcome]
    coco: dict[str, AveragePrecision]
    evaluators: dict[str, COCOeval]

    @property
    def out_of_fold(self) -> MatchTable:
        """Matches by category, with thresholds fitted on other photos."""
        return match_table([outcome.out_of_fold for outcome in self.outcomes])

    @property
    def out_of_fold_class_id(self) -> MatchTable:
        """Matches by ClassId, with thresholds fitted on other photos."""
        return match_table([outcome.out_of_fold_class_id for outcome in self.outcomes])

    @property
    def final(self) -> MatchTable:
        """Matches by category, with the final thresholds."""
        return match_table([outcome.final for outcome in self.outcomes])


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
    )
    folds = assign_folds(groups, settings.folds)
    calibration = calibrate(photos, grid, folds, settings.label, taxonomy.num_categories)
    of_photo = [calibration.of_photo(place) for place in range(len(photos))]
    outcomes = judge_photos(photos, of_photo, calibration.final)
    evaluators = evaluate_coco(photos, taxonomy.category_names)
    coco = {kind: average_precision(evaluator) for kind, evaluator in evaluators.items()}
    return Evaluation(calibration, outcomes, coco, evaluators)


def metrics(evaluation: Evaluation, photos: Sequence[Photo], label: str) -> dict[str, Any]:
    """metrics.json: the competition's score (out-of-fold unless the key says otherwise), COCO AP, counts.

    `competition_score` and the keys without a label are for `label`; `_category` and `_classid` are always there.
    """
    by_label = {
        "category": competition_scores(evaluation.out_of_fold),
        "classid": competition_scores(evaluation.out_of_fold_class_id),
    }
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


def category_table(evaluation: Evaluation, taxonomy: Taxonomy) -> pd.DataFrame:
    """One row per category, see `tables.per_category`."""
    return tables.per_category(evaluation.final, evaluation.coco["box"], evaluation.coco["mask"], taxonomy)


def error_tables(
    evaluation: Evaluation, image_ids: Sequence[str], taxonomy: Taxonomy
) -> dict[str, pd.DataFrame]:
    """Tables of the error analysis: keys errors, most_confused, label_suspects."""
    masks = evaluation.evaluators["mask"]
    return {
        "errors": errors.error_breakdown(masks),
        "most_confused": errors.most_confused(tables.confusion(evaluation.outcomes, taxonomy)),
        "label_suspects": errors.label_suspects(masks, image_ids, evaluation.calibration.final.score),
    }


def _ascending(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(sorted(set(values)))
