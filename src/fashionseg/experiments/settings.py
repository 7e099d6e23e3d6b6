"""The runs of one setting: several seeds on the same photos, or the folds of a cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import reduce
from pathlib import Path

import pandas as pd

from fashionseg.errors import UserError
from fashionseg.experiments.results import Results, read_results
from fashionseg.tracking.git_refs import list_experiments

# Of the larger side; a photo more or less was dropped by another decoding, many mean another split.
MAX_UNPAIRED = 0.1


@dataclass(frozen=True, eq=False)
class Setting:
    """Scores of one setting.

    Attributes:
        runs: names.
        scores: one row for each seed, one column for each photo, named by its image id.
    """

    runs: tuple[str, ...]
    scores: pd.DataFrame


def read_setting(root: Path, text: str) -> Setting:
    """The setting of `text`: names for `read_results`, separated by commas; `*` and `?` match experiments.

    Raises:
        UserError: a run is missing, or the runs are neither seeds nor folds.
    """
    known = [experiment.name for experiment in list_experiments(root)]
    names: list[str] = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        matches = (
            sorted({name for name in known if fnmatchcase(name, word)}) if set("*?") & set(word) else [word]
        )
        if not matches:
            raise UserError(f"{word}: matches no DVC experiment; `dvc exp list --all` lists them")
        names += [name for name in matches if name not in names]
    if not names:
        raise UserError(f"{text!r}: expected the name of a run")
    return join_runs([read_results(root, name) for name in names])


def join_runs(runs: Sequence[Results]) -> Setting:
    """Runs that share all photos are seeds, one row each; runs that share none are folds, together one row.

    Raises:
        UserError: the runs share some of their photos.
    """
    names = tuple(run.name for run in runs)
    first, *others = (run.scores for run in runs)
    if all(first.index.symmetric_difference(scores.index).empty for scores in others):
        return Setting(names, pd.DataFrame([run.scores.reindex(first.index) for run in runs], index=names))
    joined = pd.concat([run.scores for run in runs])
    if not joined.index.is_unique:
        raise UserError(
            f"{', '.join(names)}: expected runs on the same photos (seeds) or on photos of which no two runs share one "
            "(folds), got runs that share some; name the runs of one setting"
        )
    return Setting(names, joined.to_frame().T)


def pair_photos(first: Setting, second: Setting) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """The scores of both on their common photos, in the same order, and the number of unpaired photos.

    Raises:
        UserError: the validation sides differ.
    """
    columns = [setting.scores.columns for setting in (first, second)]
    common = reduce(pd.Index.intersection, columns).sort_values()
    sizes = [len(names) for names in columns]
    if max(sizes) - len(common) > MAX_UNPAIRED * max(sizes):
        raise UserError(
            f"{first.runs[0]} and {second.runs[0]}: expected scores on the same photos, got {sizes[0]} and {sizes[1]} "
            f"photos with {len(common)} in common: other validation sides; compare runs with the same split"
        )
    return first.scores[common], second.scores[common], sum(sizes) - 2 * len(common)
