"""Stage `submit`: the competition's csv for all test photos, checked.

1. Run the fine-tuned network over the decoded test photos.
2. Apply the calibrated thresholds; paste the masks at 512 x 512, no pixel twice in a class.
3. Write a row for each object, and the placeholder for photos without one or that could not be decoded.
4. Check the file against the competition's rules.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fashionseg.console import exit_code, say
from fashionseg.params import PARAMS_FILE, load_params


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--test", type=Path, required=True, help="folder of the test photos")
    parser.add_argument("--decoded", type=Path, required=True)
    parser.add_argument("--finetuned", type=Path, required=True)
    parser.add_argument("--thresholds", type=Path, required=True)
    parser.add_argument("--submission", type=Path, required=True, help="csv to write")
    parser.add_argument("--params", type=Path, default=PARAMS_FILE)
    arguments = parser.parse_args()
    params = load_params(arguments.params)

    # Imported here, so that the worker processes that paste masks start without the network's packages.
    from fashionseg.data.tables import read_photos
    from fashionseg.detections.inference import load_detector, predict_records
    from fashionseg.detections.store import no_detections
    from fashionseg.detections.thresholds import read_thresholds
    from fashionseg.submission.check import check_submission, list_test_photos
    from fashionseg.submission.write import write_submission

    thresholds = read_thresholds(arguments.thresholds)
    test_photos = list_test_photos(arguments.test)
    decoded = read_photos(arguments.decoded, "test")["image_id"].tolist()
    if decoded:
        detector = load_detector(arguments.finetuned, params.inference)
        detections = predict_records(detector, arguments.decoded, "test", decoded, params.predict.batch_size)
    else:
        detections = no_detections([])
    num_objects = write_submission(detections, thresholds, test_photos, arguments.submission)
    faults = check_submission(arguments.submission, test_photos)
    # The file is ours, so a fault is a mistake of this project and not of its user.
    assert not faults, f"{arguments.submission}: {faults[0]}"
    undecoded = len(test_photos) - len(decoded)
    say(
        f"submit: {num_objects} objects on {len(test_photos)} test photos, valid -> {arguments.submission}"
        + (f" ({undecoded} photos not decoded, see {arguments.decoded / 'report.json'})" if undecoded else "")
    )


if __name__ == "__main__":
    sys.exit(exit_code(main))
