"""Training on a GPU with photos through the loader, compared with a resident batch and with torchvision's model.

JAX or TensorFlow with GPU support, Keras and Grain suffice; torchvision is measured if installed, before ours and in a
separate process, so that each has the whole card. Steps run as in the training stages: `fit` with the progress bar that
reads the losses of every step.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fashionseg.console import say
from fashionseg.errors import UserError
from fashionseg.params import Params, changed
from tools.bench.gpu_profile import busy_share, profile_steps, write_profile
from tools.bench.gpu_rows import our_rows, peer_row, rounded
from tools.bench.inputs import write_decoded
from tools.bench.rows import Bench, Row
from tools.bench.settings import SMALL_NETWORK, loader_workers

if TYPE_CHECKING:
    from fashionseg.data.loader import TrainingBatches

Batch = dict[str, np.ndarray]

_PREFETCH = 2  # batches per worker
_PROFILED = 10  # steps
_UNTIMED = 3  # first steps of a round, while pipelines fill


@dataclass(frozen=True)
class GpuRun:
    """Settings of the GPU benchmark; the defaults are the original network at a batch that fills an 80 GB card.

    Attributes:
        backbone, side, batch_size: of the network and its input.
        steps: timed per round.
        rounds: of each measurement.
        photos: synthetic photos for the loader.
        is_trial: a small network that may run on a CPU; its rows have no target.
        profile: file for a table of device time over some steps with the loader, or None.
    """

    backbone: str = "resnet101"
    side: int = 512
    batch_size: int = 32
    steps: int = 30
    rounds: int = 3
    photos: int = 1024
    is_trial: bool = False
    profile: Path | None = None


# All steps in a minute or two on two CPU cores.
TRIAL = GpuRun("resnet14", side=128, batch_size=2, steps=2, rounds=1, photos=8, is_trial=True)


def check_device(may_be_cpu: bool = False) -> str:
    """The name of the device that Keras's backend uses.

    Raises:
        UserError: there is no GPU and this is not a trial.
    """
    import keras

    from fashionseg.backend import find_gpus

    backend = keras.backend.backend()
    gpus = find_gpus()
    if not gpus:
        if may_be_cpu:
            return "CPU"
        raise UserError(
            f"bench: expected a GPU, got none: {backend} lists CPUs only; nothing was measured (--try-on-cpu runs "
            "all steps with a small network)"
        )
    if backend == "jax":
        import jax

        return str(jax.devices()[0].device_kind)
    return gpus[0]


def measure_gpu(bench: Bench, run: GpuRun) -> Iterator[Row]:
    """Training photos per second: with the loader, on one resident batch, and of torchvision."""
    import keras

    from fashionseg.training.loop import model_inputs
    from fashionseg.training.network import set_compute_type
    from tools.bench.torchvision_peer import measure_torchvision
    from tools.bench.training import compiled_step

    set_compute_type(mixed_precision=True)
    params = params_of(bench.params, run)
    batches = _batches(bench, run, params)
    on = (
        f"{run.backbone}, {run.side} px, bfloat16, batch {run.batch_size}, {params.sampling.rois_per_image} RoIs, "
        f"Keras on {keras.backend.backend()}"
    )
    try:
        photos = map(model_inputs, batches)
        same = next(photos)
        peer_rates, peer_note = measure_torchvision(
            bench.work, params, same, run.steps, run.rounds, run.is_trial
        )
        say(f"torchvision: {rounded(peer_rates)} photos/s; {peer_note}")  # on record if the run is cut off
        training = compiled_step(params, jit_compile=keras.backend.backend() == "jax")
        start = time.perf_counter()
        _fit_rate(training, photos, run, steps=2)
        compiled_in = time.perf_counter() - start
        say(f"ours: compiled, {compiled_in:.0f} s")
        resident = _on_device(same)
        with_loader: list[float] = []
        without: list[float] = []
        for _ in range(run.rounds):
            _drain(photos, run)
            with_loader.append(_fit_rate(training, photos, run))
            without.append(_fit_rate(training, itertools.repeat(resident), run))
        yield from our_rows(on, with_loader, without, compiled_in, run.is_trial)
        yield peer_row(on, with_loader, peer_rates, peer_note, run.is_trial)
        if run.profile is not None:
            steps = min(run.steps, _PROFILED)
            operations = profile_steps(
                lambda: _fit_rate(training, photos, run, steps), bench.work / "profile"
            )
            write_profile(operations, steps, run.profile)
            say(f"device busy {busy_share(operations):.1%} of the time of {steps} steps -> {run.profile}")
    finally:
        batches.close()


def params_of(params: Params, run: GpuRun) -> Params:
    """`params` at the size of the run."""
    sizes = {"model.backbone.name": run.backbone, "model.image_size": run.side}
    return changed(params, {**sizes, **(SMALL_NETWORK if run.is_trial else {})})


def _batches(bench: Bench, run: GpuRun, params: Params) -> TrainingBatches:
    from fashionseg.data.loader import TrainingBatches

    decoded = bench.work / "decoded-gpu"
    ids = write_decoded(decoded, max(run.photos, run.batch_size), run.side)
    loader = changed(bench.params.loader, workers=loader_workers(), prefetch_batches=_PREFETCH)
    return TrainingBatches(
        decoded, ids, run.side, params.sampling, params.augment, loader, run.batch_size, seed=0
    )


def _drain(photos: Iterator[Batch], run: GpuRun) -> None:
    """Consumes the batches prefetched while idle, which would hide the loader's rate in a timed round."""
    ahead = 1 if run.is_trial else 3 * _PREFETCH * loader_workers()  # finished, in progress, in transfer
    for _ in itertools.islice(photos, ahead):
        pass


def _on_device(batch: Batch) -> dict[str, Any]:
    """The batch on the device, so that no step transfers it; unchanged on TensorFlow."""
    import keras

    if keras.backend.backend() != "jax":
        return dict(batch)
    import jax

    return jax.device_put(batch)


def _fit_rate(training: Any, batches: Iterator[Batch], run: GpuRun, steps: int | None = None) -> float:
    """Photos per second over one epoch of `fit` as the training stages call it, without the first steps."""
    import keras

    from fashionseg.training.progress import EpochProgress
    from fashionseg.training.stage import Stage

    steps = steps or run.steps + _UNTIMED
    ends: list[float] = []
    clock = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: ends.append(time.perf_counter())
    )
    stage = Stage("bench", "all", epochs=1, learning_rate=0.0)
    progress = EpochProgress(stage, training.network.loss_names, steps, run.batch_size, list)
    training.fit(
        ((batch,) for batch in itertools.islice(batches, steps)),
        epochs=1,
        steps_per_epoch=steps,
        callbacks=[progress, clock],
        shuffle=False,
        verbose=0,
    )
    first = min(_UNTIMED, steps) - 1
    return (steps - 1 - first) * run.batch_size / (ends[-1] - ends[first]) if steps - 1 > first else 0.0
