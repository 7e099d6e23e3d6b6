"""Scores of a pipeline run: numbers by dotted name, read from metrics.json or from a journal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fashionseg.params import flatten
from fashionseg.storage.json_file import read_json
from fashionseg.tracking.identity import journal_folder
from fashionseg.tracking.journal import Journal, metric_points, stored_journals

SCORE = "competition_score"  # compared by the hyperparameter search and the registry
_INTERVAL = "_interval"  # end of the name of a pair of bounds, [low, high]


def read_scores(path: Path) -> dict[str, float]:
    """The numbers of a metrics.json by dotted name; null values are excluded.

    An interval `X_interval` becomes the two numbers `X_low` and `X_high`: MLflow's metrics are single numbers.

    Raises:
        UserError: the file is missing or not a JSON mapping.
    """
    values: dict[str, Any] = {}
    for name, value in flatten(read_json(path, "run `dvc repro`")).items():
        if name.endswith(_INTERVAL) and isinstance(value, list) and len(value) == 2:
            stem = name.removesuffix(_INTERVAL)
            values |= {f"{stem}_low": value[0], f"{stem}_high": value[1]}
        else:
            values[name] = value
    return numeric_values(values)


def final_scores(journal: Journal) -> dict[str, float]:
    """Scores of the finished run by dotted name; empty before the evaluation."""
    return {point.name: point.value for point in metric_points(journal.records()) if point.step == 0}


def journals_with(scores: Mapping[str, float]) -> list[Journal]:
    """Journals of the runs with exactly these final scores, the latest last."""
    journals = stored_journals(journal_folder())
    found = [journal for journal in journals if final_scores(journal) == scores]
    return sorted(found, key=lambda journal: journal.path.stat().st_mtime_ns)


def numeric_values(values: Mapping[str, Any]) -> dict[str, float]:
    """The numbers in `values`, as floats under names that MLflow accepts (letters, digits and `_-. /:`)."""
    return {
        re.sub(r"[^\w\-. /:]", "_", name, flags=re.ASCII): float(value)
        for name, value in values.items()
        if hasattr(value, "__float__") and not isinstance(value, bool)
    }
