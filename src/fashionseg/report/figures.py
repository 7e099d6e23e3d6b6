"""The same tables as pictures; the same tables give the same bytes (no date, no version in the files)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fashionseg.metrics.tables import NOTHING_NAME
from fashionseg.taxonomy import Taxonomy

_DPI = 110


def confusion_figure(confusion: pd.DataFrame, taxonomy: Taxonomy) -> Figure:
    """Rows the truth, columns the prediction; the colour is the share of the row."""
    seen = {*confusion["actual"], *confusion["predicted"]}
    names = [name for name in (*taxonomy.category_names, NOTHING_NAME) if name in seen]
    places = {name: place for place, name in enumerate(names)}
    counts = np.zeros((len(names), len(names)), np.int64)
    for actual, predicted, count in confusion.itertuples(index=False):
        counts[places[actual], places[predicted]] = count
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 3.0 + 0.34 * len(names)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    short = [name.split(",")[0] for name in names]
    axes.set_xticks(range(len(names)), short, rotation=90)
    axes.set_yticks(range(len(names)), short)
    axes.set_xlabel("predicted")
    axes.set_ylabel("actual")
    axes.set_title("Instances at IoU > 0.5, final thresholds")
    for row, column in np.argwhere(counts > 0).tolist():
        colour = "white" if shares[row, column] > 0.6 else "black"
        text = str(counts[row, column])
        axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
    return figure


def score_figure(curve: pd.DataFrame) -> Figure:
    """Competition score over the score threshold."""
    figure, axes = _one("score threshold", "competition score", "Score over the score threshold (in-sample)")
    axes.plot(curve["score_threshold"], curve["competition_score"], marker="o")
    return figure


def precision_recall_figure(curve: pd.DataFrame) -> Figure:
    """Mask precision over recall."""
    figure, axes = _one("recall", "precision", "Masks at IoU 0.50, mean over categories")
    axes.plot(curve["recall"], curve["precision"])
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    return figure


def category_figure(categories: pd.DataFrame) -> Figure:
    """Mask AP50 of each category with truths, best on top."""
    shown = categories[categories["truths"] > 0].sort_values("mask_ap50", kind="stable")
    figure = Figure(figsize=(7.0, 1.2 + 0.26 * len(shown)), layout="constrained")
    axes = figure.subplots()
    names = [
        f"{name.split(',')[0]} ({truths})"
        for name, truths in zip(shown["name"], shown["truths"], strict=True)
    ]
    axes.barh(names, shown["mask_ap50"].astype(float))
    axes.set_xlim(0, 1)
    axes.set_xlabel("mask AP50")
    axes.set_title("Categories (truths)")
    axes.grid(axis="x", alpha=0.3)
    return figure


def losses_figure(losses: pd.DataFrame) -> Figure:
    """Training and validation losses over epochs, one small axes for each."""
    names = [name for name in losses.columns if name.endswith("loss") and not name.startswith("val_")]
    columns = max(min(len(names), 3), 1)
    rows = max(-(-len(names) // columns), 1)
    figure = Figure(figsize=(4.0 * columns, 2.8 * rows), layout="constrained")
    every = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in every[len(names) :]:
        axes.set_axis_off()
    for axes, name in zip(every, names, strict=False):
        axes.plot(losses["epoch"], losses[name], label="training")
        if f"val_{name}" in losses:
            axes.plot(losses["epoch"], losses[f"val_{name}"], label="validation")
        axes.set_title(name, fontsize=10)
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """A PNG without the metadata that matplotlib adds."""
    figure.savefig(path, dpi=_DPI, format="png", metadata={"Software": None})


def _one(x: str, y: str, title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.0, 4.0), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_title(title)
    axes.grid(alpha=0.3)
    return figure, axes
