"""Training of the toy network on fixed batches."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from fashionseg.backend import make_reproducible
from fashionseg.model.api import Network
from fashionseg.params import Train, changed, load_params
from fashionseg.training.loop import TrainingResult, train
from fashionseg.training.stage import Stage
from fashionseg.training.state import TrainingState
from fixed_batches import Batch, FixedBatches
from toy_network import ToyNetwork, make_toy, toy_batch

BATCH, STEPS, EPOCHS = 2, 2, 3
STAGE = Stage("finetune", "all", EPOCHS, 1e-2, epochs_before=1)


def make_settings(**changes: Any) -> Train:
    return changed(
        load_params().train,
        {
            "deterministic": True,
            "jit_compile": False,
            "num_devices": 1,
            "images_per_device": BATCH,
            "warmup_steps": 1,
            "loss_weights": {},
            **changes,
        },
    )


class Stopped(Exception):
    pass


def run(
    network: Network,
    folder: Path,
    stop_after: int | None = None,
    stage: Stage = STAGE,
    batches: type[FixedBatches] = FixedBatches,
    validation: list[Batch] | None = None,
    score: Callable[[], float] | None = None,
    **changes: Any,
) -> TrainingResult:
    """Trains; `stop_after` is the number of the epoch after which `Stopped` is raised."""

    def on_epoch(row: dict[str, Any]) -> None:
        if row["epoch"] == stop_after:
            raise Stopped

    return train(
        network,
        stage,
        make_settings(**changes),
        partial(batches, partial(toy_batch, BATCH), STEPS),
        validation or [toy_batch(BATCH, 100)],
        TrainingState(folder),
        on_epoch,
        score,
    )


def fresh_network(seed: int = 1) -> ToyNetwork:
    make_reproducible(seed, deterministic=True)
    return make_toy(seed)


def weights_of(network: keras.Model) -> list[np.ndarray]:
    return [np.array(weight) for weight in network.get_weights()]


def all_equal(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
