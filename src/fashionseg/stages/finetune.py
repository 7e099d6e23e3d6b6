"""Stage `finetune`: train all layers, starting from the weights of `train_heads` or of a finished model.

1. Build the network and load the weights of `train_heads`, or those that `train.finetune.from` names.
2. Train all layers, choosing the best epoch on the validation photos.
3. Write weights, architecture, history and summary.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fashionseg.backend import make_reproducible
from fashionseg.console import exit_code, say
from fashionseg.params import PARAMS_FILE, load_params


def main() -> None:
    parser = argparse.ArgumentParser(description="Train all layers, starting from the heads.")
    parser.add_argument("--decoded", type=Path, required=True)
    parser.add_argument("--splits", type=Path, required=True)
    parser.add_argument("--pose", type=Path, required=True)
    parser.add_argument("--heads", type=Path, required=True)
    parser.add_argument("--finetuned", type=Path, required=True)
    parser.add_argument("--params", type=Path, default=PARAMS_FILE)
    arguments = parser.parse_args()
    params = load_params(arguments.params)
    make_reproducible(params.seed + 1, params.train.deterministic)

    from fashionseg.history import HISTORY_FILE, read_history
    from fashionseg.model.folder import load_trained
    from fashionseg.stages.finished_model import find_finished
    from fashionseg.stages.training_stage import Folders, run_training
    from fashionseg.training.stage import Stage

    settings = params.train.finetune
    epochs_before = len(read_history(arguments.heads / HISTORY_FILE))
    initial, epochs_seen = arguments.heads, 0
    if settings.from_ is not None:
        initial = find_finished(settings.from_, arguments.finetuned)
        epochs_seen = len(read_history(initial / HISTORY_FILE)) if (initial / HISTORY_FILE).exists() else 0
        say(f"finetune: continues from {settings.from_}, trained for {epochs_seen} epochs")
    run_training(
        Stage("finetune", "all", settings.epochs, settings.learning_rate, epochs_before, epochs_seen),
        params,
        Folders(arguments.decoded, arguments.splits, arguments.pose, initial, arguments.finetuned),
        load_trained,
    )


if __name__ == "__main__":
    sys.exit(exit_code(main))
