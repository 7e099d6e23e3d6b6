"""The state of an unfinished training on disk, so that a killed run resumes from its last completed epoch.

It lies outside DVC's outputs, which DVC deletes before it runs a stage, in a folder keyed by everything that decides
the result: after a change of a parameter or an input no stale state is resumed.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import keras

from fashionseg.history import VALIDATION_SCORE
from fashionseg.storage.atomic import atomic_directory
from fashionseg.storage.disk import require_room
from fashionseg.training.network import TrainingNetwork

STATE_FILE = "state.json"
WEIGHTS_FILE = "training.weights.h5"
BEST_FILE = "best.weights.h5"


class TrainingState:
    """History, best epoch so far, all weights and the optimizer's variables, as of the last completed epoch.

    Args:
        folder: of the state; read if it exists.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.history: list[dict[str, Any]] = []
        self.best: dict[str, Any] | None = None  # its row of the history
        path = folder / STATE_FILE
        if path.exists():
            state = json.loads(path.read_text(encoding="utf-8"))
            self.history = state["history"]
            self.best = next(row for row in self.history if row["epoch"] == state["best_epoch"])

    @property
    def epochs_done(self) -> int:
        """Completed epochs."""
        return len(self.history)

    @property
    def best_epoch(self) -> int:
        """Number of the best epoch; 0 before the first."""
        return 0 if self.best is None else self.best["epoch"]

    def load(self, training: keras.Model) -> None:
        """Loads the last completed epoch into a compiled model whose optimizer is built."""
        training.load_weights(self.folder / WEIGHTS_FILE)

    def add_epoch(self, row: dict[str, Any], training: TrainingNetwork) -> None:
        """Adds a completed epoch and replaces the folder as a whole."""
        network = training.network
        self.history.append(row)
        is_best = self.best is None or _rank(row) > _rank(self.best)
        if is_best:
            self.best = row
        with atomic_directory(self.folder) as temporary:
            require_room(temporary, [*training.variables, *training.optimizer.variables, *network.variables])
            training.save_weights(temporary / WEIGHTS_FILE)
            if is_best:
                with training.averaged():
                    network.save_weights(temporary / BEST_FILE)
            else:
                shutil.copyfile(self.folder / BEST_FILE, temporary / BEST_FILE)
            state = {"history": self.history, "best_epoch": self.best_epoch}
            (temporary / STATE_FILE).write_text(json.dumps(state), encoding="utf-8")

    def load_best(self, network: keras.Model) -> None:
        """Loads the weights of the best epoch into the network."""
        network.load_weights(self.folder / BEST_FILE)

    def delete(self) -> None:
        """Deletes the folder, once the stage's outputs are written."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _rank(row: dict[str, Any]) -> tuple[float, float]:
    """Better epochs rank higher: by the score where there is one, then by the validation loss."""
    return row.get(VALIDATION_SCORE, 0.0), -row["val_loss"]
