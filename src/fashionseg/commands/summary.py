"""`fashionseg summary`, the end of `make repro`: scores, the best epoch, and the paths of the results."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from fashionseg.metrics.bootstrap import interval_text
from fashionseg.params import flatten
from fashionseg.project import find_root
from fashionseg.storage.json_file import read_json
from fashionseg.tracking.cached import send_cached_runs

METRICS = Path("reports/metrics.json")
TRAINING_SUMMARY = Path("models/finetuned/summary.json")
HEADLINES = {
    "competition_score": "competition score (out-of-fold)",
    "competition_score_category": "competition score, label category",
    "competition_score_classid": "competition score, label classid",
    "coco.box.ap": "COCO box AP",
    "coco.box.ap50": "COCO box AP50",
    "coco.mask.ap": "COCO mask AP",
    "coco.mask.ap50": "COCO mask AP50",
}
RESULTS = {
    "reports/report.html": "report",
    "reports/pictures": "pictures of truth and prediction",
    "reports/plots": "curves",
    "reports/submission.csv": "submission",
    "models/finetuned": "the model",
}


def configure(parser: argparse.ArgumentParser) -> None:
    pass


def run(arguments: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.table import Table

    root = find_root()
    send_cached_runs(root)
    table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    scores = flatten(read_json(root / METRICS, "run `dvc repro`"))
    for key, title in HEADLINES.items():
        if key in scores:  # null: a score that could not be computed
            interval = scores.get(f"{key}_interval")
            value = "-" if scores[key] is None else f"{scores[key]:.3f}"
            if interval:
                value = interval_text(scores[key], interval)
            table.add_row(title, f"[bold]{value}[/bold]")
    training = root / TRAINING_SUMMARY
    if training.exists():
        best_epoch = read_json(training, "run `dvc repro`").get("best_epoch", "-")
        table.add_row("best epoch of the fine-tuning", str(best_epoch))
    for path, title in RESULTS.items():
        if (root / path).exists():
            table.add_row(title, os.path.relpath(root / path))
    table.add_row("all runs", "make ui")
    Console(soft_wrap=True).print(table)
