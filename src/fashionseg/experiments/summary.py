"""What repeated runs say together: mean and spread over seeds, the score of all photos over folds; table and JSON."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fashionseg.experiments.repeats import Repeat
from fashionseg.experiments.settings import join_runs
from fashionseg.metrics.bootstrap import mean_interval
from fashionseg.params import flatten
from fashionseg.storage.json_file import write_json

AP50 = "coco.mask.ap50"


@dataclass(frozen=True)
class Spread:
    """Of N values: mean, standard deviation (N - 1), and the 95 % interval of the mean by Student's t; None for one."""

    mean: float
    deviation: float | None
    interval: tuple[float, float] | None

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        mean = statistics.fmean(values)
        if len(values) < 2:
            return cls(mean, None, None)
        from scipy.stats import t

        deviation = statistics.stdev(values)
        half = float(t.ppf(0.975, len(values) - 1)) * deviation / math.sqrt(len(values))
        return cls(mean, deviation, (mean - half, mean + half))

    def __str__(self) -> str:
        if self.deviation is None or self.interval is None:
            return f"{self.mean:.4f}"
        low, high = self.interval
        return f"{self.mean:.4f}, standard deviation {self.deviation:.4f}, 95 % t-interval {low:.4f} to {high:.4f}"


def run_rows(repeats: Sequence[Repeat]) -> list[dict[str, Any]]:
    """One row for each run, for the table and for JSON."""
    return [
        {
            "value": repeat.value,
            "experiment": repeat.experiment,
            "commit": repeat.commit,
            "num_photos": len(repeat.results.scores),
            "competition_score": float(repeat.results.scores.mean()),
            "mask_ap50": flatten(repeat.results.metrics).get(AP50),
            "seconds": repeat.seconds,
        }
        for repeat in repeats
    ]


def summarize_seeds(repeats: Sequence[Repeat]) -> dict[str, Spread]:
    """Spread of the score and of mask AP50, where every run has one, over seeds."""
    rows = run_rows(repeats)
    values = {key: [row[key] for row in rows] for key in ("competition_score", "mask_ap50")}
    return {key: Spread.of(its) for key, its in values.items() if None not in its}


def summarize_folds(repeats: Sequence[Repeat]) -> dict[str, Any]:
    """Score of all photos, each out of fold, with its bootstrap interval; mean of mask AP50 over the folds.

    Raises:
        UserError: two folds share a photo.
    """
    scores = join_runs([repeat.results for repeat in repeats]).scores.to_numpy().ravel()
    ap50 = [row["mask_ap50"] for row in run_rows(repeats)]
    return {
        "num_photos": len(scores),
        "competition_score": float(scores.mean()),
        "competition_score_interval": list(mean_interval(scores)),
        "mask_ap50": None if None in ap50 else statistics.fmean(ap50),
    }


def print_runs(repeats: Sequence[Repeat], name: str) -> None:
    """The table of the runs; `name` heads the column of the value that varies."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in (name, "experiment", "photos", "competition score", "mask AP50", "minutes"):
        table.add_column(title)
    for row in run_rows(repeats):
        ap50, seconds = row["mask_ap50"], row["seconds"]
        table.add_row(
            str(row["value"]),
            row["experiment"],
            str(row["num_photos"]),
            f"{row['competition_score']:.4f}",
            "-" if ap50 is None else f"{ap50:.3f}",
            "-" if seconds is None else f"{seconds / 60:.1f}",
        )
    Console(soft_wrap=True).print(table)


def write_summary(
    path: Path, changes: dict[str, Any], repeats: Sequence[Repeat], summary: dict[str, Any]
) -> None:
    """JSON: what was changed, the runs, the summary."""
    values = {key: vars(value) if isinstance(value, Spread) else value for key, value in summary.items()}
    write_json(path, {"changes": changes, "runs": run_rows(repeats), "summary": values})
