"""Stage `evaluate`: scores, calibrated thresholds, plots, pictures and the report, from stored detections.

1. Read the detections and the truths of the validation photos.
2. Search the thresholds, score out of fold, compute COCO AP and the error analysis.
3. Write metrics.json, photo_scores.csv, thresholds.json, plots/, pictures/ and report.html; log them.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from fashionseg import tracking
from fashionseg.console import exit_code, say
from fashionseg.data.poses import read_poses
from fashionseg.data.splits import read_groups
from fashionseg.detections.photos import read_validation_photos
from fashionseg.detections.thresholds import write_thresholds
from fashionseg.history import HISTORY_FILE, join_histories
from fashionseg.metrics.evaluate import (
    ERROR_TABLES,
    evaluate_photos,
    evaluation_tables,
    metrics,
    score_table,
)
from fashionseg.metrics.tables import write_table
from fashionseg.params import PARAMS_FILE, load_params
from fashionseg.report.figures import write_plots
from fashionseg.report.page import Report, write_report
from fashionseg.report.pictures import choose_photos, compare, write_pictures
from fashionseg.storage.json_file import read_json, write_json
from fashionseg.taxonomy import read_taxonomy


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--decoded", type=Path, required=True)
    parser.add_argument("--splits", type=Path, required=True)
    parser.add_argument(
        "--pose", type=Path, required=True, help="poses of the photos, drawn if there are any"
    )
    parser.add_argument("--predictions", type=Path, required=True, help="detections on the validation photos")
    parser.add_argument("--heads", type=Path, required=True, help="model folder, for its losses")
    parser.add_argument("--finetuned", type=Path, required=True, help="model folder, for its losses")
    parser.add_argument("--reports", type=Path, required=True, help="folder to write into")
    parser.add_argument("--params", type=Path, default=PARAMS_FILE)
    arguments = parser.parse_args()
    params = load_params(arguments.params)
    taxonomy = read_taxonomy(arguments.decoded)
    reports = arguments.reports

    image_ids, photos = read_validation_photos(arguments.decoded, arguments.splits, arguments.predictions)
    groups = read_groups(arguments.splits, image_ids)
    with tracking.stage_run("evaluate", params) as run:
        evaluation = evaluate_photos(photos, groups, params.evaluate, taxonomy)
        figures = metrics(evaluation, photos, params.evaluate.label)
        thresholds = evaluation.calibration.final
        tables = evaluation_tables(evaluation, image_ids, taxonomy)
        write_json(reports / "metrics.json", figures)
        write_table(score_table(evaluation, image_ids, params.evaluate.label), reports / "photo_scores.csv")
        write_thresholds(thresholds, reports / "thresholds.json")
        history = join_histories(arguments.heads, arguments.finetuned)
        write_plots(reports / "plots", tables, history, taxonomy)
        shown = choose_photos(image_ids, photos, params.evaluate.pictures)
        poses = read_poses(arguments.pose / "train.npz")
        shown_poses = poses.of_photos([image_ids[place] for place in shown]) if poses.image_ids else None
        comparisons = compare(shown, image_ids, photos, evaluation, arguments.decoded, taxonomy, shown_poses)
        pictures = write_pictures(reports / "pictures", comparisons, taxonomy)
        report = Report(
            source=params.download.source,
            metrics=figures,
            thresholds=asdict(thresholds),
            categories=tables["per_category"],
            heads=arguments.heads,
            finetuned=arguments.finetuned,
            decode_report=read_json(arguments.decoded / "report.json", "run the stage decode"),
            pictures=pictures,
            figures=sorted((reports / "plots").glob("*.png")),
            tables={name.replace("_", " "): tables[name] for name in ERROR_TABLES},
        )
        write_report(reports / "report.html", report)
        run.log_histories(arguments.heads / HISTORY_FILE, arguments.finetuned / HISTORY_FILE)
        run.log_reports(reports)
    ap50 = figures["coco"]["mask"]["ap50"]
    say(
        f"evaluate: competition score {figures['competition_score']:.4f} out of fold (label {figures['label']}), "
        f"mask AP50 {'none' if ap50 is None else f'{ap50:.3f}'} on {len(photos)} photos "
        f"-> {reports / 'report.html'}"
    )


if __name__ == "__main__":
    sys.exit(exit_code(main))
