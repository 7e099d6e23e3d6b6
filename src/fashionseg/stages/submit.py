"""Stage `submit`: the competition's csv for all test photos, checked. No network runs.

1. Read the stored detections on the test photos.
2. Apply the calibrated thresholds; paste the masks at 512 x 512, no pixel twice in a class.
3. Write a row for each object, and the placeholder for photos without an object or without detections (not decoded).
4. Check the file against the competition's rules.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fashionseg.console import exit_code, say
from fashionseg.detections.store import read_detections
from fashionseg.detections.thresholds import read_thresholds
from fashionseg.submission.check import check_submission, list_test_photos
from fashionseg.submission.write import write_submission
from fashionseg.taxonomy import load_taxonomy


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--test", type=Path, required=True, help="folder of the test photos")
    parser.add_argument("--predictions", type=Path, required=True, help="detections on the test photos")
    parser.add_argument("--thresholds", type=Path, required=True)
    parser.add_argument("--taxonomy", type=Path, required=True, help="as `decode` writes it")
    parser.add_argument("--submission", type=Path, required=True, help="csv to write")
    arguments = parser.parse_args()

    thresholds = read_thresholds(arguments.thresholds)
    test_photos = list_test_photos(arguments.test, may_be_none=True)
    detections = read_detections(arguments.predictions)
    taxonomy = load_taxonomy(arguments.taxonomy)
    num_objects, num_empty = write_submission(
        detections, thresholds, test_photos, arguments.submission, taxonomy
    )
    faults = check_submission(arguments.submission, test_photos, taxonomy) if test_photos else []
    # This project wrote the file, so a fault is a bug and not a user's mistake.
    assert not faults, f"{arguments.submission}: {faults[0]}"
    missing = len(test_photos) - len(detections.photos)
    say(
        f"submit: {num_objects} objects on {len(test_photos)} test photos ({num_empty} without objects), "
        f"valid -> {arguments.submission}"
        + (f" ({missing} photos not decoded, see the report of the stage decode)" if missing else "")
    )


if __name__ == "__main__":
    sys.exit(exit_code(main))
