"""Losses over both training stages, from the history.csv of each."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

from fashionseg.errors import UserError

LOSSES = (
    "loss",
    "rpn_class_loss",
    "rpn_bbox_loss",
    "mrcnn_class_loss",
    "mrcnn_bbox_loss",
    "mrcnn_mask_loss",
)


@dataclass(frozen=True)
class History:
    """One line per epoch over all stages, epochs counted on from stage to stage, from 1.

    Attributes:
        stages: name and last epoch of each stage.
        values: column name to one number per epoch (None where a stage lacks the column or has no number).
        best_epoch: the epoch whose weights the last stage kept.
    """

    stages: tuple[tuple[str, int], ...]
    values: dict[str, list[float | None]]
    best_epoch: int | None

    @property
    def num_epochs(self) -> int:
        return self.stages[-1][1] if self.stages else 0


def read_history(*stage_directories: Path) -> History:
    """`history.csv` of each folder in turn, `summary.json` (`best_epoch`) of the last.

    Raises:
        UserError: a history.csv is missing.
    """
    stages: list[tuple[str, int]] = []
    rows: list[dict[str, str]] = []
    best = None
    for directory in stage_directories:
        stage_rows = _read_rows(directory / "history.csv")
        best = _best_row(directory / "summary.json", stage_rows)
        best = None if best is None else len(rows) + best + 1
        rows += stage_rows
        stages.append((directory.name, len(rows)))
    columns = sorted({column for row in rows for column in row if column not in ("epoch", "stage")})
    values = {column: [_number(row.get(column)) for row in rows] for column in columns}
    return History(tuple(stages), values, best)


def _read_rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None


def _best_row(summary: Path, rows: list[dict[str, str]]) -> int | None:
    """Index of the best epoch among `rows`: as the summary says, else by the lowest validation loss."""
    try:
        best_epoch = json.loads(summary.read_text(encoding="utf-8"))["best_epoch"]
    except (FileNotFoundError, KeyError):
        losses = [(_number(row.get("val_loss")), place) for place, row in enumerate(rows)]
        return min(((loss, place) for loss, place in losses if loss is not None), default=(0, None))[1]
    return next((place for place, row in enumerate(rows) if _number(row.get("epoch")) == best_epoch), None)


def _number(text: str | None) -> float | None:
    """A finite number, or None: a diverged loss is a gap in its curve."""
    try:
        number = float(text or "nan")
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None
