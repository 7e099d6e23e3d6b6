"""The terminal while training: photos per second, remaining time, current losses; and the stop at NaN."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
from rich.progress import Progress

from fashionseg.console import progress_bar, say
from fashionseg.errors import UserError
from fashionseg.history import VALIDATION_SCORE
from fashionseg.training.stage import Stage


class EpochProgress(keras.callbacks.Callback):
    """A progress bar per epoch; `fit` counts epochs over all stages.

    The losses of a step are read while the next one runs: reading waits for the device, which would then stand idle
    until Python has the next step ready.

    Args:
        stage: its epochs are shown.
        loss_names: of the network.
        steps: batches per epoch.
        batch_size: photos per batch.
        photos_of_step: called once per step, in order; the ids of its photos.
    """

    def __init__(
        self,
        stage: Stage,
        loss_names: Sequence[str],
        steps: int,
        batch_size: int,
        photos_of_step: Callable[[], list[str]],
    ) -> None:
        super().__init__()
        self.stage, self.steps, self.batch_size = stage, steps, batch_size
        self._short_names = {name: name.removesuffix("_loss").replace("_", " ") for name in loss_names}
        self._photos_of_step = photos_of_step
        self._photos: list[list[str]] = []  # of the last two steps read
        self._unread: tuple[int, list[str], dict[str, Any]] | None = None
        self._context: Any = None
        self._bar: Progress | None = None
        self._task: Any = None
        self._epoch = 0  # its number, from 1
        self._started = self._seconds = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._epoch = epoch + 1
        self._unread = None
        self._started = time.monotonic()
        self._context = progress_bar()
        self._bar = self._context.__enter__()
        self._task = self._bar.add_task(self._title(), total=self.steps)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self._read_last()
        self._unread = batch, self._photos_of_step(), logs or {}

    def _read_last(self) -> None:
        if self._unread is None:
            return
        (batch, photos, logs), self._unread = self._unread, None
        self._photos = [*self._photos[-1:], photos]
        if not math.isfinite(logs["loss"]):
            shown = ", ".join(f"{name} {logs[name]:g}" for name in self._short_names)
            where = f"epoch {self._epoch}, batch {batch + 1} of {self.steps}"
            raise self._not_finite(f"loss is not finite in {where} ({shown})")
        assert self._bar is not None
        seconds = time.monotonic() - self._started
        status = f"{(batch + 1) * self.batch_size / seconds:.1f} photos/s  {self._shown(logs)}"
        self._bar.update(self._task, advance=1, status=status)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self._read_last()
        self._close()
        self._seconds = time.monotonic() - self._started

    def check_validation(self, row: dict[str, Any]) -> None:
        """Before an epoch is stored: its last step may have spoilt the weights.

        Raises:
            UserError: the validation loss of `row` is not finite.
        """
        if not math.isfinite(row["val_loss"]):
            raise self._not_finite(f"validation loss is not finite after epoch {row['epoch']}")

    def report(self, row: dict[str, Any], is_best: bool) -> None:
        """Prints the line that stays of an epoch."""
        rate = self.steps * self.batch_size / self._seconds
        left = (self.stage.last_epoch - self._epoch) * self._seconds
        score = f"  val score {row[VALIDATION_SCORE]:.4f}" if VALIDATION_SCORE in row else ""
        say(
            f"{self._title()}  {self._shown(row)}  val loss {row['val_loss']:.3f}{score}"
            f"{' (best)' if is_best else ''}  "
            f"{rate:.1f} photos/s  {left / 60:.0f} min left"
        )

    def on_train_end(self, logs: dict | None = None) -> None:
        self._close()

    def _title(self) -> str:
        return f"{self.stage.name} epoch {self._epoch}/{self.stage.last_epoch}"

    def _shown(self, losses: dict[str, Any]) -> str:
        return "  ".join(
            f"{short} {losses[name]:.3f}" for name, short in {"loss": "loss", **self._short_names}.items()
        )

    def _not_finite(self, what: str) -> UserError:
        """Names the step's photos and those of the step before: a gradient can be the first to break."""
        labels = zip(("photos", "the batch before"), reversed(self._photos), strict=False)
        photos = "; ".join(f"{label}: {', '.join(ids)}" for label, ids in labels)
        return UserError(
            f"{self.stage.name}: {what}; {photos}; the epochs before are kept; check these photos, or lower "
            "train.*.learning_rate or train.gradient_clip_norm, and run again"
        )

    def _close(self) -> None:
        if self._context is not None:
            self._context.__exit__(None, None, None)
            self._context = None
