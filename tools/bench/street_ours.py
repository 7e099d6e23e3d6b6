"""Our side of the street comparison, in its own process: `python -m tools.bench.street_ours FOLDER SECONDS`.

1. Train from the stored state, for at most SECONDS of wall time.
2. When the training time is used up, predict the validation photos.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fashionseg.backend import start_backend
from fashionseg.console import exit_code
from fashionseg.taxonomy import competition_taxonomy
from tools.bench.by_the_clock import Progress, train_by_the_clock
from tools.bench.settings import original_params
from tools.bench.street_batches import street_batches
from tools.bench.street_run import (
    CLIP_NORM,
    DECODED,
    DETECTIONS,
    STATE,
    WARMUP_SHARE,
    WEIGHT_DECAY,
    params_of,
    read_ids,
    read_run,
    write_about,
)

_WEIGHTS = "training.weights.h5"


class OurTraining:
    """`fit` for a few steps at a time.

    Args:
        training: a compiled `TrainingNetwork` whose optimizer has a plain learning rate.
        batches: endless.
    """

    def __init__(self, training: Any, batches: Iterator[dict[str, np.ndarray]]) -> None:
        self.training = training
        self._batches = batches

    def lap(self, steps: int, learning_rate: float) -> float:
        from fashionseg.training.loop import model_inputs

        self.training.optimizer.learning_rate.assign(learning_rate)
        history = self.training.fit(
            ((model_inputs(batch),) for batch in itertools.islice(self._batches, steps)),
            epochs=1,
            steps_per_epoch=steps,
            shuffle=False,
            verbose=0,
        )
        return float(history.history["loss"][-1])

    def save(self, folder: Path) -> None:
        self.training.save_weights(folder / _WEIGHTS)

    def load(self, folder: Path) -> None:
        self.training.load_weights(folder / _WEIGHTS)


def compiled_training(network: Any, loss_weights: dict[str, float], jit_compile: bool) -> Any:
    """The network with its losses and AdamW with a settable learning rate."""
    from fashionseg.training.network import TrainingNetwork
    from fashionseg.training.optimizer import AdamW

    training = TrainingNetwork(network, loss_weights, l2_decay=0.0)
    optimizer = AdamW(1e-3, weight_decay=WEIGHT_DECAY, global_clipnorm=CLIP_NORM)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    training.compile(optimizer=optimizer, jit_compile=jit_compile)
    optimizer.build(training.trainable_variables)
    return training


def main() -> None:
    folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
    deadline = time.monotonic() + seconds
    run, side = read_run(folder), folder / "ours"
    params = params_of(run, original_params())
    start_backend()
    import keras

    from fashionseg.detections.inference import load_detector, predict_records
    from fashionseg.model.build import build_mask_rcnn
    from fashionseg.model.folder import save_network
    from fashionseg.training.network import set_compute_type
    from tools.bench.gpu import check_device

    device, backend = check_device(run.is_trial), keras.backend.backend()
    keras.utils.set_random_seed(run.seed)
    set_compute_type(mixed_precision=True)
    taxonomy = competition_taxonomy()
    names = taxonomy.category_names
    network = build_mask_rcnn(
        params.model, len(names), params.inference, params.sampling, taxonomy.category_groups
    )
    training = compiled_training(network, params.train.loss_weights, backend == "jax")
    with street_batches(folder, run, params, Progress.read(side / STATE)) as batches:
        trained = OurTraining(training, iter(batches))
        done = train_by_the_clock(
            trained, side / STATE, 60 * run.minutes, run.learning_rate, WARMUP_SHARE, deadline
        )
    write_about(side, device=device, code=f"Keras {keras.__version__} on {backend}")
    if done.seconds < 60 * run.minutes:
        return
    from fashionseg.detections.store import write_detections

    save_network(network, params.model, names, side / "model")
    detector = load_detector(side / "model", params.inference)
    _, validation = read_ids(folder)
    write_detections(
        predict_records(detector, folder / DECODED, "train", validation, run.batch_size), side / DETECTIONS
    )


if __name__ == "__main__":
    sys.exit(exit_code(main))
