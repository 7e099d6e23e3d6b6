"""What a terminal shows while training: photos per second, time left, current losses; and the stop at NaN."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
from rich.progress import Progress

from fashionseg.console import progress_bar, say
from fashionseg.errors import UserError


class EpochProgress(keras.callbacks.Callback):
    """One bar an epoch.

    The losses of a step are looked at when the next one is under way: to read them waits for the device, which would
    then stand idle until Python has the next step ready.

    Args:
        first_epoch: number of the stage's first epoch in the whole training, less one.
        epochs: of the stage.
        steps: batches an epoch.
        batch_size: photos a batch.
        photos_of_step: called once a step, in order; the ids of its photos.
    """

    def __init__(
        self,
        stage: str,
        loss_names: Sequence[str],
        first_epoch: int,
        epochs: int,
        steps: int,
        batch_size: int,
        photos_of_step: Callable[[], list[str]],
    ) -> None:
        super().__init__()
        self._photos_of_step = photos_of_step
        self._short_names = {name: name.removesuffix("_loss").replace("_", " ") for name in loss_names}
        self._photos: list[list[str]] = []  # of the last two steps looked at
        self._waiting: tuple[int, list[str], dict[str, Any]] | None = None
        self.stage, self.first_epoch, self.epochs = stage, first_epoch, epochs
        self.steps, self.batch_size = steps, batch_size
        self._context: Any = None
        self._bar: Progress | None = None
        self._task: Any = None
        self._epoch = 0
        self._started = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._epoch = epoch
        self._waiting = None
        self._started = time.monotonic()
        self._context = progress_bar()
        self._bar = self._context.__enter__()
        self._task = self._bar.add_task(f"{self.stage} {epoch + 1}/{self.epochs}", total=self.steps)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self._look_at_last()
        self._waiting = batch, self._photos_of_step(), logs or {}

    def _look_at_last(self) -> None:
        if self._waiting is None:
            return
        (batch, photos, logs), self._waiting = self._waiting, None
        self._photos = [*self._photos[-1:], photos]
        if not math.isfinite(logs["loss"]):
            shown = ", ".join(f"{name} {logs[name]:g}" for name in self._short_names)
            where = f"epoch {self.first_epoch + self._epoch + 1}, batch {batch + 1} of {self.steps}"
            raise self._not_finite(f"loss is not finite in {where} ({shown})")
        assert self._bar is not None
        seconds = time.monotonic() - self._started
        shown = "  ".join(f"{short} {logs[name]:.3f}" for name, short in self._short_names.items())
        status = f"{(batch + 1) * self.batch_size / seconds:.1f} photos/s  loss {logs['loss']:.3f}  {shown}"
        self._bar.update(self._task, advance=1, status=status)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self._look_at_last()
        self._close()
        self.seconds = time.monotonic() - self._started

    def check_validation(self, row: dict[str, Any]) -> None:
        """Before an epoch is kept: its last step may have spoilt the weights.

        Raises:
            UserError: the validation loss of `row` is not finite.
        """
        if not math.isfinite(row["val_loss"]):
            raise self._not_finite(f"validation loss is not finite after epoch {row['epoch']}")

    def _not_finite(self, what: str) -> UserError:
        """Names the step's photos and those of the step before: a gradient can be the first to break."""
        words = zip(("photos", "the batch before"), reversed(self._photos), strict=False)
        photos = "; ".join(f"{word}: {', '.join(ids)}" for word, ids in words)
        return UserError(
            f"{self.stage}: {what}; {photos}; the epochs before are kept; look at these photos, or lower "
            "train.*.learning_rate or train.gradient_clip_norm, and run again"
        )

    def report(self, row: dict[str, Any], is_best: bool) -> None:
        """The line that stays of an epoch."""
        shown = "  ".join(f"{short} {row[name]:.3f}" for name, short in self._short_names.items())
        rate = self.steps * self.batch_size / self.seconds
        left = (self.epochs - self._epoch - 1) * self.seconds
        say(
            f"{self.stage} epoch {self._epoch + 1}/{self.epochs}  loss {row['loss']:.3f}  "
            f"val {row['val_loss']:.3f}{' (best)' if is_best else ''}  {shown}  "
            f"{rate:.1f} photos/s  {left / 60:.0f} min left"
        )

    def on_train_end(self, logs: dict | None = None) -> None:
        self._close()

    def _close(self) -> None:
        if self._context is not None:
            self._context.__exit__(None, None, None)
            self._context = None
