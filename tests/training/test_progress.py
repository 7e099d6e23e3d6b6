"""The progress bar reads the losses of a step while the next one runs, and names the right photos all the same."""

from __future__ import annotations

import pytest

from fashionseg.errors import UserError
from fashionseg.model.losses import LOSS_NAMES
from fashionseg.training.progress import EpochProgress

GOOD = dict.fromkeys(("loss", *LOSS_NAMES), 1.0)


class Unread(dict):
    """Losses that still wait for the device: to read one is a fault."""

    def __getitem__(self, name: str) -> float:
        raise AssertionError(f"{name} was read too early")


def make_progress(steps: int) -> EpochProgress:
    photos = iter([[f"{letter}.jpg"] for letter in "abcd"])
    progress = EpochProgress("finetune", 0, 1, steps, 1, lambda: next(photos))
    progress.on_epoch_begin(0)
    return progress


def test_the_losses_of_a_step_are_read_when_the_next_one_is_under_way() -> None:
    progress = make_progress(2)
    progress.on_train_batch_end(0, Unread(GOOD))
    with pytest.raises(AssertionError, match="loss was read too early"):
        progress.on_train_batch_end(1, GOOD)
    progress.on_train_end()


def test_a_loss_that_is_not_finite_is_told_of_its_own_step_and_photos() -> None:
    progress = make_progress(3)
    progress.on_train_batch_end(0, GOOD)
    progress.on_train_batch_end(1, {**GOOD, "loss": float("nan")})
    said = r"batch 2 of 3 .*; photos: b\.jpg; the batch before: a\.jpg;"
    with pytest.raises(UserError, match=said):
        progress.on_train_batch_end(2, GOOD)
    progress.on_train_end()


def test_the_last_step_of_an_epoch_is_read_at_its_end() -> None:
    progress = make_progress(1)
    progress.on_train_batch_end(0, {**GOOD, "loss": float("inf")})
    with pytest.raises(UserError, match=r"batch 1 of 1 .*; photos: a\.jpg;"):
        progress.on_epoch_end(0)
    progress.on_train_end()
