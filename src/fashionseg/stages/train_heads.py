"""Stage `train_heads`: train the heads on a frozen backbone.

1. Build the network of the `model` section, seeded.
2. Load the pretrained weights, if any were asked for.
3. Freeze the backbone; train pyramid, RPN and heads, choosing the best epoch on the validation photos.
4. Write weights, architecture, history and summary.
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
    parser.add_argument("--pretrained", type=Path, required=True)
    parser.add_argument("--heads", type=Path, required=True)
    parser.add_argument("--params", type=Path, default=PARAMS_FILE)
    arguments = parser.parse_args()
    params = load_params(arguments.params)
    make_reproducible(params.seed, params.train.deterministic)

    from fashionseg.model.networks import build_network
    from fashionseg.model.pretrained import load_pretrained
    from fashionseg.stages.training_stage import run_training
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
        load_pretrained(network, arguments.pretrained)
        network.set_phase("heads")
        run_training(
            "train_heads",
            params,
            train,
            train.heads,
            network,
            first_epoch=0,
            decoded=arguments.decoded,
            splits=arguments.splits,
            inputs=[arguments.decoded, arguments.splits, arguments.pretrained],
            out=arguments.heads,
        )


if __name__ == "__main__":
    sys.exit(exit_code(main))
