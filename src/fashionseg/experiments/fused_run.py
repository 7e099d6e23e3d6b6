"""A run made of others, as a folder: detections, scores, thresholds and a checked submission."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fashionseg.detections.store import write_detections
from fashionseg.detections.thresholds import write_thresholds
from fashionseg.errors import UserError
from fashionseg.experiments.ensemble import TEST, VALIDATION, Member, evaluate_member
from fashionseg.experiments.results import METRICS, PHOTO_SCORES, REPORTS
from fashionseg.metrics.bootstrap import interval_text
from fashionseg.metrics.competition import photo_scores
from fashionseg.metrics.evaluate import Evaluation, metrics, score_table
from fashionseg.metrics.tables import write_table
from fashionseg.params import Evaluate
from fashionseg.storage.json_file import write_json
from fashionseg.submission.check import check_submission, list_test_photos
from fashionseg.submission.write import write_submission
from fashionseg.taxonomy import read_taxonomy

SUBMISSION = "submission.csv"


@dataclass(frozen=True, eq=False)
class ScoredRun:
    """A run's evaluation, with thresholds of its own.

    Attributes:
        of_photos: float64 [P], the score of each validation photo, out of fold.
        figures: as in metrics.json.
    """

    member: Member
    evaluation: Evaluation
    of_photos: np.ndarray
    figures: dict[str, Any]

    def __str__(self) -> str:
        """Name, score with its interval, mask AP50."""
        ap50 = self.figures["coco"]["mask"]["ap50"]
        score = interval_text(self.figures["competition_score"], self.figures["competition_score_interval"])
        return f"{self.member.name}: score {score}, mask AP50 {'none' if ap50 is None else f'{ap50:.3f}'}"


def score_run(member: Member, root: Path, settings: Evaluate) -> ScoredRun:
    """Searches the thresholds of a run and scores it out of fold.

    Args:
        root: of the checkout, for the truths and the split.

    Raises:
        UserError: as `evaluate_member`.
    """
    decoded = root / "data/decoded"
    photos, evaluation = evaluate_member(
        member, decoded, root / "data/splits", settings, read_taxonomy(decoded)
    )
    of_photos = photo_scores(evaluation.out_of_fold[settings.label])
    return ScoredRun(member, evaluation, of_photos, metrics(evaluation, photos, settings.label))


def refuse_other_folder(out: Path) -> None:
    """
    Raises:
        UserError: `out` exists and is no such run, so it is not replaced.
    """
    if out.exists() and not (out / REPORTS / METRICS).is_file():
        raise UserError(
            f"--out: {out} exists and is no ensemble or average; expected a new folder or one of those"
        )


def write_run(folder: Path, run: ScoredRun, root: Path, settings: Evaluate) -> None:
    """Writes detections, scores, thresholds and submission.csv into a folder, for `ensemble` and `compare`."""
    member, thresholds = run.member, run.evaluation.calibration.final
    write_detections(member.validation, folder / "predictions" / VALIDATION)
    write_detections(member.test, folder / "predictions" / TEST)
    write_json(folder / REPORTS / METRICS, run.figures)
    write_table(
        score_table(run.evaluation, member.validation.photos, settings.label), folder / REPORTS / PHOTO_SCORES
    )
    write_thresholds(thresholds, folder / REPORTS / "thresholds.json")
    write_submission(
        member.test,
        thresholds,
        _test_photos(member, root),
        folder / SUBMISSION,
        read_taxonomy(root / "data/decoded"),
    )


def describe_submission(folder: Path, member: Member, root: Path) -> tuple[str, bool]:
    """A line on the submission of a written run, and whether the competition would take it."""
    test_photos = _test_photos(member, root)
    with (folder / SUBMISSION).open(encoding="utf-8", newline="") as file:
        encoded = [row["EncodedPixels"] != "" for row in csv.DictReader(file)]
    faults = check_submission(folder / SUBMISSION, test_photos, read_taxonomy(root / "data/decoded"))
    return (
        f"{sum(encoded)} objects on {len(test_photos)} test photos ({len(encoded) - sum(encoded)} without objects), "
        f"{'valid' if not faults else faults[0]} -> {folder / SUBMISSION}"
    ), not faults


def _test_photos(member: Member, root: Path) -> list[str]:
    folder = root / "data/raw/test"
    return list_test_photos(folder) if folder.is_dir() else list(member.test.photos)
