"""Stage `predict`: detections on the validation and the test photos, at a low threshold.

1. Load the fine-tuned network, and the poses of the photos if it takes them.
2. Run it over the validation photos, then over the decoded test photos.
3. Write boxes, scores and 28 x 28 mask probabilities of both; thresholds are searched later, without the network.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fashionseg.console import exit_code, say
from fashionseg.data.splits import read_split
from fashionseg.params import PARAMS_FILE, load_params


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--decoded", type=Path, required=True)
    parser.add_argument("--splits", type=Path, required=True)
    parser.add_argument("--pose", type=Path, required=True)
    parser.add_argument("--finetuned", type=Path, required=True)
    parser.add_argument("--predictions", type=Path, required=True, help="folder for validation/ and test/")
    parser.add_argument("--params", type=Path, default=PARAMS_FILE)
    arguments = parser.parse_args()
    params = load_params(arguments.params)

    # Imported here, so that a usage error does not wait for the network's packages.
    from fashionseg.data.poses import poses_of
    from fashionseg.data.tables import read_photos
    from fashionseg.detections.inference import load_detector, predict_records
    from fashionseg.detections.store import no_detections, write_detections

    _, validation_ids = read_split(arguments.splits)
    test_ids = read_photos(arguments.decoded, "test")["image_id"].tolist()
    detector = load_detector(arguments.finetuned, params.inference, params.train.num_devices)
    counts = []
    for name, subset, ids in (("validation", "train", validation_ids), ("test", "test", test_ids)):
        detections = no_detections([])
        if ids:
            poses = poses_of(arguments.pose, subset, ids) if detector.network.takes_pose else None
            detections = predict_records(
                detector, arguments.decoded, subset, ids, params.predict.batch_size, poses
            )
        write_detections(detections, arguments.predictions / name)
        num_empty = sum(not len(of_photo) for of_photo in detections.of_photos())
        counts.append(f"{len(detections)} on {len(ids)} {name} photos ({num_empty} without objects)")
    say(f"predict: detections: {', '.join(counts)} -> {arguments.predictions}")


if __name__ == "__main__":
    sys.exit(exit_code(main))
