"""Tables (CSV) and figures (PNG) of an evaluation, below reports/plots."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from fashionseg.history import History
from fashionseg.metrics import tables
from fashionseg.metrics.evaluate import Evaluation, category_table
from fashionseg.report import figures
from fashionseg.storage.atomic import atomic_directory
from fashionseg.taxonomy import Taxonomy


def write_plots(
    folder: Path,
    evaluation: Evaluation,
    history: History,
    taxonomy: Taxonomy,
    errors: Mapping[str, pd.DataFrame],
) -> None:
    """Replaces `folder` by tables (CSV) and figures (PNG)."""
    categories = category_table(evaluation, taxonomy)
    confusion = tables.confusion(evaluation.outcomes, taxonomy)
    score_curve = tables.score_curve(evaluation.calibration)
    precision_recall = tables.precision_recall(evaluation.coco["mask"])
    written = {
        "per_category": categories,
        "confusion": confusion,
        "score_threshold": score_curve,
        "threshold_grid": tables.threshold_grid(evaluation.calibration),
        "precision_recall": precision_recall,
        "losses": history.epochs,
        **errors,
    }
    drawn = {
        "per_category": figures.category_figure(categories),
        "confusion": figures.confusion_figure(confusion, taxonomy),
        "score_threshold": figures.score_figure(score_curve),
        "precision_recall": figures.precision_recall_figure(precision_recall),
        "losses": figures.losses_figure(history),
    }
    with atomic_directory(folder) as temporary:
        for name, table in written.items():
            tables.write_table(table, temporary / f"{name}.csv")
        for name, figure in drawn.items():
            figures.save_figure(figure, temporary / f"{name}.png")
