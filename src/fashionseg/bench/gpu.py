"""A training step on a GPU with photos through the loader, beside the same without the loader and torchvision's model.

JAX, Keras and Grain are enough; torchvision is measured where it is. All three take turns on one GPU.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fashionseg.bench.inputs import write_decoded
from fashionseg.bench.rows import Bench, Row
from fashionseg.errors import UserError
from fashionseg.params import changed

if TYPE_CHECKING:
    from fashionseg.data.loader import TrainingBatches

Batch = dict[str, np.ndarray]


@dataclass(frozen=True)
class GpuRun:
    """What is measured on the GPU; defaults are the original's network at a batch that fills an 80 GB card."""

    backbone: str = "resnet101"
    side: int = 512
    batch_size: int = 32
    steps: int = 30
    rounds: int = 3
    photos: int = 1024


def check_gpu() -> str:
    """The name of the GPU that Keras's backend uses.

    Raises:
        UserError: there is none, so nothing that is worth a line can be measured.
    """
    import keras

    backend = keras.backend.backend()
    gpus = [name for name in keras.distribution.list_devices() if not name.startswith("cpu")]
    if not gpus:
        raise UserError(
            f"bench gpu: expected a GPU, got none: {backend} lists CPUs only; nothing was measured"
        )
    if backend == "jax":
        import jax

        return str(jax.devices()[0].device_kind)
    return gpus[0]


def measure_gpu(bench: Bench, run: GpuRun) -> list[Row]:
    """Photos a second in training: with the loader, on one batch that is there already, and torchvision's."""
    import keras

    from fashionseg.bench.training import compiled_step
    from fashionseg.training.network import set_compute_type

    set_compute_type(mixed_precision=True)
    model = changed(bench.params.model, backbone=run.backbone, image_max_dim=run.side)
    training = compiled_step(bench.params, model, jit_compile=True)
    batches = _batches(bench, run, model)
    try:
        photos = iter(batches)
        same = _inputs(next(photos))
        with_loader: list[float] = []
        without: list[float] = []
        peer_rates: list[float] = []
        peer = _torchvision(bench, run)
        for turn in range(run.rounds + 1):
            rates = [
                _fit_rate(training, map(_inputs, photos), run),
                _fit_rate(training, itertools.repeat(same), run),
                None if peer is None else peer(same, run.steps),
            ]
            if turn:  # the first turn compiles
                for rate, found in zip(rates, (with_loader, without, peer_rates), strict=True):
                    if rate is not None:
                        found.append(rate)
    finally:
        batches.close()
    on = (
        f"{run.backbone}, {run.side} px, bfloat16, batch {run.batch_size}, Keras on {keras.backend.backend()}"
    )
    return _rows(on, with_loader, without, peer_rates)


def _rows(on: str, with_loader: list[float], without: list[float], peer: list[float]) -> list[Row]:
    ours, resident = float(np.median(with_loader)), float(np.median(without))
    rows = [
        Row(
            "GPU training",
            on,
            ours,
            "photos/s",
            200.0,
            False,
            f"with the loader, median of {_rounded(with_loader)}",
        ),
        Row(
            "GPU training, share of the rate without input",
            on,
            ours / resident,
            "x",
            0.97,
            False,
            f"one batch again and again: {resident:.0f} photos/s; a GPU that waits for input has less",
        ),
    ]
    if peer:
        note = (
            f"torchvision's: {np.median(peer):.0f} photos/s, batch there already, median of {_rounded(peer)}"
        )
        rows.append(
            Row("GPU training, against torchvision", on, ours / float(np.median(peer)), "x", 1.5, False, note)
        )
    return rows


def _rounded(rates: list[float]) -> list[int]:
    return [round(rate) for rate in rates]


def _batches(bench: Bench, run: GpuRun, model: Any) -> TrainingBatches:
    from fashionseg.data.loader import TrainingBatches

    decoded = bench.work / "decoded-gpu"
    ids = write_decoded(decoded, max(run.photos, run.batch_size), run.side)
    # One core stays for the training itself.
    workers = max(1, len(os.sched_getaffinity(0)) - 1)
    loader = changed(bench.params.loader, workers=workers, prefetch_batches=2)
    return TrainingBatches(decoded, ids, model, bench.params.augment, loader, run.batch_size, seed=0)


def _inputs(batch: Batch) -> Batch:
    from fashionseg.training.loop import MODEL_INPUTS

    return {name: batch[name] for name in MODEL_INPUTS}


def _fit_rate(training: Any, batches: Iterator[Batch], run: GpuRun) -> float:
    """Photos a second over one epoch of `fit`, as the training stages call it; its last step waits for the GPU."""
    start = time.perf_counter()
    training.fit(
        ((batch,) for batch in batches), epochs=1, steps_per_epoch=run.steps, shuffle=False, verbose=0
    )
    return run.steps * run.batch_size / (time.perf_counter() - start)


def _torchvision(bench: Bench, run: GpuRun) -> Any:
    """A function from batch and steps to photos a second, or None where torchvision is not installed."""
    if importlib.util.find_spec("torchvision") is None:
        return None
    from fashionseg.bench.torchvision_peer import TorchvisionStep

    return TorchvisionStep(bench.params.model, run.backbone, run.side).rate
