"""Stage `predict`: detections on the validation photos, at a low threshold.

1. Load the fine-tuned network.
2. Run it over the validation photos.
3. Write boxes, scores and 28 x 28 mask probabilities; thresholds are found later, without the network.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fashionseg.console import exit_code, say
from fashionseg.data.splits import read_split
from fashionseg.params import PARAMS_FILE, load_params


def main() -> None:
    parser = argparse.ArgumentParser(description="Detect garments on the validation photos.")
    parser.add_argument("--decoded", type=Path, required=True)
    parser.add_argument("--splits", type=Path, required=True)
    parser.add_argument("--finetuned", type=Path, required=True)
    parser.add_argument("--predictions", type=Path, required=True)
    parser.add_argument("--params", type=Path, default=PARAMS_FILE)
    arguments = parser.parse_args()
    params = load_params(arguments.params)

    from fashionseg.detections.inference import load_detector, predict_records
    from fashionseg.detections.store import write_detections

    _, validation_ids = read_split(arguments.splits)
    detector = load_detector(arguments.finetuned, params.inference)
    detections = predict_records(
        detector, arguments.decoded, "train", validation_ids, params.predict.batch_size
    )
    write_detections(detections, arguments.predictions)
    say(f"predict: {len(detections)} detections on {len(validation_ids)} photos -> {arguments.predictions}")


if __name__ == "__main__":
    sys.exit(exit_code(main))
