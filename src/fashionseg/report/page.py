"""The report: one HTML file with everything in it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import pandas as pd

from fashionseg.params import flatten
from fashionseg.report.charts import Line, line_chart
from fashionseg.report.history import LOSSES, History, read_history
from fashionseg.report.pictures import Picture
from fashionseg.report.style import STYLE
from fashionseg.report.tables import category_table, figure, figure_table
from fashionseg.storage.atomic import atomic_write

_SOURCES = {
    "sample": "<b>The photos are drawn by code, not real.</b> The embedded sample shows that every part of the "
    "pipeline works; its scores say nothing about real photos.",
    "folder": "The photos come from a folder in the layout of the Kaggle competition.",
    "kaggle": "The photos are those of the Kaggle competition iMaterialist (Fashion) 2019.",
}

# Plots that the page draws itself, sharper and for dark mode too.
_DRAWN_HERE = frozenset({"losses", "per_category"})

_FAULT_COLUMNS = ("file", "row", "image_id", "outcome", "reason")
_MOST_FAULTS = 50

# The figures worth a tile, by their key in metrics.json, in this order.
_TILES = {
    "competition_score": "competition score",
    "coco.mask.ap": "mask AP",
    "coco.mask.ap50": "mask AP50",
    "coco.box.ap": "box AP",
    "coco.box.ap50": "box AP50",
}


@dataclass(frozen=True, eq=False)
class Report:
    """What the page shows.

    Attributes:
        source: `download.source`: sample, folder or kaggle.
        metrics: metrics.json, nested or flat; every figure appears.
        thresholds: thresholds.json, those fitted on all validation photos.
        categories: one row per category, shown with all its columns; `category` (0-based id) gives the colour.
        heads, finetuned: folders with history.csv and summary.json.
        decode_report: data/decoded/report.json: `counts`, and `faults` with file, row, reason and outcome.
        pictures: from `write_pictures`.
        figures: PNG files of further plots (confusion, curves, ...); the file's name is the caption.
    """

    source: str
    metrics: Mapping[str, object]
    thresholds: Mapping[str, object]
    categories: pd.DataFrame
    heads: Path
    finetuned: Path
    decode_report: Mapping[str, object]
    pictures: Sequence[Picture]
    figures: Sequence[Path] = ()


def write_report(path: Path, report: Report) -> None:
    """Writes the page: no resource from outside, light and dark, readable on a phone.

    Raises:
        UserError: a history.csv is missing.
    """
    history = read_history(report.heads, report.finetuned)
    sections = [
        _head(report),
        _tiles(report.metrics),
        _section("Truth beside prediction", _gallery(report.pictures)),
        _section("Losses", _losses(history)),
        _section("Scores", _scores(report)),
        _section("Categories", category_table(report.categories)),
        *([_section("Plots", _figures(report.figures))] if report.figures else []),
        _section("What decoding kept and dropped", _decoded(report.decode_report)),
        _section("Files", _FILES),
    ]
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>fashionseg report</title><style>{STYLE}</style></head><body><main>"
        + "".join(sections)
        + "</main></body></html>\n"
    )
    with atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def _head(report: Report) -> str:
    told = _SOURCES.get(report.source, escape(report.source))
    kind = "warning" if report.source == "sample" else "lead"
    return (
        "<header><h1>fashionseg</h1><p class=lead>Mask R-CNN on clothing, scored on the validation photos "
        f"of this run.</p><p class={kind}>{told}</p></header>"
    )


def _tiles(metrics: Mapping[str, object]) -> str:
    flat = flatten(metrics)
    tiles = [
        f"<div class=tile><b>{figure(flat[key])}</b><span>{name}</span></div>"
        for key, name in _TILES.items()
        if key in flat
    ]
    return f"<div class=tiles>{''.join(tiles)}</div>"


def _gallery(pictures: Sequence[Picture]) -> str:
    if not pictures:
        return '<p class="quiet">no pictures asked for</p>'
    return "".join(
        f"<figure>{_image(picture.jpeg, 'jpeg', f'{picture.title}: photo, truth, prediction')}</figure>"
        for picture in pictures
    )


def _figures(figures: Sequence[Path]) -> str:
    shown = [path for path in figures if path.stem not in _DRAWN_HERE]
    body = "".join(
        f"<figure class=chart><figcaption>{escape(path.stem.replace('_', ' '))}</figcaption>"
        f"{_image(path.read_bytes(), 'png', path.stem)}</figure>"
        for path in shown
    )
    return f'<div class="charts wide">{body}</div>'


def _image(data: bytes, kind: str, told: str) -> str:
    content = base64.b64encode(data).decode("ascii")
    return f'<img loading="lazy" alt="{escape(told, quote=True)}" src="data:image/{kind};base64,{content}">'


def _losses(history: History) -> str:
    charts = []
    for name in LOSSES:
        lines = [
            Line(f"{prefix}{name}", history.values[f"{prefix}{name}"], style)
            for prefix, style in (("", "training"), ("val_", "validation"))
            if f"{prefix}{name}" in history.values
        ]
        chart = line_chart(lines, f"{name} over epochs", stages=history.stages, best=history.best_epoch)
        charts.append(f"<figure class=chart><figcaption>{name}</figcaption>{chart}</figure>")
    if "learning_rate" in history.values:
        lines = [Line("learning_rate", history.values["learning_rate"], "training")]
        chart = line_chart(lines, "learning rate over epochs", stages=history.stages)
        charts.append(f"<figure class=chart><figcaption>learning_rate</figcaption>{chart}</figure>")
    stages = ", then ".join(f"{escape(name)} up to epoch {last}" for name, last in history.stages)
    best = "" if history.best_epoch is None else f' <i class="key best"></i>best epoch {history.best_epoch}.'
    return (
        f'<p class="quiet"><i class="key training"></i>training <i class="key validation"></i>validation'
        f' <i class="key stage"></i>stage border.{best} Stages: {stages}.</p>'
        f"<div class=charts>{''.join(charts)}</div>"
    )


def _scores(report: Report) -> str:
    return (
        '<p class="quiet">The competition score is the mean over IoU 0.50 to 0.95 of TP / (TP + FP + FN), taken per '
        "image and category, then over categories and images; the same is given per image and pooled over all, and "
        "with attributes in the label (classid). It is out-of-fold: each photo is scored with thresholds fitted on "
        "the other photos. COCO AP takes all stored detections.</p><div class=columns>"
        f"<div><h3>All figures</h3>{figure_table(report.metrics)}</div>"
        f"<div><h3>Thresholds for a submission</h3>{figure_table(report.thresholds)}</div></div>"
    )


def _decoded(decode_report: Mapping[str, object]) -> str:
    """The counts, and the first faults; a data set of thousands of photos may have very many."""
    counts, faults = decode_report.get("counts", {}), decode_report.get("faults", [])
    assert isinstance(counts, Mapping)
    assert isinstance(faults, list)
    if not faults:
        return figure_table(counts) + '<p class="quiet">Nothing was dropped or repaired.</p>'
    more = len(faults) - _MOST_FAULTS
    rows = [{column: fault.get(column, "") for column in _FAULT_COLUMNS} for fault in faults[:_MOST_FAULTS]]
    table = category_table(pd.DataFrame(rows, columns=list(_FAULT_COLUMNS), dtype=object))
    rest = f'<p class="quiet">and {figure(more)} more in data/decoded/report.json</p>' if more > 0 else ""
    return f"{figure_table(counts)}<details><summary>what and why</summary>{table}{rest}</details>"


_FILES = """<table class=figures>
<tr><th>reports/metrics.json</th><td>every figure above</td></tr>
<tr><th>reports/thresholds.json</th><td>the thresholds that <code>submit</code> and <code>predict</code> use</td></tr>
<tr><th>reports/pictures/</th><td>the pictures above as PNG</td></tr>
<tr><th>reports/plots/</th><td>tables behind the plots, shown by <code>dvc plots show</code></td></tr>
<tr><th>reports/submission.csv</th><td>the checked submission, written by the next stage</td></tr>
<tr><th>models/finetuned/</th><td>the weights of the best epoch</td></tr>
<tr><th>data/decoded/report.json</th><td>every dropped row or photo with its reason</td></tr>
</table>"""
