"""The state of an unfinished training on disk, so that a killed run resumes from its last completed epoch.

It lies outside DVC's outputs, which DVC deletes before it runs a stage, in a folder keyed by everything that decides
the result: after a change of a parameter or an input no stale state is resumed. The folder holds the last two epochs,
each whole and with checksums: if the newest one is damaged, the training loses an epoch.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import keras

from fashionseg.console import say
from fashionseg.errors import UserError
from fashionseg.history import VALIDATION_SCORE
from fashionseg.storage.atomic import atomic_directory
from fashionseg.storage.checksums import find_damage, write_checksums
from fashionseg.storage.disk import require_room
from fashionseg.training.network import TrainingNetwork

STATE_FILE = "state.json"
WEIGHTS_FILE = "training.weights.h5"
BEST_FILE = "best.weights.h5"
GENERATIONS = 2  # epochs kept


class TrainingState:
    """History, best epoch so far, all weights and the optimizer's variables, as of the last completed epoch.

    Args:
        folder: of the state; its newest undamaged epoch is read. Damaged ones are renamed and reported.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.history: list[dict[str, Any]] = []
        self.best: dict[str, Any] | None = None  # its row of the history
        self._epoch: Path | None = None  # folder of the last completed epoch
        _keep_reference_objects()
        epochs = stored_epochs(folder)
        while epochs and (damage := find_damage(epochs[-1], (STATE_FILE, WEIGHTS_FILE, BEST_FILE))):
            _set_aside(epochs.pop(), damage, has_earlier=bool(epochs))
        if epochs:
            self._epoch = epochs[-1]
            state = json.loads((self._epoch / STATE_FILE).read_text(encoding="utf-8"))
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
        assert self._epoch is not None
        training.load_weights(self._epoch / WEIGHTS_FILE)

    def add_epoch(self, row: dict[str, Any], training: TrainingNetwork) -> None:
        """Adds a completed epoch, and deletes all but the last two.

        Raises:
            UserError: the weights of the best epoch were damaged meanwhile.
        """
        network = training.network
        self.history.append(row)
        is_best = self.best is None or _rank(row) > _rank(self.best)
        if is_best:
            self.best = row
        epoch = self.folder / f"epoch-{self.epochs_done:05d}"
        with atomic_directory(epoch) as temporary:
            require_room(temporary, [*training.variables, *training.optimizer.variables, *network.variables])
            training.save_weights(temporary / WEIGHTS_FILE)
            if is_best:
                with training.averaged():
                    network.save_weights(temporary / BEST_FILE)
            else:
                shutil.copyfile(self._undamaged_best(), temporary / BEST_FILE)
            state = {"history": self.history, "best_epoch": self.best_epoch}
            (temporary / STATE_FILE).write_text(json.dumps(state), encoding="utf-8")
            write_checksums(temporary)
        self._epoch = epoch
        for earlier in stored_epochs(self.folder)[:-GENERATIONS]:
            shutil.rmtree(earlier, ignore_errors=True)

    def load_best(self, network: keras.Model) -> None:
        """Loads the weights of the best epoch into the network.

        Raises:
            UserError: they were damaged after they were written.
        """
        network.load_weights(self._undamaged_best())

    def delete(self) -> None:
        """Deletes the folder, once the stage's outputs are written."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _undamaged_best(self) -> Path:
        assert self._epoch is not None
        if damage := find_damage(self._epoch, (BEST_FILE,)):
            raise UserError(
                f"{self._epoch}: {damage}, damaged during the training; run again to resume from the epoch before"
            )
        return self._epoch / BEST_FILE


def stored_epochs(folder: Path) -> list[Path]:
    """Folders of the epochs stored in the folder of a state, the newest last."""
    return sorted(path for path in folder.glob("epoch-*") if path.is_dir())


def _keep_reference_objects() -> None:
    """Spares each `save_weights` a new optimizer, of which TensorFlow keeps some 70 KB for ever.

    To know which attributes hold no weights, Keras makes an object of each base class and means to keep their names,
    but stores them under another key than it reads (`saving_attr_skipset_`, `saving_attr_skiplist_`; Keras 3.15).
    """
    from keras.src.backend.common.global_state import get_global_attribute, set_global_attribute
    from keras.src.saving.saving_lib import get_attr_skipset

    for kind in ("Layer", "Functional", "Metric", "Optimizer"):
        key = f"saving_attr_skiplist_{kind}"
        if get_global_attribute(key) is None:
            set_global_attribute(key, get_attr_skipset(kind))


def _set_aside(epoch: Path, damage: str, has_earlier: bool) -> None:
    """Renames a damaged epoch to a name next to the state's folder, which is deleted at the end of the training."""
    aside = epoch.parent.with_name(f"{epoch.parent.name}-{epoch.name}.damaged")
    shutil.rmtree(aside, ignore_errors=True)
    epoch.rename(aside)
    follows = (
        "the epoch before is tried" if has_earlier else "no other epoch is stored, the training starts again"
    )
    say(f"{epoch}: damaged: {damage}; set aside as {aside.name}; {follows}")


def _rank(row: dict[str, Any]) -> tuple[float, float]:
    """Better epochs rank higher: by the score where there is one, then by the validation loss."""
    return row.get(VALIDATION_SCORE, 0.0), -row["val_loss"]
