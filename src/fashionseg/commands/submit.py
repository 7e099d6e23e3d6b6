"""`fashionseg submit [FILE] [--upload] [--message TEXT]`: check the submission; upload it only with --upload."""

from __future__ import annotations

import argparse
from pathlib import Path

from fashionseg.console import EXIT_FAULT, say
from fashionseg.project import load_project

SUBMISSION = Path("reports/submission.csv")  # both in the project's folder
TEST_PHOTOS = Path("data/raw/test")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help=f"submission [{SUBMISSION}]")
    parser.add_argument(
        "--upload", action="store_true", help="upload it to the competition with your account"
    )
    parser.add_argument("--message", metavar="TEXT", help="shown next to the score [submit.message]")


def run(arguments: argparse.Namespace) -> int:
    from fashionseg.submission.check import check_submission, list_test_photos

    root, params = load_project()
    file = arguments.file or root / SUBMISSION
    test_folder = root / TEST_PHOTOS
    faults = check_submission(file, list_test_photos(test_folder) if test_folder.is_dir() else None)
    for fault in faults:
        say(f"{file}: {fault}")
    if faults:
        say(f"{file}: not uploaded" if arguments.upload else f"{file}: {len(faults)} faults")
        return EXIT_FAULT
    if not arguments.upload:
        say(f"{file}: valid; `fashionseg submit --upload` uploads it to {params.download.competition}")
        return 0
    from fashionseg.sources.kaggle import upload_submission

    message = params.submit.message if arguments.message is None else arguments.message
    outcome = upload_submission(file, message, params.download.competition)
    say(f"{file}: submitted to {params.download.competition}: {outcome}")
    return 0
