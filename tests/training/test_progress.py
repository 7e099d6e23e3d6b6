"""The progress bar reads the losses of a step while the next one runs, and still names the right photos."""

from __future__ import annotations

import pytest

from fashionseg.errors import UserError
from fashionseg.training.progress import EpochProgress
from fashionseg.training.stage import Stage

LOSSES = ("label_loss", "place_loss")
GOOD = dict.fromkeys(("loss", *LOSSES), 1.0)


class Unread(dict):
    """Losses that still wait for the device: reading one is an error."""

    def __getitem__(self, name: str) -> float:
        raise AssertionError(f"{name} was read too early")


def make_progress(steps: int) -> EpochProgress:
    photos = iter([[f"{letter}.jpg"] for letter in "abcd"])
    stage = Stage("finetune", "all", epochs=2, learning_rate=1.0, epochs_before=3)
    progress = EpochProgress(stage, LOSSES, steps, 1, lambda: next(photos))
    progress.on_epoch_begin(3)
    return progress


def test_the_losses_of_a_step_are_read_when_the_next_one_is_under_way() -> None:
    progress = make_progress(2)
    progress.on_train_batch_end(0, Unread(GOOD))
    with pytest.raises(AssertionError, match="loss was read too early"):
        progress.on_train_batch_end(1, GOOD)
    progress.on_train_end()


def test_a_loss_that_is_not_finite_is_reported_with_its_own_step_and_photos() -> None:
    progress = make_progress(3)
    progress.on_train_batch_end(0, GOOD)
    progress.on_train_batch_end(1, {**GOOD, "loss": float("nan")})
    expected = r"epoch 4, batch 2 of 3 .*; photos: b\.jpg; the batch before: a\.jpg;"
    with pytest.raises(UserError, match=expected):
        progress.on_train_batch_end(2, GOOD)
    progress.on_train_end()


def test_the_last_step_of_an_epoch_is_read_at_its_end() -> None:
    progress = make_progress(1)
    progress.on_train_batch_end(0, {**GOOD, "loss": float("inf")})
    with pytest.raises(UserError, match=r"batch 1 of 1 .*; photos: a\.jpg;"):
        progress.on_epoch_end(3)
    progress.on_train_end()
