"""The report of a run: one HTML file with everything in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from fashionseg.history import join_histories
from fashionseg.params import flatten
from fashionseg.report.figures import history_figure
from fashionseg.report.html import write_page
from fashionseg.report.pictures import Picture

# Plots whose content the page has elsewhere: the charts of the losses, the table of categories.
_SHOWN_ELSEWHERE = ("losses", "per_category")
_FAULT_COLUMNS = ["file", "row", "image_id", "outcome", "reason"]
_MAX_FAULTS = 50  # a data set of thousands of photos may have very many

# The figures shown first, by their key in metrics.json, in this order.
HEADLINES = {
    "competition_score": "competition score",
    "coco.mask.ap": "mask AP",
    "coco.mask.ap50": "mask AP50",
    "coco.box.ap": "box AP",
    "coco.box.ap50": "box AP50",
}


@dataclass(frozen=True, eq=False)
class Report:
    """Contents of the page.

    Attributes:
        source: `download.source`: sample, folder or kaggle.
        metrics: metrics.json, nested or flat; every figure appears.
        thresholds: thresholds.json, those fitted on all validation photos.
        categories: one row per category, shown with all its columns; `category` (0-based id) gives the colour.
        heads, finetuned: folders with history.csv and summary.json.
        decode_report: data/decoded/report.json: `counts`, and `faults` with file, row, reason and outcome.
        pictures: from `write_pictures`.
        figures: PNG files of further plots (confusion, curves, ...); the file's name is the caption.
        tables: title and rows of each table of the error analysis.
    """

    source: str
    metrics: Mapping[str, object]
    thresholds: Mapping[str, object]
    categories: pd.DataFrame
    heads: Path
    finetuned: Path
    decode_report: Mapping[str, Any]
    pictures: Sequence[Picture]
    figures: Sequence[Path] = ()
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)


def write_report(path: Path, report: Report) -> None:
    """Writes the page: no resource from outside, light and dark, readable on a phone.

    Raises:
        UserError: a history.csv is missing.
    """
    history = join_histories(report.heads, report.finetuned)
    columns = [*history.charts, *history.epochs.columns.intersection(["learning_rate"])]
    faults = report.decode_report.get("faults", [])
    write_page(
        path,
        "report.html",
        title="fashionseg report",
        report=report,
        headlines=HEADLINES,
        metrics=flatten(report.metrics),
        history=history,
        charts={name: history_figure(history, name) for name in columns},
        plots=[path for path in report.figures if path.stem not in _SHOWN_ELSEWHERE],
        counts=report.decode_report.get("counts", {}),
        notes=report.decode_report.get("look", {}).get("notes", []),
        faults=pd.DataFrame(faults[:_MAX_FAULTS], columns=_FAULT_COLUMNS, dtype=object).fillna(""),
        more_faults=len(faults) - _MAX_FAULTS,
    )
