"""`fashionseg summary`: the end of `make repro`: scores, the best epoch, and where the results lie."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from fashionseg.errors import UserError
from fashionseg.params import flatten
from fashionseg.project import find_root
from fashionseg.tracking.cached import send_cached_runs

METRICS = Path("reports/metrics.json")
TRAINING_SUMMARY = Path("models/finetuned/summary.json")
HEADLINES = {
    "competition_score": "competition score (out-of-fold)",
    "coco.box.ap": "COCO box AP",
    "coco.box.ap50": "COCO box AP50",
    "coco.mask.ap": "COCO mask AP",
    "coco.mask.ap50": "COCO mask AP50",
}
RESULTS = {
    "reports/report.html": "report",
    "reports/pictures": "pictures of truth beside prediction",
    "reports/plots": "curves",
    "reports/submission.csv": "submission",
    "models/finetuned": "the model",
}


def configure(parser: argparse.ArgumentParser) -> None:
    del parser


def run(arguments: argparse.Namespace) -> int:
    del arguments
    from rich.console import Console

    root = find_root()
    send_cached_runs(root)
    Console(soft_wrap=True).print(_table(root))
    return 0


def headline_scores(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """Title and value of the scores that metrics.json has, `-` where one could not be computed."""
    flat = flatten(metrics)
    return [
        (title, "-" if flat[key] is None else f"{flat[key]:.3f}")
        for key, title in HEADLINES.items()
        if key in flat
    ]


def _table(root: Path) -> Any:
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title, value in headline_scores(_read_json(root / METRICS)):
        table.add_row(title, f"[bold]{value}[/bold]")
    training = root / TRAINING_SUMMARY
    if training.exists():
        table.add_row("best epoch of the fine-tuning", str(_read_json(training).get("best_epoch", "-")))
    for path, title in RESULTS.items():
        if (root / path).exists():
            table.add_row(title, os.path.relpath(root / path))
    table.add_row("all runs", "make ui")
    return table


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; `dvc repro` writes it") from None
    except ValueError as error:
        raise UserError(f"{path}: not readable as JSON: {error}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected a mapping, got {type(values).__name__}")
    return values
