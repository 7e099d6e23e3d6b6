"""`fashionseg ensemble RUN RUN ... [--weights 2 1 ...] [--out DIR]`: weighted box fusion of stored detections.

1. Read the validation and test detections of each run.
2. Fuse them; search the thresholds again; score each run and the ensemble out of fold.
3. Write the fused detections, scores, thresholds and a checked submission.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from fashionseg.console import EXIT_FAULT, say
from fashionseg.errors import UserError
from fashionseg.project import load_project

OUT = Path("ensemble")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="`workspace`, a folder, a DVC experiment or a Git revision with data/predictions",
    )
    parser.add_argument(
        "--weights", nargs="+", type=float, default=[], metavar="W", help="of the runs [equal]"
    )
    parser.add_argument("--out", type=Path, default=OUT, help=f"folder to write, replaced as a whole [{OUT}]")


def run(arguments: argparse.Namespace) -> int:
    from fashionseg.detections.store import write_detections
    from fashionseg.detections.thresholds import write_thresholds
    from fashionseg.experiments.ensemble import TEST, VALIDATION, evaluate_member, fuse_members, read_member
    from fashionseg.experiments.results import METRICS, PHOTO_SCORES, REPORTS
    from fashionseg.metrics.bootstrap import compare_settings, interval_text
    from fashionseg.metrics.competition import photo_scores
    from fashionseg.metrics.evaluate import metrics, score_table
    from fashionseg.metrics.tables import write_table
    from fashionseg.storage.atomic import atomic_directory
    from fashionseg.storage.json_file import write_json
    from fashionseg.submission.check import check_submission, list_test_photos
    from fashionseg.submission.write import write_submission
    from fashionseg.taxonomy import competition_taxonomy

    if len(set(arguments.runs)) != len(arguments.runs) or len(arguments.runs) < 2:
        raise UserError(f"expected at least two different runs, got {' '.join(arguments.runs)}")
    root, params = load_project()
    out = arguments.out
    if out.exists() and not (out / REPORTS / METRICS).is_file():
        raise UserError(f"--out: {out} exists and is no ensemble; expected a new folder or an ensemble")
    taxonomy, settings = competition_taxonomy(), params.evaluate
    decoded, splits = root / "data/decoded", root / "data/splits"
    members = [read_member(root, name) for name in arguments.runs]
    fused = fuse_members(members, arguments.weights)
    scores = []
    for member in (*members, fused):
        photos, evaluation = evaluate_member(member, decoded, splits, settings, taxonomy)
        figures = metrics(evaluation, photos, settings.label)
        scores.append(photo_scores(evaluation.out_of_fold[settings.label]))
        ap50 = figures["coco"]["mask"]["ap50"]
        say(
            f"{member.name if member is not fused else 'ensemble'}: score "
            f"{interval_text(figures['competition_score'], figures['competition_score_interval'])}, "
            f"mask AP50 {'none' if ap50 is None else f'{ap50:.3f}'}"
        )
    best = max(range(len(members)), key=lambda place: scores[place].mean())
    found = compare_settings(scores[best][None], scores[-1][None])
    low, high = found.interval
    verdict = "shown" if found.is_shown else "not shown: the interval contains 0"
    say(
        f"ensemble - {members[best].name}: {found.difference:+.4f}, 95 % interval {low:+.4f} to {high:+.4f}, {verdict}"
    )

    thresholds = evaluation.calibration.final
    test_folder = root / "data/raw/test"
    test_photos = list_test_photos(test_folder) if test_folder.is_dir() else list(fused.test.photos)
    with atomic_directory(out) as temporary:
        write_detections(fused.validation, temporary / "predictions" / VALIDATION)
        write_detections(fused.test, temporary / "predictions" / TEST)
        write_json(temporary / REPORTS / METRICS, figures)
        write_table(
            score_table(evaluation, fused.validation.photos, settings.label),
            temporary / REPORTS / PHOTO_SCORES,
        )
        write_thresholds(thresholds, temporary / REPORTS / "thresholds.json")
        write_json(
            temporary / "ensemble.json",
            {"runs": arguments.runs, "weights": arguments.weights or [1.0] * len(members)},
        )
        num_objects, num_empty = write_submission(
            fused.test, thresholds, test_photos, temporary / "submission.csv"
        )
    faults = check_submission(out / "submission.csv", test_photos)
    say(
        f"{num_objects} objects on {len(test_photos)} test photos ({num_empty} without objects), "
        f"{'valid' if not faults else faults[0]} -> {out / 'submission.csv'}"
    )
    return EXIT_FAULT if faults else 0
