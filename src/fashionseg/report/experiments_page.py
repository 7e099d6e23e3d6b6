"""The comparison as one HTML file that needs nothing from outside."""

from __future__ import annotations

import base64
import io
import json
import math
import statistics
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from fashionseg.report.charts import Line, line_chart
from fashionseg.report.experiments import Run, differing_params, shared_pictures
from fashionseg.report.style import STYLE
from fashionseg.storage.atomic import atomic_write

HEADLINES = {
    "competition_score": "competition",
    "coco.box.ap": "box AP",
    "coco.box.ap50": "box AP50",
    "coco.mask.ap": "mask AP",
    "coco.mask.ap50": "mask AP50",
}
PICTURE_WIDTH = 900  # pixels of a picture in the page
# Told apart by people who see no red and green (Okabe & Ito 2008); more runs take the colours again, dashed.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c564b", "#7f7f7f")


def write_comparison(path: Path, runs: Sequence[Run]) -> None:
    """Writes the page that compares `runs`: scores and what differs, curves over each other, pictures in turn."""
    body = "".join(
        [
            f"<header><h1>fashionseg: {len(runs)} runs</h1><p class=lead>Best competition score first.</p></header>",
            _section("Scores, and the parameters that differ", _table(runs)),
            _section("Curves", _curves(runs)),
            _section("The same photos", _pictures(runs)),
            _section("All scores", _all_scores(runs)),
        ]
    )
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>fashionseg runs</title><style>{STYLE}{_run_styles(len(runs))}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )
    with atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def _run_styles(count: int) -> str:
    rules = ["td.best{font-weight:700}th{white-space:nowrap}tfoot td,tfoot th{border:0;color:var(--quiet)}"]
    for number in range(count):
        colour = COLOURS[number % len(COLOURS)]
        dashes = f";stroke-dasharray:{4 * (number // len(COLOURS))} 3" if number >= len(COLOURS) else ""
        rules.append(f"svg path.run{number}{{fill:none;stroke-width:2;stroke:{colour}{dashes}}}")
        rules.append(f"svg circle.run{number}{{fill:{colour}}}.swatch.run{number}{{background:{colour}}}")
    return "".join(rules)


def _table(runs: Sequence[Run]) -> str:
    scores = [key for key in HEADLINES if any(key in run.scores for run in runs)]
    params = differing_params(runs)
    head = "".join(
        f"<th>{escape(title)}</th>" for title in ("run", *(HEADLINES[key] for key in scores), *params)
    )
    rows = []
    for number, run in enumerate(runs):
        cells = [_score_cell(run, key, runs) for key in scores]
        cells += [f"<td class=number>{escape(_value(run.params.get(name)))}</td>" for name in params]
        rows.append(f"<tr><th>{_run_label(number, run)}</th>{''.join(cells)}</tr>")
    spread = "".join(
        f"<td class=number>{_spread([run.scores.get(key) for run in runs])}</td>" for key in scores
    )
    foot = f"<tfoot><tr><th>mean ± deviation</th>{spread}</tr></tfoot>" if len(runs) > 1 else ""
    told = "" if params else '<p class="quiet">No parameter differs.</p>'
    return f"<div class=scroll><table><tr>{head}</tr>{''.join(rows)}{foot}</table></div>{told}"


def _run_label(number: int, run: Run) -> str:
    commit = run.tags.get("git.commit", "")[:7]
    return f'<i class="swatch run{number}"></i>{escape(run.name)} <span class=quiet>{escape(commit)}</span>'


def _score_cell(run: Run, key: str, runs: Sequence[Run]) -> str:
    value = run.scores.get(key)
    best = max((other.scores.get(key, -math.inf) for other in runs), default=None)
    return f'<td class="number{" best" if value == best else ""}">{_number(value)}</td>'


def _spread(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None and math.isfinite(value)]
    if len(known) < 2:
        return ""
    return f"{statistics.fmean(known):.3f} ± {statistics.stdev(known):.3f}"


def _curves(runs: Sequence[Run]) -> str:
    names = sorted(
        {name for run in runs for name in run.curves}, key=lambda name: (name.removeprefix("val_"), name)
    )
    charts = []
    for name in names:
        lines = [
            Line(run.name, _by_epoch(run.curves[name]), f"run{number}")
            for number, run in enumerate(runs)
            if name in run.curves
        ]
        chart = line_chart(lines, f"{name} over epochs")
        charts.append(f"<figure class=chart><figcaption>{escape(name)}</figcaption>{chart}</figure>")
    if not charts:
        return '<p class="quiet">none recorded</p>'
    key = " ".join(_run_label(number, run) for number, run in enumerate(runs))
    return f"<p>{key}</p><div class=charts>{''.join(charts)}</div>"


def _by_epoch(points: dict[int, float]) -> list[float | None]:
    values = [points.get(epoch) for epoch in range(1, max(points) + 1)]
    return [value if value is None or math.isfinite(value) else None for value in values]


def _pictures(runs: Sequence[Run]) -> str:
    photos = shared_pictures(runs)
    if not photos:
        return '<p class="quiet">No photo was pictured by two of these runs.</p>'
    return "".join(f"<h3>{escape(photo)}</h3>{_one_photo(photo, runs)}" for photo in photos)


def _one_photo(photo: str, runs: Sequence[Run]) -> str:
    figures = [
        f"<figure><figcaption>{_run_label(number, run)}</figcaption>{_image(run.pictures[photo], run.name)}</figure>"
        for number, run in enumerate(runs)
        if photo in run.pictures
    ]
    return f'<div class="charts wide">{"".join(figures)}</div>'


def _image(path: Path, told: str) -> str:
    from PIL import Image

    with Image.open(path) as opened:
        image = opened.convert("RGB")
    image.thumbnail((PICTURE_WIDTH, PICTURE_WIDTH))
    content = io.BytesIO()
    image.save(content, "JPEG", quality=85)
    data = base64.b64encode(content.getvalue()).decode("ascii")
    return f'<img loading="lazy" alt="{escape(told, quote=True)}" src="data:image/jpeg;base64,{data}">'


def _all_scores(runs: Sequence[Run]) -> str:
    keys = sorted({key for run in runs for key in run.scores})
    head = "".join(f"<th>{_run_label(number, run)}</th>" for number, run in enumerate(runs))
    rows = "".join(
        f"<tr><th>{escape(key)}</th>"
        + "".join(f"<td class=number>{_number(run.scores.get(key))}</td>" for run in runs)
        + "</tr>"
        for key in keys
    )
    table = f"<div class=scroll><table><tr><th></th>{head}</tr>{rows}</table></div>"
    return f"<details><summary>{len(keys)} figures</summary>{table}</details>"


def _number(value: float | None) -> str:
    if value is None or math.isnan(value):
        return "\N{EN DASH}"
    return f"{value:.0f}" if value == int(value) and abs(value) > 1 else f"{value:.4f}"


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
