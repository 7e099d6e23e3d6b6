"""Everything that is known about stored detections, and its figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from fashionseg.detections.photos import Photo
from fashionseg.errors import UserError
from fashionseg.metrics import tables
from fashionseg.metrics.calibration import Calibration, Grid, calibrate
from fashionseg.metrics.coco import AveragePrecision, coco_average_precision
from fashionseg.metrics.competition import MatchTable, competition_scores, match_table
from fashionseg.metrics.outcomes import Outcome, judge_photos
from fashionseg.params import Evaluate
from fashionseg.taxonomy import Taxonomy

_DIGITS = 6


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Results of all photos; `outcomes` has one for each, `coco` the keys box and mask."""

    calibration: Calibration
    outcomes: list[Outcome]
    coco: dict[str, AveragePrecision]

    @property
    def out_of_fold(self) -> MatchTable:
        """Matches with thresholds fitted on other photos; label the category."""
        return match_table([outcome.out_of_fold for outcome in self.outcomes])

    @property
    def out_of_fold_class_id(self) -> MatchTable:
        """The same, label the whole ClassId."""
        return match_table([outcome.out_of_fold_class_id for outcome in self.outcomes])

    @property
    def final(self) -> MatchTable:
        """Matches with the final thresholds; label the category."""
        return match_table([outcome.final for outcome in self.outcomes])


def evaluate_photos(photos: Sequence[Photo], settings: Evaluate, taxonomy: Taxonomy) -> Evaluation:
    """Calibrates, scores out of fold, and computes COCO AP.

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
    calibration = calibrate(photos, grid, settings.folds)
    of_photo = [calibration.of_photo(place) for place in range(len(photos))]
    outcomes = judge_photos(photos, of_photo, calibration.final)
    return Evaluation(calibration, outcomes, coco_average_precision(photos, taxonomy.num_categories))


def metrics(evaluation: Evaluation, photos: Sequence[Photo]) -> dict[str, Any]:
    """metrics.json: the competition's score (out-of-fold unless the key says otherwise), COCO AP, counts."""
    scores = competition_scores(evaluation.out_of_fold)
    with_attributes = competition_scores(evaluation.out_of_fold_class_id)
    return {
        "competition_score": round(scores["image_category"], _DIGITS),
        "competition_score_image": round(scores["image"], _DIGITS),
        "competition_score_pooled": round(scores["pooled"], _DIGITS),
        "competition_score_classid": round(with_attributes["image_category"], _DIGITS),
        "competition_score_in_sample": round(evaluation.calibration.in_sample, _DIGITS),
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
    """One row for each category, see `tables.per_category`."""
    return tables.per_category(evaluation.final, evaluation.coco["box"], evaluation.coco["mask"], taxonomy)


def _ascending(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(sorted(set(values)))
