"""Scores of one finished run: those of each photo and the headline figures."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fashionseg.errors import UserError
from fashionseg.params.yaml_file import one_line
from fashionseg.tracking.git_refs import Experiment, commit_of, file_at, list_experiments

WORKSPACE = "workspace"
REPORTS = Path("reports")
PHOTO_SCORES = "photo_scores.csv"
METRICS = "metrics.json"


@dataclass(frozen=True, eq=False)
class Results:
    """A run's scores.

    Attributes:
        scores: competition score by image id, out of fold.
        metrics: metrics.json.
    """

    name: str
    scores: pd.Series
    metrics: dict[str, Any]


def read_results(root: Path, name: str) -> Results:
    """The results of `workspace`, a folder (of a checkout, or its reports), a DVC experiment or a Git revision.

    Raises:
        UserError: there is no such run, or it has no or unreadable results.
    """
    place = root if name == WORKSPACE else Path(name).expanduser()
    for folder in (place / REPORTS, place):
        if (folder / PHOTO_SCORES).is_file():
            metrics = folder / METRICS
            return _parse(
                name,
                (folder / PHOTO_SCORES).read_bytes(),
                metrics.read_bytes() if metrics.is_file() else None,
            )
    return read_commit(root, name, resolve_run(root, name))


def read_commit(root: Path, name: str, commit: str) -> Results:
    """The results in a commit; `name` names the run in messages.

    Raises:
        UserError: the commit has no or unreadable results.
    """
    scores, metrics = (file_at(root, commit, REPORTS / file) for file in (PHOTO_SCORES, METRICS))
    if scores is None:
        raise UserError(
            f"{name}: no {REPORTS / PHOTO_SCORES} in commit {commit[:7]}; run it again with this version"
        )
    return _parse(name, scores, metrics)


def resolve_run(root: Path, name: str) -> str:
    """The commit of an experiment or a Git revision; of experiments of one name, that of the current commit.

    Raises:
        UserError: there is none, or several.
    """
    named = [experiment for experiment in list_experiments(root) if experiment.name == name]
    head = commit_of(root, "HEAD")
    if chosen := [each for each in named if each.baseline == head] or named:
        if len(chosen) > 1:
            places = ", ".join(_place(experiment) for experiment in chosen)
            raise UserError(
                f"{name}: expected one experiment of this name, got {len(chosen)}: {places}; name a commit"
            )
        return chosen[0].commit
    if commit := commit_of(root, name):
        return commit
    raise UserError(
        f"{name}: no such folder with {PHOTO_SCORES}, DVC experiment or Git revision; `dvc exp list --all` lists "
        "experiments"
    )


def _place(experiment: Experiment) -> str:
    return f"{experiment.commit[:7]} (of {experiment.baseline[:7]})"


def _parse(name: str, scores: bytes, metrics: bytes | None) -> Results:
    try:
        table = pd.read_csv(io.BytesIO(scores), dtype={"image_id": str}, keep_default_na=False)
        values = table.set_index("image_id")["competition_score"].astype(float)
        figures = json.loads(metrics) if metrics is not None else {}
    except (ValueError, KeyError) as error:
        raise UserError(
            f"{name}: {REPORTS / PHOTO_SCORES} or {METRICS}: not readable: {one_line(error)}"
        ) from None
    if values.empty or not values.index.is_unique or values.isna().any():
        raise UserError(f"{name}: {REPORTS / PHOTO_SCORES}: expected photos, each once and with a score")
    return Results(name, values, figures)
