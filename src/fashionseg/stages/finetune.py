"""Stage `finetune`: train all layers on from the heads, at a lower rate.

1. Build the network and load the weights of `train_heads`.
2. Train all layers, choosing the best epoch on the validation photos.
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
    parser = argparse.ArgumentParser(description="Train all layers on from the heads.")
    parser.add_argument("--decoded", type=Path, required=True)
    parser.add_argument("--splits", type=Path, required=True)
    parser.add_argument("--heads", type=Path, required=True)
    parser.add_argument("--finetuned", type=Path, required=True)
    parser.add_argument("--params", type=Path, default=PARAMS_FILE)
    arguments = parser.parse_args()
    params = load_params(arguments.params)
    make_reproducible(params.seed + 1, params.train.deterministic)

    from fashionseg.model.folder import WEIGHTS_FILE, load_weights
    from fashionseg.model.networks import build_network
    from fashionseg.stages.training_stage import read_history_length, run_training
    from fashionseg.taxonomy import competition_taxonomy
    from fashionseg.training.devices import shared_between
    from fashionseg.training.hardware import choose_training
    from fashionseg.training.network import set_compute_type

    train = choose_training(params.train)
    set_compute_type(train.mixed_precision is True)
    with shared_between(train.num_devices):
        network = build_network(
            params.model, competition_taxonomy().num_categories, params.inference, params.sampling
        )
        load_weights(network, arguments.heads / WEIGHTS_FILE)
        network.set_phase("all")
        run_training(
            "finetune",
            params,
            train,
            train.finetune,
            network,
            first_epoch=read_history_length(arguments.heads),
            decoded=arguments.decoded,
            splits=arguments.splits,
            inputs=[arguments.decoded, arguments.splits, arguments.heads],
            out=arguments.finetuned,
        )


if __name__ == "__main__":
    sys.exit(exit_code(main))
