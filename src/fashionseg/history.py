"""history.csv: one row per epoch of a training stage, with whatever losses the network reports.

Columns: `epoch`, `stage`, then numbers; the column of a training loss is `X`, that of its validation `val_X`.
`val_score` is there where the competition's score chooses the best epoch.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fashionseg.errors import UserError

HISTORY_FILE = "history.csv"
SUMMARY_FILE = "summary.json"  # its `best_epoch` is the epoch whose weights the stage kept
VALIDATION = "val_"
VALIDATION_SCORE = "val_score"  # competition score on the validation photos; only where it chooses the epoch
_TEXT_COLUMNS = ["stage"]


@dataclass(frozen=True, eq=False)
class History:
    """The epochs of all training stages.

    Attributes:
        epochs: the rows of all stages, `epoch` counted over all of them from 1; a missing number is NaN.
        stages: folder name and last epoch of each stage.
        best_epoch: the epoch whose weights the last stage kept.
    """

    epochs: pd.DataFrame
    stages: tuple[tuple[str, int], ...]
    best_epoch: int | None

    @property
    def losses(self) -> list[str]:
        """Columns of training losses, in file order; each may have a `val_` column."""
        return [
            name
            for name in self.epochs.columns.astype(str)
            if not name.startswith(VALIDATION) and (name.endswith("loss") or VALIDATION + name in self.epochs)
        ]

    @property
    def charts(self) -> list[str]:
        """Columns to draw: the losses, and the validation score if there is one."""
        return [*self.losses, *(name for name in [VALIDATION_SCORE] if name in self.epochs)]

    def curve(self, column: str) -> dict[int, float]:
        """Value by epoch; NaN where the loss diverged or the stage lacks the column."""
        values = self.epochs[column].astype(float)
        return dict(
            zip(self.epochs["epoch"].tolist(), values.where(np.isfinite(values)).tolist(), strict=True)
        )


def read_history(path: Path) -> pd.DataFrame:
    """The rows of one history.csv; a cell that holds no number is NaN.

    Raises:
        UserError: the file is missing or is not a table.
    """
    try:
        table = pd.read_csv(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (ValueError, csv.Error) as error:
        raise UserError(f"{path}: not readable as CSV: {error}") from None
    for column in table.columns.difference(_TEXT_COLUMNS):
        table[column] = pd.to_numeric(table[column], errors="coerce")
    return table


def join_histories(*folders: Path) -> History:
    """history.csv of each stage's folder in turn; the best epoch is that of the last.

    Raises:
        UserError: a history.csv is missing or is not a table.
    """
    tables = [read_history(folder / HISTORY_FILE) for folder in folders]
    ends = np.cumsum([len(table) for table in tables]).tolist()
    joined = pd.concat(tables, ignore_index=True)
    joined["epoch"] = np.arange(1, len(joined) + 1)
    best = _best_row(folders[-1] / SUMMARY_FILE, tables[-1])
    stages = tuple((folder.name, end) for folder, end in zip(folders, ends, strict=True))
    return History(joined, stages, None if best is None else ends[-1] - len(tables[-1]) + best + 1)


def _best_row(summary: Path, table: pd.DataFrame) -> int | None:
    """Index of the best epoch of one stage: as its summary has it, else the lowest validation loss."""
    try:
        best_epoch = json.loads(summary.read_text(encoding="utf-8"))["best_epoch"]
    except (FileNotFoundError, KeyError):
        if "val_loss" not in table:
            return None
        finite = table["val_loss"][np.isfinite(table["val_loss"])]
        return None if finite.empty else int(finite.idxmin())
    rows = np.flatnonzero(table["epoch"] == best_epoch)
    return int(rows[0]) if rows.size else None
