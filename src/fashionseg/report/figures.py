"""All plots: of tables, losses and curves. The same input gives the same bytes (no date, no version in the files)."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fashionseg.history import VALIDATION, History
from fashionseg.metrics.tables import NOTHING_NAME, write_table
from fashionseg.storage.atomic import atomic_directory
from fashionseg.taxonomy import Taxonomy

# As in the key of the page's losses (templates/style.css).
TRAINING_COLOUR, VALIDATION_COLOUR, BEST_COLOUR, STAGE_COLOUR = "#2563eb", "#d9480f", "#0b8a4b", "#6b6b76"
_DPI = 110
_SMALL = (3.6, 2.1)  # inches; a page shows several in a row


def write_plots(
    folder: Path, tables: Mapping[str, pd.DataFrame], history: History, taxonomy: Taxonomy
) -> None:
    """Replaces `folder` by `tables` and the losses (CSV), and their figures (PNG)."""
    figures = {
        "per_category": category_figure(tables["per_category"]),
        "confusion": confusion_figure(tables["confusion"], taxonomy),
        "score_threshold": score_figure(tables["score_threshold"]),
        "precision_recall": precision_recall_figure(tables["precision_recall"]),
        "losses": losses_figure(history),
    }
    with atomic_directory(folder) as temporary:
        for name, table in {**tables, "losses": history.epochs}.items():
            write_table(table, temporary / f"{name}.csv")
        for name, figure in figures.items():
            save_figure(figure, temporary / f"{name}.png")


def confusion_figure(confusion: pd.DataFrame, taxonomy: Taxonomy) -> Figure:
    """Rows the truth, columns the prediction; the colour is the share of the row."""
    seen = {*confusion["actual"], *confusion["predicted"]}
    names = [name for name in (*taxonomy.category_names, NOTHING_NAME) if name in seen]
    table = confusion.pivot(index="actual", columns="predicted", values="count")
    counts = table.reindex(index=names, columns=names).fillna(0).to_numpy(np.int64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 3.0 + 0.34 * len(names)
    figure, axes = _chart(side, side)
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    short = [name.split(",")[0] for name in names]
    axes.set_xticks(range(len(names)), short, rotation=90)
    axes.set_yticks(range(len(names)), short)
    axes.set(xlabel="predicted", ylabel="actual", title="Instances at IoU > 0.5, final thresholds")
    for row, column in np.argwhere(counts > 0).tolist():
        colour = "white" if shares[row, column] > 0.6 else "black"
        axes.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=7, color=colour)
    return figure


def score_figure(curve: pd.DataFrame) -> Figure:
    """Competition score over the score threshold."""
    figure, axes = _chart(6.0, 4.0)
    axes.plot(curve["score_threshold"], curve["competition_score"], marker="o")
    axes.set(xlabel="score threshold", ylabel="competition score")
    axes.set_title("Score over the score threshold (in-sample)")
    axes.grid(alpha=0.3)
    return figure


def precision_recall_figure(curve: pd.DataFrame) -> Figure:
    """Mask precision over recall."""
    figure, axes = _chart(6.0, 4.0)
    axes.plot(curve["recall"], curve["precision"])
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    axes.set_title("Masks at IoU 0.50, mean over categories")
    axes.grid(alpha=0.3)
    return figure


def category_figure(categories: pd.DataFrame) -> Figure:
    """Mask AP50 of each category with truths, best on top."""
    shown = categories[categories["truths"] > 0].sort_values("mask_ap50", kind="stable")
    figure, axes = _chart(7.0, 1.2 + 0.26 * len(shown))
    names = [
        f"{name.split(',')[0]} ({truths})"
        for name, truths in zip(shown["name"], shown["truths"], strict=True)
    ]
    axes.barh(names, shown["mask_ap50"].astype(float))
    axes.set(xlim=(0, 1), xlabel="mask AP50", title="Categories (truths)")
    axes.grid(axis="x", alpha=0.3)
    return figure


@dataclass(frozen=True, eq=False)
class Line:
    """A curve over epochs: value by epoch, NaN for a gap."""

    label: str
    points: Mapping[int, float]
    colour: str
    dashed: bool = False


def losses_figure(history: History) -> Figure:
    """Losses, and the validation score if there is one, over the epochs of all stages; one axes for each."""
    names = history.charts
    columns = max(min(len(names), 3), 1)
    rows = max(-(-len(names) // columns), 1)
    figure = Figure(figsize=(4.0 * columns, 2.8 * rows), layout="constrained")
    every = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in every[len(names) :]:
        axes.set_axis_off()
    for axes, name in zip(every, names, strict=False):
        _draw_history(axes, history, name)
        axes.set_title(name, fontsize=10)
        axes.set_xlabel("epoch")
        axes.legend(fontsize=8)
    return figure


def history_figure(history: History, column: str) -> Figure:
    """One column of the history, a loss with its validation, as a small chart."""
    figure, axes = _chart(*_SMALL)
    _draw_history(axes, history, column)
    return figure


def curve_figure(lines: Sequence[Line]) -> Figure:
    """Curves of several runs as a small chart."""
    figure, axes = _chart(*_SMALL)
    _draw_lines(axes, lines)
    return figure


def _draw_history(axes: Axes, history: History, column: str) -> None:
    validation = column if column.startswith(VALIDATION) else VALIDATION + column
    lines = [] if column == validation else [Line("training", history.curve(column), TRAINING_COLOUR)]
    if validation in history.epochs:
        lines.append(Line("validation", history.curve(validation), VALIDATION_COLOUR))
    _draw_lines(axes, lines)
    for _, last in history.stages[:-1]:
        axes.axvline(last + 0.5, color=STAGE_COLOUR, linewidth=1, linestyle=(0, (3, 3)))
    if history.best_epoch is not None:
        axes.axvline(history.best_epoch, color=BEST_COLOUR, linewidth=1.4)


def _draw_lines(axes: Axes, lines: Sequence[Line]) -> None:
    for line in lines:
        style = (0, (4, 3)) if line.dashed else "-"
        epochs, values = list(line.points), list(line.points.values())
        axes.plot(
            epochs, values, label=line.label, color=line.colour, linestyle=style, marker="o", markersize=3
        )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def save_figure(figure: Figure, path: Path) -> None:
    """A PNG without the metadata that matplotlib adds."""
    figure.savefig(path, dpi=_DPI, format="png", metadata={"Software": None})


def svg_bytes(figure: Figure) -> bytes:
    """An SVG for a page, sharp at any size; text stays text."""
    buffer = io.BytesIO()
    # Without a fixed salt, matplotlib writes random ids.
    with matplotlib.rc_context({"svg.hashsalt": "fashionseg", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def _chart(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of a size in inches, and its only axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()
