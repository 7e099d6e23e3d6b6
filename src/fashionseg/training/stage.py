"""A training stage: which weights it trains, and its place in the whole training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Stage:
    """Epochs are numbered over all stages, from 1, wherever a number is shown or stored.

    Attributes:
        name: for the history and the terminal.
        phase: weights that are trained, see `Network.set_phase`.
        epochs: of this stage.
        learning_rate: after warm-up.
        epochs_before: of the stages before.
        epochs_seen: of the finished model that it continues; its photos come in another order than then.
    """

    name: str
    phase: Literal["heads", "all"]
    epochs: int
    learning_rate: float
    epochs_before: int = 0
    epochs_seen: int = 0

    @property
    def last_epoch(self) -> int:
        """Number of the last epoch."""
        return self.epochs_before + self.epochs
