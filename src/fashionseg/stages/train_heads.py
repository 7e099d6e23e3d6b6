"""Stage `train_heads`: train the heads on a frozen backbone.

1. Build the network of the `model` section, seeded; load pretrained weights if params.yaml names any.
2. Train all but the backbone, choosing the best epoch on the validation photos.
3. Write weights, architecture, history and summary.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fashionseg.backend import make_reproducible
from fashionseg.console import exit_code
from fashionseg.params import PARAMS_FILE, load_params


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the heads on a frozen backbone.")
    parser.add_argument("--decoded", type=Path, required=True)
    parser.add_argument("--splits", type=Path, required=True)
    parser.add_argument("--pose", type=Path, required=True)
    parser.add_argument("--pretrained", type=Path, required=True)
    parser.add_argument("--heads", type=Path, required=True)
    parser.add_argument("--params", type=Path, default=PARAMS_FILE)
    arguments = parser.parse_args()
    params = load_params(arguments.params)
    make_reproducible(params.seed, params.train.deterministic)

    from fashionseg.model.pretrained import load_pretrained
    from fashionseg.stages.training_stage import Folders, run_training
    from fashionseg.training.stage import Stage

    settings = params.train.heads
    run_training(
        Stage("train_heads", "heads", settings.epochs, settings.learning_rate),
        params,
        Folders(arguments.decoded, arguments.splits, arguments.pose, arguments.pretrained, arguments.heads),
        load_pretrained,
    )


if __name__ == "__main__":
    sys.exit(exit_code(main))
