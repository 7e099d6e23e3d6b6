"""`fashionseg check-submission FILE [--test-dir DIR | --sample-submission CSV]`: one line per fault, exit status 1."""

from __future__ import annotations

import argparse
from pathlib import Path

from fashionseg.console import EXIT_FAULT, say


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="submission to check")
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="JSON",
        help="label_descriptions.json of own categories [the competition's]",
    )
    photos = parser.add_mutually_exclusive_group()
    photos.add_argument("--test-dir", type=Path, metavar="DIR", help="test photos; each needs a row")
    photos.add_argument(
        "--sample-submission",
        type=Path,
        metavar="CSV",
        help="the competition's own file instead of the photos",
    )


def run(arguments: argparse.Namespace) -> int:
    from fashionseg.submission.check import check_submission, list_test_photos
    from fashionseg.submission.read import index_submission
    from fashionseg.taxonomy import load_taxonomy

    test_photos = None
    if arguments.test_dir is not None:
        test_photos = list_test_photos(arguments.test_dir)
    elif arguments.sample_submission is not None:
        test_photos = list(index_submission(arguments.sample_submission).photos)
    taxonomy = load_taxonomy(arguments.labels) if arguments.labels else None
    faults = check_submission(arguments.file, test_photos, taxonomy)
    for fault in faults:
        say(f"{arguments.file}: {fault}")
    if faults:
        return EXIT_FAULT
    say(f"{arguments.file}: valid" + ("" if test_photos is None else f", {len(test_photos)} test photos"))
    return 0
