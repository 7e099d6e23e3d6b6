"""Stage `evaluate`: scores, calibrated thresholds, plots, pictures and the report, from stored detections.

1. Read the detections and the truths of the validation photos.
2. Search the thresholds, score out of fold, compute COCO AP.
3. Write metrics.json, thresholds.json, plots/, pictures/ and report.html; log them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fashionseg import tracking
from fashionseg.console import exit_code, say
from fashionseg.data.jpeg import decode_jpeg
from fashionseg.data.records import PhotoSource
from fashionseg.data.rle import parse_rle
from fashionseg.data.splits import read_split
from fashionseg.data.tables import record_indices
from fashionseg.detections.bit_masks import FRAME, to_runs
from fashionseg.detections.instances import find_instances
from fashionseg.detections.photos import Photo, pair_photos
from fashionseg.detections.store import Detections, read_detections
from fashionseg.detections.thresholds import write_thresholds
from fashionseg.errors import UserError
from fashionseg.history import HISTORY_FILE, join_histories
from fashionseg.metrics.competition import photo_scores
from fashionseg.metrics.evaluate import (
    Evaluation,
    category_table,
    evaluate_photos,
    metrics,
)
from fashionseg.data.truths import read_truths
from fashionseg.params import PARAMS_FILE, load_params
from fashionseg.report import Comparison, Report, write_pictures, write_report
from fashionseg.report.plots import write_plots
from fashionseg.storage.atomic import atomic_write
from fashionseg.taxonomy import competition_taxonomy, parse_class_id
from fashionseg.visualize import DrawnInstance


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--decoded", type=Path, required=True)
    parser.add_argument("--splits", type=Path, required=True)
    parser.add_argument("--predictions", type=Path, required=True)
    parser.add_argument("--heads", type=Path, required=True, help="model folder, for its losses")
    parser.add_argument("--finetuned", type=Path, required=True, help="model folder, for its losses")
    parser.add_argument("--reports", type=Path, required=True, help="folder to write into")
    parser.add_argument("--params", type=Path, default=PARAMS_FILE)
    arguments = parser.parse_args()
    params = load_params(arguments.params)
    taxonomy = competition_taxonomy()
    reports = arguments.reports

    detections = read_detections(arguments.predictions)
    _check_photos(detections, arguments.splits, arguments.predictions)
    photos = pair_photos(detections, read_truths(arguments.decoded, detections.photos))
    with tracking.stage_run("evaluate", params) as run:
        evaluation = evaluate_photos(photos, params.evaluate, taxonomy)
        figures = metrics(evaluation, photos)
        thresholds = evaluation.calibration.final
        _write_json(figures, reports / "metrics.json")
        write_thresholds(thresholds, reports / "thresholds.json")
        history = join_histories(arguments.heads, arguments.finetuned)
        write_plots(reports / "plots", evaluation, history, taxonomy)
        shown = choose_photos(detections.photos, photos, params.evaluate.pictures)
        comparisons = compare(shown, detections.photos, photos, evaluation, arguments.decoded)
        pictures = write_pictures(reports / "pictures", comparisons)
        report = Report(
            source=params.download.source,
            metrics=figures,
            thresholds=asdict(thresholds),
            categories=category_table(evaluation, taxonomy),
            heads=arguments.heads,
            finetuned=arguments.finetuned,
            decode_report=_read_json(arguments.decoded / "report.json"),
            pictures=pictures,
            figures=sorted((reports / "plots").glob("*.png")),
        )
        write_report(reports / "report.html", report)
        run.log_histories(arguments.heads / HISTORY_FILE, arguments.finetuned / HISTORY_FILE)
        run.log_reports(reports)
    say(
        f"evaluate: competition score {figures['competition_score']:.4f} out of fold, mask AP50 "
        f"{_text(figures['coco']['mask']['ap50'])} on {len(photos)} photos -> {reports / 'report.html'}"
    )


def choose_photos(image_ids: Sequence[str], photos: Sequence[Photo], count: int) -> list[int]:
    """Places of `count` photos with truths, drawn by a hash of their ids: all runs on a split picture the same."""
    drawn = sorted(
        (hashlib.blake2b(image_id.encode()).digest(), place)
        for place, (image_id, (_, truths)) in enumerate(zip(image_ids, photos, strict=True))
        if len(truths)
    )
    return [place for _, place in drawn[:count]]


def compare(
    shown: Sequence[int],
    image_ids: Sequence[str],
    photos: Sequence[Photo],
    evaluation: Evaluation,
    decoded: Path,
) -> Iterator[Comparison]:
    """Truth and prediction of the photos at `shown`, read one at a time."""
    scores = photo_scores(evaluation.out_of_fold)
    ids = [image_ids[place] for place in shown]
    source = PhotoSource(decoded, "train", record_indices(decoded, "train", ids))
    for number, place in enumerate(shown):
        detections, truths = photos[place]
        instances = find_instances(detections, evaluation.calibration.final)
        yield Comparison(
            image_id=ids[number],
            photo=decode_jpeg(source[number].jpeg),
            truths=[
                DrawnInstance.from_runs(
                    int(category), parse_rle(text, *FRAME), FRAME, attributes=_attributes(class_id)
                )
                for category, class_id, text in zip(
                    truths.categories, truths.class_ids, truths.rles, strict=True
                )
            ],
            predictions=[
                DrawnInstance.from_runs(its.category, to_runs(its.mask), FRAME, its.score)
                for its in instances
            ],
            note=f"score {scores[place]:.2f}",
        )


def _attributes(class_id: str) -> tuple[int, ...]:
    return parse_class_id(class_id, competition_taxonomy())[1]


def _check_photos(detections: Detections, splits: Path, predictions: Path) -> None:
    _, validation = read_split(splits)
    if list(detections.photos) != sorted(validation):
        raise UserError(
            f"{predictions}: expected detections on the {len(validation)} validation photos of {splits}, "
            f"got them on {len(detections.photos)} photos; run the stage predict"
        )


def _write_json(values: dict[str, Any], path: Path) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the stage decode") from None


def _text(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    sys.exit(exit_code(main))
