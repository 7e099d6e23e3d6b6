"""`python -m tools.soak.training`: trains the tiny network until the time is over.

It runs the real loop: seeded batches from a worker process, validation and the state on disk after each epoch. A stage
starts its loader once; here it restarts every few epochs, as often as heads, fine-tuning and resumed runs do in weeks.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fashionseg.backend import make_reproducible
from fashionseg.console import exit_code
from fashionseg.data.loader import Batch, TrainingBatches, validation_batches
from fashionseg.params import PARAMS_FILE, Params, load_params
from fashionseg.taxonomy import competition_taxonomy
from tools.soak.inputs import soak_params, split_ids

EPOCHS_PER_LOADER = 10
_ENDLESS = 10**6  # epochs


class _TimeIsOver(Exception):
    pass


class RestartedBatches:
    """Training batches whose worker processes restart every few epochs."""

    def __init__(self, decoded: Path, image_ids: list[str], params: Params, start_epoch: int) -> None:
        self._decoded, self._params = decoded, params
        self._epoch = start_epoch
        self.image_ids: Sequence[str] = image_ids
        self._open = self._new()
        self.steps_per_epoch = self._open.steps_per_epoch

    def __iter__(self) -> Iterator[Batch]:
        while True:
            batches = iter(self._open)
            for _ in range(EPOCHS_PER_LOADER * self.steps_per_epoch):
                yield next(batches)
            self._open.close()
            self._epoch += EPOCHS_PER_LOADER
            self._open = self._new()

    def close(self) -> None:
        self._open.close()

    def _new(self) -> TrainingBatches:
        params = self._params
        return TrainingBatches(
            self._decoded,
            self.image_ids,
            params.model.image_size,
            params.sampling,
            params.augment,
            params.loader,
            params.train.batch_size,
            params.seed,
            self._epoch,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a tiny network until the time is over.")
    parser.add_argument("work", type=Path, help="folder of `inputs.write_inputs`")
    parser.add_argument("seconds", type=float)
    arguments = parser.parse_args()
    params = soak_params(load_params(PARAMS_FILE))
    make_reproducible(params.seed, params.train.deterministic)

    from fashionseg.model.folder import save_network
    from fashionseg.model.networks import build_network
    from fashionseg.training.loop import train
    from fashionseg.training.stage import Stage
    from fashionseg.training.state import TrainingState

    training_ids, validation_ids = split_ids(arguments.work / "decoded")
    taxonomy = competition_taxonomy()
    names = taxonomy.category_names
    network = build_network(
        params.model, len(names), params.inference, params.sampling, taxonomy.category_groups
    )
    state = TrainingState(arguments.work / "state")
    deadline = time.monotonic() + arguments.seconds

    def on_epoch(row: dict[str, Any]) -> None:
        if time.monotonic() > deadline:
            raise _TimeIsOver

    try:
        train(
            network,
            Stage("soak", "all", _ENDLESS, learning_rate=1e-4),
            params.train,
            lambda epoch: RestartedBatches(arguments.work / "decoded", training_ids, params, epoch),
            validation_batches(
                arguments.work / "decoded",
                validation_ids,
                params.model.image_size,
                params.sampling,
                params.train.batch_size,
            ),
            state,
            on_epoch,
        )
    except _TimeIsOver:
        save_network(network, params.model, names, arguments.work / "model")


if __name__ == "__main__":
    sys.exit(exit_code(main))
