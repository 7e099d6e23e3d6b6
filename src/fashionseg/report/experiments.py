"""Runs as recorded in the journals."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fashionseg.errors import UserError
from fashionseg.tracking.journal import Journal, stored_journals

_PICTURE = re.compile(r"reports/pictures/\d+_(.+)\.png")


@dataclass(frozen=True)
class Run:
    """A pipeline run.

    Attributes:
        scores: final figures by dotted name.
        curves: losses and other numbers per epoch, by name and epoch, counted from 1 over both training stages.
        pictures: files by photo.
    """

    name: str
    params: dict[str, Any]
    tags: dict[str, str]
    scores: dict[str, float]
    curves: dict[str, dict[int, float]]
    pictures: dict[str, Path]


def read_runs(folder: Path, names: Sequence[str] = ()) -> list[Run]:
    """The runs with a journal below `folder`, or only those in `names`, best competition score first.

    Raises:
        UserError: there are no runs, or one of `names` is unknown.
    """
    runs = [run for journal in stored_journals(folder) if (run := _read_run(journal)) is not None]
    known = [run.name for run in runs]
    for name in names:
        if name not in known:
            raise UserError(f"{name}: no such run; known runs: {', '.join(sorted(set(known))) or 'none'}")
    chosen = [run for run in runs if not names or run.name in names]
    if not chosen:
        raise UserError(f"{folder}: no runs yet; run `dvc repro` or `dvc exp run`")
    return sorted(chosen, key=lambda run: (-run.scores.get("competition_score", -math.inf), run.name))


def differing_params(runs: Sequence[Run]) -> list[str]:
    """Names of the parameters that differ between runs; a missing parameter differs too."""
    names = sorted({name for run in runs for name in run.params})
    return [name for name in names if any(run.params.get(name) != runs[0].params.get(name) for run in runs)]


def shared_pictures(runs: Sequence[Run]) -> list[str]:
    """Photos with a picture in at least two runs; with one run, all its photos."""
    photos = sorted({photo for run in runs for photo in run.pictures})
    enough = min(2, len(runs))
    return [photo for photo in photos if sum(photo in run.pictures for run in runs) >= enough]


def _read_run(journal: Journal) -> Run | None:
    """None if the journal has no name of a run or no metrics."""
    records = journal.records()
    first = next((record for record in records if record["kind"] == "run"), None)
    if first is None or not any(record["kind"] == "metrics" for record in records):
        return None
    tags = dict(first["tags"])
    scores: dict[str, float] = {}
    curves: dict[str, dict[int, float]] = {}
    pictures: dict[str, Path] = {}
    for record in records:
        match record["kind"]:
            case "tags":
                tags |= record["values"]
            case "metrics" if record["step"] == 0:
                scores |= record["values"]
            case "metrics":
                for name, value in record["values"].items():
                    curves.setdefault(name, {})[record["step"]] = value
            case "file":
                if picture := _PICTURE.fullmatch(record["path"]):
                    pictures[picture[1]] = journal.files / record["path"]
    return Run(first["name"], first["params"], tags, scores, curves, pictures)
