"""The comparison of runs: one HTML file that needs nothing from outside."""

from __future__ import annotations

import io
import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fashionseg.history import VALIDATION
from fashionseg.metrics.bootstrap import interval_text
from fashionseg.report.experiments import Run, differing_params, shared_pictures
from fashionseg.report.figures import Line, curve_figure
from fashionseg.report.html import MISSING, data_uri, write_page
from fashionseg.report.page import HEADLINES

PICTURE_WIDTH = 900  # pixels of a picture in the page
# Distinct for people with red-green colour blindness (Okabe & Ito 2008); further runs reuse the colours, dashed.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c564b", "#7f7f7f")


def write_comparison(path: Path, runs: list[Run]) -> None:
    """Writes the page that compares `runs`: scores and differing parameters, curves in one chart each, pictures."""
    scores = {
        key: [run.scores[key] for run in runs if key in run.scores and math.isfinite(run.scores[key])]
        for key in HEADLINES
        if any(key in run.scores for run in runs)
    }
    curves = {name for run in runs for name in run.curves}
    write_page(
        path,
        "experiments.html",
        {"score": _score_text, "headline": _headline_text, "param": _param_text, "thumbnail": _thumbnail},
        title="fashionseg runs",
        runs=runs,
        colours=[COLOURS[number % len(COLOURS)] for number in range(len(runs))],
        headlines={key: HEADLINES[key] for key in scores},
        best={key: max(values, default=None) for key, values in scores.items()},
        spread={key: _spread(values) for key, values in scores.items()},
        params=differing_params(runs),
        charts={
            name: curve_figure(_lines(name, runs))
            for name in sorted(curves, key=lambda name: (name.removeprefix(VALIDATION), name))
        },
        photos=shared_pictures(runs),
        all_scores=sorted({key for run in runs for key in run.scores}),
    )


def _lines(name: str, runs: list[Run]) -> list[Line]:
    """The curve of each run up to its last epoch: an epoch without a value is a gap."""
    return [
        Line(
            run.name,
            {epoch: run.curves[name].get(epoch, math.nan) for epoch in range(1, max(run.curves[name]) + 1)},
            COLOURS[number % len(COLOURS)],
            dashed=number >= len(COLOURS),
        )
        for number, run in enumerate(runs)
        if name in run.curves
    ]


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.fmean(values):.3f} ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""


def _score_text(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{value:.0f}" if value == int(value) and abs(value) > 1 else f"{value:.4f}"


def _headline_text(run: Run, key: str) -> str:
    """The score with its interval, where the run has one: runs of earlier versions have none."""
    bounds = [run.scores[name] for name in (f"{key}_low", f"{key}_high") if name in run.scores]
    return interval_text(run.scores[key], bounds) if len(bounds) == 2 else _score_text(run.scores.get(key))


def _param_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _thumbnail(path: Path) -> str:
    from PIL import Image

    with Image.open(path) as opened:
        image = opened.convert("RGB")
    image.thumbnail((PICTURE_WIDTH, PICTURE_WIDTH))
    content = io.BytesIO()
    image.save(content, "JPEG", quality=85)
    return data_uri(content.getvalue(), "jpeg")
