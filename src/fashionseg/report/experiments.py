"""What the journals know about each run."""

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
        scores: final figures, by dotted name.
        curves: losses and the like by name, then by epoch, counted from 1 over both training stages.
        pictures: files by photo.
    """

    name: str
    params: dict[str, Any]
    tags: dict[str, str]
    scores: dict[str, float]
    curves: dict[str, dict[int, float]]
    pictures: dict[str, Path]


def read_runs(folder: Path, names: Sequence[str] = ()) -> list[Run]:
    """The runs with a journal below `folder`, or those called `names`, best competition score first.

    Raises:
        UserError: there are none, or one of `names` is not there.
    """
    runs = [run for journal in stored_journals(folder) if (run := _read_run(journal)) is not None]
    known = [run.name for run in runs]
    for name in names:
        if name not in known:
            raise UserError(f"{name}: no such run; there are: {', '.join(sorted(set(known))) or 'none'}")
    chosen = [run for run in runs if not names or run.name in names]
    if not chosen:
        raise UserError(f"{folder}: no runs yet; `dvc repro` and `dvc exp run` make some")
    return sorted(chosen, key=lambda run: (-run.scores.get("competition_score", -math.inf), run.name))


def differing_params(runs: Sequence[Run]) -> list[str]:
    """Names of the parameters that are not the same in all runs; one that a run lacks differs too."""
    names = sorted({name for run in runs for name in run.params})
    return [name for name in names if any(run.params.get(name) != runs[0].params.get(name) for run in runs)]


def shared_pictures(runs: Sequence[Run]) -> list[str]:
    """Photos that at least two runs pictured; with one run, all of its."""
    photos = sorted({photo for run in runs for photo in run.pictures})
    enough = min(2, len(runs))
    return [photo for photo in photos if sum(photo in run.pictures for run in runs) >= enough]


def _read_run(journal: Journal) -> Run | None:
    """None where the journal does not even name its run, or holds no figure."""
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
