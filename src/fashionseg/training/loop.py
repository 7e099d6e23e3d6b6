"""One training stage: epochs of `fit`, validation after each, state on disk, the best epoch's weights at the end."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np

from fashionseg.console import say
from fashionseg.history import VALIDATION_SCORE
from fashionseg.model.api import BATCH_KEYS, POSE_KEYS, Network
from fashionseg.params import Train
from fashionseg.storage.atomic import atomic_write
from fashionseg.training.network import TrainingNetwork
from fashionseg.training.optimizer import make_optimizer, uses_l2_loss
from fashionseg.training.progress import EpochProgress
from fashionseg.training.stage import Stage
from fashionseg.training.state import TrainingState

Batch = dict[str, np.ndarray]


class EndlessBatches(Protocol):
    """Training batches from a given epoch on; see `fashionseg.data.loader.TrainingBatches`."""

    image_ids: Sequence[str]
    steps_per_epoch: int

    def __iter__(self) -> Iterator[Batch]: ...
    def close(self) -> None: ...


class AllBatches(Protocol):
    """Every validation photo once, each time it is iterated; see `fashionseg.data.loader.Batches`.

    The arrays of a batch are new each time: TensorFlow may write into those that it was given.
    """

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Batch]: ...


@dataclass(frozen=True)
class TrainingResult:
    """The history and the epoch whose weights are kept.

    Attributes:
        history: a row per epoch.
        best_epoch: its number.
        best_loss: its validation loss.
        best_score: its validation score; None without a score.
    """

    history: list[dict[str, Any]]
    best_epoch: int
    best_loss: float
    best_score: float | None


def train(
    network: Network,
    stage: Stage,
    settings: Train,
    make_batches: Callable[[int], EndlessBatches],
    validation: AllBatches,
    state: TrainingState,
    on_epoch: Callable[[dict[str, Any]], None],
    score: Callable[[], float] | None = None,
) -> TrainingResult:
    """Trains the weights of `stage.phase` in place and leaves those of the best epoch in `network`.

    With `train.ema_decay` the averaged weights are validated, scored and kept, and the raw ones are trained.

    Args:
        settings: the `train` section of params.yaml, without `auto`.
        make_batches: the training batches from epoch n of this stage on, from 0.
        validation: batches of as many photos as those of the training; photo index -1 is padding.
        state: of an interrupted training, resumed from its last completed epoch.
        on_epoch: called with the row of each epoch, those before a resume included.
        score: called after each epoch; the score of the network on the validation photos, which then chooses the best
            epoch instead of the validation loss.

    Raises:
        UserError: the loss is no longer finite, with the photos of the batch; the state of the last completed epoch
            stays.
    """
    network.set_phase(stage.phase, settings.frozen_stages)
    training = TrainingNetwork(
        network,
        settings.loss_weights,
        settings.weight_decay if uses_l2_loss(settings) else 0.0,
        settings.ema_decay,
    )
    batches = make_batches(state.epochs_done)
    steps = batches.steps_per_epoch
    optimizer = make_optimizer(
        settings, stage.learning_rate, stage.epochs * steps, network.backbone_variables
    )
    training.compile(optimizer=optimizer, jit_compile=settings.jit_compile)
    optimizer.build(training.trainable_variables)
    if state.epochs_done:
        say(
            f"{stage.name}: resuming after epoch {stage.epochs_before + state.epochs_done}/{stage.last_epoch}"
        )
        state.load(training)
        for row in state.history:
            on_epoch(row)

    # Keras takes batches ahead of the step that it runs, in order.
    taken: deque[np.ndarray] = deque()

    def photos_of_step() -> list[str]:
        return [batches.image_ids[index] for index in taken.popleft()]

    progress = EpochProgress(stage, network.loss_names, steps, settings.batch_size, photos_of_step)
    failures: list[Exception] = []
    validation_inputs = ValidationInputs(validation, failures)

    def end_epoch(epoch: int, logs: dict[str, float]) -> None:
        row = {"epoch": epoch + 1, "stage": stage.name, "learning_rate": float(optimizer.learning_rate)}
        row |= {name: float(logs[name]) for name in ("loss", *network.loss_names)}
        with training.averaged():
            losses = training.evaluate(validation_inputs, return_dict=True, verbose=0)
            row |= {f"val_{name}": float(losses[name]) for name in ("loss", *network.loss_names)}
            progress.check_validation(row)
            if score is not None:
                row[VALIDATION_SCORE] = score()
        state.add_epoch(row, training)
        progress.report(row, state.best_epoch == row["epoch"])
        on_epoch(row)

    try:
        if state.epochs_done < stage.epochs:
            training.fit(
                _inputs(batches, taken, failures),
                epochs=stage.last_epoch,
                initial_epoch=stage.epochs_before + state.epochs_done,
                steps_per_epoch=steps,
                callbacks=[progress, keras.callbacks.LambdaCallback(on_epoch_end=end_epoch)],
                shuffle=False,  # the batches come shuffled
                verbose=0,
            )
    except Exception:
        if failures:  # TensorFlow wraps a loader's error in one of its own, with pages of its own code
            raise failures[0] from None
        raise
    finally:
        progress.on_train_end()
        batches.close()
    state.load_best(network)
    assert state.best is not None
    return TrainingResult(
        state.history, state.best_epoch, state.best["val_loss"], state.best.get(VALIDATION_SCORE)
    )


def model_inputs(batch: Batch) -> Batch:
    """A loader's batch as `Network.loss_terms` takes it."""
    given = {**batch, "is_photo": batch["photo_index"] >= 0}
    return {name: given[name] for name in (*BATCH_KEYS, *POSE_KEYS) if name in given}


def _inputs(
    batches: Iterable[Batch], taken: deque[np.ndarray], failures: list[Exception]
) -> Iterator[tuple[Batch]]:
    """Inputs for `fit`; appends the photo indices of each batch to `taken`, the loader's errors to `failures`."""
    try:
        for batch in batches:
            taken.append(batch["photo_index"])
            yield (model_inputs(batch),)
    except Exception as error:
        failures.append(error)
        raise


class ValidationInputs(keras.utils.PyDataset):
    """Inputs for `evaluate`, any number of times; appends the loader's errors to `failures`.

    Keras keeps several times as much memory of each generator that it evaluates as of a `PyDataset`, for the whole
    training. It asks for the batches in order, so they are iterated, which lets the loader read ahead.
    """

    def __init__(self, batches: AllBatches, failures: list[Exception]) -> None:
        super().__init__()
        self._batches, self._failures = batches, failures
        self._iterator: Iterator[Batch] = iter(())
        self._next = 0
        # Keras begins one more iteration at the end of each evaluation and drops it; TensorFlow reads its first batches
        # ahead in a thread, maybe while the next evaluation begins.
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> tuple[Batch]:
        with self._lock:
            try:
                if index != self._next or index == 0:
                    self._iterator = islice(iter(self._batches), index, None)
                batch = next(self._iterator)
                self._next = index + 1
            except Exception as error:
                self._next = 0  # whatever is asked for next is read anew
                self._failures.append(error)
                raise
        return (model_inputs(batch),)


def write_history(history: Sequence[dict[str, Any]], path: Path) -> None:
    """A csv with a row per epoch; the same history gives the same bytes."""
    import pandas as pd

    with atomic_write(path) as temporary:
        pd.DataFrame(history).to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")
