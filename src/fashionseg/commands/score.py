"""`fashionseg score --truth train.csv --submission submission.csv [--label classid|category] [--json]`.

1. Check the submission as the competition would.
2. Match every photo of the truth, on all cores.
3. Print the score at the three levels of averaging.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from fashionseg.console import say

LEVELS = {
    "image_category": "per photo and label, then over photos",
    "image": "per photo over all its objects",
    "pooled": "over all objects of all photos",
}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--truth", type=Path, required=True, metavar="CSV", help="csv in train.csv's form")
    parser.add_argument("--submission", type=Path, required=True, metavar="CSV", help="submission to score")
    parser.add_argument(
        "--label",
        choices=("classid", "category"),
        default="classid",
        help="label to match: the whole ClassId with its attributes, as in the competition [default], "
        "or the category",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="JSON",
        help="label_descriptions.json of own categories [the competition's]",
    )


def run(arguments: argparse.Namespace) -> None:
    from fashionseg.submission.score import score_submission
    from fashionseg.taxonomy import load_taxonomy

    taxonomy = load_taxonomy(arguments.labels) if arguments.labels else None
    result = score_submission(arguments.truth, arguments.submission, arguments.label, taxonomy)
    if arguments.json:
        say(json.dumps(result.to_dict(), indent=2))
        return
    say(f"competition score, label {result.label}:")
    for level, meaning in LEVELS.items():
        say(f"  {level:<15} {result.scores[level]:.5f}  {meaning}")
    say(f"{result.num_photos} photos, {result.num_truths} truths, {result.num_predictions} predictions")
    if result.photos_missing:
        missing = result.photos_missing
        say(f"{missing} photos of the truth are not in the submission: scored without predictions")
    if result.photos_ignored:
        say(f"{result.photos_ignored} photos of the submission are not in the truth: skipped")
    if result.truths_vanished:
        say(f"{result.truths_vanished} truths have no pixel at 512 x 512: skipped")
