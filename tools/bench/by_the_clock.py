"""Training for a given time instead of a number of epochs: two implementations on one machine get the same minutes.

Only the time of steps counts; compiling, kernel selection, writing the state and start-up do not, for either.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from fashionseg.console import say
from fashionseg.errors import UserError
from fashionseg.storage.atomic import atomic_directory

PROGRESS = "progress.json"

_LAP_SECONDS = 5.0  # after a lap: wait for the device, read the clock, set the learning rate
_MAX_LAP = 200
_SAVE_SECONDS = 120.0
_UNCOUNTED_STEPS = 3  # the first steps of a process compile and select kernels
_REPORT_SECONDS = 30.0


class Trained(Protocol):
    """A training that can run some steps and store its state."""

    def lap(self, steps: int, learning_rate: float) -> float:
        """Runs steps and waits for the device; returns the mean loss."""

    def save(self, folder: Path) -> None:
        """Writes weights and the optimizer's state."""

    def load(self, folder: Path) -> None:
        """The inverse of `save`."""


@dataclass
class Progress:
    """Training so far: counted `seconds` and `steps`, and `uncounted_steps`."""

    seconds: float = 0.0
    steps: int = 0
    uncounted_steps: int = 0
    loss: float = float("nan")

    @classmethod
    def read(cls, folder: Path) -> Progress:
        """As written by `train_by_the_clock`; zeros if there is no file."""
        path = folder / PROGRESS
        return cls(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else cls()


def learning_rate(peak: float, share: float, warmup_share: float) -> float:
    """Rate at `share` (0 to 1) of the time: linear warm-up from a hundredth of `peak`, then a cosine down to 0."""
    share = min(max(share, 0.0), 1.0)
    if share < warmup_share:
        return peak * (0.01 + 0.99 * share / warmup_share)
    return peak * 0.5 * (1.0 + math.cos(math.pi * (share - warmup_share) / (1.0 - warmup_share)))


def lap_length(progress: Progress, budget: float) -> int:
    """Steps of the next lap: some seconds' worth, and no more than fit into `budget`."""
    if progress.steps == 0:
        return 1
    seconds_a_step = progress.seconds / progress.steps
    seconds = min(_LAP_SECONDS, budget - progress.seconds)
    return min(max(round(seconds / seconds_a_step), 1), _MAX_LAP)


def train_by_the_clock(
    trained: Trained,
    state: Path,
    budget: float,
    peak: float,
    warmup_share: float,
    deadline: float,
    clock: Callable[[], float] = time.monotonic,
) -> Progress:
    """Trains until `budget` is used up or the deadline is reached; resumes from `state`.

    Args:
        trained: freshly initialised; the content of `state` is loaded into it.
        state: folder of progress and weights, saved every two minutes and at the end.
        budget: seconds of training in total.
        peak, warmup_share: see `learning_rate`.
        deadline: of `clock`; a later call resumes. At least one lap runs, so that every call makes
            progress, even one that mostly compiles.

    Raises:
        UserError: the loss is no longer finite.
    """
    progress = Progress.read(state)
    if progress.steps:
        trained.load(state)
        say(f"resuming after {progress.seconds:.0f} of {budget:.0f} s, {progress.steps} steps")
    if progress.seconds >= budget:
        return progress
    at_start = learning_rate(peak, progress.seconds / budget, warmup_share)
    start = clock()
    trained.lap(_UNCOUNTED_STEPS, at_start)
    progress.uncounted_steps += _UNCOUNTED_STEPS
    say(f"first steps: {clock() - start:.0f} s, not counted")
    saved = reported = clock()
    before = progress.steps
    while progress.seconds < budget and (clock() < deadline or progress.steps == before):
        rate = learning_rate(peak, progress.seconds / budget, warmup_share)
        steps = lap_length(progress, budget)
        start = clock()
        progress.loss = trained.lap(steps, rate)
        now = clock()
        progress.seconds += now - start
        progress.steps += steps
        if not math.isfinite(progress.loss):
            raise UserError(f"loss is not finite after {progress.steps} steps; lower --learning-rate")
        if now - reported > _REPORT_SECONDS:
            say(f"{progress.seconds:.0f} of {budget:.0f} s, {progress.steps} steps, loss {progress.loss:.3f}")
            reported = now
        if now - saved > _SAVE_SECONDS:
            _save(trained, state, progress)
            saved = clock()
    _save(trained, state, progress)
    return progress


def _save(trained: Trained, state: Path, progress: Progress) -> None:
    with atomic_directory(state) as temporary:
        trained.save(temporary)
        (temporary / PROGRESS).write_text(json.dumps(asdict(progress)), encoding="utf-8")
