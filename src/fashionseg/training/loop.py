"""One training stage: epochs of `fit`, validation after each, state on disk, the best epoch's weights at the end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np

from fashionseg.console import say
from fashionseg.model.api import BATCH_KEYS, Network
from fashionseg.params import Train
from fashionseg.storage.atomic import atomic_write
from fashionseg.training.network import TrainingNetwork
from fashionseg.training.optimizer import make_optimizer, uses_l2_loss
from fashionseg.training.progress import EpochProgress
from fashionseg.training.state import TrainingState

Batch = dict[str, np.ndarray]


class Batches(Protocol):
    """Training batches without end, from a given epoch on; see `fashionseg.data.loader.TrainingBatches`."""

    image_ids: Sequence[str]
    steps_per_epoch: int

    def __iter__(self) -> Iterator[Batch]: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class TrainingResult:
    """`history`: a row per epoch, epochs counted over both stages; `best_epoch` by validation loss."""

    history: list[dict[str, Any]]
    best_epoch: int
    best_loss: float


def train(
    network: Network,
    stage: str,
    settings: Train,
    epochs: int,
    learning_rate: float,
    first_epoch: int,
    make_batches: Callable[[int], Batches],
    validation: Callable[[], Iterable[Batch]],
    state: TrainingState,
    on_epoch: Callable[[dict[str, Any]], None],
) -> TrainingResult:
    """Trains the trainable weights of `network` in place and leaves those of the best epoch in it.

    Args:
        network: with the wanted layers trainable.
        stage: its name, for the history and the terminal.
        settings: the `train` section of params.yaml.
        epochs, learning_rate: of this stage.
        first_epoch: epochs of the stages before, so that numbers go on.
        make_batches: the training batches from epoch n (of this stage, from 0) on.
        validation: the validation batches, each time anew.
        state: where an interrupted training is kept.
        on_epoch: called with the row of each epoch, those before a resume too.

    Raises:
        UserError: the loss is no longer finite, with the photos of the batch; the state of the last whole epoch stays.
    """
    training = TrainingNetwork(
        network, settings.loss_weights, settings.weight_decay if uses_l2_loss(settings) else 0.0
    )
    batches = make_batches(state.epochs_done)
    steps = batches.steps_per_epoch
    optimizer = make_optimizer(settings, learning_rate, epochs * steps)
    training.compile(optimizer=optimizer, jit_compile=settings.jit_compile)
    optimizer.build(training.trainable_variables)
    if state.epochs_done:
        say(f"{stage}: going on after epoch {state.epochs_done} of {epochs}")
        state.load(training)
        for row in state.history:
            on_epoch(row)

    # Keras takes batches ahead of the step that it runs, in order.
    taken: deque[np.ndarray] = deque()

    def photos_of_step() -> list[str]:
        return [batches.image_ids[index] for index in taken.popleft()]

    batch_size = settings.batch_size
    progress = EpochProgress(
        stage, network.loss_names, first_epoch, epochs, steps, batch_size, photos_of_step
    )

    def end_of_epoch(epoch: int, logs: dict[str, float]) -> None:
        row = {
            "epoch": first_epoch + epoch + 1,
            "stage": stage,
            "learning_rate": float(optimizer.learning_rate),
        }
        row |= {name: float(logs[name]) for name in ("loss", *network.loss_names)}
        row |= {f"val_{name}": value for name, value in _validate(training, validation()).items()}
        progress.check_validation(row)
        state.add_epoch(row, training, network)
        progress.report(row, state.best_epoch == row["epoch"])
        on_epoch(row)

    failures: list[Exception] = []
    try:
        if state.epochs_done < epochs:
            training.fit(
                _inputs(batches, taken, failures),
                epochs=epochs,
                initial_epoch=state.epochs_done,
                steps_per_epoch=steps,
                callbacks=[progress, keras.callbacks.LambdaCallback(on_epoch_end=end_of_epoch)],
                shuffle=False,  # the batches come shuffled
                verbose=0,
            )
    except Exception:
        if failures:  # TensorFlow makes an error of its own of it, with pages of its own code
            raise failures[0] from None
        raise
    finally:
        progress.on_train_end()
        batches.close()
    state.load_best(network)
    return TrainingResult(state.history, state.best_epoch, state.best_loss)


def _validate(training: TrainingNetwork, batches: Iterable[Batch]) -> dict[str, float]:
    """The losses over the validation photos, each batch counting by its photos."""
    totals = dict.fromkeys(("loss", *training.network.loss_names), 0.0)
    count = 0
    for batch in batches:
        num_photos = int(np.sum(batch["photo_index"] >= 0))
        losses = training.test_on_batch(model_inputs(batch), return_dict=True)
        training.reset_metrics()
        for name in totals:
            totals[name] += num_photos * float(losses[name])
        count += num_photos
    return {name: total / max(count, 1) for name, total in totals.items()}


def _inputs(
    batches: Iterable[Batch], taken: deque[np.ndarray], failures: list[Exception]
) -> Iterator[tuple[Batch]]:
    """Inputs for `fit`; `taken` gets the photo indices of each, `failures` what the loader raises."""
    try:
        for batch in batches:
            taken.append(batch["photo_index"])
            yield (model_inputs(batch),)
    except Exception as error:
        failures.append(error)
        raise


def model_inputs(batch: Batch) -> Batch:
    """A loader's batch as `Network.loss_terms` takes it."""
    given = {**batch, "is_photo": batch["photo_index"] >= 0}
    return {name: given[name] for name in BATCH_KEYS}


def write_history(history: Sequence[dict[str, Any]], path: Path) -> None:
    """A csv with a row per epoch; the same history gives the same bytes."""
    import pandas as pd

    with atomic_write(path) as temporary:
        pd.DataFrame(history).to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")
