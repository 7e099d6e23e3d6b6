"""Tables (CSV) and figures (PNG) of an evaluation, below reports/plots."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from fashionseg.history import History
from fashionseg.metrics.tables import write_table
from fashionseg.report import figures
from fashionseg.storage.atomic import atomic_directory
from fashionseg.taxonomy import Taxonomy


def write_plots(
    folder: Path, tables: Mapping[str, pd.DataFrame], history: History, taxonomy: Taxonomy
) -> None:
    """Replaces `folder` by `tables`, the losses and their figures."""
    drawn = {
        "per_category": figures.category_figure(tables["per_category"]),
        "confusion": figures.confusion_figure(tables["confusion"], taxonomy),
        "score_threshold": figures.score_figure(tables["score_threshold"]),
        "precision_recall": figures.precision_recall_figure(tables["precision_recall"]),
        "losses": figures.losses_figure(history),
    }
    with atomic_directory(folder) as temporary:
        for name, table in {**tables, "losses": history.epochs}.items():
            write_table(table, temporary / f"{name}.csv")
        for name, figure in drawn.items():
            figures.save_figure(figure, temporary / f"{name}.png")
